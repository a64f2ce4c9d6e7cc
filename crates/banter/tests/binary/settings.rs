//! Options with wrong values, and odd files that options name. Whatever it is, the start ends by
//! itself, and says which option it was.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::*;

/// The status and stderr of a command that must not wait for anything.
fn ended(command: &mut Command) -> (i32, String) {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let status = wait_for(&mut child);
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    (status.code().unwrap_or_else(|| panic!("it waits: {said}")), said)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A folder, with a pipe in it that nobody uses.
fn with_pipe() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
    (folder, pipe)
}

#[test]
fn k1_a_wrong_value_ends_every_command_with_2_and_its_source_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("banter.toml");
    fs::write(&file, "port = \"http\"\n").expect("written");
    let flag = ["--port", "http"];
    for command in ["serve", "doctor"] {
        let (status, said) = ended(banter(&[command]).args(flag));
        assert_eq!(status, 2, "{said}");
        assert!(said.contains("--port (command line): expected a number"), "{said}");
    }
    let commands: [&[&str]; 3] = [&["serve"], &["doctor"], &["chat", "hello"]];
    for arguments in commands {
        let (status, said) = ended(banter(arguments).env("BANTER_PORT", "http"));
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains("BANTER_PORT (environment): expected a number"), "{said}");
        let (status, said) = ended(banter(arguments).arg("--config").arg(&file));
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains(&format!("port (file {}): ", file.display())), "{said}");
        // A stronger source is not asked about the weaker one.
        let (status, said) =
            ended(banter(arguments).env("BANTER_PORT", "x").arg("--config").arg(&file));
        assert_eq!((status, said.contains("BANTER_PORT (environment)")), (2, true), "{said}");
    }
    let commands: [(&[&str], &str); 4] = [
        (&["list"], "BANTER_MODELS_DIR"),
        (&["rm", "x"], "BANTER_MODELS_DIR"),
        (&["key", "list"], "BANTER_DATA"),
        (&["data", "set-aside"], "BANTER_DATA"),
    ];
    for (arguments, variable) in commands {
        let (status, said) = ended(banter(arguments).env(variable, ""));
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains(&format!("{variable} (environment): expected a path")), "{said}");
    }
}

#[test]
fn k1_a_variable_that_means_nothing_is_told_and_ends_nothing() {
    let mut command = banter(&["serve", "--port", "0", "--no-store"]);
    command.env("BANTER_PROT", "1").env("BANTER_HUB", "modelscope");
    let server = Server::spawn(command);
    let said = server.said();
    let expected = "BANTER_PROT (environment): no option has this name, so it is ignored; did you \
                    mean BANTER_PORT?";
    assert!(said.contains("WARN") && said.contains(expected), "{said}");
    assert_eq!(said.matches("(environment)").count(), 1, "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for arguments in [&["list"][..], &["key", "list", "--data", text(&data)]] {
        let mut command = banter(arguments);
        command.env("BANTER_MODELS_DIR", folder.path()).env("BANTER_PROT", "1");
        let (status, said) = ended(&mut command);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains(&format!("banter: {expected}")), "{said}");
    }
}

#[test]
fn k2_no_option_waits_for_a_pipe_and_each_is_named() {
    let (folder, pipe) = with_pipe();
    let pipe = text(&pipe);
    let data = folder.path().join("data");
    let data = text(&data);
    let short = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let serve = |more: &[&'static str]| [&["serve", "--port", "0", "--no-store"], more].concat();
    let embed = ["key", "add", "x", "--scope", "embed", "--origin", "https://a.example"];
    let cases: [(Vec<&str>, &str, i32); 10] = [
        (serve(&["--config"]), "--config (command line)", 2),
        (serve(&["--model"]), "--model (command line)", 2),
        (serve(&["--draft-model"]), "--draft-model (command line)", 2),
        (serve(&["--chat-template"]), "--chat-template (command line)", 2),
        (serve(&["--well-known"]), "--well-known (command line)", 2),
        (serve(&["--tls-cert"]), "--tls-cert", 1),
        (serve(&["--tls-cert", short, "--tls-key"]), "--tls-key", 1),
        (serve(&["--log-file"]), "--log-file", 1),
        (vec!["chat", "hello", "--trust"], "--trust (command line)", 2),
        ([&embed[..], &["--data", data, "--system-file"]].concat(), "--system-file", 1),
    ];
    for (mut arguments, option, expected) in cases {
        arguments.push(pipe);
        let (status, said) = ended(&mut banter(&arguments));
        assert_eq!(status, expected, "{arguments:?}: {said}");
        assert!(said.contains(option) && said.contains(pipe), "{arguments:?}: {said}");
    }
    let (status, said) = ended(banter(&["list"]).env("BANTER_CONFIG", pipe));
    assert_eq!((status, said.contains("BANTER_CONFIG (environment)")), (2, true), "{said}");
}

#[test]
fn k2_a_configuration_file_is_a_short_text_or_the_message_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let deep = format!("port = {}", "[".repeat(500_000));
    let circle = folder.path().join("circle");
    symlink(&circle, &circle).expect("a link");
    let link = folder.path().join("link");
    symlink(file("good", b"\xef\xbb\xbfport = \"http\"\r\n"), &link).expect("a link");
    let cases: [(PathBuf, &str); 9] = [
        (folder.path().into(), "expected a file with options in TOML, found: a folder"),
        ("/dev/zero".into(), "found: a device"),
        (file("long", &vec![b'#'; (1 << 20) + 1]), "expected at most 1048576 bytes, found more"),
        (file("bytes", b"# \xff"), "expected a text in UTF-8"),
        (file("deep", deep.as_bytes()), "line 1: expected TOML"),
        (file("unknown", b"include = \"unknown\"\n"), "unknown key \"include\""),
        (circle, "Too many levels of symbolic links"),
        (folder.path().join("missing"), "No such file"),
        (link, "port (file "),
    ];
    for (path, expected) in cases {
        let mut by_flag = banter(&["serve", "--config", text(&path)]);
        let mut by_variable = banter(&["serve"]);
        by_variable.env("BANTER_CONFIG", &path);
        for command in [&mut by_flag, &mut by_variable] {
            let (status, said) = ended(command);
            assert_eq!(status, 2, "{}: {said}", path.display());
            assert!(said.contains(expected) && said.contains(text(&path)), "{said}");
        }
    }
}

#[test]
fn k2_the_usual_file_is_read_if_anything_has_its_name() {
    let (folder, pipe) = with_pipe();
    let usual = folder.path().join("banter/config.toml");
    fs::create_dir(folder.path().join("banter")).expect("a folder");
    for target in [pipe.as_path(), Path::new("/nowhere/at/all"), folder.path()] {
        symlink(target, &usual).expect("a link");
        let (status, said) = ended(banter(&["list"]).env("XDG_CONFIG_HOME", folder.path()));
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(&format!("configuration file {}", usual.display())), "{said}");
        fs::remove_file(&usual).expect("removed");
    }
    // An empty variable means nothing; it must not mean the current folder.
    fs::write(&usual, "port = \"http\"\n").expect("written");
    let mut command = banter(&["list"]);
    command.current_dir(folder.path()).env("XDG_CONFIG_HOME", "").env("HOME", "/nonexistent");
    let (status, said) = ended(command.env("BANTER_MODELS_DIR", folder.path()));
    assert_eq!((status, said.as_str()), (0, ""));
}

#[test]
fn k2_a_secret_that_everybody_can_read_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("banter.toml");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let serve = |more: &[&str]| {
        let mut command = banter(&["serve", "--port", "0", "--no-store"]);
        command.args(more).arg("--config").arg(&file);
        Server::spawn(command).said()
    };
    let cases = [
        ("key = \"geheim-geheim\"\n", 0o644, true),
        ("admin-key = [\"geheim-geheim\"]\n", 0o604, true),
        ("key = \"geheim-geheim\"\n", 0o640, false),
        ("key = \"geheim-geheim\"\n", 0o600, false),
        ("ctx = 512\n", 0o644, false),
    ];
    for (content, bits, is_told) in cases {
        fs::write(&file, content).expect("written");
        mode(&file, bits);
        let said = serve(&[]);
        let is_there = said.contains(&format!("`chmod 600 {}`", file.display()));
        assert_eq!(is_there, is_told, "{content} {bits:o}: {said}");
        assert!(!said.contains("geheim"), "{said}");
    }
    // The private key of a certificate is one, too.
    let data = folder.path().join("data");
    drop(Server::start(&["--tls-self-signed", "--data", text(&data)]));
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| data.join("tls").join(name));
    let more = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
    fs::write(&file, "").expect("written");
    for (bits, is_told) in [(0o644, true), (0o600, false)] {
        mode(&key, bits);
        let said = serve(&more);
        let is_there = said.contains("everybody on this machine can read this private key");
        assert_eq!(is_there, is_told, "{said}");
    }
}

#[test]
fn k5_an_address_that_cannot_be_used_ends_the_start() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = listener.local_addr().expect("its address").port().to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--port", &taken], 1, &format!("port {taken} is taken")),
        (&["--port", "0", "--host", "192.0.2.1"], 1, "--host 192.0.2.1: expected an address"),
        (&["--port", "0", "--host", "localhost"], 2, "--host (command line): expected an IP"),
        (&["--port", "0", "--host", "fe80::1"], 1, "fe80::1"),
    ];
    for (arguments, expected, words) in cases {
        let (status, said) = ended(banter(&["serve", "--no-store"]).args(arguments));
        assert_eq!(status, expected, "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn p7_the_version_is_that_of_the_build() {
    let output = banter(&["--version"]).output().expect("it runs");
    let version = String::from_utf8(output.stdout).expect("text");
    assert_eq!(version, concat!("banter ", env!("BUILD_VERSION"), "\n"));
    assert!(version.starts_with(concat!("banter ", env!("CARGO_PKG_VERSION"))), "{version}");
}
