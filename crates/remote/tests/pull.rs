//! Models pulled from hubs that behave, and from hubs that do not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use banter_remote::download::{Download, Patience, Progress, Terms, Watch};
use banter_remote::error::Kept;
use banter_remote::fakes::{FakeHub, Request, Target, Trick};
use banter_remote::hub::{HubSettings, ModelName, Sha256Sum, Source, resolve};
use banter_remote::store::{Installed, Store};
use banter_remote::{PullError, Waits};
use tokio_util::sync::CancellationToken;

const SMALL: &str = "Qwen/Qwen2.5-0.5B-Instruct-GGUF";
const SPLIT: &str = "Qwen/Qwen2.5-7B-Instruct-GGUF";
/// Longer than two pieces, and no multiple of one.
const LENGTH: usize = (9 << 20) + 77;

/// A hub, a store, and someone who pulls.
struct World {
    hub: FakeHub,
    folder: tempfile::TempDir,
    settings: HubSettings,
    patience: Patience,
}

impl World {
    fn new() -> World {
        World::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> World {
        let hub = FakeHub::start();
        hub.add(SMALL, "README.md", "read me");
        hub.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", bytes(1, LENGTH));
        hub.add(SMALL, "qwen2.5-0.5b-instruct-q4_k_m.gguf", bytes(2, 1000));
        hub.license(SMALL, "apache-2.0");
        hub.add(SPLIT, "qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf", bytes(3, LENGTH));
        hub.add(SPLIT, "qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf", bytes(4, 5 << 20));
        let url = hub.url();
        let settings = HubSettings::read(|name| match name {
            "HF_ENDPOINT" | "MODELSCOPE_ENDPOINT" => Some(url.clone()),
            _ => variables.iter().find(|(key, _)| *key == name).map(|found| found.1.to_owned()),
        });
        let patience = Patience {
            waits: Waits { connect: Duration::from_secs(5), silence: Duration::from_millis(250) },
            tries: 4,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(2),
            longest_asked: Duration::from_secs(2),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        World { hub, folder, settings: settings.expect("settings"), patience }
    }

    fn store(&self) -> Store {
        Store::new(self.folder.path().join("models"))
    }

    async fn resolve(&self, name: &str) -> Result<Source, PullError> {
        resolve(&ModelName::parse(name)?, &self.settings, &self.terms().trying()).await
    }

    async fn pull(&self, name: &str) -> Result<Installed, PullError> {
        self.pull_on(name, self.terms()).await
    }

    async fn pull_on(&self, name: &str, terms: Terms) -> Result<Installed, PullError> {
        self.begin(name, terms).await?.run().await
    }

    async fn begin(&self, name: &str, terms: Terms) -> Result<Download, PullError> {
        let name = ModelName::parse(name)?;
        let source = resolve(&name, &self.settings, &terms.trying()).await?;
        Download::begin(&self.store(), source, terms).await
    }

    fn terms(&self) -> Terms {
        Terms { patience: self.patience, ..Terms::default() }
    }

    fn nothing_is_installed(&self) -> bool {
        self.store().models().expect("the store can be read").is_empty()
    }

    fn kept_bytes(&self) -> u64 {
        let half = self.store().partial().expect("the store can be read");
        half.iter().map(|half| half.downloaded_bytes).sum()
    }

    /// The first bytes of the pieces that were asked for, each once; a probe is no piece.
    fn asked_pieces(&self) -> BTreeSet<u64> {
        let start = |request: Request| {
            let range = request.range.filter(|range| range != "bytes=0-0")?;
            range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
        };
        self.hub.take_requests().into_iter().filter_map(start).collect()
    }
}

/// Bytes that differ everywhere, so that a piece in the wrong place is seen.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the file is there")
}

#[tokio::test]
async fn an_official_model_is_pulled_by_its_short_name() {
    let world = World::new();
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    assert_eq!(installed.name, "qwen2.5:0.5b-q8_0");
    assert_eq!(installed.licence.as_deref(), Some("apache-2.0"));
    assert_eq!(read(&installed.path), bytes(1, LENGTH));
    let name = ModelName::parse("qwen2.5:0.5b").expect("a name");
    let found = world.store().find(&name).expect("readable").expect("there");
    assert_eq!(found.path, installed.path);
    let incoming = world.folder.path().join("models/.incoming");
    assert_eq!(std::fs::read_dir(incoming).expect("there").count(), 0, "nothing is left over");
}

#[tokio::test]
async fn a_split_model_comes_with_all_its_parts() {
    let world = World::new();
    let installed = world.pull("qwen2.5:7b").await.expect("pulled");
    assert!(installed.path.ends_with("qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf"));
    let second = installed.path.with_file_name("qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf");
    assert_eq!(read(&installed.path), bytes(3, LENGTH));
    assert_eq!(read(&second), bytes(4, 5 << 20));
}

#[tokio::test]
async fn model_scope_has_its_own_interface() {
    let world = World::with(&[("BANTER_HUB", "modelscope"), ("MODELSCOPE_API_TOKEN", "ms-secret")]);
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(1, LENGTH));
    let named = format!("ms:{SMALL}:q4_k_m");
    assert_eq!(read(&world.pull(&named).await.expect("pulled").path), bytes(2, 1000));
    let requests = world.hub.take_requests();
    assert!(requests.iter().all(|request| request.line.starts_with("GET /api/v1/models/")));
    let token = Some("Bearer ms-secret".to_owned());
    assert!(requests.iter().all(|request| request.authorization == token));
    let message = world.pull("ms:Qwen/Nothing").await.expect_err("not there").to_string();
    assert!(message.starts_with("Qwen/Nothing: not found at 127.0.0.1"), "{message}");
}

#[tokio::test]
async fn the_second_hub_is_asked_if_the_first_cannot_be_reached() {
    let world = World::new();
    let url = world.hub.url();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", nobody.local_addr().expect("bound"));
    let settings = |hubs: Option<&str>| {
        let variable = |name: &str| match name {
            "HF_ENDPOINT" => Some(nobody.clone()),
            "MODELSCOPE_ENDPOINT" => Some(url.clone()),
            "BANTER_HUB" => hubs.map(str::to_owned),
            _ => None,
        };
        HubSettings::read(variable).expect("settings")
    };
    let named = settings(None);
    let name = ModelName::parse("qwen2.5:0.5b").expect("a name");
    let only_mirror = resolve(&name, &named, &world.terms().trying()).await;
    assert!(matches!(only_mirror, Err(PullError::Unreachable { .. })), "{only_mirror:?}");
    let both = settings(Some("huggingface,modelscope"));
    let source = resolve(&name, &both, &world.terms().trying()).await.expect("found");
    assert!(source.from.starts_with(&url), "{}", source.from);
}

#[tokio::test]
async fn a_mirror_that_lists_names_only_is_asked_for_each_file() {
    let world = World::new();
    world.hub.list_names_only(SMALL);
    let source = world.resolve("qwen2.5:0.5b").await.expect("found");
    assert_eq!(source.files[0].bytes, Some(LENGTH as u64));
    assert!(source.files[0].sha256.is_some());
    assert_eq!(read(&world.pull("qwen2.5:0.5b").await.expect("pulled").path), bytes(1, LENGTH));
}

#[tokio::test]
async fn a_file_is_pulled_by_its_address_and_checked_if_a_checksum_is_named() {
    let world = World::new();
    let url = format!("{}/bytes/{SMALL}/qwen2.5-0.5b-instruct-q8_0.gguf", world.hub.url());
    let installed = world.pull(&url).await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(1, LENGTH));
    assert!(installed.path.ends_with("qwen2.5-0.5b-instruct-q8_0.gguf"));
    world.store().remove(&installed).expect("removed");
    let wrong = format!("{url}#sha256={}", "0".repeat(64));
    let error = world.pull(&wrong).await.expect_err("another sum");
    let zero = Sha256Sum::parse(&"0".repeat(64)).expect("a sum");
    assert!(matches!(error, PullError::WrongChecksum { expected, .. } if expected == zero));
    assert!(world.nothing_is_installed());
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_not_to_where_its_files_lie() {
    let world = World::with(&[("HF_TOKEN", "hf_secret")]);
    let elsewhere = FakeHub::start();
    elsewhere.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", bytes(1, LENGTH));
    let to = format!("{}/bytes/{SMALL}/qwen2.5-0.5b-instruct-q8_0.gguf", elsewhere.url());
    world.hub.always(Target::Bytes, Trick::Redirect(to));
    world.pull("qwen2.5:0.5b").await.expect("pulled");
    let token = Some("Bearer hf_secret".to_owned());
    assert!(world.hub.take_requests().iter().all(|request| request.authorization == token));
    let seen = elsewhere.take_requests();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.authorization.is_none()));
}

#[tokio::test]
async fn a_hub_is_asked_once_where_a_file_lies() {
    let world = World::new();
    world.pull("qwen2.5:0.5b").await.expect("pulled");
    let lines: Vec<String> =
        world.hub.take_requests().into_iter().map(|request| request.line).collect();
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(count("/resolve/"), 1, "{lines:?}");
    assert_eq!(count("GET /bytes/"), 4, "a look and three pieces: {lines:?}");
}

#[tokio::test]
async fn a_signed_address_that_has_ended_is_asked_for_again() {
    for status in [400, 401, 403, 404, 410] {
        let world = World::new();
        let at_once = Trick::Slow(Duration::ZERO, 1 << 20);
        world.hub.play(Target::Bytes, [at_once.clone(), at_once, Trick::Status(status, None)]);
        let installed = world.pull("qwen2.5:0.5b").await;
        let installed = installed.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(read(&installed.path), bytes(1, LENGTH), "{status}");
        let requests = world.hub.take_requests();
        let asked = requests.iter().filter(|request| request.line.contains("/resolve/"));
        assert_eq!(asked.count(), 2, "{status}");
    }
}

#[tokio::test]
async fn what_a_hub_asks_to_wait_is_waited_and_told() {
    for target in [Target::List, Target::Resolve, Target::Bytes] {
        let world = World::new();
        world.hub.play(target, [Trick::Limited(1)]);
        let watch = Watch::default();
        let terms = Terms { watch: watch.clone(), ..world.terms() };
        let installed = world.pull_on("qwen2.5:0.5b", terms).await.expect("pulled");
        assert_eq!(read(&installed.path), bytes(1, LENGTH), "{target:?}");
        let news = watch.progress.take_news();
        let [line] = news.as_slice() else { panic!("{target:?}: {news:?}") };
        assert!(line.starts_with("127.0.0.1:") && line.contains("asks to wait 1 s"), "{line}");
        assert!(line.contains("trying again in 1 s"), "{line}");
    }
}

#[tokio::test]
async fn the_server_that_does_not_answer_is_named_and_not_the_hub() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = listener.local_addr().expect("bound").to_string();
    drop(listener);
    world.hub.always(Target::Resolve, Trick::Redirect(format!("http://{nobody}/model.gguf")));
    let watch = Watch::default();
    let terms = Terms { watch: watch.clone(), ..world.terms() };
    let error = world.pull_on("qwen2.5:0.5b", terms).await.expect_err("nobody is there");
    assert!(error.to_string().starts_with(&format!("{nobody}: no connection")), "{error}");
    let news = watch.progress.take_news();
    assert_eq!(news.len() as u32, world.patience.tries - 1, "{news:?}");
    assert!(news.iter().all(|line| line.starts_with(&nobody)), "{news:?}");
    assert!(news[0].contains("(try 2 of 4)"), "{news:?}");
}

#[tokio::test]
async fn a_token_that_has_ended_does_not_close_what_is_open_to_everyone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("token"), "hf_old").expect("written");
    let home = folder.path().to_str().expect("a plain path");
    let file = format!("{home}/token");
    for (variable, value, from) in [("HF_TOKEN", "hf_old", "HF_TOKEN"), ("HF_HOME", home, &file)] {
        let world = World::with(&[(variable, value)]);
        world.hub.refuse_tokens();
        let watch = Watch::default();
        let terms = Terms { watch: watch.clone(), ..world.terms() };
        let installed = world.pull_on("qwen2.5:0.5b", terms).await.expect("pulled");
        assert_eq!(read(&installed.path), bytes(1, LENGTH), "{variable}");
        let news = watch.progress.take_news();
        let [line] = news.as_slice() else { panic!("{variable}: {news:?}") };
        assert!(line.contains(&format!("the token of {from} (401)")), "{line}");
        let tokens = world.hub.take_requests();
        let tokens = tokens.iter().filter(|request| request.authorization.is_some()).count();
        assert_eq!(tokens, 1, "it is not tried again");
        world.hub.always(Target::List, Trick::Status(401, None));
        let error = world.resolve("hf:a/b").await.expect_err("closed").to_string();
        assert!(error.contains(from) && error.contains("not valid any more"), "{error}");
    }
}

#[tokio::test]
async fn what_was_listed_and_what_is_fetched_are_of_one_commit() {
    let world = World::new();
    let source = world.resolve("qwen2.5:7b").await.expect("found");
    world.hub.add(SPLIT, "qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf", bytes(7, LENGTH));
    let download = Download::begin(&world.store(), source, world.terms()).await.expect("begun");
    world.hub.add(SPLIT, "qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf", bytes(8, 5 << 20));
    let installed = download.run().await.expect("what was listed is still there");
    let second = installed.path.with_file_name("qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf");
    assert_eq!(read(&installed.path), bytes(3, LENGTH));
    assert_eq!(read(&second), bytes(4, 5 << 20));
}

#[tokio::test]
async fn pieces_of_two_versions_are_never_put_together() {
    let world = World::new();
    let file = "qwen2.5-0.5b-instruct-q8_0.gguf";
    let url = format!("{}/bytes/{SMALL}/{file}", world.hub.url());
    let download = world.begin(&url, world.terms()).await.expect("begun");
    download.fetch_heads(1).await.expect("the first piece comes");
    world.hub.add(SMALL, file, bytes(9, LENGTH));
    let error = download.run().await.expect_err("another file");
    assert!(matches!(error, PullError::Changed { .. }), "{error}");
    assert_eq!((world.nothing_is_installed(), world.kept_bytes()), (true, 0));
    let installed = world.pull(&url).await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(9, LENGTH));
}

#[tokio::test]
async fn a_page_is_never_a_model() {
    let world = World::new();
    let elsewhere = FakeHub::start();
    elsewhere.add(SMALL, "model.gguf", bytes(1, 1000));
    elsewhere.add(
        SMALL,
        "pointer.gguf",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0",
    );
    let meant = "did you mean `banter pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF";
    let cases = [
        (SMALL.to_owned(), "a web page", format!("{meant}`?")),
        (format!("{SMALL}/blob/main/model.gguf"), "a web page", format!("{meant}:model.gguf`?")),
        (format!("bytes/{SMALL}/pointer.gguf"), "a Git LFS pointer", String::new()),
    ];
    for (path, found, says) in cases {
        let error = world.pull(&format!("{}/{path}", elsewhere.url())).await.expect_err(&path);
        let error = error.to_string();
        assert!(error.contains(found) && error.contains(&says), "{path}: {error}");
        assert!(world.nothing_is_installed() && world.kept_bytes() == 0, "{path}");
    }
    // The same where a proxy or a hotel puts its page in the place of everything.
    for trick in [Trick::Page, Trick::Body("<html>sign in first</html>".to_owned())] {
        world.hub.always(Target::Bytes, trick);
        let url = format!("{}/bytes/{SMALL}/qwen2.5-0.5b-instruct-q8_0.gguf", world.hub.url());
        world.pull(&url).await.expect_err("a page");
        assert!(world.nothing_is_installed() && world.kept_bytes() == 0);
        world.hub.behave();
    }
}

#[tokio::test]
async fn a_page_of_the_mirror_in_use_is_the_model_it_shows() {
    let world = World::new();
    let file = "qwen2.5-0.5b-instruct-q4_k_m.gguf";
    for path in ["blob/main", "resolve/main"] {
        let url = format!("{}/{SMALL}/{path}/{file}", world.hub.url());
        let installed = world.pull(&url).await.expect("pulled");
        assert_eq!(installed.name, format!("hf:{SMALL}:{file}"));
        assert_eq!(read(&installed.path), bytes(2, 1000));
        world.store().remove(&installed).expect("removed");
    }
}

#[tokio::test]
async fn a_page_that_was_stored_as_a_model_is_told_and_replaced() {
    let world = World::new();
    let installed = world.pull(&format!("hf:{SMALL}:q4_k_m")).await.expect("pulled");
    let length = read(&installed.path).len();
    let mut page = b"<!DOCTYPE html><html>".to_vec();
    page.resize(length, b' ');
    std::fs::write(&installed.path, page).expect("written");
    assert!(world.nothing_is_installed());
    let damaged = world.store().damaged().expect("readable");
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0].why.contains("is a web page"), "{}", damaged[0].why);
    world.pull(&format!("hf:{SMALL}:q4_k_m")).await.expect("pulled again");
    assert!(world.store().damaged().expect("readable").is_empty());
}

#[tokio::test]
async fn a_cut_connection_goes_on_where_it_was_cut() {
    let world = World::new();
    let cuts = [Trick::Slow(Duration::ZERO, 1 << 16), Trick::Cut(100_000), Trick::Cut(3)];
    world.hub.play(Target::Bytes, cuts);
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(1, LENGTH));
}

#[tokio::test]
async fn passing_faults_are_waited_out() {
    let cases: &[&[Trick]] = &[
        &[Trick::Status(500, None), Trick::Status(502, None)],
        &[Trick::Status(429, Some(0)), Trick::Status(429, Some(1)), Trick::Status(503, None)],
        &[Trick::Silence],
        &[Trick::WrongRange],
        &[Trick::Slow(Duration::from_millis(2), 1 << 18)],
    ];
    for tricks in cases {
        let world = World::new();
        world.hub.play(Target::Bytes, tricks.iter().cloned());
        let installed = world.pull("qwen2.5:0.5b").await;
        let installed = installed.unwrap_or_else(|error| panic!("{tricks:?}: {error}"));
        assert_eq!(read(&installed.path), bytes(1, LENGTH), "{tricks:?}");
    }
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_beginning_to_end() {
    let world = World::new();
    world.hub.always(Target::Bytes, Trick::WholeFile);
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(1, LENGTH));
}

/// A fault that stays: what is said, and what is kept.
struct Case {
    target: Target,
    trick: Trick,
    says: &'static [&'static str],
    keeps: bool,
}

#[tokio::test]
async fn a_fault_that_stays_is_told_clearly_and_leaves_no_half_model() {
    let case = |target, trick, says| Case { target, trick, says, keeps: true };
    let cases = [
        case(Target::List, Trick::Status(401, None), &["answered 401", "HF_TOKEN"][..]),
        case(Target::List, Trick::Status(403, None), &["answered 403", "HF_TOKEN"]),
        case(Target::List, Trick::Status(404, None), &["Qwen/Qwen2.5-0.5B", "not found"]),
        case(Target::List, Trick::Status(429, Some(3600)), &["wait 3600 s", "too many requests"]),
        case(Target::List, Trick::Status(500, None), &["answered 500"]),
        case(Target::List, Trick::Body("<html>".into()), &["sent an unexpected answer"]),
        case(Target::List, Trick::Silence, &["127.0.0.1", "timed out"]),
        case(Target::Bytes, Trick::Status(401, None), &["answered 401"]),
        case(Target::Bytes, Trick::Status(404, None), &["not found"]),
        case(Target::Bytes, Trick::Status(429, Some(3600)), &["wait 3600 s", "kept"]),
        case(Target::Bytes, Trick::Status(429, None), &["too many requests", "pull again"]),
        case(Target::Bytes, Trick::Status(503, None), &["answered 503", "pull again"]),
        case(Target::Bytes, Trick::Cut(0), &["127.0.0.1", "kept, so pull again"]),
        case(Target::Bytes, Trick::Silence, &["timed out", "kept"]),
        case(Target::Bytes, Trick::WrongRange, &["expected bytes", "found"]),
        case(Target::Bytes, Trick::WholeFile, &["found the whole file"]),
        case(
            Target::Bytes,
            Trick::Redirect("file:///etc/passwd".into()),
            &["a redirect to something that is not http"],
        ),
        Case {
            target: Target::Bytes,
            trick: Trick::OtherBytes,
            says: &["sha256", "has been removed"],
            keeps: false,
        },
    ];
    for Case { target, trick, says, keeps } in cases {
        let world = World::new();
        if target == Target::List {
            world.hub.always(target, trick.clone());
            let error = world.resolve("qwen2.5:0.5b").await.expect_err("a fault").to_string();
            check(&error, says, &trick);
            continue;
        }
        let download = world.begin("qwen2.5:0.5b", world.terms()).await.expect("begun");
        download.fetch_heads(1).await.expect("the first piece comes");
        world.hub.always(target, trick.clone());
        let error = download.run().await.expect_err("a fault").to_string();
        check(&error, says, &trick);
        assert!(world.nothing_is_installed(), "{trick:?}");
        assert_eq!(world.kept_bytes(), if keeps { 4 << 20 } else { 0 }, "{trick:?}");
        world.hub.behave();
        world.hub.take_requests();
        let installed = world.pull("qwen2.5:0.5b").await.expect("the next pull goes on");
        assert_eq!(read(&installed.path), bytes(1, LENGTH), "{trick:?}");
        assert_eq!(world.asked_pieces().contains(&0), !keeps, "{trick:?}");
    }
}

fn check(error: &str, says: &[&str], trick: &Trick) {
    for part in says {
        assert!(error.contains(part), "{trick:?}: {error:?} does not say {part:?}");
    }
    assert!(!error.contains('\n') && error.len() < 600, "{error:?}");
}

#[tokio::test]
async fn a_pull_that_was_stopped_goes_on_where_it_was() {
    let world = World::new();
    let watch = Watch::default();
    let terms = Terms { watch: watch.clone(), ..world.terms() };
    let download = world.begin("qwen2.5:0.5b", terms).await.expect("begun");
    download.fetch_heads(2).await.expect("two pieces come");
    watch.stop.cancel();
    let error = download.run().await.expect_err("stopped");
    assert!(matches!(error, PullError::Stopped), "{error}");
    assert_eq!((world.nothing_is_installed(), world.kept_bytes()), (true, 8 << 20));
    world.hub.take_requests();
    let progress = Arc::new(Progress::default());
    let watch = Watch { progress: progress.clone(), stop: CancellationToken::new() };
    let installed = world.pull_on("qwen2.5:0.5b", Terms { watch, ..world.terms() }).await;
    assert_eq!(read(&installed.expect("pulled").path), bytes(1, LENGTH));
    assert_eq!(world.asked_pieces(), BTreeSet::from([8 << 20]), "only what was missing");
    assert_eq!(progress.downloaded_bytes(), LENGTH as u64);
    assert_eq!(progress.checked_bytes(), LENGTH as u64);
}

#[tokio::test]
async fn files_that_have_changed_are_fetched_anew() {
    let world = World::new();
    let begun = world.begin("qwen2.5:0.5b", world.terms()).await;
    begun.expect("begun").fetch_heads(2).await.expect("two pieces come");
    world.hub.add(SMALL, "qwen2.5-0.5b-instruct-q8_0.gguf", bytes(9, LENGTH));
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    assert_eq!(read(&installed.path), bytes(9, LENGTH));
}

#[tokio::test]
async fn one_model_is_pulled_once_at_a_time() {
    let world = World::new();
    let first = world.begin("qwen2.5:0.5b", world.terms()).await.expect("begun");
    first.fetch_heads(1).await.expect("the first piece comes");
    let half = world.store().partial().expect("readable").remove(0);
    let removed = world.store().remove_partial(&half);
    assert!(matches!(removed, Err(PullError::Busy(_))), "{removed:?}");
    let second = world.begin("qwen2.5:0.5b", world.terms()).await;
    let Err(error) = second else { panic!("two pulls at once") };
    assert!(error.to_string().contains("another process is already pulling"), "{error}");
    first.run().await.expect("the first goes on");
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_found_before_the_download() {
    let world = World::new();
    // A sparse file of a size that no disk has: the hub only has to say so.
    let huge = format!("{}/huge/model.gguf", world.hub.url());
    world.hub.claim_length("huge/model.gguf", 3 << 40);
    let error = world.pull(&huge).await.expect_err("too large");
    assert!(matches!(error, PullError::DiskTooSmall { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("expected 3.3 TB of free disk space") && text.contains("--models-dir"),
        "{text}"
    );
    assert!(world.nothing_is_installed());
    assert!(world.store().partial().expect("readable").is_empty(), "nothing is left over");
}

#[tokio::test]
async fn all_models_together_keep_to_their_limit() {
    let world = World::new();
    world.pull(&format!("hf:{SMALL}:q4_k_m")).await.expect("pulled");
    let within = |bytes| Terms { limit_bytes: Some(bytes), ..world.terms() };
    let error = world.pull_on("qwen2.5:0.5b", within(LENGTH as u64)).await.expect_err("full");
    assert!(matches!(error, PullError::OverLimit { .. }), "{error}");
    let room = within(LENGTH as u64 + (1 << 20));
    world.pull_on("qwen2.5:0.5b", room).await.expect("there is room");
}

#[tokio::test]
async fn what_is_removed_is_gone_and_nothing_else() {
    let world = World::new();
    let small = world.pull("qwen2.5:0.5b").await.expect("pulled");
    let large = world.pull("qwen2.5:7b").await.expect("pulled");
    let freed = world.store().remove(&small).expect("removed");
    assert!(freed >= LENGTH as u64);
    let names: Vec<String> =
        world.store().models().expect("readable").into_iter().map(|model| model.name).collect();
    assert_eq!(names, [large.name]);
    assert!(!small.path.exists());
}

#[tokio::test]
async fn a_model_whose_files_were_cut_is_not_offered() {
    let world = World::new();
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    let file = std::fs::File::options().write(true).open(&installed.path).expect("there");
    file.set_len(5).expect("cut");
    assert!(world.nothing_is_installed());
    let damaged = world.store().damaged().expect("readable").remove(0);
    assert!(damaged.why.contains("expected 9437261 bytes, found 5"), "{}", damaged.why);
    let again = world.pull("qwen2.5:0.5b").await.expect("pulled again");
    assert_eq!(read(&again.path), bytes(1, LENGTH));
}

#[tokio::test]
async fn p10_a_file_that_was_changed_is_found_before_it_is_loaded() {
    let world = World::new();
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    let store = world.store();
    store.check(&installed.path).expect("nothing has changed");
    let mut changed = bytes(1, LENGTH);
    changed[LENGTH / 2] ^= 1;
    std::fs::write(&installed.path, &changed).expect("written");
    let error = store.check(&installed.path).expect_err("one bit was flipped");
    let PullError::FileChanged { expected, found, .. } = &error else { panic!("{error}") };
    assert_ne!(expected, found);
    let message = error.to_string();
    let start =
        "qwen2.5:0.5b-q8_0: qwen2.5-0.5b-instruct-q8_0.gguf has changed since it was pulled";
    assert!(message.starts_with(start), "{message}");
    assert!(message.contains("`banter pull qwen2.5:0.5b-q8_0`"), "{message}");
    // From then on it is damaged, and the next pull replaces it.
    assert!(world.nothing_is_installed());
    let damaged = store.damaged().expect("readable").remove(0);
    assert!(damaged.why.contains("has changed since it was pulled"), "{}", damaged.why);
    let again = world.pull("qwen2.5:0.5b").await.expect("pulled again");
    store.check(&again.path).expect("the new file is sound");
    assert_eq!(read(&again.path), bytes(1, LENGTH));
}

#[tokio::test]
async fn p10_a_file_that_was_copied_or_mended_is_sound_again() {
    let world = World::new();
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    let store = world.store();
    let copy = installed.path.with_extension("copy");
    std::fs::copy(&installed.path, &copy).expect("copied");
    std::fs::rename(&copy, &installed.path).expect("renamed");
    store.check(&installed.path).expect("other places, the same bytes");
    std::fs::write(&installed.path, bytes(7, LENGTH)).expect("written");
    store.check(&installed.path).expect_err("other bytes");
    std::fs::write(&installed.path, bytes(1, LENGTH)).expect("written");
    assert!(!world.nothing_is_installed(), "a file that was touched is to be checked");
    store.check(&installed.path).expect("the bytes that were pulled");
}

#[tokio::test]
async fn p10_without_a_stated_checksum_the_one_of_the_pull_counts() {
    let world = World::new();
    let url = format!("{}/bytes/{SMALL}/qwen2.5-0.5b-instruct-q8_0.gguf", world.hub.url());
    let begun = world.begin(&url, world.terms()).await.expect("begun");
    assert_eq!(begun.unstated_checksums(), 1);
    let installed = begun.run().await.expect("pulled");
    std::fs::write(&installed.path, bytes(7, LENGTH)).expect("written");
    let error = world.store().check(&installed.path).expect_err("other bytes");
    assert!(matches!(error, PullError::FileChanged { .. }), "{error}");
    let begun = world.begin("qwen2.5:0.5b", world.terms()).await.expect("begun");
    assert_eq!(begun.unstated_checksums(), 0);
}

#[tokio::test]
async fn p10_models_of_earlier_versions_are_checked_once() {
    let world = World::new();
    let installed = world.pull("qwen2.5:0.5b").await.expect("pulled");
    let description = installed.path.with_file_name("model.json");
    let mut text: serde_json::Value =
        serde_json::from_slice(&read(&description)).expect("a description");
    text["files"][0].as_object_mut().expect("a file").remove("checked");
    std::fs::write(&description, text.to_string()).expect("written");
    let store = world.store();
    store.check(&installed.path).expect("sound");
    let text = String::from_utf8(read(&description)).expect("text");
    assert!(text.contains("\"is_sound\": true"), "{text}");
    store.check(&world.folder.path().join("elsewhere.gguf")).expect("not ours to check");
}

#[tokio::test]
async fn unknown_files_are_told_with_those_that_are_there() {
    let world = World::new();
    let message = world.pull(&format!("hf:{SMALL}:q2_k")).await.expect_err("not there").to_string();
    let expected = "Qwen/Qwen2.5-0.5B-Instruct-GGUF:q2_k: not found at 127.0.0.1";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("qwen2.5-0.5b-instruct-q4_k_m.gguf"), "{message}");
}

#[test]
fn an_error_that_kept_nothing_says_so() {
    assert_eq!(Kept::Nothing.to_string(), "nothing was downloaded");
    assert_eq!(Kept::Bytes(7).to_string(), "7 B are kept, so pull again to continue");
}
