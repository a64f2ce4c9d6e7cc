//! The whole engine on the demo model, with everything switched on: answers in random company are
//! what they are alone.

use serde_json::json;

use super::*;
use crate::engine::embedding::{EmbedRequest, EmbedSource, Embedded, EmbeddingJob, Pooling};
use crate::engine::{Draft, PromptSource};
use crate::kv_cache::DiskConfig;
use crate::text::TemplateExtras;

/// How many requests schedules choose from.
const REQUESTS: u64 = 48;
/// How many requests a schedule has.
const TOGETHER: usize = 7;
/// How many schedules an engine runs before it is opened again on the same folder.
const PER_ENGINE: u64 = 20;
/// Tokens of a context: a long history loses turns.
const CONTEXT: usize = 384;

fn demo() -> ModelSource {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    ModelSource::Path(path.into())
}

fn config() -> EngineConfig {
    EngineConfig {
        context_tokens: Some(CONTEXT),
        system_prompt: Some("You are a helpful assistant who says little.".to_owned()),
        ..EngineConfig::new(demo())
    }
}

/// Words that repeat, so that guesses are accepted now and then.
fn words(seed: u64, count: usize) -> String {
    const WORDS: [&str; 10] =
        ["the", "river", "runs", "behind", "old", "houses", "and", "你好", "green", "hills"];
    let word = |index| WORDS[dice(seed, index, WORDS.len())];
    (0..count as u64).map(word).collect::<Vec<&str>>().join(" ")
}

/// A function that may be called.
fn tools() -> TemplateExtras {
    let parameters = json!({"type": "object", "properties": {"town": {"type": "string"}}});
    let function = json!({"name": "weather", "parameters": parameters});
    let tools = vec![json!({"type": "function", "function": function})];
    TemplateExtras { tools, ..TemplateExtras::default() }
}

/// A conversation of one of three tenants; many begin alike.
fn request(index: u64) -> GenerateRequest {
    let dice = |place, end| dice(1_000 + index, place, end);
    let mut messages = Vec::new();
    let story = dice(0, 4) as u64;
    for turn in 0..dice(1, 5) as u64 {
        messages.push(Message::user(words(10 * story + turn, 30)));
        messages.push(Message::assistant(words(100 + 10 * story + turn, 25)));
    }
    let text = words(500 + index, 4 + dice(2, 30));
    let asked = ["", "Repeat: ", "Repeat: "][dice(3, 3)].to_owned() + &text;
    messages.push(Message::user(asked));
    let structure = match dice(4, 5) {
        0 => Some(Structure::Regex("(river|green) [a-z]{2,12}( hills){1,6}".to_owned())),
        1 => Some(Structure::JsonSchema(
            r#"{"type": "object", "properties": {"word": {"type": "string", "maxLength": 8},
            "count": {"type": "integer"}}, "required": ["word", "count"], "additionalProperties": false}"#
                .to_owned(),
        )),
        _ => None,
    };
    let sampling = SamplingParams {
        temperature: [0.0, 0.3, 0.8, 1.2][dice(5, 4)],
        top_k: [0, 40][dice(6, 2)],
        top_p: [1.0, 0.9][dice(7, 2)],
        repetition_penalty: [1.0, 1.1][dice(8, 2)],
        logit_bias: match dice(13, 4) {
            0 => (0..8).map(|token| (TokenId(300 + 20 * token), 6.0)).collect(),
            _ => Vec::new(),
        },
        seed: Some(index),
        ..SamplingParams::default()
    };
    let prompt = match dice(15, 8) {
        0 => PromptSource::Text(format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>")),
        1 => PromptSource::Tokens((0..20).map(|place| TokenId(300 + 7 * place)).collect()),
        2 => PromptSource::Messages { messages, extras: tools(), is_whole: false },
        _ => messages.into(),
    };
    GenerateRequest {
        prompt,
        sampling,
        max_tokens: Some(1 + dice(9, 50)),
        stop_strings: if dice(10, 5) == 0 { vec!["old".to_owned()] } else { Vec::new() },
        structure,
        logprobs: [None, Some(0), Some(5), Some(20)][dice(14, 4)],
        tenant: Tenant(dice(11, 3) as u64),
        conversation: Some(ConversationId(dice(12, 5) as u64)).filter(|id| id.0 > 0),
        continues: None,
    }
}

fn accepted(engine: &Engine, request: GenerateRequest) -> Generation {
    match engine.submit(request) {
        Submit::Accepted(generation) => generation,
        other => panic!("expected an answer, found {other:?}"),
    }
}

/// The answer to each request if nothing else ever ran, and nothing is guessed or found.
fn alone(requests: &[GenerateRequest]) -> Vec<Reply> {
    let engine = Engine::open(EngineConfig { speculation: false, ..config() }, &mut |_| ());
    let engine = engine.expect("the demo model opens");
    let answer = |(index, request): (usize, &GenerateRequest)| {
        let tenant = Tenant(1_000 + index as u64);
        read(accepted(&engine, GenerateRequest { tenant, ..request.clone() }))
    };
    requests.iter().enumerate().map(answer).collect()
}

/// An engine with little memory, a disk, and a draft model, in one of many set-ups.
fn engine(seed: u64, folder: &std::path::Path) -> Engine {
    let draft_model = (dice(seed, 4, 3) > 0).then(demo);
    // With a draft model each token is kept twice.
    let token_bytes = if draft_model.is_some() { 4_096 } else { 2_048 };
    let contexts = [1.1, 1.5, 3.0][dice(seed, 0, 3)];
    let config = EngineConfig {
        kv_memory_bytes: Some((contexts * (CONTEXT * token_bytes) as f64) as u64),
        kv_disk: Some(DiskConfig { folder: folder.to_owned(), max_bytes: 2 << 20 }),
        threads: std::num::NonZeroUsize::new(1 + dice(seed, 1, 2)),
        max_sequences: 1 + dice(seed, 2, 7),
        step_tokens: 24 + dice(seed, 3, 60),
        draft_model,
        max_gap: Duration::from_millis([1, 200][dice(seed, 5, 2)]),
        ..config()
    };
    Engine::open(config, &mut |_| ()).expect("the demo model opens")
}

/// An answer on its way: to which request, and what was told of it.
struct Running {
    request: usize,
    generation: Generation,
    text: String,
    logprobs: Vec<Logprobs>,
}

/// Does one thing after another: someone asks, types, reads, stops, or has a conversation
/// forgotten.
fn schedule(
    seed: u64,
    engine: &Engine,
    requests: &[GenerateRequest],
    alone: &[Reply],
    vectors: &[Embedded],
) {
    let mut thrown = 100;
    let mut dice = |end: usize| {
        thrown += 1;
        dice(seed, thrown, end)
    };
    let mut waiting: Vec<usize> = (0..TOGETHER).map(|_| dice(requests.len())).collect();
    let mut running: Vec<Running> = Vec::new();
    let mut embeddings: Vec<(usize, EmbeddingJob)> = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        match dice(20) {
            0..6 => {
                if let Some(request) = waiting.pop() {
                    let generation = accepted(engine, requests[request].clone());
                    let (text, logprobs) = (String::new(), Vec::new());
                    running.push(Running { request, generation, text, logprobs });
                }
            }
            6..8 => {
                if let Some(&request) = waiting.last() {
                    let GenerateRequest { prompt, max_tokens, tenant, conversation, .. } =
                        requests[request].clone();
                    let (messages, key) = (prompt.messages().to_vec(), dice(3) as u64);
                    if messages.is_empty() {
                        continue;
                    }
                    let draft = Draft { messages, max_tokens, tenant, conversation, key };
                    engine.draft(draft).expect("it fits as the request does");
                }
            }
            8 => {
                let GenerateRequest { tenant, conversation, .. } = requests[dice(requests.len())];
                match conversation {
                    Some(conversation) => engine.forget(tenant, conversation),
                    None => engine.forget_tenant(tenant),
                }
                .expect("it is open");
            }
            10 if embeddings.len() < 3 => {
                let text = dice(TEXTS.len());
                embeddings.push((text, embed(engine, text)));
            }
            9 if !running.is_empty() => running[dice(running.len())].generation.stop(),
            _ if !running.is_empty() => {
                let place = dice(running.len());
                let Running { request, generation, text, logprobs } = &mut running[place];
                match generation.next_blocking().expect("an answer is told its end") {
                    Event::Delta { text: delta, logprobs: their, .. } => {
                        text.push_str(&delta);
                        logprobs.extend(their);
                    }
                    Event::Finished(finished) => {
                        let alone = &alone[*request];
                        assert_is_beginning(seed, text, &finished, alone);
                        let found = alone.logprobs.get(..logprobs.len());
                        assert_eq!(found, Some(&logprobs[..]), "seed {seed}: to the last bit");
                        running.swap_remove(place);
                    }
                    Event::Queued { .. } | Event::Prefill { .. } => {}
                }
            }
            _ => {}
        }
    }
    for (text, job) in embeddings {
        assert_eq!(job.wait().as_ref(), Ok(&vectors[text]), "seed {seed}: to the last bit");
    }
}

/// Texts that become vectors.
const TEXTS: [&str; 3] =
    ["a", "What is half of that, and what of the rest?", "西湖在杭州。The lake"];

fn embed(engine: &Engine, text: usize) -> EmbeddingJob {
    let pooling = [Pooling::Mean, Pooling::Last][text % 2];
    let source = EmbedSource::Text(TEXTS[text].repeat(1 + 9 * text));
    let request = EmbedRequest { source, pooling, tenant: Tenant::default() };
    engine.embed(request).expect("it fits").expect("there is a place")
}

/// Whether an answer is the one given alone, or, if it was stopped, the beginning of that.
fn assert_is_beginning(seed: u64, text: &str, finished: &Finished, alone: &Reply) {
    if finished.reason == FinishReason::Stopped {
        assert!(alone.text.starts_with(text), "seed {seed}: {text:?} of {:?}", alone.text);
        return;
    }
    assert_eq!((text, &finished.reason), (&*alone.text, alone.reason()), "seed {seed}");
    let (usage, usage_alone) = (&finished.usage, &alone.finished.usage);
    assert_eq!(usage.prompt_tokens, usage_alone.prompt_tokens, "seed {seed}");
    assert_eq!(usage.completion_tokens, usage_alone.completion_tokens, "seed {seed}");
}

/// Waits until the engine has computed a draft. Among other requests it may never have the time.
fn computes_a_draft(engine: &Engine, seed: u64) {
    let before = engine.counters().drafts_computed;
    let messages = vec![Message::user(format!("What is half of {seed}, and what"))];
    let (tenant, conversation) = (Tenant::default(), None);
    let draft = Draft { messages, max_tokens: Some(8), tenant, conversation, key: 0 };
    engine.draft(draft).expect("it fits");
    while engine.counters().drafts_computed == before {
        std::thread::yield_now();
    }
}

#[test]
fn everything_switched_on_changes_no_answer_of_the_demo_model() {
    let requests: Vec<GenerateRequest> = (0..REQUESTS).map(request).collect();
    let alone = alone(&requests);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let seeds = seeds(40);
    let vectors: Vec<Embedded> = {
        let engine = Engine::open(config(), &mut |_| ()).expect("the demo model opens");
        let vector = |text| embed(&engine, text).wait().expect("a vector");
        (0..TEXTS.len()).map(vector).collect()
    };
    let mut seen = [0; 5];
    for start in seeds.clone().step_by(PER_ENGINE as usize) {
        let engine = engine(start, folder.path());
        for seed in start..seeds.end.min(start + PER_ENGINE) {
            schedule(seed, &engine, &requests, &alone, &vectors);
        }
        computes_a_draft(&engine, start);
        let counters = engine.counters();
        assert_eq!((counters.running, counters.waiting), (0, 0), "{counters:?}");
        assert_eq!(counters.free_blocks, counters.total_blocks, "{counters:?}");
        let of_engine = [
            counters.cached_tokens,
            counters.drafts_computed,
            counters.guesses_accepted,
            counters.guesses - counters.guesses_accepted,
            counters.fetched_blocks,
        ];
        seen.iter_mut().zip(of_engine).for_each(|(seen, count)| *seen += count);
    }
    assert!(seen.iter().all(|&count| count > 0), "something never happened: {seen:?}");
}
