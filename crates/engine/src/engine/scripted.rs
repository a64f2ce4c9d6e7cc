//! A stand-in for the runner that computes nothing and still notices every mistake in the
//! bookkeeping.
//!
//! Its "keys and values" are the tokens themselves, kept in the blocks it is told to use. The
//! logits of a row are a function of all tokens read back through the sequence's blocks, so a block
//! that was shared, lost or not computed changes the answer or breaks the step.

use crate::Pulse;
use crate::kv_cache::{BLOCK_TOKENS, BlockId};
use crate::model::{Compute, Forward, Plan, Span, SpanOutcome, Wanted};
use crate::sampler::random::uniform;
use crate::text::TokenId;

/// How many layers a step pretends to have.
pub const LAYERS: usize = 4;

/// How wide its hidden rows are.
pub const HIDDEN: usize = 3;

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Steps before this one.
    pub step: usize,
    /// Layers of the step before this moment.
    pub layer: usize,
}

/// Fills the logits that follow the tokens of a sequence.
pub type Says = Box<dyn FnMut(&[TokenId], &mut [f32]) + Send>;

pub struct Scripted {
    cells: Vec<Option<TokenId>>,
    /// Of each span: [sampled, vocabulary_rows].
    logits: Vec<Option<Vec<f32>>>,
    /// Of each span: [rows, HIDDEN].
    hidden: Vec<Option<Vec<f32>>>,
    vocabulary_rows: usize,
    steps: usize,
    /// Called before each layer: where stops, delays and panics come from.
    pub at_layer: Box<dyn FnMut(Moment) + Send>,
    pub says: Says,
}

impl Scripted {
    pub fn new(total_blocks: usize, vocabulary_rows: usize) -> Scripted {
        Scripted {
            cells: vec![None; total_blocks * BLOCK_TOKENS],
            logits: Vec::new(),
            hidden: Vec::new(),
            vocabulary_rows,
            steps: 0,
            at_layer: Box::new(|_| ()),
            says: Box::new(noise),
        }
    }

    /// Rows after the last `rows` tokens of a span. `fill` makes each of all tokens before it.
    fn rows_of(
        &mut self,
        span: &Span<'_>,
        rows: usize,
        width: usize,
        fill: impl Fn(&mut Scripted, &[TokenId], &mut [f32]),
    ) -> Vec<f32> {
        let length = span.first_position + span.tokens.len();
        let read = |position| self.cells[Self::cell(span.blocks, position)];
        let tokens: Vec<TokenId> = (0..length)
            .map(|position| read(position).expect("every token before was computed"))
            .collect();
        let mut values = vec![0.0; rows * width];
        for (end, row) in (length + 1 - rows..=length).zip(values.chunks_exact_mut(width)) {
            fill(self, &tokens[..end], row);
        }
        values
    }

    fn cell(blocks: &[BlockId], position: usize) -> usize {
        blocks[position / BLOCK_TOKENS].0 as usize * BLOCK_TOKENS + position % BLOCK_TOKENS
    }
}

/// Logits that look random and depend on every token before.
pub fn noise(tokens: &[TokenId], logits: &mut [f32]) {
    let mix = |hash: u64, token: &TokenId| {
        (hash ^ u64::from(token.0)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    };
    let hash = tokens.iter().fold(tokens.len() as u64, mix);
    for (id, logit) in logits.iter_mut().enumerate() {
        *logit = (uniform(hash, id as u64) * 8.0) as f32;
    }
}

/// Logits that depend on the last two tokens alone, and leave few to choose from: answers that
/// repeat themselves, and now and then change to another repetition.
pub fn refrain(tokens: &[TokenId], logits: &mut [f32]) {
    noise(&tokens[tokens.len().saturating_sub(2)..], logits);
    let few = usize::from(b'a')..usize::from(b'g');
    for (id, logit) in logits.iter_mut().enumerate() {
        *logit = if few.contains(&id) { *logit * 0.5 } else { f32::NEG_INFINITY };
    }
}

impl Compute for Scripted {
    fn show_life(&mut self, _pulse: &Pulse) {}

    fn forward(&mut self, plan: &Plan<'_>) -> Forward {
        let mut outcomes = vec![SpanOutcome::Done; plan.spans.len()];
        for layer in 0..LAYERS {
            (self.at_layer)(Moment { step: self.steps, layer });
            for (span, outcome) in plan.spans.iter().zip(&mut outcomes) {
                if *outcome == SpanOutcome::Done && span.stop.is_raised() {
                    *outcome = SpanOutcome::Stopped { layers_run: layer, layers_after_stop: 0 };
                }
                // Like a real step, this one writes from its first layer on.
                let writes = *outcome == SpanOutcome::Done;
                for (offset, &token) in span.tokens.iter().enumerate().filter(|_| writes) {
                    let cell = Self::cell(span.blocks, span.first_position + offset);
                    self.cells[cell] = Some(token);
                }
            }
        }
        self.steps += 1;
        self.logits.clear();
        self.hidden.clear();
        for (span, outcome) in plan.spans.iter().zip(&outcomes) {
            let wanted = match outcome {
                SpanOutcome::Done => span.wanted,
                SpanOutcome::Stopped { .. } => Wanted::Nothing,
            };
            let (mut logits, mut hidden) = (None, None);
            match wanted {
                Wanted::Nothing => {}
                Wanted::Logits { rows } => {
                    let width = self.vocabulary_rows;
                    logits = Some(self.rows_of(span, rows, width, |own, tokens, row| {
                        (own.says)(tokens, row);
                    }));
                }
                Wanted::Hidden => {
                    let rows = span.tokens.len();
                    let noise = |_: &mut Scripted, tokens: &[TokenId], row: &mut [f32]| {
                        noise(tokens, row);
                    };
                    hidden = Some(self.rows_of(span, rows, HIDDEN, noise));
                }
            }
            self.logits.push(logits);
            self.hidden.push(hidden);
        }
        Forward { spans: outcomes }
    }

    fn hidden(&mut self, span: usize) -> Option<&[f32]> {
        self.hidden[span].as_deref()
    }

    fn read_block(&self, block: BlockId) -> Vec<u8> {
        let first = block.0 as usize * BLOCK_TOKENS;
        let number = |cell: &Option<TokenId>| cell.map_or(u32::MAX, |token| token.0).to_le_bytes();
        self.cells[first..first + BLOCK_TOKENS].iter().flat_map(number).collect()
    }

    fn write_block(&mut self, block: BlockId, bytes: &[u8]) -> bool {
        let first = block.0 as usize * BLOCK_TOKENS;
        let numbers = bytes.as_chunks::<4>().0;
        if numbers.len() != BLOCK_TOKENS {
            return false;
        }
        for (cell, number) in self.cells[first..].iter_mut().zip(numbers) {
            *cell = Some(TokenId(u32::from_le_bytes(*number)));
        }
        true
    }

    fn logits(&mut self, span: usize) -> Option<&mut [f32]> {
        self.logits[span].as_deref_mut()
    }
}
