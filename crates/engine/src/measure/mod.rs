//! How fast a model is here, and how fast it could be.
//!
//! - [`Bench`] below: drives the runner directly, without sampler or thread, so the figures are the
//!   forward pass's own. Tokens are arbitrary: a dense model computes the same whatever they are.
//! - [`Workload`]: how many products and bytes that is.
//! - [`limits`]: what the machine can do at most.

mod limits;
mod workload;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use banter_kernels::{Isa, KvType, Pool};

pub use self::limits::{LimitError, Limits, limits};
pub use self::workload::{Products, Workload};
use crate::StopFlag;
use crate::engine::{OpenError, StepCosts};
use crate::kv_cache::{BLOCK_TOKENS, BlockId};
use crate::model::{Model, Plan, Profile, Runner, RunnerConfig, Span};
use crate::model_file::{ModelFile, ModelSource, Quant};
use crate::sampler::random::uniform;
use crate::speculation::{Guesser, MAX_GUESSES, Odds, most_worthwhile, worthwhile_length};
use crate::text::TokenId;

/// Tokens of a prompt computed in one step, as the engine does by default.
const STEP_TOKENS: usize = 512;

/// Logits of so many tokens are computed in one step: 40 MB with Qwen2.5's vocabulary.
pub const LOGITS_ROWS: usize = 64;

/// What to compute with, and what there must be room for.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Instruction set to compute with.
    pub isa: Isa,
    /// Threads to compute with.
    pub threads: NonZeroUsize,
    /// Types that matrices are given as they are loaded.
    pub quant: Option<Quant>,
    /// What cached keys and values are rounded to.
    pub kv_type: KvType,
    /// How many sequences there can be at once.
    pub sequences: usize,
    /// Positions of a sequence are below this.
    pub context_tokens: usize,
}

/// An answer that was gone along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Followed {
    /// How long it took.
    pub time: Duration,
    /// In how many steps.
    pub steps: usize,
    /// Tokens that were guessed and computed.
    pub guesses: usize,
    /// Those of them that the answer went on with.
    pub held: usize,
}

/// A loaded model, driven by hand.
pub struct Bench {
    runner: Runner,
    /// Blocks of each sequence.
    sequences: Vec<Vec<BlockId>>,
    vocabulary: u32,
    workload: Workload,
    model: String,
    weight_types: String,
    load_time: Duration,
    /// What steps take: like the engine, it remembers from one answer to the next.
    costs: StepCosts,
}

impl Bench {
    /// Loads the model at `path`.
    ///
    /// Errors: the model cannot be opened, or was trained on shorter contexts.
    pub fn open(path: &Path, setup: &Setup) -> Result<Bench, OpenError> {
        let started = Instant::now();
        let source = ModelSource::Path(path.to_path_buf());
        let file = ModelFile::open(&source)?.with_quant(setup.quant);
        let trained_context = file.config().trained_context;
        if setup.context_tokens > trained_context {
            return Err(OpenError::ContextTooLong { trained_context, asked: setup.context_tokens });
        }
        let pool = Pool::new(setup.isa, setup.threads);
        let model = Model::load(&file, &pool, &mut |_| {})?;
        let sequence_blocks = setup.context_tokens.div_ceil(BLOCK_TOKENS);
        let config = RunnerConfig {
            kv_type: setup.kv_type,
            block_count: sequence_blocks * setup.sequences,
            max_rows: STEP_TOKENS.max(setup.sequences),
            max_sampled: LOGITS_ROWS.max(setup.sequences),
            context_tokens: setup.context_tokens,
        };
        let blocks = |sequence: usize| {
            let first = sequence * sequence_blocks;
            (first..first + sequence_blocks).map(|block| BlockId(block as u32)).collect()
        };
        let runner = Runner::new(model, pool, config)?;
        Ok(Bench {
            runner,
            sequences: (0..setup.sequences).map(blocks).collect(),
            vocabulary: file.config().vocabulary_rows as u32,
            workload: Workload::of(&file, setup.kv_type),
            model: file.description().name.clone(),
            weight_types: file.description().weight_types.clone(),
            load_time: started.elapsed(),
            costs: StepCosts::new(2 * MAX_GUESSES),
        })
    }

    /// Name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How its weights are stored.
    pub fn weight_types(&self) -> &str {
        &self.weight_types
    }

    /// From nothing to a model that computes.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// What a token costs.
    pub fn workload(&self) -> Workload {
        self.workload
    }

    /// Fills the cache of every sequence with arbitrary values below `positions`.
    pub fn fill(&mut self, positions: usize) {
        for blocks in &self.sequences {
            self.runner.fill_cache(blocks, positions);
        }
    }

    /// How long it takes to compute `tokens` behind `cached` ones, the last one's logits included.
    pub fn prompt(&mut self, cached: usize, tokens: usize) -> Duration {
        let started = Instant::now();
        let mut position = cached;
        while position < cached + tokens {
            let count = STEP_TOKENS.min(cached + tokens - position);
            self.step(1, position, count, usize::from(position + count == cached + tokens));
            position += count;
        }
        started.elapsed()
    }

    /// How long `tokens` steps take in which each of `sequences` goes one token on behind `cached`.
    pub fn generate(&mut self, sequences: usize, cached: usize, tokens: usize) -> Duration {
        let started = Instant::now();
        for position in cached..cached + tokens {
            self.step(sequences, position, 1, 1);
        }
        started.elapsed()
    }

    /// Computes a prompt that [`Bench::follow`] goes on from.
    pub fn prompt_of(&mut self, prompt: &[TokenId]) {
        for (step, tokens) in prompt.chunks(STEP_TOKENS).enumerate() {
            self.compute(step * STEP_TOKENS, tokens, 0);
        }
    }

    /// Goes from `prompt`, which is computed, along `answer` as the engine would if the model chose these
    /// very tokens; with guesses of the tokens ahead, or one token a step.
    pub fn follow(&mut self, prompt: &[TokenId], answer: &[TokenId], guess: bool) -> Followed {
        let mut tokens = prompt.to_vec();
        let mut guesser = Guesser::default();
        let mut followed = Followed::default();
        let mut ahead = answer;
        while !ahead.is_empty() {
            let began = Instant::now();
            let guesses =
                if guess { worthwhile(&mut guesser, &self.costs, &tokens) } else { Vec::new() };
            let tried = guesses.len().min(ahead.len() - 1);
            let rows = [&tokens[tokens.len() - 1..], &guesses[..tried]].concat();
            self.compute(tokens.len() - 1, &rows, rows.len());
            let held = guesses[..tried].iter().zip(ahead).take_while(|(a, b)| a == b).count();
            guesser.learn(tried, held);
            let (chosen, rest) = ahead.split_at(held + 1);
            tokens.extend_from_slice(chosen);
            ahead = rest;
            let took = began.elapsed();
            self.costs.stepped(rows.len(), took.as_secs_f64() * 1e3);
            followed.time += took;
            followed.steps += 1;
            followed.guesses += tried;
            followed.held += held;
        }
        followed
    }

    /// As [`Bench::follow`], with guesses of a draft model, which computed `prompt` too. What it says is
    /// arbitrary, so each guess holds with the probability `acceptance` instead.
    pub fn follow_with_model(
        &mut self,
        model: &mut Bench,
        prompt: &[TokenId],
        answer: &[TokenId],
        acceptance: f64,
    ) -> Followed {
        let mut tokens = prompt.to_vec();
        let (mut odds, mut pass_ms) = (Odds::new(acceptance), None);
        let mut followed = Followed::default();
        let (mut ahead, mut thrown, mut known) = (answer, 0, prompt.len() - 1);
        while !ahead.is_empty() {
            let began = Instant::now();
            let most = MAX_GUESSES.min(ahead.len() - 1);
            let length = match self.costs.step_ms(1) {
                None => 0,
                Some(_) => {
                    let step_ms = |rows| self.costs.step_ms(rows).expect("something was measured");
                    worthwhile_length(&[odds.chance()], 1, most, pass_ms, step_ms)
                }
            };
            let mut guesses = Vec::new();
            for right_one in &ahead[..length] {
                let pass = Instant::now();
                let all = [tokens.as_slice(), &guesses].concat();
                model.compute(known, &all[known..], 1);
                known = all.len();
                thrown += 1;
                let holds = uniform(0, thrown) < acceptance;
                let wrong = TokenId((right_one.0 + 1) % self.vocabulary);
                guesses.push(if holds { *right_one } else { wrong });
                pass_ms = Some(pass.elapsed().as_secs_f64() * 1e3);
            }
            let rows = [&tokens[tokens.len() - 1..], &guesses].concat();
            self.compute(tokens.len() - 1, &rows, rows.len());
            let held = guesses.iter().zip(ahead).take_while(|(a, b)| a == b).count();
            match length {
                0 => odds.idle(),
                _ => odds.tried(length, held),
            }
            let (chosen, rest) = ahead.split_at(held + 1);
            known = known.min(tokens.len() + held);
            tokens.extend_from_slice(chosen);
            ahead = rest;
            let took = began.elapsed();
            let drafting = pass_ms.unwrap_or(0.0) * length as f64;
            self.costs.stepped(rows.len(), took.as_secs_f64() * 1e3 - drafting);
            followed.time += took;
            followed.steps += 1;
            followed.guesses += length;
            followed.held += held;
        }
        followed
    }

    /// What the work since the last call spent its time on.
    pub fn take_profile(&mut self) -> Profile {
        self.runner.take_profile()
    }

    /// How many logits a token has.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary as usize
    }

    /// The logits after each of `tokens`, which follow each other from position 0 on.
    ///
    /// Errors: the first of `each`.
    /// Panics if there are more tokens than positions, or one that the vocabulary lacks.
    pub fn logits<E>(
        &mut self,
        tokens: &[TokenId],
        mut each: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let stop = StopFlag::new();
        for (step, tokens) in tokens.chunks(LOGITS_ROWS).enumerate() {
            let (blocks, first_position) = (&self.sequences[0], step * LOGITS_ROWS);
            let span = Span { blocks, first_position, tokens, sampled: tokens.len(), stop: &stop };
            self.runner.forward(&Plan { spans: &[span] });
            let logits = self.runner.logits(0).expect("they were asked for");
            logits.chunks_exact(self.vocabulary as usize).try_for_each(&mut each)?;
        }
        Ok(())
    }

    /// Computes tokens of the first sequence, with the logits of the last `sampled`.
    fn compute(&mut self, first_position: usize, tokens: &[TokenId], sampled: usize) {
        let stop = StopFlag::new();
        let blocks = &self.sequences[0];
        let span = Span { blocks, first_position, tokens, sampled, stop: &stop };
        self.runner.forward(&Plan { spans: &[span] });
    }

    fn step(&mut self, sequences: usize, first_position: usize, count: usize, sampled: usize) {
        let tokens: Vec<TokenId> = (first_position..first_position + count)
            .map(|position| TokenId((position as u32).wrapping_mul(7919) % self.vocabulary))
            .collect();
        let stop = StopFlag::new();
        let span = |blocks| Span { blocks, first_position, tokens: &tokens, sampled, stop: &stop };
        let spans: Vec<Span<'_>> =
            self.sequences[..sequences].iter().map(|blocks| span(blocks.as_slice())).collect();
        self.runner.forward(&Plan { spans: &spans });
    }
}

/// Guesses of what follows `tokens`, as many as seem to be worth their rows in a step of this sequence
/// alone.
fn worthwhile(guesser: &mut Guesser, costs: &StepCosts, tokens: &[TokenId]) -> Vec<TokenId> {
    let mut guesses = guesser.guess(tokens);
    let count = match costs.step_ms(1) {
        None => 0,
        Some(_) => {
            let step_ms = |rows| costs.step_ms(rows).expect("something was measured");
            most_worthwhile(&[(guesser.chance(), guesses.len())], 1, MAX_GUESSES, step_ms)[0]
        }
    };
    guesses.truncate(count);
    guesses
}
