//! Addresses of other servers. They are read by the same parser that the connections use.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// An `http` or `https` address whose host cannot be misread.
///
/// A text that two parsers could read differently is refused: one with a user name before `@`,
/// backslashes, blanks, numbers that stand for an IPv4 address, or IPv4 inside IPv6. The checked
/// value itself is used for the connection; it is never written out and read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

/// Why a text is not an address. `Display` says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not `http://` or `https://` with a host.
    #[error("expected http:// or https:// and a host")]
    NotHttp,
    /// It has a user name or a password before the host.
    #[error("expected no user name before the host (no @)")]
    UserName,
    /// It has backslashes, blanks, control characters or letters beyond ASCII.
    #[error("expected plain ASCII without blanks and backslashes")]
    NotPlain,
    /// Its host is not written in the usual form.
    #[error("expected a host name, an IPv4 address as 127.0.0.1, or an IPv6 address as [::1]")]
    StrangeHost,
    /// It has `?` or `#`, where only a path may follow.
    #[error("expected no ? and no #")]
    MoreThanPath,
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if !text.bytes().all(is_plain) {
            return Err(AddressError::NotPlain);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::NotHttp)?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(AddressError::NotHttp);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(AddressError::UserName);
        }
        let url = Url::parse(text).map_err(|_| AddressError::NotHttp)?;
        if !is_written_as_read(authority, &url) {
            return Err(AddressError::StrangeHost);
        }
        Ok(Address(url))
    }

    /// Reads an address below which other addresses are: without a query; a slash at the end does
    /// not matter.
    pub fn parse_base(text: &str) -> Result<Address, AddressError> {
        let address = Address::parse(text)?;
        if address.0.query().is_some() || address.0.fragment().is_some() {
            return Err(AddressError::MoreThanPath);
        }
        Ok(address)
    }

    /// An address below this one. Every segment is encoded, so none can lead outside.
    pub fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut()
            .expect("http addresses have a path")
            .pop_if_empty()
            .extend(segments);
        url
    }

    /// The same address without its last segment, if that is `segment`.
    pub fn without_last(&self, segment: &str) -> Address {
        let mut url = self.0.clone();
        let mut segments = url.path_segments_mut().expect("http addresses have a path");
        segments.pop_if_empty();
        drop(segments);
        if url.path_segments().and_then(|mut segments| segments.next_back()) == Some(segment) {
            url.path_segments_mut().expect("http addresses have a path").pop();
        }
        Address(url)
    }

    /// The address itself.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the host is an address of this machine or of a private network, by how it is
    /// written.
    pub fn is_private(&self) -> bool {
        is_private(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Whether a URL names this machine, a private network, or a link-local address, such as the one at
/// which cloud machines offer their secrets.
pub(crate) fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => is_private_v4(address),
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => is_private_v6(address),
        },
        None => true,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || shared
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

fn is_written_as_read(authority: &str, url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => host_text(authority).eq_ignore_ascii_case(name),
        Some(Host::Ipv4(address)) => host_text(authority) == address.to_string(),
        Some(Host::Ipv6(address)) => address.to_ipv4_mapped().is_none(),
        None => false,
    }
}

/// The part before the port.
fn host_text(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_read() {
        let cases = [
            ("http://localhost:8000", "http://localhost:8000"),
            ("https://Engine.Example/v1/", "https://engine.example/v1"),
            ("http://10.1.2.3:80/base", "http://10.1.2.3/base"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ];
        for (text, shown) in cases {
            let address =
                Address::parse_base(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use AddressError::*;
        let cases = [
            ("localhost:8000", NotHttp),
            ("ftp://host/", NotHttp),
            ("file:///etc/passwd", NotHttp),
            ("http://", NotHttp),
            ("http://good.example@evil.example/", UserName),
            ("http://good.example\\@evil.example/", NotPlain),
            ("http://evil.example\\.good.example/", NotPlain),
            ("http://host/a b", NotPlain),
            ("http://host/\u{0}", NotPlain),
            ("http://ｅxample/", NotPlain),
            ("http://2130706433/", StrangeHost),
            ("http://0x7f000001/", StrangeHost),
            ("http://0177.0.0.1/", StrangeHost),
            ("http://127.1/", StrangeHost),
            ("http://%31%32%37.0.0.1/", StrangeHost),
            ("http://[::ffff:127.0.0.1]/", StrangeHost),
            ("http://[::ffff:169.254.169.254]/", StrangeHost),
            ("http://host/?key=1", MoreThanPath),
            ("http://host/#part", MoreThanPath),
        ];
        for (text, expected) in cases {
            assert_eq!(Address::parse_base(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn segments_cannot_leave_the_base() {
        let base = Address::parse_base("http://hub.example/mirror/").expect("an address");
        let url = base.below(["api", "models", "a/../../b", "..", "c?d#e"]);
        assert_eq!(url.as_str(), "http://hub.example/mirror/api/models/a%2F..%2F..%2Fb/c%3Fd%23e");
    }

    #[test]
    fn private_hosts_are_known() {
        let private = [
            "http://localhost/",
            "http://a.localhost/",
            "http://127.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[::ffff:127.0.0.1]/",
        ];
        for text in private {
            assert!(is_private(&Url::parse(text).expect("a URL")), "{text}");
        }
        for text in ["https://huggingface.co/", "http://8.8.8.8/", "http://[2606:4700::1]/"] {
            assert!(!is_private(&Url::parse(text).expect("a URL")), "{text}");
        }
    }
}
