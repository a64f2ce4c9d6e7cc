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
fn text_files_that_contradict_the_vocabulary_are_refused() {
    let generation = "generation_config.json";
    let tokenizer = "tokenizer_config.json";
    let cases = [
        (
            generation,
            json!({"eos_token_id": 7}),
            "key eos_token_id: expected an id below 7, found 7",
        ),
        (
            generation,
            json!({"eos_token_id": []}),
            "key eos_token_id: expected 1 to 64 ids, found []",
        ),
        (
            generation,
            json!({"eos_token_id": ["a"]}),
            "key eos_token_id: expected an id below 7, found \"a\"",
        ),
        (
            generation,
            json!({"top_p": 2.0}),
            "key top_p: expected a number from 0.000001 to 1, found 2",
        ),
        (generation, json!({"top_k": -1}), "key top_k: expected an integer from 0 on, found -1"),
        (
            generation,
            json!({"temperature": "warm"}),
            "key temperature: expected a number, found \"warm\"",
        ),
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
