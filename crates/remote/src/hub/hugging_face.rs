//! Hugging Face, and mirrors of it.
//!
//! Source: `huggingface_hub` 2.4: one request lists a repository with sizes and checksums; what the
//! list leaves out stands in the first answer for the file itself (`X-Linked-Size`,
//! `X-Linked-Etag`), before the redirect to where it lies.

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use serde::Deserialize;
use url::Url;

use super::asking::Place;
use super::checksum::Sha256Sum;
use super::listing::{ListedFile, Listing, MAX_FILES, is_usable};
use crate::address::Address;
use crate::error::PullError;

/// A repository at Hugging Face.
pub(super) struct Repository<'a> {
    pub(super) place: &'a Place,
    pub(super) address: &'a Address,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) revision: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
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

impl Repository<'_> {
    pub(super) async fn list(&self) -> Result<Listing, PullError> {
        let what = format!("hf:{}/{}", self.owner, self.name);
        let mut url = match self.revision {
            None => self.address.below(["api", "models", self.owner, self.name]),
            Some(revision) => {
                let path = ["api", "models", self.owner, self.name, "revision", revision];
                self.address.below(path)
            }
        };
        url.set_query(Some("blobs=true"));
        let answer: Answer = self.place.json(&url, &what).await?;
        if answer.siblings.len() > MAX_FILES {
            let found = format!("{} files", answer.siblings.len());
            return Err(self.place.strange(&what, found));
        }
        Ok(Listing { licence: licence(&answer), files: files(answer.siblings) })
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let revision = self.revision.unwrap_or("main");
        let start = [self.owner, self.name, "resolve", revision];
        self.address.below(start.into_iter().chain(path.split('/')))
    }

    /// What the hub says about one file, where its list said nothing.
    pub(super) async fn look_up(&self, path: &str) -> Result<ListedFile, PullError> {
        let what = format!("hf:{}/{}:{path}", self.owner, self.name);
        let answer = self.place.head(&self.url(path)).send().await;
        let answer = answer.map_err(|error| self.place.broken(&error))?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.place.refused(status, answer.headers(), &what));
        }
        let own_length = status.is_success().then_some(CONTENT_LENGTH.as_str());
        let headers = answer.headers();
        let bytes = ["x-linked-size"].into_iter().chain(own_length);
        let sums = ["x-linked-etag", ETAG.as_str()];
        Ok(ListedFile {
            path: path.to_owned(),
            bytes: bytes.into_iter().find_map(|name| text(headers, name)?.parse().ok()),
            sha256: sums.into_iter().find_map(|name| {
                Sha256Sum::parse(text(headers, name)?.trim_start_matches("W/").trim_matches('"'))
            }),
        })
    }
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
    siblings.into_iter().filter(|sibling| is_usable(&sibling.rfilename)).map(file).collect()
}

/// The licence's own name where it has one: `other` says nothing.
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
