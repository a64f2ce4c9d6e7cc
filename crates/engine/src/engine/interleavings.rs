//! Queue, inbox, and flags under `loom`: every order in which those who ask can meet the engine's thread.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p banter-engine --lib interleavings`
//!
//! The inbox is the standard library's. Nobody here waits for it, so for `loom` each look into it happens
//! together with the access before it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use loom::thread;

use super::status::{QueuePlace, Status};
use crate::StopFlag;

/// Tries orders with few pre-emptions, which find nearly everything and end.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn status(queue_limit: usize) -> Arc<Status> {
    Arc::new(Status::new(queue_limit, 1, Instant::now()))
}

/// Someone asks, as [`Engine::submit`](super::Engine::submit) does.
fn ask(status: &Arc<Status>, inbox: &SyncSender<QueuePlace>) -> bool {
    let Ok(place) = status.join_queue() else { return false };
    status.hand_in(inbox, place).expect("the inbox has a place for everyone in the queue");
    true
}

/// The thread begins a turn, as `StepLoop::turn` does; says what arrived, and by which flag a draft's step
/// would end.
fn turn(status: &Status, inbox: &Receiver<QueuePlace>) -> (Option<QueuePlace>, StopFlag) {
    let draft_stop = StopFlag::new().below();
    status.set_draft_stop(draft_stop.clone());
    (inbox.try_recv().ok(), draft_stop)
}

#[test]
fn who_asks_is_seen_before_a_draft_is_computed_or_ends_that() {
    model(|| {
        let status = status(1);
        let (sender, inbox) = sync_channel(1);
        let asking = status.clone();
        let asks = thread::spawn(move || assert!(ask(&asking, &sender)));
        let (arrived, draft_stop) = turn(&status, &inbox);
        asks.join().expect("it asked");
        assert!(arrived.is_some() || draft_stop.is_raised());
    });
}

#[test]
fn the_inbox_holds_everyone_in_the_queue_and_nobody_else_comes_in() {
    model(|| {
        let status = status(2);
        let (sender, inbox) = sync_channel(2);
        let asks: Vec<_> = (0..2)
            .map(|_| {
                let (status, sender) = (status.clone(), sender.clone());
                thread::spawn(move || (0..2).filter(|_| ask(&status, &sender)).count())
            })
            .collect();
        let mut taken = turn(&status, &inbox).0.iter().count();
        let asked: usize = asks.into_iter().map(|asks| asks.join().expect("it asked")).sum();
        taken += inbox.try_iter().count();
        assert!((2..=3).contains(&asked), "two places, and perhaps one given back: {asked}");
        assert_eq!(taken, asked);
        assert_eq!(status.counters().waiting, 0, "all places are given back");
    });
}

#[test]
fn a_stop_comes_once_and_is_seen_by_all() {
    model(|| {
        let all = StopFlag::new();
        let (one, other) = (all.below(), all.below());
        let raises = [one.clone(), all.clone()].map(|flag| thread::spawn(move || flag.raise()));
        // Once seen it is never unseen, and its time stays.
        let seen = one.raised_at();
        if seen.is_some() {
            assert!(one.is_raised());
        }
        raises.into_iter().for_each(|raises| raises.join().expect("it is raised"));
        assert!(one.is_raised() && other.is_raised() && all.is_raised());
        assert!(seen.is_none_or(|seen| one.raised_at() <= Some(seen)));
        assert_eq!(other.raised_at(), all.raised_at());
    });
}
