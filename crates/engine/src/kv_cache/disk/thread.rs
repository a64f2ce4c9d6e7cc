//! The thread that reads and writes blocks.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::Sender;

use super::answers::{AnswerFile, ModelId};
use super::commands::{Command, Commands, ForgetSet, Load};
use super::files::{Files, Repaired, Saved};
use super::{DiskConfig, Identity, KeptAnswer, NUMERICS_VERSION, Reply, Stored};
use crate::StopFlag;
use crate::kv_cache::block_name::BlockNamer;

/// Pause between two attempts to open a folder that another engine uses.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// How long an engine that has ended still waits for its folder if something is to be forgotten
/// there.
const LONGEST_LOCK_WAIT: Duration = Duration::from_secs(5);

/// Warnings about a disk that cannot be written come no more often than this.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// Everything that the thread starts with.
pub(super) struct DiskThread {
    pub config: DiskConfig,
    pub commands: Arc<Commands>,
    pub replies: Sender<Reply>,
    pub end: StopFlag,
}

/// Whether the thread goes on after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl DiskThread {
    /// Opens the folder, then obeys commands until none is left and nobody sends any more.
    pub fn run(self, identity: Identity) {
        let folder = self.config.folder.display().to_string();
        let opened = self.open().and_then(|folder| self.name(folder, &identity));
        drop(identity);
        let mut keeper = match opened {
            Ok(keeper) => keeper,
            Err(error) => {
                if !self.end.is_raised() {
                    tracing::warn!(folder, %error, "conversations are not kept on disk");
                }
                return;
            }
        };
        let names = keeper.files.names();
        let answers = keeper.answers.of_model(keeper.model);
        let opened = Reply::Opened { namer: keeper.namer.clone(), names, answers };
        self.tell(opened);
        // After the engine has gone, what it sent before is still done.
        while let Some(command) = self.commands.take() {
            if keeper.obey(command) == Next::End {
                return;
            }
        }
    }

    /// Opens the folder as soon as no other engine uses it: while models are switched there are
    /// two.
    fn open(&self) -> io::Result<Folder> {
        let (mut waits, mut ended_at) = (false, None);
        loop {
            let opened = Files::open(&self.config.folder, self.config.max_bytes);
            let is_busy = matches!(&opened, Err(error) if error.kind() == ErrorKind::ResourceBusy);
            if !is_busy {
                let (files, repaired) = opened?;
                report(&self.config, repaired);
                let answers = AnswerFile::open(&self.config.folder, self.config.max_bytes)?;
                return Ok(Folder { files, answers });
            }
            if !std::mem::replace(&mut waits, true) {
                let folder = self.config.folder.display();
                tracing::info!(%folder, "another engine keeps conversations there; waiting");
                self.tell(Reply::Later);
            }
            if !self.commands.wait_until_closed(LOCK_PAUSE) {
                continue;
            }
            if !self.commands.has_forgets() {
                return Err(ErrorKind::ResourceBusy.into());
            }
            let ended_at: Instant = *ended_at.get_or_insert_with(Instant::now);
            if ended_at.elapsed() > LONGEST_LOCK_WAIT {
                let folder = self.config.folder.display();
                tracing::warn!(%folder, "what was to be forgotten there is still there");
                return Err(ErrorKind::ResourceBusy.into());
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Finds out how blocks are named, which may mean reading all of the model. What is to be
    /// forgotten is forgotten before and even if that fails, because it needs no names.
    fn name(&self, mut folder: Folder, identity: &Identity) -> io::Result<Keeper<'_>> {
        folder.forget_early(&self.commands);
        if folder.files.is_empty() {
            self.tell(Reply::Later);
        }
        let key = key(&folder.files, identity, &self.end);
        folder.forget_early(&self.commands);
        Ok(Keeper::new(self, folder, key?))
    }

    /// Sends a reply; an engine that has gone needs none.
    fn tell(&self, reply: Reply) {
        drop(self.replies.send(reply));
    }
}

/// An open folder.
struct Folder {
    files: Files,
    answers: AnswerFile,
}

impl Folder {
    /// Forgets what can be forgotten before names are known.
    fn forget_early(&mut self, commands: &Commands) {
        let Some(meant) = commands.take_forgets() else { return };
        if let Err(error) = self.answers.forget(&meant) {
            tracing::warn!(%error, "answers could not be forgotten on disk");
        }
        self.files.forget(&meant);
    }
}

/// An open folder and what is needed to keep conversations there.
struct Keeper<'a> {
    thread: &'a DiskThread,
    files: Files,
    answers: AnswerFile,
    namer: BlockNamer,
    model: ModelId,
    complained_at: Option<Instant>,
}

impl Keeper<'_> {
    fn new(thread: &DiskThread, folder: Folder, key: [u8; 32]) -> Keeper<'_> {
        let Folder { files, answers } = folder;
        // It tells models apart and does not reveal the key.
        let model = blake3::keyed_hash(&key, b"answers");
        let model = *model.as_bytes().first_chunk().expect("a hash has 32 bytes");
        Keeper { thread, files, answers, namer: BlockNamer::new(key), model, complained_at: None }
    }

    fn obey(&mut self, command: Command) -> Next {
        match command {
            Command::Save(block) => return self.save(&block),
            Command::Touch(names) => names.into_iter().for_each(|name| self.files.touch(name)),
            Command::Load(load) => self.load(&load),
            Command::Keep(answer) => self.keep(&answer),
            Command::Forget(meant) => self.forget(&meant),
        }
        Next::GoOn
    }

    fn forget(&mut self, meant: &ForgetSet) {
        if let Err(error) = self.answers.forget(meant) {
            self.complain(&error);
        }
        let removed = self.files.forget(meant);
        self.thread.tell(Reply::Removed(removed));
    }

    fn save(&mut self, block: &Stored) -> Next {
        let mut removed = Vec::new();
        let saved = self.files.save(block, &mut removed);
        if let Err(error) = &saved {
            self.complain(error);
        }
        if matches!(saved, Ok(Saved::TooLarge)) {
            let (folder, max_bytes) = (self.folder(), self.thread.config.max_bytes);
            tracing::warn!(
                folder,
                max_bytes,
                "conversations are not kept on disk: all that may be kept there is less than one block"
            );
            return Next::End;
        }
        self.thread.tell(Reply::Saved { name: block.name, is_there: saved.is_ok(), removed });
        Next::GoOn
    }

    fn load(&mut self, load: &Load) {
        let Load { fetch, names, stop } = load;
        let fetch = *fetch;
        for (index, name) in names.iter().enumerate() {
            if stop.is_raised() || self.thread.end.is_raised() {
                break;
            }
            let Some(block) = self.files.load(*name) else {
                // Without this block those behind it cannot be used. They will be computed and
                // saved again.
                self.files.remove_all(&names[index..]);
                self.thread.tell(Reply::Removed(names[index..].to_vec()));
                break;
            };
            self.thread.tell(Reply::Loaded { fetch, block });
        }
        self.thread.tell(Reply::FetchEnded { fetch });
    }

    fn keep(&mut self, answer: &KeptAnswer) {
        if let Err(error) = self.answers.add(self.model, answer) {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if self.complained_at.is_none_or(|at| at.elapsed() > COMPLAINT_PAUSE) {
            self.complained_at = Some(Instant::now());
            tracing::warn!(folder = self.folder(), %error, "a conversation could not be written");
        }
    }

    fn folder(&self) -> String {
        self.thread.config.folder.display().to_string()
    }
}

/// Warns of what was lost. It comes once, because the folder is whole afterwards.
fn report(config: &DiskConfig, repaired: Repaired) {
    let (folder, removed) = (config.folder.display(), repaired.removed);
    if let Some(found) = repaired.key_bytes {
        tracing::warn!(
            %folder,
            removed,
            "the file key is damaged: expected 32 bytes, found {found}; a new one is made, and what was \
             kept under the old one is removed"
        );
    } else if removed > 0 {
        tracing::warn!(
            %folder,
            removed,
            "blocks were removed: kept under another key or by another version, or damaged"
        );
    }
}

/// The key that names are made with: a hash of the folder's secret, the model's bytes and how it is
/// computed.
///
/// Errors: the model or the folder cannot be read, or the engine ends meanwhile.
fn key(files: &Files, identity: &Identity, end: &StopFlag) -> io::Result<[u8; 32]> {
    let secret = files.secret();
    let note = identity.model.stamp().map(|stamp| blake3::keyed_hash(secret, stamp.as_bytes()));
    let noted = note.as_ref().and_then(|note| files.note(note.to_hex().as_str()));
    let model = match noted {
        Some(model) => model,
        None => {
            let model = identity.model.content_hash(&|| end.is_raised())?;
            if let Some(note) = note.filter(|_| identity.model.stamp().is_some()) {
                files.write_note(note.to_hex().as_str(), &model)?;
            }
            model
        }
    };
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&NUMERICS_VERSION.to_le_bytes());
    hasher.update(&model);
    hasher.update(identity.computed.as_bytes());
    Ok(*hasher.finalize().as_bytes())
}
