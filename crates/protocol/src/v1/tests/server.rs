use super::with_ids;
use crate::v1::conversation::{Timings, Usage};
use crate::v1::error::ErrorDetails;
use crate::v1::{
    AnswerState, ConversationId, ErrorCode, FinishReason, Message, MessageId, Messages, Role,
    ServerEvent, Tag, Tagged, V1Error,
};
use banter_seam::{EndReason, Failure};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Events of each type as the server writes them.
const EXAMPLES: [&str; 25] = [
    r#"{"type":"welcome","version":"0.1.0","epoch":"e1","user":"u1","model":{"name":"Qwen","demo":true,"parameters":null,"licence":null,"weights_bytes":null},"context_tokens":4096,"limits":{"message_bytes":1048576,"client_id_bytes":64,"tag_bytes":64,"title_bytes":512,"open_conversations":64},"stores":true,"on_disconnect":"grace","grace_ms":60000}"#,
    r#"{"type":"welcome","version":"0.1.0","epoch":"e1","user":"u1","model":null,"context_tokens":null,"limits":{"message_bytes":1,"client_id_bytes":64,"tag_bytes":64,"title_bytes":512,"open_conversations":64},"stores":false,"on_disconnect":"stop"}"#,
    r#"{"type":"opened","conversation":{"id":"CONVERSATION","title":null,"created_ms":1,"updated_ms":2,"pinned":false,"archived":false,"system":null,"parameters":{},"leaf":null,"model":null,"messages":0}}"#,
    r#"{"type":"opened","conversation":{"id":"CONVERSATION","title":"a","created_ms":1,"updated_ms":2,"pinned":true,"archived":true,"system":"s","parameters":{"max_tokens":5,"temperature":0.5,"stop":["x"]},"leaf":"MESSAGE","model":"Qwen","messages":2}}"#,
    r#"{"type":"messages","conversation":"CONVERSATION","messages":[{"id":"MESSAGE","parent":null,"role":"user","text":"你好","created_ms":1}],"more":true}"#,
    r#"{"type":"closed","conversation":"CONVERSATION"}"#,
    r#"{"type":"accepted","client_id":"c1","conversation":"CONVERSATION","message":"MESSAGE","answer":"ANSWER","parent":null,"duplicate":false}"#,
    r#"{"type":"accepted","client_id":"c1","conversation":"CONVERSATION","message":null,"answer":"ANSWER","parent":"MESSAGE","duplicate":true}"#,
    r#"{"type":"message","conversation":"CONVERSATION","message":{"id":"ANSWER","parent":"MESSAGE","role":"assistant","text":"","thinking":"t","state":"length","created_ms":1,"model":"Qwen","finish":{"reason":"length","usage":{"prompt_tokens":9,"cached_tokens":8,"completion_tokens":7},"timings":{"first_token_ms":1.5,"tokens_per_second":20.0,"halt_ms":null},"seed":3}}}"#,
    r#"{"type":"queued","conversation":"CONVERSATION","answer":"ANSWER","ahead":3,"estimate_ms":null}"#,
    r#"{"type":"prefill","conversation":"CONVERSATION","answer":"ANSWER","done":16,"total":32,"cached":8}"#,
    r#"{"type":"context","conversation":"CONVERSATION","answer":"ANSWER","left_out":["MESSAGE"],"prompt_tokens":9,"context_tokens":null}"#,
    r#"{"type":"thinking","conversation":"CONVERSATION","answer":"ANSWER","at":0,"text":"so"}"#,
    r#"{"type":"delta","conversation":"CONVERSATION","answer":"ANSWER","at":6,"text":"你好"}"#,
    r#"{"type":"finished","conversation":"CONVERSATION","answer":"ANSWER","state":"complete","bytes":12,"thinking_bytes":0,"reason":"end","usage":{"prompt_tokens":null,"cached_tokens":null,"completion_tokens":2},"timings":{"first_token_ms":null,"tokens_per_second":null,"halt_ms":null},"seed":null}"#,
    r#"{"type":"finished","conversation":"CONVERSATION","answer":"ANSWER","state":"failed","bytes":0,"thinking_bytes":0,"reason":"failed","error":{"code":"too_long","message":"m","tokens":9,"limit":8},"usage":{"prompt_tokens":null,"cached_tokens":null,"completion_tokens":null},"timings":{"first_token_ms":null,"tokens_per_second":null,"halt_ms":null},"seed":null}"#,
    r#"{"type":"resumed","conversation":"CONVERSATION","answer":"ANSWER","state":"writing","bytes":12,"thinking_bytes":3}"#,
    r#"{"type":"reset","answer":"ANSWER","epoch":"e1","reason":"unknown_offset"}"#,
    r#"{"type":"changed","conversation":"CONVERSATION","change":"deleted"}"#,
    r#"{"type":"changed","conversation":"CONVERSATION","change":"updated","removed":"MESSAGE"}"#,
    r#"{"type":"changed","conversation":"CONVERSATION","change":"updated","removed_pair":{"messages":["MESSAGE","ANSWER"],"parent":null}}"#,
    r#"{"type":"error","code":"invalid_parameter","message":"m","field":"text","expected":"a string","found":"5"}"#,
    r#"{"type":"error","code":"busy","message":"m","position":4,"retry_after_ms":2000}"#,
    r#"{"type":"pong"}"#,
    r#"{"type":"going_away","reason":"shutdown"}"#,
];

fn read(frame: &str) -> Tagged<ServerEvent> {
    Tagged::parse(frame).unwrap_or_else(|error| panic!("{frame}: {error}"))
}

#[test]
fn every_event_is_read_and_written_as_specified() {
    for example in EXAMPLES {
        let frame = with_ids(example);
        let event = read(&frame);
        assert_ne!(event.event, ServerEvent::Unknown, "{frame}");
        assert_eq!(event.to_json(), frame);
        assert_eq!(event.event.to_json(), frame);
    }
}

#[test]
fn a_tag_stands_after_the_event() {
    let tag = Tag::new("t").expect("short enough");
    let pong = ServerEvent::Pong.tagged(Some(tag));
    assert_eq!(pong.to_json(), r#"{"type":"pong","tag":"t"}"#);
    assert_eq!(read(&pong.to_json()), pong);
}

#[test]
fn the_examples_have_every_event_of_the_schema() {
    let schema = schemars::schema_for!(ServerEvent).to_value();
    let variants = schema["oneOf"].as_array().expect("a list of variants");
    let specified: BTreeSet<&str> = variants
        .iter()
        .filter_map(|variant| variant["properties"]["type"]["const"].as_str())
        .collect();
    let name = |example: &'static str| example.split('"').nth(3).expect("the type stands first");
    let tested: BTreeSet<&str> = EXAMPLES.into_iter().map(name).chain(["thinking"]).collect();
    assert_eq!(tested, specified);
    assert_eq!(specified.len(), 18);
}

#[test]
fn what_a_later_version_adds_is_read_as_unknown() {
    let event = read(r#"{"type":"speech","audio":[1,{"a":2}],"tag":"t"}"#);
    assert_eq!(event.event, ServerEvent::Unknown);
    assert_eq!(event.tag, Tag::new("t"));
    let resumed = r#"{"type":"resumed","conversation":"CONVERSATION","answer":"ANSWER","state":"paused","bytes":1,"thinking_bytes":0,"new":{}}"#;
    let ServerEvent::Resumed(resumed) = read(&with_ids(resumed)).event else { panic!() };
    assert_eq!(resumed.state, AnswerState::Unknown);
    assert!(!resumed.state.is_live());
    let error = r#"{"type":"error","code":"new_code","message":"m","new":1}"#;
    let ServerEvent::Error(error) = read(error).event else { panic!() };
    assert_eq!(error.code, ErrorCode::Unknown);
}

#[test]
fn a_frame_that_is_no_event_is_refused() {
    let frames = [
        "",
        "{}",
        "[]",
        r#"{"type":5}"#,
        r#"{"type":"delta"}"#,
        r#"{"type":"opened","conversation":{}}"#,
    ];
    for frame in frames {
        assert!(Tagged::parse(frame).is_err(), "{frame}");
    }
}

#[test]
fn failures_become_errors_with_details() {
    struct Case {
        failure: Failure,
        code: ErrorCode,
        details: ErrorDetails,
    }
    let none = ErrorDetails::default;
    let size = |tokens, limit| ErrorDetails { tokens: Some(tokens), limit: Some(limit), ..none() };
    let cases = [
        Case {
            failure: Failure::InvalidParameter {
                field: "top_k".into(),
                expected: "less".into(),
                found: "9".into(),
            },
            code: ErrorCode::InvalidParameter,
            details: ErrorDetails {
                field: Some("top_k".into()),
                expected: Some("less".into()),
                found: Some("9".into()),
                ..none()
            },
        },
        Case {
            failure: Failure::TooLong { tokens: 9, limit: 8 },
            code: ErrorCode::TooLong,
            details: size(9, 8),
        },
        Case {
            failure: Failure::TooLongWithSystem { tokens: 7, limit: 6 },
            code: ErrorCode::TooLong,
            details: size(7, 6),
        },
        Case {
            failure: Failure::Busy { reason: "full".into(), position: 5, estimate_ms: Some(90) },
            code: ErrorCode::Busy,
            details: ErrorDetails { position: Some(5), retry_after_ms: Some(90), ..none() },
        },
        Case {
            failure: Failure::Timeout { seconds: 120, while_doing: Failure::IN_THE_QUEUE },
            code: ErrorCode::Timeout,
            details: none(),
        },
        Case { failure: Failure::Filtered, code: ErrorCode::Filtered, details: none() },
        Case { failure: Failure::Unavailable, code: ErrorCode::Unavailable, details: none() },
        Case {
            failure: Failure::Internal { reason: "r".into() },
            code: ErrorCode::Internal,
            details: none(),
        },
    ];
    for case in cases {
        let message = case.failure.to_string();
        assert_eq!(case.code.name(), case.failure.code());
        let error = V1Error::from(case.failure);
        assert_eq!(error, V1Error::new(case.code, message).with_details(case.details));
    }
}

#[test]
fn a_code_has_the_name_that_the_wire_has_and_a_sentence() {
    let schema = schemars::schema_for!(ErrorCode).to_value();
    let names = schema["oneOf"].as_array().expect("a list of codes");
    assert_eq!(names.len(), 20);
    for name in names {
        let code: ErrorCode = serde_json::from_value(name["const"].clone()).expect("a code");
        assert_ne!(code, ErrorCode::Unknown, "{name}");
        assert_eq!(name["const"], code.name());
        let sentence = V1Error::from(code).of_field("f");
        assert_eq!((sentence.message.as_str(), code), (code.sentence(), sentence.code));
        assert_eq!(sentence.details.field.as_deref(), Some("f"));
    }
}

#[test]
fn a_reason_says_how_the_answer_stands() {
    let cases = [
        (EndReason::End, FinishReason::End, AnswerState::Complete),
        (EndReason::StopString, FinishReason::StopString, AnswerState::Complete),
        (EndReason::Length, FinishReason::Length, AnswerState::Length),
        (EndReason::Stopped, FinishReason::Stopped, AnswerState::Stopped),
        (EndReason::Filtered, FinishReason::Filtered, AnswerState::Failed),
        (EndReason::Unavailable, FinishReason::Unavailable, AnswerState::Failed),
    ];
    for (ended, reason, state) in cases {
        assert_eq!(FinishReason::from(ended), reason);
        assert_eq!(reason.state(), state);
        let word = serde_json::to_value(reason).expect("a word");
        assert_eq!(word, ended.name());
    }
    for reason in [FinishReason::Disconnected, FinishReason::Shutdown, FinishReason::Crashed] {
        assert_eq!(reason.state(), AnswerState::Interrupted);
        assert!(reason.state().can_continue());
    }
    assert!(!AnswerState::Complete.can_continue());
    assert!(AnswerState::Waiting.is_live() && !AnswerState::Waiting.can_continue());
}

#[test]
fn figures_of_the_seam_keep_their_meaning() {
    let usage = banter_seam::Usage {
        prompt_tokens: Some(1),
        cached_tokens: Some(2),
        completion_tokens: None,
    };
    let expected =
        Usage { prompt_tokens: Some(1), cached_tokens: Some(2), completion_tokens: None };
    assert_eq!(Usage::from(usage), expected);
    let timings = banter_seam::Timings {
        first_token_ms: Some(1.5),
        tokens_per_second: Some(2.5),
        halt_ms: None,
    };
    let expected =
        Timings { first_token_ms: Some(1.5), tokens_per_second: Some(2.5), halt_ms: None };
    assert_eq!(Timings::from(timings), expected);
}

const CONVERSATION: ConversationId = ConversationId::from_bits(1);

fn message_of(text: &str) -> Message {
    Message {
        id: MessageId::from_bits(2),
        parent: None,
        role: Role::User,
        text: text.into(),
        thinking: None,
        state: None,
        created_ms: 3,
        model: None,
        finish: None,
    }
}

/// The frame with the tag that takes most bytes.
fn longest_frame(messages: &Messages) -> String {
    let tag = Tag::new("\u{1}".repeat(64));
    ServerEvent::Messages(messages.clone()).tagged(tag).to_json()
}

#[test]
fn a_conversation_without_messages_is_one_frame() {
    let frames = Messages::split(CONVERSATION, Vec::new(), 1_000);
    let expected = Messages { conversation: CONVERSATION, messages: Vec::new(), more: false };
    assert_eq!(frames, [expected]);
}

#[test]
fn a_message_longer_than_a_frame_has_one_of_its_own() {
    let (short, long) = (message_of("a"), message_of(&"b".repeat(5_000)));
    let messages = vec![short.clone(), long.clone(), short.clone(), short.clone()];
    let frames = Messages::split(CONVERSATION, messages, 1_000);
    let lists: Vec<&[Message]> = frames.iter().map(|frame| &frame.messages[..]).collect();
    assert_eq!(lists, [&[short.clone()][..], &[long], &[short.clone(), short]]);
}

proptest! {
    #[test]
    fn messages_are_split_without_loss_into_frames_that_are_short_enough(
        texts in proptest::collection::vec("\\PC{0,120}|[\u{0}-\u{1f}]{0,40}", 0..12),
        frame_bytes in 0_usize..3_000,
    ) {
        let messages: Vec<Message> = texts.iter().map(|text| message_of(text)).collect();
        let frames = Messages::split(CONVERSATION, messages.clone(), frame_bytes);
        let joined: Vec<Message> =
            frames.iter().flat_map(|frame| frame.messages.clone()).collect();
        prop_assert_eq!(joined, messages);
        let (last, first) = frames.split_last().expect("at least one frame");
        prop_assert!(!last.more && first.iter().all(|frame| frame.more));
        for frame in &frames {
            let bytes = longest_frame(frame).len();
            prop_assert!(bytes <= frame_bytes || frame.messages.len() <= 1, "{}", bytes);
        }
    }
}
