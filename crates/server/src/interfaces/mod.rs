//! The HTTP interfaces that programs use already: their requests become answers like any other, and
//! are written in the words of the interface.
//!
//! - `asking`: starts the answers to a request.
//! - `whole`: reads an answer to its end. `events`: sends answers while they are written.
//! - [`openai`], [`ollama`], [`anthropic`]: the interfaces.

pub(crate) mod anthropic;
mod asking;
mod events;
pub(crate) mod ollama;
pub(crate) mod openai;
mod whole;

pub(crate) use asking::{Asked, CannotAnswer, continue_last_message, repeated};
pub(crate) use events::{Events, LONGEST_SILENCE};
