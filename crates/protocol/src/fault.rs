//! What can be wrong with a request, as the client is told.

use banter_seam::Failure;
use serde::Serialize;

/// An error that is sent to a client: instead of an answer, or in the middle of one.
///
/// [`Fault::code`] is for programs, the `Display` form is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not the JSON object that was expected.
    #[error("not a JSON request: {reason}")]
    BadJson {
        /// What the parser found.
        reason: String,
    },
    /// The request was read and then refused, or its answer failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Fault {
    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::BadJson { .. } => "bad_json",
            Fault::Failure(failure) => failure.code(),
        }
    }

    /// The JSON object `{"error": {"code", "message", …}}` that is sent to the client.
    ///
    /// The details are also separate fields (`field`, `range`, `value`, `position`, `estimate_ms`),
    /// so that a page can say them in its own language.
    pub fn to_json(&self) -> String {
        let mut words = Words { code: self.code(), message: self.to_string(), ..Words::default() };
        if let Fault::Failure(failure) = self {
            words.add_details(failure);
        }
        serde_json::to_string(&Envelope { error: words })
            .expect("strings and numbers always serialise")
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Words<'a>,
}

#[derive(Default, Serialize)]
struct Words<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u64>,
}

impl<'a> Words<'a> {
    fn add_details(&mut self, failure: &'a Failure) {
        match failure {
            Failure::InvalidParameter { field, expected, found } => {
                self.field = Some(field);
                self.range = Some(expected);
                self.value = Some(found);
            }
            Failure::TooLong { tokens, limit } | Failure::TooLongWithSystem { tokens, limit } => {
                self.tokens = Some(*tokens);
                self.limit = Some(*limit);
            }
            Failure::Busy { position, estimate_ms, .. } => {
                self.position = Some(*position);
                self.estimate_ms = *estimate_ms;
            }
            Failure::Timeout { .. }
            | Failure::Filtered
            | Failure::Unavailable
            | Failure::Internal { .. } => {}
        }
    }
}
