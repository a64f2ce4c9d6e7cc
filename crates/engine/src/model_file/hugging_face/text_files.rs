//! Tokenizer, chat template, end tokens and sampling parameters: five files, of which only
//! `tokenizer.json` has to be there.

use serde_json::Value;

use super::super::config::{ModelConfig, Stated};
use super::super::error::{Fault, ModelFileError};
use super::super::sampling::RawSampling;
use super::super::{SamplingDefaults, TextSources};
use super::folder::Folder;
use super::json::{Object, unsigned};
use crate::printable::printable;
use crate::text::{TOKENIZER_JSON_BYTES, TokenId, TokenKind, Vocabulary, parse_tokenizer_json};

/// Room for lists of tokens.
const MAX_JSON_BYTES: u64 = 16 << 20;
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;
/// Qwen2.5 has two.
const MAX_END_TOKENS: usize = 64;

/// What these files say.
pub(super) struct TextFiles {
    pub vocabulary: Vocabulary,
    pub chat_template: Option<String>,
    pub sources: TextSources,
    pub sampling_defaults: SamplingDefaults,
}

/// A parsed JSON file, or an empty object where there is none.
struct JsonFile {
    name: String,
    object: Object,
}

impl JsonFile {
    fn read(folder: &Folder, file: &str) -> Result<Option<JsonFile>, ModelFileError> {
        let Some(bytes) = folder.read_optional(file, MAX_JSON_BYTES)? else { return Ok(None) };
        let name = bytes.name;
        let object = Object::parse(&bytes.content).map_err(|fault| fault.in_file(&name))?;
        Ok(Some(JsonFile { name, object }))
    }

    /// Reads a file whose values are recommendations: one that cannot be read is as if it were
    /// missing, and the log says so.
    fn read_if_usable(folder: &Folder, file: &str) -> Option<JsonFile> {
        JsonFile::read(folder, file).unwrap_or_else(|error| {
            tracing::warn!(%error, "passing over a file of recommendations");
            None
        })
    }

    fn try_with<T>(
        &self,
        read: impl FnOnce(&Object) -> Result<T, Fault>,
    ) -> Result<T, ModelFileError> {
        read(&self.object).map_err(|fault| fault.in_file(&self.name))
    }
}

impl TextFiles {
    /// Reads all of them.
    pub fn read(folder: &Folder, config: &ModelConfig) -> Result<TextFiles, ModelFileError> {
        let (mut vocabulary, vocabulary_source) = read_vocabulary(folder, config)?;
        let generation = JsonFile::read_if_usable(folder, "generation_config.json");
        let tokenizer = JsonFile::read(folder, "tokenizer_config.json")?;
        vocabulary.end_tokens = end_tokens(folder, generation.as_ref(), vocabulary.tokens.len())?;
        let (mut chat_template, mut template_source) = (None, String::new());
        if let Some(tokenizer) = &tokenizer {
            tokenizer.try_with(|object| set_bos(object, &mut vocabulary))?;
            chat_template = tokenizer.try_with(template)?;
            template_source.clone_from(&tokenizer.name);
        }
        if let Some(file) = folder.read_optional("chat_template.jinja", MAX_TEMPLATE_BYTES)? {
            chat_template = Some(String::from_utf8(file.content).map_err(|error| {
                Fault::malformed("template", "UTF-8", error.to_string()).in_file(&file.name)
            })?);
            template_source = file.name;
        }
        let sampling_defaults = match &generation {
            Some(generation) => sampling_defaults(generation),
            None => SamplingDefaults::default(),
        };
        let sources = TextSources { vocabulary: vocabulary_source, chat_template: template_source };
        Ok(TextFiles { vocabulary, chat_template, sources, sampling_defaults })
    }
}

/// The vocabulary and the name of its file.
fn read_vocabulary(
    folder: &Folder,
    config: &ModelConfig,
) -> Result<(Vocabulary, String), ModelFileError> {
    let file = folder.read("tokenizer.json", TOKENIZER_JSON_BYTES as u64)?;
    let vocabulary = parse_tokenizer_json(&file.content)
        .map_err(|error| Fault::Text(error).in_file(&file.name))?;
    let (rows, tokens) = (config.vocabulary_rows, vocabulary.tokens.len());
    if tokens == 0 || tokens > rows {
        let expected = format!("1 to {rows} tokens, as many as the embedding has rows");
        return Err(
            Fault::malformed("vocabulary", expected, tokens.to_string()).in_file(&file.name)
        );
    }
    Ok((vocabulary, file.name))
}

/// The tokens that end an answer: those of `generation_config.json`, else those of `config.json`.
fn end_tokens(
    folder: &Folder,
    generation: Option<&JsonFile>,
    tokens: usize,
) -> Result<Vec<TokenId>, ModelFileError> {
    let key = "eos_token_id";
    if let Some(generation) = generation.filter(|file| file.object.get(key).is_some()) {
        match generation.try_with(|object| token_ids(object, key, tokens)) {
            Ok(ids) => return Ok(ids),
            Err(error) => tracing::warn!(%error, "taking the end tokens of config.json"),
        }
    }
    let config = JsonFile::read(folder, "config.json")?;
    let config = config.expect("the configuration was read before");
    config.try_with(|object| token_ids(object, key, tokens))
}

/// A token id or a list of some.
fn token_ids(object: &Object, key: &str, tokens: usize) -> Result<Vec<TokenId>, Fault> {
    let value = object.require(key, object.get(key))?;
    let values = match value {
        Value::Array(values) => values.as_slice(),
        single => std::slice::from_ref(single),
    };
    if values.is_empty() || values.len() > MAX_END_TOKENS {
        return Err(object.wrong(key, &format!("1 to {MAX_END_TOKENS} ids"), value));
    }
    let id = |value: &Value| {
        let id = unsigned(value).filter(|&id| id < tokens as u64);
        let id = id.and_then(|id| u32::try_from(id).ok()).map(TokenId);
        id.ok_or_else(|| object.wrong(key, &format!("an id below {tokens}"), value))
    };
    values.iter().map(id).collect()
}

/// Finds the token that begins a text, given by its spelling.
fn set_bos(object: &Object, vocabulary: &mut Vocabulary) -> Result<(), Fault> {
    vocabulary.add_bos = object.bool("add_bos_token")?.unwrap_or(false);
    let text = match object.get("bos_token") {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Object(token)) => token.get("content").and_then(Value::as_str),
        Some(other) => return Err(object.wrong("bos_token", "a string or object", other)),
    };
    let Some(text) = text else {
        if vocabulary.add_bos {
            return Err(Fault::key("bos_token", "a token, since add_bos_token is true", "none"));
        }
        return Ok(());
    };
    let is_bos = |kind: TokenKind, spelled: &str| kind != TokenKind::Normal && spelled == text;
    let mut ids = vocabulary.tokens.iter().zip(0..);
    let found = ids.find(|(token, _)| is_bos(token.kind, &token.text));
    match found {
        Some((_, id)) => vocabulary.bos = Some(TokenId(id)),
        None => {
            let found = format!("\"{}\"", printable(text));
            return Err(Fault::key("bos_token", "an added token of tokenizer.json", found));
        }
    }
    Ok(())
}

/// The chat template: a string, or a list of named ones among which is `default`.
fn template(object: &Object) -> Result<Option<String>, Fault> {
    let key = "chat_template";
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone())),
        Some(Value::Array(templates)) => {
            let default = templates.iter().find(|template| template["name"] == "default");
            let template = default.and_then(|template| template["template"].as_str());
            match template {
                Some(template) => Ok(Some(template.to_string())),
                None => Err(Fault::key(key, "a template named default", "a list without one")),
            }
        }
        Some(other) => Err(object.wrong(key, "a string or a list", other)),
    }
}

fn sampling_defaults(generation: &JsonFile) -> SamplingDefaults {
    let object = &generation.object;
    let is_greedy = object.bool("do_sample").is_ok_and(|sample| sample == Some(false));
    let greedy = Stated::new("do_sample", 0.0);
    let raw = RawSampling {
        temperature: if is_greedy { Ok(Some(greedy)) } else { object.float("temperature") },
        top_p: object.float("top_p"),
        top_k: object.float("top_k"),
        min_p: object.float("min_p"),
        repetition_penalty: object.float("repetition_penalty"),
    };
    raw.usable(&generation.name)
}
