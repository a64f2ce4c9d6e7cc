//! `/v1/responses`.
//!
//! - [`request`]: the request. `items`: what it consists of, and what earlier responses had.
//! - [`report`]: the response. [`event`]: the events of its stream.

pub mod event;
mod items;
pub mod report;
pub mod request;
#[cfg(test)]
mod tests;

pub use items::Items;
pub use request::ResponseRequest;
