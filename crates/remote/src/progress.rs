//! How far a download has come, and what delays it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that nobody has read yet. At the limit the oldest is dropped.
const MAX_NEWS: usize = 16;

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bytes come.
    Fetching,
    /// The hub has asked to wait, or a connection is to be tried again.
    Waiting,
    /// All bytes are there; their checksums are being computed.
    Checking,
}

/// How far a download has come. The download and those who watch it share it.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    total: AtomicU64,
    downloaded: AtomicU64,
    checked: AtomicU64,
    news: Mutex<News>,
}

/// What a person should know; one line each.
#[derive(Debug, Default)]
struct News {
    untold: VecDeque<String>,
    /// The latest line, and until when the same line is not told again.
    latest: Option<(String, Instant)>,
}

impl Progress {
    /// What the download is doing.
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

    /// Bytes that are on the disk, also those of an earlier pull.
    pub fn downloaded_bytes(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    /// Bytes whose checksum has been computed.
    pub fn checked_bytes(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// The lines since the last call: for whom the download waits, and how long.
    pub fn take_news(&self) -> Vec<String> {
        self.news().untold.drain(..).collect()
    }

    /// Adds a line, unless the same line was added within `fresh`: several connections fail in the
    /// same way.
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
