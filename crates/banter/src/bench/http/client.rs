//! One client, and the times that it measures.

use std::time::{Duration, Instant};

use banter_remote::completions::{Answer, CompletionError, Completions, Piece, Question};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::talk::Talk;

/// The times that a client has measured, and the tokens that it got.
#[derive(Debug, Default)]
pub struct Seen {
    /// From each question to the first text of its answer.
    pub first_words: Vec<Duration>,
    /// Between two pieces of an answer.
    pub gaps: Vec<Duration>,
    /// Tokens of all answers.
    pub tokens: u64,
}

/// Has conversations, one after another.
///
/// Errors: an answer has failed.
pub async fn converse(
    server: &Completions,
    client: u64,
    conversations: u32,
    turns: u32,
) -> Result<Seen, CompletionError> {
    let mut seen = Seen::default();
    for conversation in 0..conversations {
        let mut talk = Talk::new(client, conversation);
        let mut messages: Vec<Value> = Vec::new();
        for turn in 0..turns {
            let (message, max_tokens) = talk.next();
            messages.push(message);
            let seed = client.wrapping_mul(100).wrapping_add(u64::from(turn)) % 1_000_000;
            let question = Question { messages: &messages, max_tokens, seed };
            let text = seen.read(server, &question).await?;
            messages.push(json!({"role": "assistant", "content": text}));
        }
    }
    Ok(seen)
}

impl Seen {
    /// Reads an answer to its end. Returns its text.
    async fn read(
        &mut self,
        server: &Completions,
        question: &Question<'_>,
    ) -> Result<String, CompletionError> {
        let asked = Instant::now();
        let mut answer = server.ask(question).await?;
        let (mut text, mut before, mut pieces, mut counted) = (String::new(), None, 0, None);
        while let Some(next) = answer.next().await? {
            for piece in next {
                match piece {
                    Piece::Tokens(tokens) => counted = Some(tokens),
                    Piece::Text(more) => {
                        text.push_str(&more);
                        pieces += 1;
                        let now = Instant::now();
                        match before.replace(now) {
                            None => self.first_words.push(now - asked),
                            Some(before) => self.gaps.push(now - before),
                        }
                    }
                }
            }
        }
        self.tokens += counted.unwrap_or(pieces);
        Ok(text)
    }
}

/// Lets as many clients as there are begin long answers and go away in the middle of them. Returns
/// how long the next one waits for its first word.
///
/// Errors: an answer has failed.
pub async fn after_a_drop(
    server: &Completions,
    clients: usize,
    round: u64,
) -> Result<Duration, CompletionError> {
    const LONG: u32 = 1_000;
    let message = |client: u64| {
        let mut talk = Talk::new(1_000_000 + 1_000 * round + client, 0);
        [talk.next().0]
    };
    let begun = (0..clients as u64).map(|client| async move {
        let question = Question { messages: &message(client), max_tokens: LONG, seed: client };
        let mut answer = server.ask(&question).await?;
        first_text(&mut answer).await?;
        Ok::<Answer, CompletionError>(answer)
    });
    let running = try_join_all(begun).await?;
    drop(running);
    let asked = Instant::now();
    let question = Question { messages: &message(999), max_tokens: 2, seed: 1 };
    let mut answer = server.ask(&question).await?;
    first_text(&mut answer).await?;
    Ok(asked.elapsed())
}

/// Waits for the first text of an answer, or for its end.
async fn first_text(answer: &mut Answer) -> Result<(), CompletionError> {
    while let Some(pieces) = answer.next().await? {
        if pieces.iter().any(|piece| matches!(piece, Piece::Text(_))) {
            return Ok(());
        }
    }
    Ok(())
}
