//! What is asked for when an answer is.

use super::live::Keep;
use crate::shares::Reservation;
use banter_seam::{Failure, GenerateRequest, ShareId, TraceParent};
use banter_store::{Message, MessageId, Store};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A request for an answer.
pub(crate) struct AnswerRequest {
    /// What the backend is asked, as soon as that is known.
    pub(crate) question: BoxFuture<'static, Result<Question, Failure>>,
    /// Whose part of the limits is used.
    pub(crate) share: ShareId,
    /// Permits of which the answer needs one until it has ended.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// The memory of the request. It goes back when the backend has taken the request.
    pub(crate) memory: Option<Reservation>,
    /// Where the answer is stored; `None` if it is not.
    pub(crate) place: Option<Place>,
    /// How long it goes on when nobody follows it.
    pub(crate) keep: Keep,
    pub(crate) urgency: Urgency,
    /// The client's span that it belongs to.
    pub(crate) trace: Option<TraceParent>,
}

/// When an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits for it.
    Now,
    /// Nobody waits for it, so it must not slow down those for whom somebody does.
    WhenIdle,
}

/// What a backend is asked.
pub(crate) struct Question {
    pub(crate) request: GenerateRequest,
    /// The messages of the request that are stored, oldest first.
    pub(crate) stored: Vec<MessageId>,
}

/// Where an answer is stored.
pub(crate) struct Place {
    pub(crate) store: Arc<Store>,
    /// The answer as it is stored now: empty, or what there is of it if it goes on.
    pub(crate) answer: Message,
}

impl AnswerRequest {
    /// A request that is known already, for an answer that is not stored and that ends when nobody
    /// follows it.
    pub(crate) fn passing(
        request: GenerateRequest,
        memory: impl Into<Option<Reservation>>,
    ) -> AnswerRequest {
        let (share, trace) = (request.asker.share, request.trace);
        let question = Question { request, stored: Vec::new() };
        AnswerRequest {
            question: std::future::ready(Ok(question)).boxed(),
            share,
            permits: None,
            memory: memory.into(),
            place: None,
            keep: Keep::WHILE_FOLLOWED,
            urgency: Urgency::Now,
            trace,
        }
    }
}
