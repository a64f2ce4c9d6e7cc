//! The interface of Hugging Face and its mirrors.
//!
//! Source: `huggingface_hub` 2.4: one request lists a repository with sizes and checksums. What the
//! list leaves out is in the first response for the file itself (`X-Linked-Size`, `X-Linked-Etag`),
//! before the redirect to its bytes. The list names its commit, and files are asked for at that
//! commit, so that the list and the files belong together.

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use serde::Deserialize;
use url::Url;

use super::Repository;
use super::checksum::Sha256Sum;
use super::listing::{ListedFile, Listing};
use super::name::is_word;
use crate::error::PullError;

#[derive(Deserialize)]
struct Answer {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Card {
    license: Option<serde_json::Value>,
    license_name: Option<String>,
}

/// Lists a repository.
pub(super) async fn list(repository: &Repository<'_>) -> Result<Listing, PullError> {
    let Repository { client, address, owner, name, revision } = *repository;
    let revision = revision.map(|revision| ["revision", revision]);
    let path = ["api", "models", owner, name].into_iter().chain(revision.into_iter().flatten());
    let mut url = address.below(path);
    url.set_query(Some("blobs=true"));
    let answer: Answer = client.json(&url, &repository.shown()).await?;
    let licence = licence(&answer);
    let commit = answer.sha.filter(|sha| is_word(sha));
    Ok(Listing { licence, commit, files: files(answer.siblings) })
}

/// The URL of a file.
pub(super) fn url(repository: &Repository<'_>, path: &str) -> Url {
    let Repository { address, owner, name, revision, .. } = *repository;
    let start = [owner, name, "resolve", revision.unwrap_or("main")];
    address.below(start.into_iter().chain(path.split('/')))
}

/// Asks about one file, for which the list has no size or checksum.
pub(super) async fn look_up(
    repository: &Repository<'_>,
    path: &str,
) -> Result<ListedFile, PullError> {
    let client = repository.client;
    let what = format!("{}:{path}", repository.shown());
    let asked = client.trying().once(async || {
        let answer = client.head(&url(repository, path)).await?;
        match answer.status() {
            status if status.is_success() || status.is_redirection() => Ok(answer),
            status => Err(client.refused(status, answer.headers(), &what)),
        }
    });
    let answer = asked.await?;
    let (status, headers) = (answer.status(), answer.headers());
    // In a redirect, the length is that of the redirect itself.
    let own_length = status.is_success().then_some(CONTENT_LENGTH.as_str());
    let lengths = ["x-linked-size"].into_iter().chain(own_length);
    let sums = ["x-linked-etag", ETAG.as_str()];
    Ok(ListedFile {
        path: path.to_owned(),
        bytes: lengths.into_iter().find_map(|name| text(headers, name)?.parse().ok()),
        sha256: sums.into_iter().find_map(|name| {
            Sha256Sum::parse(text(headers, name)?.trim_start_matches("W/").trim_matches('"'))
        }),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn files(siblings: Vec<Sibling>) -> Vec<ListedFile> {
    let file = |sibling: Sibling| {
        let lfs = sibling.lfs.as_ref();
        ListedFile {
            bytes: lfs.and_then(|lfs| lfs.size).or(sibling.size),
            sha256: lfs.and_then(|lfs| Sha256Sum::parse(lfs.sha256.as_deref()?)),
            path: sibling.rfilename,
        }
    };
    siblings.into_iter().map(file).collect()
}

/// The licence: its own name if it has one, because `other` says nothing.
fn licence(answer: &Answer) -> Option<String> {
    let card = answer.card.as_ref();
    let named = card.and_then(|card| card.license_name.clone());
    let stated = card.and_then(|card| match card.license.as_ref()? {
        serde_json::Value::String(one) => Some(one.clone()),
        serde_json::Value::Array(many) => many.first()?.as_str().map(str::to_owned),
        _ => None,
    });
    let tag = answer.tags.iter().find_map(|tag| tag.strip_prefix("license:").map(str::to_owned));
    named.or(stated).or(tag)
}
