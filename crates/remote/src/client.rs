//! The HTTP client: certificates, proxies, time limits, and which redirects are followed.

use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder};

use crate::address::{Address, is_private};

/// How many redirects a hub may need to reach a file.
const MAX_REDIRECTS: usize = 10;

/// How long to wait for others.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Until a connection stands.
    pub connect: Duration,
    /// Between two pieces of a response.
    pub silence: Duration,
}

/// A client for a hub: follows redirects to where it keeps its files, but never from `https` to
/// `http`, and never to a private address unless the hub itself has one.
pub(crate) fn for_hub(endpoint: &Address, waits: Waits) -> Result<Client, String> {
    for_hub_with(endpoint, waits, |builder| builder)
}

/// The same, with a last change: tests lead it elsewhere.
pub(crate) fn for_hub_with(
    endpoint: &Address,
    waits: Waits,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, String> {
    let may_be_private = endpoint.is_private();
    let follow = move |attempt: Attempt<'_>| {
        let to = attempt.url();
        let is_step_down = attempt.previous().iter().any(|from| from.scheme() == "https")
            && to.scheme() != "https";
        let refusal = if attempt.previous().len() > MAX_REDIRECTS {
            "more than 10 redirects"
        } else if !["http", "https"].contains(&to.scheme()) {
            "a redirect to something that is not http"
        } else if is_step_down {
            "a redirect from https to http"
        } else if is_private(to) && !may_be_private {
            "a redirect to a private address"
        } else {
            return attempt.follow();
        };
        attempt.error(Refused(refusal))
    };
    build(change(builder(waits).redirect(Policy::custom(follow))))
}

/// A client that follows no redirect.
pub(crate) fn without_redirects(waits: Waits) -> Result<Client, String> {
    build(builder(waits).redirect(Policy::none()))
}

/// Why a redirect was not followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

fn builder(waits: Waits) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("banter/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(waits.connect)
        .read_timeout(waits.silence)
}

/// Errors: certificates cannot be found, or a proxy of the environment cannot be read.
fn build(builder: ClientBuilder) -> Result<Client, String> {
    // The provider is the process's; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.build().map_err(|error| with_causes(&error))
}

/// An error with everything below it: what went wrong on a connection stands at the end.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
