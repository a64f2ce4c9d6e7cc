//! Hints for a wrong command line, beside the parser's own message.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use banter_remote::hub::ModelName;
use clap::Error;
use clap::error::{ContextKind, ContextValue};

use crate::output;
use crate::visible::visible;

/// Prints what is wrong with a command line, and what may have been meant, and ends the program.
/// `--help` and `--version` end here too.
pub fn end(error: &Error, arguments: &[OsString]) -> ! {
    let words: Vec<String> =
        arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().all(|word| matches!(visible(word), Cow::Borrowed(_))) {
        // If nobody reads it, the program still ends with this status.
        let _ = error.print();
    } else {
        // The message repeats a word that could control the terminal.
        output::tell(&error.render().to_string());
    }
    if let Some(hint) = stray_word(error).and_then(|stray| hint(&stray, &words)) {
        output::tell(&format!("\n  hint: {hint}"));
    }
    std::process::exit(error.exit_code())
}

/// The word that the parser does not know, if that is the error.
fn stray_word(error: &Error) -> Option<String> {
    let context = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    let value = context.into_iter().find_map(|kind| error.get(kind))?;
    match value {
        ContextValue::String(word) if !word.starts_with('-') => Some(word.clone()),
        _ => None,
    }
}

/// What may have been meant: the words of other programs of this kind, or a model without
/// `--model`.
fn hint(stray: &str, words: &[String]) -> Option<String> {
    let next = words.iter().skip_while(|word| *word != stray).nth(1);
    let name = next.filter(|next| !next.starts_with('-')).map_or("NAME", String::as_str);
    let serve = |model: &str| format!("`banter serve --model {model}` serves a model");
    match stray {
        "run" | "start" | "load" | "launch" => Some(serve(name)),
        "talk" | "ask" | "repl" => Some("`banter chat` talks in this terminal".to_owned()),
        "ls" | "models" | "ps" | "show" => Some("`banter list` lists the models".to_owned()),
        "remove" | "delete" | "uninstall" => Some(format!("`banter rm {name}` removes a model")),
        "download" | "get" | "install" | "fetch" => {
            Some(format!("`banter pull {name}` downloads a model"))
        }
        "stop" => Some("Ctrl-C in its terminal stops a server".to_owned()),
        word if is_model(word) => Some(serve(word)),
        _ => None,
    }
}

fn is_model(word: &str) -> bool {
    Path::new(word).exists() || word.ends_with(".gguf") || ModelName::parse(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_programs_lead_to_ours() {
        let cases: &[(&[&str], &str)] = &[
            (&["run", "qwen2.5:7b"], "`banter serve --model qwen2.5:7b`"),
            (&["run"], "`banter serve --model NAME`"),
            (&["run", "--verbose"], "`banter serve --model NAME`"),
            (&["ask"], "`banter chat`"),
            (&["ls"], "`banter list`"),
            (&["remove", "qwen2.5:7b"], "`banter rm qwen2.5:7b`"),
            (&["download", "a/b"], "`banter pull a/b`"),
            (&["model.gguf"], "`banter serve --model model.gguf`"),
            (&["qwen2.5:7b"], "`banter serve --model qwen2.5:7b`"),
        ];
        for (words, expected) in cases {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let hint = hint(&words[0], &words).unwrap_or_default();
            assert!(hint.contains(expected), "{words:?}: {hint}");
        }
        assert_eq!(hint("frobnicate", &["frobnicate".to_owned()]), None);
    }
}
