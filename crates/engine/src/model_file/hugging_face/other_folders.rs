//! Folders that hold no model that can be read here: what they hold, and what to do.

use super::folder::Folder;
use crate::printable::printable;

/// What a folder without safetensors of a whole model is, if its names tell.
pub(super) fn describe(folder: &Folder) -> Option<String> {
    let names = folder.names();
    let first = |is_it: &dyn Fn(&str) -> bool| {
        names.iter().find(|name| is_it(&name.to_ascii_lowercase())).map(|name| printable(name))
    };
    let ends = |endings: &'static [&'static str]| {
        move |name: &str| endings.iter().any(|ending| name.ends_with(ending))
    };
    if names.is_empty() {
        return Some("an empty folder: download the model into it".to_string());
    }
    if let Some(file) = first(&ends(&[".gguf"])) {
        return Some(format!("{file}, a GGUF file: name that file instead of its folder"));
    }
    if let Some(file) = first(&|name| name.starts_with("adapter_")) {
        return Some(format!(
            "{file}, a LoRA adapter, which is only a change to a model: merge it into its base \
             model (merge_and_unload in PEFT) and name the folder of the result"
        ));
    }
    if let Some(file) = first(&|name| name.starts_with("consolidated")) {
        return Some(format!(
            "{file}, weights under the names of another program: take the folder that has \
             model.safetensors, or a GGUF file of the model"
        ));
    }
    let is_pickle = ends(&[".bin", ".pth", ".pt", ".ckpt", ".pkl"]);
    let of_training = ["training_args", "optimizer", "scheduler", "rng_state"];
    let is_weights = |name: &str| !of_training.iter().any(|other| name.starts_with(other));
    if let Some(file) = first(&|name| is_pickle(name) && is_weights(name)) {
        return Some(format!(
            "{file}, which is never read because opening it runs code: take safetensors of the \
             model (save_pretrained in transformers writes them), or a GGUF file"
        ));
    }
    if let Some(file) = first(&ends(&[".h5", ".msgpack", ".onnx", ".npz", ".mlmodel", ".tflite"])) {
        return Some(format!(
            "{file}, weights for another program: take safetensors or a GGUF file of the model"
        ));
    }
    if let Some(file) = first(&ends(&[".incomplete", ".part", ".crdownload", ".aria2", ".tmp"])) {
        return Some(format!("{file}, a download that was not finished: download it again"));
    }
    folder_within(folder, &names)
}

/// The folder of a model within this one: of a repository in a download cache, or in a folder of
/// models.
fn folder_within(folder: &Folder, names: &[String]) -> Option<String> {
    let snapshots = folder.path_of("snapshots");
    let revisions = std::fs::read_dir(snapshots).into_iter().flatten().flatten();
    let revisions = revisions.map(|entry| format!("snapshots/{}", entry.file_name().display()));
    let mut within: Vec<String> = names.iter().take(100).cloned().chain(revisions).collect();
    within.sort();
    let is_model = |name: &String| folder.has(&format!("{name}/config.json"));
    let model = within.into_iter().find(is_model)?;
    let path = folder.path_of(&model);
    Some(format!("a folder of folders: name {} instead", printable(&path.display().to_string())))
}
