//! Embeddings: beside answers, in places of their own, with the same bits whatever runs together.

use super::super::embedding::{
    EMBEDDING_PLACES, EmbedError, Embedded, Embedding, EmbeddingJob, NewEmbedding, Pooling,
};
use super::super::scripted::HIDDEN;
use super::*;
use crate::scheduler::Purpose;

impl Stage {
    /// Asks for the vector of some tokens.
    pub(super) fn embed(&self, tokens: &[TokenId], pooling: Pooling) -> EmbeddingJob {
        let permit = self.status.inbox().join_embeddings().expect("there is a place");
        let (stop, now) = (self.all.below(), now(&self.time));
        let (embedding, job) = Embedding::new(pooling, tokens.len(), permit, stop, now);
        let new = NewEmbedding { tokens: tokens.to_vec(), tenant: Tenant(0), embedding };
        let sender = self.sender.as_ref().expect("the inbox is open");
        sender.try_send(Arrival::Embedding(Box::new(new))).expect("the inbox has room");
        job
    }
}

/// The vector of some tokens, without an engine.
pub(super) fn expected(tokens: &[TokenId], pooling: Pooling) -> Embedded {
    let row = |end: usize| {
        let mut row = [0.0; HIDDEN];
        noise(&tokens[..end], &mut row);
        row.map(f64::from)
    };
    let pooled = match pooling {
        Pooling::Last => row(tokens.len()),
        Pooling::Mean => (1..=tokens.len()).map(row).fold([0.0; HIDDEN], |mut sum, row| {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            sum
        }),
    };
    let length = pooled.iter().map(|value| value * value).sum::<f64>().sqrt();
    let vector = pooled.iter().map(|value| (value * length.recip()) as f32).collect();
    Embedded { vector, tokens: tokens.len() }
}

fn prompt(seed: u64, tokens: usize) -> Vec<TokenId> {
    Ask::new(seed, tokens, 1).prompt
}

#[test]
fn a_text_becomes_the_same_vector_in_one_step_and_in_many() {
    for (tokens, step_tokens) in [(1, 64), (17, 64), (150, 64), (150, 24)] {
        for pooling in [Pooling::Mean, Pooling::Last] {
            let mut stage = Stage::new(SchedulerLimits { step_tokens, ..limits(200, 8) });
            let job = stage.embed(&prompt(7, tokens), pooling);
            stage.run_until_idle();
            assert_eq!(job.wait(), Ok(expected(&prompt(7, tokens), pooling)));
            stage.assert_all_free();
        }
    }
}

#[test]
fn an_embedding_takes_no_place_of_an_answer_and_keeps_nothing() {
    let mut stage = Stage::new(limits(200, 1));
    let asks = [Ask::new(1, 20, 30), Ask::new(2, 20, 30)];
    let jobs: Vec<EmbeddingJob> =
        (0..20).map(|seed| stage.embed(&prompt(seed, 100), Pooling::Mean)).collect();
    let answers = asks.each_ref().map(|ask| stage.submit(ask));
    assert_eq!(stage.status.counters().waiting, 2, "of answers alone");
    stage.iterate_times(1);
    let scheduler = &stage.step_loop.core.scheduler;
    assert_eq!(scheduler.running_count(Purpose::Answer), 1);
    assert!(scheduler.running_count(Purpose::Embedding) > 1);
    stage.run_until_idle();
    for (seed, job) in jobs.into_iter().enumerate() {
        let tokens = prompt(seed as u64, 100);
        assert_eq!(job.wait(), Ok(expected(&tokens, Pooling::Mean)));
    }
    for (ask, answer) in asks.iter().zip(answers) {
        assert_eq!(read(answer).text, alone_where(ask, noise).text);
    }
    stage.assert_all_free();
    let reply = stage.answer(&Ask { prompt: prompt(3, 100), ..Ask::new(3, 1, 2) });
    assert_eq!(reply.finished.usage.cached_tokens, 0, "others find nothing of an embedding");
}

#[test]
fn an_embedding_gives_its_blocks_up_to_an_answer_and_begins_anew() {
    // 11 blocks: the answer needs 8 in the end, and the text 6.
    let mut stage = Stage::new(limits(11, 2));
    let ask = Ask::new(1, 16, 100);
    let answer = stage.submit(&ask);
    stage.iterate_times(2);
    let job = stage.embed(&prompt(9, 96), Pooling::Mean);
    stage.run_until_idle();
    assert_eq!(read(answer).text, alone_where(&ask, noise).text);
    assert_eq!(job.wait(), Ok(expected(&prompt(9, 96), Pooling::Mean)));
    stage.assert_all_free();
}

#[test]
fn an_embedding_ends_early_when_nobody_waits_for_it_or_it_waits_too_long() {
    let mut stage = Stage::with_room();
    let dropped = stage.embed(&prompt(1, 300), Pooling::Mean);
    stage.iterate_times(2);
    drop(dropped);
    stage.run_until_idle();
    stage.assert_all_free();
    // Eight run at once: the ninth waits.
    let jobs: Vec<EmbeddingJob> =
        (0..9).map(|seed| stage.embed(&prompt(seed, 100), Pooling::Mean)).collect();
    stage.iterate_times(1);
    stage.pass(QUEUE_PATIENCE);
    stage.run_until_idle();
    let mut ends: Vec<Result<Embedded, EmbedError>> =
        jobs.into_iter().map(EmbeddingJob::wait).collect();
    assert_eq!(ends.pop(), Some(Err(EmbedError::Timeout)));
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    let last = stage.embed(&prompt(1, 100), Pooling::Mean);
    stage.sender = None;
    while stage.iterate() == Next::GoOn {}
    assert_eq!(last.wait(), Err(EmbedError::Stopped), "the engine ends");
}

#[test]
fn there_are_so_many_places_and_each_is_free_when_the_end_is_told() {
    let mut stage = Stage::with_room();
    let jobs: Vec<EmbeddingJob> = (0..EMBEDDING_PLACES as u64)
        .map(|seed| stage.embed(&prompt(seed, 3), Pooling::Last))
        .collect();
    assert!(stage.status.inbox().join_embeddings().is_none());
    stage.run_until_idle();
    jobs.into_iter().for_each(|job| drop(job.wait().expect("a vector")));
    assert!(stage.status.inbox().join_embeddings().is_some());
}
