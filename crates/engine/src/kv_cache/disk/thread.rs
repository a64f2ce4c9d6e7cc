//! The thread that reads and writes blocks.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, Sender};

use super::files::Files;
use super::{Command, DiskConfig, Identity, Reply};
use crate::StopFlag;
use crate::kv_cache::chain::Chain;

/// Raised whenever the same tokens would get other keys and values than before.
const NUMERICS_VERSION: u32 = 1;

/// How often a folder that another engine uses is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Complaints about a disk that cannot be written come no more often.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// Everything the thread begins with.
pub(super) struct Work {
    pub config: DiskConfig,
    pub commands: Receiver<Command>,
    pub replies: Sender<Reply>,
    pub end: StopFlag,
}

impl Work {
    /// Opens the folder, then does what it is told to until nobody tells it anything.
    pub fn run(self, identity: Identity) {
        let folder = self.config.folder.display().to_string();
        let opened = self.open().and_then(|files| Ok((key(&files, &identity, &self.end)?, files)));
        drop(identity);
        let (key, mut files) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if !self.end.is_raised() {
                    tracing::warn!(folder, %error, "conversations are not kept on disk");
                }
                return;
            }
        };
        let names = files.names();
        tracing::info!(folder, blocks = names.len(), "conversations are kept on disk");
        if self.replies.send(Reply::Opened { chain: Chain::new(key), names }).is_err() {
            return;
        }
        let mut complained_at: Option<Instant> = None;
        // When the engine has gone, what it sent before is still done.
        while let Ok(command) = self.commands.recv() {
            match command {
                Command::Save(block) => {
                    let mut removed = Vec::new();
                    let saved = files.save(&block, &mut removed);
                    if let Err(error) = &saved
                        && complained_at.is_none_or(|at| at.elapsed() > COMPLAINT_PAUSE)
                    {
                        complained_at = Some(Instant::now());
                        tracing::warn!(folder, %error, "a conversation could not be written");
                    }
                    self.tell(Reply::Saved { name: saved.is_ok().then_some(block.name), removed });
                }
                Command::Touch(name) => files.touch(name),
                Command::Load { fetch, names, stop } => {
                    for (index, name) in names.iter().enumerate() {
                        if stop.is_raised() || self.end.is_raised() {
                            break;
                        }
                        let Some(block) = files.load(*name) else {
                            // What follows has no beginning any more; it will be computed and come anew.
                            files.remove_all(&names[index..]);
                            self.tell(Reply::Removed(names[index..].to_vec()));
                            break;
                        };
                        self.tell(Reply::Loaded { fetch, block });
                    }
                    self.tell(Reply::FetchEnded { fetch });
                }
                Command::Forget(names) => {
                    let removed = files.forget(&names);
                    self.tell(Reply::Removed(removed));
                }
            }
        }
    }

    /// Opens the folder, when another engine no longer uses it: while models are switched there are two.
    fn open(&self) -> io::Result<Files> {
        let mut waits = false;
        loop {
            match Files::open(&self.config.folder, self.config.max_bytes) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy && !self.end.is_raised() => {
                    if !std::mem::replace(&mut waits, true) {
                        let folder = self.config.folder.display();
                        tracing::info!(%folder, "another engine keeps conversations there; waiting");
                    }
                    // Nothing is sent before the folder is open, but the engine may end.
                    if let Err(RecvTimeoutError::Disconnected) =
                        self.commands.recv_timeout(LOCK_PAUSE)
                    {
                        return Err(error);
                    }
                }
                opened => return opened,
            }
        }
    }

    /// An engine that has gone needs no replies.
    fn tell(&self, reply: Reply) {
        drop(self.replies.send(reply));
    }
}

/// What names are made with: of the folder's secret, the model's bytes and how it is computed.
///
/// Errors: the model or the folder cannot be read, or the engine ends meanwhile.
fn key(files: &Files, identity: &Identity, end: &StopFlag) -> io::Result<[u8; 32]> {
    let secret = files.secret()?;
    let note = identity.model.stamp().map(|stamp| blake3::keyed_hash(&secret, stamp.as_bytes()));
    let noted = note.as_ref().and_then(|note| files.note(note.to_hex().as_str()));
    let model = match noted.and_then(|noted| <[u8; 32]>::try_from(noted).ok()) {
        Some(model) => model,
        None => {
            let model = identity.model.content_hash(&|| end.is_raised())?;
            if let Some(note) = note.filter(|_| identity.model.stamp().is_some()) {
                files.write_note(note.to_hex().as_str(), &model)?;
            }
            model
        }
    };
    let mut hasher = blake3::Hasher::new_keyed(&secret);
    hasher.update(&NUMERICS_VERSION.to_le_bytes());
    hasher.update(&model);
    hasher.update(identity.computed.as_bytes());
    Ok(*hasher.finalize().as_bytes())
}
