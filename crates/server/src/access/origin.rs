//! Where a page comes from.

use super::authority::{Authority, UrlError};

/// Scheme, host and port of a page, such as `https://wiki.example.org`, or `app://obsidian.md` of a
/// desktop program that is made of pages.
///
/// It is kept in the form in which browsers send it, so two origins are compared as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    serialised: String,
    scheme: Scheme,
    authority: Authority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    /// The scheme of a desktop program or of a browser's extension.
    Other,
}

/// Schemes without an origin of their own: browsers send `null` for them, or they have no pages.
const WITHOUT_ORIGIN: [&str; 8] =
    ["about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"];

impl Origin {
    /// Reads an origin, and brings upper case and a default port into the form of browsers.
    pub fn parse(text: &str) -> Result<Origin, UrlError> {
        let wrong_scheme = || UrlError::Scheme { found: text.to_owned() };
        let (name, rest) = text.split_once("://").ok_or_else(wrong_scheme)?;
        let scheme = match name {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other if is_scheme(other) && !WITHOUT_ORIGIN.contains(&other) => Scheme::Other,
            _ => return Err(wrong_scheme()),
        };
        let mut authority =
            Authority::parse(rest).ok_or_else(|| UrlError::Host { found: text.to_owned() })?;
        authority.port = authority.port.filter(|port| Some(*port) != scheme.default_port());
        let serialised = match authority.port {
            None => format!("{name}://{}", authority.host),
            Some(port) => format!("{name}://{}:{port}", authority.host),
        };
        Ok(Origin { serialised, scheme, authority })
    }

    /// Whether an `Origin` header names exactly this one.
    pub(super) fn is(&self, header: &str) -> bool {
        self.serialised == header
    }

    /// Whether a `Host` header names this one's host and port.
    pub(super) fn serves(&self, host: &Authority) -> bool {
        self.authority.host == host.host
            && self.authority.port
                == host.port.filter(|port| Some(*port) != self.scheme.default_port())
    }

    /// Whether its scheme is `http` or `https`.
    pub(super) fn is_web(&self) -> bool {
        self.scheme != Scheme::Other
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl Scheme {
    fn default_port(self) -> Option<u16> {
        match self {
            Scheme::Http => Some(80),
            Scheme::Https => Some(443),
            Scheme::Other => None,
        }
    }
}

/// Whether this is a scheme in the form in which browsers write it.
fn is_scheme(text: &str) -> bool {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || [b'+', b'-', b'.'].contains(&byte)
    };
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(legal)
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.serialised)
    }
}
