//! Text comes out in whole characters, and ends before a stop string.

use proptest::prelude::*;

use super::*;
use crate::text::{StopOutcome, StopStrings, TextDecoder};

fn decode(text: &Text, bytes: &[u8]) -> (Vec<String>, String) {
    let mut decoder = TextDecoder::default();
    let deltas: Vec<String> =
        bytes.iter().map(|&byte| decoder.push(text, TokenId(u32::from(byte))).to_owned()).collect();
    let rest = decoder.finish().to_owned();
    (deltas, rest)
}

/// The reference: the first stop string to become complete, character by character.
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
            StopOutcome::Stop(text) => return (shown + &text, true),
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
            prop::collection::vec(prop::sample::select(vec![0x61, 0xe4, 0xbd, 0xa0, 0xf0, 0x9f, 0x91, 0xff, 0xc0]), 0..24),
        ],
    ) {
        let text = chatml_once();
        let (deltas, rest) = decode(text, &bytes);
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

fn chatml_once() -> &'static Text {
    static TEXT: std::sync::OnceLock<Text> = std::sync::OnceLock::new();
    TEXT.get_or_init(chatml)
}
