//! Stored things and the ends of answers, in the words of the languages.

use crate::answers::{Ended, Interruption};
use banter_protocol::Settable;
use banter_protocol::v1::{self, ErrorCode, ErrorDetails, V1Error};
use banter_seam as seam;
use banter_store::{
    AnswerError, Conversation, ConversationId, Message, MessageId, Parameters, Position, Reason,
    Role, State, StoreError,
};

/// An id as languages write it, and as the store has it.
pub(crate) trait SameId {
    /// The other form.
    type Other;

    /// The same id in the other form.
    fn other(self) -> Self::Other;
}

macro_rules! same_id {
    ($name:ident) => {
        impl SameId for $name {
            type Other = v1::$name;

            fn other(self) -> v1::$name {
                v1::$name::from_bits(self.bits())
            }
        }

        impl SameId for v1::$name {
            type Other = $name;

            fn other(self) -> $name {
                $name::from_bits(self.bits())
            }
        }
    };
}

same_id!(ConversationId);
same_id!(MessageId);

/// Where a message comes, by what a client has written into `parent`.
pub(crate) fn position(parent: Settable<v1::MessageId>) -> Position {
    match parent {
        Settable::Missing => Position::AtLeaf,
        Settable::Null => Position::First,
        Settable::Value(message) => Position::After(message.other()),
    }
}

pub(crate) fn conversation(stored: &Conversation) -> v1::Conversation {
    v1::Conversation {
        id: stored.id.other(),
        title: Some(stored.title.clone()).filter(|title| !title.is_empty()),
        created_ms: stored.created_ms,
        updated_ms: stored.updated_ms,
        pinned: stored.pinned,
        archived: stored.archived,
        system: stored.system.clone(),
        parameters: parameters(stored.parameters.as_ref()),
        leaf: stored.leaf.map(SameId::other),
        model: stored.model.clone(),
        messages: stored.messages,
    }
}

/// Stored parameters. Those of a later version are left out.
pub(super) fn parameters(stored: Option<&Parameters>) -> v1::Parameters {
    let read = |stored: &Parameters| serde_json::from_value(stored.clone().into()).ok();
    stored.and_then(read).unwrap_or_default()
}

/// Parameters as they are stored; `None` if there are none.
pub(super) fn stored_parameters(parameters: &v1::Parameters) -> Option<Parameters> {
    match serde_json::to_value(parameters) {
        Ok(serde_json::Value::Object(stored)) if !stored.is_empty() => Some(stored),
        _ => None,
    }
}

pub(super) fn message(stored: Message) -> v1::Message {
    let is_answer = stored.role == Role::Assistant;
    let finish = stored.reason.filter(|_| is_answer).map(|reason| v1::Finish {
        reason: finish_reason(reason),
        error: stored.error.map(answer_error),
        usage: stored.usage.map(usage).unwrap_or_default(),
        timings: stored.timings.map(timings).unwrap_or_default(),
        seed: stored.seed,
    });
    v1::Message {
        id: stored.id.other(),
        parent: stored.parent.map(SameId::other),
        role: match stored.role {
            Role::User => v1::Role::User,
            Role::Assistant => v1::Role::Assistant,
        },
        text: stored.text,
        thinking: Some(stored.thinking).filter(|thinking| !thinking.is_empty()),
        state: is_answer.then(|| state(stored.state)),
        created_ms: stored.created_ms,
        model: stored.model,
        finish,
    }
}

pub(super) fn state(stored: State) -> v1::AnswerState {
    match stored {
        State::Waiting => v1::AnswerState::Waiting,
        State::Writing => v1::AnswerState::Writing,
        State::Complete => v1::AnswerState::Complete,
        State::Length => v1::AnswerState::Length,
        State::Stopped => v1::AnswerState::Stopped,
        State::Interrupted => v1::AnswerState::Interrupted,
        State::Failed => v1::AnswerState::Failed,
    }
}

fn finish_reason(stored: Reason) -> v1::FinishReason {
    match stored {
        Reason::End => v1::FinishReason::End,
        Reason::StopString => v1::FinishReason::StopString,
        Reason::Length => v1::FinishReason::Length,
        Reason::Stopped => v1::FinishReason::Stopped,
        Reason::Filtered => v1::FinishReason::Filtered,
        Reason::Unavailable => v1::FinishReason::Unavailable,
        Reason::Disconnected => v1::FinishReason::Disconnected,
        Reason::Shutdown => v1::FinishReason::Shutdown,
        Reason::Crashed => v1::FinishReason::Crashed,
        Reason::Failed => v1::FinishReason::Failed,
    }
}

fn answer_error(stored: AnswerError) -> V1Error {
    let code = serde_json::from_value(stored.code.into()).unwrap_or(ErrorCode::Unknown);
    V1Error::new(code, stored.message)
}

fn usage(stored: banter_store::Usage) -> v1::conversation::Usage {
    v1::conversation::Usage {
        prompt_tokens: stored.prompt_tokens,
        cached_tokens: stored.cached_tokens,
        completion_tokens: stored.completion_tokens,
    }
}

fn timings(stored: banter_store::Timings) -> v1::conversation::Timings {
    let figure = |value: Option<f64>| value.map(|value| value as f32);
    v1::conversation::Timings {
        first_token_ms: figure(stored.first_token_ms),
        tokens_per_second: figure(stored.tokens_per_second),
        halt_ms: figure(stored.halt_ms),
    }
}

/// How an answer ended.
pub(crate) fn finish_of_end(ended: &Ended) -> v1::Finish {
    let (reason, error) = match (&ended.finished.reason, ended.interruption) {
        (seam::FinishReason::Failed(failure), _) => {
            (v1::FinishReason::Failed, Some(failure.clone().into()))
        }
        (seam::FinishReason::Ended(seam::EndReason::Stopped), Some(interruption)) => {
            let reason = match interruption {
                Interruption::Disconnected => v1::FinishReason::Disconnected,
                Interruption::Shutdown => v1::FinishReason::Shutdown,
            };
            (reason, None)
        }
        (seam::FinishReason::Ended(reason), _) => ((*reason).into(), None),
    };
    let (usage, timings) = (ended.finished.usage.into(), ended.finished.timings.into());
    v1::Finish { reason, error, usage, timings, seed: ended.seed }
}

/// A failure of the store, as clients are told.
pub(crate) fn v1_error(error: StoreError) -> V1Error {
    let code = match &error {
        StoreError::UnknownConversation => ErrorCode::UnknownConversation,
        StoreError::UnknownMessage => ErrorCode::UnknownMessage,
        StoreError::NotAnAnswer => ErrorCode::NotAnAnswer,
        StoreError::NotAUserMessage => ErrorCode::NotAUserMessage,
        StoreError::AnswerRunning => ErrorCode::AnswerRunning,
        StoreError::CannotContinue { .. } => ErrorCode::AnswerComplete,
        StoreError::TooLong { field, limit, found, unit } => {
            let details = ErrorDetails {
                field: Some((*field).into()),
                expected: Some(format!("at most {limit} {unit}")),
                found: Some(found.to_string()),
                ..ErrorDetails::default()
            };
            let error = V1Error::new(ErrorCode::InvalidParameter, error.to_string());
            return error.with_details(details);
        }
        StoreError::Invalid { field, expected, found } => {
            let details = ErrorDetails {
                field: Some((*field).into()),
                expected: Some((*expected).into()),
                found: Some(found.clone()),
                ..ErrorDetails::default()
            };
            let error = V1Error::new(ErrorCode::InvalidParameter, error.to_string());
            return error.with_details(details);
        }
        StoreError::TooMany { .. } => {
            return V1Error::new(ErrorCode::StoreFull, error.to_string());
        }
        StoreError::Full => ErrorCode::StoreFull,
        StoreError::Busy | StoreError::Timeout => {
            return V1Error::new(ErrorCode::Busy, error.to_string());
        }
        StoreError::Failed { .. } | StoreError::Damaged { .. } | StoreError::Closed => {
            tracing::error!(%error, "the store failed");
            ErrorCode::StoreFailed
        }
        StoreError::UnknownUser
        | StoreError::UnknownKey
        | StoreError::AnswerNotRunning { .. }
        | StoreError::Gap { .. }
        | StoreError::Exists { .. }
        | StoreError::Internal { .. } => {
            tracing::error!(%error, "the store failed");
            ErrorCode::Internal
        }
    };
    code.into()
}
