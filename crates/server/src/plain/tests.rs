//! The plain language without sockets: what is said, in which order.

use super::conversation::{Conversation, Reaction, WaitingLimits};
use crate::socket::Outgoing;
use banter_protocol::Fault;
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
    conversation.finished(None);
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
    conversation.finished(None);
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
    conversation.finished(None);
    assert!(conversation.start_next().is_none());
}

#[test]
fn a_stop_with_nothing_running_is_answered_by_nothing() {
    let mut conversation = conversation();
    assert_eq!(stop(&mut conversation), Reaction::GoOn);
    ask(&mut conversation, "a");
    start(&mut conversation);
    conversation.finished(None);
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
        conversation.finished(None);
        assert_eq!(start(&mut conversation), expected);
    }
    assert_eq!(sent(&mut conversation), ["", "", "", ""]);
    conversation.finished(None);
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
        conversation.finished(None);
        assert_eq!(sent(&mut conversation), expected);
    }
}

#[test]
fn a_fault_in_the_middle_is_one_frame_before_the_end() {
    let mut conversation = conversation();
    ask(&mut conversation, "a");
    start(&mut conversation);
    conversation.delta("so far".into());
    conversation.finished(Some(&Fault::Internal { reason: "x".into() }));
    let frames = sent(&mut conversation);
    assert_eq!((frames.len(), frames[0].as_str()), (3, "so far"));
    assert!(is_error(&frames[1], "internal") && frames[2].is_empty());
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
    BadFrame,
    Stop,
    Delta,
    Finish,
    Fail,
    Send,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop::sample::select(vec![Ask, AskWhole, BadFrame, Stop, Delta, Finish, Fail, Send])
}

/// Plays a story and returns how many messages were sent and the frames that came back.
fn play(story: &[Happening]) -> (usize, Vec<String>) {
    let limits = WaitingLimits { messages: 4, refusals: usize::MAX };
    let mut conversation = Conversation::new(limits);
    let (mut messages, mut frames, mut generating) = (0, Vec::new(), false);
    let fault = Fault::Internal { reason: "x".into() };
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
                conversation.finished(None);
            }
            Happening::Fail if generating => {
                generating = false;
                conversation.finished(Some(&fault));
            }
            Happening::Send => frames.extend(conversation.outbound.pop()),
            Happening::Delta | Happening::Finish | Happening::Fail => {}
        }
        if !generating {
            generating = conversation.start_next().is_some();
        }
    }
    while generating {
        conversation.finished(None);
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
