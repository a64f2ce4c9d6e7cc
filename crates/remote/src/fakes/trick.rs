//! How a hub's answer fails, and the answers that come instead of the right one.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode, header};

/// How a request goes wrong.
#[derive(Clone, Debug)]
pub enum Trick {
    /// This status, and perhaps how long to wait.
    Status(u16, Option<u64>),
    /// 429 and this many seconds to wait, in the form of Hugging Face.
    Limited(u64),
    /// This many bytes of the answer; then the connection breaks.
    Cut(usize),
    /// The bytes before those that were asked for.
    WrongRange,
    /// The whole file, whatever was asked for.
    WholeFile,
    /// The right number of other bytes.
    OtherBytes,
    /// A redirect to this address.
    Redirect(String),
    /// A pause before each part of the answer; each part has this many bytes.
    Slow(Duration, usize),
    /// Never an answer.
    Silence,
    /// This body instead.
    Body(String),
    /// A web page.
    Page,
}

const PAGE: &str = "<!doctype html><html><body>a page of the hub</body></html>";

pub(super) fn whole(bytes: Bytes) -> Response<Body> {
    let length = bytes.len().to_string().parse().expect("digits");
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}

pub(super) fn part(whole: &Bytes, start: usize, end: usize, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes {start}-{}/{}", end.saturating_sub(1), whole.len());
    response.headers_mut().insert(header::CONTENT_RANGE, range.parse().expect("a header value"));
    let length = (end - start).to_string();
    response.headers_mut().insert(header::CONTENT_LENGTH, length.parse().expect("digits"));
    response
}

/// The response of a trick that replaces the whole answer.
pub(super) async fn instead(trick: Trick) -> Response<Body> {
    match trick {
        Trick::Status(code, retry_after) => {
            let mut response = status(code);
            if let Some(seconds) = retry_after {
                let value = seconds.to_string().parse().expect("digits");
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Trick::Limited(seconds) => {
            let mut response = status(429);
            let value = format!("\"resolvers\";r=0;t={seconds}").parse().expect("plain text");
            response.headers_mut().insert("ratelimit", value);
            response
        }
        Trick::Page => {
            let mut response = whole(Bytes::from_static(PAGE.as_bytes()));
            let kind = "text/html; charset=utf-8".parse().expect("plain text");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
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

pub(super) fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
}
