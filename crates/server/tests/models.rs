//! Pulling models and switching between them over HTTP, while answers go on.

mod support;

use banter_protocol::http::{ModelEntry, ModelState};
use banter_remote::download::Watch;
use banter_seam::Backend;
use banter_server::backend::ScriptedBackend;
use banter_server::models::{Library, PullFailure, Wanted};
use banter_server::{KeyHash, PublicUrl, ServerConfig};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::raw::{Raw, get, post};
use support::{PATIENCE, TestServer, patiently};

/// A library that does what a test tells it, when it does.
struct Shelf {
    here: Mutex<Vec<String>>,
    wanted: Mutex<VecDeque<Wanted>>,
    pulls: Mutex<Receiver<Result<(), PullFailure>>>,
    loads: Mutex<Receiver<Result<(), String>>>,
}

/// Where a test says how things end.
struct Hand {
    pulls: Sender<Result<(), PullFailure>>,
    loads: Sender<Result<(), String>>,
}

fn shelf() -> (Arc<Shelf>, Hand) {
    let (pulls, pulled) = channel();
    let (loads, loaded) = channel();
    let shelf = Shelf {
        here: Mutex::new(vec!["first".into(), "second".into()]),
        wanted: Mutex::default(),
        pulls: Mutex::new(pulled),
        loads: Mutex::new(loaded),
    };
    (Arc::new(shelf), Hand { pulls, loads })
}

impl Library for Shelf {
    fn entries(&self) -> Result<Vec<ModelEntry>, String> {
        let entry = |name: &str, state| ModelEntry {
            name: name.to_owned(),
            state,
            bytes: 1_000,
            downloaded_bytes: 0,
            licence: Some("Apache-2.0".into()),
            is_open: true,
            memory_bytes: Some(2_000),
            fits: Some(true),
            demo: false,
        };
        let here = self.here.lock().expect("no panic");
        let here = here.iter().map(|name| entry(name, ModelState::Installed));
        Ok(here.chain([entry("qwen2.5:7b", ModelState::Available)]).collect())
    }

    fn pull(&self, wanted: &Wanted, watch: &Watch) -> Result<(), PullFailure> {
        self.wanted.lock().expect("no panic").push_back(wanted.clone());
        let told = self.pulls.lock().expect("no panic");
        loop {
            match told.recv_timeout(Duration::from_millis(1)) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) if !watch.stop.is_cancelled() => {}
                Err(_) => return Err(PullFailure::Stopped("stopped".into())),
            }
        }
    }

    fn load(&self, name: &str, progress: &mut dyn FnMut(f32)) -> Result<Arc<dyn Backend>, String> {
        progress(0.5);
        let told = self.loads.lock().expect("no panic").recv_timeout(PATIENCE);
        assert_ne!(name, "second-that-panics", "as a bug would");
        told.expect("the test says how it ends")?;
        Ok(Arc::new(ScriptedBackend::named(name)))
    }
}

async fn start(shelf: &Arc<Shelf>) -> TestServer {
    TestServer::start_with_models(ServerConfig::default(), shelf.clone(), "first").await
}

async fn list(server: &TestServer) -> Value {
    get(server.address, "/api/models", "").await.json()
}

/// The list, once a job has come to this.
async fn once(server: &TestServer, job: &str, status: &str) -> Value {
    patiently(async {
        loop {
            let list = list(server).await;
            if list[job]["state"]["status"] == status {
                return list;
            }
        }
    })
    .await
}

async fn order(server: &TestServer, what: &str, body: &Value) -> (u16, Value) {
    let path = format!("/api/models/{what}");
    let response = post(server.address, &path, "", &body.to_string()).await;
    let json = if response.status == 204 { Value::Null } else { response.json() };
    (response.status, json)
}

#[tokio::test]
async fn a_switch_lets_the_old_model_answer_until_the_new_one_is_there() {
    let (shelf, hand) = shelf();
    let server = start(&shelf).await;
    let mut client = server.client().await;
    client.ask("tokens 100000 1").await;
    let (status, report) = order(&server, "switch", &json!({"name": "second"})).await;
    assert_eq!((status, &report["name"]), (202, &json!("second")));
    let (status, refused) = order(&server, "switch", &json!({"name": "first"})).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("model_busy")));
    let during = list(&server).await;
    assert_eq!((&during["current"], &during["may_change"]), (&json!("first"), &json!(true)));
    let info = get(server.address, "/api/info", "").await.json();
    assert_eq!(info["model"]["name"], "first");
    server.client().await.expect_works().await;

    hand.loads.send(Ok(())).expect("it loads");
    let after = once(&server, "switch", "done").await;
    assert_eq!((&after["current"], &after["switch"]["name"]), (&json!("second"), &json!("second")));
    let info = get(server.address, "/api/info", "").await.json();
    assert_eq!(info["model"]["name"], "second");
    // The answer that the old one had begun went on, and can be stopped.
    client.send(r#"{"stop": true}"#).await;
    assert!(client.answer().await.concat().starts_with("word0 "));
    server.client().await.expect_works().await;
    server.end().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_changes_nothing() {
    let (shelf, hand) = shelf();
    let server = start(&shelf).await;
    hand.loads.send(Err("second: a corrupt file".into())).expect("it loads");
    assert_eq!(order(&server, "switch", &json!({"name": "second"})).await.0, 202);
    let after = once(&server, "switch", "failed").await;
    let state = &after["switch"]["state"];
    assert_eq!(
        (&state["code"], &state["message"]),
        (&json!("failed"), &json!("second: a corrupt file"))
    );
    assert_eq!(after["current"], "first");
    server.client().await.expect_works().await;
    // And it can be tried again, also after a bug.
    shelf.here.lock().expect("no panic").push("second-that-panics".into());
    hand.loads.send(Ok(())).expect("it loads");
    assert_eq!(order(&server, "switch", &json!({"name": "second-that-panics"})).await.0, 202);
    patiently(async {
        while list(&server).await["switch"]["state"]["message"]
            != "it failed by a bug in banter; the log has the details"
        {}
    })
    .await;
    server.client().await.expect_works().await;
    hand.loads.send(Ok(())).expect("it loads");
    assert_eq!(order(&server, "switch", &json!({"name": "second"})).await.0, 202);
    assert_eq!(once(&server, "switch", "done").await["current"], "second");
    server.end().await;
}

#[tokio::test]
async fn a_pull_is_reported_and_can_be_stopped() {
    let (shelf, hand) = shelf();
    let server = start(&shelf).await;
    let (status, report) = order(&server, "pull", &json!({"name": "qwen2.5:7b"})).await;
    assert_eq!(status, 202);
    let name = report["name"].as_str().expect("a name").to_owned();
    let (status, refused) = order(&server, "pull", &json!({"name": "hf:a/b"})).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("model_busy")));
    assert_eq!(list(&server).await["pull"]["state"], json!({"status": "running"}));
    assert_eq!(order(&server, "stop", &json!({})).await.0, 204);
    let after = once(&server, "pull", "failed").await;
    assert_eq!(
        (&after["pull"]["name"], &after["pull"]["state"]["code"]),
        (&json!(name), &json!("stopped"))
    );

    let again = json!({"name": "ms:a/b:q4_0", "accept_licence": true, "even_if_too_large": true});
    hand.pulls.send(Ok(())).expect("it pulls");
    assert_eq!(order(&server, "pull", &again).await.0, 202);
    once(&server, "pull", "done").await;
    let wanted = std::mem::take(&mut *shelf.wanted.lock().expect("no panic"));
    let agreed: Vec<_> =
        wanted.iter().map(|wanted| (wanted.accept_licence, wanted.even_if_too_large)).collect();
    assert_eq!(agreed, [(false, false), (true, true)]);

    for (failure, code) in [
        (PullFailure::Licence("terms".into()), "licence"),
        (PullFailure::TooLarge("too large".into()), "too_large"),
        (PullFailure::Failed("no connection".into()), "failed"),
    ] {
        hand.pulls.send(Err(failure)).expect("it pulls");
        assert_eq!(order(&server, "pull", &json!({"name": "qwen2.5:7b"})).await.0, 202);
        assert_eq!(once(&server, "pull", "failed").await["pull"]["state"]["code"], code);
    }
    server.end().await;
}

/// FAULTS M14.
#[tokio::test]
async fn no_request_leads_to_a_path_or_an_address() {
    let (shelf, _hand) = shelf();
    let server = start(&shelf).await;
    let long = "x".repeat(3_000);
    let names = [
        "",
        "..",
        "../first",
        "%2e%2e/first",
        "first\0",
        "C:\\first",
        "/etc/passwd",
        "./second",
        "ｆirst",
        "FIRST",
        "first/",
        "https://example.com/a.gguf",
        "http://127.0.0.1/a.gguf",
        "file:///etc/passwd",
        "hf:../..",
        "hf:a/../../b",
        "hf:a/b:../../c.gguf",
        "ms:a/b:/etc/passwd",
        "hf:a/b@../x",
        "qwen2.5:../7b",
        &long,
    ];
    for name in names {
        let (status, body) = order(&server, "pull", &json!({"name": name})).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_name")), "{name:.40?}");
        let message = body["error"]["message"].as_str().expect("a message");
        assert!(message.len() < 1_000, "{message:.100}");
        let (status, body) = order(&server, "switch", &json!({"name": name})).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("not_here")), "{name:.40?}");
        let message = body["error"]["message"].as_str().expect("a message");
        assert!(message.contains("first, second") && message.len() < 1_000, "{message:.100}");
    }
    assert_eq!(order(&server, "switch", &json!({"name": "qwen2.5:7b"})).await.0, 404);
    let too_long = json!({"name": "x".repeat(64 * 1024)});
    assert_eq!(order(&server, "pull", &too_long).await.0, 413);
    assert_eq!(order(&server, "switch", &too_long).await.0, 413);
    for body in [json!({}), json!({"name": 1}), json!({"name": "first", "path": "/etc"}), json!([])]
    {
        assert_eq!(order(&server, "pull", &body).await.0, 400, "{body}");
    }
    assert!(shelf.wanted.lock().expect("no panic").is_empty());
    server.end().await;
}

#[tokio::test]
async fn others_look_but_do_not_change() {
    let (shelf, hand) = shelf();
    let config = ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example").expect("a URL")],
        keys: vec![KeyHash::of("the-key")],
        admin_keys: vec![KeyHash::of("the-admin-key")],
        ..ServerConfig::default()
    };
    let server = TestServer::start_with_models(config, shelf, "first").await;
    let address = server.address;
    let host = "Host: chat.example\r\n";
    assert_eq!(get(address, "/api/models", host).await.status, 401);
    hand.loads.send(Err("/home/me/models: a corrupt file".into())).expect("it loads");
    assert_eq!(order(&server, "switch", &json!({"name": "second"})).await.0, 202);
    once(&server, "switch", "failed").await;
    for (key, may_change, status) in [("the-key", false, 403), ("the-admin-key", true, 204)] {
        let lines = format!("{host}X-Api-Key: {key}\r\n");
        let seen = get(address, "/api/models", &lines).await.json();
        assert_eq!((&seen["may_change"], &seen["current"]), (&json!(may_change), &json!("first")));
        let told = seen["switch"]["state"]["message"] != "";
        assert_eq!(told, may_change, "folders are for administrators: {seen}");
        let stop = post(address, "/api/models/stop", &lines, "{}").await;
        assert_eq!(stop.status, status, "{key}");
        for page in ["https://wiki.example", "null"] {
            let lines = format!("{lines}Origin: {page}\r\n");
            assert_eq!(post(address, "/api/models/stop", &lines, "{}").await.status, 403, "{page}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_server_without_models_of_its_own_says_so() {
    let server = TestServer::start(ServerConfig::default()).await;
    let response = get(server.address, "/api/models", "").await;
    assert_eq!((response.status, &response.json()["error"]["code"]), (501, &json!("no_models")));
    server.end().await;
}

/// A library whose folder is not read before a test lets go.
struct Stuck(Mutex<Receiver<()>>);

impl Library for Stuck {
    fn entries(&self) -> Result<Vec<ModelEntry>, String> {
        let held = self.0.lock().expect("no panic").recv_timeout(PATIENCE);
        assert_eq!(held, Err(RecvTimeoutError::Disconnected), "the test lets go in time");
        Ok(Vec::new())
    }

    fn pull(&self, _wanted: &Wanted, _watch: &Watch) -> Result<(), PullFailure> {
        unreachable!("nobody pulls")
    }

    fn load(&self, _: &str, _: &mut dyn FnMut(f32)) -> Result<Arc<dyn Backend>, String> {
        unreachable!("nobody switches")
    }
}

#[tokio::test]
async fn lists_that_take_long_hold_up_neither_counting_nor_answers() {
    let (let_go, held) = channel();
    let config = ServerConfig { max_tokenizing: 2, ..ServerConfig::default() };
    let library = Arc::new(Stuck(Mutex::new(held)));
    let server = TestServer::start_with_models(config, library, "first").await;
    let lists = async { tokio::join!(list(&server), list(&server), list(&server)) };
    let others = async {
        let counted = post(server.address, "/tokenize", "", r#"{"text": "four"}"#).await;
        assert_eq!(counted.json()["tokens"], 4);
        server.client().await.expect_works().await;
        drop(let_go);
    };
    // The lists are asked for first.
    let ((first, ..), ()) = tokio::join!(lists, others);
    assert_eq!(first["models"], json!([]));
    server.end().await;
}

#[tokio::test]
async fn a_list_that_finds_too_many_others_is_refused_in_time() {
    let (let_go, held) = channel();
    let config = ServerConfig {
        max_model_lists: 1,
        body_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let library = Arc::new(Stuck(Mutex::new(held)));
    let server = TestServer::start_with_models(config, library, "first").await;
    let second = async {
        let refused = get(server.address, "/api/models", "").await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
        assert_eq!(refused.json()["error"]["code"], "busy");
        drop(let_go);
    };
    // The first list is asked for first, and has the only permit.
    let (first, ()) = tokio::join!(list(&server), second);
    assert_eq!(first["models"], json!([]));
    assert_eq!(list(&server).await["models"], json!([]), "the permit is given back");
    server.end().await;
}

#[tokio::test]
async fn texts_that_are_counted_do_not_hold_up_lists() {
    let (shelf, _hand) = shelf();
    let config = ServerConfig { max_tokenizing: 1, ..ServerConfig::default() };
    let server = TestServer::start_with_models(config, shelf, "first").await;
    // A body that never comes holds the only permit.
    let mut counted = Raw::connect(server.address).await;
    let head = format!(
        "POST /tokenize HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n",
        server.host()
    );
    counted.send(head.as_bytes()).await;
    assert_eq!(list(&server).await["current"], "first");
    server.end().await;
}

#[tokio::test]
async fn a_request_for_another_model_loads_it_where_that_is_allowed() {
    let (shelf, hand) = shelf();
    let config = ServerConfig { switch_on_request: true, ..ServerConfig::default() };
    let server = TestServer::start_with_models(config, shelf, "first").await;
    let ask = async |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "echo hi"}]});
        post(server.address, "/v1/chat/completions", "", &body.to_string()).await
    };
    let listed = get(server.address, "/v1/models", "").await.json();
    let names = |list: &Value| {
        let data = list["data"].as_array().expect("a list").iter();
        data.map(|model| model["id"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&listed), ["first", "second"]);
    assert_eq!(get(server.address, "/v1/models/second", "").await.status, 200);
    hand.loads.send(Ok(())).expect("it listens");
    // Two ask at the same time: the model is loaded once.
    let (one, other) = tokio::join!(ask("second"), ask("SECOND"));
    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(one.json()["model"], "second");
    assert_eq!(names(&get(server.address, "/v1/models", "").await.json())[0], "second");
    hand.loads.send(Err("it is damaged".into())).expect("it listens");
    let failed = ask("first").await;
    assert_eq!((failed.status, &failed.json()["error"]["type"]), (503, &json!("server_error")));
    assert!(!failed.json().to_string().contains("damaged"), "that is for administrators");
    let unknown = ask("third").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["param"]), (404, &json!("model")));
    assert!(unknown.json().to_string().contains("first, second"), "{}", unknown.json());
    assert_eq!(ask("second").await.status, 200, "it answers as before");
}
