//! The plain language without sockets: what is said, in which order.

use super::protocol::{Ending, PlainProtocol, Reaction, WaitingLimits};
use crate::socket::{Outgoing, Payload};
use banter_seam::{EndReason, Failure};
use proptest::prelude::*;

const LIMITS: WaitingLimits = WaitingLimits { messages: 4, refusals: 8 };

fn protocol() -> PlainProtocol<()> {
    PlainProtocol::new(LIMITS)
}

fn ask(protocol: &mut PlainProtocol<()>, message: &str) -> Reaction {
    let frame = serde_json::json!({ "message": message }).to_string();
    protocol.read(&frame, Some(()))
}

fn stop(protocol: &mut PlainProtocol<()>) -> Reaction {
    protocol.read(r#"{"stop": true}"#, Some(()))
}

fn sent(protocol: &mut PlainProtocol<()>) -> Vec<String> {
    std::iter::from_fn(|| pop(protocol)).collect()
}

/// The next frame, which is text like all frames of the plain language.
fn pop(protocol: &mut PlainProtocol<()>) -> Option<String> {
    match protocol.outbound.pop()? {
        Payload::Text(text) => Some(text),
        Payload::Binary(_) => panic!("the plain language has no binary messages"),
    }
}

fn start(protocol: &mut PlainProtocol<()>) -> String {
    let next = protocol.take_ready().expect("a message whose turn has come");
    next.ask.messages.last().expect("a message").content.clone()
}

fn end(reason: EndReason) -> Ending {
    Ending::End { reason, tokens: Some(7) }
}

/// Ends the running answer, and halts.
fn finish(protocol: &mut PlainProtocol<()>, ending: &Ending) {
    protocol.ended(ending);
    protocol.halted();
}

fn failed() -> Ending {
    Ending::Fault(Failure::Internal { reason: "x".into() }.into())
}

fn is_error(frame: &str, code: &str) -> bool {
    let value: serde_json::Value = serde_json::from_str(frame).unwrap_or_default();
    value["error"]["code"] == code
}

#[test]
fn a_stop_ends_the_answer_at_once_and_drops_what_comes_after() {
    let mut protocol = protocol();
    ask(&mut protocol, "first");
    start(&mut protocol);
    protocol.delta("seen".into());
    assert_eq!(sent(&mut protocol), ["seen"]);
    protocol.delta("not sent yet".into());
    assert_eq!(stop(&mut protocol), Reaction::StopGeneration);
    protocol.delta("too late".into());
    ask(&mut protocol, "second");
    assert!(protocol.take_ready().is_none(), "the first has not halted");
    assert_eq!(sent(&mut protocol), [""]);
    finish(&mut protocol, &end(EndReason::End));
    assert_eq!(start(&mut protocol), "second");
}

#[test]
fn a_stop_drops_what_waits_with_an_end_for_each() {
    let mut protocol = protocol();
    for message in ["running", "a", "b"] {
        ask(&mut protocol, message);
        if message == "running" {
            start(&mut protocol);
        }
    }
    protocol.read("not JSON", Some(()));
    assert_eq!(stop(&mut protocol), Reaction::StopGeneration);
    let frames = sent(&mut protocol);
    assert_eq!(frames[..3], ["", "", ""]);
    assert!(is_error(&frames[3], "bad_json"));
    assert_eq!(frames[4..], [""]);
    finish(&mut protocol, &end(EndReason::End));
    assert!(protocol.take_ready().is_none());
}

#[test]
fn a_stop_while_halting_drops_the_message_that_waits_for_the_halt() {
    let mut protocol = protocol();
    ask(&mut protocol, "first");
    start(&mut protocol);
    stop(&mut protocol);
    ask(&mut protocol, "second");
    assert_eq!(stop(&mut protocol), Reaction::GoOn);
    assert_eq!(sent(&mut protocol), ["", ""]);
    finish(&mut protocol, &end(EndReason::End));
    assert!(protocol.take_ready().is_none());
}

#[test]
fn a_stop_with_nothing_running_is_answered_by_nothing() {
    let mut protocol = protocol();
    assert_eq!(stop(&mut protocol), Reaction::GoOn);
    ask(&mut protocol, "a");
    start(&mut protocol);
    finish(&mut protocol, &end(EndReason::End));
    assert_eq!(sent(&mut protocol), [""]);
    assert_eq!(stop(&mut protocol), Reaction::GoOn);
    assert!(sent(&mut protocol).is_empty());
}

#[test]
fn the_fifth_waiting_message_is_told_busy_in_its_turn() {
    let mut protocol = protocol();
    ask(&mut protocol, "0");
    start(&mut protocol);
    for message in ["1", "2", "3", "4", "5"] {
        assert_eq!(ask(&mut protocol, message), Reaction::GoOn);
    }
    assert!(sent(&mut protocol).is_empty(), "nothing before the running answer's end");
    for expected in ["1", "2", "3", "4"] {
        finish(&mut protocol, &end(EndReason::End));
        assert_eq!(start(&mut protocol), expected);
    }
    assert_eq!(sent(&mut protocol), ["", "", "", ""]);
    finish(&mut protocol, &end(EndReason::End));
    let frames = sent(&mut protocol);
    assert!(frames[0].is_empty() && is_error(&frames[1], "busy") && frames[2].is_empty());
    assert_eq!(frames.len(), 3);
}

#[test]
fn a_message_without_room_is_told_busy() {
    let mut protocol = protocol();
    protocol.read(r#"{"message": "a"}"#, None);
    let frames = sent(&mut protocol);
    assert!(is_error(&frames[0], "busy"), "{frames:?}");
    assert_eq!(frames[1..], [""]);
}

#[test]
fn a_whole_answer_is_one_frame_and_an_empty_one_is_none() {
    for (deltas, expected) in [(vec!["a", "b"], vec!["ab", ""]), (vec![], vec![""])] {
        let mut protocol = protocol();
        protocol.read(r#"{"message": "x", "stream": false}"#, Some(()));
        start(&mut protocol);
        for delta in deltas {
            protocol.delta(delta.into());
            assert!(sent(&mut protocol).is_empty());
        }
        finish(&mut protocol, &end(EndReason::End));
        assert_eq!(sent(&mut protocol), expected);
    }
}

#[test]
fn a_fault_in_the_middle_is_one_frame_before_the_end() {
    let mut protocol = protocol();
    ask(&mut protocol, "a");
    start(&mut protocol);
    protocol.delta("so far".into());
    finish(&mut protocol, &failed());
    let frames = sent(&mut protocol);
    assert_eq!((frames.len(), frames[0].as_str()), (3, "so far"));
    assert!(is_error(&frames[1], "internal") && frames[2].is_empty());
}

/// The frames that a request gets: thoughts, a delta of an answer, and its end.
fn frames_of(request: serde_json::Value, ending: &Ending) -> Vec<String> {
    let mut protocol = protocol();
    protocol.read(&request.to_string(), Some(()));
    start(&mut protocol);
    protocol.thinking("hm".into());
    protocol.delta(r#"{"end":1}"#.into());
    finish(&mut protocol, ending);
    sent(&mut protocol)
}

#[test]
fn reports_come_only_to_clients_that_ask_for_them() {
    for stream in [true, false] {
        let length = end(EndReason::Length);
        let request = serde_json::json!({ "message": "x", "stream": stream });
        assert_eq!(frames_of(request, &length), [r#"{"end":1}"#, ""]);
        let request = serde_json::json!({ "message": "x", "stream": stream, "report_end": true });
        let report = r#"{"end":{"reason":"length","tokens":7}}"#;
        assert_eq!(frames_of(request, &length), ["{", r#""end":1}"#, report, ""]);
        let request =
            serde_json::json!({ "message": "x", "stream": stream, "report_thinking": true });
        assert_eq!(frames_of(request, &length), [r#"{"thinking":"hm"}"#, r#"{"end":1}"#, ""]);
    }
}

#[test]
fn a_client_without_reports_is_told_an_error_where_an_answer_would_look_finished_and_is_not() {
    struct Case {
        reason: EndReason,
        error: Option<&'static str>,
    }
    let cases = [
        Case { reason: EndReason::End, error: None },
        Case { reason: EndReason::StopString, error: None },
        Case { reason: EndReason::Length, error: None },
        Case { reason: EndReason::Stopped, error: None },
        Case { reason: EndReason::Filtered, error: Some("filtered") },
        Case { reason: EndReason::Unavailable, error: Some("unavailable") },
    ];
    for Case { reason, error } in cases {
        let mut frames = frames_of(serde_json::json!({ "message": "x" }), &end(reason));
        assert_eq!((frames.remove(0).as_str(), frames.pop()), (r#"{"end":1}"#, Some("".into())));
        match error {
            Some(code) => assert!(is_error(&frames[0], code), "{reason:?}: {frames:?}"),
            None => assert!(frames.is_empty(), "{reason:?}: {frames:?}"),
        }
        let request = serde_json::json!({ "message": "x", "report_end": true });
        let frames = frames_of(request, &end(reason));
        let report = format!(r#"{{"end":{{"reason":"{}","tokens":7}}}}"#, reason.name());
        assert_eq!(frames[2..], [report, String::new()]);
    }
}

#[test]
fn an_error_stands_in_the_place_of_the_report_of_the_end() {
    let request = serde_json::json!({ "message": "x", "report_end": true });
    let frames = frames_of(request, &failed());
    assert!(is_error(&frames[2], "internal") && frames[3].is_empty(), "{frames:?}");
    assert_eq!(frames.len(), 4);
    let mut protocol = protocol();
    protocol.read(r#"{"message": "x", "report_end": true, "top_p": 9}"#, Some(()));
    let frames = sent(&mut protocol);
    assert!(is_error(&frames[0], "invalid_parameter") && frames[1].is_empty(), "{frames:?}");
    assert_eq!(frames.len(), 2);
}

#[test]
fn a_stop_reports_the_ends_of_all_that_it_ends_when_it_is_read() {
    let mut protocol = protocol();
    let request = r#"{"message": "x", "report_end": true, "report_thinking": true}"#;
    for _ in 0..2 {
        protocol.read(request, Some(()));
    }
    start(&mut protocol);
    protocol.thinking("not sent yet".into());
    let both = r#"{"stop": true, "message": "y", "report_end": true}"#;
    assert_eq!(protocol.read(both, Some(())), Reaction::StopGeneration);
    protocol.thinking("too late".into());
    finish(&mut protocol, &end(EndReason::Stopped));
    let dropped = r#"{"end":{"reason":"stopped","tokens":0}}"#;
    let expected = [r#"{"end":{"reason":"stopped"}}"#, "", dropped, "", dropped, ""];
    assert_eq!(sent(&mut protocol), expected);
    assert!(protocol.take_ready().is_none());
}

#[test]
fn a_message_in_a_stop_is_dropped_with_an_end_of_its_own() {
    let mut protocol = protocol();
    let both = r#"{"stop": true, "message": "a"}"#;
    assert_eq!(protocol.read(both, Some(())), Reaction::GoOn);
    assert_eq!(sent(&mut protocol), [""]);
    ask(&mut protocol, "running");
    start(&mut protocol);
    assert_eq!(protocol.read(both, Some(())), Reaction::StopGeneration);
    assert_eq!(sent(&mut protocol), ["", ""]);
    finish(&mut protocol, &end(EndReason::Stopped));
    assert!(protocol.take_ready().is_none() && sent(&mut protocol).is_empty());
}

#[test]
fn more_refusals_than_an_honest_client_causes_overflow() {
    let mut protocol = protocol();
    ask(&mut protocol, "a");
    start(&mut protocol);
    for _ in 0..LIMITS.refusals {
        assert_eq!(protocol.read("", Some(())), Reaction::GoOn);
    }
    assert_eq!(protocol.read("", Some(())), Reaction::Overflow);
}

#[test]
fn what_waits_behind_a_generation_that_never_halts_is_told() {
    let mut protocol = protocol();
    ask(&mut protocol, "a");
    start(&mut protocol);
    let fault: banter_protocol::Fault =
        Failure::Timeout { seconds: 60, while_doing: Failure::WITHOUT_A_STEP }.into();
    protocol.ended(&Ending::Fault(fault.clone()));
    ask(&mut protocol, "b");
    protocol.refuse_waiting(&fault);
    let frames = sent(&mut protocol);
    assert!(is_error(&frames[0], "timeout") && is_error(&frames[2], "timeout"), "{frames:?}");
    assert_eq!((frames.len(), &frames[1], &frames[3]), (4, &String::new(), &String::new()));
}

/// One thing that can happen on a socket.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Ask,
    AskWhole,
    AskReported,
    BadFrame,
    Stop,
    StopWithMessage,
    Think,
    Delta,
    Finish,
    Fail,
    Send,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop::sample::select(vec![
        Ask,
        AskWhole,
        AskReported,
        BadFrame,
        Stop,
        StopWithMessage,
        Think,
        Delta,
        Finish,
        Fail,
        Send,
    ])
}

/// Plays a story and returns how many messages were sent and the frames that came back.
fn play(story: &[Happening]) -> (usize, Vec<String>) {
    let limits = WaitingLimits { messages: 4, refusals: usize::MAX };
    let mut protocol = PlainProtocol::new(limits);
    let (mut messages, mut frames, mut generating) = (0, Vec::new(), false);
    for happening in story {
        match happening {
            Happening::Ask => {
                messages += 1;
                protocol.read(r#"{"message":"m"}"#, Some(()));
            }
            Happening::AskWhole => {
                messages += 1;
                protocol.read(r#"{"message":"m","stream":false}"#, Some(()));
            }
            Happening::AskReported => {
                messages += 1;
                let frame = r#"{"message":"m","report_end":true,"report_thinking":true}"#;
                protocol.read(frame, Some(()));
            }
            Happening::StopWithMessage => {
                messages += 1;
                protocol.read(r#"{"stop":true,"message":"m"}"#, Some(()));
            }
            Happening::Think if generating => protocol.thinking("thought".into()),
            Happening::BadFrame => {
                messages += 1;
                protocol.read("{", Some(()));
            }
            Happening::Stop => {
                protocol.read(r#"{"stop":true}"#, Some(()));
            }
            Happening::Delta if generating => protocol.delta("delta".into()),
            Happening::Finish if generating => {
                generating = false;
                finish(&mut protocol, &end(EndReason::End));
            }
            Happening::Fail if generating => {
                generating = false;
                finish(&mut protocol, &failed());
            }
            Happening::Send => frames.extend(pop(&mut protocol)),
            Happening::Think | Happening::Delta | Happening::Finish | Happening::Fail => {}
        }
        if !generating {
            generating = protocol.take_ready().is_some();
        }
    }
    while generating {
        finish(&mut protocol, &end(EndReason::End));
        generating = protocol.take_ready().is_some();
    }
    frames.extend(sent(&mut protocol));
    (messages, frames)
}

proptest! {
    #[test]
    fn every_message_gets_exactly_one_end(story in prop::collection::vec(happening(), 0..60)) {
        let (messages, frames) = play(&story);
        let ends = frames.iter().filter(|frame| frame.is_empty()).count();
        prop_assert_eq!(ends, messages);
        prop_assert!(frames.last().is_none_or(String::is_empty), "frames after the last end");
    }
}
