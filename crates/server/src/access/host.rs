//! The names by which the server answers.

use super::Origin;

/// An address by which the server is reached from elsewhere, such as
/// `https://chat.example.org/banter/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: Origin,
    /// With a slash in front and none behind; empty for the root.
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

    /// The path before every route, with a slash in front and none behind; empty for the root.
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

/// A host that is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedHost {
    /// This machine by its own names, with our port.
    Local,
    /// Named by `--public-url`.
    Public { https: bool },
}

impl NamedHost {
    pub(super) fn find(
        host: &Authority,
        ports: &[u16],
        public_urls: &[PublicUrl],
    ) -> Option<NamedHost> {
        let is_this_machine = matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        if is_this_machine && ports.contains(&host.port.unwrap_or(80)) {
            return Some(NamedHost::Local);
        }
        let named = public_urls.iter().find(|url| url.origin.serves(host))?;
        Some(NamedHost::Public { https: named.origin.is_https() })
    }

    pub(super) fn is_local(self) -> bool {
        self == NamedHost::Local
    }

    pub(super) fn is_https(self) -> bool {
        self == NamedHost::Public { https: true }
    }
}
