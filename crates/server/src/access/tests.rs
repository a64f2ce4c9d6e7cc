//! Who comes in, as a table: Host × peer × forwarding headers × key × Origin.

mod hosts;
mod pages;
mod revoked;
mod timing;

use super::*;
use crate::config::ServerConfig;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

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
    let limits = SessionLimits { total: 64, per_key: 16 };
    Access::new(config.access_rules(vec![PORT]), Arc::new(Sessions::new(limits)))
}

fn grant(scope: Scope) -> Grant {
    Grant { scope, principal: Principal::OPERATOR }
}

fn scope_of(access: &Access, token: &str) -> Option<Scope> {
    access.sessions.grant_of(token).map(|grant| grant.scope)
}

/// A request; what is not said is what a browser on this machine sends.
#[derive(Clone, Debug)]
struct Case {
    headers: Vec<(&'static str, &'static str)>,
    peer: &'static str,
    local: &'static str,
    uri: &'static str,
    level: AccessLevel,
}

const LOCAL: &str = "localhost:7860";
/// The address of this machine in its network.
const OWN: &str = "192.168.1.5";
/// The name of the cookie under the public address.
const COOKIE: &str = "__Secure-banter_session";

fn stranger() -> RateKey {
    let peer = "203.0.113.5".parse().expect("address");
    RateKey::of(peer, &HeaderMap::new(), &TrustedProxies::default())
}

fn case(host: &'static str) -> Case {
    let headers = vec![("host", host)];
    let (peer, local) = ("127.0.0.1", "127.0.0.1");
    Case { headers, peer, local, uri: "/", level: AccessLevel::User }
}

impl Case {
    fn with(mut self, name: &'static str, value: &'static str) -> Case {
        self.headers.push((name, value));
        self
    }

    fn from(self, peer: &'static str) -> Case {
        Case { peer, ..self }
    }

    /// On a connection to this address of ours.
    fn on(self, local: &'static str) -> Case {
        Case { local, ..self }
    }

    fn at(self, level: AccessLevel) -> Case {
        Case { level, ..self }
    }

    fn to(self, uri: &'static str) -> Case {
        Case { uri, ..self }
    }
}

fn decide(access: &Access, case: &Case) -> Result<PageOrigin, Denial> {
    view_of(case, |view| access.admit(view, case.level))
}

fn view_of<T>(case: &Case, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        headers.append(HeaderName::from_static(name), value);
    }
    let uri: Uri = case.uri.parse().expect("a uri");
    let address = |text: &str| text.parse().expect("an address");
    let (peer, local) = (address(case.peer), address(case.local));
    look(&RequestView { peer, local, uri: &uri, headers: &headers })
}

fn check(access: &Access, case: Case, expected: Result<PageOrigin, Denial>) {
    assert_eq!(decide(access, &case), expected, "{case:?}");
}

#[test]
fn all_carriers_of_a_key_give_the_same_rights() {
    let access = access(&config());
    let cookie = format!("a=b; {COOKIE}={}", access.sessions.open(grant(Scope::Talk)));
    let cookie: &'static str = Box::leak(cookie.into_boxed_str());
    let carriers = [
        ("authorization", "Bearer the-key"),
        ("authorization", "bearer the-key"),
        ("x-api-key", KEY),
        ("cookie", cookie),
    ];
    for level in [AccessLevel::User, AccessLevel::Socket] {
        for (name, value) in carriers {
            let view = case("chat.example").with(name, value).at(level);
            check(&access, view, Ok(PageOrigin::Own));
        }
        let wrong = [
            ("authorization", "Bearer the-ke"),
            ("authorization", "Basic the-key"),
            ("x-api-key", ""),
            ("cookie", "banter_session=the-key"),
        ];
        for (name, value) in wrong {
            let view = case("chat.example").with(name, value).at(level);
            check(&access, view, Err(Denial::KeyNeeded));
        }
    }
}

#[test]
fn a_request_has_one_key_and_two_are_not_looked_at() {
    let access = access(&ServerConfig { max_wrong_keys_per_minute: 3, ..config() });
    let elsewhere = || case("chat.example").from("203.0.113.5").at(AccessLevel::Socket);
    let several = [
        elsewhere().with("x-api-key", "junk").with("x-api-key", KEY),
        elsewhere().with("x-api-key", KEY).with("x-api-key", KEY),
        elsewhere().with("authorization", "Bearer junk").with("x-api-key", KEY),
        elsewhere().with("authorization", "Bearer the-key").with("authorization", "Bearer x"),
        elsewhere().to("/ws?key=junk&key=the-key"),
        elsewhere().to("/ws?key=the-key&a=b&key=the-key"),
        elsewhere().to("/ws?key=").with("x-api-key", KEY),
        case(LOCAL).with("x-api-key", "a").with("x-api-key", "b"),
    ];
    for case in several {
        for _ in 0..4 {
            check(&access, case.clone(), Err(Denial::SeveralKeys));
        }
    }
    // What is no key is not counted as one, and nothing of the above was a try.
    let one = elsewhere().with("authorization", "Basic YTpi").to("/ws?akey=x");
    check(&access, one.with("x-api-key", KEY), Ok(PageOrigin::Own));
}

#[test]
fn a_key_in_the_address_counts_on_the_socket_only() {
    let access = access(&config());
    let view = case("chat.example").to("/ws?a=b&key=the%2Dkey");
    check(&access, view.clone().at(AccessLevel::Socket), Ok(PageOrigin::Own));
    check(&access, view.at(AccessLevel::User), Err(Denial::KeyNeeded));
}

#[test]
fn without_a_configured_key_an_authorization_header_is_ignored() {
    let access = access(&ServerConfig { keys: Vec::new(), ..config() });
    let with_junk = case(LOCAL).with("authorization", "Bearer sk-anything");
    check(&access, with_junk, Ok(PageOrigin::Own));
    check(&access, case("chat.example").with("x-api-key", ""), Err(Denial::KeyNeeded));
    let keyless = super::tests::access(&ServerConfig::default());
    let two = case(LOCAL).with("authorization", "Bearer sk-anything").with("x-api-key", "other");
    check(&keyless, two, Ok(PageOrigin::Own));
}

#[test]
fn insecure_asks_for_no_key_but_still_for_a_known_host_and_page() {
    let access = access(&ServerConfig { insecure: true, keys: Vec::new(), ..config() });
    check(&access, case("chat.example").from("203.0.113.5"), Ok(PageOrigin::Own));
    check(&access, case("evil.example"), Err(Denial::UnknownHost));
    let foreign = case("chat.example").with("origin", "https://evil.example");
    check(&access, foreign, Err(Denial::ForeignOrigin));
}

#[test]
fn a_code_is_exchanged_for_a_session() {
    let access = access(&config());
    let rate_key = stranger();
    let code = access.sessions.make_code(Scope::Administer);
    assert_eq!(access.open_session(rate_key, Credential::Code("wrong")), Err(Denial::KeyNeeded));
    let token = access.open_session(rate_key, Credential::Code(&code)).expect("a valid code");
    assert_eq!(scope_of(&access, &token), Some(Scope::Administer));
    assert_eq!(access.open_session(rate_key, Credential::Code(&code)), Err(Denial::KeyNeeded));
    assert_eq!(access.open_session(rate_key, Credential::Key("wrong")), Err(Denial::KeyNeeded));
    let token = access.open_session(rate_key, Credential::Key(KEY)).expect("the key");
    assert_eq!(scope_of(&access, &token), Some(Scope::Talk));
    let token = access.open_session(rate_key, Credential::Key(ADMIN_KEY)).expect("the other key");
    assert_eq!(scope_of(&access, &token), Some(Scope::Administer));
}

#[test]
fn who_has_the_same_key_has_the_same_conversations() {
    let access = access(&config());
    let principal = |case: Case| principal(&access, &case);
    let elsewhere = || case("chat.example").from("203.0.113.5").at(AccessLevel::Socket);
    let of_key = principal(elsewhere().with("x-api-key", KEY));
    assert_eq!(principal(elsewhere().to("/ws?key=the-key")), of_key);
    assert_eq!(principal(case(LOCAL).with("x-api-key", KEY)), of_key, "from here too");
    let of_other = principal(elsewhere().with("x-api-key", ADMIN_KEY));
    assert!(of_key != of_other && of_key != Principal::OPERATOR && of_other != Principal::OPERATOR);
    assert_eq!(principal(case(LOCAL)), Principal::OPERATOR);
    assert_eq!(principal(case(LOCAL).with("x-api-key", "wrong")), Principal::OPERATOR);
    let rate_key = stranger();
    let of_session = |credential| -> Principal {
        let token = access.open_session(rate_key, credential).expect("it is valid");
        principal(
            elsewhere().with("cookie", Box::leak(format!("{COOKIE}={token}").into_boxed_str())),
        )
    };
    assert_eq!(of_session(Credential::Key(KEY)), of_key);
    let code = access.sessions.make_code(Scope::Talk);
    assert_eq!(of_session(Credential::Code(&code)), Principal::OPERATOR, "the operator's own link");
}

fn principal(access: &Access, case: &Case) -> Principal {
    visitor(access, case).principal
}

fn visitor(access: &Access, case: &Case) -> Identity {
    let page = decide(access, case).unwrap_or(PageOrigin::Own);
    view_of(case, |view| access.identify(view, case.level, &page))
}

#[test]
fn strangers_are_not_the_operator_nor_each_other() {
    let access = access(&ServerConfig { insecure: true, ..config() });
    let stranger = || case("chat.example").from("203.0.113.5").at(AccessLevel::Socket);
    let first = visitor(&access, &stranger());
    let second = visitor(&access, &stranger());
    assert!(
        first.principal.asker().tenant != second.principal.asker().tenant
            && first.principal != Principal::OPERATOR
    );
    assert_eq!(
        first.principal.share(),
        second.principal.share(),
        "one address, one share of limits"
    );
    let elsewhere = principal(&access, &stranger().from("203.0.113.6"));
    assert_ne!(first.principal.share(), elsewhere.share());
    let cookie = first.cookie.expect("a browser that is new");
    assert!(cookie.contains("banter_visitor=") && cookie.ends_with("; Secure"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let again = stranger().with("cookie", Box::leak(pair.into_boxed_str()));
    let again = visitor(&access, &again);
    assert_eq!((again.principal, again.cookie), (first.principal, None));
    let guessable = stranger().with("cookie", "__Secure-banter_visitor=a");
    assert!(visitor(&access, &guessable).cookie.is_some());
    // Who comes through a proxy is told apart by the address that the proxy names.
    let proxied = |client| stranger().from("127.0.0.1").with("x-forwarded-for", client);
    let (of_proxy, of_other) =
        (principal(&access, &proxied("203.0.113.5")), principal(&access, &proxied("203.0.113.6")));
    assert_eq!(of_proxy.share(), first.principal.share());
    assert_ne!(of_proxy.share(), of_other.share());
}

#[test]
fn the_server_is_changed_from_here_or_with_an_admin_key_only() {
    let access = access(&config());
    let admin = |host| case(host).at(AccessLevel::Admin);
    let session = |scope| -> &'static str {
        let cookie = format!("{COOKIE}={}", access.sessions.open(grant(scope)));
        Box::leak(cookie.into_boxed_str())
    };
    check(&access, admin(LOCAL), Ok(PageOrigin::Own));
    check(&access, admin(LOCAL).with("origin", "http://localhost:7860"), Ok(PageOrigin::Own));
    check(&access, admin(LOCAL).with("x-forwarded-for", "10.0.0.1"), Err(Denial::KeyNeeded));
    let elsewhere = || admin("chat.example").from("203.0.113.5");
    check(&access, elsewhere(), Err(Denial::KeyNeeded));
    check(&access, elsewhere().with("x-api-key", "wrong"), Err(Denial::KeyNeeded));
    check(&access, elsewhere().with("x-api-key", KEY), Err(Denial::AdminOnly));
    check(&access, elsewhere().with("x-api-key", ADMIN_KEY), Ok(PageOrigin::Own));
    check(&access, elsewhere().with("cookie", session(Scope::Talk)), Err(Denial::AdminOnly));
    check(&access, elsewhere().with("cookie", session(Scope::Administer)), Ok(PageOrigin::Own));
    let both = elsewhere().with("cookie", session(Scope::Talk)).with("x-api-key", ADMIN_KEY);
    check(&access, both, Ok(PageOrigin::Own));
    // An admin key opens everything else, too.
    let talking = case("chat.example").with("x-api-key", ADMIN_KEY);
    check(&access, talking.at(AccessLevel::Socket), Ok(PageOrigin::Own));
}

#[test]
fn strangers_of_an_insecure_server_do_not_change_it() {
    let access = access(&ServerConfig { insecure: true, ..config() });
    let elsewhere = || case("chat.example").from("203.0.113.5");
    check(&access, elsewhere(), Ok(PageOrigin::Own));
    check(&access, elsewhere().at(AccessLevel::Admin), Err(Denial::AdminOnly));
    check(
        &access,
        elsewhere().at(AccessLevel::Admin).with("x-api-key", ADMIN_KEY),
        Ok(PageOrigin::Own),
    );
    check(&access, case(LOCAL).at(AccessLevel::Admin), Ok(PageOrigin::Own));
}

#[test]
fn guessing_is_cut_off_and_others_are_not_affected() {
    let config = ServerConfig { max_wrong_keys_per_minute: 3, ..config() };
    let access = access(&config);
    let guess = case("chat.example").with("x-api-key", "guess").from("203.0.113.5");
    for _ in 0..3 {
        check(&access, guess.clone(), Err(Denial::KeyNeeded));
    }
    check(&access, guess, Err(Denial::TooManyTries));
    let lucky = case("chat.example").with("x-api-key", KEY).from("203.0.113.5");
    check(&access, lucky, Err(Denial::TooManyTries));
    let other = case("chat.example").with("x-api-key", KEY).from("203.0.113.6");
    check(&access, other, Ok(PageOrigin::Own));
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

#[test]
fn a_session_is_kept_by_a_cookie_of_its_server() {
    let two_paths = |second: &str| ServerConfig {
        public_urls: ["https://chat.example/talk/", second, "http://10.0.0.1:7860"]
            .map(|url| PublicUrl::parse(url).expect("url"))
            .to_vec(),
        ..config()
    };
    let cases = [
        (config(), case("chat.example"), "__Secure-banter_session=t;", "Path=/talk;"),
        (config(), case(LOCAL), "banter_session_7860=t;", "Path=/;"),
        (config(), case("192.168.1.5:7860").on(OWN), "banter_session_7860=t;", "Path=/;"),
        (
            two_paths("https://other.example"),
            case("other.example"),
            "__Host-banter_session=t;",
            "Path=/;",
        ),
        (
            two_paths("https://chat.example/other/"),
            case("chat.example"),
            "__Host-banter_session=t;",
            "Path=/;",
        ),
        (
            two_paths("https://other.example"),
            case("10.0.0.1:7860"),
            "banter_session_7860=t;",
            "Path=/;",
        ),
    ];
    for (config, case, pair, path) in cases {
        let access = access(&config);
        let cookie = view_of(&case, |view| access.cookie(view).keeping("t"));
        assert!(cookie.starts_with(pair) && cookie.contains(path), "{case:?}: {cookie}");
    }
}

#[test]
fn whoever_signs_out_is_out() {
    let access = access(&config());
    let token = access.sessions.open(grant(Scope::Administer));
    let other = access.sessions.open(grant(Scope::Talk));
    let cookie: &'static str = Box::leak(format!("{COOKIE}={token}").into_boxed_str());
    let view = case("chat.example").from("203.0.113.5").with("cookie", cookie);
    let end = view_of(&view, |view| access.end_of_session(view)).expect("it has one");
    check(&access, view.clone(), Ok(PageOrigin::Own));
    view_of(&view, |view| access.close_sessions(view));
    check(&access, view, Err(Denial::KeyNeeded));
    assert!(end.is_cancelled());
    assert_eq!(scope_of(&access, &other), Some(Scope::Talk), "others are not signed out");
}

#[test]
fn made_up_clients_lock_nobody_else_out() {
    let access = access(&ServerConfig { max_wrong_keys_per_minute: 20, ..config() });
    let proxied = |client: String| {
        let client: &'static str = Box::leak(client.into_boxed_str());
        case("chat.example").with("x-forwarded-for", client)
    };
    let friend = || proxied("192.0.2.77".into()).with("x-api-key", KEY);
    check(&access, friend(), Ok(PageOrigin::Own));
    for number in 0..1_500 {
        let made_up = format!("10.0.{}.{}", number / 250, number % 250);
        let _ = decide(&access, &proxied(made_up).with("x-api-key", "guess"));
    }
    check(&access, friend(), Ok(PageOrigin::Own));
    let direct = case("chat.example").from("203.0.113.9").with("x-api-key", KEY);
    check(&access, direct, Ok(PageOrigin::Own));
}
