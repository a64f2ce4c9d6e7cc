//! Tells the program which commit it is built from, for `banter --version`.
//!
//! `BANTER_COMMIT` names the commit; if it is empty, no commit is named. Without the variable, a
//! release reads the commit from `.git`, and runs no program for that. A source tree without `.git`,
//! as from a tarball, has none. Other builds do not read `.git`: each commit would build them again,
//! and nobody reports their faults.
//! The same commit always gives the same text, so a build can be repeated.
//!
//! The tests below run with those of the program (`main.rs`).

use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names the commit.
const VARIABLE: &str = "BANTER_COMMIT";
/// How many digits of the commit are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let variable = |name: &str| std::env::var(name).expect("cargo sets it");
    let found = match std::env::var(VARIABLE) {
        Ok(named) => Found { commit: read_commit(&named), files: Vec::new() },
        Err(_) if variable("PROFILE") != "release" => Found::default(),
        Err(_) => find(&Path::new(&variable("CARGO_MANIFEST_DIR")).join("../../.git")),
    };
    for file in &found.files {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    let version = version(&variable("CARGO_PKG_VERSION"), found.commit.as_deref());
    println!("cargo:rustc-env=BUILD_VERSION={version}");
}

/// The commit, and the files that change with it.
#[derive(Debug, Default)]
struct Found {
    commit: Option<String>,
    /// They all exist: cargo takes a missing file for a changed one.
    files: Vec<PathBuf>,
}

/// The version that `--version` prints.
fn version(number: &str, commit: Option<&str>) -> String {
    match commit {
        Some(commit) => format!("{number} (commit {})", &commit[..DIGITS]),
        None => number.to_owned(),
    }
}

/// The commit that is checked out, by `.git` in the source tree.
fn find(git: &Path) -> Found {
    let mut found = Found::default();
    let Some(folder) = folder(git) else { return found };
    let head = folder.join("HEAD");
    let Ok(text) = fs::read_to_string(&head) else { return found };
    found.files.push(head);
    let Some(name) = text.trim().strip_prefix("ref: ") else {
        found.commit = read_commit(&text);
        return found;
    };
    // A worktree shares its branches with the repository that it belongs to.
    let shared = fs::read_to_string(folder.join("commondir"));
    let shared = shared.map_or(folder.clone(), |path| folder.join(path.trim()));
    let branch = shared.join(name);
    if let Ok(text) = fs::read_to_string(&branch) {
        found.commit = read_commit(&text);
        found.files.push(branch);
        return found;
    }
    let packed = shared.join("packed-refs");
    if let Ok(text) = fs::read_to_string(&packed) {
        found.commit = text.lines().find_map(|line| {
            let (commit, packed_name) = line.split_once(' ')?;
            (packed_name == name).then(|| read_commit(commit))?
        });
        found.files.push(packed);
        // The next commit makes a file of its own for the branch.
        let above = branch.ancestors().skip(1).find(|above| above.is_dir());
        found.files.extend(above.map(Path::to_owned));
    }
    found
}

/// The folder of the repository: `.git` itself, or what a file `.git` of a worktree names.
fn folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs::read_to_string(git).ok()?;
    let named = text.trim().strip_prefix("gitdir: ")?;
    Some(git.parent()?.join(named))
}

/// A commit by its number, if this is one.
fn read_commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_one = text.len() >= DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// Paths and texts.
    type Files<'a> = &'a [(&'a str, &'a str)];

    /// These files in a folder.
    fn tree(files: Files<'_>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn p7_the_commit_is_found_however_git_keeps_it() {
        let line = format!("{COMMIT}\n");
        let packed = format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n^{COMMIT}\n");
        let head = ("tree/.git/HEAD", "ref: refs/heads/main\n");
        let of_worktree = ("repository/.git/worktrees/tree/HEAD", "ref: refs/heads/other\n");
        let cases: [(&str, Files<'_>, Option<&str>); 8] = [
            ("a branch", &[head, ("tree/.git/refs/heads/main", &line)], Some(COMMIT)),
            ("a packed branch", &[head, ("tree/.git/packed-refs", &packed)], Some(COMMIT)),
            ("a commit without a branch", &[("tree/.git/HEAD", &line)], Some(COMMIT)),
            (
                "a worktree",
                &[
                    ("tree/.git", "gitdir: ../repository/.git/worktrees/tree\n"),
                    of_worktree,
                    ("repository/.git/worktrees/tree/commondir", "../..\n"),
                    ("repository/.git/refs/heads/other", &line),
                ],
                Some(COMMIT),
            ),
            ("a tarball", &[("tree/Cargo.toml", "")], None),
            ("a branch without a commit", &[head], None),
            ("branches in a table", &[("tree/.git/HEAD", "ref: refs/heads/.invalid\n")], None),
            ("damaged", &[("tree/.git/HEAD", "<html>\n")], None),
        ];
        for (what, files, expected) in cases {
            let folder = tree(files);
            let found = find(&folder.path().join("tree/.git"));
            assert_eq!(found.commit.as_deref(), expected, "{what}");
            assert!(found.files.iter().all(|file| file.exists()), "{what}: {:?}", found.files);
            assert_eq!(found.files.is_empty(), what == "a tarball", "{what}: it is watched");
        }
    }

    #[test]
    fn p7_the_version_names_the_commit_only_if_it_is_known() {
        assert_eq!(version("0.1.0", Some(COMMIT)), "0.1.0 (commit 0123456789ab)");
        assert_eq!(version("0.1.0", None), "0.1.0");
    }
}
