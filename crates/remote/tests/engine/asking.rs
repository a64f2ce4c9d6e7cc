//! Asking an engine: what is sent, stopped, refused and cut.

use std::net::TcpListener;
use std::time::Duration;

use banter_remote::engine::{
    EngineError, EnginePatience, EngineSettings, Kind, RemoteEngine, Step,
};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_seam::{Continuation, ConversationNumber, EndReason, GenerateRequest, Message};
use serde_json::json;

use super::{answered, ask, begun, delta, find, later, next, refused, say, settings, whole};

#[tokio::test]
async fn every_kind_of_engine_is_known_and_answers() {
    for kind in banter_remote::engine::KINDS {
        let fake = FakeEngine::start(kind);
        let engine = find(&fake).await;
        let about = engine.about();
        assert_eq!((about.kind, about.model.as_str()), (kind, "Fake-1B"));
        let knows_context = matches!(kind, Kind::Vllm | Kind::SgLang | Kind::LlamaServer);
        assert_eq!(about.context_tokens, knows_context.then_some(4_096), "{kind}");
        let (text, reason) = answered(&engine, "你好 engine of mine").await;
        assert_eq!((text.as_str(), reason), ("你好 engine of mine", Ok(EndReason::End)), "{kind}");
        engine.probe().await.expect("it is well");
        let request = fake.wait_for("/v1/chat/completions").body;
        assert_eq!(request["model"], "fakes/Fake-1B");
        assert_eq!(request["stream"], true);
        assert_eq!(
            request["messages"],
            json!([{"role": "user", "content": "你好 engine of mine"}])
        );
    }
}

#[tokio::test]
async fn transformers_answers_though_it_cannot_list_its_model() {
    let fake = FakeEngine::start(Kind::Transformers);
    fake.break_page("/v1/models", 500);
    let engine = find(&fake).await;
    assert_eq!((engine.about().kind, &*engine.about().model), (Kind::Transformers, "transformers"));
    assert_eq!(answered(&engine, "hello").await.0, "hello");
    assert!(fake.wait_for("/v1/chat/completions").body.get("model").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_breaks_answers_off_gets_one_request_at_a_time() {
    let fake = FakeEngine::start(Kind::LlamaCppPython);
    let engine = find(&fake).await;
    let first = begun(&engine, &say("slow 30")).await;
    let asked = say("slow 3");
    let (first, second) = tokio::join!(whole(first), async {
        engine.probe().await.expect("it is well");
        whole(begun(&engine, &asked).await).await
    });
    assert_eq!((first.0.split_whitespace().count(), first.1), (30, Ok(EndReason::End)));
    assert_eq!((second.0.as_str(), second.1), ("word0 word1 word2 ", Ok(EndReason::End)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_broken_off_for_another_client_is_no_whole_one() {
    let fake = FakeEngine::start(Kind::LlamaCppPython);
    let engine = find(&fake).await;
    let answer = begun(&engine, &say("slow 100000")).await;
    let (answer, other) = tokio::join!(whole(answer), find(&fake));
    match answer.1 {
        Err(EngineError::Failed(words)) => assert!(words.contains("another client")),
        other => panic!("{other:?}"),
    }
    assert_eq!(answered(&other, "still there").await, ("still there".into(), Ok(EndReason::End)));
}

#[tokio::test]
async fn the_address_may_end_in_v1_or_lie_below_a_path() {
    let fake = FakeEngine::start(Kind::Vllm);
    for suffix in ["", "/", "/v1", "/v1/"] {
        let engine = RemoteEngine::find(&settings(&format!("{}{suffix}", fake.url()))).await;
        assert_eq!(engine.expect("it is found").address().to_string(), fake.url());
    }
    let below = RemoteEngine::find(&settings(&format!("{}/below/v1", fake.url()))).await;
    assert!(matches!(below, Err(EngineError::Status { status: 404, .. })));
    assert_eq!(fake.take_requests().last().expect("it was asked").line, "GET /below/v1/models");
}

#[tokio::test]
async fn the_key_goes_with_every_request_and_a_wrong_one_is_named() {
    let fake = FakeEngine::start(Kind::Vllm);
    let with_key = EngineSettings { key: Some("sesame".to_owned()), ..settings(&fake.url()) };
    let engine = RemoteEngine::find(&with_key).await.expect("it is found");
    answered(&engine, "hello").await.1.expect("a good end");
    for request in fake.take_requests() {
        assert_eq!(request.authorization.as_deref(), Some("Bearer sesame"), "{}", request.line);
    }
    fake.break_page("/v1/models", 401);
    let error = RemoteEngine::find(&with_key).await.err().expect("the key is refused");
    assert!(error.to_string().contains("--engine-key"), "{error}");
}

#[tokio::test]
async fn usage_and_times_are_kept() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let mut answer = begun(&engine, &say("tokens 5")).await;
    let end = loop {
        if let Step::End(end) = next(&mut answer).await.expect("the end comes") {
            break end;
        }
    };
    let usage = end.usage;
    let counted = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens);
    assert_eq!(counted, (Some(12), Some(3), Some(5)));
    assert!(end.timings.first_token_ms.is_some() && end.timings.halt_ms.is_none());
    let length =
        whole(begun(&engine, &ask(&json!({"message": "tokens 9", "max_tokens": 4}))).await).await;
    assert_eq!(length, ("word0 word1 word2 word3 ".to_owned(), Ok(EndReason::Length)));
}

#[tokio::test]
async fn what_llama_server_measures_is_kept() {
    let fake = FakeEngine::start(Kind::LlamaServer);
    let engine = find(&fake).await;
    let last = json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "timings":
        {"prompt_n": 10, "cache_n": 32, "predicted_n": 2, "predicted_per_second": 12.5}});
    let events = [EngineTrick::piece("a b"), format!("data: {last}\n\ndata: [DONE]\n\n")];
    fake.play([EngineTrick::stream(events)]);
    let mut answer = begun(&engine, &say("x")).await;
    assert_eq!(next(&mut answer).await, Some(delta("a b")));
    let Some(Step::End(end)) = next(&mut answer).await else { panic!("no end") };
    let usage = end.usage;
    let counted = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens);
    assert_eq!(counted, (Some(42), Some(32), Some(2)));
    assert_eq!(end.timings.tokens_per_second, Some(12.5));
}

#[tokio::test]
async fn deltas_are_not_taken_for_tokens() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let last = json!({"choices": [{"delta": {}, "finish_reason": "length"}]});
    let events = ["a b ", "c d"].map(EngineTrick::piece).into_iter();
    let events = events.chain([format!("data: {last}\n\ndata: [DONE]\n\n")]);
    fake.play([EngineTrick::stream(events)]);
    let mut answer = begun(&engine, &say("x")).await;
    let end = loop {
        if let Step::End(end) = next(&mut answer).await.expect("the end comes") {
            break end;
        }
    };
    let usage = end.usage;
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (None, None));
    assert_eq!((usage.cached_tokens, end.timings.tokens_per_second), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_the_connection() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let mut answer = begun(&engine, &say("slow 100000")).await;
    assert!(matches!(next(&mut answer).await, Some(Step::Delta { .. })));
    answer.stop();
    answer.stop();
    let Some(Step::End(end)) = next(&mut answer).await else { panic!("the end follows a stop") };
    assert_eq!(end.reason, Ok(EndReason::Stopped));
    assert!(end.timings.halt_ms.is_some());
    fake.wait_for_hang_up(1);

    // A dropped answer, and one that was dropped before it began, are stopped as well.
    let mut answer = begun(&engine, &say("slow 100000")).await;
    assert!(matches!(next(&mut answer).await, Some(Step::Delta { .. })));
    drop(answer);
    fake.wait_for_hang_up(2);
    fake.play([EngineTrick::Silence]);
    fake.take_requests();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.ask(&say("x")).await.map(drop) }
    });
    tokio::task::block_in_place(|| fake.wait_for("/v1/chat/completions"));
    waiting.abort();
    fake.wait_for_hang_up(3);
    assert_eq!(fake.finished(), 0);
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    let fake = FakeEngine::start(Kind::Vllm);
    let status = |status| EngineError::Status {
        asked: "POST /v1/chat/completions".to_owned(),
        status,
        words: "because of reasons".to_owned(),
    };
    let because = r#"{"error": {"message": "because\nof reasons"}}"#;
    let cases: [(EngineTrick, EngineError); 8] = [
        (
            EngineTrick::Status(429, "Retry-After: 7\r\n", because),
            EngineError::Busy {
                status: 429,
                retry_after: Some(Duration::from_secs(7)),
                words: "because of reasons".to_owned(),
            },
        ),
        (EngineTrick::Status(404, "", because), status(404)),
        (EngineTrick::Status(409, "", because), status(409)),
        (EngineTrick::Status(500, "", "because of reasons"), status(500)),
        (EngineTrick::Status(502, "", "<h1>because</h1> of reasons"), status(502)),
        (
            EngineTrick::Status(403, "", ""),
            EngineError::NotAllowed { status: 403, words: String::new() },
        ),
        (
            EngineTrick::Status(302, "Location: http://169.254.169.254/latest/meta-data\r\n", ""),
            EngineError::Redirect(302),
        ),
        (
            EngineTrick::Status(307, "Location: file:///etc/passwd\r\n", ""),
            EngineError::Redirect(307),
        ),
    ];
    for (trick, expected) in cases {
        let engine = find(&fake).await;
        fake.play([trick]);
        assert_eq!(refused(&engine, &say("x")).await, expected);
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = RemoteEngine::find(&settings(&url)).await.err().expect("nobody is there");
    assert!(matches!(error, EngineError::Connection(_)), "{error}");
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_has_an_end() {
    let fake = FakeEngine::start(Kind::Vllm);
    let short = Duration::from_millis(50);
    let settings = settings(&fake.url());
    let patience = EnginePatience { headers: short, ..settings.patience };
    let engine = RemoteEngine::find(&EngineSettings { patience, ..settings }).await;
    let engine = engine.expect("it is found");
    fake.play([EngineTrick::Silence]);
    assert_eq!(refused(&engine, &say("x")).await, EngineError::Silent(short));
    fake.wait_for_hang_up(1);
}

/// An engine that has said so often that it is ill that it is left alone.
async fn found_ill(fake: &FakeEngine) -> RemoteEngine {
    let engine = find(fake).await;
    fake.break_page("/health", 500);
    for _ in 0..3 {
        engine.probe().await.expect_err("it is ill");
    }
    engine
}

#[tokio::test]
async fn an_engine_that_says_again_and_again_that_it_is_ill_is_left_alone() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = found_ill(&fake).await;
    fake.take_requests();
    for _ in 0..10 {
        assert!(matches!(refused(&engine, &say("x")).await, EngineError::Resting { .. }));
    }
    assert!(fake.take_requests().is_empty(), "it was asked although it rests");
    fake.break_page("/health", 200);
    engine.probe().await.expect("it is well");
    assert_eq!(answered(&engine, "and on").await.0, "and on");
}

#[tokio::test]
async fn an_engine_that_refuses_a_request_is_there_again() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = found_ill(&fake).await;
    later(Duration::from_secs(3)).await;
    fake.play([EngineTrick::Status(404, "", "{}")]);
    assert!(matches!(refused(&engine, &say("x")).await, EngineError::Status { .. }));
    assert_eq!(answered(&engine, "and on").await.0, "and on");
}

#[tokio::test]
async fn an_engine_without_connections_is_left_alone() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let address = fake.address();
    drop(fake);
    // Its listener goes with its thread.
    while std::net::TcpStream::connect(address).is_ok() {
        tokio::task::yield_now().await;
    }
    loop {
        match refused(&engine, &say("x")).await {
            // A connection that was kept may be tried first.
            EngineError::Connection(_) | EngineError::Broken(_) => {}
            EngineError::Resting { .. } => break,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_one_clients_requests_meet_closes_the_engine_to_nobody() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let piece = EngineTrick::piece("part");
    let error = "data: {\"error\": \"because\"}\n\n";
    let poison = [
        EngineTrick::Status(500, "", "broken"),
        EngineTrick::Status(502, "", ""),
        EngineTrick::Status(400, "", ""),
        EngineTrick::stream([&piece]),
        EngineTrick::stream([piece.as_str(), error]),
        EngineTrick::stream(["data: nonsense\n\n"]),
        EngineTrick::body(None, ""),
    ];
    for trick in poison {
        for _ in 0..5 {
            fake.play([trick.clone()]);
            if let Ok(answer) = engine.ask(&say("poison")).await {
                let (_, reason) = whole(answer).await;
                assert!(reason.is_err(), "{trick:?}: {reason:?}");
            }
        }
        assert_eq!(answered(&engine, "hello").await.0, "hello", "after {trick:?}");
    }
}

#[tokio::test]
async fn refused_requests_do_not_count_as_failures() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    for _ in 0..10 {
        fake.play([EngineTrick::Status(429, "", "")]);
        assert!(matches!(refused(&engine, &say("x")).await, EngineError::Busy { .. }));
        let unknown = ask(&json!({"message": "x", "top_k": 5}));
        assert!(matches!(
            refused(&engine, &unknown).await,
            EngineError::Parameter { field: "top_k", .. }
        ));
    }
    assert_eq!(answered(&engine, "still here").await.0, "still here");
}

#[tokio::test]
async fn a_request_that_goes_on_is_refused_before_the_engine_hears_of_it() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let continues = Some(Continuation { tokens: vec![1, 2], text_bytes: 3 });
    let refusal = refused(&engine, &GenerateRequest { continues, ..say("x") }).await;
    assert!(matches!(refusal, EngineError::Parameter { field: "continue", .. }), "{refusal}");
    // What the engine cannot use does not disturb it.
    let mut request = say("the newest");
    request.conversation = Some(ConversationNumber(1));
    let mut messages = vec![Message::assistant("before").with_tokens([1, 2, 3])];
    messages.extend_from_slice(request.prompt.messages());
    request.prompt = messages.into();
    assert_eq!(whole(begun(&engine, &request).await).await.1, Ok(EndReason::End));
    let sent = fake.wait_for("/v1/chat/completions").body;
    let expected = json!([
        {"role": "assistant", "content": "before"},
        {"role": "user", "content": "the newest"}
    ]);
    assert_eq!(sent["messages"], expected);
}

fn long_talk(exchanges: usize) -> GenerateRequest {
    let mut history = vec![json!({"role": "system", "content": "rules"})];
    for index in 0..exchanges {
        history.push(
            json!({"role": "user", "content": format!("question {index} {}", "x".repeat(50))}),
        );
        history.push(json!({"role": "assistant", "content": "y".repeat(50)}));
    }
    ask(&json!({"message": "the newest", "history": history}))
}

#[tokio::test]
async fn the_oldest_exchanges_go_when_the_conversation_does_not_fit() {
    for kind in [Kind::Vllm, Kind::LlamaServer, Kind::SgLang, Kind::OpenAi] {
        let fake = FakeEngine::with_context(kind, 1_000);
        let engine = find(&fake).await;
        let asked = long_talk(20);
        let answer = begun(&engine, &asked).await;
        let dropped = answer.dropped_messages();
        assert!(dropped > 0 && dropped % 2 == 0, "{kind}: {dropped}");
        assert_eq!(whole(answer).await.0, "the newest");
        let requests = fake.take_requests();
        let sent = &requests.last().expect("it was asked").body;
        let messages = sent["messages"].as_array().expect("messages");
        assert_eq!(messages.len() + dropped, asked.prompt.messages().len());
        assert_eq!(messages[0]["content"], "rules");
        if matches!(kind, Kind::Vllm | Kind::LlamaServer) {
            // Counted, so that as much stays as leaves room for an answer.
            assert_eq!(dropped, 28, "{kind}");
            assert_eq!(sent["max_tokens"], 257, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_message_that_does_not_fit_alone_is_too_long() {
    for kind in [Kind::Vllm, Kind::LlamaServer, Kind::SgLang, Kind::OpenAi] {
        let fake = FakeEngine::with_context(kind, 1_000);
        let engine = find(&fake).await;
        let error = refused(&engine, &say(&"x".repeat(2_000))).await;
        match error {
            EngineError::TooLong { tokens: Some(2_004), limit: Some(999 | 1_000) } => {}
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn short_conversations_are_not_counted() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    fake.take_requests();
    answered(&engine, "hello").await.1.expect("a good end");
    assert_eq!(fake.take_requests().len(), 1);
}

#[tokio::test]
async fn tokens_are_counted_where_the_engine_can() {
    let messages = |text: &str| say(text).prompt.messages().to_vec();
    for kind in [Kind::Vllm, Kind::LlamaServer] {
        let engine_there = FakeEngine::start(kind);
        let engine = find(&engine_there).await;
        let ids = engine.tokenize("four").await.expect("it counts").expect("it can");
        assert_eq!(ids.len(), 4);
        let fit = engine.fit(&messages(&"x".repeat(4_000)), 50).await.expect("it counts");
        assert_eq!(fit, Some((4_004, 0)));
    }
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    assert_eq!(engine.tokenize("four").await, Ok(None));
    assert_eq!(engine.fit(&messages("x"), 50).await, Ok(None));
}

#[tokio::test]
async fn an_engine_that_is_ill_is_noticed() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    fake.break_page("/health", 503);
    assert!(matches!(engine.probe().await, Err(EngineError::Busy { status: 503, .. })));
    fake.break_page("/health", 200);
    assert_eq!(engine.probe().await, Ok(()));
}
