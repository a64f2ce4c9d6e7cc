//! Hosts that requests name, and who needs a key by them.

use super::*;

#[test]
fn no_key_is_needed_by_who_is_plainly_on_this_machine() {
    let access = access(&config());
    for host in LOCAL_HOSTS {
        for peer in ["127.0.0.1", "127.0.0.7", "::1"] {
            check(&access, case(host).from(peer), Ok(PageOrigin::Own));
        }
        check(&access, case(host).from("192.168.1.9"), Err(Denial::KeyNeeded));
        let with_key = case(host).from("192.168.1.9").with("x-api-key", KEY);
        check(&access, with_key, Ok(PageOrigin::Own));
    }
    let forwarding = [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded",
        "x-real-ip",
        "cf-connecting-ip",
    ];
    for header in forwarding {
        for host in [LOCAL, "localhost:9000"] {
            check(&access, case(host).with(header, ""), Err(Denial::KeyNeeded));
            let with_key = case(host).with(header, "").with("x-api-key", KEY);
            check(&access, with_key, Ok(PageOrigin::Own));
        }
    }
}

/// Names that lead to the machine that opens them; tunnels and containers publish other ports.
const LOCAL_HOSTS: [&str; 13] = [
    LOCAL,
    "127.0.0.1:7860",
    "[::1]:7860",
    "LocalHost:7860",
    "localhost:9000",
    "localhost",
    "localhost.",
    "localhost.:7860",
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.1.2.3:7860",
    "[::1]",
    "[::1]:8080",
];

#[test]
fn other_hosts_are_refused_whatever_comes_with_them() {
    let access = access(&config());
    let hosts = [
        "attacker.example",
        "attacker.example:7860",
        "2130706433:7860",
        "127.1:7860",
        "0x7f.0.0.1:7860",
        "0:7860",
        "localhost..:7860",
        "localhost.evil:7860",
        "127.0.0.1.evil:7860",
        "xlocalhost",
        "127.0.0.1.",
        "192.168.1.6:7860",
        "[fe80::6]:7860",
        "192.168.1.5.evil:7860",
        "chat.example:7860",
        "chat.example.evil",
        // They lead here, but a browser does not say which page asks.
        "0.0.0.0",
        "0.0.0.0:7860",
        "[::]:7860",
        // Other forms of 127.0.0.1 that nobody types.
        "[::ffff:127.0.0.1]:7860",
        "[::ffff:7f00:1]:7860",
        "[::127.0.0.1]:7860",
    ];
    for host in hosts {
        for level in [AccessLevel::Public, AccessLevel::User, AccessLevel::Socket] {
            let with_key = case(host).with("x-api-key", KEY).at(level);
            check(&access, with_key.clone(), Err(Denial::UnknownHost));
            check(&access, with_key.on(OWN), Err(Denial::UnknownHost));
        }
    }
    for host in ["", " ", "a b", "user@localhost:7860", "localhost:", "localhost:x", "[::1", "ü"] {
        check(&access, case(host).at(AccessLevel::Public), Err(Denial::BadHost));
    }
    check(&access, case(LOCAL).with("host", LOCAL), Err(Denial::BadHost));
    check(&access, case(LOCAL).to("http://attacker.example/"), Err(Denial::BadHost));
    check(&access, case(LOCAL).to("http://localhost:7860/"), Ok(PageOrigin::Own));
}

#[test]
fn the_address_that_was_connected_to_is_a_host_with_a_key() {
    let access = access(&config());
    let hosts = [
        ("192.168.1.5:7860", OWN),
        ("192.168.1.5", OWN),
        ("192.168.1.5:8080", OWN),
        ("[fe80::5]:7860", "fe80::5"),
        ("[2001:DB8:0:0::5]:7860", "2001:db8::5"),
    ];
    for (host, local) in hosts {
        let view = || case(host).on(local).from("192.168.1.9");
        check(&access, view(), Err(Denial::KeyNeeded));
        check(&access, view().at(AccessLevel::Public), Ok(PageOrigin::Own));
        check(&access, view().with("x-api-key", KEY), Ok(PageOrigin::Own));
        // Neither is this machine itself free of it by that address.
        check(&access, view().from(local), Err(Denial::KeyNeeded));
        check(&access, view().from("127.0.0.1"), Err(Denial::KeyNeeded));
    }
    let page = || case("192.168.1.5:7860").on(OWN).with("x-api-key", KEY);
    check(&access, page().with("origin", "http://192.168.1.5:7860"), Ok(PageOrigin::Own));
    for foreign in ["http://192.168.1.5", "http://192.168.1.5:3000", "http://localhost:7860"] {
        check(&access, page().with("origin", foreign), Err(Denial::ForeignOrigin));
    }
    let insecure = ServerConfig { insecure: true, keys: Vec::new(), ..config() };
    let insecure = super::access(&insecure);
    check(&insecure, case("192.168.1.5:7860").on(OWN).from("192.168.1.9"), Ok(PageOrigin::Own));
}

#[test]
fn a_local_name_that_is_public_needs_a_key() {
    let url = PublicUrl::parse("http://localhost:9000/").expect("url");
    let access = access(&ServerConfig { public_urls: vec![url], ..config() });
    check(&access, case("localhost:9000"), Err(Denial::KeyNeeded));
    check(&access, case(LOCAL), Ok(PageOrigin::Own));
    check(&access, case("localhost:9001"), Ok(PageOrigin::Own));
}

#[test]
fn probes_are_let_in_by_any_host_and_pages_are_not() {
    let access = access(&config());
    for host in ["10.1.2.3:7860", "evil.example", "", "a b", LOCAL] {
        let probe = case(host).from("203.0.113.5").at(AccessLevel::Probe);
        check(&access, probe.clone(), Ok(PageOrigin::Own));
        let page = probe.with("origin", "https://evil.example");
        check(&access, page, Err(Denial::ForeignOrigin));
    }
}

#[test]
fn a_public_host_needs_the_key_from_everywhere() {
    let access = access(&config());
    for host in ["chat.example", "CHAT.example:443"] {
        for peer in ["127.0.0.1", "203.0.113.5"] {
            check(&access, case(host).from(peer), Err(Denial::KeyNeeded));
            check(&access, case(host).from(peer).at(AccessLevel::Public), Ok(PageOrigin::Own));
            let with_key = case(host).from(peer).with("authorization", "Bearer the-key");
            check(&access, with_key, Ok(PageOrigin::Own));
        }
    }
}

#[test]
fn a_proxy_that_nobody_named_is_noticed() {
    let unnamed = access(&ServerConfig { public_urls: Vec::new(), ..config() });
    let named = access(&config());
    let foreign_but_ours = case(LOCAL)
        .with("origin", "https://chat.example.org")
        .with("sec-fetch-site", "same-origin");
    for proxied in [case(LOCAL).with("x-forwarded-for", "203.0.113.5"), foreign_but_ours] {
        assert!(view_of(&proxied, |view| unnamed.came_through_an_unnamed_proxy(view)));
        assert!(!view_of(&proxied, |view| named.came_through_an_unnamed_proxy(view)));
    }
    let direct = [
        case(LOCAL),
        case(LOCAL).with("origin", "http://localhost:7860").with("sec-fetch-site", "same-origin"),
        case(LOCAL).with("origin", "https://evil.example").with("sec-fetch-site", "cross-site"),
        case("evil.example").with("x-forwarded-for", "203.0.113.5"),
    ];
    for direct in direct {
        assert!(!view_of(&direct, |view| unnamed.came_through_an_unnamed_proxy(view)));
    }
}
