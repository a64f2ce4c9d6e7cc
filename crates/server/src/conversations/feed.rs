//! The news of one user: what happens in the user's conversations, for all sockets of that user.
//!
//! A feed is a short log, and a socket is a position in it: a slow socket costs nothing and holds
//! up nobody. Old news are dropped. A socket that was too slow learns that it has missed something,
//! and loads what it shows again.

use crate::answers::LiveAnswer;
use banter_protocol::v1;
use banter_store::{ConversationId, MessageId, MessageSeq, UserId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::watch;

/// At this limit the oldest news are dropped.
const MAX_NEWS: usize = 512;
/// At this limit of their memory, too.
const MAX_NEWS_BYTES: usize = 4 * 1024 * 1024;

/// The feeds of all users that have sockets.
#[derive(Default)]
pub(super) struct Feeds {
    by_user: Mutex<HashMap<UserId, Weak<Feed>>>,
}

/// Something that has happened.
#[derive(Clone)]
pub(crate) enum News {
    /// A conversation was made, changed or deleted.
    Changed(Box<v1::server::Changed>),
    /// A message was added, or an answer goes on.
    Message {
        seq: MessageSeq,
        message: Box<v1::Message>,
        /// The answer, if the message is one that is being written now.
        live: Option<(MessageId, Arc<LiveAnswer>)>,
    },
}

/// News, and the conversation that they are about.
#[derive(Clone)]
pub(crate) struct NewsOf {
    pub(crate) conversation: ConversationId,
    pub(crate) news: News,
}

struct Feed {
    log: Mutex<Log>,
    /// How many news there were in all.
    count: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    news: VecDeque<Arc<NewsOf>>,
    /// The number of news that were dropped.
    dropped: u64,
}

/// A socket's position in a feed.
pub(crate) struct Subscription {
    feed: Arc<Feed>,
    count: watch::Receiver<u64>,
    next: u64,
}

/// Some news were dropped before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed;

impl Feeds {
    pub(super) fn subscribe(&self, user: UserId) -> Subscription {
        let mut feeds = self.lock();
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = match feeds.get(&user).and_then(Weak::upgrade) {
            Some(feed) => feed,
            None => {
                let feed = Arc::new(Feed { log: Mutex::default(), count: watch::Sender::new(0) });
                feeds.insert(user, Arc::downgrade(&feed));
                feed
            }
        };
        let count = feed.count.subscribe();
        let next = *count.borrow();
        Subscription { feed, count, next }
    }

    /// Tells all sockets of a user.
    pub(super) fn tell(&self, user: UserId, conversation: ConversationId, news: News) {
        let feed = self.lock().get(&user).and_then(Weak::upgrade);
        if let Some(feed) = feed {
            feed.add(NewsOf { conversation, news });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Weak<Feed>>> {
        self.by_user.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Feed {
    fn add(&self, news: NewsOf) {
        let mut log = self.log();
        log.news.push_back(Arc::new(news));
        // Counted anew each time, because answers grow while they are in the log.
        let mut bytes: usize = log.news.iter().map(|news| news.bytes()).sum();
        while log.news.len() > MAX_NEWS || bytes > MAX_NEWS_BYTES && log.news.len() > 1 {
            let oldest = log.news.pop_front().expect("there is more than one");
            bytes -= oldest.bytes().min(bytes);
            log.dropped += 1;
        }
        self.count.send_modify(|count| *count += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl NewsOf {
    /// The memory of its texts. An answer that is still being written counts: it is held here.
    fn bytes(&self) -> usize {
        match &self.news {
            News::Changed(changed) => changed.summary.as_ref().map_or(0, |summary| {
                let long = |text: &Option<String>| text.as_ref().map_or(0, String::len);
                long(&summary.title) + long(&summary.system) + size_of_val(summary)
            }),
            News::Message { message, live, .. } => {
                let thinking = message.thinking.as_ref().map_or(0, String::len);
                let live = live.as_ref().map_or(0, |(_, live)| {
                    let offsets = live.offsets();
                    offsets.text + offsets.thinking
                });
                message.text.len() + thinking + live
            }
        }
    }
}

impl Subscription {
    /// The number of the next news that are read.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// The number that the next news will have.
    pub(crate) fn latest(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits for the next news. The future may be dropped at any time; nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Arc<NewsOf>, Missed> {
        let next = self.next;
        let more = self.count.wait_for(|count| *count > next).await;
        let count = *more.expect("the feed lives as long as its subscriptions");
        let log = self.feed.log();
        let Some(index) = self.next.checked_sub(log.dropped) else {
            self.next = count;
            return Err(Missed);
        };
        self.next += 1;
        let index = usize::try_from(index).expect("an index into memory");
        Ok(log.news[index].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn news(text: &str) -> News {
        News::Message {
            seq: MessageSeq::of_number(1),
            message: Box::new(v1::Message {
                id: v1::MessageId::from_bits(0),
                parent: None,
                role: v1::Role::User,
                text: text.into(),
                thinking: None,
                state: None,
                created_ms: 0,
                model: None,
                finish: None,
            }),
            live: None,
        }
    }

    fn text_of(news: &NewsOf) -> &str {
        match &news.news {
            News::Message { message, .. } => &message.text,
            News::Changed(_) => "",
        }
    }

    #[test]
    fn every_socket_of_a_user_reads_all_news_once_and_in_order() {
        let (feeds, user) = (Feeds::default(), UserId::of_number(1));
        let conversation = ConversationId::random();
        feeds.tell(user, conversation, news("before anybody was there"));
        let mut sockets = [feeds.subscribe(user), feeds.subscribe(user)];
        for text in ["a", "b"] {
            feeds.tell(user, conversation, news(text));
        }
        for socket in &mut sockets {
            for expected in ["a", "b"] {
                let news = socket.next().now_or_never().expect("it is there").expect("not missed");
                assert_eq!(text_of(&news), expected);
            }
            assert!(socket.next().now_or_never().is_none());
        }
    }

    #[test]
    fn a_socket_that_was_too_slow_learns_that_it_has_missed_something() {
        let (feeds, user) = (Feeds::default(), UserId::of_number(1));
        let mut socket = feeds.subscribe(user);
        let conversation = ConversationId::random();
        for _ in 0..MAX_NEWS + 1 {
            feeds.tell(user, conversation, news("news"));
        }
        assert!(socket.next().now_or_never().expect("it is there").is_err());
        assert!(socket.next().now_or_never().is_none());
        let long = "x".repeat(MAX_NEWS_BYTES);
        feeds.tell(user, conversation, news(&long));
        feeds.tell(user, conversation, news(&long));
        assert!(socket.next().now_or_never().expect("it is there").is_err());
    }
}
