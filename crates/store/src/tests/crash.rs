//! Processes that are killed while they write.
//!
//! The test starts itself again as a child that writes and prints what was acknowledged, and kills
//! it. `BANTER_KILLS` says how often; 10 times unless it is set.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::*;
use crate::faults::{Action, Fault};
use crate::{
    ConversationId, Growth, MessageId, Place, Position, Role, State, Store, StoreConfig, Tree,
};

const CHILD_FOLDER: &str = "BANTER_TEST_CRASH";
const CHILD_FAULT: &str = "BANTER_TEST_CRASH_FAULT";
const FAULTS: &[(&str, Fault)] = &[
    ("before_commit", Fault::BeforeCommit),
    ("after_commit_before_ack", Fault::AfterCommit),
    ("checkpoint", Fault::Checkpoint),
    ("deleted", Fault::Deleted),
];

fn kills() -> usize {
    std::env::var("BANTER_KILLS").ok().map_or(10, |kills| kills.parse().expect("a number"))
}

fn start_child(folder: &TestFolder, round: usize, fault: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["tests::crash::child_writes_until_it_is_killed", "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .env("BANTER_TEST_CRASH_ROUND", round.to_string())
        .stdout(Stdio::piped());
    if let Some(fault) = fault {
        command.env(CHILD_FAULT, fault);
    }
    command.spawn().unwrap()
}

#[test]
fn child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else { return };
    let round: usize = std::env::var("BANTER_TEST_CRASH_ROUND").unwrap().parse().unwrap();
    let config = StoreConfig::new(Place::Folder(PathBuf::from(path)));
    let faults = config.faults.clone();
    let store = Store::open(config).unwrap();
    let user = user(&store, 1);
    println!("ready");
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &store;
            scope.spawn(move || talk(store, user, (round, thread)));
        }
        if let Ok(name) = std::env::var(CHILD_FAULT) {
            let (_, fault) = FAULTS.iter().find(|(known, _)| *known == name).unwrap();
            faults.arm(*fault, Action::Kill, (if name == "checkpoint" { 0 } else { 20 }, 1));
            // Deletes, so that the log is emptied.
            scope.spawn(|| {
                for n in 0.. {
                    let ask = ask_new("to be deleted", &format!("{round}-doomed-{n}"));
                    let asked = store.ask(user, ask).wait().unwrap();
                    store.delete_conversation(user, asked.conversation.id).wait().unwrap();
                }
            });
        }
    });
}

/// One conversation, message after message. Each acknowledgement is printed as one line:
/// `conversation client_id message` or `live answer bytes`.
fn talk(store: &Store, user: crate::UserId, (round, thread): (usize, usize)) {
    let mut conversation: Option<ConversationId> = None;
    for n in 0.. {
        let client_id = format!("{round}-{thread}-{n}");
        let ask = match conversation {
            None => ask_new(&client_id, &client_id),
            Some(id) => {
                let ask = ask_in(id, Position::AtLeaf, Some(&client_id));
                crate::Ask { client_id: client_id.clone(), ..ask }
            }
        };
        let asked = store.ask(user, ask).wait().unwrap();
        conversation = Some(asked.conversation.id);
        println!("asked {} {client_id} {}", asked.conversation.id, asked.message.unwrap().id);
        let seq = asked.answer.seq;
        let (mut at, mut saved) = (0, 0);
        let whole = answer_text(&client_id);
        for (index, piece) in whole.split_inclusive(' ').enumerate() {
            let mut growth: Growth = growth(at, piece);
            growth.at.tokens = index as u64;
            growth.tokens = vec![index as u32];
            store.append_live(seq, growth).wait().unwrap();
            at += piece.len() as u64;
            println!("live {} {at}", asked.answer.id);
            if index % 10 == 9 {
                let mut growth = super::support::growth(saved, &whole[saved as usize..at as usize]);
                growth.at.tokens = index as u64 - 9;
                growth.tokens = (index as u32 - 9..=index as u32).collect();
                store.save_progress(seq, growth).wait().unwrap();
                saved = at;
            }
        }
        let mut ending = ending(saved, &whole[saved as usize..]);
        ending.rest.at.tokens = whole.split_inclusive(' ').count() as u64 / 10 * 10;
        ending.rest.tokens = (ending.rest.at.tokens as u32..)
            .take(whole.split_inclusive(' ').count() % 10)
            .collect();
        store.finish_answer(seq, ending).wait().unwrap();
        println!("finished {}", asked.answer.id);
    }
}

fn answer_text(client_id: &str) -> String {
    (0..25).map(|n| format!("{client_id}/{n}词 ")).collect()
}

/// What a child has acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Messages of each conversation in their order.
    asked: HashMap<ConversationId, Vec<(String, MessageId)>>,
    live_bytes: HashMap<MessageId, usize>,
    finished: Vec<MessageId>,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["asked", conversation, client_id, message] => self
                .asked
                .entry(conversation.parse().unwrap())
                .or_default()
                .push((client_id.into(), message.parse().unwrap())),
            ["live", answer, bytes] => {
                self.live_bytes.insert(answer.parse().unwrap(), bytes.parse().unwrap());
            }
            ["finished", answer] => self.finished.push(answer.parse().unwrap()),
            _ => {}
        }
    }

    fn check(&self, store: &Store, user: crate::UserId) {
        for (conversation, asked) in &self.asked {
            let tree = store.tree(user, *conversation).wait().unwrap();
            self.check_messages(&tree, asked);
            self.check_answers(&tree);
        }
    }

    /// Every acknowledged message is there once and in order; at most one more is.
    fn check_messages(&self, tree: &Tree, asked: &[(String, MessageId)]) {
        let stored: Vec<_> = tree
            .messages
            .iter()
            .filter(|message| message.role == Role::User)
            .map(|message| (message.text.clone(), message.id))
            .collect();
        assert!(stored.len() <= asked.len() + 1, "{stored:?} {asked:?}");
        assert_eq!(&stored[..asked.len()], asked);
    }

    fn check_answers(&self, tree: &Tree) {
        for pair in tree.messages.chunks(2) {
            let [question, answer] = pair else { panic!("a question without an answer") };
            let whole = answer_text(&question.text);
            assert!(whole.starts_with(&answer.text), "{} in {whole}", answer.text);
            let known = self.live_bytes.get(&answer.id).copied().unwrap_or(0);
            assert!(answer.text.len() >= known, "{} bytes of {known}", answer.text.len());
            let words = answer.text.split_inclusive(' ').count();
            assert_eq!(answer.tokens, (0..words as u32).collect::<Vec<_>>());
            match answer.state {
                State::Complete => assert_eq!(answer.text, whole),
                State::Interrupted => assert!(!self.finished.contains(&answer.id)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Reads what the child says until it ends. It is killed after `patience`, if there is one.
fn listen(child: &mut Child, patience: Option<Duration>) -> Acknowledged {
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child did not start");
    }
    // A thread reads meanwhile, so that the child never waits for us.
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        rest
    });
    if let Some(patience) = patience {
        std::thread::sleep(patience);
        child.kill().unwrap();
    }
    let said = reader.join().unwrap();
    child.wait().unwrap();
    let mut acknowledged = Acknowledged::default();
    // A line without an end was being printed when the child died.
    let lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.for_each(|line| acknowledged.take(line.trim_end()));
    acknowledged
}

#[test]
fn s1_a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = TestFolder::new();
    let mut random = std::process::id() as u64 | 1;
    let mut messages = 0;
    for round in 0..kills() {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let patience = Duration::from_micros((random >> 33) % 300_000);
        let mut child = start_child(&folder, round, None);
        let acknowledged = listen(&mut child, Some(patience));
        messages += acknowledged.asked.values().map(Vec::len).sum::<usize>();
        let store = folder.open();
        let user = user(&store, 1);
        acknowledged.check(&store, user);
        drop(store);
        assert_whole(&folder.database());
    }
    println!("{messages} messages were acknowledged before {} kills", kills());
    assert!(messages > 0);
}

#[test]
fn s2_a_process_killed_at_any_failpoint_loses_nothing_that_was_acknowledged() {
    for (name, _) in FAULTS {
        let folder = TestFolder::new();
        let mut child = start_child(&folder, 0, Some(name));
        let acknowledged = listen(&mut child, None);
        let status = child.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "{name}: {status}");
        assert!(!acknowledged.asked.is_empty(), "{name}");
        let store = folder.open();
        let user = user(&store, 1);
        acknowledged.check(&store, user);
        drop(store);
        assert_whole(&folder.database());
    }
}

/// A copy of the folder as a power cut can leave it: of the log there is what was synced and a part
/// of what came after it, and of `live.db` nothing.
fn after_a_power_cut(folder: &TestFolder, log_bytes: u64) -> TestFolder {
    let copy = TestFolder::new();
    std::fs::create_dir(copy.path()).unwrap();
    for file in files(&folder.path()) {
        let name = file.file_name().unwrap().to_owned();
        if !name.to_string_lossy().starts_with("live.db") {
            std::fs::copy(&file, copy.path().join(name)).unwrap();
        }
    }
    // The index of the log is in memory that no sync writes.
    std::fs::remove_file(copy.path().join("banter.db-shm")).unwrap();
    let log = copy.path().join("banter.db-wal");
    std::fs::File::options().write(true).open(log).unwrap().set_len(log_bytes).unwrap();
    copy
}

#[test]
fn s3_a_power_cut_takes_nothing_that_was_acknowledged_or_saved() {
    const MESSAGES: usize = 8;
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let log = folder.path().join("banter.db-wal");
    let log_bytes = || std::fs::metadata(&log).unwrap().len();
    let mut synced = Vec::new();
    for n in 0..MESSAGES {
        let text = format!("message {n}");
        let asked = store.ask(user, ask_new(&text, &text)).wait().unwrap();
        store.save_progress(asked.answer.seq, growth(0, "saved ")).wait().unwrap();
        store.append_live(asked.answer.seq, growth(6, "and shown")).wait().unwrap();
        synced.push((asked, log_bytes()));
    }
    for (index, (_, bytes)) in synced.iter().enumerate() {
        let next = synced.get(index + 1).map_or(*bytes, |(_, next)| *next);
        for torn in [*bytes, bytes + (next - bytes) / 2, next - (next - bytes) / 100] {
            let copy = after_a_power_cut(&folder, torn);
            let cut = copy.open();
            for (asked, _) in &synced[..=index] {
                let tree = cut.tree(user, asked.conversation.id).wait().unwrap();
                let [message, answer] = &tree.messages[..] else { panic!("{tree:?}") };
                assert_eq!(Some(message), asked.message.as_ref());
                let end = (answer.text.as_str(), answer.state);
                assert_eq!(end, ("saved ", State::Interrupted), "{torn} bytes of the log");
            }
            drop(cut);
            assert_whole(&copy.database());
        }
    }
    assert!(synced[0].1 < synced[MESSAGES - 1].1, "the log was emptied in between");
}
