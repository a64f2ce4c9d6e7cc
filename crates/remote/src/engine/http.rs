//! Requests to an engine, and what its responses mean.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::Url;

use super::error::{EngineError, RefusalResponse};
use super::interface::Interface;
use super::words::Words;
use super::{EnginePatience, EngineSettings};
use crate::client;

/// The longest response to a request that is not for an answer.
const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// The longest response with what was computed, except an answer.
const MAX_COMPUTED_BYTES: usize = 32 << 20;
/// A response may be this many times as long as what was sent: the token of each byte as a number.
const RESPONSE_PER_BYTE: usize = 8;
/// How much of a refusal is read. Its text is at the beginning.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// The client of an engine, with its key and its time limits.
#[derive(Clone)]
pub(super) struct EngineClient {
    client: Client,
    pub(super) interface: Interface,
    key: Option<String>,
    authorization: Option<HeaderValue>,
    patience: EnginePatience,
    /// The proxy that the environment sets for the engine.
    proxy: Option<String>,
}

/// Why there is no usable response.
#[derive(Debug)]
pub(super) enum NoResponse {
    /// The response refuses the request.
    Refused(Box<RefusalResponse>),
    Failed(EngineError),
}

impl EngineClient {
    /// A client of the engine at `interface`.
    ///
    /// Errors: the key cannot be sent, or no client can be made.
    pub(super) fn new(
        settings: &EngineSettings,
        interface: Interface,
    ) -> Result<EngineClient, EngineError> {
        let patience = settings.patience;
        let client = client::for_engine(&settings.address, &[], patience.connect);
        let bearer = |key: &String| HeaderValue::from_str(&format!("Bearer {key}"));
        let authorization = settings.key.as_ref().map(bearer).transpose();
        let mut authorization = authorization.map_err(|_| {
            EngineError::Unexpected("expected a key of plain characters (--engine-key)".to_owned())
        })?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
        }
        Ok(EngineClient {
            client: client.map_err(EngineError::Connection)?,
            interface,
            key: settings.key.clone(),
            authorization,
            patience,
            proxy: client::proxy_of(&settings.address),
        })
    }

    /// Posts to `url`, and reads JSON.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &Value,
    ) -> Result<T, EngineError> {
        let path = url.path().to_owned();
        let body = serde_json::to_vec(body).expect("JSON is written as JSON");
        let most = MAX_RESPONSE_BYTES.max(body.len().saturating_mul(RESPONSE_PER_BYTE));
        read(&self.control(self.post(url, body), most).await?, &path)
    }

    /// Posts to `url` what takes as long as an answer, and reads JSON.
    pub(super) async fn compute<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &Value,
    ) -> Result<T, EngineError> {
        let path = url.path().to_owned();
        let body = serde_json::to_vec(body).expect("JSON is written as JSON");
        let (request, patience) = (self.post(url, body), self.patience.headers);
        read(&self.whole(request, MAX_COMPUTED_BYTES, patience).await?, &path)
    }

    /// Gets `url`, and reads JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, EngineError> {
        let path = url.path().to_owned();
        read(&self.reach(url).await?, &path)
    }

    /// Gets `url`, whatever the response contains.
    pub(super) async fn reach(&self, url: Url) -> Result<Vec<u8>, EngineError> {
        self.control(self.client.get(url), MAX_RESPONSE_BYTES).await
    }

    /// Posts a request for an answer, and waits for the headers.
    pub(super) async fn begin(
        &self,
        url: Url,
        body: &Map<String, Value>,
    ) -> Result<Response, NoResponse> {
        let patience = self.patience.headers;
        let body = serde_json::to_vec(body).expect("JSON is written as JSON");
        let asking = self.exchange(self.post(url, body));
        let silent = || NoResponse::Failed(EngineError::Silent(patience));
        timeout(patience, asking).await.unwrap_or_else(|_| Err(silent()))
    }

    fn post(&self, url: Url, body: Vec<u8>) -> RequestBuilder {
        self.client.post(url).header(CONTENT_TYPE, "application/json").body(body)
    }

    /// The body of a response of at most `most` bytes, within the time limit for all that computes
    /// nothing.
    async fn control(&self, request: RequestBuilder, most: usize) -> Result<Vec<u8>, EngineError> {
        self.whole(request, most, self.patience.control).await
    }

    /// The body of a response of at most `most` bytes.
    async fn whole(
        &self,
        request: RequestBuilder,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, EngineError> {
        let exchange = async {
            let response = self.exchange(request).await?;
            let (body, is_whole) = read_body(response, most).await?;
            if is_whole {
                return Ok(body);
            }
            let what = format!("a response of more than {most} bytes");
            Err(EngineError::Unexpected(what))
        };
        timeout(patience, exchange).await.unwrap_or(Err(EngineError::Silent(patience)))
    }

    /// The response, if its status is a success.
    async fn exchange(&self, request: RequestBuilder) -> Result<Response, NoResponse> {
        let request = match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        };
        let request = request.build().map_err(|error| NoResponse::Failed(self.broken(&error)))?;
        let asked = self.asked(&request);
        let response = self.client.execute(request).await;
        let response = response.map_err(|error| NoResponse::Failed(self.broken(&error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(NoResponse::Refused(Box::new(self.refusal(asked, response).await)))
    }

    async fn refusal(&self, asked: String, response: Response) -> RefusalResponse {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // The text explains the status. Without text the status alone must do.
        let body = timeout(self.patience.control, read_body(response, MAX_REFUSAL_BYTES)).await;
        let (body, _) = body.ok().and_then(Result::ok).unwrap_or_default();
        let mut words = Words::read(&body);
        // Some engines repeat the key that they refuse.
        if let Some(key) = self.key.as_deref().filter(|key| !key.is_empty()) {
            words.text = words.text.replace(key, "[key]");
        }
        RefusalResponse { asked, status, retry_after: seconds.map(Duration::from_secs), words }
    }

    /// What was asked, for messages. With a proxy it may be the proxy that has answered.
    fn asked(&self, request: &Request) -> String {
        let (method, path) = (request.method(), request.url().path());
        match &self.proxy {
            Some(proxy) => format!("{method} {path} (through the proxy {proxy})"),
            None => format!("{method} {path}"),
        }
    }

    /// The error for a failed exchange.
    fn broken(&self, error: &reqwest::Error) -> EngineError {
        match (EngineError::of_connection(error), &self.proxy) {
            (EngineError::Connection(reason), Some(proxy)) => EngineError::Connection(format!(
                "{reason} (through the proxy {proxy} that the environment names; NO_PROXY leaves it out)"
            )),
            (error, _) => error,
        }
    }
}

impl From<NoResponse> for EngineError {
    fn from(reason: NoResponse) -> EngineError {
        match reason {
            NoResponse::Refused(refusal) => (*refusal).into(),
            NoResponse::Failed(error) => error,
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8], path: &str) -> Result<T, EngineError> {
    serde_json::from_slice(body).map_err(|_| {
        let found = Words::read(body).text;
        EngineError::Unexpected(format!("{path}: expected an engine's JSON, found {found:?}"))
    })
}

/// At most `limit` bytes of a body, and whether they are all of it.
async fn read_body(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), EngineError> {
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await.map_err(|error| EngineError::of_connection(&error))?;
        let Some(piece) = piece else { return Ok((body, true)) };
        let room = limit - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return Ok((body, false));
        }
    }
}
