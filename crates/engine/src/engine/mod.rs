//! The engine thread and the handle the outside talks to.

mod generation;
mod machine;
mod memory;
mod pace;

pub use generation::{
    Delivery, Event, FinishReason, Finished, GenerateRequest, Generation, GenerationFacts,
    MAX_STOP_STRING_BYTES, MAX_STOP_STRINGS, Refusal, Submit, Timings, Usage,
};
