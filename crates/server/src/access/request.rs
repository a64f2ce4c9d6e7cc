//! What the access rules look at in a request.

use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The parts of a request that the access rules look at.
pub(crate) struct RequestView<'a> {
    pub(crate) peer: IpAddr,
    /// Our address that the peer has connected to.
    pub(crate) local: IpAddr,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> RequestView<'a> {
    /// The origin of the page that sends the request, as the browser says.
    pub(super) fn origin(&self) -> Option<&'a str> {
        self.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok())
    }

    /// Where the page that sends the request is from, as the browser says: `same-origin`,
    /// `cross-site` and so on.
    pub(super) fn fetch_site(&self) -> Option<&'a str> {
        self.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok())
    }

    /// Whether a page of another site sends the request without an `Origin`, as browsers do for
    /// pictures. The page could not read the answer, but it could cause work.
    pub(super) fn is_embedded_elsewhere(&self) -> bool {
        let is_elsewhere = matches!(self.fetch_site(), Some("cross-site" | "same-site"));
        is_elsewhere && !self.headers.contains_key(header::ORIGIN)
    }

    /// Whether the request has a header that proxies and tunnels add. A proxy on this machine
    /// connects from loopback as local programs do; only its headers tell it from them.
    pub(super) fn came_through_a_proxy(&self) -> bool {
        const OTHERS: [&str; 6] =
            ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"];
        let names = &mut self.headers.keys();
        names
            .any(|name| OTHERS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded"))
    }
}

/// Who sends a request, as far as keys must know that are only for certain pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A program: it names no page.
    Program,
    /// Our own page, such as `/embed` in a frame.
    OwnPage,
    /// A page of this origin.
    Page(Arc<str>),
}

/// The origin of the page that sends an admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageOrigin {
    /// Our own page, or no page but a program.
    Own,
    /// A page of this origin, which `--allow-origin` names. The response must name it too.
    Allowed(String),
    /// A page opened from disk.
    File,
}
