//! What a client asks for beside words and parameters: functions, structures, log-probabilities,
//! texts without a conversation, vectors.

use banter_remote::engine::{EngineError, Kind, RemoteEngine, Step};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_seam::{
    Asker, Conversation, EmbedRequest, EndReason, Function, GenerateRequest, Message, Pooling,
    Prompt, Role, Structure, TextInput, ToolCall, ToolChoice, Tools,
};
use serde_json::{Value, json};

use super::{ask, begun, find, next, refused, say, whole};

/// A request with a conversation that is changed.
fn with(change: impl FnOnce(&mut Conversation)) -> GenerateRequest {
    let messages = vec![Message::user("x")];
    let mut conversation = Conversation { messages, ..Conversation::default() };
    change(&mut conversation);
    GenerateRequest { prompt: Prompt::Conversation(conversation), ..say("x") }
}

fn tools() -> Tools {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let weather = Function {
        name: "weather".into(),
        description: Some("of a city".into()),
        parameters: Some(parameters),
        strict: true,
    };
    let time = Function { name: "time".into(), ..Function::default() };
    Tools { functions: vec![weather, time], ..Tools::default() }
}

fn with_tools(change: impl FnOnce(&mut Tools)) -> GenerateRequest {
    let mut tools = tools();
    change(&mut tools);
    with(|it| it.tools = tools)
}

/// The fields that the engine gets, beside those of every request.
async fn sent(kind: Kind, request: &GenerateRequest) -> Value {
    let fake = FakeEngine::start(kind);
    let engine = find(&fake).await;
    // What it answers does not matter.
    drop(begun(&engine, request).await);
    let mut body = fake.take_requests().pop().expect("a request").body;
    let fields = body.as_object_mut().expect("an object");
    let usual = ["messages", "prompt", "model", "stream", "stream_options", "max_tokens"];
    let of_kinds = ["cache_salt", "repeat_last_n", "repeat_penalty", "temperature", "top_p"];
    for field in usual.into_iter().chain(of_kinds).chain(["top_k", "min_p"]) {
        fields.remove(field);
    }
    body
}

#[tokio::test]
async fn each_part_of_a_request_has_its_field() {
    let function = json!({"name": "weather", "description": "of a city", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let functions = json!([{"type": "function", "function": function},
                           {"type": "function", "function": {"name": "time"}}]);
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#;
    let parsed: Value = serde_json::from_str(schema).expect("JSON");
    let structured = |schema: &str| GenerateRequest {
        structure: Some(Structure::JsonSchema(schema.to_owned())),
        ..say("x")
    };
    let mut biased = say("x");
    biased.parameters.logit_bias = vec![(1, 0.1), (2, -100.0)];
    let named = json!({"type": "function", "function": {"name": "time"}});
    let cases = [
        (Kind::Ollama, with_tools(|_| {}), json!({ "tools": functions })),
        (
            Kind::OpenAi,
            with_tools(|it| it.choice = ToolChoice::Required),
            json!({"tools": functions, "tool_choice": "required"}),
        ),
        (
            Kind::Vllm,
            with_tools(|it| (it.choice, it.one_call) = (ToolChoice::Named("time".into()), true)),
            json!({"tools": functions, "tool_choice": named, "parallel_tool_calls": false}),
        ),
        (
            Kind::LlamaServer,
            with_tools(|it| it.choice = ToolChoice::Named("time".into())),
            json!({"tools": [functions[1]], "tool_choice": "required"}),
        ),
        (
            Kind::SgLang,
            with(|it| drop(it.template_options.insert("enable_thinking".into(), json!(false)))),
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
        ),
        (
            Kind::OpenAi,
            structured(schema),
            json!({"response_format": {"type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": parsed}}}),
        ),
        (
            Kind::OpenAi,
            structured(r#"{"type": "object"}"#),
            json!({"response_format": {"type": "json_object"}}),
        ),
        (Kind::OpenAi, biased, json!({"logit_bias": {"1": 0.1, "2": -100.0}})),
        (
            Kind::OpenAi,
            GenerateRequest { logprobs: Some(0), ..say("x") },
            json!({"logprobs": true, "top_logprobs": 1}),
        ),
        (
            Kind::OpenAi,
            GenerateRequest {
                logprobs: Some(3),
                ..GenerateRequest::new(
                    Prompt::Text("x".into()),
                    say("x").parameters,
                    Asker::default(),
                )
            },
            json!({"logprobs": 3}),
        ),
    ];
    for (kind, request, expected) in cases {
        assert_eq!(sent(kind, &request).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn a_conversation_is_passed_on_with_its_calls_and_thoughts() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let calls = vec![ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() }];
    let thinking = Some("hm".into());
    let answer = Message { tool_calls: calls, thinking, ..Message::assistant("") };
    // It belongs to the call, though it does not say so.
    let result = Message::new(Role::Tool, "1");
    let messages = vec![Message::user("x"), answer, result];
    let request = GenerateRequest { prompt: messages.into(), ..say("x") };
    assert_eq!(whole(begun(&engine, &request).await).await.1, Ok(EndReason::End));
    let function = json!({"name": "f", "arguments": "{}"});
    let expected = json!([
        {"role": "user", "content": "x"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c", "type": "function", "function": function}]
        },
        {"role": "tool", "content": "1", "tool_call_id": "c"}
    ]);
    assert_eq!(fake.wait_for("/v1/chat/completions").body["messages"], expected);
}

#[tokio::test]
async fn what_an_engine_does_not_have_is_refused_by_its_name() {
    let option = |it: &mut Conversation| drop(it.template_options.insert("a".into(), json!(1)));
    let prompt = |prompt| GenerateRequest { prompt, ..say("x") };
    let mut biased = say("x");
    biased.parameters.logit_bias = vec![(1, 1.0)];
    let schema = Structure::JsonSchema("{}".into());
    let cases = [
        (Kind::LlamaCppPython, "tools", with_tools(|_| {})),
        (Kind::Ollama, "tool_choice", with_tools(|it| it.choice = ToolChoice::Required)),
        (Kind::Transformers, "tool_choice", with_tools(|it| it.choice = ToolChoice::Required)),
        (Kind::OpenAi, "chat_template_kwargs", with(option)),
        (
            Kind::Transformers,
            "response_format",
            GenerateRequest { structure: Some(schema), ..say("x") },
        ),
        (
            Kind::Vllm,
            "response_format",
            GenerateRequest { structure: Some(Structure::Regex("a".into())), ..say("x") },
        ),
        (Kind::Transformers, "logprobs", GenerateRequest { logprobs: Some(0), ..say("x") }),
        (Kind::Ollama, "logit_bias", biased),
        (Kind::Transformers, "prompt", prompt(Prompt::Text("x".into()))),
        (Kind::Ollama, "prompt", prompt(Prompt::Tokens(vec![1]))),
    ];
    for (kind, expected, request) in cases {
        let engine = find(&FakeEngine::start(kind)).await;
        match refused(&engine, &request).await {
            EngineError::Parameter { field, .. } => assert_eq!(field, expected, "{kind}"),
            other => panic!("{kind}: {expected}: {other}"),
        }
    }
}

/// What came of an answer: its text, its calls, and how it ended.
async fn came(engine: &RemoteEngine, request: &GenerateRequest) -> (String, String) {
    let mut answer = begun(engine, request).await;
    let mut said = String::new();
    loop {
        match next(&mut answer).await.expect("the end comes before nothing does") {
            Step::Alive => {}
            Step::Thinking(piece) => said += &format!("<{piece}>"),
            Step::Delta { text, logprobs } => {
                said += &text;
                for at in logprobs {
                    let bytes = String::from_utf8_lossy(&at.chosen.bytes).into_owned();
                    said += &format!("[{bytes}{} of {}]", at.chosen.logprob, at.top.len());
                }
            }
            Step::Call { id, name } => said += &format!(" {id}:{name}"),
            Step::Arguments(piece) => said += &piece,
            Step::End(end) => {
                let reason = end.reason.map(|reason| reason.name().to_owned());
                return (said, reason.unwrap_or_else(|error| format!("{error:?}")));
            }
        }
    }
}

fn event(choice: &Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [choice] }))
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> String {
    let function = json!({"name": name, "arguments": arguments});
    event(&json!({"delta": {"tool_calls": [{"index": index, "id": id, "function": function}]}}))
}

fn finish(reason: &str) -> String {
    event(&json!({"delta": {}, "finish_reason": reason})) + "data: [DONE]\n\n"
}

#[tokio::test]
async fn calls_come_with_thoughts_and_words_before_them() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let thought = event(&json!({"delta": {"reasoning_content": "hm"}}));
    let answer = [
        thought,
        EngineTrick::piece("I look."),
        call(0, "a", "weather", ""),
        call(0, "", "", r#"{"city""#),
        call(0, "", "", r#":"x"}"#),
        call(1, "b", "time", ""),
    ];
    let expected = r#"<hm>I look. a:weather{"city":"x"} b:time{}"#;
    for reason in ["tool_calls", "stop"] {
        fake.play([EngineTrick::stream(answer.clone().into_iter().chain([finish(reason)]))]);
        let came = came(&engine, &with_tools(|_| {})).await;
        assert_eq!(came, (expected.to_owned(), "end".to_owned()), "{reason}");
    }
    // A whole message, as engines write it that do not stream calls.
    let calls = json!([{"id": "a", "function": {"name": "time", "arguments": "{}"}}]);
    let message = json!({"message": {"content": null, "tool_calls": calls}});
    let body = json!({"choices": [message]}).to_string();
    fake.play([EngineTrick::body(Some("application/json"), body)]);
    let whole = came(&engine, &with_tools(|_| {})).await;
    assert_eq!(whole, (" a:time{}".to_owned(), "end".to_owned()));
}

#[tokio::test]
async fn the_stop_string_that_has_ended_an_answer_is_told() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let asked = ask(&json!({"message": "x", "stop": ["END", "6"]}));
    for (field, said, expected) in [
        ("stop_reason", json!("END"), "stop_string"),
        ("matched_stop", json!("END"), "stop_string"),
        // The number of a token, and words for something else.
        ("stop_reason", json!(6), "end"),
        ("stop_reason", json!("eos"), "end"),
        ("matched_stop", Value::Null, "end"),
    ] {
        let end = event(&json!({"delta": {}, "finish_reason": "stop", field: said}));
        fake.play([EngineTrick::stream([EngineTrick::piece("a"), end])]);
        assert_eq!(came(&engine, &asked).await, ("a".to_owned(), expected.to_owned()), "{said}");
    }
}

#[tokio::test]
async fn one_call_is_one_call_whatever_the_engine_writes() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    fake.play([EngineTrick::hang_after([call(0, "a", "time", "{}"), call(1, "b", "time", "{}")])]);
    let one = with_tools(|it| it.one_call = true);
    assert_eq!(came(&engine, &one).await, (" a:time{}".to_owned(), "end".to_owned()));
}

#[tokio::test]
async fn a_call_that_must_be_made_and_is_not_is_told() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    for choice in [ToolChoice::Required, ToolChoice::Named("time".into())] {
        fake.play([EngineTrick::stream([EngineTrick::piece("words"), finish("stop")])]);
        let (said, reason) = came(&engine, &with_tools(|it| it.choice = choice)).await;
        assert_eq!(said, "words");
        assert!(reason.contains("has called no function"), "{reason}");
    }
}

#[tokio::test]
async fn calls_that_cannot_be_told_end_the_answer() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let cases = [
        ([call(0, "a", "time", "{"), call(1, "b", "time", "{}"), call(0, "", "", "}")], true),
        // Nobody has offered a function.
        ([call(0, "a", "time", "{}"), String::new(), finish("tool_calls")], false),
    ];
    for (answer, has_tools) in cases {
        fake.play([EngineTrick::stream(answer)]);
        let request = if has_tools { with_tools(|_| {}) } else { say("x") };
        let (_, reason) = came(&engine, &request).await;
        let expected = if has_tools { "Unexpected" } else { "Failed" };
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test]
async fn log_probabilities_come_with_their_tokens_or_the_answer_fails() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let top = json!([{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]);
    let content = json!([{"token": "a", "logprob": -0.5, "top_logprobs": top}]);
    let piece =
        |text: &str| event(&json!({"delta": {"content": text}, "logprobs": {"content": content}}));
    let wanted = |likeliest| GenerateRequest { logprobs: Some(likeliest), ..say("x") };
    for (likeliest, expected) in
        [(0, "a[a-0.5 of 0][a-0.5 of 0]"), (1, "a[a-0.5 of 1][a-0.5 of 1]")]
    {
        // The text of the second token is held back.
        fake.play([EngineTrick::stream([piece("a"), piece(""), finish("stop")])]);
        let came = came(&engine, &wanted(likeliest)).await;
        assert_eq!(came, (expected.to_owned(), "end".to_owned()));
    }
    // Nobody has asked for them.
    fake.play([EngineTrick::stream([piece("a"), finish("stop")])]);
    assert_eq!(came(&engine, &say("x")).await, ("a".to_owned(), "end".to_owned()));
    fake.play([EngineTrick::stream([EngineTrick::piece("a"), finish("stop")])]);
    let (_, reason) = came(&engine, &wanted(1)).await;
    assert!(reason.contains("no log-probabilities"), "{reason}");
}

#[tokio::test]
async fn a_request_that_is_exact_is_never_answered_without_a_parameter() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let words = r#"{"error":{"message":"Unsupported parameter: 'seed'","param":"seed"}}"#;
    let lax = ask(&json!({"message": "hello", "seed": 7}));
    let exact = GenerateRequest { is_exact: true, ..lax.clone() };
    fake.play([EngineTrick::Status(400, "", words)]);
    match refused(&engine, &exact).await {
        EngineError::Parameter { field: "seed", expected, .. } => {
            assert!(expected.contains("Unsupported parameter"), "{expected}");
        }
        other => panic!("{other}"),
    }
    fake.play([EngineTrick::Status(400, "", words)]);
    assert_eq!(whole(begun(&engine, &lax).await).await.0, "hello");
    fake.take_requests();
    // What it has refused before is not sent again.
    assert!(matches!(refused(&engine, &exact).await, EngineError::Parameter { field: "seed", .. }));
    assert!(fake.take_requests().is_empty());
    let without = GenerateRequest { is_exact: true, ..say("hello") };
    assert_eq!(whole(begun(&engine, &without).await).await.0, "hello");
}

#[tokio::test]
async fn what_is_passed_on_is_never_left_out() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let words = r#"{"error":{"message":"unknown field tools","param":"tools"}}"#;
    fake.play([EngineTrick::Status(400, "", words)]);
    let refusal = refused(&engine, &with_tools(|_| {})).await;
    assert!(matches!(refusal, EngineError::Parameter { field: "tools", .. }), "{refusal}");
    // A refusal that names nothing: only what nobody has asked for goes.
    fake.play(std::iter::repeat_n(EngineTrick::Status(400, "", "no"), 2));
    refused(&engine, &with_tools(|_| {})).await;
    let requests = fake.take_requests().into_iter().map(|request| request.body);
    let asked: Vec<Value> = requests.filter(|body| body.get("messages").is_some()).collect();
    assert!(asked.iter().all(|body| body.get("tools").is_some()), "{asked:?}");
}

#[tokio::test]
async fn a_conversation_that_must_be_whole_is_refused_if_it_does_not_fit() {
    for kind in [Kind::Vllm, Kind::SgLang] {
        let fake = FakeEngine::with_context(kind, 300);
        let engine = find(&fake).await;
        let words = "many words ".repeat(100);
        let messages = vec![Message::user(words), Message::assistant("y"), Message::user("x")];
        let conversation = Conversation { messages, is_whole: true, ..Conversation::default() };
        let mut request = GenerateRequest { prompt: conversation.into(), ..say("x") };
        let refusal = refused(&engine, &request).await;
        assert!(matches!(refusal, EngineError::TooLong { .. }), "{kind}: {refusal}");
        if let Prompt::Conversation(conversation) = &mut request.prompt {
            conversation.is_whole = false;
        }
        assert_eq!(begun(&engine, &request).await.dropped_messages(), 2, "{kind}");
    }
}

#[tokio::test]
async fn functions_are_counted_with_the_messages() {
    let fake = FakeEngine::with_context(Kind::Vllm, 300);
    let engine = find(&fake).await;
    drop(begun(&engine, &with_tools(|_| {})).await);
    let counted = fake.wait_for("/tokenize").body;
    assert_eq!(counted["tools"][1]["function"]["name"], "time");
}

#[tokio::test]
async fn a_text_without_a_conversation_is_gone_on_with() {
    let fake = FakeEngine::start(Kind::LlamaServer);
    let engine = find(&fake).await;
    let request = GenerateRequest { prompt: Prompt::Text("one two".into()), ..say("x") };
    let answer = whole(begun(&engine, &request).await).await;
    assert_eq!(answer, ("one two".to_owned(), Ok(EndReason::End)));
    let sent = fake.wait_for("/v1/completions").body;
    assert_eq!((&sent["prompt"], sent.get("messages")), (&json!("one two"), None));
    fake.take_requests();
    let request = GenerateRequest { prompt: Prompt::Tokens(vec![5, 6]), ..say("x") };
    drop(begun(&engine, &request).await);
    assert_eq!(fake.wait_for("/v1/completions").body["prompt"], json!([5, 6]));
}

fn texts(texts: &[&str]) -> EmbedRequest {
    EmbedRequest {
        inputs: texts.iter().map(|text| TextInput::Text((*text).to_owned())).collect(),
        pooling: None,
        truncates: true,
        asker: Asker::default(),
    }
}

#[tokio::test]
async fn texts_become_vectors_in_their_order_and_of_the_length_one() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let embedded = engine.embed(&texts(&["four", "", "four"])).await.expect("vectors");
    assert_eq!(embedded.vectors, [[0.6, 0.8], [1.0, 0.0], [0.6, 0.8]]);
    assert_eq!(embedded.tokens, 8);
    let sent = fake.wait_for("/v1/embeddings").body;
    assert_eq!(sent["model"], "fakes/Fake-1B");
    assert_eq!(sent["truncate_prompt_tokens"], -1);
    // More than are sent at once.
    let many: Vec<String> = (0..130).map(|length| "x".repeat(length)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let vectors = engine.embed(&texts(&many)).await.expect("vectors").vectors;
    let slope = |vector: &Vec<f32>| (f64::from(vector[1] / vector[0]) * 3.0).round() as usize;
    assert_eq!(vectors.iter().map(slope).collect::<Vec<_>>(), (0..130).collect::<Vec<_>>());
}

#[tokio::test]
async fn vectors_that_fit_no_text_are_no_answer() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let bodies = [
        json!({"data": []}),
        json!({"data": [{"embedding": []}, {"embedding": [1]}]}),
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}),
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}),
        json!({"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}),
        json!({"vectors": []}),
    ];
    for body in bodies {
        fake.set_page("/v1/embeddings", 200, &body.to_string());
        let error = engine.embed(&texts(&["a", "b"])).await.expect_err("no vectors");
        assert!(matches!(error, EngineError::Unexpected(_)), "{body}: {error}");
    }
    fake.break_page("/v1/embeddings", 501);
    let error = engine.embed(&texts(&["a"])).await.expect_err("no vectors");
    assert!(matches!(error, EngineError::Status { status: 501, .. }), "{error}");
    let chosen = EmbedRequest { pooling: Some(Pooling::Last), ..texts(&["a"]) };
    let error = engine.embed(&chosen).await.expect_err("it cannot be chosen");
    assert!(matches!(error, EngineError::Parameter { field: "pooling", .. }), "{error}");
}
