//! Asking a hub: one request, its status as an error of ours, its body bounded.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::name::Hub;
use super::settings::Endpoint;
use crate::client::{self, Waits};
use crate::error::{Kept, PullError};

/// Longest answer about a repository; the largest real ones are a few megabytes.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// A place that is asked for lists and files.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Follows redirects to where files lie.
    following: Client,
    /// Shows the first answer as it is: what it says about a file gets lost behind a redirect.
    plain: Client,
    host: String,
    hub: Option<Hub>,
    token: Option<super::settings::Token>,
}

impl Place {
    /// A hub, or with `hub` missing, the place of a file that is named by its address.
    pub(crate) fn new(
        hub: Option<Hub>,
        endpoint: &Endpoint,
        waits: Waits,
    ) -> Result<Place, PullError> {
        Ok(Place {
            following: client::for_hub(&endpoint.address, waits).map_err(PullError::Client)?,
            plain: client::without_redirects(waits).map_err(PullError::Client)?,
            host: authority(endpoint.address.url()),
            hub,
            token: endpoint.token.clone(),
        })
    }

    /// The host, for people.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A request that follows redirects.
    pub(crate) fn get(&self, url: &Url) -> RequestBuilder {
        self.signed(self.following.get(url.clone()))
    }

    /// A question about a file whose first answer is shown.
    pub(super) fn head(&self, url: &Url) -> RequestBuilder {
        self.signed(self.plain.head(url.clone()))
    }

    /// Redirects to another host lose these headers; the client sees to it.
    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        let Some(token) = &self.token else { return request };
        let request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        match self.hub {
            // Its older interface knows a login by this cookie alone.
            Some(Hub::ModelScope) => {
                request.header(COOKIE, format!("m_session_id={}", token.secret()))
            }
            _ => request,
        }
    }

    /// Reads a JSON answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        what: &str,
    ) -> Result<T, PullError> {
        let response = self.get(url).send().await.map_err(|error| self.broken(&error))?;
        let response = self.checked(response, what)?;
        let body = self.body(response, what).await?;
        serde_json::from_slice(&body).map_err(|error| self.strange(what, error.to_string()))
    }

    async fn body(&self, mut response: Response, what: &str) -> Result<Vec<u8>, PullError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(self.strange(what, format!("more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The response, if its status is one of success.
    pub(crate) fn checked(&self, response: Response, what: &str) -> Result<Response, PullError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(self.refused(status, response.headers(), what))
    }

    /// What a status other than success means.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap, what: &str) -> PullError {
        let (what, host) = (what.to_owned(), self.host.clone());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PullError::NotAllowed {
                what,
                host,
                status: status.as_u16(),
                token_variable: self.hub.map(|hub| match hub {
                    Hub::HuggingFace => "HF_TOKEN",
                    Hub::ModelScope => "MODELSCOPE_API_TOKEN",
                }),
                had_token: self.token.is_some(),
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                PullError::NotFound { what, host, there: Vec::new() }
            }
            StatusCode::TOO_MANY_REQUESTS => PullError::TooManyRequests {
                host,
                retry_after: retry_after(headers),
                kept: Kept::Nothing,
            },
            other if other.is_redirection() => {
                let found = "a redirect to something that is not http".to_owned();
                PullError::BadAnswer { what, host, found, kept: Kept::Nothing }
            }
            other => PullError::Status { what, host, status: other.as_u16(), kept: Kept::Nothing },
        }
    }

    /// A connection that could not be made, or broke.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> PullError {
        let reason = client::reason(error);
        PullError::Unreachable { host: self.host.clone(), reason, kept: Kept::Nothing }
    }

    /// An answer that cannot be right.
    pub(crate) fn strange(&self, what: &str, found: String) -> PullError {
        let (what, host) = (what.to_owned(), self.host.clone());
        PullError::BadAnswer { what, host, found, kept: Kept::Nothing }
    }
}

/// Host and port of a URL.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// How long a response asks to wait. Dates are not read: the usual wait does as well.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
