use super::answer::{BlockReport, EndReport, StopReason, StreamEvent, UsageReport};
use super::{CountRequest, MessageRequest};
use banter_seam::{EndReason, Message, Role, Structure, ToolCall, ToolChoice, Tools, Usage};
use serde_json::{Value, json};

fn body(fields: Value) -> String {
    let mut request = json!({
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
    });
    let fields = fields.as_object().cloned().expect("an object");
    request.as_object_mut().expect("an object").extend(fields);
    request.to_string()
}

fn parse(fields: Value) -> Result<MessageRequest, String> {
    MessageRequest::parse(&body(fields)).map_err(|fault| fault.to_string())
}

fn weather() -> Value {
    json!({"name": "weather", "input_schema": {"type": "object", "properties": {}}})
}

#[test]
fn a_request_with_everything() {
    let request = parse(json!({
        "system": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}],
        "stop_sequences": ["x"], "temperature": 0.5, "top_k": 3, "seed": 4, "stream": true,
        "thinking": {"type": "disabled"}, "metadata": {"user_id": "u"},
        "cache_control": {"type": "ephemeral"},
    }));
    let request = request.expect("it is right");
    let messages = [Message::system("be brief"), Message::user("hi")];
    assert_eq!(request.conversation.messages, messages);
    assert!(request.conversation.is_whole && request.is_streamed && !request.continues);
    let parameters = request.parameters;
    assert_eq!((parameters.max_tokens, parameters.top_k, parameters.seed), (9, Some(3), Some(4)));
    assert_eq!(parameters.stop_strings, ["x"]);
    assert_eq!(request.conversation.template_options["enable_thinking"], json!(false));
}

#[test]
fn blocks_become_messages_in_their_order() {
    let messages = json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c", "name": "weather", "input": {"town": "Ulm"}},
        ]},
        {"role": "user", "content": [
            {"type": "text", "text": "before"},
            {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "d", "is_error": true},
            {"type": "text", "text": "after"},
        ]},
    ]);
    let messages = parse(json!({"messages": messages})).expect("it is right").conversation.messages;
    let (id, name) = ("c".to_owned(), "weather".to_owned());
    let calls = vec![ToolCall { id, name, arguments: r#"{"town":"Ulm"}"#.to_owned() }];
    let returned = |call: &str, text: &str| Message {
        tool_call_id: Some(call.to_owned()),
        ..Message::new(Role::Tool, text)
    };
    let expected = [
        Message::user("weather?"),
        Message { tool_calls: calls, ..Message::assistant("I look.") },
        Message::user("before"),
        returned("c", "rain"),
        returned("d", ""),
        Message::user("after"),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn an_answer_at_the_end_goes_on() {
    let begun = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "Once"}]);
    assert!(parse(json!({"messages": begun})).expect("it is right").continues);
    let format = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
    let both = parse(json!({"messages": begun, "output_config": format})).expect_err("both");
    assert!(both.starts_with("messages: expected no answer as the last message"), "{both}");
    let structure = parse(json!({"output_config": format})).expect("it is right").structure;
    assert_eq!(structure, Some(Structure::JsonSchema(r#"{"type":"object"}"#.to_owned())));
}

#[test]
fn tools_and_their_choice() {
    let choices = [
        (json!({"type": "auto"}), ToolChoice::Auto, false),
        (json!({"type": "any", "disable_parallel_tool_use": true}), ToolChoice::Required, true),
        (json!({"type": "tool", "name": "weather"}), ToolChoice::Named("weather".into()), false),
    ];
    for (choice, expected, one_call) in choices {
        let request = parse(json!({"tools": [weather()], "tool_choice": choice}));
        let tools = request.expect("it is right").conversation.tools;
        assert_eq!((&tools.choice, tools.one_call), (&expected, one_call));
        assert_eq!(tools.functions[0].name, "weather");
    }
    let none = parse(json!({"tools": [weather()], "tool_choice": {"type": "none"}}));
    assert_eq!(none.expect("it is right").conversation.tools, Tools::default());
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let picture = json!([{"role": "user", "content": [{"type": "image", "source": {}}]}]);
    let lonely =
        json!([{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "c"}]}]);
    let cases = [
        (json!({"max_tokens": null}), "max_tokens: expected how many"),
        (json!({"messages": []}), "messages: expected at least one message"),
        (json!({"messages": picture}), "messages[0].content[0]: expected a block of the type"),
        (json!({"messages": lonely}), "messages[0].content: expected no tool_result"),
        (
            json!({"messages": [{"role": "user", "content": []}]}),
            "messages[0].content: expected at least",
        ),
        (
            json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}),
            "tools[0]: expected a tool",
        ),
        (json!({"tools": [{"name": "f"}]}), "tools[0]: expected a tool with its input_schema"),
        (json!({"tools": [weather(), weather()]}), "tools: expected tools whose names differ"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice: expected auto or none"),
        (
            json!({"tools": [weather()], "tool_choice": {"type": "tool", "name": "time"}}),
            "tool_choice: expected the name of one",
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "thinking: expected the type adaptive or disabled",
        ),
        (json!({"container": "c"}), "container: expected nothing"),
        (json!({"output_config": {"effort": "low"}}), "output_config.effort: expected nothing"),
        (json!({"temperature": 3}), "temperature: expected a number"),
        (json!({"speech": 3}), "speech: expected nothing"),
    ];
    for (fields, expected) in cases {
        let refused = parse(fields).expect_err(expected);
        assert!(refused.starts_with(expected), "{refused}");
    }
}

#[test]
fn tokens_can_be_counted_without_a_limit() {
    let counted = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [weather()],
    });
    let request = CountRequest::parse(&counted.to_string()).expect("it is right");
    assert_eq!(request.conversation.tools.functions.len(), 1);
}

#[test]
fn a_call_that_was_cut_off_is_text() {
    let call = |arguments: &str| {
        let (id, name) = ("c".to_owned(), "f".to_owned());
        BlockReport::from(ToolCall { id, name, arguments: arguments.to_owned() })
    };
    let told = serde_json::to_value(call(r#"{"b":1,"a":2}"#)).expect("JSON");
    let input = json!({"b": 1, "a": 2});
    assert_eq!(told, json!({"type": "tool_use", "id": "c", "name": "f", "input": input}));
    assert_eq!(call(r#"{"b":"#), BlockReport::Text { text: r#"{"b":"#.to_owned() });
}

#[test]
fn an_end_says_why() {
    let of = |reason, has_called| EndReport::of(reason, None, has_called).stop_reason;
    assert_eq!(of(EndReason::End, false), Some(StopReason::EndTurn));
    assert_eq!(of(EndReason::End, true), Some(StopReason::ToolUse));
    assert_eq!(of(EndReason::Length, true), Some(StopReason::MaxTokens));
    let usage = UsageReport::from(&Usage {
        prompt_tokens: Some(10),
        cached_tokens: Some(4),
        completion_tokens: Some(3),
    });
    let delta = EndReport::of(EndReason::StopString, Some("x".to_owned()), false);
    let event = StreamEvent::MessageDelta { delta, usage };
    assert_eq!(event.name(), "message_delta");
    let expected = json!({
        "type": "message_delta",
        "delta": {"stop_reason": "stop_sequence", "stop_sequence": "x"},
        "usage": {
            "input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
            "output_tokens": 3,
        },
    });
    assert_eq!(serde_json::to_value(&event).expect("JSON"), expected);
    assert_eq!(serde_json::to_value(StreamEvent::Ping).expect("JSON"), json!({"type": "ping"}));
}
