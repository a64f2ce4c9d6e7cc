//! An answer is the same whatever runs together with it.

use super::embedded::expected;
use super::*;
use crate::engine::embedding::Pooling;

/// One of several requests that begin alike, some of another tenant, some structured.
fn random_ask(seed: u64, index: u64) -> Ask {
    let dice = |index, end| dice(seed, index, end);
    let ask = Ask::new(100 * seed + index, 1 + dice(index, 90), 1 + dice(50 + index, 90));
    let tenant = Tenant(dice(80 + index, 2) as u64);
    let structure = (dice(60 + index, 4) == 0)
        .then(|| Structure::Regex("([a-c] [d-f]{3}\n){2,9}the end".to_owned()));
    Ask { tenant, structure, ..ask.behind(dice(70 + index, 60)) }
}

/// A draft model that is wrong at every fifth position.
fn often_right(
    total_blocks: usize,
    vocabulary_rows: usize,
    says: fn(&[TokenId], &mut [f32]),
) -> Scripted {
    let mut model = Scripted::new(total_blocks, vocabulary_rows);
    model.says = Box::new(move |tokens, logits| match tokens.len() % 5 {
        0 => noise(tokens, logits),
        _ => says(tokens, logits),
    });
    model
}

#[test]
fn an_answer_is_the_same_whatever_runs_beside_it() {
    let (mut cached, mut guesses, mut guesses_accepted) = (0, 0, 0);
    for seed in seeds(40) {
        // Every other time the answers repeat themselves, so that guesses are accepted.
        let says = if seed.is_multiple_of(2) { noise } else { refrain };
        let dice = |index, end| dice(seed, index, end);
        let asks: Vec<Ask> = (0..8).map(|index| random_ask(seed, index)).collect();
        let limits = SchedulerLimits {
            total_blocks: 16 + dice(99, 30),
            max_sequences: 1 + dice(98, 8),
            step_tokens: 24 + dice(97, 80),
            guessed_rows: dice(96, 3) * 8,
        };
        let endless = Patience { queue: Duration::MAX, step: Duration::MAX, gap: GAP };
        let mut stage = Stage::with_patience(limits, endless);
        stage.step_loop.compute.says = Box::new(says);
        if seed % 3 == 0 {
            let model = often_right(limits.total_blocks, stage.text.token_count(), says);
            stage.step_loop.draft_model = Some(DraftModel::new(model));
        }
        let time = stage.time.clone();
        // The measured speed decides how prompts are cut.
        stage.step_loop.compute.at_layer = Box::new(move |moment| {
            let ms = uniform(seed, 1_000 + moment.step as u64) * 1_000.0;
            *time.lock().expect("no test panics with the clock") +=
                Duration::from_secs_f64(ms / 1e3);
        });
        let mut generations = Vec::new();
        let mut embeddings = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            generations.push(stage.submit(ask));
            if dice(300 + index as u64, 3) == 0 {
                let pooling = [Pooling::Mean, Pooling::Last][dice(400 + index as u64, 2)];
                let job = stage.embed(&ask.prompt, pooling);
                embeddings.push((job, expected(&ask.prompt, pooling)));
            }
            stage.iterate_while_busy(dice(200 + index as u64, 12).max(1));
        }
        stage.run_until_idle();
        stage.assert_all_free();
        for (job, expected) in embeddings {
            assert_eq!(job.wait(), Ok(expected), "seed {seed}");
        }
        for (ask, generation) in asks.iter().zip(generations) {
            let together = read(generation);
            let alone = alone_where(ask, says);
            assert_eq!(together.text, alone.text, "seed {seed}");
            assert_eq!(together.reason(), alone.reason(), "seed {seed}");
            let tokens = |reply: &Reply| {
                let usage = &reply.finished.usage;
                (usage.prompt_tokens, usage.completion_tokens)
            };
            assert_eq!(tokens(&together), tokens(&alone), "seed {seed}");
            cached += together.finished.usage.cached_tokens;
        }
        let counters = stage.status.counters();
        guesses += counters.guesses;
        guesses_accepted += counters.guesses_accepted;
    }
    let least = 25 * seeds(40).count();
    assert!(cached > least, "{cached} tokens were not computed again");
    let least = 5 * seeds(40).count() as u64;
    assert!(guesses_accepted > least, "{guesses_accepted} guesses held");
    assert!(
        guesses - guesses_accepted > least,
        "{} guesses did not hold",
        guesses - guesses_accepted
    );
}
