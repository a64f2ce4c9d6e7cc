//! The host names that the server answers to.

use super::Origin;
use std::net::IpAddr;

/// An address at which the server is reached from other machines, such as
/// `https://chat.example.org/banter/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: Origin,
    /// Begins with a slash and does not end with one; empty for the root.
    base_path: String,
}

/// Why a text is not a usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("{found}: expected http://HOST or https://HOST")]
    Scheme {
        /// What was given.
        found: String,
    },
    /// The host or port cannot be read.
    #[error("{found}: expected HOST or HOST:PORT after the scheme")]
    Host {
        /// What was given.
        found: String,
    },
    /// The path has a part that browsers would rewrite, or a query or fragment.
    #[error("{found}: expected a plain path such as /chat/, without query or fragment")]
    Path {
        /// What was given.
        found: String,
    },
}

impl PublicUrl {
    /// Reads an address.
    pub fn parse(url: &str) -> Result<PublicUrl, UrlError> {
        let after_scheme = url.find("://").map_or(0, |position| position + 3);
        let path_start =
            url[after_scheme..].find('/').map_or(url.len(), |position| after_scheme + position);
        let origin = Origin::parse(&url[..path_start])?;
        if !origin.is_web() {
            return Err(UrlError::Scheme { found: url.to_owned() });
        }
        let base_path = url[path_start..].trim_end_matches('/');
        let is_plain = |part: &str| {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(legal)
        };
        if !base_path.split('/').skip(1).all(is_plain) {
            return Err(UrlError::Path { found: url.to_owned() });
        }
        Ok(PublicUrl { origin, base_path: base_path.to_owned() })
    }

    /// The origin of pages at this address.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path before every route, as `/banter`; empty for the root.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{}/", self.origin, self.base_path)
    }
}

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
}

impl Authority {
    /// Whether this name always means the machine on which it is opened. The port does not matter,
    /// because tunnels and containers publish a server at another one.
    fn is_this_machine(&self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        let is_loopback = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        name == "localhost" || self.ip().is_some_and(is_loopback)
    }

    /// The address, if the host is an address in its usual form; other forms are taken as names.
    fn ip(&self) -> Option<IpAddr> {
        let bare = self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = match bare {
            Some(bare) => IpAddr::V6(bare.parse().ok()?),
            None => IpAddr::V4(self.host.parse().ok()?),
        };
        Some(ip.to_canonical())
    }
}

/// What the host of a request is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedHost {
    /// A name that means this machine and cannot mean another, as `localhost`.
    Local,
    /// The address of this machine that the connection was made to. It needs no configuration: a
    /// website whose name points here would be asked for by its name, not by the address.
    OwnAddress,
    /// A host that `--public-url` names, with its index in the list.
    Public(usize),
    /// Any other host. Only health checks are answered.
    Unknown,
}

impl NamedHost {
    /// What `host` is on a connection to our address `local`.
    pub(super) fn find(
        host: &Authority,
        local: IpAddr,
        ports: &[u16],
        public_urls: &[PublicUrl],
    ) -> NamedHost {
        let is_usual = matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        if is_usual && ports.contains(&host.port.unwrap_or(80)) {
            return NamedHost::Local;
        }
        // Before other local names: an operator who names one as public wants a key to be needed.
        if let Some(index) = public_urls.iter().position(|url| url.origin.serves(host)) {
            return NamedHost::Public(index);
        }
        if host.is_this_machine() {
            return NamedHost::Local;
        }
        if host.ip() == Some(local) { NamedHost::OwnAddress } else { NamedHost::Unknown }
    }
}

/// Whether a page of this origin came from the host that it sends a request to: the ports are the
/// same, and the hosts are the same or both mean this machine.
pub(super) fn is_same_page(host: &Authority, origin: &str) -> bool {
    let Some(page) = origin.strip_prefix("http://").and_then(Authority::parse) else {
        return false;
    };
    let is_as_browsers_write_it = Origin::parse(origin).is_ok_and(|parsed| parsed.is(origin));
    let is_same_host = page.host == host.host || page.is_this_machine() && host.is_this_machine();
    let port = |authority: &Authority| authority.port.unwrap_or(80);
    is_as_browsers_write_it && is_same_host && port(&page) == port(host)
}
