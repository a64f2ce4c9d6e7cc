//! Answers of the demo model that go on after a cut, with the real engine.

use super::*;
use crate::kv_cache::DiskConfig;

/// Tokens of a context: long histories lose turns.
const CONTEXT: usize = 384;

fn demo() -> ModelSource {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    ModelSource::Path(path.into())
}

fn engine(change: impl FnOnce(&mut EngineConfig)) -> Engine {
    let mut config = EngineConfig { context_tokens: Some(CONTEXT), ..EngineConfig::new(demo()) };
    change(&mut config);
    Engine::open(config, &mut |_| ()).expect("the demo model opens")
}

fn words(seed: u64, count: usize) -> String {
    const WORDS: [&str; 6] = ["tell", "me", "你好", "story", "the", "sea"];
    let word = |index| WORDS[dice(seed, index, WORDS.len())];
    (0..count as u64).map(word).collect::<Vec<&str>>().join(" ")
}

fn request(seed: u64) -> GenerateRequest {
    let dice = |place, end| dice(9_000 + seed, place, end);
    let mut messages = vec![Message::system("You are a helpful assistant.")];
    for turn in 0..dice(0, 12) as u64 {
        messages.push(Message::user(words(100 * seed + turn, 20)));
        messages.push(Message::assistant(words(100 * seed + 50 + turn, 20)));
    }
    messages.push(Message::user(["Write a poem.", "用中文讲一个故事。"][dice(1, 2)]));
    let stop = [Vec::new(), vec!["\n\n".to_owned(), "。\n".to_owned(), "the s".to_owned()]];
    GenerateRequest {
        sampling: SamplingParams {
            temperature: [0.0, 0.8, 1.5][dice(2, 3)],
            top_p: [1.0, 0.9][dice(3, 2)],
            repetition_penalty: [1.0, 1.1][dice(4, 2)],
            presence_penalty: [0.0, 0.5][dice(5, 2)],
            frequency_penalty: [0.0, 0.3][dice(6, 2)],
            seed: Some(seed),
            ..SamplingParams::default()
        },
        max_tokens: [Some(40), Some(200), None][dice(7, 3)],
        stop_strings: stop[dice(8, 2)].clone(),
        conversation: Some(ConversationId(seed)),
        ..GenerateRequest::new(messages)
    }
}

fn accepted(engine: &Engine, request: GenerateRequest) -> Generation {
    match engine.submit(request) {
        Submit::Accepted(generation) => generation,
        other => panic!("expected an answer, found {other:?}"),
    }
}

fn refused(engine: &Engine, request: GenerateRequest) -> Refusal {
    match engine.submit(request) {
        Submit::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// All that a reader is told of an answer.
struct Told {
    prompt_tokens: usize,
    dropped_messages: usize,
    text: String,
    tokens: Vec<TokenId>,
    finished: Finished,
}

impl Told {
    fn so_far(&self) -> Continuation {
        Continuation { tokens: self.tokens.clone(), text_bytes: self.text.len() }
    }
}

/// Reads an answer, and stops it after `most` tokens.
fn read_some(mut generation: Generation, most: usize) -> Told {
    let (prompt_tokens, dropped_messages) =
        (generation.prompt_tokens(), generation.dropped_messages());
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match generation.next_blocking().expect("an answer is told its end") {
            Event::Delta { text: delta, tokens: new, .. } => {
                text.push_str(&delta);
                tokens.extend(new);
                if tokens.len() >= most {
                    generation.stop();
                }
            }
            Event::Finished(finished) => {
                return Told { prompt_tokens, dropped_messages, text, tokens, finished };
            }
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
}

#[test]
fn answers_of_the_demo_model_go_on_as_if_they_had_not_been_cut() {
    let (home, quiet) = (tempfile::tempdir().expect("a temporary folder"), engine(|_| ()));
    let mut dropped = 0;
    for seed in seeds(24) {
        let request = request(seed);
        let whole = read_some(accepted(&quiet, request.clone()), usize::MAX);
        dropped += whole.dropped_messages;
        // It is cut, perhaps the engine is closed, and it goes on among others.
        let kept = |config: &mut EngineConfig| {
            let folder = home.path().to_owned();
            config.kv_disk = Some(DiskConfig { folder, max_bytes: 8 << 20 });
            config.draft_model = (seed % 3 == 0).then(demo);
            config.step_tokens = 24 + dice(seed, 0, 60);
            config.max_sequences = 4;
        };
        let mut busy = engine(kept);
        let first = read_some(accepted(&busy, request.clone()), 1 + dice(seed, 1, 30));
        if first.finished.reason != FinishReason::Stopped {
            assert_eq!((first.text, first.tokens), (whole.text, whole.tokens), "{seed}");
            continue;
        }
        if seed % 2 == 0 {
            drop(busy);
            busy = engine(kept);
        }
        let beside: Vec<Generation> = (100..102)
            .map(|other| accepted(&busy, super::continued_real::request(other)))
            .collect();
        let max_tokens = request.max_tokens.map(|most| most - first.tokens.len());
        let continues = Some(first.so_far());
        let more = GenerateRequest { max_tokens, continues, ..request };
        let rest = read_some(accepted(&busy, more), usize::MAX);
        drop(beside);
        assert_eq!(first.text.clone() + &rest.text, whole.text, "{seed}");
        assert_eq!([first.tokens.clone(), rest.tokens].concat(), whole.tokens, "{seed}");
        assert_eq!(rest.finished.reason, whole.finished.reason, "{seed}");
        assert_eq!(rest.dropped_messages, whole.dropped_messages, "{seed}");
        assert_eq!(rest.prompt_tokens, whole.prompt_tokens + first.tokens.len(), "{seed}");
    }
    assert!(dropped > 0, "no history was too long");
}

#[test]
fn an_answer_that_has_filled_the_context_goes_on_with_fewer_turns() {
    let engine = engine(|_| ());
    let mut messages: Vec<Message> = (0..12)
        .flat_map(|turn| [Message::user(words(turn, 15)), Message::assistant(words(turn, 15))])
        .collect();
    messages.push(Message::user("Write a long poem about the sea."));
    let mut request = GenerateRequest {
        sampling: SamplingParams { temperature: 1.5, seed: Some(3), ..SamplingParams::default() },
        ..GenerateRequest::new(messages)
    };
    // An answer that the model would have ended is made of words instead.
    let first = accepted(&engine, request.clone());
    let room = CONTEXT - first.prompt_tokens();
    let dropped = first.dropped_messages();
    drop(first);
    let word = engine.text().encode(" sea")[0];
    let text_bytes = engine.text().token_bytes(word).len() * room;
    request.continues = Some(Continuation { tokens: vec![word; room], text_bytes });
    let rest = read_some(accepted(&engine, request.clone()), usize::MAX);
    assert!(rest.dropped_messages > dropped, "{} of {dropped}", rest.dropped_messages);
    assert!(!rest.tokens.is_empty() || rest.finished.reason == FinishReason::EndToken);
    let tokens = vec![word; CONTEXT];
    request.continues = Some(Continuation { tokens, text_bytes: 0 });
    let Refusal::Continuation(ContinuationError::NoRoom { tokens, limit }) =
        refused(&engine, request.clone())
    else {
        panic!("an answer as long as the context goes on")
    };
    assert!(tokens > CONTEXT && limit == CONTEXT - 1, "{tokens}, {limit}");
    request.continues = Some(Continuation { tokens: vec![TokenId(u32::MAX)], text_bytes: 0 });
    let words = refused(&engine, request).to_string();
    let expected = "continuation: expected an answer that can go on, found the id 4294967295 \
                    without a token, at index 0";
    assert_eq!(words, expected);
}

/// Cut histories, edited messages, a restart and drafts: what belongs to a conversation is found by
/// its number, not by what its history is now.
#[test]
fn a_forgotten_conversation_of_the_demo_model_leaves_nothing() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let open = || {
        engine(|config| {
            let folder = home.path().to_owned();
            config.kv_disk = Some(DiskConfig { folder, max_bytes: 8 << 20 });
        })
    };
    let conversation = Some(ConversationId(1));
    let asked = |messages: &[Message], conversation| GenerateRequest {
        sampling: SamplingParams { seed: Some(1), ..SamplingParams::default() },
        max_tokens: Some(30),
        conversation,
        ..GenerateRequest::new(messages.to_vec())
    };
    let mut histories: Vec<Vec<Message>> = Vec::new();
    let first = open();
    let mut messages = Vec::new();
    for turn in 0..8 {
        messages.push(Message::user(words(turn, 25)));
        let told = read_some(accepted(&first, asked(&messages, conversation)), usize::MAX);
        histories.push(messages.clone());
        messages.push(Message::assistant(told.text).with_tokens(told.tokens));
    }
    let edited = [Message::user("Something else, and more words than a block has tokens, surely.")];
    read_some(accepted(&first, asked(&edited, conversation)), usize::MAX);
    histories.push(edited.to_vec());
    let typed = [Message::user(words(77, 40))];
    let (tenant, max_tokens, key) = (Tenant::default(), Some(30), 1);
    let draft =
        crate::engine::Draft { messages: typed.to_vec(), max_tokens, tenant, conversation, key };
    first.draft(draft).expect("it fits");
    histories.push(typed.to_vec());
    drop(first);
    let second = open();
    let cached = |engine: &Engine, history: &[Message]| {
        let told = read_some(accepted(engine, asked(history, None)), usize::MAX);
        told.finished.usage.cached_tokens
    };
    let last = histories[7].clone();
    assert!(cached(&second, &last) > 0, "it is on disk");
    second.forget_tenant(tenant).expect("the engine is open");
    for history in &histories {
        read_some(accepted(&second, asked(history, conversation)), usize::MAX);
    }
    second.forget(tenant, ConversationId(1)).expect("the engine is open");
    for history in &histories {
        // Others of this list begin alike, so each is forgotten with the tenant.
        assert_eq!(cached(&second, history), 0);
        second.forget_tenant(tenant).expect("the engine is open");
    }
    drop(second);
    assert_eq!(open().counters().disk_blocks, 0);
}
