//! One piece from the hub, tried until it is there or patience ends.

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use reqwest::{Response, StatusCode};

use super::part::{Part, PartFacts, Span};
use super::patience::{Patience, Tries};
use super::progress::{Phase, Progress};
use crate::error::{Kept, PullError};
use crate::hub::SourceFile;
use crate::hub::asking::Place;

/// Asks how large a file is and whether parts of it can be had.
pub(super) async fn probe(
    place: &Place,
    file: &SourceFile,
    patience: Patience,
) -> Result<PartFacts, PullError> {
    let mut tries = Tries::new(patience);
    loop {
        match probe_once(place, file).await {
            Ok(facts) => return Ok(facts),
            Err(error) => tokio::time::sleep(tries.failed(error)?).await,
        }
    }
}

async fn probe_once(place: &Place, file: &SourceFile) -> Result<PartFacts, PullError> {
    let response = ask(place, file, "bytes=0-0").await?;
    // The whole of nothing: there is no first byte.
    let is_empty = response.status() == StatusCode::RANGE_NOT_SATISFIABLE && file.bytes == Some(0);
    let response = if is_empty { response } else { place.checked(response, &file.name)? };
    let has_ranges = response.status() == StatusCode::PARTIAL_CONTENT;
    let found = if has_ranges {
        ContentRange::of(&response).map(|range| range.total)
    } else if is_empty {
        Some(0)
    } else {
        header(&response, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok())
    };
    let bytes = found.ok_or_else(|| place.strange(&file.name, "no length".to_owned()))?;
    if let Some(expected) = file.bytes.filter(|expected| *expected != bytes) {
        let found = format!("expected {expected} bytes, found {bytes}");
        return Err(place.strange(&file.name, found));
    }
    // Versions of bytes that have a checksum do not matter: mirrors name them as they like.
    let etag = file.sha256.is_none().then(|| header(&response, ETAG.as_str()).map(str::to_owned));
    Ok(PartFacts {
        name: file.name.clone(),
        bytes,
        sha256: file.sha256,
        etag: etag.flatten(),
        has_ranges,
    })
}

/// A piece to fetch.
pub(super) struct Job<'a> {
    pub(super) place: &'a Place,
    pub(super) file: &'a SourceFile,
    pub(super) part: &'a Part,
    pub(super) progress: &'a Progress,
    pub(super) patience: Patience,
}

impl Job<'_> {
    /// Fetches the piece. Dropping the future gives it back.
    pub(super) async fn run(&self, span: Span) -> Result<(), PullError> {
        let mut piece = Fetched { job: self, span, at: span.start, is_settled: false };
        let mut tries = Tries::new(self.patience);
        loop {
            let before = piece.at;
            let Err(error) = piece.fetch().await else { return piece.settle() };
            if piece.at > before && self.part.facts.has_ranges {
                tries.succeeded();
            }
            let pause = tries.failed(error)?;
            if !self.part.facts.has_ranges {
                piece.start_again();
            }
            self.progress.set_phase(Phase::Waiting);
            tokio::time::sleep(pause).await;
        }
    }
}

/// A piece of which the bytes before `at` are written.
struct Fetched<'a> {
    job: &'a Job<'a>,
    span: Span,
    at: u64,
    is_settled: bool,
}

impl Fetched<'_> {
    async fn fetch(&mut self) -> Result<(), PullError> {
        let Job { place, file, part, progress, .. } = self.job;
        let response =
            ask(place, file, &format!("bytes={}-{}", self.at, self.span.end - 1)).await?;
        let mut response = place.checked(response, &file.name)?;
        self.check_range(&response)?;
        while let Some(bytes) = response.chunk().await.map_err(|error| place.broken(&error))? {
            if bytes.len() as u64 > self.span.end - self.at {
                return Err(place.strange(&file.name, "more bytes than asked for".to_owned()));
            }
            part.write(&bytes, self.at)?;
            self.at += bytes.len() as u64;
            progress.add(bytes.len() as u64);
            progress.set_phase(Phase::Fetching);
        }
        if self.at == self.span.end {
            return Ok(());
        }
        let reason = format!("the connection ended {} bytes early", self.span.end - self.at);
        let host = place.host().to_owned();
        Err(PullError::Unreachable { host, reason, kept: Kept::Nothing })
    }

    /// Whether the answer is the part that was asked for.
    fn check_range(&self, response: &Response) -> Result<(), PullError> {
        let Job { place, file, part, .. } = self.job;
        if !part.facts.has_ranges {
            return Ok(());
        }
        let asked =
            ContentRange { start: self.at, last: self.span.end - 1, total: part.facts.bytes };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        match ContentRange::of(response).filter(|_| is_part) {
            Some(found) if found == asked => Ok(()),
            Some(found) => {
                Err(place.strange(&file.name, format!("expected bytes {asked}, found {found}")))
            }
            None => {
                let found = format!("expected bytes {asked}, found the whole file");
                Err(place.strange(&file.name, found))
            }
        }
    }

    /// Without ranges every try begins at the first byte.
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

async fn ask(place: &Place, file: &SourceFile, range: &str) -> Result<Response, PullError> {
    // A compressed answer would be another file.
    let request = place.get(&file.url).header(RANGE, range).header(ACCEPT_ENCODING, "identity");
    request.send().await.map_err(|error| place.broken(&error))
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
