//! How much memory the cache gets, decided before anything is loaded.

use super::EngineConfig;
use super::machine::Machine;
use crate::kv_cache::{BLOCK_TOKENS, blocks_for};
use crate::model::{Model, Runner, RunnerConfig};
use crate::model_file::ModelFile;

/// What is known before loading.
#[derive(Clone, Copy, Debug)]
pub struct MemoryNeeds {
    /// Memory that may be taken, if known.
    pub available_bytes: Option<u64>,
    /// The weights, as they are kept in memory.
    pub weight_bytes: u64,
    /// Working memory of a step.
    pub step_bytes: u64,
    /// One block of the cache over all layers.
    pub block_bytes: u64,
    /// Tokens of one whole context.
    pub context_tokens: usize,
    /// Sequences that run at once; the cache never needs more than a context for each.
    pub max_sequences: usize,
    /// Memory of the cache, if the operator sets it.
    pub kv_memory_bytes: Option<u64>,
}

/// Why there is not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Weights, working memory and cache are more than is available.
    #[error(
        "memory: expected at most {}, found {} (weights {}, cache {} for {cache_tokens} tokens, \
         working memory {}){}",
        Size(*available_bytes),
        Size(weight_bytes + cache_bytes + step_bytes),
        Size(*weight_bytes),
        Size(*cache_bytes),
        Size(*step_bytes),
        SmallerContext(*fitting_tokens),
    )]
    TooLittle {
        /// Memory that may be taken.
        available_bytes: u64,
        /// The weights.
        weight_bytes: u64,
        /// The smallest cache that would do, or the one that was asked for.
        cache_bytes: u64,
        /// Tokens that cache would hold.
        cache_tokens: usize,
        /// Working memory of a step.
        step_bytes: u64,
        /// Tokens of a context that would fit.
        fitting_tokens: usize,
    },
    /// The cache that was asked for is too small to answer anything.
    #[error(
        "cache memory: expected at least {} for {MIN_CACHE_TOKENS} tokens, found {}",
        Size(*needed_bytes),
        Size(*found_bytes)
    )]
    CacheTooSmall {
        /// What the smallest useful cache takes.
        needed_bytes: u64,
        /// What was asked for.
        found_bytes: u64,
    },
}

/// The smallest useful cache: it holds a question and an answer.
pub const MIN_CACHE_TOKENS: usize = 256;

/// The cache takes a quarter of the available memory unless the operator sets it. That leaves room
/// for the weights, which usually take most, and for everything else on the machine.
const DEFAULT_PART: u64 = 4;

/// What loading takes besides weights and a packed tensor: a buffer of file bytes for every thread,
/// and the text.
const LOADING_BYTES: u64 = 64 << 20;

struct Size(u64);

struct SmallerContext(usize);

impl MemoryNeeds {
    /// What one model needs on this machine.
    pub fn of(
        config: &EngineConfig,
        file: &ModelFile,
        runner: &RunnerConfig,
        machine: &Machine,
    ) -> MemoryNeeds {
        let working_bytes = Runner::scratch_bytes(file.config(), runner) as u64;
        let loading_bytes = LOADING_BYTES.saturating_add(Model::reading_bytes_needed(file));
        MemoryNeeds {
            available_bytes: machine.available_memory_bytes(),
            weight_bytes: Model::weight_bytes_needed(file),
            step_bytes: working_bytes.saturating_add(loading_bytes),
            block_bytes: Runner::block_bytes(file.config(), runner.kv_type) as u64,
            context_tokens: runner.context_tokens,
            max_sequences: config.max_sequences,
            kv_memory_bytes: config.kv_memory_bytes,
        }
    }

    /// Adds what a draft model needs. It has keys and values for the same blocks.
    pub fn add(&mut self, other: &MemoryNeeds) {
        self.weight_bytes = self.weight_bytes.saturating_add(other.weight_bytes);
        self.step_bytes = self.step_bytes.saturating_add(other.step_bytes);
        self.block_bytes = self.block_bytes.saturating_add(other.block_bytes);
    }

    /// How many blocks the cache gets.
    ///
    /// By default a quarter of the available memory, at least one whole context, at most one for
    /// every sequence.
    /// Errors: not enough memory for weights, step and cache, with the numbers.
    pub fn cache_blocks(&self) -> Result<usize, MemoryError> {
        let context_blocks = blocks_for(self.context_tokens) as u64;
        let most = context_blocks.saturating_mul(self.max_sequences as u64);
        let wanted = match self.kv_memory_bytes {
            Some(bytes) => self.asked_blocks(bytes)?.min(most),
            None => context_blocks,
        };
        let Some(available) = self.available_bytes else {
            return Ok(to_count(wanted));
        };
        let taken = self.weight_bytes.saturating_add(self.step_bytes);
        let fitting = available.saturating_sub(taken) / self.block_bytes;
        if available < taken || fitting < wanted {
            return Err(MemoryError::TooLittle {
                available_bytes: available,
                weight_bytes: self.weight_bytes,
                cache_bytes: wanted.saturating_mul(self.block_bytes),
                cache_tokens: to_count(wanted.saturating_mul(BLOCK_TOKENS as u64)),
                step_bytes: self.step_bytes,
                fitting_tokens: to_count(fitting.saturating_mul(BLOCK_TOKENS as u64)),
            });
        }
        if self.kv_memory_bytes.is_some() {
            return Ok(to_count(wanted));
        }
        let part = available / DEFAULT_PART / self.block_bytes;
        Ok(to_count(part.min(fitting).min(most).max(wanted)))
    }

    fn asked_blocks(&self, bytes: u64) -> Result<u64, MemoryError> {
        let blocks = bytes / self.block_bytes;
        let least = blocks_for(MIN_CACHE_TOKENS.min(self.context_tokens)) as u64;
        if blocks >= least {
            return Ok(blocks);
        }
        let needed_bytes = least.saturating_mul(self.block_bytes);
        Err(MemoryError::CacheTooSmall { needed_bytes, found_bytes: bytes })
    }
}

fn to_count(blocks: u64) -> usize {
    usize::try_from(blocks).unwrap_or(usize::MAX)
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const KIBIBYTE: u64 = 1 << 10;
        const MEBIBYTE: u64 = 1 << 20;
        match self.0 {
            small if small < 10 * MEBIBYTE => write!(f, "{} KiB", small.div_ceil(KIBIBYTE)),
            large => write!(f, "{} MiB", large.div_ceil(MEBIBYTE)),
        }
    }
}

impl std::fmt::Display for SmallerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < MIN_CACHE_TOKENS {
            return Ok(());
        }
        write!(f, "; a context of {} tokens would fit", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::ModelSource;

    const MIB: u64 = 1 << 20;

    /// A model of 100 MiB with a context of 64 blocks of 1 MiB.
    fn needs() -> MemoryNeeds {
        MemoryNeeds {
            available_bytes: Some(1_000 * MIB),
            weight_bytes: 100 * MIB,
            step_bytes: 10 * MIB,
            block_bytes: MIB,
            context_tokens: 1_024,
            max_sequences: 8,
            kv_memory_bytes: None,
        }
    }

    #[test]
    fn the_cache_gets_what_was_promised() {
        struct Case {
            name: &'static str,
            needs: MemoryNeeds,
            blocks: usize,
        }
        let cases = [
            Case { name: "a quarter", needs: needs(), blocks: 250 },
            Case {
                name: "at least one context",
                needs: MemoryNeeds { available_bytes: Some(200 * MIB), ..needs() },
                blocks: 64,
            },
            Case {
                name: "a quarter that would not fit beside the weights is cut",
                needs: MemoryNeeds { weight_bytes: 800 * MIB, ..needs() },
                blocks: 190,
            },
            Case {
                name: "never more than the sequences can use",
                needs: MemoryNeeds { max_sequences: 2, ..needs() },
                blocks: 128,
            },
            Case {
                name: "unknown memory: one context",
                needs: MemoryNeeds { available_bytes: None, ..needs() },
                blocks: 64,
            },
            Case {
                name: "as asked",
                needs: MemoryNeeds { kv_memory_bytes: Some(30 * MIB + 5), ..needs() },
                blocks: 30,
            },
            Case {
                name: "asked for everything that is left",
                needs: MemoryNeeds {
                    kv_memory_bytes: Some(890 * MIB),
                    max_sequences: 100,
                    ..needs()
                },
                blocks: 890,
            },
        ];
        for case in &cases {
            assert_eq!(case.needs.cache_blocks(), Ok(case.blocks), "{}", case.name);
        }
    }

    #[test]
    fn a_packed_tensor_is_in_memory_as_a_whole_while_it_is_read() {
        let (file, code_bytes) = crate::model::tests::packed::packed_file();
        let source = ModelSource::Embedded { name: "none", bytes: &[] };
        let config = EngineConfig::new(source);
        let runner = crate::engine::open::runner_config(&config, 64);
        let needs = MemoryNeeds::of(&config, &file, &runner, &Machine::here());
        let scratch_bytes = Runner::scratch_bytes(file.config(), &runner) as u64;
        let reading_bytes = needs.step_bytes - scratch_bytes - LOADING_BYTES;
        let with_scales = code_bytes..2 * code_bytes;
        assert!(with_scales.contains(&reading_bytes), "{reading_bytes} for {code_bytes} of codes");
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_numbers() {
        struct Case {
            needs: MemoryNeeds,
            message: &'static str,
        }
        let cases = [
            Case {
                needs: MemoryNeeds { available_bytes: Some(173 * MIB), ..needs() },
                message: "memory: expected at most 173 MiB, found 174 MiB (weights 100 MiB, cache \
                          64 MiB for 1024 tokens, working memory 10 MiB); a context of 1008 tokens \
                          would fit",
            },
            Case {
                needs: MemoryNeeds { available_bytes: Some(50 * MIB), ..needs() },
                message: "memory: expected at most 50 MiB, found 174 MiB (weights 100 MiB, cache \
                          64 MiB for 1024 tokens, working memory 10 MiB)",
            },
            Case {
                needs: MemoryNeeds {
                    kv_memory_bytes: Some(891 * MIB),
                    max_sequences: 100,
                    ..needs()
                },
                message: "memory: expected at most 1000 MiB, found 1001 MiB (weights 100 MiB, \
                          cache 891 MiB for 14256 tokens, working memory 10 MiB); a context of \
                          14240 tokens would fit",
            },
            Case {
                needs: MemoryNeeds { kv_memory_bytes: Some(15 * MIB), ..needs() },
                message: "cache memory: expected at least 16 MiB for 256 tokens, found 15 MiB",
            },
        ];
        for case in &cases {
            let error = case.needs.cache_blocks().expect_err(case.message);
            assert_eq!(error.to_string(), case.message);
        }
    }
}
