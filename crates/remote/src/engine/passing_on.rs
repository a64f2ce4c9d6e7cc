//! The parts of a request that are passed on as they came, and those that are refused.

use super::EngineError;
use banter_seam::{Conversation, GenerateRequest, Message, Prompt, Role, ToolCall};
use serde_json::{Value, json};

/// The interface of these engines takes text, and text does not say of which tokens it was made.
///
/// Errors: the request goes on with an answer.
pub(super) fn refuse_to_continue(asked: &GenerateRequest) -> Result<(), EngineError> {
    if asked.continues.is_none() {
        return Ok(());
    }
    Err(EngineError::Parameter {
        field: "continue",
        expected: "an engine that can go on with an answer".to_owned(),
        found: "an engine that somebody else runs, which begins every answer anew".to_owned(),
    })
}

/// Errors: the request wants something that is not passed on to these engines yet.
pub(super) fn refuse_what_is_not_passed_on(asked: &GenerateRequest) -> Result<(), EngineError> {
    let tools = match &asked.prompt {
        Prompt::Conversation(Conversation { tools, template_options, .. }) => [
            ("tools", !tools.functions.is_empty()),
            ("chat_template_kwargs", !template_options.is_empty()),
        ],
        Prompt::Text(_) | Prompt::Tokens(_) => [("prompt", true), ("tools", false)],
    };
    let others = [
        ("response_format", asked.structure.is_some()),
        ("logprobs", asked.logprobs.is_some()),
        ("logit_bias", !asked.parameters.logit_bias.is_empty()),
    ];
    match tools.into_iter().chain(others).find(|(_, is_wanted)| *is_wanted) {
        None => Ok(()),
        Some((field, _)) => Err(EngineError::Parameter {
            field,
            expected: "nothing: it is not passed on to an engine that somebody else runs"
                .to_owned(),
            found: "a value".to_owned(),
        }),
    }
}

pub(super) fn as_json<'a>(messages: impl Iterator<Item = &'a Message>) -> Value {
    let entry = |message: &Message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let mut entry = json!({"role": role, "content": message.content});
        if !message.tool_calls.is_empty() {
            entry["tool_calls"] = message.tool_calls.iter().map(call_as_json).collect();
        }
        if let Some(id) = &message.tool_call_id {
            entry["tool_call_id"] = json!(id);
        }
        entry
    };
    messages.map(entry).collect()
}

fn call_as_json(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}
