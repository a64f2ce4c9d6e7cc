//! The routes of conversations as files: exports and imports.

use super::api::json;
use super::body::{BodyLimit, Received, receive};
use super::conversations::{conversation_id, pairs, principal};
use super::error::ApiError;
use super::headers::no_store;
use super::state::Http;
use crate::conversations::{Conversations, Owner};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use banter_protocol::Fault;
use banter_protocol::conversations::{ExportFormat, ExportQuery, ImportReport, read_query};
use banter_protocol::v1::{ErrorCode, V1Error};
use banter_seam::Failure;
use banter_store::exchange::{
    ImportError, ImportLimits, Imported, JsonExport, KNOWN_FORMATS, export_json, export_markdown,
    import,
};
use banter_store::now_ms;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What file names need no percent encoding for.
const IN_NAMES: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// So many of the things that an import has left out are named.
const TOLD_LEFT_OUT: usize = 100;
/// The longest name of a file, in characters, without its ending. Titles in a report are cut to it.
const NAME_CHARACTERS: usize = 80;

/// One conversation as a file.
pub(super) async fn export(
    State(http): State<Arc<Http>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let query: ExportQuery = read_query(pairs(request.uri())).map_err(ApiError::Fault)?;
    let tree = http.conversations.tree(owner, conversation_id(&id)?).await?;
    let name = file_name(&tree.conversation.title);
    let (text, kind, name) = match query.format {
        ExportFormat::Json => {
            (export_json(&[tree], now_ms()), "application/json", format!("{name}.json"))
        }
        ExportFormat::Markdown => {
            (export_markdown(&tree), "text/markdown; charset=utf-8", format!("{name}.md"))
        }
    };
    Ok(file(text.into(), kind, &name))
}

/// All conversations as one file, archived ones too.
pub(super) async fn export_all(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.known_owner(principal(&http, &request)).await?;
    let all = AllConversations::begin(http.conversations.clone(), owner);
    let pieces = stream::unfold(all, |mut all| async move {
        let piece = all.next().await?;
        Some((piece, all))
    });
    Ok(file(Body::from_stream(pieces), "application/json", "banter-conversations.json"))
}

/// Takes the conversations of a file.
pub(super) async fn import_file(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let owner = http.conversations.owner(principal(&http, &request)).await?;
    let body = receive(&http, request, BodyLimit::Import).await?;
    let conversations = http.conversations.clone();
    // What was begun is done to its end, even if the client is gone.
    let imported = conversations.to_the_end(async move {
        // Reading a file takes much more memory than the file has bytes, so they are read one by
        // one.
        let permit =
            http.limits.import_permits.acquire().await.expect("the semaphore is never closed");
        let report = read_and_store(&http, owner, body).await;
        drop(permit);
        Ok(report)
    });
    Ok(json(StatusCode::OK, &imported.await??))
}

async fn read_and_store(
    http: &Http,
    owner: Owner,
    body: Received<Vec<u8>>,
) -> Result<ImportReport, ApiError> {
    let limits = ImportLimits {
        file_bytes: http.config.max_import_bytes,
        answer_bytes: http.store.limits().answer_bytes,
        ..ImportLimits::default()
    };
    // The memory of the body goes back when it has been read.
    let read = tokio::task::spawn_blocking(move || {
        let Received { value, memory } = body;
        let read = import(&value, &limits);
        drop((value, memory));
        read
    });
    let read = read.await.map_err(|_| V1Error::from(ErrorCode::Internal))?.map_err(bad_file)?;
    Ok(store_all(&http.conversations, owner, read).await)
}

/// Stores what was read, and says what became of it.
async fn store_all(conversations: &Conversations, owner: Owner, read: Imported) -> ImportReport {
    let mut report = ImportReport {
        conversations: 0,
        messages: 0,
        left_out: read.left_out.iter().map(ToString::to_string).collect(),
        left_out_count: read.left_out_count as u64,
    };
    // Files have the newest first, and what is stored last is the newest.
    for conversation in read.conversations.into_iter().rev() {
        let title = conversation.title.clone();
        match conversations.import(owner, conversation).await {
            Ok(messages) => {
                report.conversations += 1;
                report.messages += messages as u64;
            }
            Err(error) => {
                report.left_out_count += 1;
                if report.left_out.len() < TOLD_LEFT_OUT {
                    let title: String = title.chars().take(NAME_CHARACTERS).collect();
                    report.left_out.push(format!("{title:?}: {error}"));
                }
            }
        }
    }
    report
}

/// Why a whole file is refused. A page tells the reasons apart by the code and the field.
fn bad_file(error: ImportError) -> ApiError {
    let invalid = |field: &str, expected: String, found: String| {
        Failure::InvalidParameter { field: field.into(), expected, found }.into()
    };
    match error {
        ImportError::TooLarge { .. } => ApiError::TooLarge,
        ImportError::NotJson { reason } => Fault::BadJson { reason }.into(),
        ImportError::UnknownFormat { found } => invalid("format", KNOWN_FORMATS.into(), found),
        ImportError::NewerVersion { found, known } => {
            invalid("version", format!("a number up to {known}"), found.to_string())
        }
        error => V1Error::new(ErrorCode::InvalidParameter, error.to_string()).into(),
    }
}

/// All conversations of a user, one after another, as the pieces of one file.
struct AllConversations {
    conversations: Conversations,
    owner: Owner,
    export: Option<JsonExport<Pieces>>,
    pieces: Pieces,
    /// Those that are still to come; `None` until they are listed.
    left: Option<VecDeque<banter_store::ConversationId>>,
}

/// What was written and not sent yet.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<u8>>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pieces {
    fn take(&self) -> Bytes {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *bytes).into()
    }
}

impl AllConversations {
    fn begin(conversations: Conversations, owner: Owner) -> AllConversations {
        let pieces = Pieces::default();
        let export = JsonExport::begin(pieces.clone(), now_ms()).ok();
        AllConversations { conversations, owner, export, pieces, left: None }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, V1Error>> {
        let mut export = self.export.take()?;
        loop {
            let id = match self.next_id().await {
                Ok(Some(id)) => id,
                Ok(None) => {
                    export.finish().expect("writing to memory does not fail");
                    return Some(Ok(self.pieces.take()));
                }
                Err(error) => return Some(Err(error)),
            };
            match self.conversations.tree(self.owner, id).await {
                Ok(tree) => export.add(&tree).expect("writing to memory does not fail"),
                // It was deleted in the meantime.
                Err(V1Error { code: ErrorCode::UnknownConversation, .. }) => continue,
                Err(error) => return Some(Err(error)),
            }
            self.export = Some(export);
            return Some(Ok(self.pieces.take()));
        }
    }

    /// The next conversation. All of them are listed at the beginning: a list that is read in parts
    /// would miss those that get a message in between.
    async fn next_id(&mut self) -> Result<Option<banter_store::ConversationId>, V1Error> {
        if self.left.is_none() {
            self.left = Some(self.conversations.ids(self.owner).await?.into());
        }
        Ok(self.left.as_mut().and_then(VecDeque::pop_front))
    }
}

/// A response that a browser stores as a file.
fn file(content: Body, kind: &'static str, name: &str) -> Response<Body> {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let encoded = utf8_percent_encode(name, &IN_NAMES);
    let disposition = format!("attachment; filename*=UTF-8''{encoded}");
    let disposition = HeaderValue::from_str(&disposition).expect("percent encoding is ASCII");
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    no_store(headers);
    response
}

/// A name for a file, made of a title. No system gives any of its characters a meaning.
fn file_name(title: &str) -> String {
    let is_odd = |character: char| {
        character.is_control() || "\\/:*?\"<>|".contains(character) || character == '\u{202e}'
    };
    let name: String = title
        .chars()
        .map(|character| if is_odd(character) { ' ' } else { character })
        .take(NAME_CHARACTERS)
        .collect();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = name.trim_matches(['.', ' ']).to_owned();
    if name.is_empty() { "conversation".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_a_name_that_every_system_takes() {
        let cases = [
            ("", "conversation"),
            ("...", "conversation"),
            ("../../etc/passwd", "etc passwd"),
            ("What is 1/2?\n", "What is 1 2"),
            ("天空 为什么 蓝", "天空 为什么 蓝"),
            ("a\u{202e}txt.exe", "a txt.exe"),
        ];
        for (title, expected) in cases {
            assert_eq!(file_name(title), expected, "{title:?}");
        }
    }
}
