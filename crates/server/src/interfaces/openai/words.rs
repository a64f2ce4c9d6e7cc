//! What all routes of the interface write in the same way.

use crate::interfaces::asking::CannotAnswer;
use banter_protocol::openai::error::{ErrorBody, ErrorKind, ErrorReport};
use serde::Serialize;

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("responses are plain data")
}

/// An error in the middle of a stream.
pub(super) fn stream_error(why: &CannotAnswer) -> String {
    let error = match why {
        CannotAnswer::Failed(failure) => ErrorReport::from(failure),
        CannotAnswer::Ending => {
            ErrorReport::new(ErrorKind::ServerError, "ending", "the server ends")
        }
    };
    json(&ErrorBody { error })
}
