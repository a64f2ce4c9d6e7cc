//! How this program was started, so that people can paste the commands in our advice.

use std::ffi::OsString;

/// The command that starts the server: with cargo if cargo has started this process.
pub fn serve_command() -> String {
    format!("{} serve", program())
}

/// The command of this process, with another port and without keys.
pub fn on_port(port: &str) -> String {
    let arguments = std::env::args_os().skip(1);
    format!("{} {} --port {port}", program(), serve_arguments(arguments))
}

/// The command that pulls a model.
pub fn pull_command(name: &str) -> String {
    format!("{} pull {}", program(), quoted(&name.into()))
}

fn program() -> String {
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        return "cargo run --release --".to_owned();
    }
    std::env::args_os().next().map_or_else(|| "banter".to_owned(), |path| quoted(&path))
}

/// The arguments without `--port` and `--key`.
fn serve_arguments(arguments: impl Iterator<Item = OsString>) -> String {
    let mut words = vec!["serve".to_owned()];
    let mut is_value_of_left_out = false;
    for argument in arguments {
        let text = argument.to_string_lossy();
        if std::mem::take(&mut is_value_of_left_out) || text == "serve" {
            continue;
        }
        match text.split_once('=').map_or(text.as_ref(), |(name, _)| name) {
            "--port" | "--key" => is_value_of_left_out = !text.contains('='),
            _ => words.push(quoted(&argument)),
        }
    }
    words.join(" ")
}

/// A word, quoted for a shell if that is needed.
fn quoted(word: &OsString) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+~".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_kept_but_for_port_and_keys() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "serve"),
            (&["serve", "--port", "7860"], "serve"),
            (&["--model", "my model.gguf", "--port=1"], "serve --model 'my model.gguf'"),
            (&["serve", "--key", "secret-key", "--ctx", "512"], "serve --ctx 512"),
            (&["--log-file", "it's.log", "--key=secret-key"], r"serve --log-file 'it'\''s.log'"),
        ];
        for (given, expected) in cases {
            let found = serve_arguments(given.iter().map(OsString::from));
            assert_eq!(found, *expected, "{given:?}");
        }
    }
}
