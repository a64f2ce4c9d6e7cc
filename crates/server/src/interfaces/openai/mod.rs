//! OpenAI's interface.
//!
//! - `chat`: `/v1/chat/completions`. `completions`: `/v1/completions`.
//! - `responses`: `/v1/responses`. `keeping`: those that can be gone on from. `background`: those
//!   that need no connection.

mod background;
mod chat;
mod completions;
mod keeping;
mod responses;
mod words;

pub(crate) use background::{Background, Making, Order};
pub(crate) use chat::{stream as stream_chat, whole as whole_chat};
pub(crate) use completions::{stream as stream_completions, whole as whole_completions};
pub(crate) use keeping::{Keeper, LastResponse};
pub(crate) use responses::{
    ResponseStream, event_lines as response_lines, stream as stream_response,
    whole as whole_response,
};
pub(crate) use words::{in_its_words, in_words_of_responses};
