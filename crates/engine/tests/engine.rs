//! Tests the engine through the interface that the server uses, with small models of random
//! weights.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use banter_engine::ConversationId;
use banter_engine::engine::{
    ChatTemplate, Counters, Draft, Engine, EngineConfig, Event, FinishReason, Finished,
    GenerateRequest, Generation, OpenError, Refusal, Submit,
};
use banter_engine::kv_cache::{DiskConfig, Tenant};
use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
use banter_engine::model_file::{LayerTensor, ModelConfig, ModelFile, ModelSource, TensorName};
use banter_engine::sampler::SamplingParams;
use banter_engine::text::{Message, Role, TemplateExtras};
use half::f16;

/// A model that answers very fast.
fn quick_shape() -> ModelConfig {
    ModelConfig {
        layers: 3,
        hidden: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        feed_forward: 96,
        vocabulary_rows: 600,
        trained_context: 2_048,
        rope_base: 10_000.0,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: true,
    }
}

/// A model whose long prompts take many steps.
fn slow_shape() -> ModelConfig {
    ModelConfig {
        layers: 24,
        hidden: 256,
        feed_forward: 1_024,
        trained_context: 32_768,
        ..quick_shape()
    }
}

/// A model file in a temporary folder, which is removed when this is dropped.
struct MadeModel {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn made(shape: ModelConfig) -> MadeModel {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("model.gguf");
    let weights = WeightMix::named("q8_0").expect("q8_0 is a type");
    let spec = ModelSpec {
        name: "random".to_owned(),
        shape,
        weights,
        outliers: false,
        vocabulary: None,
        seed: 7,
    };
    make_model(&spec, &path, &mut |_| ()).expect("the model can be written");
    MadeModel { _folder: folder, path }
}

fn open(shape: ModelConfig, change: impl FnOnce(&mut EngineConfig)) -> Result<Engine, OpenError> {
    // A loaded model does not need its file, so the folder may be removed when this returns.
    open_made(&made(shape), change)
}

fn open_made(
    model: &MadeModel,
    change: impl FnOnce(&mut EngineConfig),
) -> Result<Engine, OpenError> {
    let mut config = EngineConfig::new(ModelSource::Path(model.path.clone()));
    config.threads = NonZeroUsize::new(2);
    change(&mut config);
    Engine::open(config, &mut |_| ())
}

fn quick_engine() -> Engine {
    open(quick_shape(), |_| ()).expect("the model opens")
}

fn slow_engine(change: impl FnOnce(&mut EngineConfig)) -> Engine {
    let with_long_context = |config: &mut EngineConfig| {
        config.context_tokens = Some(slow_shape().trained_context);
        config.kv_memory_bytes = Some(150 << 20);
        change(config);
    };
    open(slow_shape(), with_long_context).expect("the model opens")
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

/// A question of `words` words; a word is at least one token.
fn ask(words: usize, max_tokens: usize) -> GenerateRequest {
    let content: String = (0..words).map(|index| format!("word{} ", index % 7)).collect();
    let sampling = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    GenerateRequest {
        sampling,
        max_tokens: Some(max_tokens),
        ..GenerateRequest::new(vec![Message::user(content)])
    }
}

fn seeded(words: usize, max_tokens: usize, seed: u64) -> GenerateRequest {
    let sampling = SamplingParams { seed: Some(seed), top_p: 0.95, ..SamplingParams::default() };
    GenerateRequest { sampling, ..ask(words, max_tokens) }
}

/// Many times more words than the slow model can compute before a test checks its progress, even on
/// a busy machine. Every test that uses this prompt stops it early.
const LONG_PROMPT_WORDS: usize = 5_000;

fn accepted(submit: Submit) -> Generation {
    match submit {
        Submit::Accepted(generation) => generation,
        other => panic!("expected an answer, found {other:?}"),
    }
}

fn refused(submit: Submit) -> Refusal {
    match submit {
        Submit::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[derive(Debug)]
struct Reply {
    text: String,
    finished: Finished,
}

fn read(mut generation: Generation) -> Reply {
    let mut text = String::new();
    loop {
        match generation.next_blocking().expect("a generation is told its end") {
            Event::Delta { text: delta, .. } => text.push_str(&delta),
            Event::Finished(finished) => return Reply { text, finished },
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
}

/// Tokens of the prompt and of the answer, cached ones included.
fn tokens(reply: &Reply) -> (usize, usize) {
    (reply.finished.usage.prompt_tokens, reply.finished.usage.completion_tokens)
}

fn answer(engine: &Engine, request: GenerateRequest) -> Reply {
    read(accepted(engine.submit(request)))
}

/// Reads events until a part of the prompt is computed, but not all of it.
fn wait_until_inside_the_prompt(generation: &mut Generation) {
    loop {
        match generation.next_blocking() {
            Some(Event::Prefill { done, total, .. }) if done > 0 => {
                assert!(done < total, "the prompt is too short for this test");
                return;
            }
            Some(Event::Queued { .. } | Event::Prefill { .. }) => {}
            other => panic!("expected progress of the prompt, found {other:?}"),
        }
    }
}

fn assert_all_free(counters: Counters) {
    assert_eq!(counters.free_blocks, counters.total_blocks, "{counters:?}");
    assert_eq!((counters.running, counters.waiting), (0, 0));
}

#[test]
fn an_answer_does_not_depend_on_company_pieces_or_threads() {
    let requests: Vec<GenerateRequest> =
        (0..6).map(|index| seeded(5 + 40 * index, 40, index as u64)).collect();
    let engine = quick_engine();
    let alone: Vec<Reply> =
        requests.iter().map(|request| answer(&engine, request.clone())).collect();
    assert!(alone.iter().any(|reply| reply.text.len() > 20), "the answers say something");
    let in_small_steps = |config: &mut EngineConfig| {
        config.max_sequences = 4;
        config.step_tokens = 20;
        config.threads = Some(NonZeroUsize::MIN);
    };
    let engines = [engine, open(quick_shape(), in_small_steps).expect("the model opens")];
    for engine in &engines {
        let together: Vec<Generation> =
            requests.iter().map(|request| accepted(engine.submit(request.clone()))).collect();
        for (generation, alone) in together.into_iter().zip(&alone) {
            let reply = read(generation);
            assert_eq!(reply.text, alone.text);
            assert_eq!(reply.finished.reason, alone.finished.reason);
            assert_eq!(tokens(&reply), tokens(alone));
        }
        assert_all_free(engine.counters());
    }
}

#[test]
fn a_stop_inside_a_long_prompt_runs_at_most_one_more_layer_and_frees_its_blocks() {
    let engine = slow_engine(|_| ());
    let before = engine.counters().free_blocks;
    let stops = 5;
    for stop in 0..stops {
        // Each request has another tenant, so that it finds nothing in the cache.
        let request = GenerateRequest { tenant: Tenant(stop), ..ask(LONG_PROMPT_WORDS, 10) };
        let mut generation = accepted(engine.submit(request));
        assert!(generation.prompt_tokens() > 16_000, "{} tokens", generation.prompt_tokens());
        wait_until_inside_the_prompt(&mut generation);
        let layers_before = engine.counters().layers_after_stop;
        generation.stop();
        let reply = read(generation);
        assert_eq!(reply.finished.reason, FinishReason::Stopped);
        assert!(reply.finished.timings.halt_ms.is_some());
        assert_eq!(reply.finished.usage.completion_tokens, 0);
        let counters = engine.counters();
        assert!(counters.layers_after_stop - layers_before <= 1, "{counters:?}");
        assert_eq!(counters.free_blocks, before);
    }
}

/// The next request of a conversation, after an answer.
fn next_turn(first: &GenerateRequest, reply: &Reply) -> GenerateRequest {
    let mut messages = first.prompt.messages().to_vec();
    messages.push(message(Role::Assistant, &reply.text));
    messages.push(message(Role::User, "and then"));
    GenerateRequest { prompt: messages.into(), ..first.clone() }
}

#[test]
fn the_next_turn_computes_only_what_is_new_and_says_what_it_would_have_said() {
    let engine = quick_engine();
    let mut found = 0;
    for seed in 0..10 {
        let first = seeded(40, 12, seed);
        let reply = answer(&engine, first.clone());
        let (prompt, completion) = tokens(&reply);
        let second = next_turn(&first, &reply);
        let next = answer(&engine, second.clone());
        // The last token of the answer is not in the cache, because nothing was computed from it.
        // Random weights sometimes choose a control token; the tokenizer then cuts the answer anew.
        let cached = next.finished.usage.cached_tokens;
        found += usize::from(cached == prompt + completion - 1);
        assert!(cached < prompt + completion, "seed {seed}: {:?}", next.finished.usage);
        // Another tenant finds nothing: the tokenizer cuts the answer, and all tokens are computed.
        let other = GenerateRequest { tenant: Tenant(1 + seed), ..second };
        let others = answer(&engine, other.clone());
        assert_eq!(others.finished.usage.cached_tokens, 0);
        let stranger = answer(&quick_engine(), other);
        assert_eq!((tokens(&others), others.text), (tokens(&stranger), stranger.text));
    }
    assert!(found >= 4, "{found} of ten answers are found whole");
}

#[test]
fn stopping_one_answer_leaves_the_other_as_it_was() {
    let engine = slow_engine(|_| ());
    let kept_request = seeded(20, 30, 1);
    let alone = answer(&engine, kept_request.clone());
    let mut stopped = accepted(engine.submit(ask(LONG_PROMPT_WORDS, 10)));
    wait_until_inside_the_prompt(&mut stopped);
    let mut kept = accepted(engine.submit(kept_request));
    while !matches!(kept.next_blocking(), Some(Event::Prefill { .. })) {}
    stopped.stop();
    assert_eq!(read(stopped).finished.reason, FinishReason::Stopped);
    let kept = read(kept);
    assert_eq!(kept.text, alone.text);
    assert_eq!(tokens(&kept), tokens(&alone));
    assert_all_free(engine.counters());
}

#[test]
fn a_dropped_answer_frees_its_blocks_for_the_next() {
    let engine = slow_engine(|config| config.max_sequences = 1);
    let mut dropped = accepted(engine.submit(ask(LONG_PROMPT_WORDS, 10)));
    wait_until_inside_the_prompt(&mut dropped);
    let next = accepted(engine.submit(ask(5, 3)));
    drop(dropped);
    assert!(matches!(read(next).finished.reason, FinishReason::Length | FinishReason::EndToken));
    assert_all_free(engine.counters());
}

#[test]
fn a_full_queue_is_told_at_once_with_place_and_estimate() {
    let engine = slow_engine(|config| {
        config.max_sequences = 1;
        config.queue_limit = 1;
    });
    // The estimate needs one answer that has ended.
    read(accepted(engine.submit(ask(5, 3))));
    let mut running = accepted(engine.submit(ask(LONG_PROMPT_WORDS, 10)));
    wait_until_inside_the_prompt(&mut running);
    let mut waiting = accepted(engine.submit(ask(5, 3)));
    match engine.submit(ask(5, 3)) {
        Submit::QueueFull { position: 2, estimate_ms } => assert!(estimate_ms > Some(0)),
        other => panic!("expected a full queue, found {other:?}"),
    }
    let told = waiting.next_blocking();
    assert!(matches!(told, Some(Event::Queued { position: 1, .. })), "{told:?}");
    waiting.stop();
    assert_eq!(read(waiting).finished.reason, FinishReason::Stopped);
    drop(accepted(engine.submit(ask(5, 3))));
}

#[test]
fn without_any_patience_a_request_ends_by_its_timeout() {
    let engine = open(quick_shape(), |config| config.queue_timeout = Duration::ZERO)
        .expect("the model opens");
    let reply = answer(&engine, ask(5, 3));
    assert_eq!(reply.finished.reason, FinishReason::QueueTimeout);
    assert_all_free(engine.counters());
}

#[test]
fn the_same_seed_gives_the_same_answer_and_another_seed_another() {
    let engine = quick_engine();
    let text = |seed| answer(&engine, seeded(10, 60, seed)).text;
    assert_eq!(text(11), text(11));
    assert_ne!(text(11), text(12));
}

#[test]
fn a_drawn_seed_is_reported_and_repeats_the_answer() {
    let engine = quick_engine();
    let unseeded = GenerateRequest { sampling: SamplingParams::default(), ..ask(10, 40) };
    let generation = accepted(engine.submit(unseeded.clone()));
    let seed = generation.seed();
    let first = read(generation);
    let sampling = SamplingParams { seed: Some(seed), ..SamplingParams::default() };
    assert_eq!(answer(&engine, GenerateRequest { sampling, ..unseeded }).text, first.text);
}

#[test]
fn a_stop_string_cuts_the_answer_before_it() {
    let engine = quick_engine();
    let whole = answer(&engine, seeded(10, 60, 3)).text;
    let middle = whole.char_indices().nth(whole.chars().count() / 2).expect("it is not empty").0;
    let stop_string: String = whole[middle..].chars().take(3).collect();
    let first = whole.find(&stop_string).expect("it was taken from there");
    let request = GenerateRequest { stop_strings: vec![stop_string], ..seeded(10, 60, 3) };
    let cut = answer(&engine, request);
    assert_eq!(cut.finished.reason, FinishReason::StopString);
    assert_eq!(cut.text, whole[..first]);
}

#[test]
fn an_answer_may_have_what_the_context_has_left() {
    let engine =
        open(quick_shape(), |config| config.context_tokens = Some(128)).expect("the model opens");
    for max_tokens in [None, Some(1_000_000)] {
        let request = GenerateRequest { max_tokens, ..ask(3, 1) };
        let generation = accepted(engine.submit(request));
        assert_eq!(generation.prompt_tokens() + generation.max_tokens(), 128);
        let usage = read(generation).finished.usage;
        assert!(usage.prompt_tokens + usage.completion_tokens <= 128, "{usage:?}");
    }
}

#[test]
fn a_history_that_does_not_fit_loses_its_oldest_turns() {
    let engine =
        open(quick_shape(), |config| config.context_tokens = Some(256)).expect("the model opens");
    let turn = [message(Role::User, "one two three"), message(Role::Assistant, "four five six")];
    let mut messages = vec![message(Role::System, "short")];
    (0..20).for_each(|_| messages.extend(turn.clone()));
    messages.push(message(Role::User, "newest"));
    let generation =
        accepted(engine.submit(GenerateRequest { prompt: messages.into(), ..ask(0, 20) }));
    let dropped = generation.dropped_messages();
    assert!(dropped > 0 && dropped.is_multiple_of(2), "{dropped} messages dropped");
    assert!(generation.prompt_tokens() + 20 <= 256);
}

#[test]
fn what_cannot_run_is_refused_with_the_numbers() {
    let engine = open(quick_shape(), |config| {
        config.context_tokens = Some(1_024);
        config.kv_memory_bytes = Some(blocks_of_quick_model(20));
    })
    .expect("the model opens");
    assert_eq!(engine.counters().total_blocks, 20);
    match refused(engine.submit(ask(2_000, 5))) {
        Refusal::TooLong { tokens, limit: 319 } => assert!(tokens > 1_023),
        other => panic!("expected too long, found {other:?}"),
    }
    let hot = SamplingParams { temperature: 2.5, ..SamplingParams::default() };
    let stop_strings = vec![String::from("x"); 17];
    let cases = [
        (GenerateRequest { sampling: hot, ..ask(5, 5) }, "temperature: expected 0 to 2, found 2.5"),
        (ask(5, 0), "max_tokens: expected at least 1, found 0"),
        (
            GenerateRequest { stop_strings, ..ask(5, 5) },
            "stop: expected at most 16 strings, found 17",
        ),
    ];
    for (request, message) in cases {
        assert_eq!(refused(engine.submit(request)).to_string(), message);
    }
}

#[test]
fn a_cache_smaller_than_the_context_cuts_answers_and_histories() {
    let engine = open(quick_shape(), |config| {
        config.context_tokens = Some(1_024);
        config.kv_memory_bytes = Some(blocks_of_quick_model(20));
    })
    .expect("the model opens");
    assert_eq!(engine.info().room_tokens(), 20 * 16);
    for max_tokens in [None, Some(700), Some(1_000_000)] {
        let generation = accepted(engine.submit(GenerateRequest { max_tokens, ..ask(5, 1) }));
        assert_eq!(generation.prompt_tokens() + generation.max_tokens(), 20 * 16);
        read(generation);
    }
    let turn = [message(Role::User, "one two three"), message(Role::Assistant, "four five six")];
    let mut messages: Vec<_> = (0..20).flat_map(|_| turn.clone()).collect();
    messages.push(message(Role::User, "newest"));
    let generation =
        accepted(engine.submit(GenerateRequest { prompt: messages.into(), ..ask(0, 20) }));
    assert!(generation.dropped_messages() > 0);
    read(generation);
    assert_all_free(engine.counters());
}

/// Bytes of `blocks` cache blocks of [`quick_shape`]: keys and values of 16 tokens in 16-bit
/// floats.
fn blocks_of_quick_model(blocks: u64) -> u64 {
    let shape = quick_shape();
    blocks * (shape.layers * shape.kv_heads * shape.head_dim * 16 * 2 * 2) as u64
}

#[test]
fn a_small_cache_still_ends_every_answer() {
    let engine = open(quick_shape(), |config| {
        config.context_tokens = Some(256);
        config.kv_memory_bytes = Some(blocks_of_quick_model(20));
    })
    .expect("the model opens");
    let requests: Vec<GenerateRequest> = (0..6).map(|seed| seeded(4, 150, seed)).collect();
    let roomy = quick_engine();
    let together: Vec<Generation> =
        requests.iter().map(|request| accepted(engine.submit(request.clone()))).collect();
    for (generation, request) in together.into_iter().zip(requests) {
        assert_eq!(read(generation).text, answer(&roomy, request).text);
    }
    assert_all_free(engine.counters());
}

#[test]
fn dropping_the_engine_stops_everyone_and_tells_them() {
    let engine = slow_engine(|config| config.max_sequences = 1);
    let mut running = accepted(engine.submit(ask(LONG_PROMPT_WORDS, 10)));
    wait_until_inside_the_prompt(&mut running);
    let waiting = accepted(engine.submit(ask(5, 3)));
    assert!(engine.heartbeat().is_alive);
    drop(engine);
    assert_eq!(read(running).finished.reason, FinishReason::Stopped);
    assert_eq!(read(waiting).finished.reason, FinishReason::Stopped);
}

#[test]
fn an_engine_that_cannot_open_says_why_before_it_loads() {
    struct Case {
        change: fn(&mut EngineConfig),
        message: &'static str,
    }
    let cases = [
        Case {
            change: |config| config.context_tokens = Some(4_096),
            message: "context: expected at most the 2048 tokens of training, found 4096",
        },
        Case {
            change: |config| config.max_sequences = 0,
            message: "max_sequences: expected at least 1, found 0",
        },
        Case {
            change: |config| config.kv_memory_bytes = Some(1),
            message: "cache memory: expected at least 96 KiB for 256 tokens, found 1 KiB",
        },
        Case {
            change: |config| config.source = ModelSource::Path("/nowhere/model.gguf".into()),
            message: "/nowhere/model.gguf: ",
        },
    ];
    for case in &cases {
        let error = open(quick_shape(), case.change).expect_err(case.message).to_string();
        assert!(error.starts_with(case.message), "{error}");
    }
}

#[test]
fn a_weight_that_is_no_number_fails_the_answer_and_not_the_engine() {
    let model = made(quick_shape());
    let original = fs::read(&model.path).expect("the file");
    let file = ModelFile::open(&ModelSource::Path(model.path.clone())).expect("the model opens");
    let down = file.tensor(TensorName::Layer(1, LayerTensor::Down)).expect("a tensor");
    let mut row = vec![0; down.row_bytes()];
    file.read_rows(down, 0..1, &mut row).expect("a row");
    let place = original.windows(row.len()).position(|bytes| bytes == row).expect("the row");
    for scale in [f16::NAN, f16::INFINITY] {
        let mut damaged = original.clone();
        damaged[place..place + 2].copy_from_slice(&scale.to_le_bytes());
        fs::write(&model.path, damaged).expect("the file can be written");
        let engine = open_made(&model, |_| ()).expect("the model opens");
        for _ in 0..2 {
            let reply = answer(&engine, ask(3, 5));
            assert!(matches!(reply.finished.reason, FinishReason::Failed(_)), "{reply:?}");
            assert_eq!(reply.text, "");
        }
        assert_all_free(engine.counters());
    }
}

#[test]
fn an_open_engine_says_what_it_is() {
    let engine = quick_engine();
    let info = engine.info();
    assert_eq!(info.name, "random");
    assert_eq!((info.context_tokens, info.trained_context), (2_048, 2_048));
    assert_eq!(info.threads, 2);
    let counters = engine.counters();
    assert_eq!(info.cache_tokens, counters.total_blocks * 16);
    assert!(info.cache_tokens >= info.context_tokens);
    assert!(info.weight_bytes > 0 && info.cache_bytes > 0);
}

const SYSTEM_PROMPT: &str =
    "You answer in one word, whatever is asked, and never say why it is so.";

#[test]
fn every_tenant_finds_the_operators_system_prompt_and_nothing_else() {
    let engine = open(quick_shape(), |config| {
        config.system_prompt = Some(SYSTEM_PROMPT.to_owned());
    });
    let engine = engine.expect("the model opens");
    let cached = |tenant, question: &str| {
        let mut request = ask(1, 4);
        let messages = vec![message(Role::System, SYSTEM_PROMPT), message(Role::User, question)];
        request.prompt = messages.into();
        request.tenant = Tenant(tenant);
        answer(&engine, request).finished.usage.cached_tokens
    };
    let question = "which of these words is the longest of all of them, and which comes first?";
    assert_eq!(cached(1, question), 0);
    let shared = cached(2, question);
    let system_tokens = engine.text().encode(SYSTEM_PROMPT).len();
    assert!(shared + 15 >= system_tokens, "{shared} of {system_tokens} tokens");
    assert!(shared <= system_tokens + 15, "{shared} tokens are more than the system prompt");
    assert!(cached(1, question) > shared, "their own conversation they find whole");
}

#[test]
fn a_system_prompt_that_leaves_no_room_is_refused() {
    let refused = open(quick_shape(), |config| {
        config.context_tokens = Some(100);
        config.system_prompt = Some(SYSTEM_PROMPT.repeat(10));
    });
    let error = refused.expect_err("it takes more than half of the context");
    let OpenError::SystemPromptTooLong { tokens, limit: 50 } = error else { panic!("{error}") };
    assert!(tokens > 100, "{tokens}");
}

#[test]
fn a_chat_template_is_tried_while_the_model_is_opened() {
    let opened = |source: &str, system_prompt: Option<&str>| {
        open(quick_shape(), |config| {
            config.chat_template =
                Some(ChatTemplate { name: "mine.jinja".to_owned(), source: source.to_owned() });
            config.system_prompt = system_prompt.map(str::to_owned);
        })
    };
    for wrong in [
        "{{ 'no question' }}",
        "{% if %}",
        "{% for m in messages %}{{ m.content + 1 }}{% endfor %}",
    ] {
        let error = opened(wrong, None).expect_err(wrong);
        assert!(matches!(error, OpenError::ChatTemplate(_)), "{wrong}: {error}");
        assert!(error.to_string().starts_with("mine.jinja: chat template: "), "{error}");
    }
    let without_system = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}\
                          {% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
    let engine = opened(without_system, None).expect("it takes questions");
    let ids = engine.text().prompt(&[message(Role::User, "Hi")]).expect("it renders");
    assert_eq!(ids, engine.text().encode("Hi"), "the given template is used");
    let error = opened(without_system, Some("Be brief.")).expect_err("it takes no system message");
    let expected = "system prompt: the chat template takes no system message: no system";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn answers_are_the_same_with_and_without_guesses() {
    let model = made(quick_shape());
    let answers = |speculation| {
        let engine = open_made(&model, |config| config.speculation = speculation);
        let engine = engine.expect("the model opens");
        // With temperature 0, a random model soon repeats itself, and guesses can predict that.
        let requests = (0..6).map(|seed| match seed {
            0..3 => ask(20 + seed, 300),
            _ => seeded(20, 100, seed as u64),
        });
        let generations: Vec<Generation> =
            requests.map(|request| accepted(engine.submit(request))).collect();
        let texts: Vec<String> =
            generations.into_iter().map(|generation| read(generation).text).collect();
        (texts, engine.counters())
    };
    let (plain, counters) = answers(false);
    assert_eq!(counters.guesses, 0);
    let (guessed, counters) = answers(true);
    assert!(counters.guesses_accepted > 0, "{counters:?}");
    assert!(plain == guessed);
}

#[test]
fn a_question_is_computed_while_it_is_typed() {
    let engine = quick_engine();
    let whole = ask(60, 4);
    let mut messages = whole.prompt.messages().to_vec();
    let typed = messages[0].content.len() * 9 / 10;
    messages[0].content.truncate(typed);
    let GenerateRequest { max_tokens, tenant, conversation, .. } = whole.clone();
    let draft = Draft { messages, max_tokens, tenant, conversation, key: 1 };
    engine.draft(draft).expect("it fits");
    while engine.counters().drafts_computed == 0 {
        std::thread::yield_now();
    }
    let reply = answer(&engine, whole.clone());
    let usage = reply.finished.usage;
    let counters = engine.counters();
    assert!(usage.cached_tokens >= 16, "{usage:?}");
    assert_eq!(counters.drafts_wasted, 0, "all of it was typed for good: {counters:?}");
    assert_eq!(counters.drafts_used, counters.drafts_computed, "{counters:?}");
    assert_eq!(reply.text, answer(&quick_engine(), whole).text);
}

#[test]
fn a_draft_that_cannot_fit_is_refused() {
    let engine = open(quick_shape(), |config| config.context_tokens = Some(64));
    let GenerateRequest { prompt, max_tokens, tenant, conversation, .. } = ask(200, 4);
    let messages = prompt.messages().to_vec();
    let draft = Draft { messages, max_tokens, tenant, conversation, key: 0 };
    let refused = engine.expect("it opens").draft(draft);
    assert!(matches!(refused, Err(Refusal::TooLong { limit: 63, .. })), "{refused:?}");
}

#[test]
fn a_conversation_goes_on_after_the_engine_was_closed() {
    let (model, home) = (made(quick_shape()), tempfile::tempdir().expect("a temporary folder"));
    let kept = |config: &mut EngineConfig| {
        let folder = home.path().join("kv");
        config.kv_disk = Some(DiskConfig { folder, max_bytes: 64 << 20 });
    };
    let engine = open_made(&model, kept).expect("the model opens");
    let first = answer(&engine, seeded(100, 20, 3));
    drop(engine);
    let engine = open_made(&model, kept).expect("the model opens again");
    let again = answer(&engine, seeded(100, 20, 3));
    assert_eq!(again.text, first.text);
    let usage = again.finished.usage;
    assert!(usage.cached_tokens + 16 >= usage.prompt_tokens, "{usage:?}");
    let request = seeded(100, 20, 3);
    engine.forget_tenant(request.tenant).expect("it is open");
    let forgotten = answer(&engine, request);
    assert_eq!(forgotten.finished.usage.cached_tokens, 0, "{:?}", forgotten.finished.usage);
    drop(engine);
    let other = made(ModelConfig { rope_base: 20_000.0, ..quick_shape() });
    let engine = open_made(&other, kept).expect("another model opens");
    assert!(engine.counters().disk_blocks > 0);
    assert_eq!(answer(&engine, seeded(100, 20, 3)).finished.usage.cached_tokens, 0);
}

/// Random weights choose tokens that the tokenizer would not cut the same text into.
#[test]
fn the_turn_after_a_restart_reads_the_tokens_that_made_the_answer() {
    let (model, home) = (made(quick_shape()), tempfile::tempdir().expect("a temporary folder"));
    let kept = |config: &mut EngineConfig| {
        let folder = home.path().join("kv");
        config.kv_disk = Some(DiskConfig { folder, max_bytes: 64 << 20 });
    };
    let open = || open_made(&model, kept).expect("the model opens");
    let mut differs = false;
    for seed in 0..4 {
        let ask = |tenant| GenerateRequest {
            conversation: Some(ConversationId(seed)),
            tenant: Tenant(tenant),
            ..seeded(40, 12, seed)
        };
        let (stays, returns) = (ask(2 * seed), ask(2 * seed + 1));
        let engine = open();
        let reply = answer(&engine, stays.clone());
        assert_eq!(answer(&engine, returns.clone()).text, reply.text);
        let stayed = answer(&engine, next_turn(&stays, &reply)).finished.usage;
        drop(engine);
        let engine = open();
        let second = next_turn(&returns, &reply);
        let usage = answer(&engine, second.clone()).finished.usage;
        assert_eq!(usage.prompt_tokens, stayed.prompt_tokens, "seed {seed}");
        assert!(usage.cached_tokens >= stayed.cached_tokens / 16 * 16, "{usage:?}, {stayed:?}");
        let canonical = engine
            .fit(second.prompt.messages(), &TemplateExtras::default(), None)
            .expect("it fits")
            .ids
            .len();
        differs |= usage.prompt_tokens != canonical;
        engine.forget(second.tenant, ConversationId(seed)).expect("it is open");
        drop(engine);
        let forgotten = answer(&open(), second).finished.usage;
        assert_eq!((forgotten.prompt_tokens, forgotten.cached_tokens), (canonical, 0), "{seed}");
    }
    assert!(differs, "no answer was made of other tokens than its text is cut into");
}

#[test]
fn answers_are_the_same_with_and_without_a_draft_model() {
    let model = made(quick_shape());
    let small = made(ModelConfig { layers: 1, ..quick_shape() });
    let answers = |draft: Option<&MadeModel>| {
        let engine = open_made(&model, |config| {
            config.draft_model = draft.map(|draft| ModelSource::Path(draft.path.clone()));
        });
        let engine = engine.expect("the model opens");
        let requests = (0..6).map(|seed| match seed {
            0..3 => ask(20 + seed, 100),
            _ => seeded(20, 60, seed as u64),
        });
        let generations: Vec<Generation> =
            requests.map(|request| accepted(engine.submit(request))).collect();
        let texts: Vec<String> =
            generations.into_iter().map(|generation| read(generation).text).collect();
        assert_all_free(engine.counters());
        (texts, engine.counters())
    };
    let (plain, _) = answers(None);
    let (itself, counters) = answers(Some(&model));
    assert!(counters.guesses_accepted > 20, "it knows what it will say: {counters:?}");
    assert!(plain == itself);
    let (guessed, counters) = answers(Some(&small));
    assert!(counters.guesses > 0, "{counters:?}");
    assert!(plain == guessed);
}

#[test]
fn a_draft_model_of_other_tokens_or_a_shorter_context_is_refused() {
    let model = made(quick_shape());
    let refused = |draft: ModelConfig| {
        let draft = made(draft);
        let opened = open_made(&model, |config| {
            config.draft_model = Some(ModelSource::Path(draft.path.clone()));
        });
        opened.expect_err("it does not fit").to_string()
    };
    let fewer = refused(ModelConfig { vocabulary_rows: 590, ..quick_shape() });
    assert!(fewer.starts_with("draft model: expected the tokens of the model"), "{fewer}");
    let shorter = refused(ModelConfig { trained_context: 1_024, ..quick_shape() });
    assert_eq!(shorter, "draft model: expected one trained on 2048 tokens, found 1024");
}
