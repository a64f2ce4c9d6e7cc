//! The host names that the server answers to.

use super::authority::{Authority, UrlError};
use super::origin::Origin;
use std::net::IpAddr;

/// An address at which the server is reached from other machines, such as
/// `https://chat.example.org/banter/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: Origin,
    /// Begins with a slash and does not end with one; empty for the root.
    base_path: String,
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

/// How pages reach the server if nothing stands in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        }
    }

    /// The port of an address that names none.
    fn usual_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
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
        scheme: Scheme,
        ports: &[u16],
        public_urls: &[PublicUrl],
    ) -> NamedHost {
        let is_usual = matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        if is_usual && ports.contains(&host.port.unwrap_or(scheme.usual_port())) {
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

/// Whether a page of this origin came from the host that it sends a request to: the scheme is that
/// of the server, the ports are the same, and the hosts are the same or both mean this machine.
pub(super) fn is_same_page(scheme: Scheme, host: &Authority, origin: &str) -> bool {
    let Some(page) = origin.strip_prefix(scheme.prefix()).and_then(Authority::parse) else {
        return false;
    };
    let is_as_browsers_write_it = Origin::parse(origin).is_ok_and(|parsed| parsed.is(origin));
    let is_same_host = page.host == host.host || page.is_this_machine() && host.is_this_machine();
    let port = |authority: &Authority| authority.port.unwrap_or(scheme.usual_port());
    is_as_browsers_write_it && is_same_host && port(&page) == port(host)
}
