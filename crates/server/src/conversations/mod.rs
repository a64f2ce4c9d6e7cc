//! Conversations that last: they are stored, and any number of clients can follow them.
//!
//! [`Conversations`] does what a language or a route asks for. It stores first and tells
//! afterwards, so nothing is told that could still be lost.
//!
//! - `state`: the conversations of all users, and the answers that are being written.
//! - `asking`: messages and the answers to them.
//! - `typed`: messages that are being typed. `drafting` lets the model compute ahead for them, and
//!   `fitting` says how they fit in its context.
//! - `reading`: what is stored, and the answers that are being written.
//! - `changing`: titles, pins, imports. `deleting`: deletions.
//! - `history`: what the model is told.
//! - `order`: changes of one conversation are told in the order in which they are stored.
//! - `feed`: the news of one user, for all sockets of that user.
//! - `titles`: titles for conversations that have none.
//! - `visitors`: what visitors of other sites' pages may not choose.
//! - `wire`: stored things in the words of the languages.

mod asking;
mod changing;
mod deleting;
mod drafting;
mod feed;
mod fitting;
mod history;
mod order;
mod reading;
mod state;
mod titles;
mod typed;
mod visitors;
mod wire;

pub(crate) use asking::{AcceptedRequest, MessagePlace, Request, What};
pub(crate) use feed::{Missed, News, NewsOf, Subscription};
pub(crate) use reading::{CannotResume, Opened, Opening, Rest, Resumed, Running};
pub(crate) use state::{Conversations, Owner, Settings};
pub(crate) use typed::{Typed, TypedPlace};
pub(crate) use wire::{SameId, conversation, finish_of_end, position, v1_error};
