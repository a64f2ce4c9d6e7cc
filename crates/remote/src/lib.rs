//! Models, answers and conversations of other servers. Every connection that banter opens is opened
//! here.
//!
//! Reading order:
//! - [`address`]: the parser of other servers' addresses; `client`: certificates, proxies, time
//!   limits.
//! - [`hub`]: from the name of a model to its files.
//! - `patience`: how long to try; `progress`: how far a download has come.
//! - [`download`]: from files on a hub to a model in a folder, whatever fails on the way.
//! - [`store`]: the folder of models: installed ones, partial ones, and removing them.
//! - [`engine`]: engines that others run, and their answers.
//! - [`server`]: requests and WebSockets to a banter server. [`completions`]: to any server with
//!   OpenAI's interface, for measuring.
//! - [`traces`]: how answers went, for a collector of OpenTelemetry.
//! - [`error`]: why a model could not be pulled, and what to do then; [`size`]: sizes for people;
//!   `printable`: words of others as one clean line.
//!
//! Absent on purpose: tensors and tokens (the engine knows whether a model fits in memory),
//! conversations, and anything that listens.

#![forbid(unsafe_code)]

pub mod address;
mod client;
pub mod completions;
pub mod download;
pub mod engine;
pub mod error;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod hub;
mod patience;
mod printable;
mod progress;
pub mod server;
pub mod size;
pub mod store;
pub mod traces;

pub use address::{Address, AddressError};
pub use client::Waits;
pub use error::PullError;
