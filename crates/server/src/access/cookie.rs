//! The cookie in which a browser keeps its session.

use axum::http::{HeaderMap, header};
use std::time::Duration;

/// How long a browser stays signed in.
pub(super) const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const NAME: &str = "banter_session";
/// The name of the cookie by which the browser of a stranger is recognised.
const VISITOR_NAME: &str = "banter_visitor";

/// The name of a session's cookie, and where a browser sends it.
///
/// Browsers do not separate the cookies of two servers on one host: each would sign out the people
/// of the other. So the port is a part of the name, and the base path is the path of the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionCookie {
    name: String,
    path: String,
    is_https: bool,
}

impl SessionCookie {
    /// The cookie for a server that is opened at this port, if its address names one, and below
    /// this base path, which is empty for the root.
    pub(super) fn new(is_https: bool, port: Option<u16>, base_path: &str) -> SessionCookie {
        // Browsers accept names with these prefixes over https only, and `__Host-` only with the
        // path `/`. So no other site of the domain can set them.
        let prefix = match (is_https, base_path.is_empty()) {
            (true, true) => "__Host-",
            (true, false) => "__Secure-",
            (false, _) => "",
        };
        let suffix = port.map(|port| format!("_{port}")).unwrap_or_default();
        let path = if base_path.is_empty() { "/" } else { base_path }.to_owned();
        SessionCookie { name: format!("{prefix}{NAME}{suffix}"), path, is_https }
    }

    /// The cookie by which strangers are recognised. It belongs to its server in the same way.
    pub(super) fn of_strangers(&self) -> SessionCookie {
        SessionCookie { name: self.name.replace(NAME, VISITOR_NAME), ..self.clone() }
    }

    /// The value of `Set-Cookie` that makes a browser keep a session.
    pub(crate) fn keeping(&self, token: &str) -> String {
        self.with_value(token, SESSION_LIFETIME.as_secs())
    }

    /// The value of `Set-Cookie` that makes a browser forget its session.
    pub(crate) fn forgetting(&self) -> String {
        self.with_value("", 0)
    }

    fn with_value(&self, value: &str, max_age_seconds: u64) -> String {
        let SessionCookie { name, path, .. } = self;
        let secure = if self.is_https { "; Secure" } else { "" };
        format!(
            "{name}={value}; HttpOnly; SameSite=Strict; Path={path}; \
             Max-Age={max_age_seconds}{secure}"
        )
    }

    /// The tokens that a request brings under this name.
    pub(super) fn tokens<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';'));
        pairs.filter_map(|pair| pair.trim().strip_prefix(self.name.as_str())?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_bound_to_its_server() {
        let month = "Max-Age=2592000";
        let cases = [
            (SessionCookie::new(false, None, ""), "banter_session=t", "Path=/;", false),
            (SessionCookie::new(false, Some(7860), ""), "banter_session_7860=t", "Path=/;", false),
            (SessionCookie::new(true, None, ""), "__Host-banter_session=t", "Path=/;", true),
            (
                SessionCookie::new(true, Some(8443), "/chat"),
                "__Secure-banter_session_8443=t",
                "Path=/chat;",
                true,
            ),
        ];
        for (cookie, pair, path, is_secure) in cases {
            let text = cookie.keeping("t");
            assert!(text.starts_with(&format!("{pair}; HttpOnly; SameSite=Strict; ")), "{text}");
            assert!(text.contains(path) && text.contains(month), "{text}");
            assert_eq!(text.ends_with("; Secure"), is_secure, "{text}");
            assert!(cookie.forgetting().contains("Max-Age=0"));
        }
    }

    #[test]
    fn only_the_cookie_of_this_server_is_read() {
        let cookie = SessionCookie::new(false, Some(7860), "");
        let mut headers = HeaderMap::new();
        let others = "a=b; banter_session=x; banter_session_78601=y; banter_session_7860=mine";
        headers.append(header::COOKIE, others.parse().expect("a header"));
        headers.append(header::COOKIE, "banter_session_7860=too".parse().expect("a header"));
        assert_eq!(cookie.tokens(&headers).collect::<Vec<_>>(), ["mine", "too"]);
    }
}
