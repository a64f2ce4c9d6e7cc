//! The home folder: the meaning of `~` and `$HOME`, and the usual folders of what is kept.
//!
//! A shell replaces them on a command line, but not in a configuration file, in a variable of a
//! service, or after `--model=`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The home folder, if the environment names one.
pub fn folder() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

/// The folder of pulled models, unless another is named; `None` without a home folder.
pub fn models_dir() -> Option<PathBuf> {
    Some(data_dir()?.join("models"))
}

/// The folder of conversations, unless another is named; `None` without a home folder.
pub fn conversations_dir() -> Option<PathBuf> {
    Some(data_dir()?.join("data"))
}

/// The folder of all that a person keeps with banter; `None` without a home folder.
pub fn data_dir() -> Option<PathBuf> {
    let data = variable("XDG_DATA_HOME").map(PathBuf::from);
    Some(data.or_else(|| Some(folder()?.join(".local/share")))?.join("banter"))
}

/// The usual configuration file, which need not exist; `None` without a home folder.
pub fn config_file() -> Option<PathBuf> {
    let named = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    Some(named.or_else(|| Some(folder()?.join(".config")))?.join("banter").join("config.toml"))
}

/// A path in which `~` or `$HOME` at the beginning is replaced by the home folder.
///
/// The folder of another person (`~name`) stays as it is, and so does every path without a home
/// folder.
pub fn expanded(text: &str, home: Option<&Path>) -> PathBuf {
    let rest = ["~", "$HOME", "${HOME}"].into_iter().find_map(|start| text.strip_prefix(start));
    match (rest, home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_beginning_that_means_home_is_replaced() {
        let cases = [
            ("~", "/home/me"),
            ("~/m.gguf", "/home/me/m.gguf"),
            ("~//m.gguf", "/home/me/m.gguf"),
            ("$HOME/m.gguf", "/home/me/m.gguf"),
            ("${HOME}/m.gguf", "/home/me/m.gguf"),
            ("~you/m.gguf", "~you/m.gguf"),
            ("$HOMES/m.gguf", "$HOMES/m.gguf"),
            ("/data/~/m.gguf", "/data/~/m.gguf"),
            ("m~.gguf", "m~.gguf"),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text, Some(Path::new("/home/me"))), Path::new(expected), "{text}");
            assert_eq!(expanded(text, None), Path::new(text), "{text} without a home");
        }
    }
}
