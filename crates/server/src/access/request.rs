//! What the access rules look at in a request.

use axum::http::{HeaderMap, Uri};
use std::net::IpAddr;

/// The parts of a request that the access rules look at.
pub(crate) struct RequestView<'a> {
    pub(crate) peer: IpAddr,
    /// Our address that the peer has connected to.
    pub(crate) local: IpAddr,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
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
