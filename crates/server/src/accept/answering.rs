//! The time between a request's head and the last byte of its response.

use super::permits::{Admission, ConnectionPermit};
use super::read_timeout::Phases;
use axum::body::Body;
use axum::body::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::{Response, StatusCode};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request that is being answered. Until this is dropped its connection is not idle, and no
/// newcomer takes its permit.
pub(super) struct Answering {
    phases: Phases,
    permit: Arc<ConnectionPermit>,
    admission: Admission,
    /// The connection has become a WebSocket; the time limits of HTTP do not apply any more.
    is_upgraded: bool,
}

impl Answering {
    pub(super) fn begin(phases: &Phases, permit: &Arc<ConnectionPermit>) -> Answering {
        phases.answering();
        let admission = permit.begin();
        let (phases, permit) = (phases.clone(), permit.clone());
        Answering { phases, permit, admission, is_upgraded: false }
    }

    /// Whether the request may be answered.
    pub(super) fn admission(&self) -> Admission {
        self.admission
    }

    /// The response. This ends when all of its body has been handed to the network.
    pub(super) fn send(mut self, response: Response<Body>) -> Response<Sent> {
        self.is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        response.map(|body| Sent { body, _answering: self })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.is_upgraded {
            self.phases.idle();
            self.permit.wait();
        }
    }
}

/// The body of a response. It is dropped when it has been sent.
pub(super) struct Sent {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
