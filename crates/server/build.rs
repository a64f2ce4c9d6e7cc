//! Writes a table of the built page, so that the binary carries it, compressed and not.
//!
//! It runs nothing and fetches nothing: the files under `assets/` are committed.

use std::fmt::Write as _;
use std::io::Write as _;
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
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let mut table = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        let content = fs::read(path).expect("a readable file");
        let keep = |suffix: &str, compressed: Vec<u8>| {
            keep_if_smaller(&out.join(format!("{index}.{suffix}")), &content, &compressed)
        };
        let brotli = keep("br", brotli(&content));
        let gzip = keep("gz", gzip(&content));
        writeln!(
            table,
            "    File {{ name: {name:?}, content: include_bytes!({path:?}), brotli: {brotli}, \
             gzip: {gzip} }},"
        )
        .expect("a string grows");
    }
    table.push(']');
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

/// The expression for a compressed form; fonts and pictures are compressed already and have none.
fn keep_if_smaller(path: &Path, content: &[u8], compressed: &[u8]) -> String {
    if compressed.len() * 10 > content.len() * 9 {
        return "None".into();
    }
    fs::write(path, compressed).expect("the output directory can be written");
    format!("Some(include_bytes!({path:?}))")
}

fn brotli(content: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &params).expect("memory suffices");
    compressed
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).expect("memory suffices");
    encoder.finish().expect("memory suffices")
}
