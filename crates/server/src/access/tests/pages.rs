//! Pages that requests come from.

use super::*;

#[test]
fn only_exact_origins_come_in() {
    let access = access(&config());
    let own = [
        "http://localhost:7860",
        "http://127.0.0.1:7860",
        "http://[::1]:7860",
        "http://127.9.9.9:7860",
        "http://localhost.:7860",
        "https://chat.example",
    ];
    for origin in own {
        check(&access, case(LOCAL).with("origin", origin), Ok(PageOrigin::Own));
    }
    for port in ["9000", "80"] {
        let host: &'static str = Box::leak(format!("localhost:{port}").into_boxed_str());
        check(
            &access,
            case(host).with("origin", "http://localhost:9000"),
            match port {
                "9000" => Ok(PageOrigin::Own),
                _ => Err(Denial::ForeignOrigin),
            },
        );
    }
    check(&access, case("localhost").with("origin", "http://localhost"), Ok(PageOrigin::Own));
    let wiki = "https://wiki.example";
    let allowed = Ok(PageOrigin::Allowed(wiki.into()));
    check(&access, case(LOCAL).with("origin", wiki), allowed);
    let foreign = [
        "https://evil.example",
        "http://0.0.0.0:7860",
        "http://[::]:7860",
        "http://localhost.evil:7860",
        "http://localhost.evil",
        "http://127.0.0.1.evil",
        "https://localhost:7860",
        "http://localhost:7861",
        "http://localhost",
        "HTTP://LOCALHOST:7860",
        "http://localhost:7860/",
        "http://localhost..:7860",
        "http://localhost:07860",
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
        for level in [AccessLevel::Public, AccessLevel::User, AccessLevel::Socket] {
            let view = case(LOCAL).with("origin", origin).at(level);
            check(&access, view, Err(Denial::ForeignOrigin));
        }
    }
    let twice = case(LOCAL).with("origin", wiki).with("origin", wiki);
    check(&access, twice, Err(Denial::ForeignOrigin));
    let local_page_elsewhere = case("chat.example").with("origin", "http://localhost:7860");
    check(&access, local_page_elsewhere.at(AccessLevel::Public), Err(Denial::ForeignOrigin));
}

#[test]
fn pages_of_desktop_programs_and_extensions_are_let_in_by_their_exact_origin() {
    let origins = [
        "app://obsidian.md",
        "app://.",
        "tauri://localhost",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e",
        "vscode-webview://1ab2c3d4",
    ];
    for origin in origins {
        let parsed = Origin::parse(origin).expect(origin);
        assert_eq!(parsed.to_string(), origin);
        let access = access(&ServerConfig { allow_origins: vec![parsed], ..config() });
        let view = |origin: &'static str| case(LOCAL).with("origin", origin);
        check(&access, view(origin), Ok(PageOrigin::Allowed(origin.into())));
        check(&access, view(origin).at(AccessLevel::Admin), Err(Denial::AdminOnly));
        for other in ["app://obsidian.mdx", "app://obsidian", "tauri://localhost:1", "app://"] {
            check(&access, view(other), Err(Denial::ForeignOrigin));
        }
        assert!(PublicUrl::parse(origin).is_err(), "{origin} is no address of a server");
    }
    let wrong = [
        "app:obsidian.md",
        "app://",
        "app://a/b",
        "app://u@a",
        "App://a",
        "1app://a",
        "file://",
        "file://a",
        "data://a",
        "ws://a",
        "wss://a",
        "://a",
        "null",
        "",
    ];
    for wrong in wrong {
        assert!(Origin::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn pages_opened_from_disk_are_admitted_to_the_socket_only_and_only_if_allowed() {
    let view = case(LOCAL).with("origin", "null");
    let refusing = access(&config());
    let admitting = access(&ServerConfig { allow_file_pages: true, ..config() });
    for level in [AccessLevel::Public, AccessLevel::User] {
        check(&refusing, view.clone().at(level), Err(Denial::FilePage));
        check(&admitting, view.clone().at(level), Err(Denial::FilePage));
    }
    check(&refusing, view.clone().at(AccessLevel::Socket), Err(Denial::FilePage));
    check(&admitting, view.at(AccessLevel::Socket), Ok(PageOrigin::File));
    let from_elsewhere = case("chat.example").with("origin", "null").at(AccessLevel::Socket);
    check(&admitting, from_elsewhere.clone(), Err(Denial::KeyNeeded));
    check(&admitting, from_elsewhere.to("/ws?key=the-key"), Ok(PageOrigin::File));
}

#[test]
fn pages_of_others_are_not_the_operator_nor_each_other_whatever_their_browser_has() {
    let access = access(&ServerConfig { allow_file_pages: true, ..config() });
    let token = access.sessions.open(grant(Scope::Administer));
    let cookie: &str = Box::leak(format!("banter_session_{PORT}={token}").into_boxed_str());
    let page = |origin| case(LOCAL).at(AccessLevel::Socket).with("origin", origin);
    for origin in ["https://wiki.example", "null"] {
        let first = visitor(&access, &page(origin));
        let second = visitor(&access, &page(origin).with("cookie", cookie));
        let tenants = [
            first.principal.asker().tenant,
            second.principal.asker().tenant,
            Principal::OPERATOR.asker().tenant,
        ];
        assert!(tenants[0] != tenants[1] && !tenants[..2].contains(&tenants[2]), "{origin}");
        assert_eq!(first.principal.share(), second.principal.share());
        assert_ne!(first.principal.share(), Principal::OPERATOR.share());
        assert!(first.cookie.is_none() && second.cookie.is_none());
    }
    let with_key = principal(&access, &page("https://wiki.example").to("/ws?key=the-key"));
    assert_eq!(with_key, Principal::of_key(KEY));
    let own_page = principal(&access, &page("http://localhost:7860"));
    assert_eq!(own_page, Principal::OPERATOR);
}

#[test]
fn pages_of_others_never_change_the_server() {
    let access = access(&ServerConfig { allow_file_pages: true, ..config() });
    let here = || case(LOCAL).at(AccessLevel::Admin).with("x-api-key", ADMIN_KEY);
    check(&access, here().with("origin", "https://wiki.example"), Err(Denial::AdminOnly));
    check(&access, here().with("origin", "null"), Err(Denial::FilePage));
    check(&access, here().with("origin", "https://evil.example"), Err(Denial::ForeignOrigin));
}
