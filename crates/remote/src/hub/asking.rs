//! One request to a hub: its redirects, its status as an error, and the limit of its body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::name::Hub;
use super::settings::{Endpoint, Token};
use crate::client::{self, Made};
use crate::error::{Kept, Login, PullError};
use crate::patience::Trying;

/// The longest answer about a repository. The largest real ones have a few megabytes.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// How long the same news about a token is not told again.
const LONG: Duration = Duration::from_secs(3600);

/// The client of a hub, which asks it for lists and files.
#[derive(Clone, Debug)]
pub(crate) struct HubClient {
    client: Made,
    endpoint: Endpoint,
    host: String,
    hub: Option<Hub>,
    /// The hub refuses the token but answers without one, so the token is not sent any more.
    has_bad_token: Arc<AtomicBool>,
    trying: Trying,
}

impl HubClient {
    /// The client of a hub. Without `hub` it is for a file that is named by its address.
    pub(crate) fn new(
        hub: Option<Hub>,
        endpoint: &Endpoint,
        trying: &Trying,
    ) -> Result<HubClient, PullError> {
        let client = client::for_hub(&endpoint.address, trying.patience.waits);
        Ok(HubClient {
            client: client.map_err(PullError::Client)?,
            endpoint: endpoint.clone(),
            host: authority(endpoint.address.url()),
            hub,
            has_bad_token: Arc::default(),
            trying: trying.clone(),
        })
    }

    /// The host, for messages.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// How long to try, and who is told.
    pub(crate) fn trying(&self) -> &Trying {
        &self.trying
    }

    /// Gets an address, and follows its redirects. The response knows the last address.
    ///
    /// Errors: no connection, or a redirect that must not be followed. A bad status is not an error
    /// here.
    pub(crate) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Response, PullError> {
        let mut passed = Vec::new();
        let mut at = url.clone();
        loop {
            let response = self.send(Method::GET, &at, headers).await?;
            let Some(to) = redirect(&response) else { return Ok(response) };
            passed.push(at);
            let is_private = self.endpoint.address.is_private();
            let refusal = match &to {
                Some(to) => client::refusal(&passed, to, is_private),
                None => Some("an address that cannot be read"),
            };
            match (to, refusal) {
                (Some(to), None) => at = to,
                (_, reason) => {
                    let host = authority(response.url());
                    let reason = reason.unwrap_or("nowhere");
                    return Err(PullError::Redirect { host, reason });
                }
            }
        }
    }

    /// The first response for a file, without following redirects: the headers about the file are
    /// in it.
    pub(super) async fn head(&self, url: &Url) -> Result<Response, PullError> {
        self.send(Method::HEAD, url, &HeaderMap::new()).await
    }

    /// Asks with the token, and if that is refused, without it: an expired token must not make
    /// public files unreachable.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, PullError> {
        let token = self.token_for(url);
        let request =
            || self.client.client.request(method.clone(), url.clone()).headers(headers.clone());
        let sent = match token {
            Some(token) => self.signed(request(), token).send().await,
            None => request().send().await,
        };
        let response = sent.map_err(|error| self.broken(&error, url))?;
        if !is_refusal(response.status()) || token.is_none() {
            return Ok(response);
        }
        let open = request().send().await.map_err(|error| self.broken(&error, url))?;
        let is_open = open.status().is_success() || open.status().is_redirection();
        if !is_open {
            return Ok(response);
        }
        self.forget_token(response.status());
        Ok(open)
    }

    /// The token for a URL. Only the hub itself gets it.
    fn token_for(&self, url: &Url) -> Option<&Token> {
        let is_hub = url.origin() == self.endpoint.address.url().origin();
        let is_good = !self.has_bad_token.load(Ordering::Relaxed);
        self.endpoint.token.as_ref().filter(|_| is_hub && is_good)
    }

    /// Stops sending the token. False if there was none.
    pub(super) fn forget_token(&self, status: StatusCode) -> bool {
        let Some(token) = self.token_for(self.endpoint.address.url()) else { return false };
        self.has_bad_token.store(true, Ordering::Relaxed);
        let (host, from, status) = (&self.host, token.from(), status.as_u16());
        let line =
            format!("{host} does not take the token of {from} ({status}); going on without it");
        self.trying.progress.tell(line, LONG);
        true
    }

    fn signed(&self, request: reqwest::RequestBuilder, token: &Token) -> reqwest::RequestBuilder {
        let request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        match self.hub {
            // Its older interface takes a login only from this cookie.
            Some(Hub::ModelScope) => {
                request.header(COOKIE, format!("m_session_id={}", token.secret()))
            }
            _ => request,
        }
    }

    /// Gets an address and reads JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        what: &str,
    ) -> Result<T, PullError> {
        let body = self.trying.once(async || {
            let response = self.get(url, &HeaderMap::new()).await?;
            self.body(self.checked(response, what)?, what).await
        });
        serde_json::from_slice(&body.await?)
            .map_err(|error| self.unexpected_response(what, error.to_string()))
    }

    async fn body(&self, mut response: Response, what: &str) -> Result<Vec<u8>, PullError> {
        let url = response.url().clone();
        let mut body = Vec::new();
        loop {
            let piece = response.chunk().await.map_err(|error| self.broken(&error, &url))?;
            let Some(piece) = piece else { return Ok(body) };
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(
                    self.unexpected_response(what, format!("more than {MAX_ANSWER_BYTES} bytes"))
                );
            }
            body.extend_from_slice(&piece);
        }
    }

    /// The response, if its status is a success.
    pub(crate) fn checked(&self, response: Response, what: &str) -> Result<Response, PullError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let is_hub = authority(response.url()) == self.host;
        let mut error = self.refused(status, response.headers(), what);
        match &mut error {
            // Another host that keeps the hub's files does not know its logins.
            PullError::NotAllowed { host, login, .. } if !is_hub => {
                *host = authority(response.url());
                *login = Login::Impossible;
            }
            PullError::NotFound { host, .. }
            | PullError::TooManyRequests { host, .. }
            | PullError::Status { host, .. } => *host = authority(response.url()),
            _ => {}
        }
        Err(error)
    }

    /// The error for a status other than success, if the hub itself has sent it.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap, what: &str) -> PullError {
        let (what, host) = (what.to_owned(), self.host.clone());
        let asked = asked_wait(headers, SystemTime::now());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                PullError::NotAllowed { what, host, status: status.as_u16(), login: self.login() }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                PullError::NotFound { what, host, there: Vec::new() }
            }
            StatusCode::TOO_MANY_REQUESTS => {
                PullError::TooManyRequests { host, retry_after: asked, kept: Kept::Nothing }
            }
            StatusCode::SERVICE_UNAVAILABLE if asked.is_some() => {
                PullError::TooManyRequests { host, retry_after: asked, kept: Kept::Nothing }
            }
            other => PullError::Status { what, host, status: other.as_u16(), kept: Kept::Nothing },
        }
    }

    fn login(&self) -> Login {
        let variable = match self.hub {
            None => return Login::Impossible,
            Some(Hub::HuggingFace) => "HF_TOKEN",
            Some(Hub::ModelScope) => "MODELSCOPE_API_TOKEN",
        };
        match &self.endpoint.token {
            Some(token) => Login::Token(token.from().to_owned()),
            None => Login::Missing(variable),
        }
    }

    /// The error for a connection that could not be made, or that broke.
    pub(crate) fn broken(&self, error: &reqwest::Error, url: &Url) -> PullError {
        let mut reason = client::reason(error);
        if url.scheme() == "https" && !self.client.has_certificates {
            reason.push_str(
                "; this machine has no certificates: install the package ca-certificates, or \
                 name a file of them with SSL_CERT_FILE",
            );
        }
        let (host, proxy) = (authority(url), client::proxy_for(url));
        PullError::Unreachable { host, proxy, reason, kept: Kept::Nothing }
    }

    /// The error for an answer that cannot be right.
    pub(crate) fn unexpected_response(&self, what: &str, found: String) -> PullError {
        let (what, host) = (what.to_owned(), self.host.clone());
        PullError::BadAnswer { what, host, found, kept: Kept::Nothing }
    }
}

/// Host and port of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_refusal(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

/// The target, if a response is a redirect; `Some(None)` if the target cannot be read.
fn redirect(response: &Response) -> Option<Option<Url>> {
    let is_redirect = [301, 302, 303, 307, 308].contains(&response.status().as_u16());
    let to = || response.url().join(response.headers().get(LOCATION)?.to_str().ok()?).ok();
    is_redirect.then(to)
}

/// How long a response asks to wait, in any of the forms that are used.
///
/// Source: RFC 9110 (`Retry-After`, seconds or a date); drafts of `RateLimit`, as Hugging Face
/// sends it (`"api";r=0;t=87`) and as others do (`limit=10, remaining=0, reset=87`);
/// `RateLimit-Reset`.
fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let after = text(RETRY_AFTER.as_str()).and_then(|text| {
        let date = || httpdate::parse_http_date(text).ok();
        seconds(text).or_else(|| date()?.duration_since(now).ok())
    });
    let limit = || text("ratelimit").and_then(spent_until).map(Duration::from_secs);
    let reset = || {
        let names = ["ratelimit-reset", "x-ratelimit-reset"];
        names.into_iter().find_map(|name| seconds(text(name)?)).map(|found| {
            // Some servers send a date, in seconds since 1970.
            let is_date = found.as_secs() > 1_000_000_000;
            let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            if is_date { found.saturating_sub(since_1970) } else { found }
        })
    };
    after.or_else(limit).or_else(reset)
}

/// In how many seconds the used-up limits of a `RateLimit` header are renewed; the longest of them.
fn spent_until(header: &str) -> Option<u64> {
    let limits = header.split(',').map(|limit| {
        let value = |names: [&str; 2]| {
            let pairs = limit.split(';').filter_map(|pair| pair.split_once('='));
            let mut found = pairs.filter(|(key, _)| names.contains(&key.trim()));
            found.next().and_then(|(_, value)| value.trim().parse::<u64>().ok())
        };
        (value(["r", "remaining"]), value(["t", "reset"]))
    });
    let limits: Vec<(Option<u64>, Option<u64>)> = limits.collect();
    let spent = limits.iter().filter(|(rest, _)| *rest == Some(0)).filter_map(|(_, until)| *until);
    spent.max().or_else(|| limits.iter().filter_map(|(_, until)| *until).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hub_asks_to_wait_is_read_in_every_way_it_is_written() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let in_a_minute = httpdate::fmt_http_date(now + Duration::from_secs(60));
        let epoch = "1700000050".to_owned();
        let largest = u64::MAX.to_string();
        let cases = [
            ("retry-after", "7", Some(7)),
            ("retry-after", " 0 ", Some(0)),
            ("retry-after", in_a_minute.as_str(), Some(60)),
            ("retry-after", "soon", None),
            ("ratelimit", "\"resolvers\";r=0;t=87", Some(87)),
            ("ratelimit", "\"api\";r=12;t=5, \"resolvers\";r=0;t=87", Some(87)),
            ("ratelimit", "\"api\";r=0;t=5, \"resolvers\";r=9;t=87", Some(5)),
            ("ratelimit", "limit=100, remaining=0, reset=50", Some(50)),
            ("ratelimit", "\"api\";r=0;t=-1", None),
            ("ratelimit-reset", "33", Some(33)),
            ("x-ratelimit-reset", epoch.as_str(), Some(50)),
            ("x-ratelimit-reset", "1600000000", Some(0)),
            ("x-ratelimit-reset", largest.as_str(), Some(u64::MAX - 1_700_000_000)),
            ("retry-after", largest.as_str(), Some(u64::MAX)),
            ("content-length", "33", None),
        ];
        for (name, value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            let found = asked_wait(&headers, now).map(|wait| wait.as_secs());
            assert_eq!(found, expected, "{name}: {value}");
        }
        let mut both = HeaderMap::new();
        both.insert("retry-after", "3".parse().expect("a header value"));
        both.insert("ratelimit", "\"api\";r=0;t=87".parse().expect("a header value"));
        assert_eq!(asked_wait(&both, now), Some(Duration::from_secs(3)));
    }
}
