//! The names of models: what people type, and nothing a request could abuse.

use std::fmt;

use super::catalogue::{FAMILY, KNOWN, KnownModel, QUANTISATIONS, USUAL_SIZE};
use super::checksum::Sha256Sum;
use crate::address::Address;

/// A place where models are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hub {
    /// huggingface.co, or a mirror of it.
    HuggingFace,
    /// modelscope.cn.
    ModelScope,
}

impl Hub {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Hub::HuggingFace => "Hugging Face",
            Hub::ModelScope => "ModelScope",
        }
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Hub::HuggingFace => "hf",
            Hub::ModelScope => "ms",
        }
    }
}

/// The checked name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// An official model: `qwen2.5:7b`, `qwen2.5:7b-q8_0`.
    Known {
        /// Which.
        model: &'static KnownModel,
        /// The quantisation, if one was named.
        quantisation: Option<&'static str>,
    },
    /// A repository: `hf:owner/repo`, `ms:owner/repo@revision:file`.
    Repository {
        /// Where it is.
        hub: Hub,
        /// Who published it.
        owner: String,
        /// Its name.
        repository: String,
        /// Branch, tag or commit; the main one unless named.
        revision: Option<String>,
        /// The file, or a part of its name as `q4_k_m`; the usual one unless named.
        file: Option<String>,
    },
    /// One file by its address; `#sha256=…` behind it says what its bytes must be.
    Url {
        /// The address, without what stands behind `#`.
        address: Address,
        /// What its bytes must be.
        sha256: Option<Sha256Sum>,
    },
}

/// A text that names no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model name: expected {expected}, found {found:?}")]
pub struct NameError {
    expected: String,
    found: String,
}

/// Longest name; far above any real one.
const MAX_NAME_BYTES: usize = 512;
/// Longest owner, repository or revision; the hubs allow 96.
const MAX_WORD_BYTES: usize = 96;
/// Longest path of a file in a repository.
const MAX_PATH_BYTES: usize = 255;

impl ModelName {
    /// Reads a name as a person types it.
    pub fn parse(text: &str) -> Result<ModelName, NameError> {
        let lower = text.to_ascii_lowercase();
        if text.len() <= MAX_NAME_BYTES
            && (lower.starts_with("http://") || lower.starts_with("https://"))
        {
            return url(text);
        }
        ModelName::parse_public(text)
    }

    /// Reads a name as a request may carry it: never an address.
    pub fn parse_public(text: &str) -> Result<ModelName, NameError> {
        let name = (text.len() <= MAX_NAME_BYTES).then(|| {
            let (prefix, rest) = text.split_once(':').unwrap_or((text, ""));
            match prefix {
                "hf" => repository(Hub::HuggingFace, rest),
                "ms" => repository(Hub::ModelScope, rest),
                _ => known(prefix, rest),
            }
        });
        name.flatten().ok_or_else(|| unknown(text))
    }

    /// Whether a text is meant as a name and not as the path of a file.
    pub fn is_meant_by(text: &str) -> bool {
        let prefix = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        [FAMILY, "hf", "ms", "http", "https"].contains(&prefix.as_str())
    }
}

fn known(family: &str, tag: &str) -> Option<ModelName> {
    if !family.eq_ignore_ascii_case(FAMILY) {
        return None;
    }
    let tag = tag.to_ascii_lowercase();
    let (size, rest) = tag.split_once('-').unwrap_or((&tag, ""));
    let size = if ["", "latest"].contains(&size) { USUAL_SIZE } else { size };
    let rest = rest.strip_prefix("instruct").map_or(rest, |rest| rest.trim_start_matches('-'));
    let quantisation = match rest {
        "" => None,
        named => Some(QUANTISATIONS.iter().find(|(name, _)| *name == named)?.0),
    };
    Some(ModelName::Known { model: KnownModel::of_size(size)?, quantisation })
}

fn repository(hub: Hub, rest: &str) -> Option<ModelName> {
    let (place, file) = match rest.split_once(':') {
        Some((place, file)) => (place, Some(file)),
        None => (rest, None),
    };
    let (place, revision) = match place.split_once('@') {
        Some((place, revision)) => (place, Some(revision)),
        None => (place, None),
    };
    let (owner, repository) = place.split_once('/')?;
    let are_words = [Some(owner), Some(repository), revision].into_iter().flatten().all(is_word);
    if !are_words || !file.is_none_or(is_path) {
        return None;
    }
    Some(ModelName::Repository {
        hub,
        owner: owner.to_owned(),
        repository: repository.to_owned(),
        revision: revision.map(str::to_owned),
        file: file.map(str::to_owned),
    })
}

fn url(text: &str) -> Result<ModelName, NameError> {
    let wrong = |expected: String| NameError { expected, found: shortened(text) };
    let (plain, sha256) = match text.split_once('#') {
        Some((plain, fragment)) => {
            let sum = fragment.strip_prefix("sha256=").and_then(Sha256Sum::parse);
            let expected = || wrong("#sha256= and 64 hexadecimal digits behind a URL".to_owned());
            (plain, Some(sum.ok_or_else(expected)?))
        }
        None => (text, None),
    };
    let address = Address::parse(plain).map_err(|error| wrong(format!("a URL ({error})")))?;
    Ok(ModelName::Url { address, sha256 })
}

/// Letters, digits and `.`, `_`, `-`; nothing that a file system or a hub could take for more.
fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_WORD_BYTES).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('.')
        && !text.contains("..")
}

/// Whether a path stays below where it is put, on any system.
pub(crate) fn is_path(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+() ".contains(&byte);
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.trim() == segment
            && segment.bytes().all(is_allowed)
    };
    text.len() <= MAX_PATH_BYTES && text.split('/').all(is_segment)
}

fn unknown(text: &str) -> NameError {
    let sizes: Vec<&str> = KNOWN.iter().map(|known| known.size).collect();
    let quantisations: Vec<&str> = QUANTISATIONS.iter().map(|(name, _)| *name).collect();
    NameError {
        expected: format!(
            "{FAMILY}:SIZE ({}), with -QUANTISATION behind it if you like ({}), \
             hf:owner/repo[:file] or ms:owner/repo[:file]",
            sizes.join(", "),
            quantisations.join(", ")
        ),
        found: shortened(text),
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelName::Known { model, quantisation: None } => formatter.write_str(&model.name()),
            ModelName::Known { model, quantisation: Some(quantisation) } => {
                write!(formatter, "{}-{quantisation}", model.name())
            }
            ModelName::Repository { hub, owner, repository, revision, file } => {
                write!(formatter, "{}:{owner}/{repository}", hub.prefix())?;
                if let Some(revision) = revision {
                    write!(formatter, "@{revision}")?;
                }
                match file {
                    Some(file) => write!(formatter, ":{file}"),
                    None => Ok(()),
                }
            }
            // What stands behind `?` may be a secret of whoever signed the link.
            ModelName::Url { address, .. } => {
                let mut shown = address.url().clone();
                shown.set_query(None);
                formatter.write_str(shown.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        ModelName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn names_are_read_as_people_type_them() {
        let cases = [
            ("qwen2.5:7b", "qwen2.5:7b"),
            ("qwen2.5", "qwen2.5:7b"),
            ("qwen2.5:latest", "qwen2.5:7b"),
            ("Qwen2.5:0.5B", "qwen2.5:0.5b"),
            ("qwen2.5:72b-q4_K_M", "qwen2.5:72b-q4_k_m"),
            ("qwen2.5:7b-instruct", "qwen2.5:7b"),
            ("qwen2.5:7b-instruct-q8_0", "qwen2.5:7b-q8_0"),
            ("hf:Qwen/Qwen2.5-7B-Instruct-GGUF", "hf:Qwen/Qwen2.5-7B-Instruct-GGUF"),
            ("ms:a/b:c/d-00001-of-00002.gguf", "ms:a/b:c/d-00001-of-00002.gguf"),
            ("hf:a/b@v1.0:q4_k_m", "hf:a/b@v1.0:q4_k_m"),
            ("https://example.com/m.gguf?signature=abc", "https://example.com/m.gguf"),
        ];
        for (text, shown) in cases {
            assert_eq!(parsed(text), shown);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_by_what_was_expected() {
        let long = format!("hf:a/{}", "b".repeat(600));
        let cases = [
            "",
            "qwen2.5:8b",
            "qwen2.5:7b-q9",
            "qwen2:7b",
            "llama",
            "hf:",
            "hf:a",
            "hf:a/",
            "hf:/b",
            "hf:a/b/c",
            "hf:../etc",
            "hf:a/..",
            "hf:a/.b",
            "hf:a/b:../c",
            "hf:a/b:/etc/passwd",
            "hf:a/b:c/../d",
            "hf:a/b:",
            "hf:a/b:c\\d",
            "hf:a/b:C:\\x",
            "hf:a%2e%2e/b",
            "hf:a/b\0",
            "hf:а/b",
            "hf:a/b@:c",
            "HF:a/b",
            "ms:a/b?c",
            "hf:a/b: c",
            "../model.gguf",
            long.as_str(),
        ];
        for text in cases {
            let error = ModelName::parse(text).expect_err(text).to_string();
            assert!(error.contains("qwen2.5:SIZE (0.5b, 1.5b"), "{error}");
            assert!(error.len() < 600, "{error}");
        }
    }

    #[test]
    fn a_request_cannot_name_an_address() {
        for text in ["http://127.0.0.1/", "https://example.com/m.gguf", "file:///etc/passwd"] {
            assert!(ModelName::parse_public(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_may_carry_its_checksum() {
        let sum = "ab".repeat(32);
        let name = ModelName::parse(&format!("https://example.com/m.gguf#sha256={sum}"));
        let ModelName::Url { sha256: Some(found), .. } = name.expect("a name") else {
            panic!("expected an address with a checksum")
        };
        assert_eq!(found.to_string(), sum);
        for wrong in ["https://example.com/m#sha256=12", "https://example.com/m#main"] {
            assert!(ModelName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        for name in ["qwen2.5:7b", "qwen2.5", "hf:a/b", "ms:a/b", "https://a/b"] {
            assert!(ModelName::is_meant_by(name), "{name}");
        }
        for path in ["model.gguf", "./qwen2.5", "/models/a.gguf", "qwen2.5-7b.gguf", "C:\\a.gguf"] {
            assert!(!ModelName::is_meant_by(path), "{path}");
        }
    }
}
