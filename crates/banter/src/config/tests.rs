mod every_option;

use std::io::Write;

use super::*;
use crate::options::{self, ConfigFile};

struct Case {
    flags: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    file: Option<&'static str>,
}

const NOTHING: Case = Case { flags: &[], environment: &[], file: None };

fn check(case: &Case) -> Result<Config, String> {
    let command = clap::Command::new("serve").args(options::arguments());
    let flags = std::iter::once("serve").chain(case.flags.iter().copied());
    let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
    let environment: BTreeMap<String, String> = case
        .environment
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let file = case.file.map(|text| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("the temporary file is writable");
        file
    });
    let file = file
        .as_ref()
        .map(|file| ConfigFile { path: file.path().to_owned(), place: "--config (command line)" });
    let options = Options::collect(&matches, &environment, file.as_ref());
    options.and_then(|options| Config::check(&options)).map_err(|error| error.to_string())
}

#[test]
fn without_options_the_defaults_hold() {
    let config = check(&NOTHING).expect("defaults are right");
    assert_eq!(config.listen, Listen { host: None, port: 7860 });
    assert_eq!(config.model, None);
    assert_eq!(config.access.max_message_bytes, 1 << 20);
    assert_eq!(config.engine.queue_timeout, Duration::from_secs(120));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = Some("port = 1\nctx = 2048\nqueue-limit = 7");
    let environment = &[("BANTER_PORT", "2"), ("BANTER_CTX", "4096")];
    let case = Case { flags: &["--port", "3"], environment, file };
    let config = check(&case).expect("all values are right");
    assert_eq!(config.listen.port, 3);
    assert_eq!(config.engine.context_tokens, Some(4096));
    assert_eq!(config.engine.queue_limit, 7);
}

#[test]
fn the_chat_template_is_read_at_the_start_and_belongs_to_our_engine() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "{{ messages }}").expect("it is writable");
    let path: &'static str = Box::leak(file.path().display().to_string().into_boxed_str());
    let config = check(&Case { flags: &[], environment: &[], file: None });
    assert_eq!(config.expect("defaults are right").chat_template, None);
    let flags: &'static [&'static str] = Box::leak(Box::new(["--chat-template", path]));
    let template = check(&Case { flags, ..NOTHING }).expect("it is there").chat_template;
    assert_eq!(template.map(|template| template.source).as_deref(), Some("{{ messages }}"));
    let missing = Case { environment: &[("BANTER_CHAT_TEMPLATE", "/no/such")], ..NOTHING };
    let error = check(&missing).expect_err("nothing is there");
    assert!(
        error.starts_with("BANTER_CHAT_TEMPLATE (environment): /no/such: expected a file"),
        "{error}"
    );
    let flags: &'static [&'static str] =
        Box::leak(Box::new(["--chat-template", path, "--engine", "http://localhost:1"]));
    let error = check(&Case { flags, ..NOTHING }).expect_err("another engine has its own");
    assert!(
        error.contains("--chat-template (command line): this is an option of our own engine"),
        "{error}"
    );
}

#[test]
fn the_queue_limit_holds_for_another_engine_too() {
    let remote = |flags| {
        let config = check(&Case { flags, ..NOTHING }).expect("all right");
        config.remote.expect("another engine").queue_limit
    };
    assert_eq!(remote(&["--engine", "http://localhost:1"]), None);
    assert_eq!(remote(&["--engine", "http://localhost:1", "--queue-limit", "7"]), Some(7));
}

#[test]
fn lists_come_from_every_source() {
    let flags = &["--allow-origin", "https://a.example", "--allow-origin", "http://b.example"];
    let environment = &[("BANTER_PUBLIC_URL", "https://a.example/chat/, http://b.example")];
    let file = Some("public-url = [\"https://unused.example\"]\nallow-file-pages = true");
    let config = check(&Case { flags, environment, file }).expect("all values are right");
    let urls = ["https://a.example/chat/", "http://b.example"].map(PublicUrl::parse);
    assert_eq!(config.access.public_urls, urls.map(|url| url.expect("an address")));
    let origins = ["https://a.example", "http://b.example"].map(Origin::parse);
    assert_eq!(config.access.allow_origins, origins.map(|origin| origin.expect("an origin")));
    assert!(config.access.allow_file_pages);
}

#[test]
fn shares_and_times_of_connections_are_read() {
    let access = |flags| check(&Case { flags, ..NOTHING }).expect("all right").access;
    let default = access(&[]);
    assert_eq!((default.max_connections, default.max_connections_per_address), (896, 224));
    assert_eq!(default.header_timeout, Duration::from_secs(5));
    assert_eq!(default.idle_timeout, Duration::from_secs(90));
    assert_eq!(access(&["--max-connections", "8000"]).max_connections_per_address, 2_000);
    assert_eq!(access(&["--max-connections", "40"]).max_connections_per_address, 32);
    let proxies = access(&["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "2001:db8::7"]);
    let nets = ["10.0.0.0/8", "2001:db8::7/128"].map(|net| net.parse().expect("a network"));
    assert_eq!(proxies.trusted_proxies, nets);
}

/// Wrong values, and what is said of each.
const WRONG: &[(Case, &[&str])] = &[
    (
        Case { flags: &["--port", "http"], ..NOTHING },
        &["--port (command line)", "0 to 65535", "\"http\""],
    ),
    (Case { flags: &["--port", "-1"], ..NOTHING }, &["--port", "\"-1\""]),
    (Case { flags: &["--port", "65536"], ..NOTHING }, &["--port", "\"65536\""]),
    (Case { flags: &["--port", ""], ..NOTHING }, &["--port", "\"\""]),
    (Case { flags: &["--port"], ..NOTHING }, &["--port"]),
    (Case { flags: &["--port", "1", "--port", "2"], ..NOTHING }, &["--port"]),
    (Case { flags: &["--prot", "1"], ..NOTHING }, &["--prot"]),
    (Case { flags: &["--host", "localhost:1"], ..NOTHING }, &["--host", "IP address"]),
    (Case { flags: &["--kv-memory", "lots"], ..NOTHING }, &["--kv-memory", "4GiB"]),
    (Case { flags: &["--ctx", "1"], ..NOTHING }, &["--ctx", "32"]),
    (Case { flags: &["--isa", "sse"], ..NOTHING }, &["--isa", "avx2"]),
    (Case { flags: &["--public-url", "chat.example"], ..NOTHING }, &["--public-url"]),
    (Case { flags: &["--public-url", "https://h:99999"], ..NOTHING }, &["--public-url"]),
    (Case { flags: &["--public-url", "https://h/a//b"], ..NOTHING }, &["--public-url"]),
    (
        Case { environment: &[("BANTER_ALLOW_ORIGIN", "https://a.example/")], ..NOTHING },
        &["BANTER_ALLOW_ORIGIN (environment)", "\"https://a.example/\""],
    ),
    (
        Case { flags: &["--allow-origin", "file://"], ..NOTHING },
        &["--allow-origin", "app://obsidian.md"],
    ),
    (
        Case { flags: &["--trusted-proxy", "proxy.example"], ..NOTHING },
        &["--trusted-proxy", "10.0.0.0/8", "\"proxy.example\""],
    ),
    (Case { flags: &["--idle-timeout", "0"], ..NOTHING }, &["--idle-timeout", "86400"]),
    (Case { flags: &["--log", "verbose"], ..NOTHING }, &["--log", "\"verbose\""]),
    (Case { flags: &["--log", "a=b=c"], ..NOTHING }, &["--log", "\"a=b=c\""]),
    (
        Case { environment: &[("BANTER_THREADS", "0")], ..NOTHING },
        &["BANTER_THREADS (environment)", "1 to 1024", "\"0\""],
    ),
    (
        Case { environment: &[("BANTER_INSECURE", "maybe")], ..NOTHING },
        &["BANTER_INSECURE", "true or false"],
    ),
    (
        Case { flags: &["--engine", "http://good@evil.example"], ..NOTHING },
        &["--engine (command line)", "no user name", "found another"],
    ),
    (Case { flags: &["--engine", "http://2130706433/"], ..NOTHING }, &["--engine", "127.0.0.1"]),
    (Case { flags: &["--engine", "localhost:8000"], ..NOTHING }, &["--engine", "http://"]),
    (
        Case { flags: &["--engine", "http://h", "--engine-kind", "tgi"], ..NOTHING },
        &["--engine-kind", "vllm", "\"tgi\""],
    ),
    (
        Case { flags: &["--engine", "http://h", "--ctx", "4096"], ..NOTHING },
        &["--ctx (command line)", "--engine uses another"],
    ),
    (Case { flags: &["--engine-key", "abc"], ..NOTHING }, &["--engine-key", "--engine"]),
    (Case { file: Some("prot = 1"), ..NOTHING }, &["unknown key \"prot\"", "did you mean port?"]),
    (Case { file: Some("port = [1]"), ..NOTHING }, &["port", "array"]),
    (Case { file: Some("port = 1\nport = 2"), ..NOTHING }, &["duplicate key"]),
    (Case { file: Some("ctx = 1\nport = "), ..NOTHING }, &["line 2: expected TOML"]),
    (Case { file: Some("port = 99999"), ..NOTHING }, &["port (file ", "65535"]),
];

#[test]
fn a_wrong_value_names_the_option_and_its_source() {
    for (case, parts) in WRONG {
        let message = check(case).expect_err("the value is wrong");
        for part in *parts {
            assert!(message.contains(part), "{message:?} does not name {part:?}");
        }
    }
}

#[test]
fn a_wrong_key_is_not_repeated() {
    let message = check(&Case { flags: &["--key", "geheim"], ..NOTHING }).expect_err("short");
    assert!(message.contains("--key") && !message.contains("geheim"), "{message}");
    let flags = &["--engine", "http://h", "--engine-key", "ge heim"];
    let message = check(&Case { flags, ..NOTHING }).expect_err("a blank");
    assert!(message.contains("--engine-key") && !message.contains("heim"), "{message}");
}

#[test]
fn k2_a_key_in_a_file_that_is_no_toml_is_not_repeated() {
    for file in ["key = \"geheim-geheim", "key = geheim-geheim", "key = \"geheim\" geheim"] {
        let message = check(&Case { file: Some(file), ..NOTHING }).expect_err("no TOML");
        assert!(message.contains("line 1: expected TOML"), "{message}");
        assert!(!message.contains("geheim"), "{message}");
    }
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_harmless() {
    let case = Case { file: Some("\u{feff}port = 9\r\nctx = 512\r\n"), ..NOTHING };
    assert_eq!(check(&case).expect("right").listen.port, 9);
}

#[test]
fn a_key_beside_insecure_is_refused() {
    let case = Case { flags: &["--insecure", "--key", "long-enough"], ..NOTHING };
    assert!(check(&case).expect_err("contradiction").contains("--insecure"));
}
