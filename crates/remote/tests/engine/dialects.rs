//! Requests in the form that an engine takes, and engines behind gateways and routers.

use std::time::Duration;

use banter_remote::engine::{EngineError, EngineSettings, Kind, RemoteEngine};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_seam::Tenant;
use serde_json::{Value, json};

use super::{answered, ask, begun, find, later, refused, say, settings, whole};

/// The bodies of the requests for answers since the last call.
fn sent(fake: &FakeEngine) -> Vec<Value> {
    let requests = fake.take_requests().into_iter();
    let chats = requests.filter(|request| request.line.ends_with("/chat/completions"));
    chats.map(|request| request.body).collect()
}

#[tokio::test]
async fn what_an_engine_refuses_is_left_out_once_it_has_said_so() {
    let cases = [
        (
            422,
            r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
        ),
        (400, r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#),
        (400, r#"{"error":{"message":"include_usage is not supported"}}"#),
        (400, "{}"),
        (422, "unprocessable"),
    ];
    for (status, words) in cases {
        let fake = FakeEngine::start(Kind::OpenAi);
        let engine = find(&fake).await;
        fake.play([EngineTrick::Status(status, "", words)]);
        for _ in 0..2 {
            assert_eq!(answered(&engine, "hello").await.0, "hello", "{words}");
        }
        let has_options: Vec<bool> =
            sent(&fake).iter().map(|body| body.get("stream_options").is_some()).collect();
        assert_eq!(has_options, [true, false, false], "{words}");
    }
}

#[tokio::test]
async fn a_parameter_that_an_engine_refuses_is_left_out_once_it_has_said_so() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let words = r#"{"error":{"message":"Unsupported parameter: 'presence_penalty'","param":"presence_penalty"}}"#;
    fake.play([EngineTrick::Status(400, "", words)]);
    let asked = ask(&json!({"message": "hello", "presence_penalty": 0.5, "seed": 7}));
    for _ in 0..2 {
        assert_eq!(whole(begun(&engine, &asked).await).await.0, "hello");
    }
    let sent = sent(&fake);
    let penalties: Vec<bool> =
        sent.iter().map(|body| body.get("presence_penalty").is_some()).collect();
    assert_eq!(penalties, [true, false, false]);
    assert!(sent.iter().all(|body| body["seed"] == 7 && body.get("stream_options").is_some()));
}

#[tokio::test]
async fn a_value_that_an_engine_does_not_take_is_told_with_its_words() {
    let fake = FakeEngine::start(Kind::LlamaServer);
    let engine = find(&fake).await;
    let words = r#"{"error":{"message":"repeat_penalty must be between 1 and 1.5"}}"#;
    fake.play([EngineTrick::Status(400, "", words)]);
    let asked = ask(&json!({"message": "hello", "repetition_penalty": 1.9}));
    match refused(&engine, &asked).await {
        EngineError::Parameter { field: "repetition_penalty", expected, found } => {
            assert!(expected.contains("between 1 and 1.5"), "{expected}");
            assert_eq!(found, "1.9");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_limit_of_an_answer_has_the_name_and_the_size_that_the_engine_takes() {
    let cases = [
        (
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}}"#,
            ["max_tokens 2048", "max_completion_tokens 2048", "max_completion_tokens 2048"],
        ),
        (
            r#"{"error":{"message":"max_tokens is too large: 2048. This model supports at most 1024 completion tokens"}}"#,
            ["max_tokens 2048", "max_tokens 1024", "max_tokens 1024"],
        ),
    ];
    for (words, expected) in cases {
        let fake = FakeEngine::start(Kind::OpenAi);
        let engine = find(&fake).await;
        fake.play([EngineTrick::Status(400, "", words)]);
        for _ in 0..2 {
            assert_eq!(answered(&engine, "hello").await.0, "hello", "{words}");
        }
        let limit = |body: &Value| {
            let names = ["max_tokens", "max_completion_tokens"];
            let there =
                names.iter().filter_map(|name| Some(format!("{name} {}", body.get(*name)?)));
            there.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(sent(&fake).iter().map(limit).collect::<Vec<_>>(), expected, "{words}");
    }
}

#[tokio::test]
async fn a_refusal_that_no_form_mends_teaches_nothing() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    // The words repeat a message that names fields.
    let words = r#"{"error":"unsupported: stream_options, temperature, seed"}"#;
    fake.play(vec![EngineTrick::Status(400, "", words); 4]);
    let asked = ask(&json!({"message": "poison", "temperature": 0.5, "seed": 7}));
    assert!(matches!(refused(&engine, &asked).await, EngineError::Status { status: 400, .. }));
    sent(&fake);
    assert_eq!(whole(begun(&engine, &asked).await).await.0, "poison");
    let body = &sent(&fake)[0];
    assert!(body.get("stream_options").is_some() && body["seed"] == 7, "{body}");
}

#[tokio::test]
async fn a_key_that_the_engine_repeats_is_not_repeated_here() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let with_key = EngineSettings { key: Some("sesame".to_owned()), ..settings(&fake.url()) };
    let engine = RemoteEngine::find(&with_key).await.expect("it is found");
    fake.play([EngineTrick::Status(401, "", "no such key: sesame")]);
    let error = refused(&engine, &say("x")).await;
    assert_eq!(error.words(), Some("no such key: [key]"));
}

#[tokio::test]
async fn tenants_have_salts_of_their_own_where_the_engine_knows_them() {
    for kind in [Kind::Vllm, Kind::SgLang] {
        let fake = FakeEngine::start(kind);
        let engine = find(&fake).await;
        for tenant in [1, 2, 1] {
            let mut request = say("x");
            request.asker.tenant = Tenant(tenant);
            let answer = engine.ask(&request).await.expect("an answer begins");
            whole(answer).await.1.expect("a good end");
        }
        let salts: Vec<String> =
            sent(&fake).iter().map(|body| body["cache_salt"].to_string()).collect();
        assert!(salts[0] == salts[2] && salts[0] != salts[1], "{salts:?}");
        assert!(salts.iter().all(|salt| salt.len() == 43 + 2), "{salts:?}");
        // Another start has other salts: nobody can work them out.
        whole(begun(&find(&fake).await, &say("x")).await).await.1.expect("a good end");
        assert!(!salts.contains(&sent(&fake)[0]["cache_salt"].to_string()));
    }
    let fake = FakeEngine::start(Kind::LlamaServer);
    whole(begun(&find(&fake).await, &say("x")).await).await.1.expect("a good end");
    assert!(sent(&fake)[0].get("cache_salt").is_none());
}

#[tokio::test]
async fn an_engine_without_a_list_of_models_works_if_its_model_is_named() {
    for status in [403_u16, 404, 405, 501] {
        let fake = FakeEngine::start(Kind::OpenAi);
        fake.break_page("/v1/models", status);
        fake.break_page("/models", status);
        let named = EngineSettings { model: Some("m".to_owned()), ..settings(&fake.url()) };
        let engine = match (RemoteEngine::find(&named).await, status) {
            // Without the key nothing would work.
            (Err(EngineError::NotAllowed { .. }), 403) => continue,
            (engine, _) => engine.expect("its model is named"),
        };
        assert_eq!((engine.about().kind, &*engine.about().model), (Kind::OpenAi, "m"));
        assert_eq!(answered(&engine, "hello").await.0, "hello", "{status}");
        engine.probe().await.expect("it answers, so it lives");
        let error = RemoteEngine::find(&settings(&fake.url())).await.err().expect("it has no name");
        let asked = format!("it answered GET /v1/models with status {status}");
        assert_eq!(error.to_string(), asked);
    }
    for list in ["7", "<html>", r#"{"object": "list", "data": null}"#] {
        let fake = FakeEngine::start(Kind::OpenAi);
        fake.set_page("/v1/models", 200, list);
        let named = EngineSettings { model: Some("m".to_owned()), ..settings(&fake.url()) };
        let engine = RemoteEngine::find(&named).await.expect("its model is named");
        assert_eq!(answered(&engine, "hello").await.0, "hello", "{list}");
    }
}

#[tokio::test]
async fn pasted_addresses_lead_to_the_interface() {
    let fake = FakeEngine::start(Kind::OpenAi);
    for pasted in ["", "/", "/v1/", "/v1/chat/completions", "/v1/models", "/docs", "/api/chat"] {
        let engine = RemoteEngine::find(&settings(&format!("{}{pasted}", fake.url()))).await;
        let engine = engine.unwrap_or_else(|error| panic!("{pasted}: {error}"));
        assert_eq!(answered(&engine, "hello").await.0, "hello", "{pasted}");
    }
    // Engines have interfaces of other versions, and below no version at all.
    let listed = r#"{"data": [{"id": "m"}]}"#;
    for (base, pasted) in [("/api/v3", "/api/v3/chat/completions"), ("/compatible", "/compatible")]
    {
        let fake = FakeEngine::start(Kind::OpenAi);
        fake.set_page(&format!("{base}/models"), 200, listed);
        let engine = RemoteEngine::find(&settings(&format!("{}{pasted}", fake.url()))).await;
        let engine = engine.unwrap_or_else(|error| panic!("{pasted}: {error}"));
        match refused(&engine, &say("hello")).await {
            EngineError::Status { asked, status: 404, .. } => {
                assert_eq!(asked, format!("POST {base}/chat/completions"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_gateway_that_lets_only_the_interface_through_is_no_obstacle() {
    for status in [401_u16, 403, 404, 405, 501] {
        let fake = FakeEngine::with_context(Kind::Vllm, 512);
        fake.break_page("/tokenize", status);
        fake.break_page("/health", status);
        let engine = find(&fake).await;
        assert_eq!(engine.about().context_tokens, Some(512));
        // An answer as long as the context would be refused.
        assert_eq!(answered(&engine, "hello").await.0, "hello", "{status}");
        assert!(sent(&fake)[0]["max_tokens"].as_u64() < Some(512), "{status}");
        assert_eq!(engine.tokenize("four").await, Ok(None), "{status}");
        assert_eq!(engine.fit(say("four").prompt.messages(), 50).await, Ok(None), "{status}");
        engine.probe().await.expect("its list of models answers");
        fake.break_page("/v1/models", 500);
        engine.probe().await.expect_err("its list of models fails");
    }
}

#[tokio::test]
async fn an_engine_that_could_not_count_is_asked_again_later() {
    let fake = FakeEngine::with_context(Kind::Vllm, 512);
    let engine = find(&fake).await;
    for (status, page) in [(404, "{}"), (200, "<html>starting</html>")] {
        fake.set_page("/tokenize", status, page);
        assert_eq!(engine.tokenize("four").await, Ok(None));
        fake.break_page("/tokenize", 200);
        assert!(!engine.counts_tokens(), "it is not asked at every request");
        later(Duration::from_secs(61)).await;
        assert!(engine.counts_tokens());
        assert!(engine.tokenize("four").await.expect("it counts").is_some());
    }
}

#[tokio::test]
async fn a_long_text_is_counted_by_an_engine_that_lists_all_its_tokens() {
    let fake = FakeEngine::with_context(Kind::Vllm, 512);
    let engine = find(&fake).await;
    let ids = vec![123_456; 2 << 20];
    fake.set_page("/tokenize", 200, &json!({"tokens": ids}).to_string());
    let counted = engine.tokenize(&"x".repeat(2 << 20)).await.expect("it counts");
    assert_eq!(counted.map(|ids| ids.len()), Some(2 << 20));
}

#[tokio::test]
async fn counting_that_fails_once_fails_no_answer() {
    let fake = FakeEngine::start(Kind::LlamaServer);
    let engine = find(&fake).await;
    fake.break_page("/apply-template", 500);
    let long = "word ".repeat(500);
    assert_eq!(answered(&engine, &long).await.0, long);
    engine.tokenize("four").await.expect("it counts").expect("it can");
}

#[tokio::test]
async fn a_router_is_told_the_model_everywhere() {
    let fake = FakeEngine::start(Kind::LlamaServer);
    let list =
        r#"{"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 512}}, {"id": "n"}]}"#;
    fake.set_page("/v1/models", 200, list);
    let unloaded = r#"{"role": "router", "default_generation_settings": {"n_ctx": 0}}"#;
    fake.set_page("/props", 200, unloaded);
    fake.break_page("/props?model=m", 400);
    let named = EngineSettings { model: Some("m".to_owned()), ..settings(&fake.url()) };
    let engine = RemoteEngine::find(&named).await.expect("the model is there");
    assert_eq!(engine.about().context_tokens, Some(512));
    fake.take_requests();
    engine.tokenize("four").await.expect("it counts").expect("it can");
    engine
        .fit(say(&"x".repeat(400)).prompt.messages(), 50)
        .await
        .expect("it counts")
        .expect("it can");
    answered(&engine, "hello").await.1.expect("a good end");
    for request in fake.take_requests() {
        assert_eq!(request.body["model"], "m", "{}", request.line);
    }
    // One that is asked for by name says more.
    fake.set_page("/props?model=m", 200, r#"{"default_generation_settings": {"n_ctx": 256}}"#);
    let engine = RemoteEngine::find(&named).await.expect("the model is there");
    assert_eq!(engine.about().context_tokens, Some(256));
    for status in [400, 404, 500] {
        fake.break_page("/props", status);
        fake.break_page("/props?model=m", status);
        let engine = RemoteEngine::find(&named).await.expect("properties are not needed");
        assert_eq!(engine.about().context_tokens, Some(512), "{status}");
    }
}

#[tokio::test]
async fn the_context_of_ollama_is_asked_for_and_kept_to() {
    let fake = FakeEngine::start(Kind::Ollama);
    fake.set_page("/api/show", 200, r#"{"parameters": "stop \"x\"\nnum_ctx    2048\n"}"#);
    assert_eq!(find(&fake).await.about().context_tokens, Some(2_048));
    let running = r#"{"models": [{"name": "fakes/Fake-1B", "context_length": 512}]}"#;
    fake.set_page("/api/ps", 200, running);
    let engine = find(&fake).await;
    assert_eq!(engine.about().context_tokens, Some(512));
    let history = json!([{"role": "user", "content": "many words ".repeat(300)},
                         {"role": "assistant", "content": "well"}]);
    let answer = begun(&engine, &ask(&json!({"message": "and now?", "history": history}))).await;
    assert_eq!((answer.dropped_messages(), &*whole(answer).await.0), (2, "and now?"));
    let error = refused(&engine, &say(&"many words ".repeat(300))).await;
    let (tokens, limit) = (Some(600), Some(511));
    assert_eq!(error, EngineError::TooLong { tokens, limit });
}

#[tokio::test]
async fn the_context_of_ollama_is_learned_when_the_model_has_been_loaded() {
    let fake = FakeEngine::start(Kind::Ollama);
    fake.set_page("/api/ps", 200, r#"{"models": []}"#);
    let engine = find(&fake).await;
    assert_eq!(engine.about().context_tokens, None);
    let history = json!([{"role": "user", "content": "many words ".repeat(300)},
                         {"role": "assistant", "content": "well"}]);
    let long = ask(&json!({"message": "and now?", "history": history}));
    let dropped = async || begun(&engine, &long).await.dropped_messages();
    assert_eq!(dropped().await, 0, "nothing is known");
    let loaded = |tokens: usize| {
        let models = json!([{"name": "other", "context_length": 7},
                            {"name": "fakes/Fake-1B", "context_length": tokens}]);
        fake.set_page("/api/ps", 200, &json!({ "models": models }).to_string());
    };
    for (context, expected) in [(512, 2), (4_096, 0)] {
        loaded(context);
        engine.probe().await.expect("it is well");
        assert_eq!(dropped().await, expected, "{context}");
    }
    // What it had last is better than nothing when it has let the model go.
    loaded(512);
    engine.probe().await.expect("it is well");
    for (status, page) in [(200, r#"{"models": []}"#), (200, "no JSON"), (404, "{}")] {
        fake.set_page("/api/ps", status, page);
        engine.probe().await.expect("it is well");
        assert_eq!(dropped().await, 2, "{page}");
    }
}
