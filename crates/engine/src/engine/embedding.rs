//! Embeddings: a text becomes a vector.
//!
//! The model computes the text as it would a prompt. What it has made of the tokens, the inputs of
//! its head, is pooled and divided by its length. Sums are in `f64` and in order of position, so
//! the vector has the same bits however the text was cut into steps, and whoever else was in them.
//!
//! Limits: [`EMBEDDING_PLACES`] wait or run at once; a further one is refused.

use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use flume::{Receiver, Sender};

use super::inbox::EmbeddingPermit;
use super::thread::Arrival;
use super::{Engine, Refusal};
use crate::StopFlag;
use crate::origin::Tenant;
use crate::sampler::ParameterError;
use crate::text::TokenId;

/// Embeddings that wait or run at once. They take no places of answers.
pub const EMBEDDING_PLACES: usize = 64;

/// How the rows of a text become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all rows.
    #[default]
    Mean,
    /// The row of the last token, which has seen all others.
    Last,
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct EmbedRequest {
    /// What becomes a vector.
    pub source: EmbedSource,
    /// How.
    pub pooling: Pooling,
    /// Who asks: tenants take turns.
    pub tenant: Tenant,
}

/// What becomes a vector.
#[derive(Clone, Debug)]
pub enum EmbedSource {
    /// A text, with nothing around it. Literals of added tokens in it are those tokens.
    Text(String),
    /// Tokens.
    Tokens(Vec<TokenId>),
}

/// The vector of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// As long as the model's rows are wide. Its length is 1, or it is all zeros.
    pub vector: Vec<f32>,
    /// How many tokens the text has.
    pub tokens: usize,
}

/// Why there is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// Somebody stopped it, or the engine ends.
    #[error("it was stopped")]
    Stopped,
    /// It waited as long as a request may.
    #[error("it waited too long")]
    Timeout,
    /// Something broke; says what.
    #[error("{0}")]
    Failed(String),
}

/// An embedding that is being made. Dropping it stops that.
#[derive(Debug)]
pub struct EmbeddingJob {
    reply: Receiver<Result<Embedded, EmbedError>>,
    stop: StopFlag,
}

impl EmbeddingJob {
    /// Waits for the vector.
    ///
    /// Errors: there is none.
    pub async fn vector(self) -> Result<Embedded, EmbedError> {
        self.reply.recv_async().await.unwrap_or(Err(EmbedError::Stopped))
    }

    /// The same, on a thread that may wait.
    ///
    /// Errors: there is none.
    pub fn wait(self) -> Result<Embedded, EmbedError> {
        self.reply.recv().unwrap_or(Err(EmbedError::Stopped))
    }
}

impl Drop for EmbeddingJob {
    fn drop(&mut self) {
        self.stop.raise();
    }
}

impl Engine {
    /// Asks for the vector of a text. Turns it into tokens on the caller's thread. Never waits for
    /// the engine.
    ///
    /// `None`: as many as there may be are being made already; try again later.
    ///
    /// Errors: there is no text, or one that the context has no room for.
    pub fn embed(&self, request: EmbedRequest) -> Result<Option<EmbeddingJob>, Refusal> {
        let tokens = self.tokens_to_embed(request.source)?;
        let Some(inbox) = &self.inbox else { return Err(Refusal::Closed) };
        let Some(permit) = self.status.inbox().join_embeddings() else { return Ok(None) };
        let (stop, now) = (self.stop_all.below(), Instant::now());
        let (embedding, job) = Embedding::new(request.pooling, tokens.len(), permit, stop, now);
        let new = NewEmbedding { tokens, tenant: request.tenant, embedding };
        let send = || inbox.try_send(Arrival::Embedding(Box::new(new)));
        match self.status.inbox().send_request(send) {
            Ok(()) => Ok(Some(job)),
            Err(TrySendError::Disconnected(_)) => Err(Refusal::Closed),
            Err(TrySendError::Full(_)) => {
                unreachable!("the inbox has room for every permit of an embedding")
            }
        }
    }

    fn tokens_to_embed(&self, source: EmbedSource) -> Result<Vec<TokenId>, Refusal> {
        let tokens = match source {
            EmbedSource::Text(text) => self.text.encode_raw(&text),
            EmbedSource::Tokens(tokens) => {
                self.check_tokens("input", tokens.iter().copied())?;
                tokens
            }
        };
        let limit = self.info.room_tokens();
        match tokens.len() {
            0 => {
                let (range, value) = ("at least one token".to_owned(), "none".to_owned());
                Err(ParameterError { field: "input", range, value }.into())
            }
            many if many > limit => Err(Refusal::TooLong { tokens: many, limit }),
            _ => Ok(tokens),
        }
    }
}

/// A request on its way to the engine's thread.
#[derive(Debug)]
pub struct NewEmbedding {
    pub tokens: Vec<TokenId>,
    pub tenant: Tenant,
    pub embedding: Embedding,
}

/// A text on its way to its vector.
#[derive(Debug)]
pub struct Embedding {
    pooling: Pooling,
    tokens: usize,
    /// What the pooling has come to so far: [hidden].
    pooled: Vec<f64>,
    reply: Sender<Result<Embedded, EmbedError>>,
    stop: StopFlag,
    _permit: EmbeddingPermit,
    was_admitted: bool,
    idle_since: Instant,
}

impl Embedding {
    /// One that waits, and what its caller waits for.
    pub fn new(
        pooling: Pooling,
        tokens: usize,
        permit: EmbeddingPermit,
        stop: StopFlag,
        now: Instant,
    ) -> (Embedding, EmbeddingJob) {
        let (sender, reply) = flume::bounded(1);
        let embedding = Embedding {
            pooling,
            tokens,
            pooled: Vec::new(),
            reply: sender,
            stop: stop.clone(),
            _permit: permit,
            was_admitted: false,
            idle_since: now,
        };
        (embedding, EmbeddingJob { reply, stop })
    }

    /// Raised when nobody waits for it any more.
    pub fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }

    /// It has blocks now.
    pub fn admit(&mut self, now: Instant) {
        if !self.was_admitted {
            self.was_admitted = true;
            self.idle_since = now;
        }
    }

    /// Whether it ran at least once.
    pub fn was_admitted(&self) -> bool {
        self.was_admitted
    }

    /// How long nothing was computed for it.
    pub fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.idle_since)
    }

    /// Takes the rows of a step, `[rows, hidden]`, of which the first is at `first_position`. Says
    /// whether these were the last ones. One that was preempted begins anew, at position 0.
    pub fn take(
        &mut self,
        first_position: usize,
        rows: usize,
        hidden: &[f32],
        now: Instant,
    ) -> bool {
        self.idle_since = now;
        let width = hidden.len() / rows;
        if first_position == 0 {
            self.pooled = vec![0.0; width];
        }
        let is_last = first_position + rows == self.tokens;
        match self.pooling {
            Pooling::Mean => {
                for row in hidden.chunks_exact(width) {
                    self.pooled
                        .iter_mut()
                        .zip(row)
                        .for_each(|(sum, value)| *sum += f64::from(*value));
                }
            }
            Pooling::Last if is_last => {
                let last = &hidden[hidden.len() - width..];
                self.pooled = last.iter().copied().map(f64::from).collect();
            }
            Pooling::Last => {}
        }
        is_last
    }

    /// Tells the vector.
    pub fn finish(self) {
        let vector = normalised(&self.pooled);
        let embedded = Embedded { vector, tokens: self.tokens };
        self.end(Ok(embedded));
    }

    /// Tells why there is no vector.
    pub fn fail(self, error: EmbedError) {
        self.end(Err(error));
    }

    fn end(self, told: Result<Embedded, EmbedError>) {
        let Embedding { reply, _permit: permit, .. } = self;
        // Who reads the end finds the place free.
        drop(permit);
        // Nobody may be listening any more.
        let _ = reply.try_send(told);
    }
}

/// The vector of length 1 in this direction. The mean and the sum have the same.
fn normalised(vector: &[f64]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let scale = if length > 0.0 { length.recip() } else { 0.0 };
    vector.iter().map(|value| (value * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::inbox::Inbox;
    use super::*;

    fn embed(pooling: Pooling, steps: &[(usize, &[f32])]) -> Vec<f32> {
        let inbox = Arc::new(Inbox::new(1));
        let permit = inbox.join_embeddings().expect("there is room");
        let now = Instant::now();
        let tokens = steps.last().map_or(0, |(first, rows)| first + rows.len() / 2);
        let (mut embedding, job) = Embedding::new(pooling, tokens, permit, StopFlag::new(), now);
        for (first, rows) in steps {
            embedding.take(*first, rows.len() / 2, rows, now);
        }
        embedding.finish();
        job.wait().expect("a vector").vector
    }

    #[test]
    fn rows_are_pooled_and_the_result_has_the_length_1() {
        let rows: &[f32] = &[1.0, 0.0, 5.0, 8.0];
        assert_eq!(embed(Pooling::Mean, &[(0, rows)]), [0.6, 0.8]);
        assert_eq!(embed(Pooling::Last, &[(0, &[9.0, 9.0, 3.0, 4.0])]), [0.6, 0.8]);
        assert_eq!(embed(Pooling::Mean, &[(0, &[0.0, 0.0])]), [0.0, 0.0]);
    }

    #[test]
    fn steps_and_a_new_beginning_change_nothing() {
        let whole: &[f32] = &[1.0, 1e-9, 1e8, 3.0, -1e8, 0.3];
        let vector = embed(Pooling::Mean, &[(0, whole)]);
        let steps: &[(usize, &[f32])] = &[(0, &whole[..4]), (0, &whole[..2]), (1, &whole[2..])];
        assert_eq!(embed(Pooling::Mean, steps), vector);
    }
}
