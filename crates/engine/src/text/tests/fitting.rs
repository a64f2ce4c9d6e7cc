//! A history that does not fit loses whole turns.

use super::*;
use crate::text::TextError;

fn conversation(turns: usize) -> Vec<Message> {
    let mut messages = vec![message(Role::System, "be kind")];
    for turn in 0..turns {
        messages.push(message(Role::User, &format!("question {turn}")));
        messages.push(message(Role::Assistant, &format!("answer {turn}")));
    }
    messages.push(message(Role::User, "last"));
    messages
}

#[test]
fn a_history_that_fits_is_whole() {
    let text = chatml();
    let messages = conversation(5);
    let ids = text.prompt(&messages).expect("it renders");
    let prompt = text.fit(&messages, ids.len() + 10, 10).expect("it fits");
    assert_eq!((prompt.ids, prompt.dropped_messages), (ids, 0));
}

#[test]
fn the_fewest_whole_turns_go_from_the_oldest_and_the_system_message_stays() {
    let text = chatml();
    let messages = conversation(20);
    for kept_turns in 0..20 {
        let dropped = 2 * (20 - kept_turns);
        let kept: Vec<Message> =
            messages[..1].iter().chain(&messages[1 + dropped..]).cloned().collect();
        let ids = text.prompt(&kept).expect("it renders");
        for room in [0, 5] {
            let prompt = text.fit(&messages, ids.len() + room, 0).expect("it fits");
            assert_eq!((&prompt.ids, prompt.dropped_messages), (&ids, dropped));
        }
    }
}

#[test]
fn a_message_that_does_not_fit_alone_is_refused_with_the_numbers() {
    let text = chatml();
    let messages = conversation(3);
    let shortest = text.prompt(&[messages[0].clone(), messages[7].clone()]).expect("it renders");
    let limit = shortest.len() - 1;
    let refused = text.fit(&messages, limit + 7, 7);
    assert_eq!(refused, Err(TextError::TooLong { tokens: shortest.len(), limit }));
}

#[test]
fn a_history_that_starts_with_an_answer_loses_it_with_the_first_turn() {
    let text = chatml();
    let messages = [
        message(Role::Assistant, "welcome"),
        message(Role::User, "one"),
        message(Role::Assistant, "two"),
        message(Role::User, "three"),
    ];
    let last = text.prompt(&messages[3..]).expect("it renders");
    let prompt = text.fit(&messages, last.len(), 0).expect("it fits");
    assert_eq!((prompt.ids, prompt.dropped_messages), (last, 3));
}
