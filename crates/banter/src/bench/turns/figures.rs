//! The figures of many conversations.

use std::time::Duration;

use anyhow::Context;
use banter_engine::engine::{Draft, Engine, EngineConfig, Event, FinishReason, Generation};
use banter_engine::kv_cache::{DiskConfig, Tenant};
use banter_engine::text::Role;

use super::SEQUENCES;
use super::clients::{Clients, Heard, hear, message, milliseconds};
use crate::bench::quantile::{median, quantile};

/// Measures a figure, with this many repetitions.
type Measure = fn(&Ground<'_>, usize) -> anyhow::Result<Vec<Value>>;

/// What a measurement needs.
pub struct Ground<'a> {
    pub clients: Clients<'a>,
    /// How the engine was opened, for figures that need another one.
    pub config: &'a EngineConfig,
}

/// A group of figures that are measured together.
pub struct Figure {
    pub name: &'static str,
    pub measure: Measure,
}

/// One number.
pub struct Value {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
}

/// All figures.
pub const FIGURES: [Figure; 7] = [
    Figure { name: "turn", measure: turn },
    Figure { name: "system-prompt", measure: system_prompt },
    Figure { name: "typing", measure: typing },
    Figure { name: "restart", measure: restart },
    Figure { name: "stop", measure: stop },
    Figure { name: "neighbours", measure: neighbours },
    Figure { name: "scheduler", measure: scheduler },
];

/// Tokens of a short message.
const MESSAGE: usize = 32;
/// Tokens of a conversation that is continued.
const HISTORY: usize = 2_000;
/// Tokens of an operator's system prompt.
const SYSTEM_PROMPT: usize = 1_000;
/// Tokens of a conversation in which somebody types.
const TYPED_HISTORY: usize = 1_000;
/// A text that people might type.
const LETTER: &str = include_str!("../rewriting/letter.txt");
/// How much of it is typed.
const TYPED_WORDS: usize = 60;
/// How fast.
const TYPED_WORDS_A_MINUTE: f64 = 40.0;
/// Tokens of a prompt that is stopped.
const STOPPED_PROMPT: usize = 4_000;
/// Tokens of a prompt that should not delay others.
const LONG_PROMPT: usize = 8_000;
/// Conversations beside that prompt.
const CHATS: usize = 8;
/// Tokens of each answer in them.
const CHAT_ANSWER: usize = 64;
/// Stops for each repetition.
const STOPS: usize = 10;

/// The time to the first word of a turn, with and without a history that was computed before.
fn turn(ground: &Ground<'_>, repetitions: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let history = clients.conversation(&[], HISTORY)?;
    let history = clients.answered(history, 4)?;
    let (mut alone, mut behind, mut step) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        alone.push(clients.answer(clients.conversation(&[], MESSAGE)?, 2)?.first_word_ms()?);
        let heard = clients.answer(clients.conversation(&history, MESSAGE)?, 12)?;
        let usage = heard.finished.usage;
        let computed = usage.prompt_tokens - usage.cached_tokens;
        anyhow::ensure!(computed < 2 * MESSAGE, "the history was computed again: {usage:?}");
        behind.push(heard.first_word_ms()?);
        let speed = heard.finished.timings.tokens_per_second.context("an answer of 12 tokens")?;
        step.push(1e3 / f64::from(speed));
    }
    let (alone, behind, step) = (median(alone), median(behind), median(step));
    Ok(vec![
        value("first word of 32 tokens without history", alone, "ms"),
        value("first word of 32 tokens behind 2000 computed before", behind, "ms"),
        value("one token behind them", step, "ms"),
        value("with history / (without + one token)", behind / (alone + step), "×"),
    ])
}

/// How much of the common beginning of two conversations is computed again for the second.
fn system_prompt(ground: &Ground<'_>, _: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let mut opening = clients.conversation(&[], SYSTEM_PROMPT)?;
    opening[0].role = Role::System;
    let (first, second) =
        (clients.conversation(&opening, MESSAGE)?, clients.conversation(&opening, MESSAGE)?);
    let (first_ids, second_ids) = (clients.ids(&first)?, clients.ids(&second)?);
    let common = first_ids.iter().zip(&second_ids).take_while(|(a, b)| a == b).count();
    clients.answer(first, 1)?;
    let usage = clients.answer(second, 1)?.finished.usage;
    let again = common.saturating_sub(usage.cached_tokens);
    Ok(vec![
        value("tokens that two conversations begin with", common as f64, "tokens"),
        value("of them computed for the second", again as f64, "tokens"),
    ])
}

/// The time to the first word of an answer: with a question that was computed while it was typed,
/// and with one that was not.
fn typing(ground: &Ground<'_>, _: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let history = clients.answered(clients.conversation(&[], TYPED_HISTORY)?, 4)?;
    let mut words = LETTER.split_whitespace();
    let mut question = || words.by_ref().take(TYPED_WORDS).collect::<Vec<&str>>().join(" ");
    let asked =
        |question: &str| [&history[..], &[message(Role::User, question.to_owned())]].concat();
    let plain = clients.answer(asked(&question()), 12)?;
    let question = question();
    let begun = clients.engine().counters();
    let ends = question.match_indices(' ').map(|(end, _)| end).chain([question.len()]);
    for end in ends {
        let messages = asked(&question[..end]);
        let draft = Draft {
            messages,
            max_tokens: Some(12),
            tenant: Tenant::default(),
            conversation: None,
            key: 1,
        };
        clients.engine().draft(draft)?;
        std::thread::sleep(Duration::from_secs_f64(60.0 / TYPED_WORDS_A_MINUTE));
    }
    let drafted = clients.answer(asked(&question), 12)?;
    let left = drafted.finished.usage.prompt_tokens - drafted.finished.usage.cached_tokens;
    let ended = clients.engine().counters();
    let speed = plain.finished.timings.tokens_per_second.context("an answer of 12 tokens")?;
    let (plain, drafted) = (plain.first_word_ms()?, drafted.first_word_ms()?);
    let step = 1e3 / f64::from(speed);
    Ok(vec![
        value("first word of 60 words behind 1000 tokens", plain, "ms"),
        value("the same computed while it was typed", drafted, "ms"),
        value("tokens that were left to compute", left as f64, "tokens"),
        value("one token behind them", step, "ms"),
        value("drafted / one token", drafted / step, "×"),
        value(
            "tokens computed for drafts",
            (ended.drafts_computed - begun.drafts_computed) as f64,
            "tokens",
        ),
        value("in vain", (ended.drafts_wasted - begun.drafts_wasted) as f64, "tokens"),
    ])
}

/// The time to the first word after a restart: of a conversation that was computed before, and of a
/// new one.
fn restart(ground: &Ground<'_>, _: usize) -> anyhow::Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let kv_disk = DiskConfig { folder: folder.path().to_owned(), max_bytes: 4 << 30 };
    let config = EngineConfig { kv_disk: Some(kv_disk), ..ground.config.clone() };
    let question = ground.clients.conversation(&[], HISTORY)?;
    let engine = Engine::open(config.clone(), &mut |_| ())?;
    let computed = Clients::new(&engine).answer(question.clone(), 2)?.first_word_ms()?;
    drop(engine);
    let engine = Engine::open(config, &mut |_| ())?;
    while engine.counters().disk_blocks == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let heard = Clients::new(&engine).answer(question, 2)?;
    let usage = heard.finished.usage;
    anyhow::ensure!(usage.prompt_tokens - usage.cached_tokens < MESSAGE, "{usage:?}");
    let found = heard.first_word_ms()?;
    Ok(vec![
        value("first word of 2000 tokens computed", computed, "ms"),
        value("the same after a restart from disk", found, "ms"),
        value("computed / from disk", computed / found, "×"),
    ])
}

/// The time from a stop in the middle of a prompt to the halt.
fn stop(ground: &Ground<'_>, repetitions: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let mut halts = Vec::new();
    for stop in 0..repetitions * STOPS {
        let mut generation = clients.ask(clients.conversation(&[], STOPPED_PROMPT)?, 4)?;
        wait_for_prompt(&mut generation)?;
        // At any moment of a step, not only when one has just ended.
        std::thread::sleep(Duration::from_millis(37 * (stop as u64 % 23)));
        generation.stop();
        let finished = hear(generation).finished;
        anyhow::ensure!(finished.reason == FinishReason::Stopped, "{finished:?}");
        halts.push(f64::from(finished.timings.halt_ms.context("a stopped answer")?));
    }
    Ok(vec![
        value("from stop to halt median", median(halts.clone()), "ms"),
        value("from stop to halt p99", quantile(halts, 0.99), "ms"),
    ])
}

/// The pauses between two words of short conversations, alone and beside a long prompt.
fn neighbours(ground: &Ground<'_>, repetitions: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // Alternately, because the other load of the machine changes within a minute.
    for _ in 0..repetitions {
        alone.extend(gaps(&chat(clients, None)?));
        let long = clients.ask(clients.conversation(&[], LONG_PROMPT)?, 1)?;
        beside.extend(gaps(&chat(clients, Some(long))?));
    }
    let (alone, beside) = (quantile(alone, 0.99), quantile(beside, 0.99));
    Ok(vec![
        value("pause between two words of 8 chats p99", alone, "ms"),
        value("the same beside a prompt of 8000", beside, "ms"),
        value("beside it / alone", beside / alone, "×"),
    ])
}

/// Conversations that are answered at the same time; `long` ends with them.
fn chat(clients: &Clients<'_>, long: Option<Generation>) -> anyhow::Result<Vec<Heard>> {
    let asked = (0..CHATS).map(|_| clients.ask(clients.conversation(&[], MESSAGE)?, CHAT_ANSWER));
    let asked = asked.collect::<anyhow::Result<Vec<Generation>>>()?;
    let heard = std::thread::scope(|scope| {
        let readers: Vec<_> =
            asked.into_iter().map(|generation| scope.spawn(|| hear(generation))).collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<Heard>>()
    });
    if let Some(long) = long {
        long.stop();
        let finished = hear(long).finished;
        anyhow::ensure!(finished.usage.completion_tokens == 0, "the long prompt ended too soon");
    }
    Ok(heard)
}

/// The pauses after every conversation has its first word.
fn gaps(heard: &[Heard]) -> Vec<f64> {
    let all_speak = heard.iter().filter_map(|heard| heard.at.first()).max().copied();
    let pauses = |heard: &Heard| {
        let pairs = heard.at.windows(2).filter(|pair| Some(pair[0]) >= all_speak);
        pairs.map(|pair| milliseconds(pair[1] - pair[0])).collect::<Vec<f64>>()
    };
    heard.iter().flat_map(pauses).collect()
}

/// The scheduler's part of a step with many answers.
fn scheduler(ground: &Ground<'_>, repetitions: usize) -> anyhow::Result<Vec<Value>> {
    let clients = &ground.clients;
    let tokens = 4 + 2 * repetitions;
    let asked = (0..SEQUENCES).map(|_| clients.ask(clients.conversation(&[], MESSAGE)?, tokens));
    let mut asked = asked.collect::<anyhow::Result<Vec<Generation>>>()?;
    for generation in &mut asked {
        while !matches!(generation.next_blocking().context("an answer")?, Event::Delta { .. }) {}
    }
    let before = clients.engine().counters();
    asked.into_iter().for_each(|generation| drop(hear(generation)));
    let after = clients.engine().counters();
    let steps = (after.steps - before.steps).max(1) as f64;
    let per_step = |after: Duration, before: Duration| milliseconds(after - before) / steps;
    let planning = per_step(after.planning, before.planning);
    let delivering = per_step(after.delivering, before.delivering);
    let step = planning + delivering + per_step(after.computing, before.computing);
    Ok(vec![
        value("a step with 64 answers", step, "ms"),
        value("of it planning", planning, "ms"),
        value("of it sampling and telling", delivering, "ms"),
        value("planning / step", 100.0 * planning / step, "%"),
    ])
}

/// Waits until some of a prompt is computed.
fn wait_for_prompt(generation: &mut Generation) -> anyhow::Result<()> {
    loop {
        match generation.next_blocking().context("an answer")? {
            Event::Prefill { done, cached, .. } if done > cached => return Ok(()),
            Event::Queued { .. } | Event::Prefill { .. } => {}
            other => anyhow::bail!("expected progress of a prompt, found {other:?}"),
        }
    }
}

fn value(what: &str, value: f64, unit: &'static str) -> Value {
    Value { what: what.to_owned(), value, unit }
}
