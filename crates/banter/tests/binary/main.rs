//! The real binary, started as a person starts it.

mod engine;
mod models;
mod serve;
mod support;
