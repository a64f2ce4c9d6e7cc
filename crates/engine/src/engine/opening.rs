//! Checks of a model's text before its weights are loaded: the chat template is tried, and the
//! tokens are found that every conversation begins with.

use super::drafts::common_beginning;
use super::{ChatTemplate, OpenError};
use crate::model_file::{Fault, ModelFile, ModelFileError};
use crate::text::{Message, Text, TextError, TokenId};

/// Makes the [`Text`] that turns conversations into tokens, and tries the chat template.
///
/// Errors: the vocabulary or the template is wrong, or the template writes no conversation.
pub(super) fn text_for_chat(
    file: &ModelFile,
    template: Option<&ChatTemplate>,
) -> Result<Text, OpenError> {
    let text = match template {
        Some(template) => file.text_with(&template.source, &template.name),
        None => file.text(),
    };
    let text = text.map_err(|error| match &error.fault {
        Fault::Text(TextError::Template(_)) => OpenError::ChatTemplate(error),
        _ => OpenError::ModelFile(error),
    })?;
    text.try_template().map_err(|error| {
        let name = template.map_or(file.template_name(), |template| &template.name);
        OpenError::ChatTemplate(ModelFileError { file: name.to_owned(), fault: Fault::Text(error) })
    })?;
    Ok(text)
}

/// The tokens that all conversations with this system message begin with: the first tokens that two
/// otherwise different ones have in common.
///
/// Errors: the template takes no system message.
pub(super) fn opening(text: &Text, system_prompt: Option<&str>) -> Result<Vec<TokenId>, OpenError> {
    let conversation = |content: &str| {
        let system = system_prompt.map(Message::system);
        let messages: Vec<Message> = system.into_iter().chain([Message::user(content)]).collect();
        match text.prompt(&messages) {
            Err(TextError::Refused(words)) => Err(OpenError::SystemPromptRefused { words }),
            // A template that passed the trial may still fail with this message.
            prompt => Ok(prompt.unwrap_or_default()),
        }
    };
    let (mut opening, other) = (conversation("a")?, conversation("1")?);
    opening.truncate(common_beginning(&opening, &other));
    Ok(opening)
}
