//! Finding messages and titles by their words.
//!
//! `words` cuts text into pieces: words of letters and digits, and runs of characters of scripts
//! that put no spaces between words. Case, accents and widths are folded. `index` turns pieces into
//! tokens for SQLite's full-text index, `query` turns what a person types into a question for it,
//! `matcher` finds the places in the text, and `snippet` cuts out the text around them.
//!
//! ```text
//! "getUserName 你好吗"   words: beginnings of getusername, username and name
//!                       runs: 你 好 吗 你好 好吗
//! ```
//!
//! The index only finds candidates; the text decides. So it needs no order of words, and a token
//! can be a short hash of a word and its user. That has three uses: no deleted word stays in a
//! corner of the index, which SQLite can't clean out completely; one user's words cost another's
//! searches nothing, neither time nor secrets; and a beginning of a word is looked up like a word.

pub(crate) mod index;
pub(crate) mod matcher;
pub(crate) mod query;
pub(crate) mod snippet;
pub(crate) mod words;

use std::ops::Range;

use matcher::Matcher;
use rusqlite::params;

use crate::config::check_bytes;
use crate::conversations::Archived;
use crate::ids::{ConversationId, MessageId, MessageSeq, UserId};
use crate::message::Conversation;
use crate::readers::Reading;
use crate::reply::Reply;
use crate::rows;
use crate::{Store, StoreError};

/// Messages that a search looks at, at most. Few have all the words and not the terms, so a search
/// of words that somebody looks for finds a page long before.
const CANDIDATES: usize = 10_000;

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// The words. All must be there; each word may be the beginning of one, and characters of
    /// Chinese, Japanese, Korean and other scripts without spaces must follow each other. No
    /// character has a special meaning.
    pub text: String,
    /// At most this many messages, and as many titles; the store's limit holds as well.
    pub limit: usize,
    /// Only messages older than this one, for the next page. Then no titles are found.
    pub before: Option<MessageSeq>,
    /// Whether archived conversations are searched.
    pub archived: Archived,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    /// Conversations whose title has the words, newest first.
    pub titles: Vec<TitleHit>,
    /// Messages that have the words, newest first.
    pub messages: Vec<MessageHit>,
    /// Whether there may be older messages.
    pub more: bool,
}

/// A conversation whose title was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TitleHit {
    /// The conversation.
    pub conversation: Conversation,
    /// Where the words are: byte ranges of the title, in order.
    pub marks: Vec<Range<usize>>,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageHit {
    /// Its conversation.
    pub conversation: Conversation,
    /// The message.
    pub message: MessageId,
    /// Its place in the order in which messages were stored.
    pub seq: MessageSeq,
    /// Where the words are: byte ranges of the text, in order. The first 100.
    pub marks: Vec<Range<usize>>,
    /// The part of the text around one of them: around the first in what the person has typed, and
    /// if there is none, around the first in a file.
    pub snippet: Snippet,
}

/// A part of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The part.
    pub text: String,
    /// Where it begins in the whole text, in bytes.
    pub at: usize,
    /// Whether it ends before what it was taken from does: the typed text, or a file.
    pub cut_after: bool,
    /// Where the words are: byte ranges of the part, in order.
    pub marks: Vec<Range<usize>>,
}

impl Store {
    /// Finds messages and titles.
    ///
    /// It looks at 10,000 messages that have the words, at most. If it finds none among them, it
    /// fails with [`StoreError::Timeout`]; otherwise the next page goes on after the last hit.
    pub fn search(&self, user: UserId, query: SearchQuery) -> Reply<SearchResult> {
        self.read(move |reading| search(reading, user, &query))
    }
}

fn search(
    reading: &Reading<'_>,
    user: UserId,
    query: &SearchQuery,
) -> Result<SearchResult, StoreError> {
    check_bytes("search text", &query.text, reading.limits.search_bytes)?;
    let terms = query::terms(&query.text);
    if terms.is_empty() {
        return Ok(SearchResult::default());
    }
    let limit = query.limit.clamp(1, reading.limits.page_rows);
    let matcher = Matcher::new(&terms);
    let finder = Finder { reading, user, terms, matcher, archived: archived(query.archived) };
    let titles = match query.before {
        None => finder.titles(limit)?,
        Some(_) => Vec::new(),
    };
    let (messages, more) = finder.messages(limit, query.before)?;
    Ok(SearchResult { titles, messages, more })
}

fn archived(archived: Archived) -> &'static str {
    match archived {
        Archived::Without => "c.archived = 0",
        Archived::Only => "c.archived = 1",
        Archived::With => "TRUE",
    }
}

struct Finder<'a> {
    reading: &'a Reading<'a>,
    user: UserId,
    terms: Vec<query::Term>,
    /// Finds the terms in a text.
    matcher: Matcher,
    /// The condition for conversations.
    archived: &'static str,
}

impl Finder<'_> {
    fn titles(&self, limit: usize) -> Result<Vec<TitleHit>, StoreError> {
        // The `+` keeps SQLite from asking the index once for each conversation of the user.
        let mut statement = self.reading.connection.prepare_cached(&format!(
            "{} WHERE c.number IN (SELECT rowid FROM title_words WHERE title_words MATCH ?1)
             AND +c.user = ?2 AND {} ORDER BY c.touched DESC",
            rows::SELECT_CONVERSATION,
            self.archived.replace("c.", "+c.")
        ))?;
        let fts = query::fts(self.user, &self.terms);
        let mut found = statement.query(params![fts, self.user])?;
        let mut hits = Vec::new();
        while let Some(row) = found.next()? {
            self.reading.check_time()?;
            let conversation = rows::conversation(row)?;
            let Some(marks) = snippet::find(&conversation.title, &self.matcher) else { continue };
            hits.push(TitleHit { conversation, marks });
            if hits.len() == limit {
                break;
            }
        }
        Ok(hits)
    }

    /// The newest messages, and whether there may be older ones.
    fn messages(
        &self,
        limit: usize,
        before: Option<MessageSeq>,
    ) -> Result<(Vec<MessageHit>, bool), StoreError> {
        // `CROSS JOIN` keeps the index first, which gives the newest candidates first, one by one.
        let mut statement = self.reading.connection.prepare_cached(&format!(
            "SELECT m.seq, m.indexed, m.text, c.id, m.id FROM message_words w
             CROSS JOIN messages m ON m.seq = w.rowid
             CROSS JOIN conversations c ON c.number = m.conversation
             WHERE message_words MATCH ?1 AND w.rowid < ?2 AND c.user = ?3 AND {}
             ORDER BY w.rowid DESC",
            self.archived
        ))?;
        let before = before.map_or(i64::MAX, |before| before.0);
        let fts = query::fts(self.user, &self.terms);
        let mut found = statement.query(params![fts, before, self.user])?;
        let mut hits = Vec::new();
        let mut candidates = 0;
        while let Some(row) = found.next()? {
            self.reading.check_time()?;
            candidates += 1;
            if candidates > CANDIDATES {
                return if hits.is_empty() { Err(StoreError::Timeout) } else { Ok((hits, true)) };
            }
            let indexed_bytes = usize::try_from(rows::number(row, 1)?).unwrap_or(usize::MAX);
            let text: String = row.get(2)?;
            let indexed = index::first_bytes(&text, indexed_bytes);
            let Some(marks) = snippet::find(indexed, &self.matcher) else { continue };
            if hits.len() == limit {
                return Ok((hits, true));
            }
            let snippet = snippet::excerpt(&text, &marks);
            let id: ConversationId = row.get(3)?;
            hits.push(MessageHit {
                conversation: rows::find_conversation(self.reading.connection, self.user, id)?,
                message: row.get(4)?,
                seq: row.get(0)?,
                marks,
                snippet,
            });
        }
        Ok((hits, false))
    }
}
