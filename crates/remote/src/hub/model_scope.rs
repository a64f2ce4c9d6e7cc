//! The interface of ModelScope.
//!
//! Source: `modelscope_hub` (the client library): lists are wrapped in `{Code, Success, Data}`, and
//! an error may have status 200. Files are named in the query.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Repository;
use super::checksum::Sha256Sum;
use super::listing::{ListedFile, Listing};
use crate::error::PullError;

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

/// What a repository holds.
pub(super) async fn list(repository: &Repository<'_>) -> Result<Listing, PullError> {
    let mut url = below(repository, &["repo", "files"]);
    let revision = branch(repository);
    url.query_pairs_mut().append_pair("Revision", revision).append_pair("Recursive", "True");
    let files: Files = data(repository, &url).await?;
    // The list is complete without the licence.
    let about: Option<About> = data(repository, &below(repository, &[])).await.ok();
    let licence = about.and_then(|about| about.license).filter(|licence| !licence.is_empty());
    let is_file = |file: &File| file.r#type.as_deref() != Some("tree");
    let listed = |file: File| ListedFile {
        bytes: file.size,
        sha256: file.sha256.as_deref().and_then(Sha256Sum::parse),
        path: file.path,
    };
    let files = files.files.into_iter().filter(is_file).map(listed).collect();
    // The list names no commit of its own, but the checksums of the files.
    Ok(Listing { licence, commit: None, files })
}

/// Where a file is asked for.
pub(super) fn url(repository: &Repository<'_>, path: &str) -> Url {
    let mut url = below(repository, &["repo"]);
    let revision = branch(repository);
    url.query_pairs_mut().append_pair("Revision", revision).append_pair("FilePath", path);
    url
}

async fn data<T: DeserializeOwned>(repository: &Repository<'_>, url: &Url) -> Result<T, PullError> {
    let (client, what) = (repository.client, repository.shown());
    let ask = async || -> Result<(Envelope<T>, Option<StatusCode>), PullError> {
        let envelope: Envelope<T> = client.json(url, &what).await?;
        let code = envelope.code.and_then(|code| u16::try_from(code).ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok());
        Ok((envelope, status.filter(|status| !status.is_success())))
    };
    let (mut envelope, mut refusal) = ask().await?;
    // A refusal in the body, while the status of the response was a success.
    if let Some(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) = refusal
        && client.forget_token(status)
    {
        (envelope, refusal) = ask().await?;
    }
    if let Some(status) = refusal {
        return Err(client.refused(status, &HeaderMap::new(), &what));
    }
    let is_success = envelope.success.unwrap_or(true);
    let data = envelope.data.filter(|_| is_success);
    data.ok_or_else(|| client.unexpected_response(&what, "an answer without data".to_owned()))
}

fn below(repository: &Repository<'_>, rest: &[&str]) -> Url {
    let start = ["api", "v1", "models", repository.owner, repository.name];
    repository.address.below(start.into_iter().chain(rest.iter().copied()))
}

fn branch<'a>(repository: &Repository<'a>) -> &'a str {
    repository.revision.unwrap_or("master")
}
