//! Which files of a folder are its weights (FAULTS M13), and folders that hold none.

use super::*;

/// All tensors, the first thirteen and the others: two shards.
fn halves() -> [Vec<Tensor>; 2] {
    let mut first = tensors(BlockType::F32, "F32");
    let second = first.split_off(13);
    [first, second]
}

/// Names of files, and their tensors.
type Files<'a> = &'a [(&'a str, &'a [Tensor])];

/// A folder with these weight files.
fn folder_of(files: Files) -> Folder {
    let folder = Folder::new();
    folder.remove(WEIGHTS);
    for (name, tensors) in files {
        folder.write(name, safetensors(tensors));
    }
    folder
}

/// Asserts that the folder opens as the whole model.
fn assert_whole(folder: &Folder, case: &str) {
    let whole = Folder::new().open();
    let file = open_path(&folder.path).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(file.description(), whole.description(), "{case}");
    for name in [TensorName::Embedding, TensorName::Layer(1, LayerTensor::Down)] {
        assert_eq!(last_row(&file, name), last_row(&whole, name), "{case}");
    }
}

#[test]
fn weights_are_found_without_an_index() {
    let all = tensors(BlockType::F32, "F32");
    let [first, second] = halves();
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let cases: [(&str, Files); 6] = [
        ("one shard", &[("model-00001-of-00001.safetensors", &all)]),
        ("two shards", &[(one, &first), (two, &second)]),
        ("another name", &[("qwen2.safetensors", &all)]),
        ("two other names", &[("a.safetensors", &first), ("b.safetensors", &second)]),
        (
            "two sets of shards",
            &[(one, &first), ("model-00001-of-00003.safetensors", &all), (two, &second)],
        ),
        ("an adapter beside it", &[("adapter_model.safetensors", &first), (one, &all)]),
    ];
    for (case, files) in cases {
        assert_whole(&folder_of(files), case);
    }
    let lacking = folder_of(&[(one, &first)]);
    let expected = "expected a file of the model's weights, among them \
                    model.layers.0.mlp.down_proj.weight, found no such file: download it";
    lacking.refused(two, expected, "a missing shard");
}

#[test]
fn what_is_complete_is_used() {
    let all = tensors(BlockType::F32, "F32");
    let [first, second] = halves();
    let half = Folder::new();
    half.shard(|_| {});
    half.write(WEIGHTS, safetensors(&first));
    assert_whole(&half, "half a file beside good shards");
    let whole = safetensors(&all);
    half.write(WEIGHTS, &whole[..whole.len() / 2]);
    assert_whole(&half, "a file that was cut off beside good shards");
    half.write(WEIGHTS, "version https://git-lfs.github.com/spec/v1\nsize 9\n");
    assert_whole(&half, "a pointer beside good shards");

    let stale = Folder::new();
    stale.shard(|_| {});
    stale.remove("model-1.safetensors");
    stale.write(WEIGHTS, &whole);
    assert_whole(&stale, "a whole file beside the index of shards that are gone");
    stale.remove(WEIGHTS);
    stale.write("model-00001-of-00002.safetensors", safetensors(&first));
    stale.write("model-00002-of-00002.safetensors", safetensors(&second));
    assert_whole(&stale, "good shards beside the index of others");
    stale.write(INDEX, "{\"weight_map\": {\"a\"");
    assert_whole(&stale, "good shards beside half an index");
}

#[test]
fn an_index_that_lacks_or_invents_tensors_does_no_harm() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit); 5] = [
        ("a tensor that it lacks", |index| {
            index["weight_map"].as_object_mut().expect("a map").remove("model.norm.weight");
        }),
        ("a tensor that is elsewhere", |index| {
            index["weight_map"]["model.norm.weight"] = json!("model-1.safetensors");
        }),
        ("a tensor that is nowhere", |index| {
            index["weight_map"]["spare"] = json!("model-0.safetensors");
        }),
        ("a file that is nowhere", |index| {
            index["weight_map"]["spare"] = json!("model-9.safetensors");
        }),
        ("a used tensor in a file that is nowhere", |index| {
            index["weight_map"]["model.norm.weight"] = json!("model-9.safetensors");
        }),
    ];
    for (case, edit) in cases {
        let folder = Folder::new();
        folder.shard(edit);
        assert_whole(&folder, case);
    }
    // Both shards contain the last norm; the index says which one counts.
    let folder = Folder::new();
    folder.shard(|_| {});
    let [_, mut second] = halves();
    let mut norm = tensors(BlockType::F32, "F32").swap_remove(1);
    norm.data.fill(1);
    second.push(norm);
    folder.write("model-1.safetensors", safetensors(&second));
    let file = folder.open();
    assert_ne!(last_row(&file, TensorName::OutputNorm)[0], 1);
    folder.remove(INDEX);
    let expected = "tensor model.norm.weight: expected the tensor once, found it twice";
    folder.refused("model-1.safetensors", expected, "no index");
}

#[test]
fn an_index_whose_shard_is_missing_names_it() {
    let folder = Folder::new();
    folder.shard(|_| {});
    folder.remove("model-1.safetensors");
    let error = open_path(&folder.path).expect_err("a missing shard");
    assert_eq!(error.file, folder.path.join("model-1.safetensors").display().to_string());
    assert!(error.to_string().ends_with("found no such file: download it"), "{error}");

    let folder = Folder::new();
    folder.shard(|index| {
        for number in 0..257 {
            index["weight_map"][format!("t{number}")] = json!(format!("{number}.safetensors"));
        }
    });
    folder.remove("model-1.safetensors");
    folder.refused(
        INDEX,
        "key weight_map: expected at most 256 files, found 259",
        "too many shards",
    );

    let folder = Folder::new();
    folder.shard(|_| {});
    folder.remove("model-1.safetensors");
    folder.write(INDEX, r#"{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}"#);
    let error = open_path(&folder.path).expect_err("a tensor twice").to_string();
    assert!(error.contains("tensor a: expected once, found twice"), "{error}");
}

#[test]
fn folders_that_hold_something_else_say_what_to_do() {
    let cases: [(&[&str], &str); 11] = [
        (&[], "found an empty folder: download the model into it"),
        (&["q.GGUF"], "found q.GGUF, a GGUF file: name that file instead of its folder"),
        (
            &["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"],
            "found adapter_config.json, a LoRA adapter, which is only a change to a model: merge",
        ),
        (
            &["consolidated.safetensors", "params.json"],
            "weights under the names of another program",
        ),
        (&["consolidated.00.pth", "params.json"], "weights under the names of another program"),
        (&["pytorch_model.bin"], "found pytorch_model.bin, which is never read because opening"),
        (&["model.pth"], "found model.pth, which is never read because opening it runs code"),
        (&["tf_model.h5"], "found tf_model.h5, weights for another program: take safetensors"),
        (&["model.safetensors.incomplete"], "a download that was not finished"),
        (&["training_args.bin", "a.txt"], "found no config.json: download the whole repository"),
        (&["model.safetensors"], "found no config.json: download the whole repository"),
    ];
    for (files, expected) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            fs::write(folder.path().join(file), "x").expect("a file");
        }
        let error = open_path(folder.path()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        // The same files next to a configuration are still not a model.
        if files.iter().any(|file| file.contains("config") || *file == "model.safetensors") {
            continue;
        }
        let model = Folder::new();
        model.remove(WEIGHTS);
        files.iter().for_each(|file| model.write(file, "x"));
        let error = open_path(&model.path).expect_err(expected).to_string();
        assert!(error.contains("expected model.safetensors or "), "{error}");
    }
    let model = Folder::new();
    let above = model.temp.path();
    let error = open_path(above).expect_err("a folder of folders").to_string();
    let expected = format!("a folder of folders: name {} instead", model.path.display());
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn files_that_a_download_brought_instead_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 500000\n";
    let page = "<!DOCTYPE html>\n<html><head>";
    let lfs = "found a Git LFS pointer, not the file itself (500000 bytes): run `git lfs pull` in \
               its folder, or download it";
    for file in [CONFIG, "tokenizer.json", WEIGHTS] {
        for (content, expected) in [(pointer, lfs), (page, "found a web page: download the file")] {
            let folder = Folder::new();
            folder.write(file, content);
            let error = open_path(&folder.path).expect_err(file);
            assert!(error.file.ends_with(file), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    for (content, expected) in [
        (&b"PK\x03\x04aaaabbbb"[..], "found a ZIP archive, as checkpoints of PyTorch are too"),
        (b"GGUF\x03\0\0\0aaaa", "found a GGUF file: name it as the model by itself"),
        (b"Entry not found", "found text that begins with \"Entry not found\": download it again"),
        (&[0; 100], "found zeros, as in a download that was not finished: download it again"),
        (b"{\"error\": \"not found\"}", "found a JSON file"),
        (b"", "found an empty file (0 bytes): download it again"),
    ] {
        let folder = Folder::new();
        folder.write(WEIGHTS, content);
        let error = open_path(&folder.path).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let folder = Folder::new();
    let text = config().to_string();
    folder.write(CONFIG, &text[..text.len() / 2]);
    let error = open_path(&folder.path).expect_err("half a configuration").to_string();
    assert!(error.contains("found that it ends early (EOF while parsing"), "{error}");
    assert!(error.ends_with("): download the file again"), "{error}");
}
