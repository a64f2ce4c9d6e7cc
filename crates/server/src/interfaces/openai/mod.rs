//! OpenAI's interface.
//!
//! - `chat`: `/v1/chat/completions`. `completions`: `/v1/completions`.

mod chat;
mod completions;
mod words;

pub(crate) use chat::{stream as stream_chat, whole as whole_chat};
pub(crate) use completions::{stream as stream_completions, whole as whole_completions};
