//! Queue, inbox, and flags under `loom`: every order in which requests can meet the engine's
//! thread.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p banter-engine --lib interleavings`
//!
//! The inbox here is a list, as `loom` has no bounded channel; nobody waits for it.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use super::inbox::{self, QueuePermit};
use crate::StopFlag;

/// Tries orders with few pre-emptions, which find nearly everything and end.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn permits(queue_limit: usize) -> Arc<inbox::Inbox> {
    Arc::new(inbox::Inbox::new(queue_limit))
}

/// What arrived and was not taken yet.
#[derive(Clone)]
struct Inbox {
    arrived: Arc<Mutex<Vec<QueuePermit>>>,
    size: usize,
}

impl Inbox {
    fn new(size: usize) -> Inbox {
        Inbox { arrived: Arc::new(Mutex::new(Vec::new())), size }
    }

    fn send(&self, permit: QueuePermit) -> Result<(), QueuePermit> {
        let mut arrived = self.arrived.lock().expect("nobody breaks");
        if arrived.len() == self.size {
            return Err(permit);
        }
        arrived.push(permit);
        Ok(())
    }

    fn take(&self) -> Option<QueuePermit> {
        self.arrived.lock().expect("nobody breaks").pop()
    }
}

/// Someone asks, as [`Engine::submit`](super::Engine::submit) does.
fn ask(permits: &Arc<inbox::Inbox>, inbox: &Inbox) -> bool {
    let Ok(permit) = permits.join_queue() else { return false };
    let handed_in = permits.send_request(|| inbox.send(permit));
    assert!(handed_in.is_ok(), "the inbox has a place for everyone in the queue");
    true
}

/// The thread begins an iteration, as `StepLoop::iterate` does. Says what arrived, and which flag
/// would end a draft's step.
fn iterate(permits: &inbox::Inbox, inbox: &Inbox) -> (Option<QueuePermit>, StopFlag) {
    let draft_stop = StopFlag::new().below();
    permits.set_draft_stop(draft_stop.clone());
    (inbox.take(), draft_stop)
}

#[test]
fn who_asks_is_seen_before_a_draft_is_computed_or_ends_that() {
    model(|| {
        let permits = permits(1);
        let inbox = Inbox::new(1);
        let (asking, filled) = (permits.clone(), inbox.clone());
        let asks = thread::spawn(move || assert!(ask(&asking, &filled)));
        let (arrived, draft_stop) = iterate(&permits, &inbox);
        asks.join().expect("it asked");
        assert!(arrived.is_some() || draft_stop.is_raised());
    });
}

#[test]
fn the_inbox_holds_everyone_in_the_queue_and_nobody_else_comes_in() {
    model(|| {
        let permits = permits(2);
        let inbox = Inbox::new(2);
        let asks: Vec<_> = (0..2)
            .map(|_| {
                let (permits, inbox) = (permits.clone(), inbox.clone());
                thread::spawn(move || (0..2).filter(|_| ask(&permits, &inbox)).count())
            })
            .collect();
        let mut taken = iterate(&permits, &inbox).0.iter().count();
        let asked: usize = asks.into_iter().map(|asks| asks.join().expect("it asked")).sum();
        taken += std::iter::from_fn(|| inbox.take()).count();
        assert!((2..=3).contains(&asked), "two places, and perhaps one given back: {asked}");
        assert_eq!(taken, asked);
        assert_eq!(permits.waiting(), 0, "all places are given back");
    });
}

#[test]
fn a_stop_comes_once_and_is_seen_by_all() {
    model(|| {
        let all = StopFlag::new();
        let (one, other) = (all.below(), all.below());
        let raises = [one.clone(), one.clone(), all.clone()];
        let raises = raises.map(|flag| thread::spawn(move || flag.raise()));
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
