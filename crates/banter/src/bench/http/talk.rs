//! The messages of the clients. They are made of common words, are the same in every run, and are as
//! long as those of people: the first one is often long, because it brings a text or a program, and
//! the later ones are short. Answers are of medium length.

use serde_json::{Value, json};

/// Words of a first message, each length as often as the others.
const FIRST_WORDS: [usize; 8] = [20, 40, 60, 90, 140, 220, 350, 600];
/// Words of a later message.
const LATER_WORDS: [usize; 6] = [5, 8, 12, 20, 35, 60];
/// The longest answer, in tokens.
const ANSWER_TOKENS: [u32; 5] = [32, 48, 64, 96, 128];

const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by",
    "on", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an",
    "they", "which", "one", "you", "were", "her", "all", "she", "there", "would", "their", "we",
    "him", "been", "has", "when", "who", "will", "more", "no", "if", "out", "so", "said", "what",
    "up", "its", "about", "into", "than", "them", "can", "only", "other", "new", "some", "could",
];

/// One conversation of one client.
pub struct Talk {
    state: u64,
    turn: u32,
}

impl Talk {
    /// The conversation of this number, which nothing else has.
    pub fn new(client: u64, conversation: u32) -> Talk {
        let seed = client.wrapping_mul(1_000_003).wrapping_add(u64::from(conversation));
        Talk { state: seed ^ 0x9E37_79B9_7F4A_7C15, turn: 0 }
    }

    /// The next message, and the longest answer to it, in tokens.
    pub fn next(&mut self) -> (Value, u32) {
        let words = match self.turn {
            0 => self.one_of(&FIRST_WORDS),
            _ => self.one_of(&LATER_WORDS),
        };
        self.turn += 1;
        let words: Vec<&str> = (0..words).map(|_| self.one_of(&WORDS)).collect();
        (json!({"role": "user", "content": words.join(" ")}), self.one_of(&ANSWER_TOKENS))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        // The generator of SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        all[((mixed ^ (mixed >> 31)) % all.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_always_the_same_and_no_other_is() {
        let said = |client, conversation| {
            let mut talk = Talk::new(client, conversation);
            [talk.next(), talk.next()]
        };
        assert_eq!(said(1, 2), said(1, 2));
        assert_ne!(said(1, 2), said(2, 1));
        let [(first, _), (later, _)] = said(3, 0);
        let words =
            |message: &Value| message["content"].as_str().map(|text| text.split(' ').count());
        assert!(FIRST_WORDS.contains(&words(&first).expect("a text")));
        assert!(LATER_WORDS.contains(&words(&later).expect("a text")));
    }
}
