//! The files of `--well-known`.

use std::path::Path;

use banter_server::{WellKnown, is_own_name};

use crate::options::{Given, OptionError, Options};
use crate::{home, text_file};

/// Reads the files at once: what is served stays as it was at the start.
///
/// Errors: a file cannot be read or is no short text, or its name cannot be served.
pub fn well_known(options: &Options) -> Result<Vec<WellKnown>, OptionError> {
    let Some(given) = options.get("well-known") else { return Ok(Vec::new()) };
    let home = home::folder();
    let mut files: Vec<WellKnown> = Vec::new();
    for value in &given.values {
        let file =
            read(&home::expanded(value.trim(), home.as_deref())).and_then(|file| {
                match files.iter().any(|other| other.name() == file.name()) {
                    true => Err(format!("{value}: expected each name once, found it twice")),
                    false => Ok(file),
                }
            });
        files.push(file.map_err(|error| wrong(given, &error))?);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<WellKnown, String> {
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if is_own_name(name) {
        return Err(format!(
            "{shown}: expected a name that the server does not use itself, found {name:?}; rename \
             the file"
        ));
    }
    let text = text_file::read_text(path, "a short text", WellKnown::MAX_BYTES as u64)?;
    WellKnown::new(name, text).map_err(|error| format!("{shown}: {error}"))
}

fn wrong(given: &Given, error: &str) -> OptionError {
    OptionError(format!("{}: {error}", given.place()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(paths: &[&str]) -> Result<Vec<WellKnown>, String> {
        let command = clap::Command::new("serve").args(crate::options::arguments());
        let flags = paths.iter().flat_map(|path| ["--well-known", path]);
        let matches = command.get_matches_from(std::iter::once("serve").chain(flags));
        let options = Options::collect(&matches, &BTreeMap::new(), None).expect("options");
        well_known(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn files_are_read_once_and_a_wrong_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("a plain path").to_owned()
        };
        let proof = file("WW_verify_a.txt", b"proof");
        let files = check(&[&proof, &file("b.txt", b"b")]).expect("both are right");
        assert_eq!(files[0], WellKnown::new("WW_verify_a.txt", "proof".into()).expect("a file"));
        assert_eq!(files.len(), 2);
        let cases = [
            (file("embed.js", b"x"), "a name that the server does not use itself"),
            (file("ready", b"x"), "a name that the server does not use itself"),
            (file(".hidden", b"x"), "does not begin with '.'"),
            (file("long.txt", &[b'x'; (64 << 10) + 1]), "expected at most 65536 bytes"),
            (file("binary.txt", b"\xff\xfe"), "expected a text in UTF-8"),
            (file("empty.txt", b""), "found an empty file"),
            (file("other/WW_verify_a.txt", b"x"), "found it twice"),
            ("/nowhere/a.txt".to_owned(), "/nowhere/a.txt"),
        ];
        for (path, words) in cases {
            let said = check(&[&proof, &path]).expect_err("it is wrong");
            assert!(said.starts_with("--well-known (command line): "), "{said}");
            assert!(said.contains(words), "{path}: {said}");
        }
    }
}
