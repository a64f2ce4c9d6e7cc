//! The real binary, started as a person starts it.

mod models;
mod serve;
mod support;
