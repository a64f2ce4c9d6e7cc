//! `tokenizer.json` files from the network: which are read, and which are refused.

use serde_json::{Value, json};

use super::*;
use crate::text::{TextError, parse_tokenizer_json};

const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The small vocabulary as a `tokenizer.json` file.
fn file() -> Value {
    let vocabulary = vocabulary();
    let mut vocab = serde_json::Map::new();
    let mut added = Vec::new();
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        if token.kind == TokenKind::Normal {
            vocab.insert(token.text.clone(), json!(id));
        } else {
            let special = token.kind == TokenKind::Control;
            added.push(json!({ "id": id, "content": token.text, "special": special }));
        }
    }
    let merges: Vec<String> =
        vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    json!({
        "added_tokens": added,
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": PATTERN }, "behavior": "Isolated" },
            { "type": "ByteLevel", "add_prefix_space": false, "use_regex": false },
        ] },
        "model": { "type": "BPE", "vocab": vocab, "merges": merges },
    })
}

fn open(file: &Value) -> Result<Text, TextError> {
    Text::new(&parse_tokenizer_json(file.to_string().as_bytes())?, None)
}

#[test]
fn both_spellings_of_merges_are_read() {
    let joined = parse_tokenizer_json(file().to_string().as_bytes()).expect("it is whole");
    let mut pairs = file();
    pairs["model"]["merges"] = json!([["h", "e"], ["l", "l"], ["he", "ll"]]);
    let pairs = parse_tokenizer_json(pairs.to_string().as_bytes()).expect("it is whole");
    assert_eq!(joined.merges, pairs.merges);
    assert_eq!(joined.merges, vocabulary().merges);
    assert_eq!(joined.tokens, vocabulary().tokens);
}

#[test]
fn a_literal_that_is_to_be_normalized_may_be_any_that_stays_as_it_is() {
    let added = |content: &str| {
        let mut changed = file();
        let token = json!({ "id": 263, "content": content, "normalized": true });
        changed["added_tokens"].as_array_mut().expect("a list").push(token);
        open(&changed)
    };
    added("<｜User｜>").expect("NFC leaves it as it is");
    let error = added("<e\u{301}>").expect_err("NFC composes it").to_string();
    assert!(error.contains("not to be normalized, or NFC already"), "{error}");
}

#[test]
fn what_is_not_qwens_pipeline_is_refused_by_name() {
    struct Case {
        path: &'static str,
        value: Value,
        named: &'static str,
    }
    let case = |path, value, named| Case { path, value, named };
    let cases = [
        case("/normalizer", json!({ "type": "NFKC" }), "normalizer"),
        case("/normalizer", json!("NFC"), "an object with a type"),
        case(
            "/normalizer",
            json!({ "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Lowercase" }] }),
            "normalizer: expected NFC or none, found NFC, Lowercase",
        ),
        case("/pre_tokenizer", Value::Null, "ByteLevel, found none"),
        case("/pre_tokenizer", json!({ "type": "ByteLevel" }), "ByteLevel, found ByteLevel"),
        case(
            "/pre_tokenizer/pretokenizers/2",
            json!({ "type": "Digits" }),
            "expected Split by Qwen2's pattern and then ByteLevel, found Split, ByteLevel, Digits",
        ),
        case(
            "/pre_tokenizer/pretokenizers/0/pattern",
            json!({ "String": " " }),
            "no regular expression",
        ),
        case(
            "/pre_tokenizer/pretokenizers/1/use_regex",
            Value::Null,
            "use_regex of ByteLevel: expected false",
        ),
        case("/pre_tokenizer/pretokenizers/1/add_prefix_space", json!(true), "add_prefix_space"),
        case("/pre_tokenizer/pretokenizers/0/pattern/Regex", json!("(a+)+$"), "(a+)+$"),
        case("/pre_tokenizer/pretokenizers/0/pattern/Regex", json!("x".repeat(1 << 20)), "pattern"),
        case("/pre_tokenizer/pretokenizers/0/behavior", json!("Removed"), "Removed"),
        case("/pre_tokenizer/pretokenizers/1/type", json!("Metaspace"), "Metaspace"),
        case("/model/type", json!("Unigram"), "Unigram"),
        case("/model/vocab", json!({}), "a token for each byte"),
        case("/model/vocab", json!({ "a": -1 }), "-1"),
        case("/model/vocab", json!({ "a": 4_294_967_295_u32 }), "4294967295"),
        case("/model/vocab", json!({ "a": 4_294_967_296_u64 }), "4294967296"),
        case("/model/vocab", json!({ "a": 0, "b": 0 }), "id 0"),
        case("/model/vocab", json!({ "a".repeat(10_000): 0 }), "10000 bytes"),
        case("/model/vocab/<0x-1>", json!(0), "id 0"),
        case("/model/vocab/a b", json!(300), "stands for no byte"),
        case("/model/merges", json!(["h e l"]), "h e l"),
        case("/model/merges", json!(["he"]), "he"),
        case("/model/merges", json!([["h"]]), "merges"),
        case("/model/merges", json!(["h x"]), "hx"),
        case("/model/merges", json!([["h", "e".repeat(100_000)]]), "merge"),
        case("/model/dropout", json!(0.1), "dropout"),
        case("/added_tokens/0/id", json!(65), "an id of its own"),
        case("/added_tokens/0/id", json!(1 << 30), "1073741824"),
        case("/added_tokens/0/lstrip", json!(true), "lstrip"),
        case("/added_tokens/0/content", json!(""), "two characters or more"),
        case("/added_tokens/0/content", json!("a".repeat(513)), "at most 512 bytes"),
        case("/added_tokens/0/content", json!("<|im_end|>"), "expected it once, found it twice"),
    ];
    for Case { path, value, named } in cases {
        let mut changed = file();
        let (parent, key) = path.rsplit_once('/').expect("a path");
        let parent = changed.pointer_mut(parent).expect("it is in the file");
        match key.parse::<usize>() {
            Ok(index) if parent.get(index).is_some() => parent[index] = value,
            Ok(_) if parent.is_array() => parent.as_array_mut().expect("a list").push(value),
            _ => parent[key] = value,
        }
        let error = open(&changed).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(named), "{path}: expected {named:?} in {error:?}");
        assert!(error.len() < 1_000, "{path}: {} bytes of error", error.len());
        let rusts =
            ["Some(", "None", "{ ", "struct "].into_iter().find(|word| error.contains(word));
        assert_eq!(rusts, None, "{error}");
    }
}

/// The file with the fields that only `tokenizers` requires.
fn for_tokenizers(mut file: Value) -> Value {
    for token in file["added_tokens"].as_array_mut().expect("a list") {
        for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
            token[flag] = json!(false);
        }
    }
    file["version"] = json!("1.0");
    for bytes in file["pre_tokenizer"]["pretokenizers"].as_array_mut().into_iter().flatten() {
        if bytes["type"] == "ByteLevel" {
            bytes["trim_offsets"] = json!(false);
        }
        if bytes["type"] == "Split" && bytes["invert"].is_null() {
            bytes["invert"] = json!(false);
        }
    }
    file
}

#[test]
fn what_cuts_as_qwens_pipeline_is_read_and_gives_the_ids_of_tokenizers() {
    let nfc = || json!({ "type": "NFC" });
    let split = |pattern: &str, behavior: &str, invert: bool| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": behavior, "invert": invert });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": false, "trim_offsets": true });
    let sequence = |stages: Value| json!({ "type": "Sequence", "pretokenizers": stages });
    let possessive = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let cases = [
        ("/normalizer", Value::Null),
        ("/normalizer", json!({ "type": "Sequence", "normalizers": [] })),
        ("/normalizer", json!({ "type": "Sequence", "normalizers": [nfc()] })),
        ("/normalizer", json!({ "type": "Sequence", "normalizers": [nfc(), nfc()] })),
        ("/pre_tokenizer/pretokenizers/0", split(PATTERN, "Removed", true)),
        ("/pre_tokenizer/pretokenizers/0", split(PATTERN, "Isolated", true)),
        ("/pre_tokenizer/pretokenizers/0", split(possessive, "Isolated", false)),
        (
            "/pre_tokenizer",
            sequence(json!([sequence(json!([split(PATTERN, "Isolated", false)])), bytes])),
        ),
        ("/model/ignore_merges", json!(true)),
        ("/model/byte_fallback", json!(true)),
        ("/model/dropout", json!(0.0)),
        ("/model/continuing_subword_prefix", json!("")),
        ("/model/fuse_unk", json!(true)),
        ("/truncation", Value::Null),
    ];
    let texts = [
        "hello hell he'll I'LL 'ſ it'S",
        "e\u{301} \u{212b} \u{1100}\u{1161}",
        "12345 x=1;\r\n\n  {  } \t你好，世界 👍  ",
        "shell hello\nllama helo olleh lll",
    ];
    for (path, value) in cases {
        let mut changed = file();
        // A token that no merge makes.
        changed["model"]["vocab"]["llo"] = json!(263);
        let (parent, key) = path.rsplit_once('/').expect("a path");
        let parent = changed.pointer_mut(parent).expect("it is in the file");
        match key.parse::<usize>() {
            Ok(index) => parent[index] = value.clone(),
            Err(_) => parent[key] = value.clone(),
        }
        let ours = open(&changed).unwrap_or_else(|error| panic!("{path} {value}: {error}"));
        let theirs = for_tokenizers(changed).to_string();
        let theirs = tokenizers::Tokenizer::from_bytes(theirs).expect("it is a tokenizer");
        for text in texts.into_iter().chain(["llo llo"]) {
            let ids: Vec<u32> = ours.encode(text).iter().map(|id| id.0).collect();
            let expected = theirs.encode_fast(text, false).expect("it encodes");
            assert_eq!(ids, expected.get_ids(), "{path} {value}: {text:?}");
        }
    }
}

#[test]
fn files_made_to_exhaust_the_reader_are_refused() {
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let sequences = "{\"type\":\"Sequence\",\"pretokenizers\":[".repeat(100_000);
    let added: Vec<Value> =
        (0..1_000_000).map(|id| json!({ "id": 300 + id, "content": format!("<{id}>") })).collect();
    let mut many_added = file();
    many_added["added_tokens"] = Value::Array(added);
    let many_merges = format!(
        "{{\"model\":{{\"vocab\":{{}},\"merges\":[{}\"a b\"]}}}}",
        "\"a b\",".repeat(2_000_000)
    );
    let files = [
        deep,
        format!("{{\"pre_tokenizer\":{sequences}"),
        many_added.to_string(),
        many_merges,
        " ".repeat((32 << 20) + 1),
        String::new(),
    ];
    for file in files {
        let start: String = file.chars().take(60).collect();
        assert!(parse_tokenizer_json(file.as_bytes()).is_err(), "{start}");
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_to_be_downloaded_again() {
    let whole = file().to_string();
    for end in (1..whole.len()).step_by(97) {
        let cut = &whole.as_bytes()[..end];
        let error = parse_tokenizer_json(cut).expect_err("not whole").to_string();
        assert!(error.contains("it ends early") && error.contains("download it again"), "{error}");
    }
}
