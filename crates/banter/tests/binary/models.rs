//! `banter pull`, `list`, `rm`, and `serve --model NAME`, against a hub on this machine.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use banter_engine::make_model::{ModelSpec, WeightMix, make_model, named_shape};
use banter_engine::model_file::ModelConfig;
use banter_remote::fakes::{FakeHub, Target, Trick};

use rustix::pty::OpenptFlags;

use crate::support::*;

pub const SMALL: &str = "Qwen/Qwen2.5-0.5B-Instruct-GGUF";
const RESEARCH: &str = "Qwen/Qwen2.5-3B-Instruct-GGUF";
/// A model that runs, whatever the hub calls it.
pub const MODEL: &[u8] = include_bytes!("../../assets/banter-demo.gguf");

pub struct World {
    pub hub: FakeHub,
    pub models: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        let hub = FakeHub::start();
        hub.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", MODEL);
        hub.license(SMALL, "apache-2.0");
        hub.add(RESEARCH, "qwen2.5-3b-instruct-q4_0.gguf", MODEL);
        hub.license(RESEARCH, "qwen-research");
        World { hub, models: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = banter(arguments);
        command.env("HF_ENDPOINT", self.hub.url()).env("BANTER_MODELS_DIR", self.models.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        run_to_end(&mut self.command(arguments))
    }

    pub fn list(&self) -> String {
        let output = self.command(&["list"]).output().expect("the binary runs");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[test]
fn one_command_leads_from_nothing_to_a_named_model_that_answers() {
    let world = World::new();
    let arguments = ["serve", "--port", "0", "--model", "qwen2.5:0.5b", "--yes"];
    let server = Server::spawn(world.command(&arguments));
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "你好", "temperature": 0}"#);
    assert!(read_answer(&mut socket).len() > 1, "words come one by one");
    drop(server);
    world.hub.take_requests();
    let again = Server::spawn(world.command(&arguments[..5]));
    assert!(again.ready_line.starts_with("ready http://"), "{}", again.ready_line);
    assert!(world.hub.take_requests().is_empty(), "what is here is not asked for again");
}

#[test]
fn without_a_terminal_the_command_to_pull_is_told() {
    let world = World::new();
    let (status, message) = world.run(&["serve", "--port", "0", "--model", "qwen2.5:0.5b"]);
    assert_eq!(status, 1);
    assert!(message.contains("qwen2.5:0.5b is not here yet"), "{message}");
    assert!(message.contains(" pull qwen2.5:0.5b`") && message.contains("--yes"), "{message}");
    assert!(world.hub.take_requests().is_empty());
}

#[test]
fn a_pull_says_what_it_brings_and_does_nothing_twice() {
    let world = World::new();
    let (status, message) = world.run(&["pull", "qwen2.5:0.5b"]);
    assert_eq!(status, 0, "{message}");
    let says = ["qwen2.5:0.5b-q8_0", "licence   apache-2.0", "4.6 MB", "needed", "is installed: "];
    for part in says {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    world.hub.take_requests();
    let (status, message) = world.run(&["pull", "qwen2.5:0.5b"]);
    assert_eq!((status, message.contains("is here already")), (0, true), "{message}");
    assert!(world.hub.take_requests().is_empty());
}

#[test]
fn models_are_listed_and_removed() {
    let world = World::new();
    assert!(world.list().contains("no models yet"), "{}", world.list());
    world.run(&["pull", "qwen2.5:0.5b"]);
    let list = world.list();
    assert!(list.contains("qwen2.5:0.5b-q8_0  4.6 MB") && list.contains("qwen2.5:72b"), "{list}");
    let (status, message) = world.run(&["rm", "qwen2.5:7b"]);
    assert_eq!(status, 1);
    assert!(message.contains("qwen2.5:0.5b-q8_0"), "what is here is told: {message}");
    let (status, message) = world.run(&["rm", "qwen2.5:0.5b"]);
    assert_eq!((status, message.contains("free again")), (0, true), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
}

#[test]
fn a_licence_with_terms_of_its_own_is_asked_about() {
    let world = World::new();
    let (status, message) = world.run(&["pull", "qwen2.5:3b"]);
    assert_eq!(status, 1);
    assert!(message.contains("Do you accept the licence qwen-research?"), "{message}");
    assert!(message.contains("--yes"), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
    let (status, message) = world.run(&["pull", "--yes", "qwen2.5:3b"]);
    assert_eq!(status, 0, "{message}");
}

/// What a person at a terminal sees, and the status.
pub fn at_a_terminal(mut command: Command, types: &[u8]) -> (i32, String) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = rustix::pty::openpt(flags).expect("a terminal can be made");
    rustix::pty::grantpt(&ours).and_then(|()| rustix::pty::unlockpt(&ours)).expect("opened");
    let name = rustix::pty::ptsname(&ours, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("text");
    let theirs = File::options().read(true).write(true).open(name).expect("the other side");
    let side = || Stdio::from(theirs.try_clone().expect("another handle"));
    let mut child =
        command.stdin(side()).stdout(Stdio::null()).stderr(side()).spawn().expect("it starts");
    // The last handle on their side but the child's: the text ends when the child does.
    drop((command, theirs));
    let mut ours = File::from(ours);
    ours.write_all(types).expect("typed");
    let mut seen = Vec::new();
    // A terminal whose other side is gone is an error here, and the end.
    let _ = ours.read_to_end(&mut seen);
    let status = wait_for(&mut child).code().expect("by itself");
    (status, String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn a_person_is_asked_and_their_answer_counts() {
    struct Case {
        arguments: &'static [&'static str],
        types: &'static [u8],
        asks: &'static str,
        pulls: bool,
    }
    let serve = &["serve", "--port", "0", "--isa", "scalar", "--model", "qwen2.5:0.5b"];
    let research = &["pull", "qwen2.5:3b"];
    let licence = "Do you accept the licence qwen-research? [y/N]";
    let cases = [
        Case { arguments: serve, types: b"n\n", asks: "Pull it? [Y/n]", pulls: false },
        Case { arguments: research, types: b"\n", asks: licence, pulls: false },
        Case { arguments: research, types: b"\x04", asks: licence, pulls: false },
        Case { arguments: research, types: b"yes\n", asks: licence, pulls: true },
    ];
    for Case { arguments, types, asks, pulls } in cases {
        let world = World::new();
        let (status, seen) = at_a_terminal(world.command(arguments), types);
        assert!(seen.contains(asks), "{seen}");
        assert_eq!((status == 0, seen.contains("declined")), (pulls, !pulls), "{seen}");
        assert_eq!(world.list().contains("no models yet"), !pulls, "{seen}");
    }
}

#[test]
fn a_model_that_does_not_fit_in_memory_is_told_before_the_download() {
    // Small on disk, but its context of 16 million tokens takes a terabyte of keys and values.
    let shape = ModelConfig {
        hidden: 64,
        layers: 1,
        feed_forward: 64,
        heads: 64,
        kv_heads: 64,
        head_dim: 128,
        trained_context: 1 << 24,
        ..named_shape("qwen2.5-0.5b").expect("a shape")
    };
    let (name, weights) = ("of long memory".to_owned(), WeightMix::named("F16").expect("a type"));
    let spec = ModelSpec { name, shape, weights, outliers: false, vocabulary: None, seed: 1 };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    make_model(&spec, file.path(), &mut |_| {}).expect("made");
    let world = World::new();
    let bytes = std::fs::read(file.path()).expect("there");
    world.hub.add("a/b", "long-f16.gguf", bytes);
    let serve = ["serve", "--port", "0", "--model", "hf:a/b", "--ctx", "16777216", "--yes"];
    let (status, message) = world.run(&[&serve[..], &["--kv-type", "f32"]].concat());
    assert_eq!(status, 1, "{message}");
    assert!(message.contains("hf:a/b does not fit here, so it is not downloaded"), "{message}");
    assert!(message.contains("weights") && message.contains("16777216 tokens"), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
}

#[test]
fn what_this_engine_cannot_run_is_told_before_the_download() {
    let world = World::new();
    world.hub.add("a/b", "strange-q4_0.gguf", vec![7; 20 << 20]);
    let (status, message) = world.run(&["pull", "hf:a/b"]);
    assert_eq!(status, 1);
    assert!(message.contains("hf:a/b cannot run here, so it is not downloaded"), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
}

#[test]
fn an_interrupted_pull_keeps_what_it_has_and_goes_on() {
    let world = World::new();
    // The probe and the first piece come; the second piece never does.
    let at_once = Trick::Slow(Duration::ZERO, 1 << 20);
    world.hub.play(Target::Bytes, [at_once.clone(), at_once]);
    world.hub.always(Target::Bytes, Trick::Silence);
    let mut command = world.command(&["pull", "qwen2.5:0.5b"]);
    let mut child = command.stderr(Stdio::null()).spawn().expect("the binary starts");
    world.hub.wait_for(|request| {
        request.range.as_deref().is_some_and(|range| range.starts_with("bytes=4194304-"))
    });
    let id = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: `kill` only takes numbers; the process is our own child, not yet waited for.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0, "the signal is delivered");
    assert_eq!(wait_for(&mut child).code(), Some(130));
    let list = world.list();
    assert!(list.contains("qwen2.5:0.5b-q8_0") && list.contains("% downloaded"), "{list}");
    world.hub.behave();
    let (status, message) = world.run(&["pull", "qwen2.5:0.5b"]);
    assert_eq!(status, 0, "{message}");
}

#[test]
fn a_disk_that_fails_on_the_way_leaves_nothing() {
    let world = World::new();
    let binary = env!("CARGO_BIN_EXE_banter");
    let mut command = without_settings(Command::new("sh"));
    // Files of at most 2 MB, as a disk that has no more.
    let script = "trap '' XFSZ; ulimit -f 4000; exec \"$0\" pull qwen2.5:0.5b";
    command.args(["-c", script, binary]);
    command.env("HF_ENDPOINT", world.hub.url()).env("BANTER_MODELS_DIR", world.models.path());
    let (status, message) = run_to_end(&mut command);
    assert_eq!(status, 1, "{message}");
    assert!(message.contains("what was downloaded has been removed"), "{message}");
    assert!(world.list().contains("no models yet"), "{}", world.list());
}

#[test]
fn hubs_are_reached_over_tls_and_only_with_a_certificate_that_is_trusted() {
    let (hub, certificate) = FakeHub::start_encrypted();
    hub.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", MODEL);
    let models = tempfile::tempdir().expect("a temporary folder");
    let file = models.path().join("certificate.pem");
    std::fs::write(&file, certificate).expect("written");
    let command = || {
        let mut command = banter(&["pull", "qwen2.5:0.5b"]);
        command.env("HF_ENDPOINT", hub.url()).env("BANTER_MODELS_DIR", models.path().join("m"));
        command
    };
    let (status, message) = run_to_end(&mut command());
    assert_eq!((status, message.contains("certificate")), (1, true), "{message}");
    let (status, message) = run_to_end(command().env("SSL_CERT_FILE", &file));
    assert_eq!(status, 0, "{message}");
}

#[test]
fn wrong_names_and_settings_end_with_2_and_say_what_was_expected() {
    let world = World::new();
    let (status, message) = world.run(&["pull", "qwen2.5:8b"]);
    assert_eq!((status, message.contains("0.5b, 1.5b, 3b, 7b")), (2, true), "{message}");
    let (status, message) = world.run(&["serve", "--model", "hf:../b", "--port", "0"]);
    assert_eq!((status, message.contains("--model (command line)")), (2, true), "{message}");
    let mut command = world.command(&["pull", "qwen2.5:7b"]);
    let (status, message) = run_to_end(command.env("HF_ENDPOINT", "huggingface.co"));
    assert_eq!((status, message.contains("HF_ENDPOINT (environment)")), (2, true), "{message}");
}
