//! A fake hub that answers as Hugging Face and as ModelScope do, with files of its own.
//!
//! As at Hugging Face, the first response for a file is a redirect with size and checksum in its
//! headers, and the bytes are at another path. As at ModelScope, a file is named in the query.
//! Tricks are played in the order in which they were set, one for each request.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::routing::get;
use axum::serve::Listener;
use futures_util::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::tls::Tls;
use super::trick::{Trick, instead, part, status, whole};

/// Which requests a trick is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Questions about a repository.
    List,
    /// Questions where a file is.
    Resolve,
    /// Requests for bytes.
    Bytes,
}

/// A request as the hub saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method, path and query.
    pub line: String,
    /// Its `Range`.
    pub range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

/// A running fake hub. It ends when dropped.
pub struct FakeHub {
    shared: Arc<Shared>,
    scheme: &'static str,
    address: SocketAddr,
    _end: oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    repositories: Mutex<BTreeMap<String, Repository>>,
    tricks: Mutex<Vec<(Target, VecDeque<Trick>)>>,
    always: Mutex<Vec<(Target, Trick)>>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    refuses_tokens: Mutex<bool>,
    claimed: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone, Default)]
struct Repository {
    licence: Option<String>,
    /// Every state since the first file, the latest last.
    commits: Vec<Vec<File>>,
    lists_checksums: bool,
}

#[derive(Clone)]
struct File {
    path: String,
    bytes: Bytes,
    sha256: String,
}

impl Repository {
    fn files(&self) -> &[File] {
        self.commits.last().map_or(&[], Vec::as_slice)
    }

    /// The name of the latest state.
    fn head(&self) -> String {
        format!("{:040x}", self.commits.len())
    }

    /// The files of a commit by its name; of any other revision the latest.
    fn files_at(&self, revision: &str) -> &[File] {
        let number = usize::from_str_radix(revision, 16).ok().filter(|_| revision.len() == 40);
        let commit = number.and_then(|number| self.commits.get(number.checked_sub(1)?));
        commit.map_or(self.files(), Vec::as_slice)
    }
}

type Hub = State<Arc<Shared>>;
type Named = Path<(String, String)>;
type NamedFile = Path<(String, String, String)>;

/// Writes every request down before it is answered.
async fn note(State(hub): Hub, request: axum::extract::Request, next: Next) -> Response<Body> {
    hub.note(request.method(), request.uri(), request.headers());
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    if has_token && *hub.refuses_tokens.lock().expect("no holder panics") {
        return status(401);
    }
    next.run(request).await
}

impl FakeHub {
    /// Starts a hub without repositories on a free port of loopback.
    pub fn start() -> FakeHub {
        FakeHub::listen(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
    }

    /// Starts a hub on a listener.
    pub fn listen(listener: TcpListener) -> FakeHub {
        FakeHub::serve(listener, "http", |listener| listener)
    }

    /// Starts a hub behind TLS, and returns its certificate (PEM).
    pub fn start_encrypted() -> (FakeHub, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let (tls, certificate) = Tls::for_loopback();
        let hub = FakeHub::serve(listener, "https", |listener| tls.on(listener));
        (hub, certificate)
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(
        listener: TcpListener,
        scheme: &'static str,
        wrap: impl FnOnce(tokio::net::TcpListener) -> L + Send + 'static,
    ) -> FakeHub {
        let address = listener.local_addr().expect("a bound listener has an address");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let shared = Arc::new(Shared::default());
        let router = router(shared.clone());
        let (end, ended) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("in a runtime");
                tokio::select! {
                    _ = axum::serve(wrap(listener), router).into_future() => {}
                    _ = ended => {}
                }
            });
        });
        FakeHub { shared, scheme, address, _end: end }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Adds a file to a repository, which is made if it is new.
    pub fn add(&self, repository: &str, path: &str, bytes: impl Into<Bytes>) {
        let mut repositories = self.shared.repositories.lock().expect("no holder panics");
        let new = || Repository { lists_checksums: true, ..Repository::default() };
        let repository = repositories.entry(repository.to_owned()).or_insert_with(new);
        let (path, bytes) = (path.to_owned(), bytes.into());
        let mut files = repository.files().to_vec();
        files.retain(|known| known.path != path);
        files.push(File { path, sha256: sha256(&bytes), bytes });
        repository.commits.push(files);
    }

    /// Refuses every token from now on, but answers requests without one.
    pub fn refuse_tokens(&self) {
        *self.shared.refuses_tokens.lock().expect("no holder panics") = true;
    }

    /// States the licence of a repository.
    pub fn license(&self, repository: &str, licence: &str) {
        let mut repositories = self.shared.repositories.lock().expect("no holder panics");
        repositories.entry(repository.to_owned()).or_default().licence = Some(licence.to_owned());
    }

    /// Leaves sizes and checksums out of the list, as mirrors do.
    pub fn list_names_only(&self, repository: &str) {
        let mut repositories = self.shared.repositories.lock().expect("no holder panics");
        repositories.entry(repository.to_owned()).or_default().lists_checksums = false;
    }

    /// Says that a file of this length is at a path. A request for its bytes never ends.
    pub fn claim_length(&self, path: &str, bytes: u64) {
        let mut claimed = self.shared.claimed.lock().expect("no holder panics");
        claimed.insert(format!("/{path}"), bytes);
    }

    /// Plays a trick on each of the next requests.
    pub fn play(&self, target: Target, tricks: impl IntoIterator<Item = Trick>) {
        let mut queues = self.shared.tricks.lock().expect("no holder panics");
        queues.push((target, tricks.into_iter().collect()));
    }

    /// Plays a trick on every request from now on.
    pub fn always(&self, target: Target, trick: Trick) {
        self.shared.always.lock().expect("no holder panics").push((target, trick));
    }

    /// Ends all tricks.
    pub fn behave(&self) {
        self.shared.tricks.lock().expect("no holder panics").clear();
        self.shared.always.lock().expect("no holder panics").clear();
    }

    /// Waits until a request has come for which `is_it` is true.
    ///
    /// Panics if none has come for a minute.
    pub fn wait_for(&self, is_it: impl Fn(&Request) -> bool) {
        let requests = self.shared.requests.lock().expect("no holder panics");
        let waits = |requests: &mut Vec<Request>| !requests.iter().any(&is_it);
        let minute = Duration::from_secs(60);
        let arrived = &self.shared.arrived;
        let waiting = arrived.wait_timeout_while(requests, minute, waits);
        let (requests, waited) = waiting.expect("no holder panics");
        drop(requests);
        assert!(!waited.timed_out(), "the request has not come");
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.requests.lock().expect("no holder panics"))
    }
}

impl Shared {
    fn trick(&self, target: Target) -> Option<Trick> {
        let mut queues = self.tricks.lock().expect("no holder panics");
        let queued = queues.iter_mut().filter(|(queue, _)| *queue == target);
        let next = queued.into_iter().find_map(|(_, tricks)| tricks.pop_front());
        let always = self.always.lock().expect("no holder panics");
        next.or_else(|| Some(always.iter().find(|(queue, _)| *queue == target)?.1.clone()))
    }

    fn repository(&self, owner: &str, name: &str) -> Option<Repository> {
        let repositories = self.repositories.lock().expect("no holder panics");
        repositories.get(&format!("{owner}/{name}")).cloned()
    }

    fn file(&self, wanted: &Wanted) -> Option<File> {
        let repository = self.repository(&wanted.owner, &wanted.name)?;
        let files = repository.files_at(&wanted.revision);
        files.iter().find(|known| known.path == wanted.path).cloned()
    }

    fn note(&self, method: &Method, uri: &Uri, headers: &HeaderMap) {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let request = Request {
            line: format!("{method} {uri}"),
            range: text(header::RANGE),
            authorization: text(header::AUTHORIZATION),
        };
        self.requests.lock().expect("no holder panics").push(request);
        self.arrived.notify_all();
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/models/{owner}/{name}", get(face_list))
        .route("/api/models/{owner}/{name}/revision/{revision}", get(face_list_of_revision))
        .route("/{owner}/{name}", get(page))
        .route("/{owner}/{name}/blob/{revision}/{*path}", get(page))
        .route("/{owner}/{name}/resolve/{revision}/{*path}", get(face_file))
        .route("/bytes/{owner}/{name}/{*path}", get(bytes))
        .route("/api/v1/models/{owner}/{name}", get(scope_about))
        .route("/api/v1/models/{owner}/{name}/repo/files", get(scope_list))
        .route("/api/v1/models/{owner}/{name}/repo", get(scope_file))
        .fallback(claimed)
        .layer(axum::middleware::from_fn_with_state(shared.clone(), note))
        .with_state(shared)
}

async fn claimed(State(hub): Hub, uri: Uri) -> Response<Body> {
    let claimed = hub.claimed.lock().expect("no holder panics").get(uri.path()).copied();
    let Some(bytes) = claimed else { return status(404) };
    let mut response =
        Response::new(Body::from_stream(stream::pending::<std::io::Result<Bytes>>()));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes 0-0/{bytes}").parse().expect("a header value");
    response.headers_mut().insert(header::CONTENT_RANGE, range);
    response
}

async fn face_list_of_revision(hub: Hub, Path((owner, name, _)): NamedFile) -> Response<Body> {
    face_list(hub, Path((owner, name))).await
}

async fn face_list(State(hub): Hub, Path((owner, name)): Named) -> Response<Body> {
    if let Some(trick) = hub.trick(Target::List) {
        return instead(trick).await;
    }
    let Some(repository) = hub.repository(&owner, &name) else {
        return status(401);
    };
    let sibling = |File { path, bytes, sha256 }: &File| {
        if !repository.lists_checksums {
            return json!({"rfilename": path});
        }
        let lfs = json!({"sha256": sha256, "size": bytes.len(), "pointerSize": 135});
        json!({"rfilename": path, "size": bytes.len(), "lfs": lfs})
    };
    let siblings: Vec<_> = repository.files().iter().map(sibling).collect();
    let card = repository.licence.as_ref().map(|licence| json!({"license": licence}));
    let body = json!({
        "id": format!("{owner}/{name}"), "sha": repository.head(), "gated": false,
        "cardData": card, "tags": ["gguf"], "siblings": siblings,
    });
    Response::new(Body::from(body.to_string()))
}

/// A file of a repository at a revision.
struct Wanted {
    owner: String,
    name: String,
    revision: String,
    path: String,
}

async fn page(hub: Hub, uri: Uri) -> Response<Body> {
    let answer = claimed(hub, uri).await;
    if answer.status().is_success() { answer } else { instead(Trick::Page).await }
}

async fn face_file(
    State(hub): Hub,
    Path((owner, name, revision, path)): Path<(String, String, String, String)>,
) -> Response<Body> {
    if let Some(trick) = hub.trick(Target::Resolve) {
        return instead(trick).await;
    }
    let wanted = Wanted { owner, name, revision, path };
    let Some(File { bytes, sha256, .. }) = hub.file(&wanted) else { return status(404) };
    let Wanted { owner, name, revision, path } = wanted;
    let mut response = status(302);
    let set = response.headers_mut();
    let mut put = |name: &'static str, value: String| {
        set.insert(name, value.parse().expect("a header value"));
    };
    put("location", format!("/bytes/{owner}/{name}/{path}?commit={revision}&signature=secret"));
    put("x-linked-size", bytes.len().to_string());
    put("x-linked-etag", format!("\"{sha256}\""));
    response
}

async fn bytes(
    State(hub): Hub,
    Path((owner, name, path)): NamedFile,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    let revision = query.get("commit").cloned().unwrap_or_default();
    file(&hub, &Wanted { owner, name, revision, path }, &headers).await
}

async fn scope_about(State(hub): Hub, Path((owner, name)): Named) -> Response<Body> {
    let licence = hub.repository(&owner, &name).and_then(|repository| repository.licence);
    scope(json!({"License": licence}))
}

async fn scope_list(State(hub): Hub, Path((owner, name)): Named) -> Response<Body> {
    if let Some(trick) = hub.trick(Target::List) {
        return instead(trick).await;
    }
    let Some(repository) = hub.repository(&owner, &name) else {
        // As the real one does: the status is in the body.
        let body = json!({"Code": 404, "Success": false, "Message": "not found", "Data": null});
        return Response::new(Body::from(body.to_string()));
    };
    let entry = |File { path, bytes, sha256 }: &File| json!({"Path": path, "Name": path, "Type": "blob", "Size": bytes.len(), "Sha256": sha256});
    let mut files: Vec<_> = repository.files().iter().map(entry).collect();
    files.push(json!({"Path": "folder", "Name": "folder", "Type": "tree", "Size": 0}));
    scope(json!({"Files": files}))
}

async fn scope_file(
    State(hub): Hub,
    Path((owner, name)): Named,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    let text = |key: &str| query.get(key).cloned().unwrap_or_default();
    let (revision, path) = (text("Revision"), text("FilePath"));
    file(&hub, &Wanted { owner, name, revision, path }, &headers).await
}

fn scope(data: serde_json::Value) -> Response<Body> {
    Response::new(Body::from(json!({"Code": 200, "Success": true, "Data": data}).to_string()))
}

/// The bytes of a file, or a trick.
async fn file(hub: &Shared, wanted: &Wanted, headers: &HeaderMap) -> Response<Body> {
    let Some(File { bytes, sha256, .. }) = hub.file(wanted) else { return status(404) };
    let mut response = bytes_of(hub, bytes, headers, &sha256).await;
    if response.status().is_success() {
        let version = format!("\"{sha256}\"").parse().expect("a header value");
        response.headers_mut().insert(header::ETAG, version);
    }
    response
}

async fn bytes_of(
    hub: &Shared,
    bytes: Bytes,
    headers: &HeaderMap,
    version: &str,
) -> Response<Body> {
    let condition = headers.get(header::IF_RANGE).and_then(|condition| condition.to_str().ok());
    let is_other = condition.is_some_and(|condition| condition.trim_matches('"') != version);
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (start, end) = range.and_then(span).unwrap_or((0, bytes.len()));
    let end = end.min(bytes.len());
    if start > end {
        return status(416);
    }
    match hub.trick(Target::Bytes) {
        None if is_other => whole(bytes),
        None => part(&bytes, start, end, Body::from(bytes.slice(start..end))),
        Some(Trick::Cut(after)) => {
            let sent = bytes.slice(start..end.min(start + after));
            let broken = std::io::Error::other("cut");
            let pieces = stream::iter([Ok(sent)]).chain(stream::once(async {
                // What came before the cut is to arrive.
                tokio::task::yield_now().await;
                Err(broken)
            }));
            part(&bytes, start, end, Body::from_stream(pieces))
        }
        Some(Trick::WrongRange) => {
            let start = start.saturating_sub(1);
            let end = end.saturating_sub(1);
            part(&bytes, start, end, Body::from(bytes.slice(start..end)))
        }
        Some(Trick::WholeFile) => whole(bytes),
        Some(Trick::OtherBytes) => {
            let other: Vec<u8> = bytes[start..end].iter().map(|byte| !byte).collect();
            part(&bytes, start, end, Body::from(other))
        }
        Some(Trick::Slow(pause, size)) => {
            let pieces: Vec<Bytes> =
                bytes[start..end].chunks(size).map(Bytes::copy_from_slice).collect();
            let slow = stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, std::io::Error>(piece)
            });
            part(&bytes, start, end, Body::from_stream(slow))
        }
        Some(other) => instead(other).await,
    }
}

/// `bytes=START-LAST` as a half-open span.
fn span(range: &str) -> Option<(usize, usize)> {
    let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start = start.parse().ok()?;
    let last: usize = if last.is_empty() { usize::MAX - 1 } else { last.parse().ok()? };
    Some((start, last + 1))
}

fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}
