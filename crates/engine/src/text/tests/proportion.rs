//! The work that a text makes grows in proportion to its length, whatever it consists of.

use super::*;
use crate::text::work::{self, Work};

/// Bytes of the texts. Each is twice as long as the one before.
const SIZES: [usize; 3] = [1 << 16, 1 << 17, 1 << 18];
/// Twice the text may make this much more work, and no more.
const MOST_GROWTH: f64 = 2.2;
/// White space before a letter is looked at three times, and so is what stands alone.
const MOST_LOOKS: usize = 4;

/// Runs of one character or word that have a rule of their own somewhere on the way to tokens.
const UNITS: [&str; 20] = [
    "\n",
    "\r\n",
    " ",
    " \n",
    "\t",
    "a",
    "7",
    "'",
    "'s",
    "=",
    "é",
    "👍",
    "\u{301}",
    "\u{301}\u{323}",
    "\u{1100}\u{1161}\u{11a8}",
    "<|im_end|>",
    "<|im_",
    "<tool_call>",
    // The character that keeps people's text apart from the template's.
    "\u{f0ba2}",
    "\u{f0ba2}b",
];

/// A text of about this many bytes in which no character comes twice.
fn distinct_characters(bytes: usize) -> String {
    let emoji_first = (0x1f000..0xe0000).chain(0x10000..0x1f000);
    emoji_first.filter_map(char::from_u32).take(bytes / 4).collect()
}

fn texts(bytes: usize) -> Vec<String> {
    let runs = UNITS.iter().map(|unit| unit.repeat(bytes / unit.len()));
    runs.chain([distinct_characters(bytes)]).collect()
}

fn shown(text: &str) -> String {
    text.chars().take(8).collect::<String>().escape_default().to_string()
}

fn assert_grows_no_faster(text: &str, before: usize, after: usize) {
    let growth = after as f64 / before as f64;
    assert!(growth <= MOST_GROWTH, "{}: {before} and {after}", shown(text));
}

#[test]
fn r9_a_message_makes_work_in_proportion_to_its_length() {
    let model = chatml();
    let mut before: Vec<Work> = Vec::new();
    for size in SIZES {
        let mut after = Vec::new();
        for text in texts(size) {
            let messages = [message(Role::User, &text)];
            let work = work::of(|| drop(model.fit(&messages, usize::MAX, 0).expect("it fits")));
            let around = model.prompt(&[message(Role::User, "")]).expect("it renders").len();
            let characters = text.chars().count() + around;
            assert!(work.encoded_bytes <= text.len() + around, "{}: {work:?}", shown(&text));
            assert!(work.looks <= MOST_LOOKS * characters, "{}: {work:?}", shown(&text));
            after.push(work);
        }
        for ((before, after), text) in before.iter().zip(&after).zip(texts(64)) {
            assert_grows_no_faster(&text, before.encoded_bytes, after.encoded_bytes);
            assert_grows_no_faster(&text, before.looks, after.looks);
        }
        before = after;
    }
}

/// Turns with such texts, and a short one at the end.
fn history(text: &str, turns: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for _ in 0..turns {
        messages.push(message(Role::User, text));
        messages.push(message(Role::Assistant, "yes"));
    }
    messages.push(message(Role::User, "and then?"));
    messages
}

#[test]
fn r9_a_history_that_is_cut_makes_work_in_proportion_to_its_length() {
    const TURNS: usize = 32;
    let model = chatml();
    let mut before: Vec<usize> = Vec::new();
    for size in SIZES {
        let mut after = Vec::new();
        for text in texts(size / TURNS) {
            let messages = history(&text, TURNS);
            let all = model.prompt(&messages).expect("it renders").len();
            let cut = work::of(|| {
                let prompt = model.fit(&messages, all / 2, 0).expect("the newest turn fits");
                assert!(prompt.dropped_messages >= TURNS, "half of the tokens have to go");
            });
            // Once as a whole, then in halves, quarters and so on.
            let most = 8 * size;
            assert!(cut.encoded_bytes <= most, "{}: {cut:?} of {size}", shown(&text));
            after.push(cut.encoded_bytes);
            // What does not fit by far is not encoded to find that out.
            let short = work::of(|| drop(model.fit(&messages, 200, 0).expect("the newest fits")));
            let of_one = size / TURNS + 1_000;
            assert!(short.encoded_bytes <= 3 * of_one, "{}: {short:?} of {size}", shown(&text));
        }
        for ((before, after), text) in before.iter().zip(&after).zip(texts(64)) {
            assert_grows_no_faster(&text, *before, *after);
        }
        before = after;
    }
}
