//! The addresses and tokens of the hubs, from the environment variables that the hubs' own tools
//! use.

use std::path::{Path, PathBuf};

use super::name::{Hub, ModelName};
use super::typed;
use crate::address::Address;
use crate::error::PullError;

/// A secret for a hub. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    secret: String,
    /// The variable or file that it was read from, for messages.
    from: String,
}

/// How this machine reaches a hub.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Its address, or that of a mirror.
    pub(crate) address: Address,
    /// The token, if there is one.
    pub(crate) token: Option<Token>,
}

/// Both hubs, and which is asked first.
#[derive(Clone, Debug)]
pub struct HubSettings {
    hugging_face: Endpoint,
    model_scope: Endpoint,
    /// The hubs to ask for official models, at least one. A later one is asked only if those before
    /// cannot be reached.
    pub(super) order: Vec<Hub>,
    /// The variable that forbids to fetch anything, if one is set.
    offline: Option<&'static str>,
}

const HUGGING_FACE: &str = "https://huggingface.co";
const MODEL_SCOPE: &str = "https://modelscope.cn";

/// A file with a token has one line.
const MAX_TOKEN_BYTES: u64 = 4096;

impl HubSettings {
    /// Reads the environment variables with `variable`:
    ///
    /// `HF_ENDPOINT`, `HF_TOKEN` (or the file at `HF_TOKEN_PATH`, else `HF_HOME/token`, unless
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`), `HF_HUB_OFFLINE`; `MODELSCOPE_ENDPOINT`,
    /// `MODELSCOPE_DOMAIN`, `MODELSCOPE_API_TOKEN`; `BANTER_HUB` (`huggingface`, `modelscope`, or
    /// both in the order to ask). Errors: an address or a choice that cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<HubSettings, PullError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is_on = |name: &str| {
            set(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
            })
        };
        let hugging_face = endpoint("HF_ENDPOINT", set("HF_ENDPOINT"), HUGGING_FACE)?;
        let (scope_variable, scope) = match set("MODELSCOPE_ENDPOINT") {
            Some(endpoint) => ("MODELSCOPE_ENDPOINT", Some(endpoint)),
            None => ("MODELSCOPE_DOMAIN", set("MODELSCOPE_DOMAIN")),
        };
        let model_scope = endpoint(scope_variable, scope, MODEL_SCOPE)?;
        let order = match set("BANTER_HUB") {
            Some(hubs) => hubs.split(',').map(|hub| named(hub.trim())).collect::<Result<_, _>>()?,
            // Who sets a mirror wants only the mirror to be asked.
            None if set("HF_ENDPOINT").is_some() => vec![Hub::HuggingFace],
            None => vec![Hub::HuggingFace, Hub::ModelScope],
        };
        let offline =
            ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| is_on(name));
        let implicit = || {
            let path = (!is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")).then(|| token_file(&set))??;
            read_token(&path)
        };
        let of = |name: &str| set(name).and_then(|secret| Token::new(&secret, name.to_owned()));
        let token = of("HF_TOKEN").or_else(|| of("HUGGING_FACE_HUB_TOKEN"));
        Ok(HubSettings {
            hugging_face: Endpoint { address: hugging_face, token: token.or_else(implicit) },
            model_scope: Endpoint { address: model_scope, token: of("MODELSCOPE_API_TOKEN") },
            order,
            offline,
        })
    }

    /// Reads the environment of this process.
    pub fn from_environment() -> Result<HubSettings, PullError> {
        HubSettings::read(|name| std::env::var(name).ok())
    }

    /// A hub as this machine reaches it.
    pub(crate) fn endpoint(&self, hub: Hub) -> &Endpoint {
        match hub {
            Hub::HuggingFace => &self.hugging_face,
            Hub::ModelScope => &self.model_scope,
        }
    }

    /// The model whose page or file at a mirror of Hugging Face has this address.
    pub(super) fn page_of_mirror(&self, name: &ModelName) -> Option<ModelName> {
        let ModelName::Url { address, sha256: None } = name else { return None };
        let (url, mirror) = (address.url(), self.hugging_face.address.url());
        let base = mirror.path().trim_end_matches('/');
        let path = url.path().strip_prefix(base)?;
        if url.origin() != mirror.origin() || !path.starts_with('/') {
            return None;
        }
        let mut below = url.clone();
        below.set_path(path);
        typed::page_by_form(&below)
    }

    pub(super) fn check_online(&self) -> Result<(), PullError> {
        self.offline.map_or(Ok(()), |variable| Err(PullError::Offline(variable)))
    }
}

impl Token {
    /// Takes a secret; `None` if it could not be sent in a header.
    fn new(text: &str, from: String) -> Option<Token> {
        let text = text.trim();
        let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_visible.then(|| Token { secret: text.to_owned(), from })
    }

    /// The secret, for a header.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The variable or file that it was read from.
    pub(super) fn from(&self) -> &str {
        &self.from
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

fn named(hub: &str) -> Result<Hub, PullError> {
    match hub.to_ascii_lowercase().as_str() {
        "huggingface" | "hf" => Ok(Hub::HuggingFace),
        "modelscope" | "ms" => Ok(Hub::ModelScope),
        _ => {
            let expected = "expected huggingface, modelscope or both with a comma".to_owned();
            Err(PullError::Setting { variable: "BANTER_HUB", expected, found: hub.to_owned() })
        }
    }
}

fn endpoint(
    variable: &'static str,
    value: Option<String>,
    usual: &str,
) -> Result<Address, PullError> {
    let Some(value) = value else {
        return Ok(Address::parse_base(usual).expect("the usual addresses are right"));
    };
    let value = value.trim();
    // ModelScope's own tools accept a host without `https://`.
    let with_scheme = if value.contains("://") || variable == "HF_ENDPOINT" {
        value.to_owned()
    } else {
        format!("https://{value}")
    };
    Address::parse_base(&with_scheme).map_err(|error| PullError::Setting {
        variable,
        expected: error.to_string(),
        found: value.to_owned(),
    })
}

fn token_file(set: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = set("HF_TOKEN_PATH") {
        return Some(PathBuf::from(path));
    }
    let home = match (set("HF_HOME"), set("XDG_CACHE_HOME")) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(cache)) => Path::new(&cache).join("huggingface"),
        (None, None) => Path::new(&set("HOME")?).join(".cache/huggingface"),
    };
    Some(home.join("token"))
}

fn read_token(path: &Path) -> Option<Token> {
    let found = std::fs::metadata(path).ok()?;
    // A pipe would be waited for, and a device may have no end.
    let is_usable = found.is_file() && found.len() <= MAX_TOKEN_BYTES;
    let text = is_usable.then(|| std::fs::read_to_string(path).ok()).flatten()?;
    Token::new(&text, path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<HubSettings, PullError> {
        HubSettings::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn without_variables_both_hubs_are_asked_without_a_token() {
        let settings = settings(&[]).expect("right");
        assert_eq!(settings.endpoint(Hub::HuggingFace).address.to_string(), HUGGING_FACE);
        assert_eq!(settings.endpoint(Hub::ModelScope).address.to_string(), MODEL_SCOPE);
        assert_eq!(settings.order, [Hub::HuggingFace, Hub::ModelScope]);
        assert!(settings.endpoint(Hub::HuggingFace).token.is_none());
        settings.check_online().expect("nothing forbids it");
    }

    #[test]
    fn the_variables_of_the_hubs_own_tools_are_heard() {
        let variables = [
            ("HF_ENDPOINT", "https://mirror.example/hf/"),
            ("HF_TOKEN", " hf_secret\n"),
            ("MODELSCOPE_DOMAIN", "www.modelscope.ai"),
            ("MODELSCOPE_API_TOKEN", "ms-secret"),
            ("HF_HUB_OFFLINE", "1"),
        ];
        let settings = settings(&variables).expect("right");
        let (face, scope) =
            (settings.endpoint(Hub::HuggingFace), settings.endpoint(Hub::ModelScope));
        assert_eq!(face.address.to_string(), "https://mirror.example/hf");
        assert_eq!(face.token.as_ref().map(Token::secret), Some("hf_secret"));
        assert_eq!(scope.address.to_string(), "https://www.modelscope.ai");
        assert_eq!(scope.token.as_ref().map(Token::secret), Some("ms-secret"));
        assert_eq!(settings.order, [Hub::HuggingFace], "a mirror is asked, and no one else");
        assert!(matches!(settings.check_online(), Err(PullError::Offline("HF_HUB_OFFLINE"))));
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_token_is_found_where_a_login_leaves_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(home.path().join("token"), "hf_file\n").expect("written");
        let home = home.path().to_str().expect("UTF-8");
        let found = |variables: &[(&str, &str)]| {
            let settings = settings(variables).expect("right");
            let token = settings.endpoint(Hub::HuggingFace).token.clone();
            token.map(|token| (token.secret, token.from))
        };
        let of = |secret: &str, from: String| Some((secret.to_owned(), from));
        assert_eq!(found(&[("HF_HOME", home)]), of("hf_file", format!("{home}/token")));
        let own = [("HF_HOME", home), ("HF_TOKEN", "own")];
        assert_eq!(found(&own), of("own", "HF_TOKEN".to_owned()));
        let old = [("HUGGING_FACE_HUB_TOKEN", "old")];
        assert_eq!(found(&old), of("old", "HUGGING_FACE_HUB_TOKEN".to_owned()));
        for odd in ["/dev/zero", "/dev/null", home] {
            assert_eq!(found(&[("HF_TOKEN_PATH", odd)]), None, "{odd} is no file");
        }
        let disabled = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(found(&disabled), None);
    }

    #[test]
    fn wrong_values_name_the_variable() {
        let cases = [
            ("HF_ENDPOINT", "huggingface.co"),
            ("HF_ENDPOINT", "http://user@mirror.example"),
            ("MODELSCOPE_ENDPOINT", "ftp://scope.example"),
            ("BANTER_HUB", "github"),
        ];
        for (variable, value) in cases {
            let message = settings(&[(variable, value)]).expect_err(value).to_string();
            assert!(message.starts_with(variable) && message.contains(value), "{message}");
        }
    }
}
