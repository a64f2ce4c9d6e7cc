//! How far a download is, and what holds it up, for whoever watches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// News that nobody has taken; older ones go.
const MAX_NEWS: usize = 16;

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bytes come in.
    Fetching,
    /// The hub has asked to wait, or a connection is to be tried again.
    Waiting,
    /// All bytes are there; their checksums are being computed.
    Checking,
}

/// How far a download is. Shared between the one who downloads and those who watch.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    total: AtomicU64,
    downloaded: AtomicU64,
    checked: AtomicU64,
    news: Mutex<News>,
}

/// What a person should know, a line each.
#[derive(Debug, Default)]
struct News {
    untold: VecDeque<String>,
    /// The latest line, and how long the same one says nothing new.
    latest: Option<(String, Instant)>,
}

impl Progress {
    /// What is being done.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Fetching,
            1 => Phase::Waiting,
            _ => Phase::Checking,
        }
    }

    /// Bytes of the whole model.
    pub fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that are on disk, those of an earlier pull included.
    pub fn downloaded_bytes(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    /// Bytes whose checksum has been computed.
    pub fn checked_bytes(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// What has happened since the last call that a person should know: waits, for whom and how long.
    pub fn take_news(&self) -> Vec<String> {
        self.news().untold.drain(..).collect()
    }

    /// Says something, unless the same was said within `fresh`: several connections fail alike.
    pub(crate) fn tell(&self, line: String, fresh: Duration) {
        let mut news = self.news();
        let now = Instant::now();
        let is_known =
            news.latest.as_ref().is_some_and(|(told, until)| *told == line && now < *until);
        if is_known {
            return;
        }
        if news.untold.len() == MAX_NEWS {
            news.untold.pop_front();
        }
        news.untold.push_back(line.clone());
        news.latest = Some((line, now + fresh));
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn begin(&self, total: u64, downloaded: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.downloaded.store(downloaded, Ordering::Relaxed);
        self.checked.store(0, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.downloaded.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, bytes: u64) {
        self.downloaded.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_checked(&self, bytes: u64) {
        self.checked.fetch_add(bytes, Ordering::Relaxed);
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_connections_say_is_told_once() {
        let progress = Progress::default();
        let long = Duration::from_secs(3600);
        for _ in 0..4 {
            progress.tell("the hub asks to wait".to_owned(), long);
        }
        assert_eq!(progress.take_news(), ["the hub asks to wait"]);
        progress.tell("another".to_owned(), long);
        progress.tell("the hub asks to wait".to_owned(), Duration::ZERO);
        progress.tell("the hub asks to wait".to_owned(), long);
        assert_eq!(progress.take_news().len(), 3, "later it is news again");
        assert!(progress.take_news().is_empty());
    }

    #[test]
    fn news_that_nobody_takes_do_not_pile_up() {
        let progress = Progress::default();
        (0..1_000).for_each(|number| progress.tell(number.to_string(), Duration::ZERO));
        let news = progress.take_news();
        assert_eq!((news.len(), news.last().map(String::as_str)), (MAX_NEWS, Some("999")));
    }
}
