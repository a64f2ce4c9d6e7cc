//! A stream that follows answers.

use super::asking::end_of;
use crate::answers::{Follower, Update};
use axum::body::{Body, Bytes};
use futures_util::future::select_all;
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;

/// A sign of life is sent when nothing else was for this long, because proxies close silent
/// connections.
pub(crate) const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// Writes answers in the words of an interface, at the end of what is to be sent.
pub(crate) trait Write: Send + 'static {
    /// Before the first update of an answer.
    fn begin(&mut self, answer: usize, out: &mut String);

    fn update(&mut self, answer: usize, update: Update, out: &mut String);

    /// After the end of all answers, none of which was cut off.
    fn end(&mut self, out: &mut String) -> impl Future<Output = ()> + Send;

    /// Something without a meaning.
    fn sign_of_life(&mut self, out: &mut String);
}

/// A stream that follows answers. Dropping it stops them.
pub(crate) struct Events<W> {
    /// Those that have not ended, with their places.
    answers: Vec<(usize, Follower)>,
    write: W,
    /// What is to be sent next.
    ready: String,
    has_ended: bool,
}

impl<W: Write> Events<W> {
    pub(super) fn new(answers: Vec<Follower>, mut write: W) -> Events<W> {
        let mut ready = String::new();
        (0..answers.len()).for_each(|index| write.begin(index, &mut ready));
        let answers = answers.into_iter().enumerate().collect();
        Events { answers, write, ready, has_ended: false }
    }

    pub(crate) fn write(&self) -> &W {
        &self.write
    }

    /// Stops the answers, and yields what has written them.
    pub(crate) fn into_write(self) -> W {
        self.write
    }

    pub(super) fn into_body(self) -> Body {
        let events = stream::unfold(self, async |mut events| {
            let ready = events.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(ready)), events))
        });
        Body::from_stream(events)
    }

    /// What is to be sent next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if !self.ready.is_empty() {
                return Some(std::mem::take(&mut self.ready));
            }
            if self.has_ended {
                return None;
            }
            if self.answers.is_empty() {
                self.write.end(&mut self.ready).await;
                self.has_ended = true;
                continue;
            }
            let next = next_of(&mut self.answers);
            match tokio::time::timeout(LONGEST_SILENCE, next).await {
                Ok((at, update)) => self.take(at, update),
                Err(_) => self.write.sign_of_life(&mut self.ready),
            }
        }
    }

    /// Takes the next update of the answer at a place in the list.
    fn take(&mut self, at: usize, update: Update) {
        let (index, _) = self.answers[at];
        match &update {
            // The others are stopped: nobody gets their rest.
            Update::Ended(ended) if end_of(ended).is_err() => {
                self.answers.clear();
                self.has_ended = true;
            }
            Update::Ended(_) => drop(self.answers.swap_remove(at)),
            _ => {}
        }
        self.write.update(index, update, &mut self.ready);
    }
}

/// The next update of any of the answers, and the place of that answer in the list.
async fn next_of(answers: &mut [(usize, Follower)]) -> (usize, Update) {
    if let [(_, only)] = answers {
        return (0, only.next().await);
    }
    let updates = answers.iter_mut().map(|(_, follower)| Box::pin(follower.next()));
    let (update, at, _) = select_all(updates).await;
    (at, update)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{AnswerLimits, AnswerRequest, Answers};
    use crate::backend::{BackendSlot, ScriptedBackend};
    use crate::metrics::Metrics;
    use crate::quotas::Quotas;
    use crate::shares::SharedBudget;
    use banter_protocol::v1;
    use banter_seam::{Asker, GenerateRequest, Message, ShareId};
    use futures_util::StreamExt;

    struct Words;

    impl Write for Words {
        fn begin(&mut self, _: usize, out: &mut String) {
            out.push_str("begin");
        }

        fn update(&mut self, _: usize, update: Update, out: &mut String) {
            if let Update::Delta(piece) = update {
                out.push_str(&piece.text);
            }
        }

        async fn end(&mut self, out: &mut String) {
            out.push_str("end");
        }

        fn sign_of_life(&mut self, out: &mut String) {
            out.push_str("alive");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_that_it_is_alive() {
        let slot = BackendSlot::default();
        slot.fill(ScriptedBackend::default());
        let minute = Duration::from_secs(60);
        let limits = AnswerLimits { queue_timeout: minute, step_timeout: minute, bytes: 1_000 };
        let answers = Answers::new(slot, limits, Quotas::default(), Metrics::new(None).answers);
        let messages = vec![Message::user("tokens 1 25000")];
        let parameters = v1::Parameters::default().into_seam();
        let request = GenerateRequest::new(messages, parameters, Asker::default());
        let memory = SharedBudget::new(100).take(ShareId(1), 60).expect("memory");
        let follower = answers.start(AnswerRequest::passing(request, memory));
        let body = Events::new(vec![follower], Words).into_body();
        let frames: Vec<Bytes> =
            body.into_data_stream().map(|frame| frame.expect("it is whole")).collect().await;
        let [begin, first, second, word, end] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!((begin.as_ref(), end.as_ref()), (&b"begin"[..], &b"end"[..]));
        assert_eq!((first.as_ref(), second.as_ref()), (&b"alive"[..], &b"alive"[..]));
        assert!(word.starts_with(b"word"), "{word:?}");
    }
}
