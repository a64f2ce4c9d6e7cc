use super::answer::{CallReport, End};
use super::models::ShowRequest;
use super::{Request, read_chat, read_generate};
use banter_seam::{
    Conversation, EndReason, FinishReason, Finished, Message, Prompt, Role, Structure, Timings,
    ToolCall, Usage,
};
use serde_json::{Value, json};
use std::time::Duration;

fn chat(fields: Value) -> Result<Request, String> {
    read(fields, json!({"messages": [{"role": "user", "content": "hi"}]}), read_chat)
}

fn generate(fields: Value) -> Result<Request, String> {
    read(fields, json!({"prompt": "hi"}), read_generate)
}

fn read(
    fields: Value,
    mut request: Value,
    read: impl FnOnce(&str) -> Result<Request, crate::Fault>,
) -> Result<Request, String> {
    let request_fields = request.as_object_mut().expect("an object");
    request_fields.insert("model".to_owned(), "m".into());
    request_fields.extend(fields.as_object().cloned().expect("an object"));
    read(&request.to_string()).map_err(|fault| fault.to_string())
}

fn conversation(request: Request) -> Conversation {
    match request.prompt {
        Some(Prompt::Conversation(conversation)) => conversation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_says_little_and_means_much() {
    let request = chat(json!({})).expect("it is right");
    assert!(request.is_streamed && request.logprobs.is_none() && request.structure.is_none());
    assert_eq!(request.parameters.max_tokens, 1_000_000);
    let conversation = conversation(request);
    assert_eq!(conversation.messages, [Message::user("hi")]);
    assert!(!conversation.is_whole, "the oldest messages are left out, as in Ollama");
    assert!(self::conversation(chat(json!({"truncate": false})).expect("it is right")).is_whole);
}

#[test]
fn options_have_the_names_of_ollama() {
    let options = json!({
        "num_predict": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1,
        "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 42,
        "stop": ["a", "b"], "num_ctx": 4096, "num_thread": 4, "mirostat": 0, "repeat_last_n": -1,
    });
    let parameters = chat(json!({"options": options})).expect("they are right").parameters;
    assert_eq!((parameters.max_tokens, parameters.top_k, parameters.seed), (7, Some(40), Some(42)));
    assert_eq!((parameters.temperature, parameters.top_p), (Some(0.5), Some(0.9)));
    assert_eq!((parameters.min_p, parameters.repetition_penalty), (Some(0.1), Some(1.1)));
    let penalties = (parameters.presence_penalty, parameters.frequency_penalty);
    assert_eq!((penalties, parameters.stop_strings.len()), ((Some(0.2), Some(0.3)), 2));
    let none = json!({"num_predict": -1, "top_k": -1, "seed": -1});
    let parameters = chat(json!({"options": none})).expect("they are right").parameters;
    assert_eq!((parameters.max_tokens, parameters.top_k, parameters.seed), (1_000_000, None, None));
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let cases = [
        (json!({"options": {"mirostat": 2}}), "options.mirostat: expected 0"),
        (json!({"options": {"temperature": 3}}), "options.temperature: expected a number"),
        (json!({"options": {"num_predict": 1.5}}), "options.num_predict: expected a whole number"),
        (json!({"options": {"speed": 1}}), "options.speed: expected nothing"),
        (json!({"think": "high"}), "think: expected true or false"),
        (json!({"format": "yaml"}), "format: expected json or a JSON schema"),
        (json!({"shift": true}), "shift: expected false"),
        (json!({"top_logprobs": 3}), "top_logprobs: expected nothing, because logprobs"),
        (json!({"images": ["x"]}), "images: expected nothing"),
        (
            json!({"messages": [{"role": "user", "content": "a", "images": ["x"]}]}),
            "messages[0].images[0]: expected nothing",
        ),
        (json!({"messages": [{"role": "robot"}]}), "messages[0].role: expected"),
        (json!({"tools": [{"type": "browser"}]}), "tools[0]: expected a tool"),
    ];
    for (fields, expected) in cases {
        let refused = chat(fields).expect_err(expected);
        assert!(refused.starts_with(expected), "{refused}");
    }
    let cases = [
        (json!({"suffix": "x"}), "suffix: expected nothing"),
        (json!({"template": "x"}), "template: expected nothing"),
        (json!({"context": [1]}), "context[0]: expected nothing"),
        (json!({"raw": true, "system": "x"}), "system: expected nothing, because raw"),
    ];
    for (fields, expected) in cases {
        let refused = generate(fields).expect_err(expected);
        assert!(refused.starts_with(expected), "{refused}");
    }
    let nameless = read_chat("{}").expect_err("no model").to_string();
    assert!(nameless.starts_with("model: expected a string"), "{nameless}");
}

#[test]
fn structures_and_thinking() {
    let any = chat(json!({"format": "json"})).expect("it is right").structure;
    assert_eq!(any, Some(Structure::JsonSchema(r#"{"type":"object"}"#.into())));
    let schema = chat(json!({"format": {"type": "array"}})).expect("it is right").structure;
    assert_eq!(schema, Some(Structure::JsonSchema(r#"{"type":"array"}"#.into())));
    assert_eq!(chat(json!({"format": ""})).expect("it is right").structure, None);
    let thinking = conversation(chat(json!({"think": false})).expect("it is right"));
    assert_eq!(thinking.template_options["enable_thinking"], json!(false));
}

#[test]
fn calls_have_arguments_as_objects() {
    let messages = json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls":
            [{"function": {"name": "weather", "arguments": {"town": "Ulm", "days": 2}}}]},
        {"role": "tool", "content": "rain", "tool_name": "weather"},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "weather"}}]);
    let conversation = chat(json!({"messages": messages, "tools": tools})).map(conversation);
    let conversation = conversation.expect("it is right");
    let call = &conversation.messages[1].tool_calls[0];
    assert_eq!(
        (call.name.as_str(), call.arguments.as_str()),
        ("weather", r#"{"town":"Ulm","days":2}"#)
    );
    assert_eq!(conversation.messages[2].role, Role::Tool);
    assert_eq!(conversation.tools.functions[0].name, "weather");

    let call = |arguments: &str| {
        let (id, name) = ("c".to_owned(), "weather".to_owned());
        CallReport::of(ToolCall { id, name, arguments: arguments.to_owned() }, 1)
    };
    let told = serde_json::to_value(call(r#"{"b":1,"a":2}"#).expect("an object")).expect("JSON");
    let function = json!({"index": 1, "name": "weather", "arguments": {"b": 1, "a": 2}});
    assert_eq!(told, json!({"id": "c", "function": function}));
    assert_eq!(call(r#"{"b":"#), Err(r#"{"b":"#.to_owned()), "it was cut off");
}

#[test]
fn a_prompt_becomes_a_conversation_unless_it_is_raw() {
    let ruled = conversation(generate(json!({"system": "be brief"})).expect("it is right"));
    assert_eq!(ruled.messages, [Message::system("be brief"), Message::user("hi")]);
    assert!(ruled.is_whole);
    let raw = generate(json!({"raw": true})).expect("it is right").prompt;
    assert_eq!(raw, Some(Prompt::Text("hi".to_owned())));
    assert_eq!(generate(json!({"prompt": ""})).expect("it only loads").prompt, None);
    assert_eq!(chat(json!({"messages": []})).expect("it only loads").prompt, None);
}

#[test]
fn times_are_told_in_nanoseconds() {
    let finished = Finished {
        reason: FinishReason::Ended(EndReason::Length),
        stop_string: None,
        usage: Usage {
            prompt_tokens: Some(5),
            cached_tokens: Some(4),
            completion_tokens: Some(11),
        },
        timings: Timings {
            first_token_ms: Some(250.0),
            tokens_per_second: Some(5.0),
            halt_ms: None,
        },
    };
    let end = End::of(EndReason::Length, &finished, Duration::from_millis(2_300));
    assert_eq!((end.done_reason, end.prompt_eval_count, end.eval_count), ("length", 5, 11));
    let durations = (end.total_duration, end.prompt_eval_duration, end.eval_duration);
    assert_eq!(durations, (2_300_000_000, 250_000_000, 2_000_000_000));
}

#[test]
fn a_model_is_asked_for_by_either_name() {
    for body in [r#"{"model": "m", "verbose": true}"#, r#"{"name": "m"}"#] {
        assert_eq!(ShowRequest::parse(body).expect("it is right").model, "m");
    }
    let nameless = ShowRequest::parse("{}").expect_err("no name").to_string();
    assert!(nameless.starts_with("model: expected the name of a model"), "{nameless}");
}
