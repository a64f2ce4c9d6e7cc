//! Functions and their calls in the messages of a conversation.

use serde_json::json;

use super::{CLOSE, OPEN};
use crate::text::{Message, Role, ToolCall};

/// The same conversation for a model whose chat template knows nothing of functions: those that it
/// may call are described in the system message, calls are in the text of answers, and their
/// results are messages of the user.
pub(crate) fn as_text(messages: &[Message], tools: &[serde_json::Value]) -> Vec<Message> {
    let mut told: Vec<Message> = Vec::with_capacity(messages.len() + 1);
    for message in messages {
        match (message.role, told.last_mut()) {
            (Role::Tool, Some(last))
                if last.role == Role::User && last.content.ends_with(AFTER) =>
            {
                last.content.push('\n');
                last.content.push_str(&result(&message.content));
            }
            (Role::Tool, _) => told.push(Message::user(result(&message.content))),
            _ => told.push(with_calls(message)),
        }
    }
    if !tools.is_empty() {
        let description = description(tools);
        match told.first_mut() {
            Some(system) if system.role == Role::System => {
                system.content.push_str("\n\n");
                system.content.push_str(&description);
            }
            _ => told.insert(0, Message::system(description)),
        }
    }
    told
}

/// After the result of a call.
const AFTER: &str = "</tool_response>";

fn result(content: &str) -> String {
    format!("<tool_response>\n{content}\n{AFTER}")
}

fn with_calls(message: &Message) -> Message {
    if message.tool_calls.is_empty() {
        return message.clone();
    }
    let mut content = message.content.clone();
    for ToolCall { name, arguments } in &message.tool_calls {
        let separator = if content.is_empty() { "" } else { "\n" };
        let (name, call) = (json!(name), arguments);
        content.push_str(&format!(
            "{separator}{OPEN}\n{{\"name\": {name}, \"arguments\": {call}}}\n{CLOSE}"
        ));
    }
    Message::new(message.role, content)
}

fn description(tools: &[serde_json::Value]) -> String {
    let list: String = tools.iter().map(|tool| format!("\n{tool}")).collect();
    format!(
        "# Tools\n\nYou can call these functions:\n<tools>{list}\n</tools>\n\n\
         To call one, write its name and its arguments as JSON:\n\
         {OPEN}\n{{\"name\": \"function\", \"arguments\": {{}}}}\n{CLOSE}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_calls_and_results_become_text() {
        let calls = ["one", "two"]
            .map(|name| ToolCall { name: name.to_owned(), arguments: json!({"x": 1}) });
        let answer = Message { tool_calls: calls.to_vec(), ..Message::assistant("Let me see.") };
        let messages = [
            Message::system("Be brief."),
            Message::user("What now?"),
            answer,
            Message::tool("first"),
            Message::tool("second"),
            Message::assistant("Done."),
        ];
        let told = as_text(&messages, &[json!({"type": "function"})]);
        let roles: Vec<Role> = told.iter().map(|message| message.role).collect();
        let (user, model) = (Role::User, Role::Assistant);
        assert_eq!(roles, [Role::System, user, model, user, model]);
        let system = &told[0].content;
        assert!(system.starts_with("Be brief.\n\n# Tools"), "{system}");
        assert!(system.contains("\n{\"type\":\"function\"}\n</tools>"), "{system}");
        assert_eq!(
            told[2].content,
            "Let me see.\n\
             <tool_call>\n{\"name\": \"one\", \"arguments\": {\"x\":1}}\n</tool_call>\n\
             <tool_call>\n{\"name\": \"two\", \"arguments\": {\"x\":1}}\n</tool_call>"
        );
        assert_eq!(
            told[3].content,
            "<tool_response>\nfirst\n</tool_response>\n<tool_response>\nsecond\n</tool_response>"
        );
    }

    #[test]
    fn without_a_system_message_the_description_is_one() {
        let told = as_text(&[Message::user("hi")], &[json!({})]);
        assert_eq!((told[0].role, told.len()), (Role::System, 2));
        assert_eq!(as_text(&[Message::user("hi")], &[]), [Message::user("hi")]);
    }
}
