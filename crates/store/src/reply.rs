//! The answer of the store to a call, which comes later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use flume::r#async::RecvFut;
use flume::{Receiver, Sender};

use crate::StoreError;

/// What a call returns at once: its result comes later, from a thread of the store.
///
/// Await it in async code, or block on it with [`Reply::wait`]. Dropping it does not undo the call.
#[must_use = "the call may fail"]
pub struct Reply<T: 'static> {
    receiver: Receiver<Result<T, StoreError>>,
    future: Option<RecvFut<'static, Result<T, StoreError>>>,
}

pub(crate) type ReplySender<T> = Sender<Result<T, StoreError>>;

impl<T: Send + 'static> Reply<T> {
    /// A reply that comes, and what it is sent with.
    pub(crate) fn coming() -> (ReplySender<T>, Self) {
        let (sender, receiver) = flume::bounded(1);
        (sender, Self { receiver, future: None })
    }

    /// The reply to a call that failed before it reached a thread.
    pub(crate) fn failed(error: StoreError) -> Self {
        let (sender, reply) = Self::coming();
        sender.send(Err(error)).expect("the channel has room for one");
        reply
    }

    /// Blocks until the result is there. Not for async code: await the reply there.
    ///
    /// # Errors
    /// The call's error, or [`StoreError::Closed`].
    pub fn wait(self) -> Result<T, StoreError> {
        drop(self.future);
        self.receiver.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl<T: Send + 'static> Future for Reply<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, future } = self.get_mut();
        let future = future.get_or_insert_with(|| receiver.clone().into_recv_async());
        Pin::new(future).poll(context).map(|received| received.unwrap_or(Err(StoreError::Closed)))
    }
}
