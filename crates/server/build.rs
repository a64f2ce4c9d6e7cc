//! Writes a table of the built page, so that the binary carries it.
//!
//! It runs nothing and fetches nothing: the files under `assets/` are committed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let assets = manifest.join("assets");
    let example = manifest.join("../../examples/chat.html");
    println!("cargo::rerun-if-changed={}", assets.display());
    println!("cargo::rerun-if-changed={}", example.display());

    let mut files = Vec::new();
    collect(&assets, "", &mut files);
    files.push(("chat.html".into(), example));
    files.sort();
    let has_page = files.iter().any(|(name, _)| name == "index.html");
    assert!(
        has_page,
        "assets/index.html: expected the built page; make it with npm run build in web/"
    );
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").expect("a string grows");
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("files.rs"), table).expect("the output directory can be written");
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are ASCII");
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files);
        } else {
            files.push((format!("{prefix}{name}"), path));
        }
    }
}
