//! A host and a port, as requests and addresses name them.

use std::net::IpAddr;

/// A host and an optional port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. User names are refused.
    pub(super) fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let end = rest.find(']')?;
                let address = &rest[..end];
                let legal = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
                if !address.bytes().all(legal) {
                    return None;
                }
                let (host, rest) = text.split_at(end + 2);
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if host.is_empty() || !(host.starts_with('[') || host.bytes().all(legal)) {
            return None;
        }
        let port = match port {
            None => None,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Authority { host: host.to_ascii_lowercase(), port })
    }

    /// Whether this name always means the machine on which it is opened. The port does not matter,
    /// because tunnels and containers publish a server at another one, and no website can take
    /// these names.
    ///
    /// `0.0.0.0` and `[::]` lead here too, but are not among them. Browsers do not trust these
    /// addresses, so they leave out `Sec-Fetch-Site`: a picture in any website that points there
    /// would look like a request of a program on this machine.
    pub(super) fn is_this_machine(&self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        name == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The address, if the host is an address in its usual form; other forms are taken as names.
    /// `[::ffff:127.0.0.1]` is one of those: nobody types it.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        let bare = self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(bare) => Some(IpAddr::V6(bare.parse().ok()?)),
            None => Some(IpAddr::V4(self.host.parse().ok()?)),
        }
    }
}

/// Why a text is not a usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("{found}: expected http://HOST or https://HOST")]
    Scheme {
        /// The whole text.
        found: String,
    },
    /// The host or port cannot be read.
    #[error("{found}: expected HOST or HOST:PORT after the scheme")]
    Host {
        /// The whole text.
        found: String,
    },
    /// The path has a part that browsers would rewrite, or a query or fragment.
    #[error("{found}: expected a plain path such as /chat/, without query or fragment")]
    Path {
        /// The whole text.
        found: String,
    },
}
