//! What the tests have in common.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    Ask, Asked, ConversationId, Ending, Ends, Growth, How, Message, NewConversation, NewUser,
    Place, Position, Reason, SecretHash, State, Store, StoreConfig, StoreError, Target, UserId,
    UserKind,
};

/// A folder that is removed with the test, and the store in it.
pub struct TestFolder {
    root: TempDir,
}

impl TestFolder {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("banter.db")
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig::new(Place::Folder(self.path()))
    }

    pub fn open(&self) -> Store {
        Store::open(self.config()).unwrap()
    }

    /// Whether a file of the folder has these bytes.
    pub fn has_bytes(&self, bytes: &[u8]) -> Option<PathBuf> {
        files(&self.path()).into_iter().find(|path| {
            let content = std::fs::read(path).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        })
    }
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

pub fn memory() -> Store {
    Store::open(StoreConfig::new(Place::Memory)).unwrap()
}

pub fn user(store: &Store, number: u8) -> UserId {
    let anchor = SecretHash([number; 32]);
    let new = NewUser { kind: UserKind::Browser, anchor, name: format!("user {number}") };
    store.ensure_user(new).wait().unwrap().id
}

pub fn ask_new(text: &str, client_id: &str) -> Ask {
    Ask {
        target: Target::New(NewConversation::default()),
        text: Some(text.into()),
        client_id: client_id.into(),
        how: How::default(),
    }
}

pub fn ask_in(conversation: ConversationId, position: Position, text: Option<&str>) -> Ask {
    Ask {
        target: Target::Existing(conversation, position),
        text: text.map(str::to_owned),
        client_id: crate::MessageId::random().to_string(),
        how: How::default(),
    }
}

pub fn growth(at: u64, text: &str) -> Growth {
    let at = Ends { text: at, ..Ends::default() };
    Growth { at, text: text.into(), ..Growth::default() }
}

pub fn ending(at: u64, text: &str) -> Ending {
    Ending { rest: growth(at, text), ..Ending::new(State::Complete, Reason::End) }
}

/// Asks and has the answer finished.
pub fn exchange(store: &Store, user: UserId, ask: Ask, answer: &str) -> (Asked, Message) {
    let asked = store.ask(user, ask).wait().unwrap();
    let answer = store.finish_answer(asked.answer.seq, ending(0, answer)).wait().unwrap();
    (asked, answer)
}

/// Keeps the writer busy, so that calls wait and are then committed together.
pub struct Blocked {
    go: flume::Sender<()>,
    reply: crate::Reply<()>,
}

impl Blocked {
    /// Returns when the writer has begun to wait, so that it takes no call along.
    pub fn begin(store: &Store) -> Self {
        let (started, has_started) = flume::bounded::<()>(1);
        let (go, wait) = flume::bounded::<()>(0);
        let reply = store.write(move |_| {
            let _ = started.try_send(());
            let _ = wait.recv();
            Ok(())
        });
        has_started.recv().unwrap();
        Self { go, reply }
    }

    pub fn end(self) {
        drop(self.go);
        self.reply.wait().unwrap();
    }
}

pub fn texts(store: &Store, user: UserId, conversation: ConversationId) -> Vec<String> {
    let tree = store.tree(user, conversation).wait().unwrap();
    tree.messages.into_iter().map(|message| message.text).collect()
}

pub fn assert_whole(database: &Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let finding: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(finding, "ok");
    let orphans: i64 = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(orphans, 0);
    for index in ["message_words", "title_words"] {
        let check = format!("INSERT INTO {index} ({index}) VALUES ('integrity-check')");
        connection.execute_batch(&check).unwrap();
    }
}

pub fn is_failed(error: &StoreError) -> bool {
    matches!(error, StoreError::Failed { .. })
}
