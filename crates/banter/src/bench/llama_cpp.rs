//! llama.cpp as a side: the same file, threads, KV type, flash attention and micro-batch of 512.

use std::ffi::CStr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::Context;
use banter_engine::KvType;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use super::side::{Side, SideOptions};
use super::task::{Ready, Task};

/// Tokens of a prompt computed in one step, as ours.
const STEP_TOKENS: usize = 512;

/// Loads the model and lends it to `work`, because a context borrows its model.
pub fn with_side(
    options: &SideOptions,
    work: &mut dyn FnMut(LlamaCpp<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    let model =
        LlamaModel::load_from_file(&backend, &options.model.path, &LlamaModelParams::default())
            .with_context(|| format!("llama.cpp: {}", options.model.path.display()))?;
    let threads = i32::try_from(options.model.threads.get())?;
    let kv_type = match options.model.kv_type {
        KvType::F16 => KvCacheType::F16,
        KvType::F32 => KvCacheType::F32,
        KvType::Q8_0 => KvCacheType::Q8_0,
    };
    let positions = options.sequences * options.context_tokens.next_multiple_of(256);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(u32::try_from(positions)?))
        .with_n_seq_max(u32::try_from(options.sequences)?)
        .with_n_batch(STEP_TOKENS as u32)
        .with_n_ubatch(STEP_TOKENS as u32)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(kv_type)
        .with_type_v(kv_type)
        .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED)
        .with_kv_unified(false);
    let context = model.new_context(&backend, params).context("llama.cpp: a context")?;
    let ready = Ready {
        model: model.meta_val_str("general.name").unwrap_or_default(),
        weight_types: String::new(),
        load_seconds: started.elapsed().as_secs_f64(),
        about: format!("llama.cpp, {}", system_info()),
        workload: None,
    };
    work(LlamaCpp {
        context,
        batch: LlamaBatch::new(STEP_TOKENS.max(options.sequences), 1),
        held: vec![0; options.sequences],
        vocabulary: model.n_vocab(),
        ready,
    })
}

/// A context of llama.cpp.
pub struct LlamaCpp<'a> {
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    /// How many tokens each sequence has in the cache.
    held: Vec<usize>,
    vocabulary: i32,
    ready: Ready,
}

impl Side for LlamaCpp<'_> {
    fn ready(&self) -> Ready {
        self.ready.clone()
    }

    fn run(&mut self, task: Task) -> anyhow::Result<Duration> {
        match task {
            Task::Prompt { cached, tokens } => {
                self.hold(0, cached)?;
                let started = Instant::now();
                self.prompt(0, tokens)?;
                Ok(started.elapsed())
            }
            Task::Generate { sequences, cached, tokens } => {
                (0..sequences).try_for_each(|sequence| self.hold(sequence, cached))?;
                let started = Instant::now();
                for _ in 0..tokens {
                    self.step_together(sequences)?;
                }
                Ok(started.elapsed())
            }
        }
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary as usize
    }

    fn logits(
        &mut self,
        tokens: &[u32],
        each: &mut dyn FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.hold(0, 0)?;
        for (index, tokens) in tokens.chunks(STEP_TOKENS).enumerate() {
            self.batch.clear();
            for (position, &token) in (index * STEP_TOKENS..).zip(tokens) {
                let token = LlamaToken(i32::try_from(token)?);
                self.batch.add(token, i32::try_from(position)?, &[0], true)?;
            }
            self.context.decode(&mut self.batch)?;
            for token in 0..tokens.len() {
                each(self.context.get_logits_ith(i32::try_from(token)?))?;
            }
            self.held[0] += tokens.len();
        }
        Ok(())
    }

    fn profile(&mut self) -> Vec<(String, f64)> {
        Vec::new()
    }
}

impl LlamaCpp<'_> {
    /// Makes the cache of a sequence contain exactly this many tokens.
    fn hold(&mut self, sequence: usize, tokens: usize) -> anyhow::Result<()> {
        let held = self.held[sequence];
        if held > tokens {
            let (sequence, start) = (u32::try_from(sequence)?, u32::try_from(tokens)?);
            self.context.clear_kv_cache_seq(Some(sequence), Some(start), None)?;
            self.held[sequence as usize] = tokens;
        }
        self.prompt(sequence, tokens.saturating_sub(held))
    }

    /// Computes this many more tokens of one sequence, with logits after the last.
    fn prompt(&mut self, sequence: usize, tokens: usize) -> anyhow::Result<()> {
        let end = self.held[sequence] + tokens;
        while self.held[sequence] < end {
            let first = self.held[sequence];
            let count = STEP_TOKENS.min(end - first);
            self.batch.clear();
            for position in first..first + count {
                self.add(sequence, position, position + 1 == end)?;
            }
            self.context.decode(&mut self.batch)?;
            self.held[sequence] += count;
        }
        Ok(())
    }

    /// Computes one more token of each sequence, with logits.
    fn step_together(&mut self, sequences: usize) -> anyhow::Result<()> {
        self.batch.clear();
        for sequence in 0..sequences {
            self.add(sequence, self.held[sequence], true)?;
            self.held[sequence] += 1;
        }
        Ok(self.context.decode(&mut self.batch)?)
    }

    fn add(&mut self, sequence: usize, position: usize, logits: bool) -> anyhow::Result<()> {
        let position = i32::try_from(position)?;
        let token = LlamaToken(position.wrapping_mul(7919).rem_euclid(self.vocabulary));
        Ok(self.batch.add(token, position, &[i32::try_from(sequence)?], logits)?)
    }
}

/// llama.cpp's list of the instructions that it was built for and has found.
fn system_info() -> String {
    // SAFETY: the function returns a C string that stays until it is called again, which nobody
    // does before this copy is made.
    let text = unsafe { CStr::from_ptr(llama_cpp_sys_2::llama_print_system_info()) };
    text.to_string_lossy().trim().to_string()
}
