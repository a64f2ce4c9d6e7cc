//! Conversations whose answers come back in a history, on the demo model with the real engine.

use super::*;
use crate::engine::AnswerRoom;
use crate::kv_cache::DiskConfig;
use crate::text::{Conversation, TemplateExtras};

fn demo() -> ModelSource {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    ModelSource::Path(path.into())
}

fn engine(folder: Option<&std::path::Path>) -> Engine {
    let disk =
        |folder: &std::path::Path| DiskConfig { folder: folder.to_owned(), max_bytes: 64 << 20 };
    let config = EngineConfig { kv_disk: folder.map(disk), ..EngineConfig::new(demo()) };
    Engine::open(config, &mut |_| ()).expect("the demo model opens")
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

/// How the answers of a conversation end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    EndToken,
    Length,
    StopString,
    /// After some tokens were read.
    Stopped,
}

const ENDINGS: [Ending; 4] =
    [Ending::EndToken, Ending::Length, Ending::StopString, Ending::Stopped];

const QUESTIONS: [&str; 4] =
    ["Hello", "Tell me a story.", "Write a poem about the sea.", "What is 12 + 30?"];

/// A conversation that is asked one question after another.
struct Talk {
    ending: Ending,
    temperature: f32,
    messages: Vec<Message>,
}

impl Talk {
    fn new(ending: Ending, temperature: f32) -> Talk {
        Talk { ending, temperature, messages: Vec::new() }
    }

    fn request(&self, question: &str) -> GenerateRequest {
        let mut messages = self.messages.clone();
        messages.push(message(Role::User, question));
        let strings = if self.ending == Ending::StopString { vec!["e".to_owned()] } else { vec![] };
        GenerateRequest {
            prompt: messages.into(),
            sampling: SamplingParams {
                temperature: self.temperature,
                seed: Some(7),
                ..SamplingParams::default()
            },
            max_tokens: Some(if self.ending == Ending::Length { 20 } else { 300 }),
            stop_strings: strings,
            structure: None,
            logprobs: None,
            tenant: Tenant(1),
            conversation: Some(ConversationId(1)),
            continues: None,
        }
    }

    /// Asks, and takes the answer into the history.
    fn ask(&mut self, engine: &Engine, question: &str) -> Reply {
        let Submit::Accepted(mut generation) = engine.submit(self.request(question)) else {
            panic!("{question:?} is not accepted");
        };
        let mut begun = String::new();
        while self.ending == Ending::Stopped && begun.len() < 10 {
            match generation.next_blocking() {
                Some(Event::Delta { text, .. }) => begun.push_str(&text),
                Some(Event::Finished(finished)) => {
                    self.take(question, &begun);
                    return Reply {
                        text: begun,
                        tokens: Vec::new(),
                        logprobs: Vec::new(),
                        finished,
                        progress: Vec::new(),
                    };
                }
                _ => {}
            }
        }
        if self.ending == Ending::Stopped {
            generation.stop();
        }
        let mut reply = read(generation);
        reply.text.insert_str(0, &begun);
        self.take(question, &reply.text);
        reply
    }

    fn take(&mut self, question: &str, answer: &str) {
        self.messages.push(message(Role::User, question));
        self.messages.push(message(Role::Assistant, answer));
    }
}

/// How often a token ends a message in what the model reads.
fn ends(engine: &Engine, ids: &[TokenId]) -> usize {
    ids.iter().filter(|id| engine.text().is_end(**id)).count()
}

#[test]
fn the_turn_after_an_end_token_reads_what_the_text_alone_gives() {
    let first = engine(None);
    let mut ended = 0;
    for question in QUESTIONS {
        let mut talk = Talk::new(Ending::EndToken, 0.0);
        let reply = talk.ask(&first, question);
        ended += usize::from(*reply.reason() == FinishReason::EndToken);
        let request = talk.request("And then?");
        let own = fit_for(&first, request.prompt.messages(), Some(request.origin()));
        assert_eq!(ends(&first, &own), 3, "one for each message of {question:?}");
        let canonical = fit_for(&first, request.prompt.messages(), None);
        assert_eq!(own, canonical, "{question:?}");
        let next = talk.ask(&first, "And then?");
        talk.messages.truncate(2);
        let restarted = engine(None);
        let again = talk.ask(&restarted, "And then?");
        assert_eq!(again.text, next.text, "{question:?}");
        let tokens = |reply: &Reply| reply.finished.usage.prompt_tokens;
        assert_eq!(tokens(&again), tokens(&next), "{question:?}");
    }
    assert!(ended >= 2, "the model ended {ended} of its answers itself");
}

/// The tokens of a conversation, with what is remembered for `origin`.
fn fit_for(engine: &Engine, messages: &[Message], origin: Option<Origin>) -> Vec<TokenId> {
    let conversation = Conversation { messages, extras: &TemplateExtras::default(), origin };
    engine.fit_prompt(&conversation, AnswerRoom::default()).expect("it fits").ids
}

/// Three turns, perhaps a restart, and a fourth turn.
struct FourTurns {
    messages: Vec<Message>,
    third: Reply,
    fourth: Reply,
}

impl FourTurns {
    fn take(
        ending: Ending,
        temperature: f32,
        between: fn(Engine, &std::path::Path) -> Engine,
    ) -> FourTurns {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let first = engine(Some(folder.path()));
        let mut talk = Talk::new(ending, temperature);
        let mut replies: Vec<Reply> =
            QUESTIONS[..3].iter().map(|question| talk.ask(&first, question)).collect();
        let second = between(first, folder.path());
        let fourth = talk.ask(&second, QUESTIONS[3]);
        let third = replies.pop().expect("it was asked");
        FourTurns { messages: talk.messages, third, fourth }
    }
}

#[test]
fn a_restart_finds_on_disk_all_whole_blocks_whatever_ended_the_answers() {
    for ending in ENDINGS {
        for temperature in [0.0, 1.3, 2.0] {
            let case = format!("{ending:?} at {temperature}");
            let restarted = FourTurns::take(ending, temperature, |first, folder| {
                drop(first);
                engine(Some(folder))
            });
            let usage = restarted.fourth.finished.usage;
            let third_prompt = restarted.third.finished.usage.prompt_tokens;
            assert!(usage.cached_tokens + 16 > third_prompt, "{case}: {usage:?}, {third_prompt}");
            if ending == Ending::Stopped {
                // How much was said before the stop differs from run to run.
                continue;
            }
            let stayed = FourTurns::take(ending, temperature, |first, _| first);
            assert_eq!(restarted.messages, stayed.messages, "{case}");
            let in_memory = stayed.fourth.finished.usage;
            assert_eq!(usage.prompt_tokens, in_memory.prompt_tokens, "{case}");
            let whole_blocks = in_memory.cached_tokens / 16 * 16;
            assert!(usage.cached_tokens >= whole_blocks, "{case}: {usage:?} and {in_memory:?}");
        }
    }
}

#[test]
fn what_one_tenant_was_told_changes_nothing_for_another() {
    let engine = engine(None);
    let mut talk = Talk::new(Ending::EndToken, 1.5);
    for question in QUESTIONS {
        talk.ask(&engine, question);
        let messages = talk.request("And then?").prompt.messages().to_vec();
        let of = |origin| fit_for(&engine, &messages, origin);
        let canonical = of(None);
        let (tenant, conversation) = (Tenant(2), Some(ConversationId(1)));
        assert_eq!(of(Some(tenant.into())), canonical);
        assert_eq!(of(Some(Origin { tenant, conversation })), canonical);
        assert_eq!(of(Some(Tenant(1).into())), canonical, "another conversation");
    }
}

#[test]
fn an_answer_that_was_forgotten_comes_back_as_its_text_alone() {
    let engine = engine(None);
    let mut talk = Talk::new(Ending::Length, 2.0);
    talk.ask(&engine, QUESTIONS[1]);
    let request = talk.request("And then?");
    let read = || {
        let origin = Some(request.origin());
        fit_for(&engine, request.prompt.messages(), origin)
    };
    let canonical = fit_for(&engine, request.prompt.messages(), None);
    assert_ne!(read(), canonical, "it was written in other tokens");
    engine.forget(Tenant(1), ConversationId(1)).expect("the engine is open");
    // The engine forgets before it begins a later request.
    Talk::new(Ending::Length, 0.0).ask(&engine, QUESTIONS[0]);
    assert_eq!(read(), canonical);
}

#[test]
fn a_control_token_in_an_answer_does_not_come_back() {
    let mut stage = Stage::with_room();
    let end = end_token(&stage);
    let ids = (0..stage.text.token_count() as u32).map(TokenId);
    let is_hidden = |id: &TokenId| stage.text.token_bytes(*id).is_empty() && *id != end;
    let hidden = ids.into_iter().find(is_hidden).expect("ChatML has another control token");
    let letter = byte(&stage, "a");
    let prompt = 3;
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        let said = [letter, hidden, letter, end];
        only(said[(tokens.len() - prompt).min(3)])(tokens, logits);
    });
    let reply = stage.answer(&Ask::new(1, prompt, 50));
    assert_eq!((reply.text.as_str(), reply.reason()), ("aa", &FinishReason::EndToken));
    let history = [message(Role::User, "x"), message(Role::Assistant, "aa")];
    let own = stage.text.prompt_for(Tenant(0).into(), &history);
    assert_eq!(own, stage.text.prompt(&history));
}
