//! Names in the forms in which people type them: with the hub's address, copied from its pages or
//! from commands of other programs, or from memory. A text that can mean only one model is read as
//! that model.
//!
//! To add a spelling: one row in [`HOSTS`] or [`PREFIXES`], or one arm in [`page`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::Url;

use super::catalogue::{FAMILY, KNOWN, KnownModel, USUAL_SIZE};
use super::name::{Hub, ModelName, NameError, is_path, is_word};

/// The words before a colon that name a hub.
const PREFIXES: [(&str, Hub); 4] = [
    ("hf", Hub::HuggingFace),
    ("huggingface", Hub::HuggingFace),
    ("ms", Hub::ModelScope),
    ("modelscope", Hub::ModelScope),
];

/// The hosts whose addresses are read as names, with `www.` or without.
const HOSTS: [(&str, Hub); 4] = [
    ("huggingface.co", Hub::HuggingFace),
    ("hf.co", Hub::HuggingFace),
    ("modelscope.cn", Hub::ModelScope),
    ("modelscope.ai", Hub::ModelScope),
];

/// The first words of addresses at the hubs that are not models.
const NO_MODELS: [&str; 12] = [
    "datasets",
    "spaces",
    "docs",
    "collections",
    "papers",
    "blog",
    "settings",
    "organizations",
    "studios",
    "learn",
    "topic",
    "join",
];

/// Words in the names of official files that are ignored, because all models here have them.
const FILLING: [&str; 4] = ["instruct", "chat", "gguf", "latest"];

/// How similar a text must be to a name, from 0 to 1, to count as a typing error.
const LIKENESS: f64 = 0.55;

/// Reads a name in any spelling, except addresses of other hosts.
pub(super) fn read(text: &str) -> Result<ModelName, NameError> {
    // Chinese input methods write the wide colon.
    let text: Cow<'_, str> = text.trim().replace('：', ":").into();
    if let Some((hub, url)) = hub_address(&text) {
        return page(hub, &url).ok_or_else(|| NameError::no_model_page(&text));
    }
    let lower = text.to_ascii_lowercase();
    if let Some((prefix, hub)) = PREFIXES.into_iter().find(|(prefix, _)| starts(&lower, prefix)) {
        let rest = &text[prefix.len() + 1..];
        let read = repository(hub, rest.trim_start_matches('/'));
        return read.ok_or_else(|| NameError::no_repository(hub, &text));
    }
    if lower.contains("://") {
        return Err(NameError::address(&text));
    }
    let of_library = ["library/", "ollama.com/library/", "registry.ollama.ai/library/"];
    let short = of_library.into_iter().find_map(|start| lower.strip_prefix(start));
    match short.unwrap_or(lower.as_str()) {
        lower if lower.contains('/') => bare_repository(&text),
        short => known(short, &text),
    }
}

/// Whether a text can only be a name, because no path begins so.
pub(super) fn is_surely_a_name(text: &str) -> bool {
    let lower = text.trim().replace('：', ":").to_ascii_lowercase();
    let begins = PREFIXES.map(|(prefix, _)| prefix).into_iter().chain([FAMILY, "http", "https"]);
    lower == FAMILY
        || begins.into_iter().any(|prefix| starts(&lower, prefix))
        || hub_address(&lower).is_some()
}

/// Whether a text is the address of a page or file at a hub.
pub(super) fn is_page_of_hub(text: &str) -> bool {
    hub_address(text.trim()).is_some()
}

fn starts(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':'))
}

/// The hub and the address of a page at a hub, with or without `https://`.
fn hub_address(text: &str) -> Option<(Hub, Url)> {
    let with_scheme = match text.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => Cow::Borrowed(text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            Cow::Owned(format!("https://{rest}"))
        }
        Some(_) => return None,
        // A path may begin with a slash, which the parser of addresses would ignore.
        None if text.starts_with(['/', '\\', '.']) => return None,
        None => Cow::Owned(format!("https://{text}")),
    };
    let url = Url::parse(&with_scheme).ok()?;
    let host = url.host_str()?.trim_start_matches("www.");
    let hub = HOSTS.into_iter().find(|(known, _)| *known == host)?.1;
    // With a checksum behind it, the address is kept as an address, because a name cannot have a
    // checksum.
    let has_checksum = url.fragment().is_some_and(|fragment| fragment.starts_with("sha256="));
    (!has_checksum && url.port().is_none() && url.username().is_empty()).then_some((hub, url))
}

/// The model of a page or a file at a hub.
pub(super) fn page(hub: Hub, url: &Url) -> Option<ModelName> {
    let segments: Vec<String> = url.path_segments()?.map(decoded).collect();
    let segments: Vec<&str> =
        segments.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
    let mut segments = segments.as_slice();
    for start in [&["api", "v1", "models"][..], &["api", "models"], &["models"]] {
        segments = segments.strip_prefix(start).unwrap_or(segments);
    }
    if segments.first().is_some_and(|first| NO_MODELS.contains(first)) {
        return None;
    }
    let named = |wanted: &[&str]| {
        let mut pairs = url.query_pairs().filter(|(key, _)| wanted.contains(&key.as_ref()));
        pairs.next().map(|(_, value)| value.into_owned())
    };
    let file = named(&["show_file_info", "fileName", "FilePath"]);
    let revision = named(&["Revision"]);
    let mut name = from_segments(hub, segments)?;
    if let ModelName::Repository { revision: named, file: path, .. } = &mut name {
        *named = named
            .take()
            .or(revision.filter(|revision| is_word(revision) && revision.as_str() != "master"));
        *path = path.take().or(file.filter(|file| is_path(file)));
    }
    Some(name)
}

/// The name that may have been meant by an address that looks like a page of a hub.
pub(crate) fn meant_by(url: &Url) -> Option<ModelName> {
    // These have pages of the same form, but no models.
    const FORGES: [&str; 3] = ["github.com", "gitlab.com", "gitee.com"];
    let host = url.host_str()?;
    let is_forge = FORGES.iter().any(|forge| host.trim_start_matches("www.") == *forge);
    (!is_forge).then(|| page_by_form(url))?
}

/// The model of a page or a file at another host, if its path has the form of a hub's.
pub(super) fn page_by_form(url: &Url) -> Option<ModelName> {
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    let is_file = |name: &str| name.ends_with(".gguf") || name.ends_with(".safetensors");
    let has_form = match segments.as_slice() {
        [_, name] => !is_file(name),
        [_, _, "blob" | "resolve" | "raw" | "tree", ..] => true,
        _ => false,
    };
    has_form.then(|| page(Hub::HuggingFace, url))?
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// `owner/repo`, `owner/repo@revision:file`, `owner/repo/file`, `owner/repo/blob/revision/file`.
fn repository(hub: Hub, rest: &str) -> Option<ModelName> {
    let segments: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    from_segments(hub, &segments)
}

fn from_segments(hub: Hub, segments: &[&str]) -> Option<ModelName> {
    let [owner, name, below @ ..] = segments else { return None };
    // The part after the colon may have folders: it is one path.
    let (name, tag) = name.split_once(':').map_or((*name, None), |(n, tag)| (n, Some(tag)));
    let (name, revision) = name.split_once('@').map_or((name, None), |(n, r)| (n, Some(r)));
    let (below_revision, path) = match (tag, below) {
        (Some(tag), below) => (None, Some([&[tag][..], below].concat().join("/"))),
        (None, []) | (None, ["files" | "summary" | "discussions" | "commits" | "commit", ..]) => {
            (None, None)
        }
        (None, ["blob" | "resolve" | "raw", revision, path @ ..]) => {
            (Some(*revision), (!path.is_empty()).then(|| path.join("/")))
        }
        (None, ["file", "view", revision, path @ ..]) => {
            (Some(*revision), (!path.is_empty()).then(|| path.join("/")))
        }
        (None, ["tree", revision, ..]) => (Some(*revision), None),
        (None, ["repo", ..]) if hub == Hub::ModelScope => (None, None),
        (None, ["blob" | "resolve" | "raw" | "tree"]) => (None, None),
        (None, path) => (None, Some(path.join("/"))),
    };
    let usual = match hub {
        Hub::HuggingFace => "main",
        Hub::ModelScope => "master",
    };
    let repository = name.strip_suffix(".git").unwrap_or(name);
    let revision = revision.or(below_revision.filter(|revision| *revision != usual));
    let are_words = [Some(*owner), Some(repository), revision].into_iter().flatten().all(is_word);
    if !are_words || !path.as_deref().is_none_or(is_path) {
        return None;
    }
    Some(ModelName::Repository {
        hub,
        owner: (*owner).to_owned(),
        repository: repository.to_owned(),
        revision: revision.map(str::to_owned),
        file: path,
    })
}

/// `owner/repo` without a hub, as other programs name a model at Hugging Face.
fn bare_repository(text: &str) -> Result<ModelName, NameError> {
    let segments: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    let is_host = segments[0].contains('.') || segments[0].contains(':');
    if !is_host && let Some(name) = from_segments(Hub::HuggingFace, &segments) {
        return Ok(name);
    }
    let inner = segments.iter().position(|segment| is_word(segment) && !segment.contains('.'));
    let meant = inner.filter(|first| is_host && *first > 0);
    let meant = meant.and_then(|first| from_segments(Hub::HuggingFace, &segments[first..]));
    Err(NameError::unknown(text, meant.map(|name| name.to_string())))
}

/// `qwen2.5:7b-q8_0` and other forms of it: `Qwen2.5-7B-Instruct`, `qwen2.5-7b-q8_0.gguf`.
fn known(lower: &str, text: &str) -> Result<ModelName, NameError> {
    let lower = lower.trim_end_matches(".gguf");
    let Some(rest) = lower.strip_prefix(FAMILY).or_else(|| lower.strip_prefix("qwen-2.5")) else {
        return Err(NameError::unknown(text, nearest(lower)));
    };
    if !rest.is_empty() && !rest.starts_with([':', '-', '_']) {
        return Err(NameError::unknown(text, nearest(lower)));
    }
    let words = rest.split([':', '-']).map(|word| word.trim_matches('_'));
    let mut words = words.filter(|word| !word.is_empty() && !FILLING.contains(word)).peekable();
    let coder = words.next_if_eq(&"coder");
    let size = words.next().unwrap_or(USUAL_SIZE);
    if coder.is_some() {
        let size = size.to_uppercase();
        let meant = format!("hf:Qwen/Qwen2.5-Coder-{size}-Instruct-GGUF");
        return Err(NameError::unknown(text, Some(meant)));
    }
    let model = KnownModel::of_size(size).ok_or_else(|| NameError::size(size, text))?;
    let quantisation = match words.next() {
        None => None,
        Some(word) => {
            let found = model.quantisations().find(|name| *name == word);
            Some(found.ok_or_else(|| NameError::quantisation(model, word, text))?)
        }
    };
    match words.next() {
        None => Ok(ModelName::Known { model, quantisation }),
        Some(more) => Err(NameError::quantisation(model, more, text)),
    }
}

/// The short name that is most similar to a text, if it is similar enough.
fn nearest(lower: &str) -> Option<String> {
    let names = KNOWN.iter().map(KnownModel::name).chain([FAMILY.to_owned()]);
    nearest_of(lower, names)
}

/// The one of `names` that is most similar to a text, if it is similar enough.
pub fn nearest_of(text: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let like = |name: String| {
        let likeness = strsim::normalized_damerau_levenshtein(text, &name.to_ascii_lowercase());
        (likeness, name)
    };
    let near = names.into_iter().map(like).filter(|(likeness, _)| *likeness >= LIKENESS);
    // Of equals the first.
    let best = near.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, name)| name)
}
