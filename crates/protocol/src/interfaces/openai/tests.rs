use super::{ChatRequest, StreamOptions};
use banter_seam::{Function, Message, Role, Structure, ToolCall, ToolChoice, Tools};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(request: &Value) -> Result<ChatRequest, String> {
    ChatRequest::parse(&request.to_string()).map_err(|fault| fault.to_string())
}

/// A request with this field beside a message.
fn with(field: &str, value: Value) -> Value {
    let mut request = json!({"messages": [{"role": "user", "content": "hi"}]});
    request[field] = value;
    request
}

fn read(field: &str, value: Value) -> ChatRequest {
    parse(&with(field, value)).expect("it is right")
}

#[test]
fn the_smallest_request_asks_for_one_answer_as_a_whole() {
    let request = parse(&with("model", json!("any"))).expect("it is right");
    assert_eq!(request.conversation.messages, [Message::user("hi")]);
    assert_eq!((request.model.as_deref(), request.count), (Some("any"), 1));
    assert_eq!((request.stream, request.logprobs, request.structure), (None, None, None));
    assert_eq!(request.parameters.max_tokens, 1_000_000);
    assert_eq!(request.conversation.tools, Tools::default());
}

#[test]
fn seeds_may_be_negative_and_one_limit_is_none() {
    let seed = |seed: i64| read("seed", json!(seed)).parameters.seed;
    assert_eq!((seed(-2), seed(i64::MIN)), (Some(u64::MAX - 1), Some(1 << 63)));
    assert_eq!(read("max_tokens", json!(-1)).parameters.max_tokens, 1_000_000);
    for (field, wrong) in
        [("max_tokens", json!(-2)), ("max_tokens", json!(0)), ("seed", json!(-0.5))]
    {
        assert!(parse(&with(field, wrong.clone())).is_err(), "{field} {wrong}");
    }
}

#[test]
fn every_parameter_is_read() {
    let request = parse(&json!({
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.25,
        "repetition_penalty": 1.5, "top_k": 3, "min_p": 0.125, "presence_penalty": -1,
        "frequency_penalty": 2, "logit_bias": {"5": -100, "11": 2.5}, "seed": 9,
        "stop": ["x", "y"], "n": 3, "logprobs": true, "top_logprobs": 4, "stream": true,
        "stream_options": {"include_usage": true}, "parallel_tool_calls": false,
        "chat_template_kwargs": {"enable_thinking": false},
        "user": "u", "metadata": {"a": "b"}, "store": false, "service_tier": "auto",
        "prompt_cache_key": "k", "safety_identifier": "s", "modalities": ["text"],
    }))
    .expect("it is right");
    let parameters = request.parameters;
    assert_eq!((parameters.max_tokens, parameters.temperature), (7, Some(0.5)));
    assert_eq!((parameters.top_p, parameters.top_k), (Some(0.25), Some(3)));
    assert_eq!((parameters.min_p, parameters.repetition_penalty), (Some(0.125), Some(1.5)));
    assert_eq!(parameters.presence_penalty, Some(-1.0));
    assert_eq!((parameters.frequency_penalty, parameters.seed), (Some(2.0), Some(9)));
    assert_eq!(parameters.stop_strings, ["x", "y"]);
    let mut bias = parameters.logit_bias;
    bias.sort_by_key(|(token, _)| *token);
    assert_eq!(bias, [(5, -100.0), (11, 2.5)]);
    assert_eq!((request.count, request.logprobs), (3, Some(4)));
    assert_eq!(request.stream, Some(StreamOptions { include_usage: true }));
    assert!(request.conversation.tools.one_call);
    assert_eq!(request.conversation.template_options["enable_thinking"], json!(false));
}

#[test]
fn messages_have_every_form_that_clients_send() {
    let request = parse(&json!({"messages": [
        {"role": "developer", "content": "rules"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": null, "refusal": null, "audio": null, "annotations": [],
         "function_call": null,
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "你好"},
    ]}))
    .expect("it is right");
    let messages = request.conversation.messages;
    assert_eq!(messages[0], Message::system("rules"));
    assert_eq!(messages[1], Message::user("ab"));
    let call = ToolCall { id: "c1".into(), name: "f".into(), arguments: r#"{"x":1}"#.into() };
    assert_eq!((&messages[2].tool_calls[..], messages[2].content.as_str()), (&[call][..], ""));
    assert_eq!((messages[3].role, messages[3].tool_call_id.as_deref()), (Role::Tool, Some("c1")));
    assert_eq!(messages[4], Message::assistant("no"));
    assert_eq!(messages[5], Message::user("你好"));
}

#[test]
fn formats_become_structures_whose_fields_keep_their_order() {
    let structure = |format: Value| read("response_format", format).structure;
    assert_eq!(structure(json!({"type": "text"})), None);
    let object = structure(json!({"type": "json_object"}));
    assert_eq!(object, Some(Structure::JsonSchema(r#"{"type":"object"}"#.into())));
    let schema = r#"{"type":"object","properties":{"z":{"minimum":-7},"a":{"maximum":1.5}}}"#;
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","strict":true,"schema":{schema}}}}}}}"#
    );
    let read = ChatRequest::parse(&body).expect("it is right");
    assert_eq!(read.structure, Some(Structure::JsonSchema(schema.into())));
}

#[test]
fn tools_are_read_and_chosen() {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "d",
            "parameters": {"type": "object", "properties": {}}, "strict": true}})
    };
    let mut request = with("tools", json!([tool("one"), tool("two")]));
    let named = json!({"type": "function", "function": {"name": "two"}});
    let choices = [
        (json!("auto"), ToolChoice::Auto),
        (json!("required"), ToolChoice::Required),
        (named, ToolChoice::Named("two".into())),
    ];
    for (choice, expected) in choices {
        request["tool_choice"] = choice;
        let tools = parse(&request).expect("it is right").conversation.tools;
        assert_eq!((tools.choice, tools.one_call), (expected, false));
        let parameters = Some(json!({"type": "object", "properties": {}}));
        let (name, description, strict) = ("two".to_owned(), Some("d".to_owned()), true);
        assert_eq!(tools.functions[1], Function { name, description, parameters, strict });
    }
    request["tool_choice"] = json!("none");
    let none = parse(&request).expect("it is right").conversation.tools;
    assert_eq!(none, Tools::default(), "the model is told of no function");
    let bare = read("tools", json!([{"type": "function", "function": {"name": "f"}}]));
    let function = Function { name: "f".to_owned(), ..Function::default() };
    assert_eq!(bare.conversation.tools.functions, [function]);
}

#[test]
fn an_answer_goes_on_from_its_beginning() {
    let mut request = json!({
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "Once"}],
        "continue_final_message": true, "add_generation_prompt": false,
    });
    assert!(parse(&request).expect("it is right").continues);
    request["add_generation_prompt"] = json!(true);
    let refused = parse(&request).expect_err("both");
    assert!(refused.starts_with("add_generation_prompt: expected false"), "{refused}");
}

/// Every request is refused in these words.
fn assert_refused<const COUNT: usize>(cases: [(Value, &str); COUNT]) {
    for (request, expected) in cases {
        assert_eq!(parse(&request).expect_err(expected), expected);
    }
}

#[test]
fn a_field_that_is_wrong_is_named() {
    assert_refused([
        (json!({}), "messages: expected a list, found null"),
        (json!({"messages": []}), "messages: expected at least one message, found a list of 0"),
        (with("temperature", json!(3)), "temperature: expected a number from 0.0 to 2.0, found 3"),
        (with("n", json!(17)), "n: expected a whole number from 1 to 16, found 17"),
        (
            with("top_logprobs", json!(3)),
            "top_logprobs: expected nothing, because logprobs is not true, found 3",
        ),
        (
            with("logit_bias", json!({"5": 101})),
            "logit_bias.5: expected a number from -100.0 to 100.0, found 101",
        ),
        (
            with("logit_bias", json!({"x": 1})),
            "logit_bias: expected token ids as keys, in decimal digits without zeros before them, found an object",
        ),
        (
            with("stream_options", json!({})),
            "stream_options: expected nothing, because stream is not true, found an object",
        ),
        (
            with("tempreature", json!(1)),
            "tempreature: expected nothing: this server does not know the field, found a value",
        ),
        (
            with("functions", json!([])),
            "functions: expected nothing: this server does not do that, found a list of 0",
        ),
        (
            with("reasoning_effort", json!("high")),
            "reasoning_effort: expected nothing: this server does not do that, found \"high\"",
        ),
        (
            with("continue_final_message", json!(true)),
            "continue_final_message: expected false, because no answer is the last message, found true",
        ),
    ]);
}

#[test]
fn a_wrong_format_or_tool_is_named() {
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    assert_refused([
        (with("modalities", json!(["audio"])), "modalities[0]: expected text, found \"audio\""),
        (
            with("response_format", json!({"type": "xml"})),
            "response_format.type: expected text, json_object or json_schema, found \"xml\"",
        ),
        (
            with("response_format", json!({"type": "json_schema"})),
            "response_format: expected a format with its json_schema, found an object",
        ),
        (
            with("tools", json!([{"type": "custom", "custom": null}])),
            "tools[0]: expected a tool of the type function: this server has no others, found an object",
        ),
        (
            with("tool_choice", json!("required")),
            "tool_choice: expected auto or none, because there are no tools, found \"required\"",
        ),
        (
            with("tools", json!([named("f"), named("f")])),
            "tools: expected functions whose names differ, found a list of 2",
        ),
        (
            with("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
            "tool_choice: expected the name of one of the tools, found an object",
        ),
    ]);
}

#[test]
fn a_wrong_message_is_named() {
    let message = |message: Value| json!({"messages": [{"role": "user", "content": "a"}, message]});
    assert_refused([
        (
            message(json!({"role": "robot", "content": "x"})),
            "messages[1].role: expected system, developer, user, assistant or tool, found \"robot\"",
        ),
        (
            message(json!({"role": "user", "content": 5})),
            "messages[1].content: expected a string or a list of parts, found 5",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]})),
            "messages[1].content[0]: expected a part of the type text: this server reads text only, found an object",
        ),
        (
            message(json!({"role": "tool", "content": "x"})),
            "messages[1].tool_call_id: expected the id of the call, found null",
        ),
        (
            message(
                json!({"role": "user", "content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]}),
            ),
            "messages[1].tool_calls: expected nothing: only an assistant calls, found null",
        ),
    ]);
}

proptest! {
    #[test]
    fn no_body_breaks_the_reader(body in "\\PC{0,200}") {
        drop(ChatRequest::parse(&body));
    }
}

#[test]
fn a_demanded_call_has_no_format_of_its_own() {
    let request = |choice: Value| {
        let body = json!({
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_object"},
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "tool_choice": choice
        });
        ChatRequest::parse(&body.to_string()).expect("it is right").structure
    };
    assert!(request(json!("auto")).is_some() && request(json!("none")).is_some());
    assert!(request(json!("required")).is_none());
    assert!(request(json!({"type": "function", "function": {"name": "f"}})).is_none());
}
