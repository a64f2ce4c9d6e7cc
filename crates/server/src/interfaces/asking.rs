//! Starts the answers to a request.

use crate::access::random_token;
use crate::answers::{AnswerRequest, Answers, Begun, Ended, Follower, Interruption, Update};
use crate::shares::Reservation;
use banter_seam::{
    Backend, Continuation, EndReason, Failure, FinishReason, GenerateRequest, Prompt,
};
use futures_util::future::try_join_all;
use std::time::{SystemTime, UNIX_EPOCH};

/// Answers that have begun.
pub(crate) struct Asked {
    /// The name of the response.
    pub(super) id: String,
    /// When it began, in seconds since 1970.
    pub(super) created: u64,
    /// The name of the model.
    pub(super) model: String,
    /// Tokens of the first prompt, if they are known.
    pub(super) prompt_tokens: Option<usize>,
    pub(super) answers: Vec<Follower>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum CannotAnswer {
    /// It was refused, or has failed.
    #[error("{0}")]
    Failed(Failure),
    /// The server ends.
    #[error("the server ends")]
    Ending,
}

/// The fields of an interface: the names that backends use, each with the interface's own.
pub(crate) type FieldNames = [(&'static str, &'static str)];

impl CannotAnswer {
    /// The same in the words of an interface.
    pub(crate) fn told_with(self, names: &FieldNames) -> CannotAnswer {
        let CannotAnswer::Failed(Failure::InvalidParameter { field, expected, found }) = self
        else {
            return self;
        };
        let named = names.iter().find(|(ours, _)| *ours == field);
        let field = named.map_or(field, |(_, theirs)| (*theirs).to_owned());
        Failure::InvalidParameter { field, expected, found }.into()
    }
}

impl From<Failure> for CannotAnswer {
    fn from(failure: Failure) -> CannotAnswer {
        CannotAnswer::Failed(failure)
    }
}

impl Asked {
    /// Starts answers, and waits until the backend has taken all of the requests. `memory` is that of
    /// the requests. Dropping the future, or what it yields, stops the answers.
    pub(crate) async fn begin(
        answers: &Answers,
        model: String,
        requests: Vec<GenerateRequest>,
        memory: Reservation,
    ) -> Result<Asked, CannotAnswer> {
        let mut memory = Some(memory);
        let start = |request| answers.start(AnswerRequest::passing(request, memory.take()));
        let followers: Vec<Follower> = requests.into_iter().map(start).collect();
        let begun = try_join_all(followers.into_iter().map(begun)).await?;
        Ok(Asked {
            id: random_token(),
            created: seconds_since_1970(),
            model,
            prompt_tokens: begun.first().and_then(|(_, begun)| begun.prompt_tokens),
            answers: begun.into_iter().map(|(follower, _)| follower).collect(),
        })
    }

    /// The same for one answer.
    pub(crate) async fn begin_one(
        answers: &Answers,
        model: String,
        request: GenerateRequest,
        memory: Reservation,
    ) -> Result<Asked, CannotAnswer> {
        Asked::begin(answers, model, vec![request], memory).await
    }

    /// The only answer.
    pub(super) fn only(self) -> Follower {
        self.answers.into_iter().next().expect("one answer was begun")
    }
}

/// Several requests for an answer to the same prompt. With a seed, each has another one, which
/// follows from it.
pub(crate) fn repeated(
    request: GenerateRequest,
    count: u32,
) -> impl Iterator<Item = GenerateRequest> {
    (0..count).map(move |index| {
        let mut request = request.clone();
        let seed = &mut request.parameters.seed;
        *seed = seed.map(|seed| seed.wrapping_add(u64::from(index)));
        request
    })
}

/// Waits until the backend has taken a request.
async fn begun(mut follower: Follower) -> Result<(Follower, Begun), CannotAnswer> {
    loop {
        match follower.next().await {
            Update::Waiting(_) => {}
            Update::Begun(begun) => return Ok((follower, begun)),
            Update::Ended(ended) => return end_of(&ended).and(Err(CannotAnswer::Ending)),
            _ => return Err(CannotAnswer::Ending),
        }
    }
}

/// How an answer has ended.
///
/// Errors: it has failed, or the server has cut it off.
pub(super) fn end_of(ended: &Ended) -> Result<EndReason, CannotAnswer> {
    match &ended.finished.reason {
        FinishReason::Failed(failure) => Err(failure.clone().into()),
        FinishReason::Ended(EndReason::Unavailable) => Err(Failure::Unavailable.into()),
        FinishReason::Ended(_) if ended.interruption == Some(Interruption::Shutdown) => {
            Err(CannotAnswer::Ending)
        }
        FinishReason::Ended(reason) => Ok(*reason),
    }
}

/// Lets the answer of a request go on with its last message.
///
/// Errors: the backend cannot do that.
pub(crate) async fn continue_last_message(
    backend: &dyn Backend,
    request: &mut GenerateRequest,
) -> Result<(), Failure> {
    let Prompt::Conversation(conversation) = &mut request.prompt else { return Ok(()) };
    let Some(begun) = conversation.messages.pop() else { return Ok(()) };
    let text_bytes = begun.content.len();
    let tokens = match backend.can_continue() {
        true => backend.tokenize(begun.content).await?,
        false => None,
    };
    let Some(tokens) = tokens else {
        return Err(Failure::InvalidParameter {
            field: "continue".to_owned(),
            expected: "nothing, because this engine begins every answer anew".to_owned(),
            found: "an answer that is to go on".to_owned(),
        });
    };
    request.continues = Some(Continuation { tokens, text_bytes });
    Ok(())
}

pub(super) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
