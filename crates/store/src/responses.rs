//! Responses of OpenAI's interface: what clients ask for again by its id.
//!
//! A response and the items before it are kept as JSON, which the store does not look into.

use rusqlite::{OptionalExtension, params};

use crate::config::check_bytes;
use crate::users::check_user;
use crate::{Reply, Store, UserId};

/// A response that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResponse {
    /// Its id, which is hard to guess.
    pub id: String,
    /// The response, as JSON.
    pub response: String,
    /// All items until its end, those of earlier responses too, as JSON.
    pub items: String,
}

/// Responses of a user that are kept. The oldest go first.
const MOST_RESPONSES: i64 = 1_000;

/// A response, or what it answers, has at most this many bytes.
const MOST_BYTES: usize = 16 << 20;

/// Responses are kept for this long, as OpenAI does.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

impl Store {
    /// Keeps a response of a user. One of the same id is replaced.
    pub fn keep_response(&self, user: UserId, kept: KeptResponse) -> Reply<()> {
        self.write(move |writing| {
            check_bytes("items", &kept.items, MOST_BYTES)?;
            check_bytes("response", &kept.response, MOST_BYTES)?;
            check_user(writing, user)?;
            let connection = writing.connection;
            connection.execute(
                "INSERT INTO responses (id, user, response, items, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE
                 SET response = ?3, items = ?4 WHERE user = ?2",
                params![kept.id, user, kept.response, kept.items, writing.now_ms],
            )?;
            connection.execute(
                "DELETE FROM responses WHERE user = ?1 AND (created_ms < ?2 OR seq <= (
                   SELECT seq FROM responses WHERE user = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?3))",
                params![user, writing.now_ms - KEPT_MS, MOST_RESPONSES],
            )?;
            Ok(())
        })
    }

    /// A response of a user.
    pub fn response(&self, user: UserId, id: &str) -> Reply<Option<KeptResponse>> {
        let id = id.to_owned();
        self.read(move |reading| {
            let sql = "SELECT id, response, items FROM responses WHERE id = ?1 AND user = ?2";
            let mut statement = reading.connection.prepare_cached(sql)?;
            let kept = statement.query_row(params![id, user], |row| {
                Ok(KeptResponse { id: row.get(0)?, response: row.get(1)?, items: row.get(2)? })
            });
            Ok(kept.optional()?)
        })
    }

    /// Deletes a response of a user. When the reply comes, no byte of its text is left in the
    /// folder's files. Says whether there was one.
    pub fn delete_response(&self, user: UserId, id: &str) -> Reply<bool> {
        let id = id.to_owned();
        self.write(move |writing| {
            let sql = "DELETE FROM responses WHERE id = ?1 AND user = ?2";
            let deleted = writing.connection.execute(sql, params![id, user])?;
            if deleted > 0 {
                writing.erase([]);
            }
            Ok(deleted > 0)
        })
    }
}
