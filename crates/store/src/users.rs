//! Users, and the keys and sessions by which they come in. All secrets are stored as hashes.

use rusqlite::{OptionalExtension, Row, params};

use crate::config::check_bytes;
use crate::conversations;
use crate::ids::{ConversationNumber, SecretHash, UserId};
use crate::message::words;
use crate::reply::Reply;
use crate::rows;
use crate::writer::Writing;
use crate::{Store, StoreError};

words! {
    /// What a user is.
    UserKind {
        /// Whoever runs the server, or uses it on the same machine without a key.
        Operator = "operator",
        /// Those who share a key.
        Key = "key",
        /// A browser that came in by a code.
        Browser = "browser",
    }
}

/// A user: whoever owns conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// What it is.
    pub kind: UserKind,
    /// Its name, for people.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A key that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The hash of the key.
    pub hash: SecretHash,
    /// Whose it is.
    pub user: UserId,
    /// What it allows, in the server's words.
    pub scope: String,
    /// Its name, for people.
    pub label: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was revoked, in milliseconds since 1970, if it was.
    pub revoked_ms: Option<u64>,
}

/// A browser's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: UserId,
    /// What it allows, in the server's words.
    pub scope: String,
    /// When it began, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A session with its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// The hash of its token.
    pub hash: SecretHash,
    /// The session.
    pub session: Session,
    /// What its user is.
    pub kind: UserKind,
    /// The hash of what tells its user from others.
    pub anchor: SecretHash,
}

/// What a new user is.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What it is.
    pub kind: UserKind,
    /// The hash of what tells it from others. Another user has another one.
    pub anchor: SecretHash,
    /// Its name, for people.
    pub name: String,
}

impl Store {
    /// Finds the user with this anchor, or makes it.
    pub fn ensure_user(&self, new: NewUser) -> Reply<User> {
        self.write(move |writing| ensure_user(writing, &new))
    }

    /// Finds the user with this anchor.
    pub fn find_user(&self, anchor: SecretHash) -> Reply<Option<User>> {
        self.read(move |reading| {
            let sql = "SELECT user, kind, name, created_ms FROM users WHERE anchor = ?1";
            let mut statement = reading.connection.prepare_cached(sql)?;
            Ok(statement.query_row([anchor], user).optional()?)
        })
    }

    /// All users, oldest first.
    pub fn users(&self) -> Reply<Vec<User>> {
        self.read(move |reading| {
            let sql = "SELECT user, kind, name, created_ms FROM users ORDER BY user";
            let mut statement = reading.connection.prepare_cached(sql)?;
            Ok(statement.query_map([], user)?.collect::<Result<_, _>>()?)
        })
    }

    /// Deletes a user with all of its conversations, responses, keys and sessions. When the reply
    /// comes, no byte of its text is left in the folder's files. Returns the conversations' numbers.
    pub fn delete_user(&self, user: UserId) -> Reply<Vec<ConversationNumber>> {
        self.write(move |writing| {
            let numbers = conversations::delete_all(writing, user)?;
            writing.connection.execute("DELETE FROM requests WHERE user = ?1", [user])?;
            let deleted =
                writing.connection.execute("DELETE FROM users WHERE user = ?1", [user])?;
            writing.erase([]);
            if deleted == 0 { Err(StoreError::UnknownUser) } else { Ok(numbers) }
        })
    }

    /// Adds a key of a user.
    pub fn add_key(&self, user: UserId, hash: SecretHash, scope: &str, label: &str) -> Reply<Key> {
        let (scope, label) = (scope.to_owned(), label.to_owned());
        self.write(move |writing| {
            let created_ms = writing.now_ms.unsigned_abs();
            let (scope, label) = (scope.clone(), label.clone());
            let key = Key { hash, user, scope, label, created_ms, revoked_ms: None };
            add_key(writing, &key)?;
            Ok(key)
        })
    }

    /// Lets a key in: adds it, or gives a key that was revoked or has another scope this scope.
    pub fn allow_key(&self, user: UserId, hash: SecretHash, scope: &str) -> Reply<()> {
        let scope = scope.to_owned();
        self.write(move |writing| {
            check_bytes("scope", &scope, writing.limits.name_bytes)?;
            check_user(writing, user)?;
            writing.connection.execute(
                "INSERT INTO keys (hash, user, scope, label, created_ms) VALUES (?1, ?2, ?3, '', ?4)
                 ON CONFLICT (hash) DO UPDATE SET user = ?2, scope = ?3, revoked_ms = NULL",
                params![hash, user, scope, writing.now_ms],
            )?;
            Ok(())
        })
    }

    /// Finds a key that is not revoked.
    pub fn find_key(&self, hash: SecretHash) -> Reply<Option<Key>> {
        self.read(move |reading| {
            let sql = "SELECT hash, user, scope, label, created_ms, revoked_ms FROM keys
                       WHERE hash = ?1 AND revoked_ms IS NULL";
            let mut statement = reading.connection.prepare_cached(sql)?;
            Ok(statement.query_row([hash], key).optional()?)
        })
    }

    /// All keys, revoked ones too, oldest first.
    pub fn keys(&self) -> Reply<Vec<Key>> {
        self.read(move |reading| {
            let sql = "SELECT hash, user, scope, label, created_ms, revoked_ms FROM keys
                       ORDER BY created_ms, hash";
            let mut statement = reading.connection.prepare_cached(sql)?;
            Ok(statement.query_map([], key)?.collect::<Result<_, _>>()?)
        })
    }

    /// Revokes a key: it opens nothing any more. Revoking it again changes nothing.
    pub fn revoke_key(&self, hash: SecretHash) -> Reply<()> {
        self.write(move |writing| {
            let sql = "UPDATE keys SET revoked_ms = coalesce(revoked_ms, ?2) WHERE hash = ?1";
            match writing.connection.execute(sql, params![hash, writing.now_ms])? {
                0 => Err(StoreError::UnknownKey),
                _ => Ok(()),
            }
        })
    }

    /// Adds a session of a user that ends after `lasts_ms`.
    pub fn add_session(
        &self,
        user: UserId,
        hash: SecretHash,
        scope: &str,
        lasts_ms: u64,
    ) -> Reply<Session> {
        let scope = scope.to_owned();
        self.write(move |writing| {
            let created_ms = writing.now_ms.unsigned_abs();
            let until_ms = created_ms.saturating_add(lasts_ms).min(i64::MAX as u64);
            let session = Session { user, scope: scope.clone(), created_ms, until_ms };
            add_session(writing, hash, &session)?;
            Ok(session)
        })
    }

    /// Finds a session that has not ended by `now_ms`.
    pub fn find_session(&self, hash: SecretHash, now_ms: u64) -> Reply<Option<Session>> {
        self.read(move |reading| {
            let sql = "SELECT user, scope, created_ms, until_ms FROM sessions
                       WHERE hash = ?1 AND until_ms > ?2";
            let mut statement = reading.connection.prepare_cached(sql)?;
            let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
            Ok(statement.query_row(params![hash, now_ms], session).optional()?)
        })
    }

    /// All sessions that have not ended by now, and whose they are.
    pub fn sessions(&self) -> Reply<Vec<KeptSession>> {
        self.write(move |writing| {
            let sql = "SELECT s.user, s.scope, s.created_ms, s.until_ms, s.hash, u.kind, u.anchor
                       FROM sessions s JOIN users u ON u.user = s.user WHERE s.until_ms > ?1";
            let mut statement = writing.connection.prepare_cached(sql)?;
            let kept = statement.query_map([writing.now_ms], |row| {
                let (hash, kind, anchor) = (row.get(4)?, row.get(5)?, row.get(6)?);
                Ok(KeptSession { hash, session: session(row)?, kind, anchor })
            })?;
            Ok(kept.collect::<Result<_, _>>()?)
        })
    }

    /// Ends a session. Ending one that is not there changes nothing.
    pub fn end_session(&self, hash: SecretHash) -> Reply<()> {
        self.write(move |writing| {
            writing.connection.execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
            Ok(())
        })
    }

    /// Removes strangers that have nothing. Returns how many there were. Browsers that keep no
    /// cookie are other strangers each time.
    pub fn remove_strangers(&self) -> Reply<usize> {
        self.write(move |writing| {
            let sql = "DELETE FROM users WHERE kind = 'browser'
               AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.user = users.user)
               AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.user = users.user)
               AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.user = users.user)
               AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user = users.user)";
            Ok(writing.connection.execute(sql, [])?)
        })
    }

    /// Removes all sessions that have ended. Returns how many there were.
    pub fn remove_ended_sessions(&self) -> Reply<usize> {
        self.write(move |writing| {
            let sql = "DELETE FROM sessions WHERE until_ms <= ?1";
            Ok(writing.connection.execute(sql, [writing.now_ms])?)
        })
    }
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let created_ms = rows::number(row, 3)?;
    Ok(User { id: row.get(0)?, kind: row.get(1)?, name: row.get(2)?, created_ms })
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        hash: row.get(0)?,
        user: row.get(1)?,
        scope: row.get(2)?,
        label: row.get(3)?,
        created_ms: rows::number(row, 4)?,
        revoked_ms: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let (created_ms, until_ms) = (rows::number(row, 2)?, rows::number(row, 3)?);
    Ok(Session { user: row.get(0)?, scope: row.get(1)?, created_ms, until_ms })
}

fn ensure_user(writing: &Writing<'_>, new: &NewUser) -> Result<User, StoreError> {
    check_bytes("name", &new.name, writing.limits.name_bytes)?;
    writing
        .connection
        .prepare_cached(
            "INSERT INTO users (kind, name, anchor, created_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (anchor) DO NOTHING",
        )?
        .execute(params![new.kind, new.name, new.anchor, writing.now_ms])?;
    Ok(writing
        .connection
        .prepare_cached("SELECT user, kind, name, created_ms FROM users WHERE anchor = ?1")?
        .query_row([new.anchor], user)?)
}

pub(crate) fn check_user(writing: &Writing<'_>, user: UserId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM users WHERE user = ?1";
    match writing.connection.prepare_cached(sql)?.exists([user])? {
        true => Ok(()),
        false => Err(StoreError::UnknownUser),
    }
}

fn add_key(writing: &Writing<'_>, key: &Key) -> Result<(), StoreError> {
    check_bytes("scope", &key.scope, writing.limits.name_bytes)?;
    check_bytes("label", &key.label, writing.limits.name_bytes)?;
    check_user(writing, key.user)?;
    let added = writing.connection.execute(
        "INSERT INTO keys (hash, user, scope, label, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (hash) DO NOTHING",
        params![key.hash, key.user, key.scope, key.label, writing.now_ms],
    )?;
    if added == 0 {
        let found = "one that was added before".into();
        return Err(StoreError::Invalid { field: "key", expected: "a new one", found });
    }
    Ok(())
}

fn add_session(
    writing: &Writing<'_>,
    hash: SecretHash,
    session: &Session,
) -> Result<(), StoreError> {
    check_bytes("scope", &session.scope, writing.limits.name_bytes)?;
    check_user(writing, session.user)?;
    writing.connection.execute(
        "INSERT INTO sessions (hash, user, scope, created_ms, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (hash) DO UPDATE SET user = ?2, scope = ?3, created_ms = ?4, until_ms = ?5",
        params![
            hash,
            session.user,
            session.scope,
            session.created_ms.cast_signed(),
            session.until_ms.cast_signed(),
        ],
    )?;
    Ok(())
}
