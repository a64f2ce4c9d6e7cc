//! Calls of functions in the text of an answer, in the format of Qwen2.5 and Qwen3:
//!
//! ```text
//! <tool_call>
//! {"name": "weather", "arguments": {"town": "Bonn"}}
//! </tool_call>
//! ```
//!
//! - [`CallReader`]: finds calls in an answer while it is written.
//! - [`answer_with_calls`]: the structure of an answer whose calls must be right, or must be there.
//! - `as_text`: tells a model of functions whose chat template says nothing of them.

mod as_text;
mod reader;
mod structure;

pub(crate) use as_text::as_text;
pub use reader::{CallReader, Found};
pub use structure::{AnswerWithCalls, CallableFunction, answer_with_calls};

/// Before a call.
const OPEN: &str = "<tool_call>";
/// After a call.
const CLOSE: &str = "</tool_call>";
