//! Conversations with a scripted backend.
