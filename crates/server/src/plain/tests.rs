//! The plain language without sockets: what is said, in which order.

use super::conversation::{Conversation, Ending, Reaction, WaitingLimits};
use crate::socket::Outgoing;
use banter_protocol::Fault;
use banter_protocol::plain::{AnswerEnd, EndReason};
use proptest::prelude::*;

const LIMITS: WaitingLimits = WaitingLimits { messages: 4, refusals: 8 };

fn conversation() -> Conversation<()> {
    Conversation::new(LIMITS)
}

fn ask(conversation: &mut Conversation<()>, message: &str) -> Reaction {
    let frame = serde_json::json!({ "message": message }).to_string();
    conversation.read(&frame, Some(()))
}

fn stop(conversation: &mut Conversation<()>) -> Reaction {
    conversation.read(r#"{"stop": true}"#, Some(()))
}

fn sent(conversation: &mut Conversation<()>) -> Vec<String> {
    std::iter::from_fn(|| conversation.outbound.pop()).collect()
}

fn start(conversation: &mut Conversation<()>) -> String {
    let next = conversation.start_next().expect("a message whose turn has come");
    next.ask.turns.last().expect("a turn").content.clone()
}

fn end(reason: EndReason) -> Ending {
    Ending::End(AnswerEnd { reason, tokens: Some(7) })
}

fn failed() -> Ending {
    Ending::Fault(Fault::Internal { reason: "x".into() })
}

fn is_error(frame: &str, code: &str) -> bool {
    let value: serde_json::Value = serde_json::from_str(frame).unwrap_or_default();
    value["error"]["code"] == code
}

#[test]
fn a_stop_ends_the_answer_at_once_and_drops_what_comes_after() {
    let mut conversation = conversation();
    ask(&mut conversation, "first");
    start(&mut conversation);
    conversation.delta("seen".into());
    assert_eq!(sent(&mut conversation), ["seen"]);
    conversation.delta("not sent yet".into());
    assert_eq!(stop(&mut conversation), Reaction::StopGeneration);
    conversation.delta("too late".into());
    ask(&mut conversation, "second");
    assert!(conversation.start_next().is_none(), "the first has not halted");
    assert_eq!(sent(&mut conversation), [""]);
    conversation.finished(&end(EndReason::End));
    assert_eq!(start(&mut conversation), "second");
}

#[test]
fn a_stop_drops_what_waits_with_an_end_for_each() {
    let mut conversation = conversation();
    for message in ["running", "a", "b"] {
        ask(&mut conversation, message);
        if message == "running" {
            start(&mut conversation);
        }
    }
    conversation.read("not JSON", Some(()));
    assert_eq!(stop(&mut conversation), Reaction::StopGeneration);
    let frames = sent(&mut conversation);
    assert_eq!(frames[..3], ["", "", ""]);
    assert!(is_error(&frames[3], "bad_json"));
    assert_eq!(frames[4..], [""]);
    conversation.finished(&end(EndReason::End));
    assert!(conversation.start_next().is_none());
}

#[test]
fn a_stop_while_halting_drops_the_message_that_waits_for_the_halt() {
    let mut conversation = conversation();
    ask(&mut conversation, "first");
    start(&mut conversation);
    stop(&mut conversation);
    ask(&mut conversation, "second");
    assert_eq!(stop(&mut conversation), Reaction::GoOn);
    assert_eq!(sent(&mut conversation), ["", ""]);
    conversation.finished(&end(EndReason::End));
    assert!(conversation.start_next().is_none());
}

#[test]
fn a_stop_with_nothing_running_is_answered_by_nothing() {
    let mut conversation = conversation();
    assert_eq!(stop(&mut conversation), Reaction::GoOn);
    ask(&mut conversation, "a");
    start(&mut conversation);
    conversation.finished(&end(EndReason::End));
    assert_eq!(sent(&mut conversation), [""]);
    assert_eq!(stop(&mut conversation), Reaction::GoOn);
    assert!(sent(&mut conversation).is_empty());
}

#[test]
fn the_fifth_waiting_message_is_told_busy_in_its_turn() {
    let mut conversation = conversation();
    ask(&mut conversation, "0");
    start(&mut conversation);
    for message in ["1", "2", "3", "4", "5"] {
        assert_eq!(ask(&mut conversation, message), Reaction::GoOn);
    }
    assert!(sent(&mut conversation).is_empty(), "nothing before the running answer's end");
    for expected in ["1", "2", "3", "4"] {
        conversation.finished(&end(EndReason::End));
        assert_eq!(start(&mut conversation), expected);
    }
    assert_eq!(sent(&mut conversation), ["", "", "", ""]);
    conversation.finished(&end(EndReason::End));
    let frames = sent(&mut conversation);
    assert!(frames[0].is_empty() && is_error(&frames[1], "busy") && frames[2].is_empty());
    assert_eq!(frames.len(), 3);
}

#[test]
fn a_message_without_room_is_told_busy() {
    let mut conversation = conversation();
    conversation.read(r#"{"message": "a"}"#, None);
    let frames = sent(&mut conversation);
    assert!(is_error(&frames[0], "busy"), "{frames:?}");
    assert_eq!(frames[1..], [""]);
}

#[test]
fn a_whole_answer_is_one_frame_and_an_empty_one_is_none() {
    for (pieces, expected) in [(vec!["a", "b"], vec!["ab", ""]), (vec![], vec![""])] {
        let mut conversation = conversation();
        conversation.read(r#"{"message": "x", "stream": false}"#, Some(()));
        start(&mut conversation);
        for piece in pieces {
            conversation.delta(piece.into());
            assert!(sent(&mut conversation).is_empty());
        }
        conversation.finished(&end(EndReason::End));
        assert_eq!(sent(&mut conversation), expected);
    }
}

#[test]
fn a_fault_in_the_middle_is_one_frame_before_the_end() {
    let mut conversation = conversation();
    ask(&mut conversation, "a");
    start(&mut conversation);
    conversation.delta("so far".into());
    conversation.finished(&failed());
    let frames = sent(&mut conversation);
    assert_eq!((frames.len(), frames[0].as_str()), (3, "so far"));
    assert!(is_error(&frames[1], "internal") && frames[2].is_empty());
}

/// The frames that a request gets: thoughts, a piece of an answer, and its end.
fn frames_of(request: serde_json::Value, ending: &Ending) -> Vec<String> {
    let mut conversation = conversation();
    conversation.read(&request.to_string(), Some(()));
    start(&mut conversation);
    conversation.thinking("hm".into());
    conversation.delta(r#"{"end":1}"#.into());
    conversation.finished(ending);
    sent(&mut conversation)
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
    let mut conversation = conversation();
    conversation.read(r#"{"message": "x", "report_end": true, "top_p": 9}"#, Some(()));
    let frames = sent(&mut conversation);
    assert!(is_error(&frames[0], "invalid_parameter") && frames[1].is_empty(), "{frames:?}");
    assert_eq!(frames.len(), 2);
}

#[test]
fn a_stop_reports_the_ends_of_all_that_it_ends_when_it_is_read() {
    let mut conversation = conversation();
    let request = r#"{"message": "x", "report_end": true, "report_thinking": true}"#;
    for _ in 0..2 {
        conversation.read(request, Some(()));
    }
    start(&mut conversation);
    conversation.thinking("not sent yet".into());
    let both = r#"{"stop": true, "message": "y", "report_end": true}"#;
    assert_eq!(conversation.read(both, Some(())), Reaction::StopGeneration);
    conversation.thinking("too late".into());
    conversation.finished(&end(EndReason::Stopped));
    let dropped = r#"{"end":{"reason":"stopped","tokens":0}}"#;
    let expected = [r#"{"end":{"reason":"stopped"}}"#, "", dropped, "", dropped, ""];
    assert_eq!(sent(&mut conversation), expected);
    assert!(conversation.start_next().is_none());
}

#[test]
fn a_message_in_a_stop_is_dropped_with_an_end_of_its_own() {
    let mut conversation = conversation();
    let both = r#"{"stop": true, "message": "a"}"#;
    assert_eq!(conversation.read(both, Some(())), Reaction::GoOn);
    assert_eq!(sent(&mut conversation), [""]);
    ask(&mut conversation, "running");
    start(&mut conversation);
    assert_eq!(conversation.read(both, Some(())), Reaction::StopGeneration);
    assert_eq!(sent(&mut conversation), ["", ""]);
    conversation.finished(&end(EndReason::Stopped));
    assert!(conversation.start_next().is_none() && sent(&mut conversation).is_empty());
}

#[test]
fn more_refusals_than_an_honest_client_causes_overflow() {
    let mut conversation = conversation();
    ask(&mut conversation, "a");
    start(&mut conversation);
    for _ in 0..LIMITS.refusals {
        assert_eq!(conversation.read("", Some(())), Reaction::GoOn);
    }
    assert_eq!(conversation.read("", Some(())), Reaction::Overflow);
}

#[test]
fn what_waits_behind_a_generation_that_never_halts_is_told() {
    let mut conversation = conversation();
    ask(&mut conversation, "a");
    start(&mut conversation);
    let fault = Fault::Timeout { seconds: 60, while_doing: "without a step" };
    conversation.give_up(&fault);
    ask(&mut conversation, "b");
    conversation.refuse_waiting(&fault);
    let frames = sent(&mut conversation);
    assert!(is_error(&frames[0], "timeout") && is_error(&frames[2], "timeout"), "{frames:?}");
    assert_eq!((frames.len(), &frames[1], &frames[3]), (4, &String::new(), &String::new()));
}

/// One thing that can happen to a conversation.
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
    let mut conversation = Conversation::new(limits);
    let (mut messages, mut frames, mut generating) = (0, Vec::new(), false);
    for happening in story {
        match happening {
            Happening::Ask => {
                messages += 1;
                conversation.read(r#"{"message":"m"}"#, Some(()));
            }
            Happening::AskWhole => {
                messages += 1;
                conversation.read(r#"{"message":"m","stream":false}"#, Some(()));
            }
            Happening::AskReported => {
                messages += 1;
                let frame = r#"{"message":"m","report_end":true,"report_thinking":true}"#;
                conversation.read(frame, Some(()));
            }
            Happening::StopWithMessage => {
                messages += 1;
                conversation.read(r#"{"stop":true,"message":"m"}"#, Some(()));
            }
            Happening::Think if generating => conversation.thinking("thought".into()),
            Happening::BadFrame => {
                messages += 1;
                conversation.read("{", Some(()));
            }
            Happening::Stop => {
                conversation.read(r#"{"stop":true}"#, Some(()));
            }
            Happening::Delta if generating => conversation.delta("piece".into()),
            Happening::Finish if generating => {
                generating = false;
                conversation.finished(&end(EndReason::End));
            }
            Happening::Fail if generating => {
                generating = false;
                conversation.finished(&failed());
            }
            Happening::Send => frames.extend(conversation.outbound.pop()),
            Happening::Think | Happening::Delta | Happening::Finish | Happening::Fail => {}
        }
        if !generating {
            generating = conversation.start_next().is_some();
        }
    }
    while generating {
        conversation.finished(&end(EndReason::End));
        generating = conversation.start_next().is_some();
    }
    frames.extend(std::iter::from_fn(|| conversation.outbound.pop()));
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
