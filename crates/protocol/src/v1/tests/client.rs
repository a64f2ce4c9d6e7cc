use crate::v1::{ClientEvent, ConversationId, MessageId, Tagged, parse};

/// One event of each type as a client may write it. The names of ids are replaced by ids.
const EXAMPLES: [&str; 15] = [
    r#"{"type":"hello"}"#,
    r#"{"type":"hello","key":"k"}"#,
    r#"{"type":"open","conversation":"CONVERSATION"}"#,
    r#"{"type":"close","conversation":"CONVERSATION"}"#,
    r#"{"type":"send","text":"你好","client_id":"c1"}"#,
    r#"{"type":"send","parent":null,"text":"a","client_id":"c1","system":"s","parameters":{"max_tokens":5,"temperature":0.5,"top_p":0.01,"top_k":3,"min_p":0.25,"repetition_penalty":1.25,"presence_penalty":-1.5,"frequency_penalty":2.0,"seed":18446744073709551615,"stop":["x","y"]}}"#,
    r#"{"type":"send","conversation":"CONVERSATION","parent":"ANSWER","text":"a","client_id":"c1","tag":"t"}"#,
    r#"{"type":"edit","conversation":"CONVERSATION","message":"MESSAGE","text":"a","client_id":"c1"}"#,
    r#"{"type":"regenerate","conversation":"CONVERSATION","message":"ANSWER","client_id":"c1"}"#,
    r#"{"type":"continue","conversation":"CONVERSATION","message":"ANSWER","client_id":"c1"}"#,
    r#"{"type":"stop","answer":"ANSWER"}"#,
    r#"{"type":"resume","answer":"ANSWER","at":0}"#,
    r#"{"type":"resume","answer":"ANSWER","at":12,"thinking_at":3,"tag":""}"#,
    r#"{"type":"draft","conversation":"CONVERSATION","parent":null,"text":""}"#,
    r#"{"type":"ping","tag":"t"}"#,
];

fn with_ids(frame: &str) -> String {
    frame
        .replace("CONVERSATION", &ConversationId::from_bits(1).to_string())
        .replace("MESSAGE", &MessageId::from_bits(2).to_string())
        .replace("ANSWER", &MessageId::from_bits(3).to_string())
}

fn event(frame: &str) -> Tagged<ClientEvent> {
    parse(frame).unwrap_or_else(|error| panic!("{frame}: {error:?}"))
}

#[test]
fn every_event_is_read_and_written_as_specified() {
    for example in EXAMPLES {
        let frame = with_ids(example);
        assert_eq!(event(&frame).to_json(), frame);
    }
}
