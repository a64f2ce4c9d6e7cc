//! What all routes of the interface write in the same way.

use crate::interfaces::asking::{CannotAnswer, FieldNames};
use banter_protocol::interfaces::openai::error::{ErrorBody, ErrorKind, ErrorReport};
use serde::Serialize;

/// The fields that backends know by other names.
const FIELDS: &FieldNames = &[
    ("structure", "response_format"),
    ("history", "messages"),
    ("continue", "continue_final_message"),
];

/// The same of requests for a response, which has other names for them.
const FIELDS_OF_RESPONSES: &FieldNames =
    &[("structure", "text.format"), ("history", "input"), ("max_tokens", "max_output_tokens")];

/// The same in the words of the interface.
pub(crate) fn in_its_words(why: impl Into<CannotAnswer>) -> CannotAnswer {
    why.into().told_with(FIELDS)
}

/// The same in the words of a response.
pub(crate) fn in_words_of_responses(why: impl Into<CannotAnswer>) -> CannotAnswer {
    why.into().told_with(FIELDS_OF_RESPONSES)
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("responses are plain data")
}

/// Appends an event of a stream.
pub(super) fn send(out: &mut String, value: &impl Serialize) {
    send_text(out, &json(value));
}

/// Appends the last event of a stream.
pub(super) fn send_done(out: &mut String) {
    send_text(out, "[DONE]");
}

/// Appends a comment, which clients skip.
pub(super) fn send_sign_of_life(out: &mut String) {
    out.push_str(": still here\n\n");
}

fn send_text(out: &mut String, text: &str) {
    out.extend(["data: ", text, "\n\n"]);
}

/// Appends an error in the middle of a stream.
pub(super) fn send_error(out: &mut String, why: &CannotAnswer) {
    let error = match why {
        CannotAnswer::Failed(failure) => ErrorReport::from(failure),
        CannotAnswer::Ending => ErrorReport::new(ErrorKind::ServerError, "ending", why.to_string()),
    };
    send(out, &ErrorBody { error });
}
