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
fn whole_turns_go_from_the_oldest_and_the_system_message_stays() {
    let text = chatml();
    let messages = conversation(20);
    let without = |dropped: usize| {
        let kept: Vec<Message> =
            messages[..1].iter().chain(&messages[1 + dropped..]).cloned().collect();
        text.prompt(&kept).expect("it renders")
    };
    for kept_turns in 0..20 {
        let fewest = 2 * (20 - kept_turns);
        let most = fewest + 2 * (kept_turns / 2 + 1).min(kept_turns);
        for room in [0, 5] {
            let prompt = text.fit(&messages, without(fewest).len() + room, 0).expect("it fits");
            let dropped = prompt.dropped_messages;
            assert!((fewest..=most).contains(&dropped), "{dropped} of {fewest} to {most}");
            assert_eq!(prompt.ids, without(dropped));
        }
    }
}

/// Turns that follow each other mostly begin with what the one before has computed.
#[test]
fn a_conversation_that_outgrows_the_room_seldom_loses_its_beginning() {
    let text = chatml();
    for room in [1_000, 2_000] {
        let (mut lost, mut kept, mut outgrown) = (0, 0, 0);
        let mut before: Vec<TokenId> = Vec::new();
        for turns in 0..200 {
            let prompt = text.fit(&conversation(turns), room, 40).expect("it fits");
            if prompt.dropped_messages > 0 {
                outgrown += 1;
                // Behind the newest question another answer follows.
                let common = prompt.ids.iter().zip(&before).take_while(|(a, b)| a == b).count();
                lost += usize::from(common + 60 < before.len());
                kept += prompt.ids.len();
            }
            before = prompt.ids;
        }
        assert!(outgrown > 50, "{outgrown}");
        assert!(lost * 4 <= outgrown, "{lost} of {outgrown} turns in a room of {room}");
        assert!(kept / outgrown > room / 2, "{} of {room} tokens are used", kept / outgrown);
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

#[test]
fn a_history_far_too_long_is_fitted_too() {
    let text = chatml();
    let long = conversation(2_000);
    for room in [100, 1_000, 2_000] {
        let prompt = text.fit(&long, room, 0).expect("it fits");
        assert!((room / 2..=room).contains(&prompt.ids.len()), "{} of {room}", prompt.ids.len());
        let kept = [&long[..1], &long[1 + prompt.dropped_messages..]].concat();
        assert!(prompt.ids == text.prompt(&kept).expect("it renders"));
    }
}

#[test]
fn a_conversation_without_a_turn_is_fitted_or_refused() {
    let text = chatml();
    for messages in [vec![], conversation(0)[..1].to_vec(), vec![message(Role::Assistant, "x")]] {
        let ids = text.prompt(&messages).expect("it renders");
        let fitted = text.fit(&messages, ids.len(), 0).expect("it fits");
        assert_eq!((&fitted.ids, fitted.dropped_messages), (&ids, 0));
        let refused = text.fit(&messages, ids.len() - 1, 0);
        assert_eq!(refused, Err(TextError::TooLong { tokens: ids.len(), limit: ids.len() - 1 }));
    }
}
