use super::report::{OutputItem, Part, Response, Status};
use super::{Items, ResponseRequest};
use banter_seam::{EndReason, Message, Role, Structure, ToolCall, ToolChoice, Tools, Usage};
use serde_json::{Value, json};

fn parse(mut fields: Value) -> Result<ResponseRequest, String> {
    let request = fields.as_object_mut().expect("an object");
    request.entry("input").or_insert(json!("hi"));
    ResponseRequest::parse(&fields.to_string()).map_err(|fault| fault.to_string())
}

fn messages(request: &ResponseRequest) -> Vec<Message> {
    request.conversation(&Items::default()).messages
}

fn call(id: &str, name: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": "{}"})
}

fn weather() -> Value {
    json!({"type": "function", "name": "weather", "parameters": {"type": "object"}})
}

#[test]
fn a_request_with_everything() {
    let request = parse(json!({
        "model": "m", "instructions": "be brief", "max_output_tokens": 7, "temperature": 0.5,
        "top_p": 0.9, "seed": 3, "tools": [weather()], "tool_choice": "required",
        "parallel_tool_calls": false, "store": false, "stream": true, "truncation": "auto",
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2, "metadata": {"a": "b"}, "user": "u", "reasoning": {"effort": "none"},
        "previous_response_id": "resp_1", "background": false, "service_tier": "auto",
    }));
    let request = request.expect("it is right");
    assert_eq!(messages(&request), [Message::system("be brief"), Message::user("hi")]);
    assert_eq!((request.parameters.max_tokens, request.parameters.seed), (7, Some(3)));
    assert!(request.is_streamed && !request.is_kept && request.truncates);
    assert_eq!(request.logprobs, Some(2));
    assert_eq!((&request.tools.choice, request.tools.one_call), (&ToolChoice::Required, true));
    assert!(request.tools.functions[0].strict, "as in OpenAI's interface");
    let told = serde_json::to_value(&request.asked).expect("JSON");
    assert_eq!((&told["tools"][0], &told["tool_choice"]), (&weather(), &json!("required")));
    assert_eq!(told["previous_response_id"], "resp_1");
    let usual = parse(json!({})).expect("it is right");
    assert!(usual.is_kept && !usual.truncates && usual.logprobs.is_none());
    assert_eq!(usual.asked.text, json!({"format": {"type": "text"}}));
}

#[test]
fn items_become_messages() {
    let items = json!([
        {"role": "developer", "content": "rules"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        call("a", "weather"),
        call("b", "time"),
        {"type": "function_call_output", "call_id": "a", "output": "rain"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "noon"}]},
    ]);
    let request = parse(json!({"input": items})).expect("it is right");
    let called = |id: &str, name: &str| ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: "{}".to_owned(),
    };
    let returned = |id: &str, text: &str| Message {
        tool_call_id: Some(id.to_owned()),
        ..Message::new(Role::Tool, text)
    };
    let expected = [
        Message::system("rules"),
        Message::user("weather?"),
        Message {
            tool_calls: vec![called("a", "weather"), called("b", "time")],
            ..Message::assistant("I look.")
        },
        returned("a", "rain"),
        returned("b", "noon"),
    ];
    assert_eq!(messages(&request), expected);
    let again = Items::parse(&request.input.to_json()).expect("they were written by us");
    assert_eq!(again, request.input);
}

#[test]
fn what_a_response_said_can_be_gone_on_from() {
    let mut items = parse(json!({})).expect("it is right").input;
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let output = [
        OutputItem::reasoning("rs".into(), Status::Completed, vec![]),
        OutputItem::message("m".into(), Status::Completed, vec![Part::text("so".into(), vec![])]),
        OutputItem::call("fc".into(), Status::Completed, call.clone()),
    ];
    let output = serde_json::to_string(&output).expect("JSON");
    items.extend(Items::parse(&output).expect("items of a response are items"));
    let answer = Message { tool_calls: vec![call], ..Message::assistant("so") };
    assert_eq!(items.messages(), [Message::user("hi"), answer]);
}

#[test]
fn structures_and_choices() {
    let format = json!({"type": "json_schema", "name": "n", "schema": {"type": "object"}});
    let request = parse(json!({"text": {"format": format}})).expect("it is right");
    assert_eq!(request.structure, Some(Structure::JsonSchema(r#"{"type":"object"}"#.into())));
    assert_eq!(request.asked.text, json!({"format": format}));
    let none = parse(json!({"tools": [weather()], "tool_choice": "none"})).expect("it is right");
    assert_eq!(none.tools, Tools::default());
    let named = json!({"type": "function", "name": "weather"});
    let named = parse(json!({"tools": [weather()], "tool_choice": named})).expect("it is right");
    assert_eq!(named.tools.choice, ToolChoice::Named("weather".into()));
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let picture = json!([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]);
    let cases = [
        (json!({"input": []}), "input: expected a text or at least one item"),
        (json!({"input": 5}), "input: expected a text or a list of items"),
        (json!({"input": picture}), "input[0]: expected parts of the types input_text"),
        (json!({"input": [{"type": "item_reference", "id": "x"}]}), "input[0]: expected an item"),
        (json!({"input": [{"role": "robot", "content": "x"}]}), "input[0]: expected a role"),
        (
            json!({"tools": [{"type": "web_search"}]}),
            "tools[0]: expected a tool of the type function",
        ),
        (json!({"tools": [weather(), weather()]}), "tools: expected functions whose names differ"),
        (json!({"tool_choice": "required"}), "tool_choice: expected auto or none"),
        (json!({"text": {"format": {"type": "json_schema"}}}), "text.format: expected a format"),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity: expected nothing"),
        (json!({"reasoning": {"effort": "high"}}), "reasoning.effort: expected none"),
        (json!({"include": ["file_search_call.results"]}), "include[0]: expected"),
        (json!({"background": true, "store": false}), "background: expected false, because"),
        (json!({"background": "yes"}), "background: expected"),
        (json!({"max_output_tokens": 0}), "max_output_tokens: expected a whole number"),
        (json!({"max_tokens": 5}), "max_tokens: expected nothing"),
        (json!({"conversation": "c"}), "conversation: expected nothing"),
    ];
    for (fields, expected) in cases {
        let refused = parse(fields).expect_err(expected);
        assert!(refused.starts_with(expected), "{refused}");
    }
}

#[test]
fn an_end_says_how_it_was() {
    let asked = parse(json!({})).expect("it is right").asked;
    let usage =
        Usage { prompt_tokens: Some(5), cached_tokens: Some(2), completion_tokens: Some(3) };
    let ended = |reason| {
        let mut response = Response::begun("resp_1".into(), 1, "m".into(), asked.clone());
        response.end(reason, &usage, 2);
        serde_json::to_value(&response).expect("JSON")
    };
    let complete = ended(EndReason::End);
    assert_eq!(
        (&complete["status"], &complete["usage"]["total_tokens"]),
        (&json!("completed"), &json!(8))
    );
    assert_eq!(complete["object"], "response");
    let cut = ended(EndReason::Length);
    assert_eq!(cut["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(ended(EndReason::Stopped)["status"], "cancelled");
}
