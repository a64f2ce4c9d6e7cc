//! An engine behind an address, honest and not.

mod asking;
mod dialects;
mod passing_on;
mod streams;

use std::time::Duration;

use banter_protocol::plain::{ClientMessage, parse};
use banter_remote::Address;
use banter_remote::engine::{
    Answer, Ending, EngineError, EnginePatience, EngineSettings, RemoteEngine, Step,
};
use banter_remote::fakes::FakeEngine;
use banter_seam::{Asker, GenerateRequest};
use serde_json::json;

fn settings(url: &str) -> EngineSettings {
    EngineSettings {
        address: Address::parse_base(url).expect("an address"),
        key: None,
        kind: None,
        model: None,
        patience: EnginePatience {
            connect: Duration::from_secs(5),
            control: Duration::from_secs(30),
            headers: Duration::from_secs(30),
        },
    }
}

async fn find(fake: &FakeEngine) -> RemoteEngine {
    RemoteEngine::find(&settings(&fake.url())).await.expect("the engine is found")
}

fn ask(json: &serde_json::Value) -> GenerateRequest {
    match parse(&json.to_string()).expect("a request") {
        ClientMessage::Ask(ask) => ask.into_request(Asker::default()),
        ClientMessage::Stop { .. } => panic!("no stop was written"),
    }
}

fn say(message: &str) -> GenerateRequest {
    ask(&json!({"message": message}))
}

/// The text of an answer and how it ended.
async fn whole(mut answer: Answer) -> (String, Ending) {
    let mut text = String::new();
    loop {
        match answer.next().await.expect("the end comes before nothing does") {
            Step::Alive | Step::Thinking(_) => {}
            Step::Delta { text: piece, .. } => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
            }
            step @ (Step::Call { .. } | Step::Arguments(_)) => panic!("{step:?}"),
            Step::End(end) => {
                assert_eq!(answer.next().await, None);
                return (text, end.reason);
            }
        }
    }
}

/// A delta without log-probabilities.
fn delta(text: &str) -> Step {
    Step::Delta { text: text.to_owned(), logprobs: Vec::new() }
}

async fn answered(engine: &RemoteEngine, message: &str) -> (String, Ending) {
    whole(engine.ask(&say(message)).await.expect("an answer begins")).await
}

/// Lets time pass for the engine, without waiting.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn refused(engine: &RemoteEngine, ask: &GenerateRequest) -> EngineError {
    match engine.ask(ask).await {
        Ok(_) => panic!("an answer has begun"),
        Err(error) => error,
    }
}

/// An answer that has begun.
async fn begun(engine: &RemoteEngine, ask: &GenerateRequest) -> Answer {
    engine.ask(ask).await.expect("an answer begins")
}

/// The next step that says something.
async fn next(answer: &mut Answer) -> Option<Step> {
    loop {
        match answer.next().await {
            Some(Step::Alive) => {}
            step => return step,
        }
    }
}
