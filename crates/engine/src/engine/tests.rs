//! The loop with a scripted runner and a clock of its own.

mod breaking;
mod company;
mod continued;
mod continued_real;
mod drafted;
mod embedded;
mod guessed;
mod kept;
mod on_disk;
mod real_company;
mod remembered;
mod structured;
mod waits;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use banter_kernels::Isa;

use super::answer::NewAnswer;
use super::continuation::{AnswerSoFar, Continuation, ContinuationError};
use super::core::{Core, MaskJob, Patience};
use super::draft_model::DraftModel;
use super::embedding::EMBEDDING_PLACES;
use super::generation::{Delivery, GenerationFacts};
use super::masks::MaskThread;
use super::open::EngineParts;
use super::scripted::{LAYERS, Moment, Scripted, noise, refrain};
use super::status::Status;
use super::thread::{Arrival, Next, Phase, StepLoop};
use super::{
    Engine, EngineConfig, EngineInfo, Event, FinishReason, Finished, GenerateRequest, Generation,
    Refusal, Submit,
};
use crate::StopFlag;
use crate::make_model::{ModelSpec, WeightMix, make_model};
use crate::model_file::{ModelConfig, ModelFile, ModelSource, SamplingDefaults};
use crate::origin::{ConversationId, Origin, Tenant};
use crate::sampler::random::uniform;
use crate::sampler::{Logprobs, SampleScratch, Sampler, SamplingParams, TokenRows};
use crate::scheduler::SchedulerLimits;
use crate::scheduler::tests::seeds;
use crate::structure::{Structure, Structures};
use crate::text::{Message, Role, StopStrings, Text, TextDecoder, TokenId};

const QUEUE_PATIENCE: Duration = Duration::from_secs(120);
const STEP_PATIENCE: Duration = Duration::from_secs(60);
const GAP: Duration = Duration::from_millis(200);
const QUEUE_LIMIT: usize = 100;

/// The text side of a model of 256 byte tokens and the control tokens of ChatML.
fn byte_text() -> Arc<Text> {
    static TEXT: OnceLock<Arc<Text>> = OnceLock::new();
    let make =
        || Arc::new(Text::new(byte_model().vocabulary(), None).expect("the vocabulary is whole"));
    TEXT.get_or_init(make).clone()
}

fn byte_structures() -> &'static Structures {
    static STRUCTURES: OnceLock<Structures> = OnceLock::new();
    STRUCTURES.get_or_init(|| Structures::new(byte_text()).expect("bytes can be used"))
}

/// A model of 256 byte tokens and the control tokens of ChatML.
fn byte_model() -> ModelFile {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("bytes.gguf");
        let shape = ModelConfig {
            layers: 1,
            hidden: 32,
            heads: 1,
            kv_heads: 1,
            head_dim: 32,
            feed_forward: 32,
            vocabulary_rows: 259,
            trained_context: 64,
            rope_base: 10_000.0,
            yarn: None,
            rms_eps: 1e-6,
            tied_embeddings: true,
        };
        let weights = WeightMix::named("f32").expect("f32 is a type");
        let name = "bytes".to_owned();
        let spec = ModelSpec { name, shape, weights, outliers: false, vocabulary: None, seed: 1 };
        make_model(&spec, &path, &mut |_| ()).expect("the model can be written");
        std::fs::read(path).expect("the file was just written")
    };
    let source = ModelSource::Embedded { name: "bytes", bytes: BYTES.get_or_init(make) };
    ModelFile::open(&source).expect("what we write we can read")
}

/// A number below `end`, always the same for a seed and an index.
fn dice(seed: u64, index: u64, end: usize) -> usize {
    (uniform(seed, index) * end as f64) as usize
}

/// What a test asks for.
#[derive(Clone, Debug)]
struct Ask {
    prompt: Vec<TokenId>,
    max_tokens: usize,
    sampling: SamplingParams,
    stop_strings: Vec<String>,
    structure: Option<Structure>,
    logprobs: Option<usize>,
    tenant: Tenant,
    conversation: Option<ConversationId>,
    continues: Option<Continuation>,
}

impl Ask {
    /// A prompt of some length, whose tokens depend on `seed`, as does the answer.
    fn new(seed: u64, prompt_tokens: usize, max_tokens: usize) -> Ask {
        let token = |index| TokenId((uniform(seed, index) * 256.0) as u32);
        Ask {
            prompt: (0..prompt_tokens as u64).map(token).collect(),
            max_tokens,
            sampling: SamplingParams { seed: Some(seed), ..SamplingParams::default() },
            stop_strings: Vec::new(),
            structure: None,
            logprobs: None,
            tenant: Tenant(0),
            conversation: None,
            continues: None,
        }
    }

    /// The same behind `common` tokens that other prompts begin with too.
    fn behind(mut self, common: usize) -> Ask {
        let story = (0..common).map(|index| TokenId((index * 37 % 251) as u32));
        self.prompt.splice(0..0, story);
        self
    }
}

/// Room for a few short answers, and no guesses.
fn limits(total_blocks: usize, max_sequences: usize) -> SchedulerLimits {
    SchedulerLimits { total_blocks, max_sequences, step_tokens: 64, guessed_rows: 0 }
}

/// A loop whose iterations the test runs itself.
struct Stage {
    step_loop: StepLoop<Scripted>,
    sender: Option<SyncSender<Arrival>>,
    status: Arc<Status>,
    time: Arc<Mutex<Instant>>,
    text: Arc<Text>,
    all: StopFlag,
}

impl Stage {
    fn new(limits: SchedulerLimits) -> Stage {
        Stage::with_patience(
            limits,
            Patience { queue: QUEUE_PATIENCE, step: STEP_PATIENCE, gap: GAP },
        )
    }

    fn with_patience(limits: SchedulerLimits, patience: Patience) -> Stage {
        let text = byte_text();
        let time = Arc::new(Mutex::new(Instant::now()));
        let all = StopFlag::new();
        let clock = time.clone();
        let status = Arc::new(Status::new(QUEUE_LIMIT, limits.total_blocks, now(&time)));
        let rows = TokenRows::new(text.token_count(), |id| text.has_token(id));
        let scratch = SampleScratch::new(Isa::best());
        let (sender, inbox) = sync_channel(QUEUE_LIMIT + EMBEDDING_PLACES);
        let step_loop = StepLoop {
            core: Core::new(limits, patience, text.clone(), rows, scratch, status.clone()),
            compute: Scripted::new(limits.total_blocks, text.token_count()),
            draft_model: None,
            masks: MaskThread::start(MaskJob::run).expect("a thread can be started"),
            first: None,
            phase: Phase::Arrivals,
            inbox,
            status: status.clone(),
            clock: Box::new(move || now(&clock)),
            stop_all: all.clone(),
            broken_steps: 0,
        };
        let sender = Some(sender);
        Stage { step_loop, sender, status, time, text, all }
    }

    fn with_room() -> Stage {
        Stage::new(limits(200, 8))
    }

    fn submit(&self, ask: &Ask) -> Generation {
        self.try_submit(ask).expect("the answer can go on")
    }

    fn try_submit(&self, ask: &Ask) -> Result<Generation, ContinuationError> {
        let facts = GenerationFacts {
            prompt_tokens: ask.prompt.len(),
            max_tokens: ask.max_tokens,
            ..GenerationFacts::default()
        };
        let stop_strings = StopStrings::new(ask.stop_strings.clone());
        let so_far = match ask.continues.clone() {
            Some(continuation) => AnswerSoFar::resume(continuation, &self.text, stop_strings)?,
            None => AnswerSoFar::begin(stop_strings),
        };
        let mut guide = ask
            .structure
            .as_ref()
            .map(|structure| byte_structures().guide(structure).expect("the test asks for a form"));
        let (delivery, generation) = Delivery::new(facts, &self.all);
        let sampling = ask.sampling.clone().checked().expect("the test asks within range");
        let mut sampler = Sampler::new(sampling, &ask.prompt);
        so_far.replay(&mut sampler, guide.as_mut())?;
        let permit = self.status.inbox().join_queue().expect("the queue is long enough");
        let new = NewAnswer {
            prompt: ask.prompt.clone(),
            so_far,
            max_tokens: ask.max_tokens,
            origin: Origin { tenant: ask.tenant, conversation: ask.conversation },
            shared_tokens: 0,
            sampler,
            guide,
            logprobs: ask.logprobs,
            delivery,
            permit,
            submitted_at: now(&self.time),
        };
        let sender = self.sender.as_ref().expect("the inbox is open");
        let arrival = Arrival::Answer(Box::new(new));
        sender.try_send(arrival).expect("the inbox has a place for everyone in the queue");
        Ok(generation)
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        let generation = self.submit(ask);
        self.run_until_idle();
        read(generation)
    }

    fn pass(&self, time: Duration) {
        *self.time.lock().expect("no test panics with the clock") += time;
    }

    fn iterate(&mut self) -> Next {
        self.step_loop.iterate()
    }

    fn iterate_times(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.iterate(), Next::GoOn);
        }
    }

    /// Up to `count` iterations. It stops without work, because an idle iteration waits.
    fn iterate_while_busy(&mut self, count: usize) {
        self.iterate_times(1);
        for _ in 1..count {
            if self.step_loop.core.is_idle() {
                return;
            }
            self.iterate_times(1);
        }
    }

    fn run_until_idle(&mut self) {
        self.iterate_times(1);
        let mut iterations = 0;
        while !self.step_loop.core.is_idle() {
            self.iterate_times(1);
            iterations += 1;
            assert!(iterations < 100_000, "the work does not end");
        }
    }

    fn free_blocks(&self) -> usize {
        self.status.counters().free_blocks
    }

    fn assert_all_free(&self) {
        let counters = self.status.counters();
        assert_eq!(counters.free_blocks, counters.total_blocks);
        assert_eq!((counters.running, counters.waiting), (0, 0));
    }
}

fn now(time: &Mutex<Instant>) -> Instant {
    *time.lock().expect("no test panics with the clock")
}

/// All that a generation said.
#[derive(Debug, PartialEq)]
struct Reply {
    text: String,
    tokens: Vec<TokenId>,
    logprobs: Vec<Logprobs>,
    finished: Finished,
    progress: Vec<Event>,
}

impl Reply {
    fn reason(&self) -> &FinishReason {
        &self.finished.reason
    }
}

fn read(mut generation: Generation) -> Reply {
    let (mut text, mut progress) = (String::new(), Vec::new());
    let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
    while let Some(event) = generation.next_blocking() {
        match event {
            Event::Delta { text: delta, tokens: new, logprobs: their } => {
                text.push_str(&delta);
                tokens.extend(new);
                logprobs.extend(their);
            }
            Event::Finished(finished) => {
                return Reply { text, tokens, logprobs, finished, progress };
            }
            other => progress.push(other),
        }
    }
    unreachable!("every generation is told its end")
}

/// Reads an answer. Checks after each delta that the text of its tokens begins with its text, and
/// at the end that every token was told.
fn read_with_tokens(mut generation: Generation) -> (String, FinishReason) {
    let (mut decoder, mut spoken, mut shown) =
        (TextDecoder::default(), String::new(), String::new());
    let (mut told, mut has_empty) = (0, false);
    while let Some(event) = generation.next_blocking() {
        match event {
            Event::Delta { text, tokens, .. } => {
                assert!(!has_empty, "an empty delta is the last");
                has_empty = text.is_empty();
                told += tokens.len();
                for token in tokens {
                    spoken.push_str(decoder.push(&byte_text(), token));
                }
                shown.push_str(&text);
                // Half a character at the very end is shown as U+FFFD.
                let complete = shown.strip_suffix('\u{fffd}').unwrap_or(&shown);
                assert!(spoken.starts_with(complete), "{spoken:?} does not begin with {shown:?}");
            }
            Event::Finished(finished) => {
                let is_whole = finished.reason == FinishReason::Length;
                assert!(!is_whole || spoken == shown, "{spoken:?} is not {shown:?}");
                let end_tokens = usize::from(finished.reason == FinishReason::EndToken);
                assert_eq!(told + end_tokens, finished.usage.completion_tokens);
                return (shown, finished.reason);
            }
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
    unreachable!("every generation is told its end")
}

fn alone(ask: &Ask) -> Reply {
    alone_where(ask, noise)
}

fn alone_where(ask: &Ask, says: fn(&[TokenId], &mut [f32])) -> Reply {
    let mut stage = Stage::with_room();
    stage.step_loop.compute.says = Box::new(says);
    let generation = stage.submit(ask);
    stage.run_until_idle();
    stage.assert_all_free();
    read(generation)
}

#[test]
fn the_text_of_all_tokens_so_far_begins_with_the_text_so_far() {
    let mut reasons = Vec::new();
    for seed in 0..60 {
        let mut stage = Stage::with_room();
        stage.step_loop.compute.says = Box::new(noise);
        let mut ask = Ask::new(seed, 5, 40);
        if seed % 3 == 0 {
            ask.stop_strings = ["a", "b", "cd", "?!"].map(str::to_owned).to_vec();
        }
        let generation = stage.submit(&ask);
        stage.run_until_idle();
        reasons.push(read_with_tokens(generation).1);
    }
    for reason in [FinishReason::Length, FinishReason::StopString] {
        assert!(reasons.contains(&reason), "no answer ended as {reason:?}");
    }
}

/// Logits that leave one choice.
fn only(token: TokenId) -> impl FnMut(&[TokenId], &mut [f32]) {
    move |_, logits| {
        logits.fill(f32::NEG_INFINITY);
        logits[token.0 as usize] = 0.0;
    }
}

fn byte(stage: &Stage, letter: &str) -> TokenId {
    stage.text.encode(letter)[0]
}

#[test]
fn a_stop_at_any_moment_frees_everything_and_leaves_the_neighbour_alone() {
    let neighbour = Ask::new(1, 90, 40);
    let undisturbed = alone(&neighbour);
    let steps = 12;
    for step in 0..steps {
        for layer in 0..LAYERS {
            let mut stage = Stage::with_room();
            let kept = stage.submit(&neighbour);
            let stopped = stage.submit(&Ask::new(2, 200, 1_000));
            let flag = stopped.stopper();
            let when = Moment { step, layer };
            stage.step_loop.compute.at_layer = Box::new(move |moment| {
                if moment == when {
                    flag.raise();
                }
            });
            stage.iterate_times(step + 1);
            let held = stage.status.counters();
            assert_eq!(held.running, 1, "{when:?}: the stop took effect within the step");
            let stopped = read(stopped);
            assert_eq!(stopped.reason(), &FinishReason::Stopped, "{when:?}");
            assert!(stopped.finished.timings.halt_ms.is_some(), "{when:?}");
            stage.run_until_idle();
            stage.assert_all_free();
            assert_eq!(read(kept).text, undisturbed.text, "{when:?}");
        }
    }
}

#[test]
fn a_stop_in_the_queue_ends_without_a_step() {
    let mut stage = Stage::new(limits(20, 1));
    let running = stage.submit(&Ask::new(1, 5, 30));
    let waiting = stage.submit(&Ask::new(2, 5, 30));
    stage.iterate_times(1);
    waiting.stop();
    stage.iterate_times(1);
    let reply = read(waiting);
    assert_eq!(reply.reason(), &FinishReason::Stopped);
    assert_eq!(reply.finished.usage.completion_tokens, 0);
    assert_eq!(stage.status.counters().waiting, 0);
    drop(running);
    stage.run_until_idle();
    stage.assert_all_free();
}

#[test]
fn a_thousand_stops_of_one_answer_are_one_end() {
    let mut stage = Stage::with_room();
    let generation = stage.submit(&Ask::new(1, 5, 30));
    stage.iterate_times(2);
    (0..1_000).for_each(|_| generation.stop());
    stage.run_until_idle();
    assert_eq!(read(generation).reason(), &FinishReason::Stopped);
    stage.assert_all_free();
}

#[test]
fn dropping_a_generation_frees_its_blocks() {
    let mut stage = Stage::with_room();
    let before = stage.free_blocks();
    let generation = stage.submit(&Ask::new(1, 100, 100));
    stage.iterate_times(3);
    assert!(stage.free_blocks() < before);
    drop(generation);
    stage.iterate_times(1);
    assert_eq!(stage.free_blocks(), before);
    stage.assert_all_free();
}

#[test]
fn an_answer_as_long_as_it_may_be_ends_by_length() {
    let mut stage = Stage::with_room();
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let generation = stage.submit(&Ask::new(1, 3, 5));
    stage.run_until_idle();
    let reply = read(generation);
    assert_eq!(reply.text, "aaaaa");
    assert_eq!(reply.reason(), &FinishReason::Length);
    assert_eq!(reply.finished.usage.completion_tokens, 5);
}

#[test]
fn the_models_own_end_ends_the_answer_and_is_not_shown() {
    let mut stage = Stage::with_room();
    let (letter, end) = (byte(&stage, "a"), end_token(&stage));
    let prompt_tokens = 3;
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        let token = if tokens.len() < prompt_tokens + 2 { letter } else { end };
        only(token)(tokens, logits);
    });
    let generation = stage.submit(&Ask::new(1, prompt_tokens, 50));
    stage.run_until_idle();
    let reply = read(generation);
    assert_eq!(reply.text, "aa");
    assert_eq!(reply.reason(), &FinishReason::EndToken);
    assert_eq!(reply.finished.usage.completion_tokens, 3);
}

fn end_token(stage: &Stage) -> TokenId {
    let ids = (0..stage.text.token_count() as u32).map(TokenId);
    ids.into_iter().find(|&id| stage.text.is_end(id)).expect("ChatML has an end token")
}

#[test]
fn a_stop_string_ends_the_answer_before_it() {
    let mut stage = Stage::with_room();
    let (a, b) = (byte(&stage, "a"), byte(&stage, "b"));
    let prompt_tokens = 3;
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        let is_even = (tokens.len() - prompt_tokens).is_multiple_of(2);
        only(if is_even { a } else { b })(tokens, logits);
    });
    let ask = Ask { stop_strings: vec!["baba".to_owned()], ..Ask::new(1, prompt_tokens, 50) };
    let generation = stage.submit(&ask);
    stage.run_until_idle();
    let reply = read(generation);
    assert_eq!(reply.text, "a");
    assert_eq!(reply.reason(), &FinishReason::StopString);
    stage.assert_all_free();
}

#[test]
fn text_held_back_for_a_stop_string_is_shown_when_the_answer_ends_otherwise() {
    let mut stage = Stage::with_room();
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let ask = Ask { stop_strings: vec!["aaaaaaaa".to_owned()], ..Ask::new(1, 3, 4) };
    let generation = stage.submit(&ask);
    stage.run_until_idle();
    let reply = read(generation);
    assert_eq!((reply.text.as_str(), reply.reason()), ("aaaa", &FinishReason::Length));
}

#[test]
fn whoever_waits_too_long_is_told() {
    let mut stage = Stage::new(limits(20, 1));
    let running = stage.submit(&Ask::new(1, 5, 200));
    let waiting = stage.submit(&Ask::new(2, 5, 30));
    stage.iterate_times(1);
    stage.pass(QUEUE_PATIENCE - Duration::from_secs(1));
    stage.iterate_times(1);
    assert_eq!(stage.status.counters().waiting, 1);
    stage.pass(Duration::from_secs(1));
    stage.iterate_times(1);
    assert_eq!(stage.status.counters().running, 1, "whoever runs is not overdue");
    let reply = read(waiting);
    assert_eq!(reply.reason(), &FinishReason::QueueTimeout);
    assert_eq!(reply.finished.timings.queue_ms, 120_000.0);
    drop(running);
    stage.run_until_idle();
    stage.assert_all_free();
}

#[test]
fn an_answer_that_gave_up_its_blocks_for_too_long_is_told() {
    let mut stage = Stage::new(limits(11, 2));
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let older = stage.submit(&Ask::new(1, 16, 100));
    let younger = stage.submit(&Ask::new(2, 16, 90));
    let mut iterations = 0;
    while iterations < 2 || stage.status.counters().running == 2 {
        stage.iterate_times(1);
        iterations += 1;
    }
    stage.pass(STEP_PATIENCE / 2);
    stage.iterate_times(1);
    stage.pass(STEP_PATIENCE / 2);
    stage.iterate_times(1);
    let reply = read(younger);
    assert_eq!(reply.reason(), &FinishReason::StepTimeout);
    assert!(reply.finished.usage.completion_tokens > 0, "it had begun");
    stage.run_until_idle();
    assert_eq!(read(older).reason(), &FinishReason::Length);
    stage.assert_all_free();
}

#[test]
fn the_place_in_the_queue_is_told_and_never_rises() {
    let mut stage = Stage::new(limits(20, 1));
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let mut generations: Vec<Generation> =
        (0..4).map(|seed| stage.submit(&Ask::new(seed, 5, 3))).collect();
    let mut last = generations.pop().expect("there are four");
    let mut positions = Vec::new();
    for _ in 0..20 {
        if !stage.step_loop.core.is_idle() || positions.is_empty() {
            stage.iterate_times(1);
        }
        for event in last.take_ready() {
            if let Event::Queued { position, .. } = event {
                positions.push(position);
            }
        }
    }
    assert_eq!(positions, [3, 2, 1]);
}

#[test]
fn a_long_prompt_tells_how_far_it_is() {
    let mut stage = Stage::with_room();
    let mut generation = stage.submit(&Ask::new(1, 150, 1));
    let mut told = Vec::new();
    for _ in 0..6 {
        stage.iterate_times(usize::from(!stage.step_loop.core.is_idle() || told.is_empty()));
        for event in generation.take_ready() {
            if let Event::Prefill { done, total, cached } = event {
                assert_eq!((total, cached), (150, 0));
                told.push(done);
            }
        }
    }
    assert!(told.is_sorted() && told.len() > 2, "{told:?}");
    assert!(told.iter().all(|&done| done <= 150), "{told:?}");
}

#[test]
fn a_step_that_breaks_ends_its_answers_and_nothing_else() {
    let mut stage = Stage::new(limits(20, 1));
    let later = Ask::new(2, 5, 30);
    let broken = stage.submit(&Ask::new(1, 5, 30));
    let waiting = stage.submit(&later);
    stage.step_loop.compute.at_layer = Box::new(|moment| {
        assert_ne!(moment, Moment { step: 0, layer: 2 }, "the first step breaks on purpose");
    });
    stage.iterate_times(1);
    let reply = read(broken);
    assert!(matches!(reply.reason(), FinishReason::Failed(_)), "{reply:?}");
    stage.step_loop.compute.at_layer = Box::new(|_| ());
    stage.run_until_idle();
    assert_eq!(read(waiting).text, alone(&later).text);
    stage.assert_all_free();
}

#[test]
fn a_thread_whose_steps_all_break_ends_and_tells_everyone() {
    let mut stage = Stage::new(limits(20, 1));
    let generations: Vec<Generation> =
        (0..5).map(|seed| stage.submit(&Ask::new(seed, 5, 30))).collect();
    stage.step_loop.compute.at_layer = Box::new(|_| panic!("every step breaks on purpose"));
    stage.iterate_times(2);
    assert_eq!(stage.iterate(), Next::End);
    for generation in generations {
        let reply = read(generation);
        assert!(matches!(reply.reason(), FinishReason::Failed(_)), "{reply:?}");
    }
    stage.assert_all_free();
}

#[test]
fn logits_without_a_choice_fail_one_answer_and_not_its_neighbour() {
    let mut stage = Stage::with_room();
    let good = Ask::new(1, 20, 30);
    let bad = Ask::new(2, 21, 30);
    let bad_start = bad.prompt[0];
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        noise(tokens, logits);
        if tokens[0] == bad_start && tokens.len() == 25 {
            logits[3] = f32::NAN;
        }
    });
    let (kept, failed) = (stage.submit(&good), stage.submit(&bad));
    stage.run_until_idle();
    let failed = read(failed);
    assert!(matches!(failed.reason(), FinishReason::Failed(_)), "{failed:?}");
    assert_eq!(failed.finished.usage.completion_tokens, 4);
    assert_eq!(read(kept).text, alone(&good).text);
    stage.assert_all_free();
}

#[test]
fn a_closed_inbox_stops_everyone_and_ends_the_loop() {
    let mut stage = Stage::new(limits(20, 1));
    let running = stage.submit(&Ask::new(1, 5, 100));
    stage.iterate_times(2);
    let waiting = stage.submit(&Ask::new(2, 5, 100));
    stage.all.raise();
    stage.sender = None;
    assert_eq!(stage.iterate(), Next::End);
    assert_eq!(read(running).reason(), &FinishReason::Stopped);
    assert_eq!(read(waiting).reason(), &FinishReason::Stopped);
    stage.assert_all_free();
}

#[test]
fn an_answer_is_remembered_by_the_tokens_that_made_it() {
    let mut stage = Stage::with_room();
    // The model spells "aa" by two tokens; its vocabulary has no longer one, so any other
    // split of a history would show as well.
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let generation = stage.submit(&Ask::new(1, 5, 6));
    stage.run_until_idle();
    let reply = read(generation);
    let history = [Message::assistant(reply.text)];
    let ids = stage.text.prompt(&history).expect("ChatML takes any history");
    let made_by = [byte(&stage, "a"); 6];
    assert!(ids.windows(made_by.len()).any(|window| window == made_by));
}

#[test]
fn the_receipt_says_what_it_took() {
    let mut stage = Stage::with_room();
    let time = stage.time.clone();
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        if moment.layer == 0 {
            *time.lock().expect("no test panics with the clock") += Duration::from_millis(100);
        }
    });
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let generation = stage.submit(&Ask::new(1, 5, 11));
    stage.pass(Duration::from_millis(50));
    stage.run_until_idle();
    let finished = read(generation).finished;
    assert_eq!(finished.usage.prompt_tokens, 5);
    assert_eq!(finished.timings.queue_ms, 50.0);
    assert_eq!(finished.timings.first_token_ms, Some(150.0));
    let speed = finished.timings.tokens_per_second.expect("eleven tokens have a speed");
    assert!((speed - 10.0).abs() < 1e-3, "{speed} tokens per second");
    assert_eq!(finished.timings.halt_ms, None);
}

#[test]
fn an_engine_that_has_broken_down_says_so_and_takes_no_more() {
    let text = byte_text();
    let total_blocks = 64;
    let mut compute = Scripted::new(total_blocks, text.token_count());
    compute.at_layer = Box::new(|_| panic!("every step breaks on purpose"));
    let info = EngineInfo {
        name: "scripted".to_owned(),
        licence: None,
        description: None,
        parameters: 0,
        weight_types: String::new(),
        weight_bytes: 0,
        cache_bytes: 0,
        cache_tokens: total_blocks * 16,
        context_tokens: 512,
        trained_context: 512,
        sampling_defaults: SamplingDefaults::default(),
        isa: "none",
        threads: 1,
        places: 1,
        opened_in: Duration::ZERO,
    };
    let config = EngineConfig::new(ModelSource::Embedded { name: "none", bytes: &[] });
    let engine = Engine::start(
        &config,
        EngineParts { info, text, opening: Vec::new(), disk: None, draft_model: None },
        compute,
    )
    .expect("a thread can be started");
    let request = GenerateRequest {
        max_tokens: Some(5),
        ..GenerateRequest::new(vec![Message::user("hello")])
    };
    let mut failures = 0;
    loop {
        match engine.submit(request.clone()) {
            Submit::Accepted(generation) => {
                let reply = read(generation);
                assert!(matches!(reply.reason(), FinishReason::Failed(_)), "{reply:?}");
                failures += 1;
            }
            Submit::Refused(refusal) => {
                assert_eq!(refusal, Refusal::Closed);
                break;
            }
            full @ Submit::QueueFull { .. } => panic!("nobody waits, yet {full:?}"),
        }
    }
    assert!(failures >= 3, "{failures} requests failed before it gave up");
    assert_eq!(engine.counters().waiting, 0);
}
