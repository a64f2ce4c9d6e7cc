use super::*;
use crate::Fault;
use banter_seam::{EndReason, Failure, Message, Parameters, Role};
use proptest::prelude::*;

fn ask(frame: &str) -> Ask {
    match parse(frame) {
        Ok(ClientMessage::Ask(ask)) => *ask,
        other => panic!("{frame}: expected a message, found {other:?}"),
    }
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

#[test]
fn a_message_alone_takes_the_defaults() {
    let ask = ask(r#"{"message": "你好"}"#);
    assert_eq!(ask.messages, [message(Role::User, "你好")]);
    assert_eq!((ask.delivery, ask.reports), (Delivery::Streamed, Reports::default()));
    assert_eq!(ask.parameters.max_tokens, 2_048);
    assert_eq!(ask.parameters.temperature, None);
    assert!(ask.parameters.stop_strings.is_empty());
}

#[test]
fn every_parameter_is_read() {
    let ask = ask(r#"{"message":"a","stream":false,"max_tokens":7,"temperature":1,"top_p":0.5,
        "repetition_penalty":1.25,"top_k":3,"min_p":0.25,"presence_penalty":-1.5,
        "frequency_penalty":2,"seed":18446744073709551615,"stop":["x","y"]}"#);
    assert_eq!(ask.delivery, Delivery::Whole);
    let expected = Parameters {
        max_tokens: 7,
        temperature: Some(1.0),
        top_p: Some(0.5),
        repetition_penalty: Some(1.25),
        top_k: Some(3),
        min_p: Some(0.25),
        presence_penalty: Some(-1.5),
        frequency_penalty: Some(2.0),
        logit_bias: Vec::new(),
        seed: Some(u64::MAX),
        stop_strings: vec!["x".into(), "y".into()],
    };
    assert_eq!(ask.parameters, expected);
}

#[test]
fn null_is_as_missing() {
    let fields = "history stream max_tokens temperature top_p repetition_penalty top_k min_p \
                  presence_penalty frequency_penalty seed stop report_end report_thinking";
    let nulls: Vec<String> = fields.split(' ').map(|field| format!(r#""{field}":null"#)).collect();
    let frame = format!(r#"{{"message":"a",{}}}"#, nulls.join(","));
    assert_eq!(ask(&frame), ask(r#"{"message":"a"}"#));
}

#[test]
fn a_current_message_in_the_history_counts_once() {
    let twice = ask(
        r#"{"message":"b","history":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#,
    );
    assert_eq!(twice.messages, [message(Role::User, "a"), message(Role::User, "b")]);
    let by_another = ask(r#"{"message":"b","history":[{"role":"assistant","content":"b"}]}"#);
    assert_eq!(by_another.messages, [message(Role::Assistant, "b"), message(Role::User, "b")]);
}

#[test]
fn stop_is_a_command_or_a_list() {
    let stop = |dropped| Ok(ClientMessage::Stop { dropped });
    assert_eq!(parse(r#"{"stop": true}"#), stop(None));
    assert_eq!(parse(r#"{"stop": true, "message": null}"#), stop(None));
    for message in [r#""a""#, r#""""#, "5"] {
        let frame = format!(r#"{{"stop": true, "message": {message}}}"#);
        assert_eq!(parse(&frame), stop(Some(Reports::default())), "{frame}");
    }
    let wants_end = Reports { end: true, thinking: false };
    let frame = r#"{"stop": true, "message": "a", "report_end": true}"#;
    assert_eq!(parse(frame), stop(Some(wants_end)));
    assert_eq!(ask(r#"{"message":"a","stop":"END"}"#).parameters.stop_strings, ["END"]);
    assert!(ask(r#"{"message":"a","stop":false}"#).parameters.stop_strings.is_empty());
}

#[test]
fn values_at_the_edge_of_a_range_are_taken_and_those_beyond_are_not() {
    struct Case {
        field: &'static str,
        inside: &'static [&'static str],
        outside: &'static [&'static str],
    }
    let cases = [
        Case {
            field: "max_tokens",
            inside: &["1", "1000000", "5.0", "1e6"],
            outside: &["0", "-1", "1000001", "1.5", "2147483648", "\"5\"", "true", "[]", "-5.0"],
        },
        Case {
            field: "temperature",
            inside: &["0", "0.0", "2", "2.0", "1e-300"],
            outside: &["-0.1", "2.1", "1e308", "\"1\"", "{}", "false", "-1"],
        },
        Case { field: "top_p", inside: &["0.1", "1"], outside: &["0", "0.09", "1.01"] },
        Case { field: "repetition_penalty", inside: &["0.5", "2"], outside: &["0.4", "2.5"] },
        Case {
            field: "top_k",
            inside: &["0", "40", "40.0", "-0.0"],
            outside: &["-1", "1000001", "0.5", "1000001.0"],
        },
        Case { field: "min_p", inside: &["0", "1"], outside: &["-0.5", "1.5"] },
        Case { field: "presence_penalty", inside: &["-2", "2"], outside: &["-2.5", "3"] },
        Case { field: "frequency_penalty", inside: &["-2.0", "2.0"], outside: &["-3", "2.01"] },
        Case {
            field: "seed",
            inside: &["0", "7.0", "9007199254740991.0", "9007199254740993"],
            outside: &["18446744073709551616", "-1", "0.5", "9007199254740992.0", "1e19"],
        },
        Case { field: "stream", inside: &["true", "false"], outside: &["1", "\"true\""] },
        Case { field: "report_end", inside: &["true", "false"], outside: &["1", "\"true\""] },
        Case { field: "report_thinking", inside: &["true", "false"], outside: &["0", "{}"] },
        Case { field: "history", inside: &["[]"], outside: &["{}", "\"a\"", "3"] },
    ];
    for case in cases {
        for value in case.inside {
            ask(&format!(r#"{{"message":"a","{}":{value}}}"#, case.field));
        }
        for value in case.outside {
            let frame = format!(r#"{{"message":"a","{}":{value}}}"#, case.field);
            match parse(&frame) {
                Err(Fault::Failure(Failure::InvalidParameter { field, .. })) => {
                    assert_eq!(field, case.field)
                }
                other => panic!("{frame}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_wrong_field_is_named_with_its_range_and_value() {
    struct Case {
        frame: &'static str,
        message: &'static str,
    }
    let cases = [
        Case { frame: "{}", message: "message: expected a string, found null" },
        Case { frame: r#"{"message":5}"#, message: "message: expected a string, found 5" },
        Case {
            frame: r#"{"message":"a","temperature":9.5}"#,
            message: "temperature: expected a number from 0.0 to 2.0, found 9.5",
        },
        Case {
            frame: r#"{"message":"a","history":[{"role":"user","content":"x"},{"role":"tool","content":"x"}]}"#,
            message: r#"history[1].role: expected system, user or assistant, found "tool""#,
        },
        Case {
            frame: r#"{"message":"a","history":[{"role":"user"}]}"#,
            message: "history[0].content: expected a string, found null",
        },
        Case {
            frame: r#"{"message":"a","history":[["user","x"]]}"#,
            message: "history[0]: expected an object {role, content}, found a list of 2",
        },
        Case {
            frame: r#"{"message":"a","stop":["x",""]}"#,
            message: r#"stop[1]: expected a string of 1 to 256 bytes, found """#,
        },
        Case {
            frame: r#"{"message":"a","stop":["","","","","","","","","","","","","","","","",""]}"#,
            message: "stop: expected true, a string, or at most 16 strings, found a list of 17",
        },
    ];
    for case in cases {
        let fault = parse(case.frame).expect_err(case.frame);
        assert_eq!(fault.to_string(), case.message);
        assert_eq!(fault.code(), "invalid_parameter");
    }
}

#[test]
fn hostile_json_is_one_typed_error() {
    let deep_list = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_field = format!(r#"{{"message":"a","x":{deep_list}}}"#);
    let many = format!(r#"{{"message":"a","x":[{}0]}}"#, "0,".repeat(500_000));
    let frames = [
        "",
        " ",
        "null",
        "[]",
        "\"message\"",
        "{",
        "{}x",
        r#"{"message":"a"}{"message":"b"}"#,
        r#"{"message":"a","message":"b"}"#,
        r#"{"message":"a","history":[{"role":"user","role":"user","content":"x"}]}"#,
        r#"{"message":"a","x":{"y":1,"y":1}}"#,
        r#"{"message":"a","temperature":1e400}"#,
        r#"{"message":"a","temperature":NaN}"#,
        r#"{"message":"\ud800"}"#,
        r#"{"message":"\udc00\ud800"}"#,
        "{\"message\":\"\0\"}",
        "\u{feff}{\"message\":\"a\"}",
        &deep_list,
        &deep_field,
        &many,
    ];
    for frame in frames {
        match parse(frame) {
            Err(Fault::BadJson { .. }) => {}
            other => panic!("{frame:.60}: {other:?}"),
        }
    }
}

#[test]
fn what_is_unusual_but_legal_is_taken() {
    assert_eq!(ask(r#"{"message":"a\u0000b"}"#).messages, [message(Role::User, "a\0b")]);
    assert_eq!(ask(r#"{"message":"\ud83d\ude00"}"#).messages, [message(Role::User, "😀")]);
    assert_eq!(ask(r#"{"message":"","type":"unknown"}"#).messages, [message(Role::User, "")]);
}

#[test]
fn an_error_is_an_object_with_the_only_key_error() {
    let fault = parse(r#"{"message":"a","top_p":7}"#).expect_err("out of range");
    let expected = concat!(
        r#"{"error":{"code":"invalid_parameter","#,
        r#""message":"top_p: expected a number from 0.1 to 1.0, found 7","#,
        r#""field":"top_p","range":"a number from 0.1 to 1.0","value":"7"}}"#
    );
    assert_eq!(fault.to_json(), expected);
    let busy = Failure::Busy { reason: "full".into(), position: 5, estimate_ms: None };
    let busy = Fault::from(busy);
    let expected = r#"{"error":{"code":"busy","message":"full","position":5}}"#;
    assert_eq!(busy.to_json(), expected);
    assert!(split_lookalike(&busy.to_json(), Reports::default()).is_some());
}

#[test]
fn only_a_piece_that_is_an_error_object_is_split() {
    let lookalikes = [
        r#"{"error":1}"#,
        " \t\r\n{ \"error\" : {\"code\": [1, {}]} } \n",
        r#"{"error":1,"error":2}"#,
        r#"{"\u0065rror":1}"#,
        r#"{"error":1e999}"#,
        r#"{"error":"\ud800"}"#,
        &format!(r#"{{"error":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000)),
    ];
    for piece in lookalikes {
        let split = split_lookalike(piece, Reports::default());
        let (first, rest) = split.unwrap_or_else(|| panic!("{piece:.60}"));
        assert_eq!(format!("{first}{rest}"), piece);
        assert!(split_lookalike(first, EVERY_REPORT).is_none());
        assert!(split_lookalike(rest, EVERY_REPORT).is_none());
    }
    let harmless = ["", "{", "{}", r#"{"error":}"#, r#"{"error":1,"a":2}"#, r#"x{"error":1}"#];
    for piece in harmless {
        assert_eq!(split_lookalike(piece, EVERY_REPORT), None, "{piece}");
    }
}

const EVERY_REPORT: Reports = Reports { end: true, thinking: true };

#[test]
fn a_piece_that_is_a_report_is_split_only_for_clients_that_get_such_reports() {
    let (reason, tokens) = (EndReason::Length, Some(2_048));
    let end = AnswerEnd { reason, tokens, dropped_messages: 6 }.to_json();
    let expected = r#"{"end":{"reason":"length","tokens":2048,"dropped_messages":6}}"#;
    assert_eq!(end, expected);
    let (reason, tokens) = (EndReason::Stopped, None);
    let stopped = AnswerEnd { reason, tokens, dropped_messages: 0 }.to_json();
    assert_eq!(stopped, r#"{"end":{"reason":"stopped"}}"#);
    let thinking = thinking_frame("a \"b\"\n");
    assert_eq!(thinking, r#"{"thinking":"a \"b\"\n"}"#);
    let ends = Reports { end: true, thinking: false };
    let thoughts = Reports { end: false, thinking: true };
    for (piece, reports) in [(end, ends), (r#" {"end": 1}"#.into(), ends), (thinking, thoughts)] {
        assert_eq!(split_lookalike(&piece, Reports::default()), None, "{piece}");
        let others = Reports { end: !reports.end, thinking: !reports.thinking };
        assert_eq!(split_lookalike(&piece, others), None, "{piece}");
        for reports in [reports, EVERY_REPORT] {
            let (first, rest) = split_lookalike(&piece, reports).expect("a lookalike");
            assert_eq!(format!("{first}{rest}"), piece);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(frame in ".{0,200}") {
        let _ = parse(&frame);
        let _ = split_lookalike(&frame, EVERY_REPORT);
    }

    #[test]
    fn any_message_comes_back_unchanged(content in "\\PC{0,80}") {
        let frame = serde_json::json!({ "message": content }).to_string();
        prop_assert_eq!(&ask(&frame).messages, &[message(Role::User, &content)]);
    }

    #[test]
    fn splitting_never_leaves_a_lookalike(inner in "[ \\t{}:1\"eror]{0,24}") {
        let piece = format!("{{\"error\":{inner}}}");
        if let Some((first, rest)) = split_lookalike(&piece, EVERY_REPORT) {
            prop_assert!(!looks_like_a_report(first, EVERY_REPORT));
            prop_assert!(!looks_like_a_report(rest, EVERY_REPORT));
        }
    }
}
