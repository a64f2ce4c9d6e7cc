//! Tokenizer, template, end tokens and sampling parameters of a folder.

use super::*;

#[test]
fn text_files_say_what_ends_an_answer_and_how_to_sample() {
    let folder = Folder::new();
    assert_eq!(folder.open().vocabulary().end_tokens, [TokenId(4)], "from config.json");
    assert_eq!(folder.open().sampling_defaults(), &SamplingDefaults::default());
    let generation = json!({
        "eos_token_id": [6, 4], "temperature": 0.7, "top_p": 0.8, "top_k": 20,
        "repetition_penalty": 1.05, "transformers_version": "4.37.0",
    });
    folder.write("generation_config.json", generation.to_string());
    let tokenizer_config = json!({
        "add_bos_token": true, "bos_token": {"content": "<|endoftext|>"}, "chat_template": "A",
    });
    folder.write("tokenizer_config.json", tokenizer_config.to_string());
    let file = folder.open();
    assert_eq!(file.vocabulary().end_tokens, [TokenId(6), TokenId(4)]);
    assert_eq!((file.vocabulary().add_bos, file.vocabulary().bos), (true, Some(TokenId(4))));
    assert_eq!(file.chat_template(), Some("A"));
    let expected = SamplingDefaults {
        temperature: Some(0.7),
        top_p: Some(0.8),
        top_k: Some(20),
        min_p: None,
        repetition_penalty: Some(1.05),
    };
    assert_eq!(file.sampling_defaults(), &expected);
    for generation in [
        json!({"eos_token_id": 6, "do_sample": false, "min_p": 0.1}),
        json!({"eos_token_id": 6, "do_sample": false, "temperature": 0.7, "min_p": 0.1}),
    ] {
        folder.write("generation_config.json", generation.to_string());
        let expected = SamplingDefaults {
            temperature: Some(0.0),
            min_p: Some(0.1),
            ..SamplingDefaults::default()
        };
        assert_eq!(folder.open().sampling_defaults(), &expected, "{generation}");
    }
    folder.write("chat_template.jinja", "B");
    assert_eq!(folder.open().chat_template(), Some("B"), "a file of its own wins");
    folder.remove("chat_template.jinja");
    let named = json!({"chat_template": [
        {"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"},
    ]});
    folder.write("tokenizer_config.json", named.to_string());
    assert_eq!(folder.open().chat_template(), Some("D"));
}

#[test]
fn text_files_are_read_as_transformers_reads_them() {
    let folder = Folder::new();
    let added: serde_json::Map<String, serde_json::Value> = (0..12_000)
        .map(|id| {
            (
                id.to_string(),
                json!({"content": format!("<|extra_{id}|>"), "special": true,
            "lstrip": false, "rstrip": false, "single_word": false, "normalized": false}),
            )
        })
        .collect();
    let config = json!({"chat_template": "A", "added_tokens_decoder": added}).to_string();
    assert!(config.len() > 1 << 20);
    folder.write("tokenizer_config.json", config);
    assert_eq!(folder.open().chat_template(), Some("A"));
    folder.write("tokenizer_config.json", " ".repeat((16 << 20) + 1));
    let error = folder.error();
    assert!(error.contains("tokenizer_config.json: ") && error.contains("16777216"), "{error}");

    folder.write("tokenizer_config.json", "\u{feff}{\"chat_template\": {\"default\": \"B\"}}");
    let tokenizer = folder.read("tokenizer.json");
    folder.write("tokenizer.json", format!("\u{feff}{tokenizer}"));
    assert_eq!(folder.open().chat_template(), Some("B"));
    folder.write("chat_template.json", "\u{feff}{\"chat_template\": \"C\"}");
    assert_eq!(folder.open().chat_template(), Some("B"), "what processors have comes last");
    folder.write("tokenizer_config.json", "{}");
    assert_eq!(folder.open().chat_template(), Some("C"));
    folder.write("chat_template.jinja", "\u{feff}D");
    assert_eq!(folder.open().chat_template(), Some("D"));
}

#[test]
fn a_tokenizer_is_made_of_vocab_json_and_merges_txt() {
    let folder = Folder::new();
    let whole = folder.open();
    let tokenizer: serde_json::Value =
        serde_json::from_str(&folder.read("tokenizer.json")).expect("JSON");
    let (model, mut decoder) = (&tokenizer["model"], serde_json::Map::new());
    for token in tokenizer["added_tokens"].as_array().expect("a list") {
        decoder.insert(token["id"].to_string(), token.clone());
    }
    let merges: Vec<String> =
        whole.vocabulary().merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    folder.remove("tokenizer.json");
    let error = folder.error();
    assert!(error.contains("expected tokenizer.json, or vocab.json and merges.txt"), "{error}");
    assert!(error.contains("AutoTokenizer.from_pretrained(folder).save_pretrained"), "{error}");
    folder.write("vocab.json", model["vocab"].to_string());
    folder.write("merges.txt", format!("\u{feff}#version: 0.2\r\n{}\r\n", merges.join("\r\n")));
    let error = folder.error();
    assert!(error.contains("found no tokenizer_config.json"), "{error}");
    folder.write("tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}");
    let error = folder.error();
    assert!(error.contains("found no added_tokens_decoder in tokenizer_config.json"), "{error}");
    let config = |class: &str| {
        json!({"tokenizer_class": class, "added_tokens_decoder": decoder}).to_string()
    };
    folder.write("tokenizer_config.json", config("GPT2Tokenizer"));
    let error = folder.error();
    assert!(error.contains("found tokenizer_class GPT2Tokenizer"), "{error}");
    folder.write("tokenizer_config.json", config("Qwen2Tokenizer"));
    let (made, whole) = (folder.open(), whole.vocabulary());
    assert_eq!(made.vocabulary().tokens, whole.tokens);
    assert_eq!(made.vocabulary().merges, whole.merges);
    assert_eq!(made.vocabulary().options, whole.options);
    folder.write("merges.txt", "#version: 0.2\na b c\n");
    let error = folder.error();
    assert!(error.contains("merges.txt, line 2: expected two parts"), "{error}");
}

#[test]
fn text_files_that_contradict_the_vocabulary_are_refused() {
    let tokenizer = "tokenizer_config.json";
    let cases = [
        (
            tokenizer,
            json!({"bos_token": "<s>"}),
            "key bos_token: expected an added token of tokenizer.json, found \"<s>\"",
        ),
        (
            tokenizer,
            json!({"add_bos_token": true}),
            "key bos_token: expected a token, since add_bos_token is true, found none",
        ),
        (
            tokenizer,
            json!({"chat_template": 1}),
            "key chat_template: expected a string or a list, found 1",
        ),
        (
            tokenizer,
            json!({"chat_template": []}),
            "key chat_template: expected a template named default, found a list without one",
        ),
    ];
    for (file, content, expected) in cases {
        let folder = Folder::new();
        folder.write(file, content.to_string());
        folder.refused(file, expected, expected);
    }
    let folder = Folder::new();
    let mut few_rows = config();
    few_rows["vocab_size"] = json!(6);
    folder.write(CONFIG, few_rows.to_string());
    let expected = "vocabulary: expected 1 to 6 tokens, as many as the embedding has rows, found 7";
    folder.refused("tokenizer.json", expected, "more tokens than rows");
    let folder = Folder::new();
    folder.write("tokenizer.json", "{}");
    let error = open_path(&folder.path).expect_err("no tokenizer");
    assert!(error.to_string().contains("tokenizer.json: tokenizer: "), "{error}");
}

#[test]
fn recommendations_that_cannot_be_used_are_passed_over() {
    let file = "generation_config.json";
    let usual = SamplingDefaults::default();
    let top_k = |top_k| SamplingDefaults { top_k: Some(top_k), ..usual.clone() };
    let cases = [
        (r#"{"top_k": -1}"#, usual.clone()),
        (r#"{"top_k": 20.0}"#, top_k(20)),
        (r#"{"top_k": 0}"#, top_k(0)),
        (r#"{"top_k": 20.5}"#, usual.clone()),
        (r#"{"top_k": 1e300}"#, usual.clone()),
        (r#"{"top_k": "20"}"#, usual.clone()),
        (r#"{"top_p": 0}"#, usual.clone()),
        (r#"{"top_p": 1.5}"#, usual.clone()),
        (r#"{"top_p": NaN, "top_k": 5}"#, top_k(5)),
        (r#"{"temperature": -1}"#, usual.clone()),
        (r#"{"temperature": "warm"}"#, usual.clone()),
        (r#"{"temperature": null, "top_k": 5}"#, top_k(5)),
        (r#"{"temperature": Infinity}"#, usual.clone()),
        (r#"{"temperature": 0}"#, SamplingDefaults { temperature: Some(0.0), ..usual.clone() }),
        (r#"{"min_p": 2, "repetition_penalty": 0}"#, usual.clone()),
        (r#"{"do_sample": "no", "top_k": 5}"#, top_k(5)),
        ("\u{feff}{\"top_k\": 5}", top_k(5)),
        ("[]", usual.clone()),
        ("", usual.clone()),
        ("top_k: 5", usual.clone()),
        ("{\"top_k\": ", usual.clone()),
        ("version https://git-lfs.github.com/spec/v1\nsize 9\n", usual.clone()),
    ];
    for (content, expected) in cases {
        let folder = Folder::new();
        folder.write(file, content);
        assert_eq!(folder.open().sampling_defaults(), &expected, "{content}");
    }
    for (eos, expected) in [
        (json!(7), TokenId(4)),
        (json!([]), TokenId(4)),
        (json!(["a"]), TokenId(4)),
        (json!(-1), TokenId(4)),
        (json!(6.0), TokenId(6)),
    ] {
        let folder = Folder::new();
        folder.write(file, json!({"eos_token_id": eos}).to_string());
        assert_eq!(folder.open().vocabulary().end_tokens, [expected], "{eos}");
    }
    let folder = Folder::new();
    let mut without = config();
    without["eos_token_id"] = json!([7]);
    folder.write(CONFIG, without.to_string());
    let expected = "key eos_token_id: expected an id below 7, found 7";
    folder.refused(CONFIG, expected, "an end token that is not there");
}
