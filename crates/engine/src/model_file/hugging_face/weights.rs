//! Which files of a folder hold the weights.
//!
//! Folders come with more than one set of them: a complete `model.safetensors` beside the index of
//! shards that are gone, or half of it beside good shards. The first set that holds the whole model
//! is used. An index only says which of two files is meant where both hold a tensor.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::bytes::Bytes;
use super::super::config::ModelConfig;
use super::super::error::{Fault, ModelFileError};
use super::super::stored::{self, StoredTensor};
use super::super::tensors::TensorName;
use super::folder::Folder;
use super::other_folders;
use super::safetensors::{MAX_SHARDS, parse_index, read_header};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const ENDING: &str = ".safetensors";
const MAX_INDEX_BYTES: u64 = 4 << 20;
/// Beginnings of the names of safetensors files that are no part of the model itself.
const FOREIGN: [&str; 3] = ["adapter", "consolidated", "optimizer"];

/// The tensors of all files.
pub(super) struct Weights {
    pub stored: Vec<StoredTensor>,
    pub parts: Vec<Bytes>,
}

/// A set of files that may be the model.
enum FileSet {
    Single,
    /// The files that the index names.
    Indexed,
    /// Files numbered `-00001-of-00003`, of which some may be missing.
    Numbered {
        files: BTreeMap<usize, String>,
        count: usize,
    },
    /// All other safetensors files.
    Others(Vec<String>),
}

/// Reads the headers of the first set of files that holds the whole model.
///
/// Errors: none does; what the first set lacks.
pub(super) fn read(folder: &Folder, config: &ModelConfig) -> Result<Weights, ModelFileError> {
    let mut first_error = None;
    for set in file_sets(folder) {
        match set.read(folder, config) {
            Ok(weights) => {
                if let Some(error) = first_error {
                    let files: Vec<&str> = weights.parts.iter().map(Bytes::name).collect();
                    tracing::warn!(%error, files = files.join(", "), "using other weights");
                }
                return Ok(weights);
            }
            // An index that leads out of the folder is not just an old one.
            Err(error) if matches!(error.fault, Fault::Key { .. }) => return Err(error),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| {
        let expected = format!("{SINGLE} or {INDEX}");
        let found = other_folders::describe(folder).unwrap_or_else(|| "neither".to_string());
        Fault::NotAModel { expected, found }.in_file(folder.name())
    }))
}

/// Every set of files that the folder may mean, the likeliest first.
fn file_sets(folder: &Folder) -> Vec<FileSet> {
    let mut sets = Vec::new();
    if folder.has(SINGLE) {
        sets.push(FileSet::Single);
    }
    if folder.has(INDEX) {
        sets.push(FileSet::Indexed);
    }
    let mut numbered: BTreeMap<(String, usize), BTreeMap<usize, String>> = BTreeMap::new();
    let mut others = Vec::new();
    for name in folder.names() {
        let is_foreign = FOREIGN.iter().any(|foreign| name.starts_with(foreign));
        if !name.ends_with(ENDING) || name == SINGLE || name.starts_with('.') || is_foreign {
            continue;
        }
        match number_of(&name) {
            Some(Numbered { stem, number, count }) => {
                numbered.entry((stem.to_string(), count)).or_default().insert(number, name);
            }
            None => others.push(name),
        }
    }
    let numbered = numbered.into_iter();
    sets.extend(numbered.map(|((_, count), files)| FileSet::Numbered { files, count }));
    if !others.is_empty() {
        sets.push(FileSet::Others(others));
    }
    sets
}

/// What a name such as `model-00001-of-00003.safetensors` says.
struct Numbered<'a> {
    stem: &'a str,
    number: usize,
    count: usize,
}

fn number_of(name: &str) -> Option<Numbered<'_>> {
    let (rest, count) = name.strip_suffix(ENDING)?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count).contains(&number).then_some(Numbered { stem, number, count })
}

impl FileSet {
    /// Reads the headers of these files.
    ///
    /// Errors: one cannot be read, or a tensor of the model is in none of them.
    fn read(self, folder: &Folder, config: &ModelConfig) -> Result<Weights, ModelFileError> {
        match self {
            FileSet::Single => {
                let weights = read_files(folder, &[SINGLE.to_string()])?;
                weights.check_complete(folder, config, |_| None)?;
                Ok(weights)
            }
            FileSet::Indexed => read_indexed(folder, config),
            FileSet::Numbered { files, count } => {
                let missing = (1..=count).find(|number| !files.contains_key(number));
                let like = files.values().next().expect("at least one file").clone();
                let missing = missing.map(|number| with_number(&like, number, count));
                let weights = read_files(folder, &files.into_values().collect::<Vec<_>>())?;
                weights.check_complete(folder, config, |_| missing.clone())?;
                Ok(weights)
            }
            FileSet::Others(files) => {
                let weights = read_files(folder, &files)?;
                weights.check_complete(folder, config, |_| None)?;
                Ok(weights)
            }
        }
    }
}

impl Weights {
    /// Checks that every tensor of the model is there and lies within its file. `absent_file` names
    /// the file that should hold a tensor, if that is known not to be there.
    fn check_complete(
        &self,
        folder: &Folder,
        config: &ModelConfig,
        absent_file: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ModelFileError> {
        let stored: HashMap<&str, &StoredTensor> =
            self.stored.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for name in TensorName::all(config) {
            let name = name.hugging_face_name();
            let packed = name.strip_suffix(".weight").map(|stem| format!("{stem}.qweight"));
            let tensor = stored.get(name.as_str());
            let tensor = tensor.or_else(|| stored.get(packed.as_deref()?));
            if let Some(tensor) = tensor {
                self.check_within(tensor)?;
            } else if let Some(file) = absent_file(&name) {
                let expected = format!("a file of the model's weights, among them {name}");
                let found = "no such file: download it".to_string();
                let path = folder.path_of(&file).display().to_string();
                return Err(Fault::NotAModel { expected, found }.in_file(&path));
            } else {
                let file = self.parts.first().map_or(folder.name(), Bytes::name);
                return Err(stored::missing(&name).in_file(file));
            }
        }
        Ok(())
    }

    fn check_within(&self, tensor: &StoredTensor) -> Result<(), ModelFileError> {
        let number = tensor.region.part;
        let part = &self.parts[number];
        if tensor.end() <= part.len() {
            return Ok(());
        }
        Err(stored::ends_early(part, number, self.stored.iter()).in_file(part.name()))
    }
}

/// The name of another file of those that are numbered like `like`.
fn with_number(like: &str, number: usize, count: usize) -> String {
    let stem = number_of(like).map_or(like, |numbered| numbered.stem);
    format!("{stem}-{number:05}-of-{count:05}{ENDING}")
}

fn read_files(folder: &Folder, files: &[String]) -> Result<Weights, ModelFileError> {
    if files.len() > MAX_SHARDS {
        let expected = format!("at most {MAX_SHARDS} files of weights");
        let found = files.len().to_string();
        return Err(Fault::NotAModel { expected, found }.in_file(folder.name()));
    }
    let mut weights = Weights { stored: Vec::new(), parts: Vec::new() };
    for (number, file) in files.iter().enumerate() {
        let part = folder.open_file(file)?;
        weights.stored.extend(read_header(&part, number)?);
        weights.parts.push(part);
    }
    Ok(weights)
}

fn read_indexed(folder: &Folder, config: &ModelConfig) -> Result<Weights, ModelFileError> {
    let file = folder.read(INDEX, MAX_INDEX_BYTES)?;
    let index = parse_index(&file.content).map_err(|fault| fault.in_file(&file.name))?;
    let files: BTreeSet<&String> = index.values().filter(|name| folder.has(name)).collect();
    let files: Vec<String> = files.into_iter().cloned().collect();
    let mut weights = read_files(folder, &files)?;
    let is_in_place = |tensor: &StoredTensor| {
        index.get(&tensor.name).is_some_and(|place| *place == files[tensor.region.part])
    };
    let in_place = weights.stored.iter().filter(|tensor| is_in_place(tensor));
    let in_place: HashSet<String> = in_place.map(|tensor| tensor.name.clone()).collect();
    weights.stored.retain(|tensor| is_in_place(tensor) || !in_place.contains(&tensor.name));
    weights.check_complete(folder, config, |tensor| {
        index.get(tensor).filter(|place| !folder.has(place)).cloned()
    })?;
    Ok(weights)
}
