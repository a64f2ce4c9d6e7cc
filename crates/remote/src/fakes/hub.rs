//! A server that answers as Hugging Face and as ModelScope do, with files of its own.
//!
//! As at Hugging Face a file is first a redirect, with the facts of the file in its headers, and
//! then bytes on another path; as at ModelScope it is a query. Tricks are played in the order they
//! were asked for, one per request.

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

/// Which requests a trick is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Questions about a repository.
    List,
    /// Requests for bytes.
    Bytes,
}

/// How a request goes wrong.
#[derive(Clone, Debug)]
pub enum Trick {
    /// This status, and perhaps how long to wait.
    Status(u16, Option<u64>),
    /// So many bytes of the answer, then the connection breaks.
    Cut(usize),
    /// The bytes before those that were asked for.
    WrongRange,
    /// The whole file, whatever was asked for.
    WholeFile,
    /// The right number of other bytes.
    OtherBytes,
    /// A redirect to this address.
    Redirect(String),
    /// A pause before each part of the answer, of so many bytes.
    Slow(Duration, usize),
    /// Never an answer.
    Silence,
    /// This body instead.
    Body(String),
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

/// A running hub; it ends when dropped.
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
    claimed: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone, Default)]
struct Repository {
    licence: Option<String>,
    files: Vec<(String, Bytes)>,
    lists_checksums: bool,
}

type Hub = State<Arc<Shared>>;
type Named = Path<(String, String)>;
type NamedFile = Path<(String, String, String)>;

/// Writes every request down before it is answered.
async fn note(State(hub): Hub, request: axum::extract::Request, next: Next) -> Response<Body> {
    hub.note(request.method(), request.uri(), request.headers());
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

    /// Starts a hub behind TLS; who knows the certificate (PEM) believes it.
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
        repository.files.retain(|(known, _)| known != path);
        repository.files.push((path.to_owned(), bytes.into()));
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

    /// Claims a file of this length at a path; asking for its bytes never ends.
    pub fn claim_length(&self, path: &str, bytes: u64) {
        let mut claimed = self.shared.claimed.lock().expect("no holder panics");
        claimed.insert(format!("/{path}"), bytes);
    }

    /// Plays tricks on the next requests, one each.
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

    /// Waits until a request has come that `is_it` knows.
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

    fn file(&self, owner: &str, name: &str, path: &str) -> Option<Bytes> {
        let files = self.repository(owner, name)?.files;
        Some(files.into_iter().find(|(known, _)| known == path)?.1)
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
    let sibling = |(path, bytes): &(String, Bytes)| {
        if !repository.lists_checksums {
            return json!({"rfilename": path});
        }
        let lfs = json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 135});
        json!({"rfilename": path, "size": bytes.len(), "lfs": lfs})
    };
    let siblings: Vec<_> = repository.files.iter().map(sibling).collect();
    let card = repository.licence.as_ref().map(|licence| json!({"license": licence}));
    let body = json!({
        "id": format!("{owner}/{name}"), "sha": "0123456789abcdef", "gated": false,
        "cardData": card, "tags": ["gguf"], "siblings": siblings,
    });
    Response::new(Body::from(body.to_string()))
}

async fn face_file(
    State(hub): Hub,
    Path((owner, name, _, path)): Path<(String, String, String, String)>,
) -> Response<Body> {
    let Some(bytes) = hub.file(&owner, &name, &path) else { return status(404) };
    let mut response = status(302);
    let set = response.headers_mut();
    let mut put = |name: &'static str, value: String| {
        set.insert(name, value.parse().expect("a header value"));
    };
    put("location", format!("/bytes/{owner}/{name}/{path}"));
    put("x-linked-size", bytes.len().to_string());
    put("x-linked-etag", format!("\"{}\"", sha256(&bytes)));
    response
}

async fn bytes(
    State(hub): Hub,
    Path((owner, name, path)): NamedFile,
    headers: HeaderMap,
) -> Response<Body> {
    file(&hub, &owner, &name, &path, &headers).await
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
    let entry = |(path, bytes): &(String, Bytes)| {
        json!({"Path": path, "Name": path, "Type": "blob", "Size": bytes.len(),
               "Sha256": sha256(bytes)})
    };
    let mut files: Vec<_> = repository.files.iter().map(entry).collect();
    files.push(json!({"Path": "folder", "Name": "folder", "Type": "tree", "Size": 0}));
    scope(json!({"Files": files}))
}

async fn scope_file(
    State(hub): Hub,
    Path((owner, name)): Named,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    let path = query.get("FilePath").cloned().unwrap_or_default();
    file(&hub, &owner, &name, &path, &headers).await
}

fn scope(data: serde_json::Value) -> Response<Body> {
    Response::new(Body::from(json!({"Code": 200, "Success": true, "Data": data}).to_string()))
}

/// The bytes of a file, or a trick.
async fn file(
    hub: &Shared,
    owner: &str,
    name: &str,
    path: &str,
    headers: &HeaderMap,
) -> Response<Body> {
    let Some(bytes) = hub.file(owner, name, path) else { return status(404) };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (start, end) = range.and_then(span).unwrap_or((0, bytes.len()));
    let end = end.min(bytes.len());
    if start > end {
        return status(416);
    }
    match hub.trick(Target::Bytes) {
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
        Some(Trick::WholeFile) => {
            let mut response = Response::new(Body::from(bytes.clone()));
            let length = bytes.len().to_string().parse().expect("digits");
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
            response
        }
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

fn part(whole: &Bytes, start: usize, end: usize, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes {start}-{}/{}", end.saturating_sub(1), whole.len());
    response.headers_mut().insert(header::CONTENT_RANGE, range.parse().expect("a header value"));
    let length = (end - start).to_string();
    response.headers_mut().insert(header::CONTENT_LENGTH, length.parse().expect("digits"));
    response
}

/// What is answered in place of everything else.
async fn instead(trick: Trick) -> Response<Body> {
    match trick {
        Trick::Status(code, retry_after) => {
            let mut response = status(code);
            if let Some(seconds) = retry_after {
                let value = seconds.to_string().parse().expect("digits");
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Trick::Redirect(to) => {
            let mut response = status(302);
            response.headers_mut().insert(header::LOCATION, to.parse().expect("an address"));
            response
        }
        Trick::Body(body) => Response::new(Body::from(body)),
        Trick::Silence => std::future::pending().await,
        other => panic!("{other:?} is no answer to a question"),
    }
}

fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
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
