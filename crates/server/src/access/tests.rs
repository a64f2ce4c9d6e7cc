//! DESIGN's rule as a table: Host × peer × forwarding headers × key × Origin.

use super::*;
use axum::http::{HeaderName, HeaderValue};

const KEY: &str = "the-key";
const ADMIN_KEY: &str = "the-admin-key";
const PORT: u16 = 7860;

fn config() -> ServerConfig {
    ServerConfig {
        public_urls: vec![PublicUrl::parse("https://chat.example/talk/").expect("url")],
        allow_origins: vec![Origin::parse("https://wiki.example").expect("origin")],
        keys: vec![KeyHash::of(KEY)],
        admin_keys: vec![KeyHash::of(ADMIN_KEY)],
        ..ServerConfig::default()
    }
}

fn access(config: &ServerConfig) -> Access {
    Access::new(config, vec![PORT], Arc::default())
}

fn pass(right: Right) -> Pass {
    Pass { right, owner: Owner::KEYLESS }
}

fn right_of(access: &Access, token: &str) -> Option<Right> {
    access.sessions.pass_of(token).map(|pass| pass.right)
}

/// A request; what is not said is what a browser on this machine sends.
#[derive(Clone, Debug)]
struct Case {
    headers: Vec<(&'static str, &'static str)>,
    peer: &'static str,
    uri: &'static str,
    door: Door,
}

const LOCAL: &str = "localhost:7860";

fn case(host: &'static str) -> Case {
    let headers = vec![("host", host)];
    Case { headers, peer: "127.0.0.1", uri: "/", door: Door::Keyed }
}

impl Case {
    fn with(mut self, name: &'static str, value: &'static str) -> Case {
        self.headers.push((name, value));
        self
    }

    fn from(self, peer: &'static str) -> Case {
        Case { peer, ..self }
    }

    fn at(self, door: Door) -> Case {
        Case { door, ..self }
    }

    fn to(self, uri: &'static str) -> Case {
        Case { uri, ..self }
    }
}

fn decide(access: &Access, case: &Case) -> Result<Guest, Refusal> {
    with_visit(case, |visit| access.admit(visit, case.door))
}

fn with_visit<T>(case: &Case, look: impl FnOnce(&Visit<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        headers.append(HeaderName::from_static(name), value);
    }
    let uri: Uri = case.uri.parse().expect("a uri");
    let visit =
        Visit { peer: case.peer.parse().expect("an address"), uri: &uri, headers: &headers };
    look(&visit)
}

fn check(access: &Access, case: Case, expected: Result<Guest, Refusal>) {
    assert_eq!(decide(access, &case), expected, "{case:?}");
}

#[test]
fn no_key_is_needed_by_who_is_plainly_on_this_machine() {
    let access = access(&config());
    for host in [LOCAL, "127.0.0.1:7860", "[::1]:7860", "LocalHost:7860"] {
        for peer in ["127.0.0.1", "127.0.0.7", "::1"] {
            check(&access, case(host).from(peer), Ok(Guest::Ordinary));
        }
        check(&access, case(host).from("192.168.1.9"), Err(Refusal::KeyNeeded));
    }
    for header in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
        check(&access, case(LOCAL).with(header, ""), Err(Refusal::KeyNeeded));
        let with_key = case(LOCAL).with(header, "").with("x-api-key", KEY);
        check(&access, with_key, Ok(Guest::Ordinary));
    }
}

#[test]
fn other_hosts_are_refused_whatever_comes_with_them() {
    let access = access(&config());
    let hosts = [
        "attacker.example",
        "attacker.example:7860",
        "0.0.0.0:7860",
        "[::]:7860",
        "[::ffff:127.0.0.1]:7860",
        "2130706433:7860",
        "localhost.:7860",
        "localhost.evil:7860",
        "127.0.0.1.evil:7860",
        "localhost:7861",
        "localhost",
        "chat.example:7860",
        "chat.example.evil",
    ];
    for host in hosts {
        for door in [Door::Open, Door::Keyed, Door::Socket] {
            let with_key = case(host).with("x-api-key", KEY).at(door);
            check(&access, with_key, Err(Refusal::UnknownHost));
        }
    }
    for host in ["", " ", "a b", "user@localhost:7860", "localhost:", "localhost:x", "[::1", "ü"] {
        check(&access, case(host).at(Door::Open), Err(Refusal::BadHost));
    }
    check(&access, case(LOCAL).with("host", LOCAL), Err(Refusal::BadHost));
    check(&access, case(LOCAL).to("http://attacker.example/"), Err(Refusal::BadHost));
    check(&access, case(LOCAL).to("http://localhost:7860/"), Ok(Guest::Ordinary));
}

#[test]
fn a_public_host_needs_the_key_from_everywhere() {
    let access = access(&config());
    for host in ["chat.example", "CHAT.example:443"] {
        for peer in ["127.0.0.1", "203.0.113.5"] {
            check(&access, case(host).from(peer), Err(Refusal::KeyNeeded));
            check(&access, case(host).from(peer).at(Door::Open), Ok(Guest::Ordinary));
            let with_key = case(host).from(peer).with("authorization", "Bearer the-key");
            check(&access, with_key, Ok(Guest::Ordinary));
        }
    }
}

#[test]
fn all_carriers_of_a_key_give_the_same_rights() {
    let access = access(&config());
    let cookie = format!("a=b; {COOKIE}={}", access.sessions.open(pass(Right::Talk)));
    let cookie: &'static str = Box::leak(cookie.into_boxed_str());
    let carriers = [
        ("authorization", "Bearer the-key"),
        ("authorization", "bearer the-key"),
        ("x-api-key", KEY),
        ("cookie", cookie),
    ];
    for door in [Door::Keyed, Door::Socket] {
        for (name, value) in carriers {
            let visit = case("chat.example").with(name, value).at(door);
            check(&access, visit.clone(), Ok(Guest::Ordinary));
            check(&access, visit.with("x-api-key", "junk"), Ok(Guest::Ordinary));
        }
        let wrong = [
            ("authorization", "Bearer the-ke"),
            ("authorization", "Basic the-key"),
            ("x-api-key", ""),
            ("cookie", "banter_session=the-key"),
        ];
        for (name, value) in wrong {
            let visit = case("chat.example").with(name, value).at(door);
            check(&access, visit, Err(Refusal::KeyNeeded));
        }
    }
}

#[test]
fn a_key_in_the_address_counts_on_the_socket_only() {
    let access = access(&config());
    let visit = case("chat.example").to("/ws?a=b&key=the%2Dkey");
    check(&access, visit.clone().at(Door::Socket), Ok(Guest::Ordinary));
    check(&access, visit.at(Door::Keyed), Err(Refusal::KeyNeeded));
}

#[test]
fn without_a_configured_key_an_authorization_header_is_ignored() {
    let access = access(&ServerConfig { keys: Vec::new(), ..config() });
    let with_junk = case(LOCAL).with("authorization", "Bearer sk-anything");
    check(&access, with_junk, Ok(Guest::Ordinary));
    check(&access, case("chat.example").with("x-api-key", ""), Err(Refusal::KeyNeeded));
}

#[test]
fn insecure_asks_for_no_key_but_still_for_a_known_host_and_page() {
    let access = access(&ServerConfig { insecure: true, keys: Vec::new(), ..config() });
    check(&access, case("chat.example").from("203.0.113.5"), Ok(Guest::Ordinary));
    check(&access, case("evil.example"), Err(Refusal::UnknownHost));
    let foreign = case("chat.example").with("origin", "https://evil.example");
    check(&access, foreign, Err(Refusal::ForeignOrigin));
}

#[test]
fn only_exact_origins_come_in() {
    let access = access(&config());
    let own = [
        "http://localhost:7860",
        "http://127.0.0.1:7860",
        "http://[::1]:7860",
        "https://chat.example",
    ];
    for origin in own {
        check(&access, case(LOCAL).with("origin", origin), Ok(Guest::Ordinary));
    }
    let wiki = "https://wiki.example";
    let allowed = Ok(Guest::AllowedOrigin(wiki.into()));
    check(&access, case(LOCAL).with("origin", wiki), allowed);
    let foreign = [
        "https://evil.example",
        "http://localhost.evil:7860",
        "http://localhost.evil",
        "http://127.0.0.1.evil",
        "https://localhost:7860",
        "http://localhost:7861",
        "http://localhost",
        "HTTP://LOCALHOST:7860",
        "http://localhost:7860/",
        "http://localhost.:7860",
        "https://wiki.example:443",
        "https://wiki.example.",
        "http://wiki.example",
        "https://sub.wiki.example",
        "",
        "NULL",
        "https://wiki.example https://evil.example",
        "ü",
    ];
    for origin in foreign {
        for door in [Door::Open, Door::Keyed, Door::Socket] {
            let visit = case(LOCAL).with("origin", origin).at(door);
            check(&access, visit, Err(Refusal::ForeignOrigin));
        }
    }
    let twice = case(LOCAL).with("origin", wiki).with("origin", wiki);
    check(&access, twice, Err(Refusal::ForeignOrigin));
    let local_page_elsewhere = case("chat.example").with("origin", "http://localhost:7860");
    check(&access, local_page_elsewhere.at(Door::Open), Err(Refusal::ForeignOrigin));
}

#[test]
fn pages_opened_from_disk_are_admitted_to_the_socket_only_and_only_if_allowed() {
    let visit = case(LOCAL).with("origin", "null");
    let refusing = access(&config());
    let admitting = access(&ServerConfig { allow_file_pages: true, ..config() });
    for door in [Door::Open, Door::Keyed] {
        check(&refusing, visit.clone().at(door), Err(Refusal::FilePage));
        check(&admitting, visit.clone().at(door), Err(Refusal::FilePage));
    }
    check(&refusing, visit.clone().at(Door::Socket), Err(Refusal::FilePage));
    check(&admitting, visit.at(Door::Socket), Ok(Guest::FilePage));
    let from_elsewhere = case("chat.example").with("origin", "null").at(Door::Socket);
    check(&admitting, from_elsewhere.clone(), Err(Refusal::KeyNeeded));
    check(&admitting, from_elsewhere.to("/ws?key=the-key"), Ok(Guest::FilePage));
}

#[test]
fn a_code_is_exchanged_for_a_session() {
    let access = access(&config());
    let caller = Caller::of("203.0.113.5".parse().expect("address"), &HeaderMap::new());
    let code = access.sessions.make_code(Right::Administer);
    assert_eq!(access.open_session(caller, Secret::Code("wrong")), Err(Refusal::KeyNeeded));
    let token = access.open_session(caller, Secret::Code(&code)).expect("a valid code");
    assert_eq!(right_of(&access, &token), Some(Right::Administer));
    assert_eq!(access.open_session(caller, Secret::Code(&code)), Err(Refusal::KeyNeeded));
    assert_eq!(access.open_session(caller, Secret::Key("wrong")), Err(Refusal::KeyNeeded));
    let token = access.open_session(caller, Secret::Key(KEY)).expect("the key");
    assert_eq!(right_of(&access, &token), Some(Right::Talk));
    let token = access.open_session(caller, Secret::Key(ADMIN_KEY)).expect("the other key");
    assert_eq!(right_of(&access, &token), Some(Right::Administer));
}

#[test]
fn who_has_the_same_key_has_the_same_conversations() {
    let access = access(&config());
    let owner = |case: Case| with_visit(&case, |visit| access.owner(visit, case.door));
    let elsewhere = || case("chat.example").from("203.0.113.5").at(Door::Socket);
    let of_key = owner(elsewhere().with("x-api-key", KEY));
    assert_eq!(owner(elsewhere().to("/ws?key=the-key")), of_key);
    assert_eq!(owner(case(LOCAL).with("x-api-key", KEY)), of_key, "from here too");
    let of_other = owner(elsewhere().with("x-api-key", ADMIN_KEY));
    assert!(of_key != of_other && of_key != Owner::KEYLESS && of_other != Owner::KEYLESS);
    assert_eq!(owner(case(LOCAL)), Owner::KEYLESS);
    assert_eq!(owner(case(LOCAL).with("x-api-key", "wrong")), Owner::KEYLESS);
    let caller = Caller::of("203.0.113.5".parse().expect("address"), &HeaderMap::new());
    let of_session = |secret| -> Owner {
        let token = access.open_session(caller, secret).expect("it is valid");
        owner(elsewhere().with("cookie", Box::leak(format!("{COOKIE}={token}").into_boxed_str())))
    };
    assert_eq!(of_session(Secret::Key(KEY)), of_key);
    let code = access.sessions.make_code(Right::Talk);
    assert_eq!(of_session(Secret::Code(&code)), Owner::KEYLESS, "the operator's own link");
}

#[test]
fn the_server_is_changed_from_here_or_with_an_admin_key_only() {
    let access = access(&config());
    let admin = |host| case(host).at(Door::Admin);
    let session = |right| -> &'static str {
        let cookie = format!("{COOKIE}={}", access.sessions.open(pass(right)));
        Box::leak(cookie.into_boxed_str())
    };
    check(&access, admin(LOCAL), Ok(Guest::Ordinary));
    check(&access, admin(LOCAL).with("origin", "http://localhost:7860"), Ok(Guest::Ordinary));
    check(&access, admin(LOCAL).with("x-forwarded-for", "10.0.0.1"), Err(Refusal::KeyNeeded));
    let elsewhere = || admin("chat.example").from("203.0.113.5");
    check(&access, elsewhere(), Err(Refusal::KeyNeeded));
    check(&access, elsewhere().with("x-api-key", "wrong"), Err(Refusal::KeyNeeded));
    check(&access, elsewhere().with("x-api-key", KEY), Err(Refusal::AdminOnly));
    check(&access, elsewhere().with("x-api-key", ADMIN_KEY), Ok(Guest::Ordinary));
    check(&access, elsewhere().with("cookie", session(Right::Talk)), Err(Refusal::AdminOnly));
    check(&access, elsewhere().with("cookie", session(Right::Administer)), Ok(Guest::Ordinary));
    let both = elsewhere().with("cookie", session(Right::Talk)).with("x-api-key", ADMIN_KEY);
    check(&access, both, Ok(Guest::Ordinary));
    // An admin key opens everything else, too.
    let talking = case("chat.example").with("x-api-key", ADMIN_KEY);
    check(&access, talking.at(Door::Socket), Ok(Guest::Ordinary));
}

#[test]
fn pages_of_others_never_change_the_server() {
    let access = access(&ServerConfig { allow_file_pages: true, ..config() });
    let here = || case(LOCAL).at(Door::Admin).with("x-api-key", ADMIN_KEY);
    check(&access, here().with("origin", "https://wiki.example"), Err(Refusal::AdminOnly));
    check(&access, here().with("origin", "null"), Err(Refusal::FilePage));
    check(&access, here().with("origin", "https://evil.example"), Err(Refusal::ForeignOrigin));
}

#[test]
fn strangers_of_an_insecure_server_do_not_change_it() {
    let access = access(&ServerConfig { insecure: true, ..config() });
    let elsewhere = || case("chat.example").from("203.0.113.5");
    check(&access, elsewhere(), Ok(Guest::Ordinary));
    check(&access, elsewhere().at(Door::Admin), Err(Refusal::AdminOnly));
    check(&access, elsewhere().at(Door::Admin).with("x-api-key", ADMIN_KEY), Ok(Guest::Ordinary));
    check(&access, case(LOCAL).at(Door::Admin), Ok(Guest::Ordinary));
}

#[test]
fn guessing_is_cut_off_and_others_are_not_affected() {
    let config = ServerConfig { max_wrong_keys_per_minute: 3, ..config() };
    let access = access(&config);
    let guess = case("chat.example").with("x-api-key", "guess").from("203.0.113.5");
    for _ in 0..3 {
        check(&access, guess.clone(), Err(Refusal::KeyNeeded));
    }
    check(&access, guess, Err(Refusal::TooManyTries));
    let lucky = case("chat.example").with("x-api-key", KEY).from("203.0.113.5");
    check(&access, lucky, Err(Refusal::TooManyTries));
    let other = case("chat.example").with("x-api-key", KEY).from("203.0.113.6");
    check(&access, other, Ok(Guest::Ordinary));
}

#[test]
fn addresses_are_read_strictly() {
    let url = PublicUrl::parse("HTTPS://Chat.Example:443/a/b/").map(|url| url.to_string());
    assert!(url.is_err(), "a scheme in upper case");
    let url = PublicUrl::parse("https://Chat.Example:443/a/b/").expect("url");
    assert_eq!((url.to_string(), url.base_path()), ("https://chat.example/a/b/".into(), "/a/b"));
    let root = PublicUrl::parse("http://10.0.0.1:7860").expect("url");
    assert_eq!((root.to_string(), root.base_path()), ("http://10.0.0.1:7860/".into(), ""));
    for wrong in [
        "chat.example",
        "ftp://a",
        "https://",
        "https://a:x",
        "https://a/b?c",
        "https://a/../b",
        "https://a//b",
        "https://u@a",
        "https://a/é",
    ] {
        assert!(PublicUrl::parse(wrong).is_err(), "{wrong}");
    }
}
