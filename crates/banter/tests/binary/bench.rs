//! `banter bench`, on a model small enough to be measured in passing.

use super::support::{Server, banter, small_model};

#[test]
fn figures_are_printed_beside_the_limits_and_written_to_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = small_model(folder.path(), "q4_k_m");
    let file = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_string();
    let (csv, plot) = (file("figures.csv"), file("plot.svg"));
    let small =
        ["-t", "2", "-p", "20", "-n", "3", "-r", "1", "--streams", "1,3", "--depths", "300"];
    let mut command = banter(&["bench", "-m", &model, "--json", "--csv", &csv, "--plot", &plot]);
    let output = command.args(small).args(["--kv-type", "q8_0"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    let figures = report["figures"].as_array().expect("a list");
    let names: Vec<_> = figures.iter().map(|figure| figure["name"].as_str()).collect();
    let expected = [
        "prompt 20",
        "generate 3 behind 20",
        "prompt 32 behind 2000",
        "generate 3 behind 128",
        "3 streams, 3 each behind 128",
        "generate 3 behind 300",
    ];
    assert_eq!(names, expected.map(Some));
    for figure in figures {
        let share = figure["limit_share"].as_f64().expect("a number");
        assert!(share > 0.0 && share < 1.5, "{figure}");
        assert!(figure["ratio"].is_null(), "nothing to compare with: {figure}");
    }
    assert!(report["limits"]["int8_products_per_second"].as_f64().expect("a number") > 1e8);

    let csv = std::fs::read_to_string(csv).expect("it was written");
    let rows = csv.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(rows.count(), 1 + expected.len(), "{csv}");
    let plot = std::fs::read_to_string(plot).expect("it was written");
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"), "{plot}");
}

#[test]
fn accuracy_is_measured_against_floats() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = small_model(folder.path(), "q4_k_m");
    let measure = |arguments: &[&str]| -> serde_json::Value {
        let command = ["bench", "accuracy", "-m", &model, "--positions", "40", "--json"];
        let output = banter(&command).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    };
    let mean = |report: &serde_json::Value| report["sides"][0]["mean_kld"].as_f64().expect("one");
    let stored = measure(&[]);
    assert_eq!(stored["positions"], 40);
    assert!(stored["weight_types"].as_str().expect("types").contains("Q4_K"), "{stored}");
    assert!(
        mean(&stored) > 1e-7 && mean(&stored) < 0.1,
        "8-bit activations cost a little: {stored}"
    );
    let floats = measure(&["--quant", "f32", "--kv-type", "f32"]);
    assert_eq!(floats["weight_types"], "F32");
    assert!(mean(&floats) < 1e-9 && floats["sides"][0]["same_first"] == 1.0, "{floats}");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "Hello, hello, hello.").expect("a text");
    let read = measure(&["--text", text.to_str().expect("a plain path")]);
    assert!((1..40).contains(&read["positions"].as_u64().expect("a number")), "{read}");
}

#[test]
fn what_cannot_be_measured_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = small_model(folder.path(), "q4_k_m");
    for (arguments, said) in [
        (["--against", "ollama"], "--against: expected llama.cpp or banter, found \"ollama\""),
        (["--against", "banter"], "--against banter: expected another build of banter"),
        (["--streams", "1,many"], "--streams: expected numbers from 1 to 256, found \"many\""),
        (["--kv-type", "f8"], "--kv-type: expected one of f16, f32, q8_0, found \"f8\""),
        (["--quant", "q4_k"], "--quant: expected one of q8_0, q4_0, bf16-dot, f32, found \"q4_k\""),
        (["--isa", "sse9"], "instruction set sse9: expected one of"),
        (["--prompt", "40000"], "at most the 32768 tokens of training, found 40064"),
    ] {
        let output = banter(&["bench", "-m", &model]).args(arguments).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn two_builds_of_banter_take_turns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = small_model(folder.path(), "q4_0");
    let small = ["-t", "1", "-p", "20", "-n", "2", "-r", "1", "--streams", "1", "--json"];
    let other = ["--against", "banter", "--against-program", env!("CARGO_BIN_EXE_banter")];
    let mut command = banter(&["bench", "-m", &model]);
    let output = command.args(small).args(other).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(report["sides"].as_array().map(Vec::len), Some(2), "{report}");
    for figure in report["figures"].as_array().expect("a list") {
        assert!(figure["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{figure}");
    }
}

#[cfg(not(feature = "llama-cpp"))]
#[test]
fn a_binary_without_llama_cpp_says_how_to_get_one() {
    let output =
        banter(&["bench", "-m", "any.gguf", "--against", "llama.cpp"]).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("docs/PERFORMANCE.md"), "{error}");
}

#[test]
fn a_server_is_measured_over_http() {
    let server = Server::start(&["--no-store"]);
    let url = format!("http://127.0.0.1:{}/v1", server.port);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = folder.path().join("figures.csv");
    let csv = csv.to_str().expect("a plain path");
    let small = ["--clients", "1,3", "--conversations", "1", "--turns", "2"];
    let mut command = banter(&["bench", "http", "--url", &url, "--csv", csv, "--label", "us"]);
    let output = command.args(small).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(csv).expect("it was written");
    let rows: Vec<&str> = written.lines().filter(|line| line.starts_with("us,")).collect();
    assert_eq!(rows.len(), 2 * 4 + 1, "{written}");
    for row in rows {
        let value: Option<f64> = row.split(',').nth(4).and_then(|value| value.parse().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{row}");
    }
}

#[test]
fn a_server_that_is_not_there_or_has_another_model_is_told_in_words() {
    let server = Server::start(&["--no-store"]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let cases: [(&[&str], &str); 3] = [
        (&["--url", &url, "--model", "another"], "model: expected"),
        (&["--url", "127.0.0.1"], "expected http"),
        (&["--url", &url, "--clients", "0"], "--clients: expected numbers from 1 to 1000"),
    ];
    for (arguments, words) in cases {
        let output = banter(&["bench", "http"]).args(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}
