//! Decoding gives whole characters, and an answer ends before a stop string.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::text::{StopOutcome, StopStrings, TextDecoder};

fn decode(text: &Text, bytes: &[u8]) -> (Vec<String>, String) {
    decode_tokens(text, bytes.iter().map(|&byte| TokenId(u32::from(byte))))
}

fn decode_tokens(text: &Text, ids: impl Iterator<Item = TokenId>) -> (Vec<String>, String) {
    let mut decoder = TextDecoder::default();
    let deltas: Vec<String> = ids.map(|id| decoder.push(text, id).to_owned()).collect();
    let rest = decoder.finish().to_owned();
    (deltas, rest)
}

/// Bytes that can make whole characters, parts of characters and invalid text.
const BYTES: [u8; 9] = [0x61, 0xe4, 0xbd, 0xa0, 0xf0, 0x9f, 0x91, 0xff, 0xc0];

/// A model with a token for each byte, and for each pair and triple of [`BYTES`].
struct Pieces {
    text: Text,
    id_of: HashMap<Vec<u8>, TokenId>,
}

impl Pieces {
    fn new() -> Pieces {
        let mut vocabulary = vocabulary();
        let mut id_of: HashMap<Vec<u8>, TokenId> =
            (0..=255).map(|byte| (vec![byte], TokenId(u32::from(byte)))).collect();
        let with_one_more = |pieces: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            let longer = |piece: &Vec<u8>| BYTES.map(|byte| [&piece[..], &[byte]].concat());
            pieces.iter().flat_map(longer).collect()
        };
        let twos = with_one_more(BYTES.map(|byte| vec![byte]).to_vec());
        let threes = with_one_more(twos.clone());
        for piece in twos.into_iter().chain(threes) {
            let id = TokenId(u32::try_from(vocabulary.tokens.len()).expect("a few hundred"));
            let spelling = piece.iter().map(|&byte| character_of(byte)).collect();
            vocabulary.tokens.push(VocabularyToken { text: spelling, kind: TokenKind::Normal });
            id_of.insert(piece, id);
        }
        Pieces { text: Text::new(&vocabulary, None).expect("a whole vocabulary"), id_of }
    }

    /// Cuts bytes into tokens of these lengths; a part without a token becomes one token per byte.
    fn split(&self, mut bytes: &[u8], lengths: &[usize]) -> Vec<TokenId> {
        let mut ids = Vec::new();
        for length in lengths.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let piece = &bytes[..(*length).min(bytes.len())];
            let known = if self.id_of.contains_key(piece) { piece } else { &bytes[..1] };
            ids.push(self.id_of[known]);
            bytes = &bytes[known.len()..];
        }
        ids
    }
}

/// The reference: looks after each character whether a stop string is complete.
fn cut(text: &str, stops: &[String]) -> Option<usize> {
    text.char_indices().find_map(|(index, character)| {
        let so_far = &text[..index + character.len_utf8()];
        let starts = stops.iter().filter(|stop| so_far.ends_with(stop.as_str()));
        starts.map(|stop| so_far.len() - stop.len()).min()
    })
}

fn run_stops(pieces: &[String], stops: &[String]) -> (String, bool) {
    let mut watch = StopStrings::new(stops.to_vec());
    let mut shown = String::new();
    for piece in pieces {
        match watch.push(piece) {
            StopOutcome::Show(text) => shown.push_str(&text),
            StopOutcome::Stop { text, .. } => return (shown + &text, true),
        }
    }
    (shown + &watch.finish(), false)
}

#[test]
fn half_a_character_is_held_back() {
    let text = chatml();
    let (deltas, rest) = decode(&text, "a你👍".as_bytes());
    assert_eq!(deltas, ["a", "", "", "你", "", "", "", "👍"]);
    assert_eq!(rest, "");
}

#[test]
fn an_answer_that_ends_in_half_a_character_says_so() {
    let text = chatml();
    let (deltas, rest) = decode(&text, &"你".as_bytes()[..2]);
    assert_eq!((deltas.concat(), rest.as_str()), (String::new(), "\u{fffd}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn deltas_make_up_the_whole_text(
        bytes in prop_oneof![
            any::<String>().prop_map(String::into_bytes),
            prop::collection::vec(prop::sample::select(BYTES.to_vec()), 0..24),
            "[a你👑]{0,8}".prop_map(String::into_bytes),
        ],
        lengths in prop::collection::vec(1..=3_usize, 1..8),
    ) {
        let pieces = pieces_once();
        let (deltas, rest) =
            decode_tokens(&pieces.text, pieces.split(&bytes, &lengths).into_iter());
        prop_assert_eq!(deltas.concat() + &rest, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn stop_strings_cut_as_on_the_whole_text(
        pieces in prop::collection::vec("[ab你👍]{0,4}", 0..8),
        stops in prop::collection::vec("[ab你👍]{1,3}", 0..4),
    ) {
        let whole = pieces.concat();
        let expected = match cut(&whole, &stops) {
            Some(end) => (whole[..end].to_owned(), true),
            None => (whole.clone(), false),
        };
        prop_assert_eq!(run_stops(&pieces, &stops), expected);
    }
}

fn pieces_once() -> &'static Pieces {
    static PIECES: std::sync::OnceLock<Pieces> = std::sync::OnceLock::new();
    PIECES.get_or_init(Pieces::new)
}
