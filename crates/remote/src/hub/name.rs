//! The names of models. A name cannot lead to a file or an address that a request must not reach.

use std::fmt;

use super::catalogue::{FAMILY, KNOWN, KnownModel, QUANTISATIONS};
use super::checksum::Sha256Sum;
use super::typed;
use crate::address::Address;

/// A hub where models are published.
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
        /// Which one.
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
        /// Branch, tag or commit; the main branch if none is named.
        revision: Option<String>,
        /// The file, or a part of its name, as `q4_k_m`; the usual file if none is named.
        file: Option<String>,
    },
    /// One file by its address, with `#sha256=…` behind it or not.
    Url {
        /// The address, without the part after `#`.
        address: Address,
        /// The checksum of its bytes.
        sha256: Option<Sha256Sum>,
    },
}

/// Why a text is not the name of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model name: expected {expected}, found {found:?}{}", did_you_mean(.meant))]
pub struct NameError {
    expected: String,
    found: String,
    /// The name that may have been meant.
    meant: Option<String>,
}

/// The longest name, far above any real one.
const MAX_NAME_BYTES: usize = 512;
/// The longest owner, repository or revision; the hubs allow 96 bytes.
const MAX_WORD_BYTES: usize = 96;
/// The longest path of a file in a repository.
const MAX_PATH_BYTES: usize = 255;

impl ModelName {
    /// Reads a name that a person has typed.
    pub fn parse(text: &str) -> Result<ModelName, NameError> {
        check_length(text)?;
        let lower = text.trim().to_ascii_lowercase();
        let is_address = lower.starts_with("http://") || lower.starts_with("https://");
        if is_address && !typed::is_page_of_hub(text) {
            url(text.trim())
        } else {
            typed::read(text)
        }
    }

    /// Reads a name from a request: not an address, except of a page of a hub.
    pub fn parse_public(text: &str) -> Result<ModelName, NameError> {
        check_length(text)?;
        typed::read(text)
    }

    /// Whether a text can only be a name, and not the path of a file.
    pub fn is_meant_by(text: &str) -> bool {
        typed::is_surely_a_name(text)
    }
}

fn url(text: &str) -> Result<ModelName, NameError> {
    let wrong = |expected: String| NameError::new(expected, text);
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

/// Whether a text has only letters, digits and `.`, `_`, `-`, so that it means nothing else to a
/// file system or a hub.
pub(super) fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_WORD_BYTES).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('.')
        && !text.contains("..")
}

/// Whether a path stays below its folder, on any system.
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

fn check_length(text: &str) -> Result<(), NameError> {
    if text.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    Err(NameError::new(format!("a name of at most {MAX_NAME_BYTES} bytes"), text))
}

impl NameError {
    fn new(expected: String, found: &str) -> NameError {
        NameError { expected, found: shortened(found), meant: None }
    }

    /// The text is no name of a model; `meant` may have been meant.
    pub(super) fn unknown(found: &str, meant: Option<String>) -> NameError {
        let expected = format!(
            "{FAMILY}:7b or another of `banter list`, hf:owner/repo[:file] or ms:owner/repo[:file]"
        );
        NameError { meant, ..NameError::new(expected, found) }
    }

    /// There is no model of this size.
    pub(super) fn size(size: &str, found: &str) -> NameError {
        let sizes: Vec<&str> = KNOWN.iter().map(|known| known.size).collect();
        let meant = KNOWN.iter().find(|known| known.size.trim_end_matches('b') == size);
        let expected = format!("a size of {FAMILY} ({})", sizes.join(", "));
        NameError { meant: meant.map(KnownModel::name), ..NameError::new(expected, found) }
    }

    /// There is no such quantisation, or banter cannot compute it.
    pub(super) fn quantisation(model: &KnownModel, word: &str, found: &str) -> NameError {
        let names: Vec<&str> = model.quantisations().collect();
        let is_lacking = QUANTISATIONS.iter().any(|(name, _)| *name == word);
        let because = if is_lacking { "; its other files hold blocks of iq4_nl" } else { "" };
        let name = model.name();
        let expected = format!("a quantisation of {name} ({}{because})", names.join(", "));
        let near = typed::nearest_of(word, names.iter().map(|name| (*name).to_owned()));
        let meant = near.filter(|_| !is_lacking).map(|near| format!("{name}-{near}"));
        NameError { meant, ..NameError::new(expected, found) }
    }

    /// A hub is named, but no repository.
    pub(super) fn no_repository(hub: Hub, found: &str) -> NameError {
        let prefix = hub.prefix();
        let expected = format!("{prefix}:owner/repo, with @revision or :file behind it or not");
        NameError::new(expected, found)
    }

    /// A page of a hub that is not the page of a model.
    pub(super) fn no_model_page(found: &str) -> NameError {
        let expected = "the page of a model, as huggingface.co/owner/repo".to_owned();
        NameError::new(expected, found)
    }

    /// An address, where only names are allowed.
    pub(super) fn address(found: &str) -> NameError {
        let expected = "a name, as qwen2.5:7b or hf:owner/repo; only `banter pull` takes addresses";
        let page = url::Url::parse(found).ok();
        let meant = page.and_then(|page| typed::meant_by(&page)).map(|name| name.to_string());
        NameError { meant, ..NameError::new(expected.to_owned(), found) }
    }
}

fn did_you_mean(meant: &Option<String>) -> String {
    meant.as_ref().map_or_else(String::new, |meant| format!("; did you mean {meant}?"))
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
            // The part after `?` may be a secret, as in a signed link.
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
    fn what_can_only_mean_one_model_is_that_model() {
        let cases = [
            (" qwen2.5:7b ", "qwen2.5:7b"),
            ("qwen2.5：7b", "qwen2.5:7b"),
            ("qwen2.5-0.5b", "qwen2.5:0.5b"),
            ("qwen-2.5:7b", "qwen2.5:7b"),
            ("Qwen2.5-7B-Instruct", "qwen2.5:7b"),
            ("Qwen2.5-7B-Instruct-GGUF", "qwen2.5:7b"),
            ("qwen2.5-7b-instruct-q4_k_m.gguf", "qwen2.5:7b-q4_k_m"),
            ("library/qwen2.5:7b", "qwen2.5:7b"),
            ("ollama.com/library/qwen2.5:7b", "qwen2.5:7b"),
            ("HF:Owner/Repo", "hf:Owner/Repo"),
            ("huggingface:a/b", "hf:a/b"),
            ("hf://a/b", "hf:a/b"),
            ("hf://a/b@v1/c.gguf", "hf:a/b@v1:c.gguf"),
            ("hf:a/b/c.gguf", "hf:a/b:c.gguf"),
            ("hf:a/b/c/d.gguf", "hf:a/b:c/d.gguf"),
            ("hf:a/b/", "hf:a/b"),
            ("MS:a/b", "ms:a/b"),
            ("modelscope:a/b", "ms:a/b"),
            ("Qwen/Qwen2.5-0.5B-Instruct", "hf:Qwen/Qwen2.5-0.5B-Instruct"),
            ("a/b:q8_0", "hf:a/b:q8_0"),
            ("a/b/c.gguf", "hf:a/b:c.gguf"),
        ];
        for (text, shown) in cases {
            assert_eq!(parsed(text), shown, "{text}");
        }
    }

    #[test]
    fn addresses_of_a_hubs_pages_are_names() {
        let cases = [
            ("hf.co/a/b", "hf:a/b"),
            ("hf.co/a/b:Q4_K_M", "hf:a/b:Q4_K_M"),
            ("huggingface.co/a/b", "hf:a/b"),
            ("https://huggingface.co/a/b", "hf:a/b"),
            ("http://www.huggingface.co/a/b/", "hf:a/b"),
            ("https://huggingface.co/a/b?library=transformers#readme", "hf:a/b"),
            ("https://huggingface.co/a/b/tree/main", "hf:a/b"),
            ("https://huggingface.co/a/b/tree/v1", "hf:a/b@v1"),
            ("https://huggingface.co/a/b/discussions/3", "hf:a/b"),
            ("https://huggingface.co/a/b/blob/main/c.gguf", "hf:a/b:c.gguf"),
            ("https://huggingface.co/a/b/blob/v1/c%20d.gguf", "hf:a/b@v1:c d.gguf"),
            ("huggingface.co/a/b/resolve/main/c/d.gguf?download=true", "hf:a/b:c/d.gguf"),
            ("https://huggingface.co/a/b?show_file_info=c.gguf", "hf:a/b:c.gguf"),
            ("https://huggingface.co/a/b.git", "hf:a/b"),
            ("https://huggingface.co/api/models/a/b", "hf:a/b"),
            ("modelscope.cn/models/a/b", "ms:a/b"),
            ("https://www.modelscope.cn/models/a/b/summary", "ms:a/b"),
            ("https://modelscope.cn/models/a/b/files", "ms:a/b"),
            ("https://modelscope.cn/models/a/b/file/view/master/c.gguf?status=2", "ms:a/b:c.gguf"),
            ("https://modelscope.cn/models/a/b/resolve/master/c.gguf", "ms:a/b:c.gguf"),
            ("https://modelscope.cn/models/a/b/file/view/master?fileName=c.gguf", "ms:a/b:c.gguf"),
        ];
        for (text, shown) in cases {
            assert_eq!(parsed(text), shown, "{text}");
            let public = ModelName::parse_public(text).expect("a request may name it, too");
            assert_eq!(public.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_told_with_what_was_meant() {
        let cases = [
            ("qwen:7b", "did you mean qwen2.5:7b?"),
            ("qwen2:7b", "did you mean qwen2.5:7b?"),
            ("qwn2.5:72b", "did you mean qwen2.5:72b?"),
            ("qwen", "did you mean qwen2.5?"),
            ("qwen2.5:7", "did you mean qwen2.5:7b?"),
            ("qwen2.5:8b", "expected a size of qwen2.5 (0.5b, 1.5b, 3b, 7b"),
            ("qwen2.5:7b-q4_k_s", "did you mean qwen2.5:7b-q4_k_m?"),
            ("qwen2.5:7b-q9", "a quantisation of qwen2.5:7b (q2_k, "),
            ("qwen2.5:0.5b-q2_k", "a quantisation of qwen2.5:0.5b (q4_0, "),
            ("qwen2.5:72b-q3_k_m", "a quantisation of qwen2.5:72b (q4_0, "),
            ("qwen2.5-coder:7b", "did you mean hf:Qwen/Qwen2.5-Coder-7B-Instruct-GGUF?"),
            ("hub.example/a/b", "did you mean hf:a/b?"),
            ("llama3", "`banter list`"),
            ("hf:", "hf:owner/repo"),
            ("ms:a", "ms:owner/repo"),
            ("https://huggingface.co/datasets/a/b", "the page of a model"),
            ("https://huggingface.co/", "the page of a model"),
        ];
        for (text, says) in cases {
            let error = ModelName::parse(text).expect_err(text).to_string();
            assert!(error.contains(says) && error.len() < 250, "{text}: {error}");
        }
        assert!(!ModelName::parse("llama3").expect_err("none").to_string().contains("did you"));
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        let long = format!("hf:a/{}", "b".repeat(600));
        let cases = [
            "",
            "hf:/b",
            "hf:../etc",
            "hf:a/..",
            "hf:a/.b",
            "hf:a/b:../c",
            "hf:a/b/../c",
            "hf:a/b:/etc/passwd",
            "hf:a/b:c/../d",
            "hf:a/b:",
            "hf:a/b:c\\d",
            "hf:a/b:C:\\x",
            "hf:a%2e%2e/b",
            "hf:a/b\0",
            "hf:а/b",
            "hf:a/b@:c",
            "ms:a/b?c",
            "hf:a/b: c",
            "../model.gguf",
            "https://huggingface.co/a/b/resolve/main/%2e%2e%2fc",
            "huggingface.co:8080/a/b",
            "file:///etc/passwd",
            long.as_str(),
        ];
        for text in cases {
            let error = ModelName::parse(text).expect_err(text).to_string();
            assert!(error.starts_with("model name: expected ") && error.len() < 300, "{error}");
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
        let of_hub = format!("https://huggingface.co/a/b/resolve/main/c.gguf#sha256={sum}");
        let name = ModelName::parse(&of_hub).expect("a name");
        assert!(matches!(name, ModelName::Url { sha256: Some(_), .. }), "it is not dropped");
        assert!(ModelName::parse_public(&of_hub).is_err());
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        for name in ["qwen2.5:7b", "qwen2.5", "hf:a/b", "MS:a/b", "https://a/b", "hf.co/a/b"] {
            assert!(ModelName::is_meant_by(name), "{name}");
        }
        for path in ["model.gguf", "./qwen2.5", "/models/a.gguf", "qwen2.5-7b.gguf", "C:\\a.gguf"] {
            assert!(!ModelName::is_meant_by(path), "{path}");
        }
    }
}
