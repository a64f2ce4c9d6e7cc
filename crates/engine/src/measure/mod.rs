//! How fast a model is on this machine, and how fast it could be.
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

pub use self::limits::{LimitError, Limits, limits, weight_bytes_per_second};
pub use self::workload::{Products, Workload};
use crate::StopFlag;
use crate::engine::OpenError;
use crate::kv_cache::{BLOCK_TOKENS, BlockId};
use crate::model::{Model, Plan, Profile, Runner, RunnerConfig, Span, Wanted};
use crate::model_file::{ModelFile, ModelSource, Quant};
use crate::sampler::random::uniform;
use crate::speculation::{Guesser, MAX_GUESSES, StepPolicy};
use crate::text::TokenId;

/// Tokens of a prompt computed in one step, as the engine does by default.
const STEP_TOKENS: usize = 512;

/// Logits of this many tokens are computed in one step: 40 MB with Qwen2.5's vocabulary.
pub const LOGITS_ROWS: usize = 64;

/// What to compute with, and how much room is needed.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Instruction set to compute with.
    pub isa: Isa,
    /// Threads to compute with.
    pub threads: NonZeroUsize,
    /// Converts matrices to other types as they are loaded.
    pub quant: Option<Quant>,
    /// The type of cached keys and values.
    pub kv_type: KvType,
    /// How many sequences there can be at once.
    pub sequences: usize,
    /// Positions of a sequence are below this.
    pub context_tokens: usize,
}

/// Which guesses a step tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guessing {
    /// None: one token a step.
    None,
    /// Those that the text suggests, as far as they pay.
    FromText,
}

/// What it took to follow a given answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Followed {
    /// How long it took.
    pub time: Duration,
    /// How many steps.
    pub steps: usize,
    /// Guesses that were computed.
    pub guesses: usize,
    /// Guesses that were accepted.
    pub accepted: usize,
}

/// A given answer while it is followed.
struct Following<'a> {
    /// The tokens of the prompt and of the answer so far.
    tokens: Vec<TokenId>,
    /// The rest of the answer.
    ahead: &'a [TokenId],
    followed: Followed,
}

impl<'a> Following<'a> {
    fn new(prompt: &[TokenId], answer: &'a [TokenId]) -> Following<'a> {
        Following { tokens: prompt.to_vec(), ahead: answer, followed: Followed::default() }
    }
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
    /// The engine's own policy. It remembers from one answer to the next, as in the engine.
    policy: StepPolicy,
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
            policy: StepPolicy::default(),
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

    /// How long it took to load the model.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// How much there is to compute and to read for a token.
    pub fn workload(&self) -> Workload {
        self.workload
    }

    /// Fills the cache of every sequence with arbitrary values below `positions`.
    pub fn fill(&mut self, positions: usize) {
        for blocks in &self.sequences {
            self.runner.fill_cache(blocks, positions);
        }
    }

    /// How long it takes to compute `tokens` tokens behind `cached` ones, with the last one's
    /// logits.
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

    /// How long `tokens` steps take, each of which computes one token of `sequences` sequences,
    /// behind `cached` tokens.
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

    /// Computes `answer` behind `prompt`, which is computed, as the engine would if the model chose
    /// these very tokens.
    pub fn follow(
        &mut self,
        prompt: &[TokenId],
        answer: &[TokenId],
        guessing: Guessing,
    ) -> Followed {
        let mut guesser = Guesser::default();
        let mut following = Following::new(prompt, answer);
        while !following.ahead.is_empty() {
            let began = Instant::now();
            let guesses = match guessing {
                Guessing::FromText => guesser.guess(&following.tokens),
                Guessing::None => Vec::new(),
            };
            let guesses = self.worthwhile(&guesser, guesses, following.ahead.len() - 1);
            self.step_along(&mut following, &mut guesser, &guesses);
            following.followed.time += began.elapsed();
        }
        following.followed
    }

    /// As [`Bench::follow`], with guesses of a draft model, which has computed `prompt` too. Its
    /// tokens are arbitrary, so each guess is made right with the probability `acceptance` instead.
    pub fn follow_with_draft_model(
        &mut self,
        model: &mut Bench,
        prompt: &[TokenId],
        answer: &[TokenId],
        acceptance: f64,
    ) -> Followed {
        let mut guesser = Guesser::default();
        let mut following = Following::new(prompt, answer);
        let (mut thrown, mut known) = (0, prompt.len() - 1);
        while !following.ahead.is_empty() {
            let began = Instant::now();
            let most = MAX_GUESSES.min(following.ahead.len() - 1);
            let length = self.policy.draft_length(&[guesser.draft_model_chance()], 1, most);
            let mut guesses = Vec::new();
            for right_one in &following.ahead[..length] {
                let pass = Instant::now();
                let all = [following.tokens.as_slice(), &guesses].concat();
                let missing = all.len() - known;
                model.compute(known, &all[known..], 1);
                known = all.len();
                thrown += 1;
                let is_right = uniform(0, thrown) < acceptance;
                let wrong = TokenId((right_one.0 + 1) % self.vocabulary);
                guesses.push(if is_right { *right_one } else { wrong });
                // As in the engine: two tokens are read if all guesses were accepted before.
                if missing <= 2 {
                    self.policy.draft_model_passed(pass.elapsed());
                }
            }
            if !guesses.is_empty() {
                guesser.use_draft_model();
            }
            let guesses = self.worthwhile(&guesser, guesses, following.ahead.len() - 1);
            let before = following.tokens.len();
            let accepted = self.step_along(&mut following, &mut guesser, &guesses);
            known = known.min(before + accepted);
            following.followed.time += began.elapsed();
        }
        following.followed
    }

    /// The first of `guesses` that pay in a step of this sequence alone, at most `most`.
    fn worthwhile(
        &self,
        guesser: &Guesser,
        mut guesses: Vec<TokenId>,
        most: usize,
    ) -> Vec<TokenId> {
        let chances = [(guesser.chance(), guesses.len())];
        let counts = self.policy.counts(&chances, 1, MAX_GUESSES);
        guesses.truncate(counts[0].min(most));
        guesses
    }

    /// Takes a step with these guesses. Says how many of them were accepted.
    fn step_along(
        &mut self,
        following: &mut Following<'_>,
        guesser: &mut Guesser,
        guesses: &[TokenId],
    ) -> usize {
        let Following { tokens, ahead, followed } = following;
        let rows = [&tokens[tokens.len() - 1..], guesses].concat();
        let began = Instant::now();
        self.compute(tokens.len() - 1, &rows, rows.len());
        self.policy.stepped(rows.len(), began.elapsed());
        let accepted = guesses.iter().zip(*ahead).take_while(|(a, b)| a == b).count();
        guesser.learn(guesses.len(), accepted);
        let (chosen, rest) = ahead.split_at(accepted + 1);
        tokens.extend_from_slice(chosen);
        *ahead = rest;
        followed.steps += 1;
        followed.guesses += guesses.len();
        followed.accepted += accepted;
        accepted
    }

    /// What the steps since the last call spent their time on.
    pub fn take_profile(&mut self) -> Profile {
        self.runner.take_profile()
    }

    /// How many logits a token has.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary as usize
    }

    /// Calls `each` with the logits after each of `tokens`, which begin at position 0.
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
            let span = Span {
                blocks,
                first_position,
                tokens,
                wanted: Wanted::logits(tokens.len()),
                stop: &stop,
            };
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
        let wanted = Wanted::logits(sampled);
        let span = Span { blocks, first_position, tokens, wanted, stop: &stop };
        self.runner.forward(&Plan { spans: &[span] });
    }

    fn step(&mut self, sequences: usize, first_position: usize, count: usize, sampled: usize) {
        let tokens: Vec<TokenId> = (first_position..first_position + count)
            .map(|position| TokenId((position as u32).wrapping_mul(7919) % self.vocabulary))
            .collect();
        let stop = StopFlag::new();
        let wanted = Wanted::logits(sampled);
        let span = |blocks| Span { blocks, first_position, tokens: &tokens, wanted, stop: &stop };
        let spans: Vec<Span<'_>> =
            self.sequences[..sequences].iter().map(|blocks| span(blocks.as_slice())).collect();
        self.runner.forward(&Plan { spans: &spans });
    }
}
