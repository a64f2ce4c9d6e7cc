use super::with_ids;
use crate::Settable;
use crate::v1::client::Key;
use crate::v1::{ClientEvent, ConversationId, ErrorCode, Parameters, Tagged, V1Error, parse};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One event of each type as a client may write it.
const EXAMPLES: [&str; 16] = [
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
    r#"{"type":"hello","key":"k","visitor":"0123456789abcdef0123456789abcdef"}"#,
];

fn event(frame: &str) -> Tagged<ClientEvent> {
    parse(frame).unwrap_or_else(|error| panic!("{frame:.200}: {error:?}"))
}

fn refused(frame: &str) -> Tagged<V1Error> {
    parse(frame).err().unwrap_or_else(|| panic!("{frame:.200}: expected an error"))
}

#[test]
fn every_event_is_read_and_written_as_specified() {
    for example in EXAMPLES {
        let frame = with_ids(example);
        assert_eq!(event(&frame).to_json(), frame);
    }
}

/// What a field may be.
#[derive(Clone, Copy)]
struct Kind {
    expected: &'static str,
    good: &'static [&'static str],
    wrong: &'static [&'static str],
}

const ID: Kind = Kind {
    expected: "an id of 26 characters of a-z and 2-7",
    good: &["\"aaaaaaaaaaaaaaaaaaaaaaaaaa\"", "\"77777777777777777777777774\""],
    wrong: &[
        "\"\"",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaab\"",
        "\"Aaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "5",
        "true",
        "[]",
        "{}",
    ],
};
const SHORT_NAME: &str = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";
const LONG_NAME: &str = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";
const CLIENT_ID: Kind = Kind {
    expected: "a string of 1 to 64 bytes",
    good: &["\"a\"", SHORT_NAME],
    wrong: &["\"\"", LONG_NAME, "5", "true", "[\"a\"]", "{}"],
};
const TAG: Kind = Kind {
    expected: "a string of at most 64 bytes",
    good: &["\"\"", SHORT_NAME],
    wrong: &[LONG_NAME, "5", "false", "[]", "{}"],
};
const TEXT: Kind = Kind {
    expected: "a string that is not empty",
    good: &["\"a\"", "\" \"", "\"a\\u0000b\"", "\"\\ud83d\\ude00\""],
    wrong: &["\"\"", "5", "true", "[\"a\"]", "{}"],
};
const ANY_TEXT: Kind =
    Kind { expected: "a string", good: &["\"\"", "\"a\""], wrong: &["5", "true", "[\"a\"]", "{}"] };
const POSITION: Kind = Kind {
    expected: "a whole number from 0 to 18446744073709551615",
    good: &["0", "5.0", "-0.0", "18446744073709551615"],
    wrong: &["-1", "0.5", "18446744073709551616", "1e308", "\"5\"", "true", "[]", "{}"],
};
const KEY: Kind = Kind {
    expected: "a string of 1 to 1024 bytes",
    good: &["\"k\""],
    wrong: &["\"\"", "5", "true", "[]", "{}"],
};
const VISITOR: Kind = Kind {
    expected: "a string of 26 to 64 bytes",
    good: &["\"abcdefghijklmnopqrstuvwxyz\"", SHORT_NAME],
    wrong: &["\"\"", "\"abcdefghijklmnopqrstuvwxy\"", LONG_NAME, "5", "true", "[]", "{}"],
};
const PARAMETERS: Kind = Kind {
    expected: "an object of parameters",
    good: &["{}", "{\"unknown\":[]}"],
    wrong: &["5", "true", "[]", "\"a\""],
};

struct Field {
    name: &'static str,
    kind: Kind,
    /// Whether the event may lack it.
    optional: bool,
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, optional: false }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, optional: true }
}

struct EventFields {
    /// The smallest event of the type.
    smallest: &'static str,
    fields: &'static [Field],
}

const EVENTS: [EventFields; 11] = [
    EventFields {
        smallest: r#"{"type":"hello"}"#,
        fields: &[optional("key", KEY), optional("visitor", VISITOR)],
    },
    EventFields {
        smallest: r#"{"type":"open","conversation":"CONVERSATION"}"#,
        fields: &[required("conversation", ID)],
    },
    EventFields {
        smallest: r#"{"type":"close","conversation":"CONVERSATION"}"#,
        fields: &[required("conversation", ID)],
    },
    EventFields {
        smallest: r#"{"type":"send","text":"a","client_id":"c"}"#,
        fields: &[
            optional("conversation", ID),
            required("text", TEXT),
            required("client_id", CLIENT_ID),
            optional("system", ANY_TEXT),
            optional("parameters", PARAMETERS),
        ],
    },
    EventFields {
        smallest: r#"{"type":"edit","conversation":"CONVERSATION","message":"MESSAGE","text":"a","client_id":"c"}"#,
        fields: &[
            required("conversation", ID),
            required("message", ID),
            required("text", TEXT),
            required("client_id", CLIENT_ID),
            optional("parameters", PARAMETERS),
        ],
    },
    EventFields {
        smallest: r#"{"type":"regenerate","conversation":"CONVERSATION","message":"MESSAGE","client_id":"c"}"#,
        fields: &[
            required("conversation", ID),
            required("message", ID),
            required("client_id", CLIENT_ID),
            optional("parameters", PARAMETERS),
        ],
    },
    EventFields {
        smallest: r#"{"type":"continue","conversation":"CONVERSATION","message":"MESSAGE","client_id":"c"}"#,
        fields: &[
            required("conversation", ID),
            required("message", ID),
            required("client_id", CLIENT_ID),
            optional("parameters", PARAMETERS),
        ],
    },
    EventFields {
        smallest: r#"{"type":"stop","answer":"ANSWER"}"#,
        fields: &[required("answer", ID)],
    },
    EventFields {
        smallest: r#"{"type":"resume","answer":"ANSWER","at":3}"#,
        fields: &[
            required("answer", ID),
            required("at", POSITION),
            optional("thinking_at", POSITION),
        ],
    },
    EventFields {
        smallest: r#"{"type":"draft","text":"a"}"#,
        fields: &[
            optional("conversation", ID),
            required("text", ANY_TEXT),
            optional("system", ANY_TEXT),
        ],
    },
    EventFields { smallest: r#"{"type":"ping"}"#, fields: &[] },
];

impl EventFields {
    fn object(&self) -> Map<String, Value> {
        match serde_json::from_str(&with_ids(self.smallest)) {
            Ok(Value::Object(object)) => object,
            other => panic!("{}: {other:?}", self.smallest),
        }
    }

    /// The frame with this text as the value of a field. The text may be a number that
    /// `serde_json::Value` cannot hold.
    fn with(&self, field: &str, value: &str) -> String {
        let mut object = self.object();
        object.remove(field);
        let rest = Value::Object(object).to_string();
        let rest = rest.strip_prefix('{').expect("an object");
        format!("{{\"{field}\":{value},{rest}")
    }

    fn without(&self, field: &str) -> String {
        let mut object = self.object();
        object.remove(field);
        Value::Object(object).to_string()
    }
}

fn check_refused(frame: &str, field: &str, expected: &str) {
    let error = refused(frame).event;
    assert_eq!(error.code, ErrorCode::InvalidParameter, "{frame}");
    assert_eq!(error.details.field.as_deref(), Some(field), "{frame}");
    assert_eq!(error.details.expected.as_deref(), Some(expected), "{frame}");
    let found = error.details.found.as_deref().expect("what was found");
    assert_eq!(error.message, format!("{field}: expected {expected}, found {found}"));
    assert!(found.chars().count() <= 60, "{found}");
}

#[test]
fn every_field_takes_what_it_may_be_and_refuses_the_rest_by_name() {
    for case in &EVENTS {
        let tag = optional("tag", TAG);
        for field in case.fields.iter().chain([&tag]) {
            for value in field.kind.good {
                event(&case.with(field.name, value));
            }
            for value in field.kind.wrong {
                check_refused(&case.with(field.name, value), field.name, field.kind.expected);
            }
            let (null, missing) = (case.with(field.name, "null"), case.without(field.name));
            if field.optional {
                assert_eq!(event(&null), event(&missing), "{null}");
            } else {
                check_refused(&null, field.name, field.kind.expected);
                check_refused(&missing, field.name, field.kind.expected);
                let found = |frame: &str| refused(frame).event.details.found;
                assert_eq!(found(&null).as_deref(), Some("null"));
                assert_eq!(found(&missing).as_deref(), Some("nothing"));
            }
        }
    }
}

#[test]
fn the_table_has_every_event_and_every_field_of_the_schema() {
    let schema = schemars::schema_for!(ClientEvent).to_value();
    let variants = schema["oneOf"].as_array().expect("a list of variants");
    assert_eq!(variants.len(), EVENTS.len());
    for (variant, case) in variants.iter().zip(&EVENTS) {
        assert_eq!(variant["properties"]["type"]["const"], case.object()["type"]);
        let name = variant["$ref"].as_str().map(|path| path.rsplit('/').next().expect("a name"));
        let definition = name.map_or(&Value::Null, |name| &schema["$defs"][name]["properties"]);
        let fields = definition.as_object().into_iter().flat_map(|fields| fields.keys());
        let specified: BTreeSet<&str> =
            fields.map(String::as_str).filter(|field| *field != "parent").collect();
        let tested: BTreeSet<&str> = case.fields.iter().map(|field| field.name).collect();
        assert_eq!(tested, specified, "{}", case.smallest);
    }
}

#[test]
fn every_parameter_takes_what_it_may_be_and_refuses_the_rest_by_name() {
    let number = |expected, good, wrong| Kind { expected, good, wrong };
    let cases = [
        (
            "max_tokens",
            number(
                "a whole number from 1 to 1000000",
                &["1", "1000000", "5.0", "1e6"],
                &["0", "-1", "1000001", "1.5", "2147483648", "\"5\"", "true", "[]", "{}"],
            ),
        ),
        (
            "temperature",
            number(
                "a number from 0.0 to 2.0",
                &["0", "2", "0.0", "1e-300"],
                &["-0.1", "2.1", "1e308", "-1", "\"1\"", "false", "[]", "{}"],
            ),
        ),
        (
            "top_p",
            number(
                "a number above 0.0, at most 1.0",
                &["1", "0.01", "1e-30"],
                &["0", "0.0", "1e-300", "-0.5", "1.01", "\"1\"", "true"],
            ),
        ),
        (
            "top_k",
            number(
                "a whole number from 0 to 1000000",
                &["0", "40.0", "1000000"],
                &["-1", "0.5", "1000001", "\"1\""],
            ),
        ),
        ("min_p", number("a number from 0.0 to 1.0", &["0", "1"], &["-0.5", "1.5", "\"1\""])),
        (
            "repetition_penalty",
            number("a number from 0.5 to 2.0", &["0.5", "2"], &["0.4", "2.5", "\"1\""]),
        ),
        (
            "presence_penalty",
            number("a number from -2.0 to 2.0", &["-2", "2"], &["-2.5", "3", "\"1\""]),
        ),
        (
            "frequency_penalty",
            number("a number from -2.0 to 2.0", &["-2.0", "2.0"], &["-3", "2.01", "\"1\""]),
        ),
        (
            "seed",
            number(
                "a whole number from 0 to 18446744073709551615",
                &["0", "7.0", "9007199254740993", "18446744073709551615"],
                &["-1", "0.5", "9007199254740992.0", "18446744073709551616", "\"1\""],
            ),
        ),
        (
            "stop",
            number(
                "a string or at most 16 strings",
                &["\"x\"", "[]", "[\"x\",\"y\"]"],
                &["true", "false", "5", "{}", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"],
            ),
        ),
    ];
    assert_eq!(cases.map(|(name, _)| name).len(), crate::plain::PARAMETERS.len());
    for case in EVENTS.iter().filter(|case| case.fields.iter().any(|f| f.name == "parameters")) {
        for (name, kind) in &cases {
            let frame = |value: &str| case.with("parameters", &format!("{{\"{name}\":{value}}}"));
            for value in kind.good {
                event(&frame(value));
            }
            for value in kind.wrong {
                check_refused(&frame(value), &format!("parameters.{name}"), kind.expected);
            }
            assert_eq!(event(&frame("null")), event(&case.without("parameters")), "{name}");
        }
    }
}

#[test]
fn a_wrong_string_in_a_list_is_named_by_its_index() {
    let send = &EVENTS[3];
    let long = format!("[\"a\",\"b\",\"{}\"]", "x".repeat(257));
    let cases = [("[\"a\",\"\"]", 1), ("[5]", 0), ("[\"a\",\"b\",\"c\",null]", 3), (&long, 2)];
    for (list, index) in cases {
        let frame = send.with("parameters", &format!("{{\"stop\":{list}}}"));
        let field = format!("parameters.stop[{index}]");
        check_refused(&frame, &field, "a string of 1 to 256 bytes");
    }
}

#[test]
fn parameters_become_those_of_the_seam() {
    let all = event(&with_ids(EXAMPLES[5])).event;
    let ClientEvent::Send(send) = all else { panic!("{all:?}") };
    let expected = banter_seam::Parameters {
        max_tokens: 5,
        temperature: Some(0.5),
        top_p: Some(0.01),
        repetition_penalty: Some(1.25),
        top_k: Some(3),
        min_p: Some(0.25),
        presence_penalty: Some(-1.5),
        frequency_penalty: Some(2.0),
        logit_bias: Vec::new(),
        seed: Some(u64::MAX),
        stop_strings: vec!["x".into(), "y".into()],
    };
    let none = Parameters::default();
    assert_eq!(send.parameters.clone().over(&none).into_seam(), expected);
    assert_eq!(none.clone().over(&send.parameters).into_seam(), expected);
    assert_eq!(none.into_seam().max_tokens, 2_048);
}

#[test]
fn a_missing_parent_is_not_null() {
    let with_parent = |parent: &str| {
        let frame = format!(
            r#"{{"type":"send","conversation":"CONVERSATION",{parent}"text":"a","client_id":"c"}}"#
        );
        match event(&with_ids(&frame)).event {
            ClientEvent::Send(send) => send.parent,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with_parent(""), Settable::Missing);
    assert_eq!(with_parent(r#""parent":null,"#), Settable::Null);
    assert!(matches!(with_parent(r#""parent":"ANSWER","#), Settable::Value(_)));
    for kind in ["send", "draft"] {
        for wrong in ID.wrong {
            let frame = format!(
                r#"{{"type":"{kind}","conversation":"CONVERSATION","parent":{wrong},"text":"a","client_id":"c"}}"#
            );
            check_refused(&with_ids(&frame), "parent", ID.expected);
        }
    }
}

#[test]
fn a_new_conversation_has_no_parent_and_an_old_one_has_its_system_prompt() {
    for kind in ["send", "draft"] {
        let frame = format!(
            r#"{{"type":"{kind}","parent":"ANSWER","text":"a","client_id":"c","tag":"t"}}"#
        );
        let expected = "no message, because a new conversation has none";
        check_refused(&with_ids(&frame), "parent", expected);
        let frame = format!(
            r#"{{"type":"{kind}","conversation":"CONVERSATION","system":"s","text":"a","client_id":"c"}}"#
        );
        let expected = "none, because the conversation has one: PATCH changes it";
        check_refused(&with_ids(&frame), "system", expected);
    }
}

#[test]
fn an_event_of_an_unknown_type_is_named() {
    let expected =
        "hello, open, close, send, edit, regenerate, continue, stop, resume, draft or ping";
    for (frame, found) in [
        (r#"{"type":"halt"}"#, "\"halt\""),
        (r#"{"type":"Send"}"#, "\"Send\""),
        (r#"{"type":""}"#, "\"\""),
    ] {
        let error = refused(frame).event;
        assert_eq!(error.code, ErrorCode::UnknownEvent, "{frame}");
        assert_eq!(error.message, format!("type: expected {expected}, found {found}"));
    }
    for frame in ["{}", r#"{"type":null}"#, r#"{"type":5}"#, r#"{"type":["send"]}"#] {
        check_refused(frame, "type", expected);
    }
}

#[test]
fn a_tag_survives_into_the_error() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let frames = [
        r#"{"tag":"t","type":"halt"}"#.to_owned(),
        r#"{"type":"send","tag":"t"}"#.to_owned(),
        r#"{"type":"send","x":1e400,"tag":"t"}"#.to_owned(),
        r#"{"type":"send","text":"\ud800","tag":"t"}"#.to_owned(),
        r#"{"type":"send","type":"send","tag":"t"}"#.to_owned(),
        format!(r#"{{"type":"send","text":{deep},"tag":"t"}}"#),
    ];
    for frame in frames {
        let tag = refused(&frame).tag.unwrap_or_else(|| panic!("{frame:.80}: no tag"));
        assert_eq!(tag.as_str(), "t");
    }
    let without = [
        r#"["tag","t"]"#,
        r#"{"type":"halt","tag":5}"#,
        r#"{"type":"ping","tag":"t","tag":"t"}"#,
        r#"{"type":"ping","tag":"t""#,
    ];
    for frame in without {
        assert_eq!(refused(frame).tag, None, "{frame}");
    }
}

#[test]
fn hostile_json_is_one_typed_error() {
    let deep_list = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let many = format!(r#"{{"type":"ping","x":[{}0]}}"#, "0,".repeat(500_000));
    let cases = [
        "",
        " ",
        "null",
        "true",
        "5",
        "[]",
        "\"ping\"",
        "{",
        "{}x",
        "{\"type\":\"ping\"}{\"type\":\"ping\"}",
        "{\"type\":\"ping\",}",
        "{'type':'ping'}",
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","x":1,"x":1}"#,
        r#"{"type":"ping","t\u0079pe":"ping"}"#,
        r#"{"type":"send","parameters":{"seed":1,"seed":1}}"#,
        r#"{"type":"send","parameters":{"temperature":1e400}}"#,
        r#"{"type":"send","parameters":{"temperature":NaN}}"#,
        r#"{"type":"send","parameters":{"temperature":-Infinity}}"#,
        r#"{"type":"ping","x":1e400}"#,
        r#"{"type":"send","text":"\ud800"}"#,
        r#"{"type":"send","text":"\udc00\ud800"}"#,
        r#"{"type":"ping","\ud800":1}"#,
        "{\"type\":\"ping\",\"x\":\"\0\"}",
        "{\"type\":\"ping\"}\0",
        "\u{feff}{\"type\":\"ping\"}",
        &deep_list,
        &deep_object,
        &format!(r#"{{"type":"ping","x":{deep_list}}}"#),
        &many,
    ];
    for frame in cases {
        let error = refused(frame).event;
        assert_eq!(error.code, ErrorCode::BadJson, "{frame:.80}: {error}");
        assert!(error.message.len() < 200, "{error}");
    }
}

#[test]
fn what_is_unusual_but_legal_is_taken() {
    let frames = [
        " \t\r\n{ \"type\" : \"ping\" } \n",
        r#"{"t\u0079pe":"\u0070ing"}"#,
        r#"{"type":"ping","later":{"type":"stop","type2":[1,2.5,null]}}"#,
        r#"{"x":99999999999999999999999,"type":"ping"}"#,
    ];
    for frame in frames {
        assert_eq!(event(frame).event, ClientEvent::Ping, "{frame}");
    }
}

#[test]
fn a_key_is_repeated_neither_in_an_error_nor_in_debug() {
    let secret = "sk-".repeat(400);
    let error = refused(&format!(r#"{{"type":"hello","key":"{secret}"}}"#));
    assert!(!format!("{error:?}").contains("sk-"), "{error:?}");
    assert_eq!(error.event.details.found.as_deref(), Some("something else"));
    let hello = event(r#"{"type":"hello","key":"sk-1"}"#);
    assert!(!format!("{hello:?}").contains("sk-"), "{hello:?}");
    let ClientEvent::Hello(hello) = hello.event else { panic!("{hello:?}") };
    assert_eq!(hello.key.as_ref().map(Key::expose), Some("sk-1"));
    let hello = event(r#"{"type":"hello","visitor":"sk-abcdefghijklmnopqrstuvwxyz"}"#);
    assert!(!format!("{hello:?}").contains("sk-"), "{hello:?}");
}

#[test]
fn what_was_found_is_shortened() {
    let id = "x".repeat(100_000);
    let error = refused(&json!({ "type": "open", "conversation": id }).to_string()).event;
    assert!(error.details.found.expect("found").len() < 60);
    let name = refused(&json!({ "type": id }).to_string()).event;
    assert!(name.message.len() < 200);
}

#[test]
fn ids_in_events_are_those_of_the_text() {
    let frame = with_ids(r#"{"type":"open","conversation":"CONVERSATION"}"#);
    let ClientEvent::Open(open) = event(&frame).event else { panic!("{frame}") };
    assert_eq!(open.conversation, ConversationId::from_bits(1));
}
