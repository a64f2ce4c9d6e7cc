//! ModelScope, whose interface is its own.
//!
//! Source: `modelscope_hub` (the client library): lists come wrapped in `{Code, Success, Data}`, and
//! an error may come with status 200. Files are named in the query.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::asking::Place;
use super::checksum::Sha256Sum;
use super::listing::{ListedFile, Listing, MAX_FILES, is_usable};
use crate::address::Address;
use crate::error::PullError;

/// A repository at ModelScope.
pub(super) struct Repository<'a> {
    pub(super) place: &'a Place,
    pub(super) address: &'a Address,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) revision: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope<T> {
    code: Option<u64>,
    success: Option<bool>,
    data: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Files {
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    path: String,
    size: Option<u64>,
    sha256: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    license: Option<String>,
}

impl Repository<'_> {
    pub(super) async fn list(&self) -> Result<Listing, PullError> {
        let what = self.what();
        let mut url = self.below(&["repo", "files"]);
        url.query_pairs_mut()
            .append_pair("Revision", self.branch())
            .append_pair("Recursive", "True");
        let files: Files = self.data(&url, &what).await?;
        if files.files.len() > MAX_FILES {
            let found = format!("{} files", files.files.len());
            return Err(self.place.strange(&what, found));
        }
        // A list without a licence is still a list.
        let about: Option<About> = self.data(&self.below(&[]), &what).await.ok();
        let licence = about.and_then(|about| about.license).filter(|licence| !licence.is_empty());
        let is_file = |file: &File| file.r#type.as_deref() != Some("tree") && is_usable(&file.path);
        let listed = |file: File| ListedFile {
            bytes: file.size,
            sha256: file.sha256.as_deref().and_then(Sha256Sum::parse),
            path: file.path,
        };
        let files = files.files.into_iter().filter(is_file).map(listed).collect();
        Ok(Listing { licence, files })
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.below(&["repo"]);
        url.query_pairs_mut().append_pair("Revision", self.branch()).append_pair("FilePath", path);
        url
    }

    async fn data<T: DeserializeOwned>(&self, url: &Url, what: &str) -> Result<T, PullError> {
        let envelope: Envelope<T> = self.place.json(url, what).await?;
        let code = envelope.code.and_then(|code| u16::try_from(code).ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok());
        match status {
            Some(status) if !status.is_success() => {
                return Err(self.place.refused(status, &HeaderMap::new(), what));
            }
            _ => {}
        }
        let is_success = envelope.success.unwrap_or(true);
        let data = envelope.data.filter(|_| is_success);
        data.ok_or_else(|| self.place.strange(what, "an answer without data".to_owned()))
    }

    fn below(&self, rest: &[&str]) -> Url {
        let start = ["api", "v1", "models", self.owner, self.name];
        self.address.below(start.into_iter().chain(rest.iter().copied()))
    }

    fn branch(&self) -> &str {
        self.revision.unwrap_or("master")
    }

    fn what(&self) -> String {
        format!("ms:{}/{}", self.owner, self.name)
    }
}
