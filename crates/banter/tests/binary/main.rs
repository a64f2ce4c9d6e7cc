//! The real binary, started as a person starts it.

mod bench;
mod clients;
mod doctor;
mod engine;
mod examples;
mod https;
mod idle;
mod keys;
mod kill;
mod models;
mod monitoring;
mod names;
mod picker;
mod sandbox;
mod serve;
mod start;
mod support;
mod v1;
mod watchdog;
