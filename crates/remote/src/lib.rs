//! What banter asks of other servers. Every connection that banter opens is opened here.
//!
//! Reading order:
//! - [`address`]: one parser for the addresses of others; `client`: certificates, proxies, waits.
//! - [`hub`]: from the name of a model to the files it stands for.
//! - `patience`: how long to try; `progress`: how far it is, for whoever watches.
//! - [`download`]: from files on a hub to files in a folder, whatever happens on the way.
//! - [`store`]: the folder of models: what is there, what is half there, what goes.
//! - [`engine`]: engines that others run, and their answers as they come.
//! - [`error`]: what can go wrong on the way to a model, and what to do then; [`size`]: bytes for people.
//!
//! Absent on purpose: tensors and tokens (whether a model fits in memory is asked of the engine),
//! conversations, and anything that listens.

#![forbid(unsafe_code)]

pub mod address;
mod client;
pub mod download;
pub mod engine;
pub mod error;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod hub;
mod patience;
mod progress;
pub mod size;
pub mod store;

pub use address::{Address, AddressError};
pub use client::Waits;
pub use error::PullError;
