//! `/v1/responses`.
//!
//! - [`request`]: the request. `items`: what it consists of, and what earlier responses had.
//! - [`report`]: the response. [`event`]: the events of its stream.
//! - [`listing`]: the items that a response answers, page by page.

pub mod event;
mod items;
pub mod listing;
pub mod report;
pub mod request;
#[cfg(test)]
mod tests;

pub use items::Items;
pub use request::ResponseRequest;
