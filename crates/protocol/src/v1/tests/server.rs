use crate::v1::{ConversationId, MessageId, ServerEvent, Tag, Tagged};

/// One event of each type as the server writes it. The names of ids are replaced by ids.
const EXAMPLES: [&str; 24] = [
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
    r#"{"type":"error","code":"invalid_parameter","message":"m","field":"text","expected":"a string","found":"5"}"#,
    r#"{"type":"error","code":"busy","message":"m","position":4,"retry_after_ms":2000}"#,
    r#"{"type":"pong"}"#,
    r#"{"type":"going_away","reason":"shutdown"}"#,
];

fn with_ids(frame: &str) -> String {
    frame
        .replace("CONVERSATION", &ConversationId::from_bits(1).to_string())
        .replace("MESSAGE", &MessageId::from_bits(2).to_string())
        .replace("ANSWER", &MessageId::from_bits(3).to_string())
}

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
