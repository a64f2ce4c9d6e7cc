//! Reading answers: in every form, whole and byte by byte, with the same result.

use banter_remote::engine::{Ending, EngineError, Kind, RemoteEngine, SilentCut, Step};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_seam::EndReason;
use serde_json::{Value, json};

use super::{answered, ask, begun, find, next, say};

/// What came of an answer.
#[derive(Debug, PartialEq)]
struct Came {
    thinking: String,
    text: String,
    reason: Ending,
}

async fn came(engine: &RemoteEngine, trick: EngineTrick, fake: &FakeEngine) -> Came {
    fake.play([trick]);
    let mut answer = begun(engine, &say("x")).await;
    let (mut thinking, mut text) = (String::new(), String::new());
    loop {
        match next(&mut answer).await.expect("the end comes before nothing does") {
            Step::Alive => {}
            Step::Thinking(piece) => thinking.push_str(&piece),
            Step::Delta { text: piece, .. } => text.push_str(&piece),
            step @ (Step::Call { .. } | Step::Arguments(_)) => panic!("{step:?}"),
            Step::End(end) => return Came { thinking, text, reason: end.reason },
        }
    }
}

/// Reads a body in one piece and byte by byte, and demands the same of both.
async fn came_both_ways(kind: Option<&'static str>, body: &str) -> Came {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let single = body.bytes().map(|byte| vec![byte]).collect();
    let whole = came(&engine, EngineTrick::body(kind, body), &fake).await;
    let single = came(&engine, EngineTrick::Body(kind, single), &fake).await;
    assert_eq!(whole, single, "{body}");
    whole
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: &Value) -> String {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

/// Three pieces of text with this reason beside each, and the usual end.
fn spoken_with(reason: &Value) -> String {
    let words = ["one ", "two ", "three"].map(|word| {
        event(&json!({"choices": [{"delta": {"content": word}, "finish_reason": reason}]}))
    });
    words.concat()
}

fn spoken() -> String {
    spoken_with(&json!(null))
}

fn finish(reason: &str) -> String {
    event(&json!({"choices": [{"delta": {}, "finish_reason": reason}]}))
}

const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn a_reason_that_says_nothing_ends_nothing() {
    let reasons = [json!(""), json!("null"), json!("None"), json!(null), json!(0), json!(false)];
    for reason in reasons {
        let body = spoken_with(&reason) + DONE;
        let came = came_both_ways(Some("text/event-stream"), &body).await;
        assert_eq!((&*came.text, came.reason), ("one two three", Ok(EndReason::End)), "{reason}");
    }
}

#[tokio::test]
async fn the_same_answer_is_read_from_every_form_and_under_every_content_type() {
    let events = spoken() + &finish("stop") + DONE;
    let lines = events.replace("data: ", "").replace("\n\n", "\n").replace("[DONE]\n", "");
    let message = json!({"message": {"role": "assistant", "content": "one two three"}});
    let mut with_reason = message.clone();
    with_reason["finish_reason"] = json!("stop");
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 3});
    let bodies = [
        events.clone(),
        events.replace("\n\n", "\n"),
        events.replace('\n', "\r\n"),
        events.replace('\n', "\r"),
        events.replace("data: ", "event: message\nid: 7\ndata:"),
        format!("\u{feff}: hello\n\nevent: ping\ndata: ping\n\n{events}"),
        lines.clone(),
        format!("[{}]", lines.trim_end().replace('\n', ",\n")),
        json!({"choices": [with_reason], "usage": usage}).to_string(),
        format!("{:#}", json!({"object": "chat.completion", "choices": [message]})),
        event(&json!({"choices": [with_reason]})) + DONE,
        event(&json!({"choices": [{"text": "one two three", "finish_reason": "stop"}]})) + DONE,
        // The whole message once more, after its pieces.
        spoken() + &event(&json!({"choices": [with_reason]})) + DONE,
    ];
    let kinds = [
        None,
        Some("text/event-stream"),
        Some("Text/Event-Stream; charset=utf-8"),
        Some("application/x-ndjson"),
        Some("application/json"),
        Some("application/octet-stream"),
        Some("text/plain; charset=utf-8"),
        Some("text/html"),
    ];
    for (index, body) in bodies.iter().enumerate() {
        let came = came_both_ways(kinds[index % kinds.len()], body).await;
        assert_eq!((&*came.text, came.reason), ("one two three", Ok(EndReason::End)), "{body}");
    }
    for kind in kinds {
        let came = came_both_ways(kind, &events).await;
        assert_eq!((&*came.text, came.reason), ("one two three", Ok(EndReason::End)), "{kind:?}");
    }
}

#[tokio::test]
async fn content_of_any_form_gives_its_text_and_keeps_thinking_apart() {
    let bodies = [
        delta(&json!({"content": "one "}))
            + &delta(&json!({"content": [{"type": "text", "text": "two "}]}))
            + &delta(&json!({"content": {"text": "three"}})),
        delta(&json!({"role": "assistant", "content": ""}))
            + &delta(&json!({"reasoning_content": "hm "}))
            + &delta(&json!({"reasoning": "hm ", "content": null}))
            + &spoken(),
        delta(
            &json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm hm "}]}]}),
        ) + &spoken(),
        delta(&json!({"content": 5})) + &delta(&json!({"content": true})) + &spoken(),
        delta(&json!({"content": null, "refusal": "one two three"})),
        spoken() + &delta(&json!({"tool_calls": []})),
    ];
    let thinking = ["", "hm hm ", "hm hm ", "", "", ""];
    for (body, thinking) in bodies.into_iter().zip(thinking) {
        let came = came_both_ways(None, &(body.clone() + &finish("stop") + DONE)).await;
        assert_eq!((&*came.text, &*came.thinking), ("one two three", thinking), "{body}");
        assert_eq!(came.reason, Ok(EndReason::End), "{body}");
    }
}

#[tokio::test]
async fn every_end_is_told_for_what_it_is() {
    let failed = |words: &str| Err(EngineError::Failed(words.to_owned()));
    let named = |word: &str| failed(&format!("it ended the answer with {word:?}"));
    let cases = [
        ("stop", Ok(EndReason::End)),
        ("eos", Ok(EndReason::End)),
        ("length", Ok(EndReason::Length)),
        ("max_tokens", Ok(EndReason::Length)),
        ("content_filter", Ok(EndReason::Filtered)),
        ("SAFETY", Ok(EndReason::Filtered)),
        ("sensitive", Ok(EndReason::Filtered)),
        ("insufficient_system_resource", Ok(EndReason::Unavailable)),
        ("network_error", Ok(EndReason::Unavailable)),
        ("cancelled", named("cancelled")),
        ("tool_calls", named("tool_calls")),
        ("abort", named("abort")),
        ("error", named("error")),
        ("sparkle", named("sparkle")),
    ];
    for (word, expected) in cases {
        for before in [spoken(), String::new()] {
            let came = came_both_ways(None, &(before.clone() + &finish(word) + DONE)).await;
            let expected = match (&expected, before.is_empty()) {
                (Ok(EndReason::Length), true) => Err(EngineError::UsedUp),
                _ => expected.clone(),
            };
            assert_eq!(came.reason, expected, "{word} after {before:?}");
        }
    }
}

#[tokio::test]
async fn thinking_that_leaves_no_answer_is_told() {
    let thinking = delta(&json!({"reasoning_content": "hm "})).repeat(4);
    let came = came_both_ways(None, &(thinking.clone() + &finish("length") + DONE)).await;
    assert_eq!(came.reason, Err(EngineError::UsedUp));
    assert_eq!((&*came.thinking, &*came.text), ("hm hm hm hm ", ""));
    for end in [finish("stop") + DONE, DONE.to_owned()] {
        let came = came_both_ways(None, &(thinking.clone() + &end)).await;
        let Err(EngineError::Failed(words)) = came.reason else { panic!("{came:?}") };
        assert!(words.contains("without an answer"), "{words}");
    }
}

#[tokio::test]
async fn errors_in_every_shape_end_the_answer_with_the_engines_words() {
    let one = delta(&json!({"content": "one "}));
    let shapes = [
        event(&json!({"error": {"message": "because", "code": 500}})),
        event(&json!({"error": "because"})),
        event(&json!({"error": {"message": "because"}, "choices": [{"delta": {"content": ""}}]})),
        event(&json!({"object": "error", "message": "because", "code": 500})),
        event(&json!({"detail": "because"})),
        event(&json!({"detail": [{"msg": "because"}]})),
        event(&json!({"message": "because"})),
        event(&json!({"code": 1301, "msg": "because"})),
        event(&json!([{"error": {"message": "because"}}])),
        "event: error\ndata: {\"message\": \"because\"}\n\n".to_owned(),
        "event: error\ndata: because\n\n".to_owned(),
        "error: {\"message\": \"because\"}\n\n".to_owned(),
        "{\"error\": {\"message\": \"because\"}}\n".to_owned(),
    ];
    for shape in shapes {
        let came = came_both_ways(Some("text/event-stream"), &(one.clone() + &shape + DONE)).await;
        let expected = Err(EngineError::Failed("because".to_owned()));
        assert_eq!((&*came.text, came.reason), ("one ", expected), "{shape}");
    }
    let whole = [
        json!({"error": {"message": "because"}}),
        json!({"error": "because", "choices": null}),
        json!({"detail": "because"}),
        json!({"object": "error", "message": "because"}),
    ];
    for body in whole {
        let came = came_both_ways(Some("application/json"), &body.to_string()).await;
        let expected = Err(EngineError::Failed("because".to_owned()));
        assert_eq!((&*came.text, came.reason), ("", expected), "{body}");
    }
    for harmless in [json!(null), json!(false), json!(""), json!({})] {
        let chunk = json!({"error": harmless, "choices": [{"delta": {"content": "one "}}]});
        let came = came_both_ways(None, &(event(&chunk) + &finish("stop") + DONE)).await;
        assert_eq!((&*came.text, came.reason), ("one ", Ok(EndReason::End)), "{chunk}");
    }
}

/// A line of Ollama's own form.
fn line(text: &str, done: &Value) -> String {
    format!("{}\n", json!({"message": {"role": "assistant", "content": text}, "done": done}))
}

#[tokio::test]
async fn messages_in_lines_end_when_they_say_so() {
    let lines = |last: &str| line("one ", &json!(false)) + &line("two", &json!(false)) + last;
    let whole = [
        lines(&line("", &json!(true))),
        lines("{\"done\": true, \"done_reason\": \"stop\"}\n"),
        line("one two", &json!(true)),
        line("one two", &json!(null)),
    ];
    for body in whole {
        let came = came_both_ways(Some("application/x-ndjson"), &body).await;
        assert_eq!((&*came.text, came.reason), ("one two", Ok(EndReason::End)), "{body}");
    }
    let full = lines("{\"done\": true, \"done_reason\": \"length\"}\n");
    assert_eq!(came_both_ways(None, &full).await.reason, Ok(EndReason::Length));
    let message = |text: &str| event(&json!({"choices": [{"message": {"content": text}}]}));
    for cut in [lines(""), line("one", &json!(false)), message("one ") + &message("two")] {
        let came = came_both_ways(None, &cut).await;
        assert!(matches!(came.reason, Err(EngineError::Broken(_))), "{cut}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_said_with_its_beginning() {
    let cases = [
        ("<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
        ("upstream connect error", "upstream connect error"),
        ("", "nothing"),
    ];
    for (body, expected) in cases {
        let came = came_both_ways(Some("text/html"), body).await;
        let Err(error @ EngineError::Unexpected(_)) = came.reason else { panic!("{came:?}") };
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains("text/html"), "{message}");
    }
}

#[tokio::test]
async fn bytes_without_words_are_signs_of_life() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let engine = find(&fake).await;
    let role = delta(&json!({"role": "assistant", "content": ""}));
    for life in [": ping\n\n", &role, "event: ping\ndata: {}\n\n"] {
        fake.play([EngineTrick::hang_after([life])]);
        let mut answer = begun(&engine, &say("x")).await;
        assert_eq!(answer.next().await, Some(Step::Alive), "{life}");
    }
    fake.play([EngineTrick::hang_after([delta(&json!({"reasoning_content": "hm"}))])]);
    let mut answer = begun(&engine, &say("x")).await;
    assert_eq!(next(&mut answer).await, Some(Step::Thinking("hm".to_owned())));
}

/// An answer of an engine that says how many tokens of the prompt it has read.
async fn cut_of(conversation: Value, prompt_tokens: usize) -> (Ending, Option<SilentCut>) {
    let fake = FakeEngine::start(Kind::Ollama);
    let engine = find(&fake).await;
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": 3});
    let usage = event(&json!({"choices": [], "usage": usage}));
    fake.play([EngineTrick::body(None, spoken() + &finish("stop") + &usage + DONE)]);
    let mut answer = begun(&engine, &ask(&conversation)).await;
    loop {
        if let Step::End(end) = next(&mut answer).await.expect("the end comes") {
            return (end.reason, end.silent_cut);
        }
    }
}

#[tokio::test]
async fn a_conversation_that_the_engine_cuts_in_silence_is_noticed() {
    let long = "many words ".repeat(5_000);
    let old = json!([{"role": "user", "content": long}, {"role": "assistant", "content": "well"}]);
    let cut = cut_of(json!({"message": "and now?", "history": old}), 4_096).await;
    let expected = SilentCut { read_tokens: 4_096, least_tokens: 10_003 };
    assert_eq!(cut, (Ok(EndReason::End), Some(expected)));
    let whole = cut_of(json!({"message": "and now?", "history": old}), 10_050).await;
    assert_eq!(whole, (Ok(EndReason::End), None));

    let (reason, _) = cut_of(json!({"message": long}), 4_096).await;
    let (tokens, limit) = (Some(10_000), Some(4_096));
    assert_eq!(reason, Err(EngineError::TooLong { tokens, limit }));
    // One long word may be few tokens.
    let word = cut_of(json!({"message": "x".repeat(10_000)}), 700).await;
    assert_eq!(word, (Ok(EndReason::End), None));
}

#[tokio::test]
async fn streams_are_read_however_they_are_written() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    let text = "é你🙂";
    let event = EngineTrick::piece(text);
    let end = "data: [DONE]\n\n";
    let finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let crlf = event.replace('\n', "\r\n");
    let cr = event.replace('\n', "\r");
    let single: Vec<Vec<u8>> = format!("{event}{end}").bytes().map(|byte| vec![byte]).collect();
    let streams: [Vec<Vec<u8>>; 8] = [
        vec![format!("{event}{end}").into_bytes()],
        single,
        vec![crlf.into_bytes(), end.into()],
        vec![cr.into_bytes(), end.into()],
        vec![b": keep-alive\n\n".to_vec(), event.clone().into_bytes(), end.into(), end.into()],
        vec![event.clone().into_bytes(), finish.into(), usage.into()],
        vec![usage.into(), event.clone().into_bytes(), finish.into(), usage.into(), end.into()],
        vec![format!("{event}{finish}data: [DONE]").into_bytes()],
    ];
    for (index, stream) in streams.into_iter().enumerate() {
        fake.play([EngineTrick::Stream(stream)]);
        let (read, reason) = answered(&engine, "x").await;
        assert_eq!((read.as_str(), reason), (text, Ok(EndReason::End)), "stream {index}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_the_answer_after_what_was_whole() {
    let fake = FakeEngine::start(Kind::Vllm);
    let piece = EngineTrick::piece("so far");
    let cases: [(EngineTrick, &str); 7] = [
        (EngineTrick::stream([&piece]), "closed in the middle"),
        (EngineTrick::stream([&piece, "data: {\"choices\": [{\"del"]), "no chunk"),
        (EngineTrick::stream([&piece, "data: nonsense\n\n"]), "no chunk"),
        (EngineTrick::stream([&piece, "data: {\"choices\": 7}\n\n"]), "no chunk"),
        (EngineTrick::stream([piece.as_bytes(), b"data: \xff\n\n"]), "UTF-8"),
        (
            EngineTrick::stream([&piece, "data: {\"error\": {\"message\": \"because\"}}\n\n"]),
            "failed",
        ),
        (
            EngineTrick::stream([
                &piece,
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n",
            ]),
            "failed",
        ),
    ];
    for (trick, expected) in cases {
        let engine = find(&fake).await;
        fake.play([trick.clone()]);
        let (text, reason) = answered(&engine, "x").await;
        assert_eq!(text, "so far", "{trick:?}");
        let Err(error) = reason else { panic!("{trick:?} ended as {reason:?}") };
        let message = error.to_string();
        assert!(message.contains(expected) && !message.contains("because"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_100_megabytes_is_not_taken() {
    let fake = FakeEngine::start(Kind::Vllm);
    let engine = find(&fake).await;
    fake.play([EngineTrick::Endless(100 << 20)]);
    let (text, reason) = answered(&engine, "x").await;
    let Err(error) = reason else { panic!("ended as {reason:?}") };
    assert!(text.is_empty() && error.to_string().contains("more than"), "{error}");
    // It was told to stop long before it had written all.
    fake.wait_for_hang_up(1);
}
