//! Where a page comes from.

use super::host::{Authority, UrlError};

/// Scheme, host and port of a page, such as `https://wiki.example.org`.
///
/// Kept in the one form in which browsers send it, so that comparing is comparing bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    serialised: String,
    authority: Authority,
    default_port: u16,
}

impl Origin {
    /// Reads an origin. Upper case and a default port are brought into the browsers' form.
    pub fn parse(text: &str) -> Result<Origin, UrlError> {
        let (scheme, default_port, rest) = if let Some(rest) = text.strip_prefix("https://") {
            ("https", 443, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            ("http", 80, rest)
        } else {
            return Err(UrlError::Scheme { found: text.to_owned() });
        };
        let mut authority =
            Authority::parse(rest).ok_or_else(|| UrlError::Host { found: text.to_owned() })?;
        authority.port = authority.port.filter(|port| *port != default_port);
        let serialised = match authority.port {
            None => format!("{scheme}://{}", authority.host),
            Some(port) => format!("{scheme}://{}:{port}", authority.host),
        };
        Ok(Origin { serialised, authority, default_port })
    }

    /// Whether an `Origin` header names exactly this one.
    pub(super) fn is(&self, header: &str) -> bool {
        self.serialised == header
    }

    /// Whether a `Host` header names this one's host and port.
    pub(super) fn serves(&self, host: &Authority) -> bool {
        self.authority.host == host.host
            && self.authority.port == host.port.filter(|port| *port != self.default_port)
    }

    pub(super) fn is_https(&self) -> bool {
        self.default_port == 443
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.serialised)
    }
}
