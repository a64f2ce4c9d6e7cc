//! One piece of a file from the hub, tried until it is there or the patience ends.

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use super::page;
use super::part::{Part, PartFacts, Span};
use crate::error::{Kept, PullError};
use crate::hub::asking::{HubClient, authority};
use crate::hub::{SourceFile, meant_by};
use crate::patience::Tries;
use crate::progress::{Phase, Progress};

/// The address of a file's bytes, once the hub has told it.
///
/// Hubs limit how often they are asked for a file, not how much of it is fetched, so they are asked
/// once for all pieces. The address that they tell is signed and valid for a while; then they are
/// asked again.
#[derive(Debug, Default)]
pub(super) struct Location(Mutex<Option<Url>>);

impl Location {
    /// Asks for a part of a file.
    async fn ask(
        &self,
        client: &HubClient,
        file: &SourceFile,
        headers: &HeaderMap,
    ) -> Result<Response, PullError> {
        loop {
            let mut known = self.0.lock().await;
            let Some(url) = known.clone() else {
                // The other requests for this file wait for this answer.
                let response = client.get(&file.url, headers).await?;
                if response.status().is_success() {
                    *known = Some(response.url().clone());
                }
                return Ok(response);
            };
            drop(known);
            let outcome = client.get(&url, headers).await;
            if url == file.url || !is_over(&outcome) {
                return outcome;
            }
            let mut known = self.0.lock().await;
            if known.as_ref() == Some(&url) {
                *known = None;
            }
        }
    }
}

/// Whether an address that the hub has told is not valid any more.
fn is_over(outcome: &Result<Response, PullError>) -> bool {
    const OTHERWISE: [StatusCode; 2] =
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::RANGE_NOT_SATISFIABLE];
    match outcome {
        Ok(response) => {
            let status = response.status();
            status.is_client_error() && !OTHERWISE.contains(&status)
        }
        Err(_) => true,
    }
}

/// Asks how large a file is, and whether the hub serves parts of it.
pub(super) async fn probe(
    client: &HubClient,
    file: &SourceFile,
    location: &Location,
) -> Result<PartFacts, PullError> {
    let mut tries = Tries::new(client.trying());
    loop {
        match probe_once(client, file, location).await {
            Ok(facts) => return Ok(facts),
            Err(error) => tries.wait_after(error).await?,
        }
    }
}

async fn probe_once(
    client: &HubClient,
    file: &SourceFile,
    location: &Location,
) -> Result<PartFacts, PullError> {
    let response = location.ask(client, file, &part_of("bytes=0-0".to_owned())).await?;
    // An empty file has no first byte.
    let is_empty = response.status() == StatusCode::RANGE_NOT_SATISFIABLE && file.bytes == Some(0);
    let response = if is_empty { response } else { client.checked(response, &file.name)? };
    let kind = header(&response, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_page = kind.trim_start().to_ascii_lowercase().starts_with("text/html");
    if is_page && !page::is_licence(&file.name) {
        return Err(no_model(file, response.url(), "a web page"));
    }
    let has_ranges = response.status() == StatusCode::PARTIAL_CONTENT;
    let found = if has_ranges {
        ContentRange::of(&response).map(|range| range.total)
    } else if is_empty {
        Some(0)
    } else {
        header(&response, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok())
    };
    let bytes =
        found.ok_or_else(|| client.unexpected_response(&file.name, "no length".to_owned()))?;
    if let Some(expected) = file.bytes.filter(|expected| *expected != bytes) {
        let found = format!("expected {expected} bytes, found {bytes}");
        return Err(client.unexpected_response(&file.name, found));
    }
    // A file with a checksum needs no version; mirrors name versions differently.
    let version = file.sha256.is_none().then(|| version(&response).map(str::to_owned));
    Ok(PartFacts {
        name: file.name.clone(),
        bytes,
        sha256: file.sha256,
        version: version.flatten(),
        has_ranges,
    })
}

/// A piece to fetch.
pub(super) struct Job<'a> {
    pub(super) client: &'a HubClient,
    pub(super) file: &'a SourceFile,
    pub(super) location: &'a Location,
    pub(super) part: &'a Part,
    pub(super) progress: &'a Progress,
}

impl Job<'_> {
    /// Fetches the piece. If the future is dropped, the piece is missing again.
    pub(super) async fn run(&self, span: Span) -> Result<(), PullError> {
        let mut piece = Fetched { job: self, span, at: span.start, is_settled: false };
        let mut tries = Tries::new(self.client.trying());
        loop {
            let before = piece.at;
            let Err(error) = piece.fetch().await else { return piece.settle() };
            if piece.at > before && self.part.facts.has_ranges {
                tries.succeeded();
            }
            if !self.part.facts.has_ranges {
                piece.start_again();
            }
            tries.wait_after(error).await?;
        }
    }
}

/// A piece whose bytes before `at` are written.
struct Fetched<'a> {
    job: &'a Job<'a>,
    span: Span,
    at: u64,
    is_settled: bool,
}

impl Fetched<'_> {
    async fn fetch(&mut self) -> Result<(), PullError> {
        let Job { client, file, location, part, progress } = self.job;
        let mut headers = part_of(format!("bytes={}-{}", self.at, self.span.end - 1));
        if let Some(version) = part.facts.strong_version() {
            // If the file has changed, the hub sends all of it, and that is noticed below.
            headers.insert(IF_RANGE, version);
        }
        let response = location.ask(client, file, &headers).await?;
        let mut response = client.checked(response, &file.name)?;
        self.check_version(&response)?;
        self.check_range(&response)?;
        let url = response.url().clone();
        while let Some(bytes) =
            response.chunk().await.map_err(|error| client.broken(&error, &url))?
        {
            if bytes.len() as u64 > self.span.end - self.at {
                return Err(
                    client.unexpected_response(&file.name, "more bytes than asked for".to_owned())
                );
            }
            part.write(&bytes, self.at)?;
            self.at += bytes.len() as u64;
            progress.add(bytes.len() as u64);
            progress.set_phase(Phase::Fetching);
        }
        if self.at == self.span.end {
            return self.check_beginning(&url);
        }
        let reason = format!("the connection ended {} bytes early", self.span.end - self.at);
        let host = authority(&url);
        Err(PullError::Unreachable { host, proxy: None, reason, kept: Kept::Nothing })
    }

    /// Checks that the answer has the same version of the file as the pieces before.
    fn check_version(&self, response: &Response) -> Result<(), PullError> {
        let Job { file, part, .. } = self.job;
        let known = part.facts.version.as_deref();
        match known.zip(version(response)) {
            Some((known, found)) if known != found => {
                let host = authority(response.url());
                Err(PullError::Changed { what: file.name.clone(), host })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the answer is the part that was asked for.
    fn check_range(&self, response: &Response) -> Result<(), PullError> {
        let Job { client, file, part, .. } = self.job;
        if !part.facts.has_ranges {
            return Ok(());
        }
        let asked =
            ContentRange { start: self.at, last: self.span.end - 1, total: part.facts.bytes };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        match ContentRange::of(response).filter(|_| is_part) {
            Some(found) if found == asked => Ok(()),
            Some(found) => Err(client
                .unexpected_response(&file.name, format!("expected bytes {asked}, found {found}"))),
            None => {
                let found = format!("expected bytes {asked}, found the whole file");
                Err(client.unexpected_response(&file.name, found))
            }
        }
    }

    /// Checks that the first bytes can be those of a model's file.
    fn check_beginning(&self, url: &Url) -> Result<(), PullError> {
        let Job { file, part, .. } = self.job;
        if self.span.start > 0 || page::is_licence(&file.name) {
            return Ok(());
        }
        let found = page::stand_in(&part.beginning(page::LOOKED_AT_BYTES)?);
        found.map_or(Ok(()), |found| Err(no_model(file, url, found)))
    }

    /// Drops what was fetched of the piece. Without ranges every try begins at the first byte.
    fn start_again(&mut self) {
        self.job.progress.take_back(self.at - self.span.start);
        self.at = self.span.start;
    }

    fn settle(&mut self) -> Result<(), PullError> {
        self.is_settled = true;
        self.job.part.settle(self.span)
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.start_again();
            self.job.part.give_back(self.span);
        }
    }
}

fn no_model(file: &SourceFile, found_at: &Url, found: &'static str) -> PullError {
    PullError::NotAModel {
        what: file.name.clone(),
        host: authority(found_at),
        found,
        name: meant_by(&file.url).map(|name| name.to_string()),
    }
}

fn part_of(range: String) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, HeaderValue::try_from(range).expect("a range is plain ASCII"));
    // A compressed answer would have other bytes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// What the server calls this version of a file.
fn version(response: &Response) -> Option<&str> {
    header(response, ETAG.as_str()).or_else(|| header(response, LAST_MODIFIED.as_str()))
}

/// `Content-Range: bytes START-LAST/TOTAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    last: u64,
    total: u64,
}

impl ContentRange {
    fn of(response: &Response) -> Option<ContentRange> {
        let text = header(response, CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?;
        let (range, total) = text.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse().ok();
        Some(ContentRange { start: number(start)?, last: number(last)?, total: number(total)? })
    }
}

impl std::fmt::Display for ContentRange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}/{}", self.start, self.last, self.total)
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
