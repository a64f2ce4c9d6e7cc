//! Texts that become vectors.

use super::run_with;
use super::shared::SharedEngine;
use crate::backend::for_engine::{failure_of, tenant_for_engine};
use banter_engine::engine::{self, EmbedError, EmbedSource, Embedded, EmbeddingJob};
use banter_engine::text::TokenId;
use banter_seam::{EmbedRequest, Embeddings, Failure, Pooling, TextInput};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many texts of one request are with the engine at once.
const AT_ONCE: usize = 8;

/// Makes the vectors of a request, a few at once and in order.
pub(super) async fn embed(
    engine: SharedEngine,
    encoding: Arc<Semaphore>,
    request: EmbedRequest,
) -> Result<Embeddings, Failure> {
    let mut embeddings = Embeddings { vectors: Vec::new(), tokens: 0 };
    let mut running = FuturesOrdered::new();
    for input in &request.inputs {
        loop {
            if running.len() < AT_ONCE
                && let Some(job) = begin(&engine, &encoding, &request, input).await?
            {
                running.push_back(job.vector());
                break;
            }
            match running.next().await {
                Some(embedded) => add(&mut embeddings, embedded)?,
                None => return Err(full()),
            }
        }
    }
    while let Some(embedded) = running.next().await {
        add(&mut embeddings, embedded)?;
    }
    Ok(embeddings)
}

fn add(embeddings: &mut Embeddings, next: Result<Embedded, EmbedError>) -> Result<(), Failure> {
    let Embedded { vector, tokens } = next.map_err(told)?;
    embeddings.vectors.push(vector);
    embeddings.tokens += tokens;
    Ok(())
}

/// Gives a text to the engine; `None` if that has no place for it now.
async fn begin(
    engine: &SharedEngine,
    encoding: &Arc<Semaphore>,
    request: &EmbedRequest,
    input: &TextInput,
) -> Result<Option<EmbeddingJob>, Failure> {
    let permit = encoding.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (engine, input, truncates) = (engine.clone(), input.clone(), request.truncates);
    let pooling = match request.pooling.unwrap_or_default() {
        Pooling::Mean => engine::Pooling::Mean,
        Pooling::Last => engine::Pooling::Last,
    };
    let tenant = tenant_for_engine(request.asker.tenant);
    run_with(permit, move || {
        let mut tokens = match input {
            TextInput::Text(text) => engine.text().encode_raw(&text),
            TextInput::Tokens(tokens) => tokens.into_iter().map(TokenId).collect(),
        };
        if truncates {
            tokens.truncate(engine.info().room_tokens());
        }
        let source = EmbedSource::Tokens(tokens);
        engine.embed(engine::EmbedRequest { source, pooling, tenant }).map_err(failure_of)
    })
    .await
}

fn told(error: EmbedError) -> Failure {
    match error {
        EmbedError::Stopped => Failure::Unavailable,
        EmbedError::Timeout => full(),
        EmbedError::Failed(reason) => Failure::Internal { reason },
    }
}

fn full() -> Failure {
    let reason = "too many texts are being turned into vectors; try again in a moment".into();
    Failure::Busy { reason, position: 0, estimate_ms: None }
}
