//! The files of a repository, and which of them are the model.

use super::checksum::Sha256Sum;
use super::name::is_path;
use crate::printable::printable;

/// What a hub says about a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its licence, if it states one.
    pub licence: Option<String>,
    /// The commit of the list, if the hub says it.
    pub commit: Option<String>,
    /// Its files.
    pub files: Vec<ListedFile>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size, if the list says it.
    pub bytes: Option<u64>,
    /// The checksum of its bytes, if the list says it.
    pub sha256: Option<Sha256Sum>,
}

/// How many files of a repository are considered, the first ones. Real repositories have tens.
const MAX_FILES: usize = 10_000;

/// Which file of a repository is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// The file of this name, or the one whose name contains this word.
    Named(&'a str),
    /// The file of this quantisation, or else the first of [`USUAL`] that exists.
    Usual(&'a str),
}

/// The quantisations in the order in which they are tried if the wanted one does not exist.
const USUAL: [&str; 10] =
    ["q4_0", "q4_k_m", "q8_0", "q5_k_m", "q5_0", "q6_k", "q3_k_m", "q2_k", "fp16", "bf16"];

/// Why no file could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// The wanted file does not exist; with those that do.
    NotThere(Vec<String>),
    /// The list lacks this part of a split file.
    MissingPart(String),
}

impl Listing {
    /// Drops files beyond the limit and those whose path could lead elsewhere. Removes control
    /// characters from the licence, because pages and terminals show it. Hubs are not trusted.
    pub(super) fn keep_usable(&mut self) {
        let licence = self.licence.take().map(|licence| printable(&licence));
        self.licence = licence.filter(|licence| !licence.is_empty());
        self.files.truncate(MAX_FILES);
        self.files.retain(|file| is_path(&file.path));
    }

    /// The files of the model: one GGUF file, the parts of a split one, or the files of a folder.
    pub(super) fn choose(&self, wanted: Wanted<'_>) -> Result<Vec<ListedFile>, NoChoice> {
        let weights: Vec<&ListedFile> =
            self.files.iter().filter(|file| is_weights(&file.path)).collect();
        let found = match wanted {
            Wanted::Named(name) => exactly(&self.files, name).or_else(|| tagged(&weights, name)),
            Wanted::Usual(quantisation) => tagged(&weights, quantisation)
                .or_else(|| USUAL.iter().find_map(|usual| tagged(&weights, usual)))
                .or_else(|| (weights.len() == 1).then(|| weights[0])),
        };
        if let Some(file) = found {
            return self.with_parts(file);
        }
        if let (Wanted::Usual(_), Some(files)) = (wanted, self.folder()) {
            return Ok(files);
        }
        Err(NoChoice::NotThere(weights.iter().map(|file| file.path.clone()).collect()))
    }

    /// All parts of a split file, or the file alone.
    fn with_parts(&self, file: &ListedFile) -> Result<Vec<ListedFile>, NoChoice> {
        let Some(split) = Split::of(&file.path) else { return Ok(vec![file.clone()]) };
        let part = |number| {
            let path = split.part(number);
            let found = self.files.iter().find(|file| file.path == path);
            found.cloned().ok_or(NoChoice::MissingPart(path))
        };
        (1..=split.count).map(part).collect()
    }

    /// The files of a folder with safetensors, if this is one.
    fn folder(&self) -> Option<Vec<ListedFile>> {
        let has = |name: &str| self.files.iter().any(|file| file.path == name);
        let is_model = has("config.json") && has("tokenizer.json");
        let is_needed = |file: &&ListedFile| {
            let name = file.path.as_str();
            let is_top = !name.contains('/');
            is_top
                && (name.ends_with(".safetensors")
                    || FOLDER_FILES.contains(&name)
                    || name.to_ascii_uppercase().starts_with("LICENSE"))
        };
        let files: Vec<ListedFile> = self.files.iter().filter(is_needed).cloned().collect();
        let has_weights = files.iter().any(|file| file.path.ends_with(".safetensors"));
        (is_model && has_weights).then_some(files)
    }
}

const FOLDER_FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "quantize_config.json",
    "model.safetensors.index.json",
];

fn is_weights(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.ends_with(".gguf") && !lower.contains("mmproj") && !lower.contains("imatrix")
}

fn exactly<'a>(files: &'a [ListedFile], name: &str) -> Option<&'a ListedFile> {
    files.iter().find(|file| file.path == name)
}

/// The first file whose name contains the tag as a whole word.
fn tagged<'a>(files: &[&'a ListedFile], tag: &str) -> Option<&'a ListedFile> {
    let tag = tag.to_ascii_lowercase();
    files.iter().copied().find(|file| {
        let lower = file.path.to_ascii_lowercase();
        let name = lower.rsplit('/').next().unwrap_or_default();
        let words = name.trim_end_matches(".gguf").split(['-', '.']);
        words.into_iter().any(|word| word == tag)
    })
}

/// The name of one part of a split GGUF file.
struct Split<'a> {
    stem: &'a str,
    count: u32,
}

impl Split<'_> {
    fn of(path: &str) -> Option<Split<'_>> {
        let name = path.strip_suffix(".gguf")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(number) || !is_number(count) {
            return None;
        }
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(Split { stem, count })
    }

    fn part(&self, number: u32) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let file = |path: &&str| ListedFile { path: path.to_string(), bytes: None, sha256: None };
        Listing { files: paths.iter().map(file).collect(), ..Listing::default() }
    }

    fn chosen(paths: &[&str], wanted: Wanted<'_>) -> Result<Vec<String>, NoChoice> {
        let files = listing(paths).choose(wanted)?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    const SEVEN: &[&str] = &[
        ".gitattributes",
        "README.md",
        "qwen2.5-7b-instruct-fp16-00001-of-00002.gguf",
        "qwen2.5-7b-instruct-fp16-00002-of-00002.gguf",
        "qwen2.5-7b-instruct-q2_k.gguf",
        "qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf",
        "qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf",
        "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf",
        "qwen2.5-7b-instruct-q4_k_m-00002-of-00002.gguf",
    ];

    #[test]
    fn a_quantisation_brings_all_its_parts() {
        let both = &SEVEN[5..7];
        assert_eq!(chosen(SEVEN, Wanted::Usual("q4_0")).expect("there"), both);
        assert_eq!(chosen(SEVEN, Wanted::Named("Q4_0")).expect("there"), both);
        assert_eq!(chosen(SEVEN, Wanted::Named(SEVEN[6])).expect("there"), both);
        assert_eq!(chosen(SEVEN, Wanted::Named("q2_k")).expect("there"), &SEVEN[4..5]);
    }

    #[test]
    fn k3_a_licence_is_one_line_without_control_characters() {
        let long = "x".repeat(1_000);
        let cases = [
            ("Apache-2.0", Some("Apache-2.0".to_owned())),
            ("\u{1b}]52;c;aGk=\u{7}\u{9b}2Jmit\r\nfree", Some("]52;c;aGk= 2Jmit free".to_owned())),
            ("mit\u{202e}eerf", Some("miteerf".to_owned())),
            (long.as_str(), Some("x".repeat(200) + "…")),
            ("\u{1b} \n", None),
            ("", None),
        ];
        for (stated, expected) in cases {
            let licence = Some(stated.to_owned());
            let mut listing = Listing { licence, ..Listing::default() };
            listing.keep_usable();
            assert_eq!(listing.licence, expected, "{stated:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = chosen(SEVEN, Wanted::Named("q6_k")).expect_err("not there");
        let NoChoice::NotThere(there) = error else { panic!("expected the list, found {error:?}") };
        assert_eq!(there.len(), 7);
        let lacking = &SEVEN[..6];
        let missing = NoChoice::MissingPart(SEVEN[6].to_owned());
        assert_eq!(chosen(lacking, Wanted::Usual("q4_0")), Err(missing));
    }

    #[test]
    fn without_the_usual_one_the_next_best_is_taken() {
        let two = ["m-Q6_K.gguf", "m-Q4_K_M.gguf", "mmproj-m-q4_0.gguf"];
        assert_eq!(chosen(&two, Wanted::Usual("q4_0")).expect("there"), ["m-Q4_K_M.gguf"]);
        assert_eq!(chosen(&["odd.gguf"], Wanted::Usual("q4_0")).expect("there"), ["odd.gguf"]);
        assert!(chosen(&["a.gguf", "b.gguf"], Wanted::Usual("q4_0")).is_err());
    }

    #[test]
    fn a_folder_brings_what_a_model_needs() {
        let files = [
            "LICENSE",
            "README.md",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model.safetensors",
            "pytorch_model.bin",
            "quantize_config.json",
            "tokenizer.json",
            "vocab.json",
        ];
        let expected = [0, 2, 3, 4, 5, 8, 9].map(|index| files[index]);
        assert_eq!(chosen(&files, Wanted::Usual("q4_0")).expect("a folder"), expected);
        assert!(chosen(&files[..2], Wanted::Usual("q4_0")).is_err());
    }
}
