use super::*;
use crate::access::Principal;
use banter_engine::engine::EngineConfig;
use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
use banter_engine::model_file::{ModelConfig, ModelSource};
use banter_protocol::plain::{self, ClientMessage};
use banter_seam::{Continuation, Prompt, Structure};
use banter_seam::{Event, Logprobs, Usage};

/// A backend with a small model, whose engine takes this many requests.
fn backend(places: usize) -> EngineBackend {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    let shape = ModelConfig {
        layers: 1,
        hidden: 32,
        heads: 1,
        kv_heads: 1,
        head_dim: 32,
        feed_forward: 32,
        vocabulary_rows: 320,
        trained_context: 128,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: true,
    };
    let weights = WeightMix::named("f32").expect("a known type");
    let (name, seed) = ("tiny".to_owned(), 1);
    let spec = ModelSpec { name, shape, weights, outliers: false, vocabulary: None, seed };
    make_model(&spec, &path, &mut |_| {}).expect("a model");
    let mut config = EngineConfig::new(ModelSource::Path(path));
    config.max_sequences = 2;
    config.queue_limit = places - 2;
    EngineBackend::new(Engine::open(config, &mut |_| {}).expect("an engine"), false)
}

#[tokio::test]
async fn one_key_with_many_messages_leaves_places_to_another() {
    let backend = backend(16);
    let (alice, bob) = (Principal::of_key("alice's key"), Principal::of_key("bob's key"));
    let ask = async |principal: Principal| {
        let message = plain::parse(r#"{"message": "hello"}"#).expect("a message");
        let ClientMessage::Ask(ask) = message else { panic!("it is no stop") };
        backend.generate(Box::new(ask.into_request(principal.asker()))).await
    };
    // How long an answer takes is known after the first.
    told(&backend, request("hello", 1, None)).await;
    // An answer holds its place until its socket is through with it.
    let mut of_alice = Vec::new();
    for _ in 0..12 {
        of_alice.push(ask(alice).await.expect("a place"));
    }
    let refusal = ask(alice).await.expect_err("no further one");
    assert!(refusal.to_string().starts_with("your other messages"), "{refusal}");
    assert!(matches!(refusal, Failure::Busy { estimate_ms: Some(_), .. }), "{refusal:?}");
    let of_bob = ask(bob).await.expect("a place that she left");
    of_alice.pop();
    assert_eq!(ask(alice).await.expect_err("he leaves less").code(), "busy");
    drop(of_bob);
}

/// The request for an answer to a message, in a conversation.
fn request(message: &str, seed: u64, conversation: Option<u64>) -> GenerateRequest {
    let fields = serde_json::json!({"message": message, "max_tokens": 40, "seed": seed});
    let Ok(ClientMessage::Ask(ask)) = plain::parse(&fields.to_string()) else {
        panic!("it is right")
    };
    let request = ask.into_request(Principal::of_key("alice's key").asker());
    GenerateRequest { conversation: conversation.map(ConversationNumber), ..request }
}

/// All that is told of an answer.
#[derive(Debug, Default)]
struct Told {
    text: String,
    tokens: Vec<u32>,
    /// How many tokens and bytes were told with each delta.
    deltas: Vec<(usize, usize)>,
    usage: Usage,
}

async fn told(backend: &EngineBackend, request: GenerateRequest) -> Told {
    let mut generation = backend.generate(Box::new(request.clone())).await.expect("a place");
    assert_eq!(generation.seed(), request.parameters.seed);
    let mut told = Told::default();
    while let Some(event) = generation.next_event().await {
        match event {
            Event::Delta { text, tokens, .. } => {
                told.text.push_str(&text);
                told.tokens.extend(tokens);
                told.deltas.push((told.tokens.len(), told.text.len()));
            }
            Event::Finished(finished) => told.usage = finished.usage,
            _ => {}
        }
    }
    assert_eq!(generation.prompt_tokens(), told.usage.prompt_tokens);
    told
}

#[tokio::test]
async fn an_answer_goes_on_as_if_it_had_not_been_cut() {
    let backend = backend(16);
    assert!(backend.can_continue());
    for seed in 0..5 {
        let asked = request("tell me something", seed, None);
        let whole = told(&backend, asked.clone()).await;
        for &(tokens, text_bytes) in whole.deltas.iter().filter(|(tokens, _)| *tokens < 40) {
            let mut more = asked.clone();
            let so_far = whole.tokens[..tokens].to_vec();
            more.continues = Some(Continuation { tokens: so_far, text_bytes });
            more.parameters.max_tokens -= u32::try_from(tokens).expect("at most 40");
            let rest = told(&backend, more).await;
            assert_eq!(rest.text, whole.text[text_bytes..], "{seed} after {tokens} tokens");
            assert_eq!(rest.tokens, whole.tokens[tokens..], "{seed} after {tokens} tokens");
        }
    }
    let mut damaged = request("tell me something", 1, None);
    damaged.continues = Some(Continuation { tokens: vec![u32::MAX], text_bytes: 0 });
    let refusal = backend.generate(Box::new(damaged)).await.expect_err("it is damaged");
    let expected = "continue: expected an answer that can go on, found the id 4294967295 \
                    without a token, at index 0";
    assert_eq!(refusal.to_string(), expected);
}

#[tokio::test]
async fn each_token_is_told_with_what_the_model_found_likely() {
    let backend = backend(16);
    let asked = GenerateRequest { logprobs: Some(3), ..request("tell me something", 1, None) };
    let mut generation = backend.generate(Box::new(asked)).await.expect("a place");
    let (mut shown, mut spelled, mut count) = (String::new(), Vec::new(), 0);
    while let Some(event) = generation.next_event().await {
        let Event::Delta { text, tokens, logprobs } = event else { continue };
        assert_eq!(tokens.len(), logprobs.len());
        shown.push_str(&text);
        count += tokens.len();
        for Logprobs { chosen, top } in logprobs {
            assert!(chosen.logprob <= 0.0 && top.len() == 3, "{chosen:?} {top:?}");
            assert!(top.iter().all(|top| !top.bytes.is_empty()), "{top:?}");
            // Control tokens are named here, and not shown in the text.
            let is_control = chosen.bytes.starts_with(b"<|");
            spelled.extend(chosen.bytes.into_iter().filter(|_| !is_control));
        }
    }
    assert!(count > 0);
    let spelled = String::from_utf8_lossy(&spelled).into_owned();
    assert!(spelled.starts_with(shown.trim_end_matches('\u{fffd}')), "{spelled:?} {shown:?}");
}

#[tokio::test]
async fn an_answer_has_the_structure_that_it_must_have_whatever_it_follows() {
    let backend = backend(16);
    let structure = Structure::Regex("(yes|no), (yes|no)".to_owned());
    let text = "<|im_start|>user\nhi<|im_end|>\n";
    for prompt in [Prompt::Text(text.to_owned()), Prompt::Tokens(vec![72, 105])] {
        let (asked, structure) = (request("hello", 1, None), Some(structure.clone()));
        let asked = GenerateRequest { prompt, structure, ..asked };
        let answer = told(&backend, asked).await.text;
        let words: Vec<&str> = answer.split(", ").collect();
        assert!(words.len() == 2 && words.iter().all(|w| ["yes", "no"].contains(w)), "{answer}");
    }
}

#[tokio::test]
async fn a_draft_is_computed_ahead_and_forgotten_with_its_conversation() {
    let backend = backend(16);
    let asked = request("what is typed here is long enough for a block", 1, Some(5));
    let draft = |key| DraftRequest {
        messages: asked.prompt.messages().to_vec(),
        max_tokens: 40,
        asker: asked.asker,
        conversation: asked.conversation,
        key,
    };
    for round in 0..3 {
        let before = backend.engine.counters().drafts_computed;
        backend.draft(draft(round));
        while backend.engine.counters().drafts_computed == before {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        if round == 1 {
            backend.forget(asked.asker.tenant, asked.conversation);
        }
        let cached = told(&backend, asked.clone()).await.usage.cached_tokens;
        assert_eq!(cached > Some(0), round != 1, "round {round}: {cached:?}");
        backend.forget(asked.asker.tenant, None);
    }
}

#[tokio::test]
async fn a_request_that_is_forgotten_on_its_way_leaves_nothing() {
    let backend = backend(16);
    let asked = request("what is asked here is long enough for a block", 1, Some(5));
    assert_eq!(told(&backend, asked.clone()).await.usage.cached_tokens, Some(0));
    backend.forget(asked.asker.tenant, asked.conversation);
    let on_its_way = backend.generate(Box::new(asked.clone()));
    backend.forget(asked.asker.tenant, asked.conversation);
    let mut generation = on_its_way.await.expect("a place");
    while generation.next_event().await.is_some() {}
    let usage = told(&backend, asked).await.usage;
    assert_eq!(usage.cached_tokens, Some(0));
}
