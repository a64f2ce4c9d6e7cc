//! Tokenizer, chat template, end tokens and sampling parameters. Only `tokenizer.json` has to be
//! there, or what it can be made of: `vocab.json`, `merges.txt` and `tokenizer_config.json`.

use serde_json::Value;

use super::super::config::{ModelConfig, Stated};
use super::super::error::{Fault, ModelFileError};
use super::super::sampling::RawSampling;
use super::super::{SamplingDefaults, TextSources};
use super::folder::Folder;
use super::json::{Object, unsigned};
use crate::printable::printable;
use crate::text::{
    TOKENIZER_JSON_BYTES, TextError, TokenId, TokenKind, Vocabulary, parse_tokenizer_json,
    parse_vocab_and_merges,
};

/// Room for lists of tokens.
const MAX_JSON_BYTES: u64 = 16 << 20;
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;
const MAX_VOCABULARY_BYTES: u64 = TOKENIZER_JSON_BYTES as u64;
/// Tokenizers whose `vocab.json` and `merges.txt` are cut as Qwen2's.
const QWEN_CLASSES: [&str; 2] = ["Qwen2Tokenizer", "Qwen2TokenizerFast"];
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
        let tokenizer = JsonFile::read(folder, "tokenizer_config.json")?;
        let (mut vocabulary, vocabulary_source) =
            read_vocabulary(folder, config, tokenizer.as_ref())?;
        let generation = JsonFile::read_if_usable(folder, "generation_config.json");
        vocabulary.end_tokens = end_tokens(folder, generation.as_ref(), vocabulary.tokens.len())?;
        if let Some(tokenizer) = &tokenizer {
            tokenizer.try_with(|object| set_bos(object, &mut vocabulary))?;
        }
        let (chat_template, template_source) = read_template(folder, tokenizer.as_ref())?;
        let sampling_defaults = match &generation {
            Some(generation) => sampling_defaults(generation),
            None => SamplingDefaults::default(),
        };
        let sources = TextSources { vocabulary: vocabulary_source, chat_template: template_source };
        Ok(TextFiles { vocabulary, chat_template, sources, sampling_defaults })
    }
}

/// The chat template, if there is one, and the name of its file. A file of its own wins; of the
/// other two, `chat_template.json` is the one that older processors have.
fn read_template(
    folder: &Folder,
    tokenizer: Option<&JsonFile>,
) -> Result<(Option<String>, String), ModelFileError> {
    if let Some(file) = folder.read_optional("chat_template.jinja", MAX_TEMPLATE_BYTES)? {
        let text = std::str::from_utf8(&file.content).map_err(|error| {
            Fault::malformed("template", "UTF-8", error.to_string()).in_file(&file.name)
        })?;
        // Editors on Windows write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        return Ok((Some(text.to_owned()), file.name));
    }
    let other = JsonFile::read(folder, "chat_template.json")?;
    for file in tokenizer.into_iter().chain(&other) {
        if let Some(template) = file.try_with(template)? {
            return Ok((Some(template), file.name.clone()));
        }
    }
    Ok((None, String::new()))
}

/// The vocabulary and the name of its file.
fn read_vocabulary(
    folder: &Folder,
    config: &ModelConfig,
    tokenizer: Option<&JsonFile>,
) -> Result<(Vocabulary, String), ModelFileError> {
    let (vocabulary, name) = match folder.read_optional("tokenizer.json", MAX_VOCABULARY_BYTES)? {
        Some(file) => (parse_tokenizer_json(&file.content), file.name),
        None => vocabulary_of_parts(folder, tokenizer)?,
    };
    let vocabulary = vocabulary.map_err(|error| Fault::Text(error).in_file(&name))?;
    let (rows, tokens) = (config.vocabulary_rows, vocabulary.tokens.len());
    if tokens == 0 || tokens > rows {
        let expected = format!("1 to {rows} tokens, as many as the embedding has rows");
        return Err(Fault::malformed("vocabulary", expected, tokens.to_string()).in_file(&name));
    }
    Ok((vocabulary, name))
}

/// The vocabulary of a folder without `tokenizer.json`, and the file to name if it is wrong.
///
/// Errors: a part is missing, or the tokenizer is not Qwen2's; says how to make `tokenizer.json`.
fn vocabulary_of_parts(
    folder: &Folder,
    tokenizer: Option<&JsonFile>,
) -> Result<(Result<Vocabulary, TextError>, String), ModelFileError> {
    let vocab = folder.read_optional("vocab.json", MAX_VOCABULARY_BYTES)?;
    let merges = folder.read_optional("merges.txt", MAX_VOCABULARY_BYTES)?;
    let configuration = folder.read_optional("tokenizer_config.json", MAX_JSON_BYTES)?;
    let class = match tokenizer {
        Some(file) => {
            file.try_with(|object| Ok(object.string("tokenizer_class")?.map(str::to_owned)))?
        }
        None => None,
    };
    let found = match (vocab, merges, configuration) {
        (None, ..) | (_, None, _) => "neither".to_owned(),
        (.., None) => "no tokenizer_config.json".to_owned(),
        (Some(vocab), Some(merges), Some(configuration)) => match class.as_deref() {
            Some(class) if QWEN_CLASSES.contains(&class) => {
                let (vocab, name) = (vocab.content, vocab.name);
                let made = parse_vocab_and_merges(&vocab, &merges.content, &configuration.content);
                if let Some(vocabulary) = made.transpose() {
                    return Ok((vocabulary, name));
                }
                "no added_tokens_decoder in tokenizer_config.json".to_owned()
            }
            Some(class) => format!("tokenizer_class {}", printable(class)),
            None => "no tokenizer_class in tokenizer_config.json".to_owned(),
        },
    };
    let expected = "tokenizer.json, or vocab.json and merges.txt of a Qwen2Tokenizer with its \
                    tokenizer_config.json";
    let advice = "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` of transformers \
                  makes tokenizer.json";
    let fault =
        Fault::NotAModel { expected: expected.to_owned(), found: format!("{found}; {advice}") };
    Err(fault.in_file(folder.name()))
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
        // Older files have them by their names.
        Some(Value::Object(templates)) => match templates.get("default").and_then(Value::as_str) {
            Some(template) => Ok(Some(template.to_owned())),
            None => Err(Fault::key(key, "a template named default", "an object without one")),
        },
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
