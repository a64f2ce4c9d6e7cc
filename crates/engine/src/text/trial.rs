//! Tries a chat template before its model is ready for users.

use super::{Message, Role, Text, TextError, TokenId};

/// A conversation that a template is tried with.
struct Trial {
    /// Its name in error messages.
    name: &'static str,
    roles: &'static [Role],
}

/// Every template must accept these.
const QUESTIONS: [Trial; 2] = [
    Trial { name: "one question", roles: &[Role::User] },
    Trial {
        name: "a question, its answer and another question",
        roles: &[Role::User, Role::Assistant, Role::User],
    },
];
/// Templates may refuse a system message, but they must not fail with one.
const WITH_SYSTEM: [Trial; 2] = [
    Trial { name: "a system message and one question", roles: &[Role::System, Role::User] },
    Trial {
        name: "a system message, a question, its answer and another question",
        roles: &[Role::System, Role::User, Role::Assistant, Role::User],
    },
];

impl Text {
    /// Tries the chat template with short conversations, so that a wrong template is found before
    /// the first real conversation.
    ///
    /// Errors: [`TextError::Template`] if the template fails, refuses a conversation of one or two
    /// turns, or does not write the user's message.
    pub fn try_template(&self) -> Result<(), TextError> {
        for trial in &QUESTIONS {
            self.check_trial(trial).map_err(|error| trial.failed(error))?;
        }
        for trial in &WITH_SYSTEM {
            match self.check_trial(trial) {
                Ok(()) | Err(TextError::Refused(_)) => {}
                Err(error) => return Err(trial.failed(error)),
            }
        }
        Ok(())
    }

    /// Renders one conversation with two different texts; the prompts must differ.
    fn check_trial(&self, trial: &Trial) -> Result<(), TextError> {
        let written = |question| self.prompt(&trial.messages(question));
        let (one, other): (Vec<TokenId>, Vec<TokenId>) = (written("Hello")?, written("Thanks")?);
        if one == other {
            let found = if one.is_empty() { "nothing" } else { "none of it" };
            let what = format!("expected the user's message in the prompt, found {found}");
            return Err(TextError::Template(what));
        }
        Ok(())
    }
}

impl Trial {
    fn messages(&self, question: &str) -> Vec<Message> {
        let message = |role: &Role| Message::new(*role, question);
        self.roles.iter().map(message).collect()
    }

    /// The error with the name of this trial in it.
    fn failed(&self, error: TextError) -> TextError {
        let what = match error {
            TextError::Template(what) => what,
            TextError::Refused(words) => format!("it refuses the conversation: {words}"),
            other => return other,
        };
        TextError::Template(format!("tried with {}: {what}", self.name))
    }
}
