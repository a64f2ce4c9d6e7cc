//! The HTTP client: certificates, proxies, time limits, and which redirects may be followed.

use std::error::Error;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use url::Url;

use crate::address::{Address, is_private};

/// How many redirects a hub may need to reach a file.
const MAX_REDIRECTS: usize = 10;

/// How long to wait for other servers.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Until a connection is established.
    pub connect: Duration,
    /// Between two parts of a response.
    pub silence: Duration,
}

/// A client, and whether it can check certificates.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) client: Client,
    /// Whether this machine has certificates.
    pub(crate) has_certificates: bool,
}

/// A client for a hub. It follows no redirect itself: the caller checks each of them, so that an
/// error names the host that failed.
pub(crate) fn for_hub(endpoint: &Address, waits: Waits) -> Result<Made, String> {
    let builder = || {
        let builder = named().connect_timeout(waits.connect).read_timeout(waits.silence);
        builder.redirect(Policy::none())
    };
    build(endpoint, &[], builder)
}

/// Why a redirect is not followed, if it must not be: never from `https` to `http`, and never to a
/// private address unless the hub itself has one.
pub(crate) fn refusal(previous: &[Url], to: &Url, may_be_private: bool) -> Option<&'static str> {
    let came_by_https = previous.iter().any(|from| from.scheme() == "https");
    if previous.len() > MAX_REDIRECTS {
        Some("more than 10 redirects")
    } else if !["http", "https"].contains(&to.scheme()) {
        Some("a redirect to something that is not http")
    } else if came_by_https && to.scheme() != "https" {
        Some("a redirect from https to http")
    } else if is_private(to) && !may_be_private {
        Some("a redirect to a private address")
    } else {
        None
    }
}

/// A client for an engine. It follows no redirect, and the caller sets the time limits.
///
/// Servers in Python close idle connections after five seconds. A request on a connection that is
/// just being closed would be lost, so idle connections are closed here before that. For a private
/// address no proxy is used. Beside this machine's certificates, those of `trusted` are
/// trusted; they are in PEM form.
pub(crate) fn for_engine(
    address: &Address,
    trusted: &[u8],
    connect: Duration,
) -> Result<Client, String> {
    const IDLE: Duration = Duration::from_secs(3);
    let trusted = Certificate::from_pem_bundle(trusted).map_err(|_| {
        "expected a trusted certificate in PEM form, found something else".to_owned()
    })?;
    let made = build(address, &trusted, || {
        let builder = named().connect_timeout(connect).pool_idle_timeout(IDLE);
        let builder = if address.is_private() { builder.no_proxy() } else { builder };
        builder.redirect(Policy::none()).tcp_nodelay(true)
    });
    made.map(|made| made.client)
}

/// The proxy that the environment sets for an engine, without its password.
pub(crate) fn proxy_of(address: &Address) -> Option<String> {
    if address.is_private() {
        return None;
    }
    let uri: http::Uri = address.url().as_str().parse().ok()?;
    shown_proxy(&Matcher::from_system(), &uri)
}

fn shown_proxy(proxies: &Matcher, to: &http::Uri) -> Option<String> {
    let proxy = proxies.intercept(to)?;
    let (scheme, host) = (proxy.uri().scheme_str()?, proxy.uri().host()?);
    let port = proxy.uri().port().map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{scheme}://{host}{port}"))
}

fn named() -> ClientBuilder {
    Client::builder().user_agent(concat!("banter/", env!("CARGO_PKG_VERSION")))
}

/// Sets what https computes with, for the whole process. A second call finds it set, which is no error.
pub(crate) fn set_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// `trusted`: certificates that are trusted beside those of this machine.
///
/// Errors: the address is encrypted and there are no certificates, or a proxy of the environment
/// cannot be read.
fn build(
    address: &Address,
    trusted: &[Certificate],
    builder: impl Fn() -> ClientBuilder,
) -> Result<Made, String> {
    let trusted = || trusted.iter().cloned();
    set_cryptography();
    match builder().tls_certs_merge(trusted()).build() {
        Ok(client) => Ok(Made { client, has_certificates: true }),
        // Plain http needs no certificates. An encrypted connection on the way would then be
        // refused.
        Err(_) if address.url().scheme() == "http" || trusted().next().is_some() => {
            let client =
                builder().tls_certs_only(trusted()).build().map_err(|error| reason(&error))?;
            Ok(Made { client, has_certificates: false })
        }
        Err(error) => Err(reason(&error)),
    }
}

/// The proxy that the environment sets for an address: its address, and the variable.
pub(crate) fn proxy_for(url: &Url) -> Option<String> {
    let proxy = shown_proxy(&Matcher::from_env(), &url.as_str().parse().ok()?)?;
    let own = format!("{}_PROXY", url.scheme().to_ascii_uppercase());
    let names = [own.clone(), own.to_ascii_lowercase(), "ALL_PROXY".into(), "all_proxy".into()];
    let variable = names.into_iter().find(|name| std::env::var_os(name).is_some())?;
    Some(format!("{proxy} ({variable})"))
}

/// What went wrong on a connection. This is the innermost cause; the outer ones only say where it
/// was noticed.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let is_first = error.source().is_none();
    match (error.is_connect(), is_first) {
        (true, false) => format!("no connection: {cause}"),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_cannot_lead_anywhere() {
        let cases = [
            ("https://hub.example/", "https://files.example/a", None),
            ("http://hub.example/", "https://files.example/a", None),
            ("https://hub.example/", "http://files.example/a", Some("from https to http")),
            ("https://hub.example/", "file:///etc/passwd", Some("not http")),
            ("https://hub.example/", "https://169.254.169.254/meta", Some("private address")),
            ("https://hub.example/", "https://localhost/a", Some("private address")),
            ("https://hub.example/", "https://[::ffff:10.0.0.1]/a", Some("private address")),
            ("http://127.0.0.1/", "http://127.0.0.1:81/a", None),
        ];
        for (from, to, expected) in cases {
            let endpoint = Address::parse_base(from).expect("an address");
            let to = Url::parse(to).expect("a URL");
            let found = refusal(&[endpoint.url().clone()], &to, endpoint.is_private());
            let is_as_expected = match (found, expected) {
                (Some(found), Some(expected)) => found.contains(expected),
                (found, expected) => found == expected,
            };
            assert!(is_as_expected, "{from} to {to}: {found:?}");
        }
        let from = Url::parse("https://hub.example/").expect("a URL");
        assert!(refusal(&vec![from.clone(); 10], &from, false).is_none());
        assert!(refusal(&vec![from.clone(); 11], &from, false).is_some());
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxies = Matcher::builder()
            .all("http://name:secret@proxy.example:3128")
            .no("inside.example")
            .build();
        let shown = |to: &'static str| shown_proxy(&proxies, &http::Uri::from_static(to));
        let expected = Some("http://proxy.example:3128".to_owned());
        assert_eq!(shown("http://engine.example/v1"), expected);
        assert_eq!(shown("https://engine.example/v1"), expected);
        assert_eq!(shown("http://inside.example/v1"), None);
    }
}
