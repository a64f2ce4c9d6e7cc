//! A real Prometheus that watches a real server, as `examples/monitoring` sets it up.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::*;

/// Somebody else may take a free port before Prometheus does.
const TRIES: usize = 8;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/monitoring")
}

/// A running Prometheus, ended when dropped.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts it on a port of its own, with the project's files. They are changed to look at this
    /// server, and more often.
    fn watching(server: &Server, folder: &Path) -> Prometheus {
        let config = fs::read_to_string(examples().join("prometheus.yml")).expect("a file");
        for used in ["127.0.0.1:7860", "scrape_interval: 10s", "alerts.yml"] {
            assert!(config.contains(used), "{used} is not in {config}");
        }
        let config = config
            .replace("127.0.0.1:7860", &format!("127.0.0.1:{}", server.port))
            .replace("scrape_interval: 10s", "scrape_interval: 200ms");
        fs::write(folder.join("prometheus.yml"), config).expect("it can be written");
        fs::copy(examples().join("alerts.yml"), folder.join("alerts.yml")).expect("a file");
        (0..TRIES).find_map(|_| Prometheus::try_to_start(folder)).unwrap_or_else(|| {
            panic!("{}", fs::read_to_string(folder.join("log")).unwrap_or_default())
        })
    }

    fn try_to_start(folder: &Path) -> Option<Prometheus> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let log = fs::File::create(folder.join("log")).expect("a file");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's package prometheus is installed");
        let mut prometheus = Prometheus { child, port };
        loop {
            if prometheus.child.try_wait().expect("a child of ours").is_some() {
                return None;
            }
            if matches!(request(port, "GET", "/-/ready", "", ""), Ok((200, _))) {
                return Some(prometheus);
            }
            std::thread::yield_now();
        }
    }

    /// The series that an expression yields now.
    fn query(&self, expression: &str) -> Vec<Value> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        let path = format!("/api/v1/query?{}", body.append_pair("query", expression).finish());
        let (status, body) = request(self.port, "GET", &path, "", "").expect("it listens");
        assert_eq!(status, 200, "{expression}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"]["result"].as_array().expect("a list").clone()
    }

    /// Waits until an expression yields something.
    fn wait_for(&self, expression: &str) {
        wait_until(|| !self.query(expression).is_empty());
    }
}

/// Every expression of the dashboard, with what Grafana puts in.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expression = |target: &Value| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    };
    targets.map(expression).collect()
}

#[test]
fn prometheus_reads_the_metrics_and_every_panel_of_the_dashboard_shows_something() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data-of-banter");
    let data = data.to_str().expect("the path is text");
    let added = banter(&["key", "add", "wiki", "--data", data]).output().expect("it runs");
    assert!(added.status.success(), "{added:?}");
    let server = Server::start(&["--data", data]);
    let mut socket = server.connect();
    for question in [r#"{"message": "hello"}"#, r#"{"message": "hello"}"#] {
        send(&mut socket, question);
        read_answer(&mut socket);
    }
    // An answer may end before the server reads the stop.
    let is_counted = || {
        let (_, text) = request(server.port, "GET", "/metrics", "", "").expect("it answers");
        text.contains("banter_answers_total{reason=\"stopped\"}")
    };
    for _ in 0..100 {
        send(&mut socket, r#"{"message": "Count from one to a hundred."}"#);
        send(&mut socket, r#"{"stop": true}"#);
        read_answer(&mut socket);
        if is_counted() {
            break;
        }
    }
    assert_eq!(server.ask("GET", "/nothing", "").0, 404);

    let prometheus = Prometheus::watching(&server, folder.path());
    // A rate needs two readings.
    prometheus.wait_for("count_over_time(banter_ready{job=\"banter\"}[1m]) > 2");
    let dashboard = fs::read_to_string(examples().join("grafana.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        assert!(!prometheus.query(&expression).is_empty(), "{expression}: no series");
    }
    for (expression, least) in [
        ("banter_answers_total{reason=\"stopped\"}", 1.0),
        ("banter_halt_seconds_count", 1.0),
        ("banter_time_to_first_token_seconds_count", 2.0),
        ("banter_tokens_total{kind=\"answer\"}", 2.0),
        ("banter_sockets{language=\"plain\"}", 1.0),
        ("banter_http_requests_total{route=\"unknown\", status=\"404\"}", 1.0),
        ("process_resident_memory_bytes", 1e6),
    ] {
        let found = prometheus.query(&format!("{expression} >= {least}"));
        assert_eq!(found.len(), 1, "{expression}: {:?}", prometheus.query(expression));
    }
}

#[test]
fn the_files_for_prometheus_are_right() {
    let checked = Command::new("promtool")
        .args(["check", "config"])
        .arg(examples().join("prometheus.yml"))
        .output()
        .expect("Debian's package prometheus is installed");
    assert!(checked.status.success(), "{checked:?}");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("6 rules found"), "{said}");
}
