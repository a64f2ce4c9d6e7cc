//! A history that does not fit loses whole turns.

use super::*;
use crate::sampler::random::uniform;
use crate::text::{Prompt, TextError};

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

/// Most prompts begin with the tokens of the prompt of the turn before.
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
                // The newest question of the prompt before is now followed by its answer.
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

/// A vocabulary in which a row of dashes takes one token for every 32 bytes.
fn with_rules() -> Text {
    let mut vocabulary = vocabulary();
    for length in [2, 4, 8, 16, 32] {
        let text = "-".repeat(length);
        vocabulary.tokens.push(VocabularyToken { text, kind: TokenKind::Normal });
        let half = "-".repeat(length / 2);
        vocabulary.merges.push((half.clone(), half));
    }
    Text::new(&vocabulary, None).expect("a whole vocabulary")
}

/// The promise of `fit`, written in the simplest way: drops one turn after another until it fits.
fn fit_plainly(text: &Text, messages: &[Message], limit: usize) -> Result<Prompt, TextError> {
    let system = messages.iter().take_while(|message| message.role == Role::System).count();
    let begins = |index: &usize| messages[*index].role == Role::User;
    let mut starts: Vec<usize> = (system..messages.len()).filter(begins).collect();
    if let Some(first) = starts.first_mut() {
        *first = system;
    }
    let start_of = |turn: usize| starts.get(turn).copied().unwrap_or(system);
    let without = |turns: usize| {
        let kept = [&messages[..system], &messages[start_of(turns)..]].concat();
        let ids = text.prompt(&kept).expect("it renders");
        Prompt { ids, dropped_messages: start_of(turns) - system }
    };
    let last = starts.len().saturating_sub(1);
    let Some(fewest) = (0..=last).find(|turns| without(*turns).ids.len() <= limit) else {
        return Err(TextError::TooLong { tokens: without(last).ids.len(), limit });
    };
    if fewest == 0 {
        return Ok(without(0));
    }
    // Drops more turns, up to the first that begins in another piece than the turn before it. The
    // size of a piece is the largest power of two that is at most half of the kept bytes.
    let bytes = |from: usize, to: usize| -> usize {
        messages[from..to].iter().map(|message| message.content.len()).sum()
    };
    let kept_bytes = bytes(start_of(fewest), messages.len());
    let mut piece = 1;
    while 2 * piece <= kept_bytes / 2 {
        piece *= 2;
    }
    let pieces_before = |turn: usize| bytes(system, start_of(turn)) / piece;
    let is_cut = |turn: &usize| pieces_before(*turn) > pieces_before(*turn - 1);
    Ok(without((fewest..last).find(is_cut).unwrap_or(last)))
}

/// Rows of dashes, words and hard text, so that some tokens stand for one byte and some for many.
fn random_message(seed: u64, index: u64) -> Message {
    let dice = |place: u64, end: usize| (uniform(seed, 10 * index + place) * end as f64) as usize;
    let role = [Role::User, Role::User, Role::Assistant, Role::Assistant, Role::System][dice(0, 5)];
    let length = [0, 3, 40, 200, 600][dice(1, 5)] * dice(2, 4);
    let content = match dice(3, 4) {
        0 | 1 => "-".repeat(length),
        2 => "hello ".repeat(length / 6),
        _ => "你z".repeat(length / 4),
    };
    message(role, &content)
}

#[test]
fn every_history_is_fitted_as_the_plain_definition_says() {
    let text = with_rules();
    let (mut whole, mut cut, mut refused) = (0, 0, 0);
    for seed in 0..120 {
        let count = (uniform(seed, 1_000_000) * 12.0) as u64;
        let messages: Vec<Message> = (0..count).map(|index| random_message(seed, index)).collect();
        let all = text.prompt(&messages).expect("it renders").len();
        let random = (uniform(seed, 1_000_001) * all as f64) as usize;
        for limit in [0, random / 4, random, all - 1, all, all + 1, 2 * all, 10 * all] {
            let fitted = text.fit(&messages, limit + 7, 7);
            let plain = fit_plainly(&text, &messages, limit);
            assert!(fitted == plain, "seed {seed}, {limit} of {all} tokens");
            match fitted {
                Ok(Prompt { dropped_messages: 0, .. }) => whole += 1,
                Ok(_) => cut += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(
        whole > 200 && cut > 100 && refused > 50,
        "{whole} whole, {cut} cut, {refused} refused"
    );
}

#[test]
fn a_history_of_long_tokens_that_fits_is_whole() {
    let text = with_rules();
    let rule = "-".repeat(6_400);
    for turns in 1..6 {
        let mut messages = Vec::new();
        for _ in 1..turns {
            messages.push(message(Role::User, &rule));
            messages.push(message(Role::Assistant, &rule));
        }
        messages.push(message(Role::User, "and then?"));
        let ids = text.prompt(&messages).expect("it renders");
        for room in [0, 1, 500] {
            let prompt = text.fit(&messages, ids.len() + room, 0).expect("it fits");
            assert_eq!(prompt, Prompt { ids: ids.clone(), dropped_messages: 0 }, "{turns} turns");
        }
    }
}
