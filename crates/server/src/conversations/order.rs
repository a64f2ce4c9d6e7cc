//! Changes of one conversation are told in the order in which they are stored.
//!
//! Whoever stores a change holds the conversation's turn until the change is told. Otherwise a
//! deletion could be told between, and somebody would be told of a conversation that is gone.

use banter_store::ConversationId;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use tokio::sync::{Mutex, MutexGuard};

/// Conversations that share a turn rarely wait for each other.
const TURNS: usize = 256;

/// The turns of all conversations.
pub(super) struct Order {
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Order {
    pub(super) fn new() -> Order {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Order { turns, hasher: RandomState::new() }
    }

    /// Waits for the turn of a conversation.
    pub(super) async fn turn(&self, id: ConversationId) -> MutexGuard<'_, ()> {
        let number = self.hasher.hash_one(id) % TURNS as u64;
        self.turns[usize::try_from(number).expect("an index")].lock().await
    }
}
