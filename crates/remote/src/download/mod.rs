//! From files on a hub to a model in the store, whatever fails on the way.
//!
//! A download has a folder of its own below the store until every byte is there and checked. Then
//! the folder is renamed, so that a model is either installed or not. A map remembers which pieces
//! are there, and the next pull continues with it.
//!
//! Reading order:
//! - [`Download`] below: begin, fetch the beginnings of the files, run.
//! - `part`: one file and its pieces; `fetch`: one piece from the hub; `page`: responses that are
//!   not the file.
//!
//! Limits: [`CONNECTIONS`] requests at the same time, [`MAX_MODEL_BYTES`] for one model, and the
//! disk and [`Terms::limit_bytes`] for all models.
//!
//! Writing blocks the thread, so a server gives each download a thread of its own.

mod fetch;
pub(crate) mod page;
mod part;

pub use crate::patience::{Patience, Trying};
pub use crate::progress::{Phase, Progress};

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::PullError;
use crate::hub::{Sha256Sum, Source};
use crate::store::{
    Checked, Installed, Lock, MANIFEST_FILE, Manifest, ManifestFile, Store, make_private_folder,
    opened_name, write_whole,
};
use fetch::Location;
use part::{Part, PartFacts, Reserved};

/// Requests for pieces at the same time.
pub const CONNECTIONS: usize = 4;

/// The largest model; more than any machine could hold.
pub const MAX_MODEL_BYTES: u64 = 4 << 40;

/// The name of the file that describes the download.
const FACTS_FILE: &str = "pull.json";

/// The progress of a download, and the way to stop it.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// How far it has come.
    pub progress: Arc<Progress>,
    /// Stops it. The downloaded part is kept.
    pub stop: CancellationToken,
}

/// The conditions of a download.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How long to try.
    pub patience: Patience,
    /// Who watches it.
    pub watch: Watch,
    /// What all models together, including this one, may take on the disk. A model beyond it is
    /// refused. Without it the disk is the limit.
    pub limit_bytes: Option<u64>,
}

/// A model that is being downloaded. For each model there is one download at a time, in all
/// processes.
pub struct Download {
    store: Store,
    folder: PathBuf,
    source: Source,
    parts: Vec<Part>,
    /// Where each of them is.
    locations: Vec<Location>,
    terms: Terms,
    /// Held until the end.
    _lock: Lock,
}

/// The description of a download on the disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Facts {
    name: String,
    from: String,
    licence: Option<String>,
    files: Vec<PartFacts>,
}

impl Terms {
    /// The same patience and watcher for [`crate::hub::resolve`].
    pub fn trying(&self) -> Trying {
        Trying { patience: self.patience, progress: self.watch.progress.clone() }
    }
}

impl Download {
    /// Finds out how large the files are and whether there is room for them, and continues an
    /// earlier pull.
    ///
    /// Errors: another process pulls the same model; no connection; too little room on the disk or
    /// within the limit; a folder that cannot be written.
    pub async fn begin(store: &Store, source: Source, terms: Terms) -> Result<Download, PullError> {
        let lock = store.lock(&source.name)?;
        let locations: Vec<Location> = source.files.iter().map(|_| Location::default()).collect();
        let mut files = Vec::new();
        for (file, location) in source.files.iter().zip(&locations) {
            let probe = fetch::probe(&source.client, file, location);
            files.push(stoppable(&terms.watch.stop, probe).await?);
        }
        check_names(&source, &files)?;
        let total: u64 = files.iter().fold(0, |sum, file| file.bytes.saturating_add(sum));
        if total > MAX_MODEL_BYTES {
            let found = format!("{total} bytes");
            return Err(source.client.unexpected_response(&source.name, found));
        }
        let facts = Facts {
            name: source.name.clone(),
            from: source.from.clone(),
            licence: source.licence.clone(),
            files,
        };
        let folder = store.incoming(&source.name);
        take_up(&folder, &facts)?;
        let open = |file: PartFacts| Part::open(&folder, file);
        let parts: Result<Vec<Part>, PullError> = facts.files.into_iter().map(open).collect();
        let parts = parts.inspect_err(|_| remove(&folder))?;
        let downloaded_bytes = parts.iter().map(Part::downloaded_bytes).sum();
        terms.watch.progress.begin(total, downloaded_bytes);
        let store = store.clone();
        let download = Download { store, folder, source, parts, locations, terms, _lock: lock };
        if let Err(error) = download.check_room() {
            if downloaded_bytes == 0 {
                download.remove();
            }
            return Err(error);
        }
        Ok(download)
    }

    /// The files that are downloaded.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.facts.bytes).sum()
    }

    /// Bytes that are on disk already.
    pub fn downloaded_bytes(&self) -> u64 {
        self.parts.iter().map(Part::downloaded_bytes).sum()
    }

    /// How many files have no checksum that a hub states, so that nobody can tell whether they are
    /// what was published.
    pub fn unstated_checksums(&self) -> usize {
        self.parts.iter().filter(|part| part.facts.sha256.is_none()).count()
    }

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.parts.len()
    }

    /// Bytes that are free where the model will be.
    pub fn free_bytes(&self) -> Result<u64, PullError> {
        free_bytes(&self.folder)
    }

    /// Fetches the parts with the metadata, and returns the path that an engine opens to read it.
    /// Everything else in the files is still empty.
    ///
    /// `pieces` of 4 MiB are fetched of the first file with weights, one of each other, and files
    /// without weights whole. Nothing is fetched where [`Download::has_heads`] is false.
    pub async fn fetch_heads(&self, pieces: usize) -> Result<PathBuf, PullError> {
        let has_weights = |part: &Part| {
            let name = part.facts.name.to_ascii_lowercase();
            name.ends_with(".gguf") || name.ends_with(".safetensors")
        };
        let first = self.parts.iter().position(has_weights);
        let limits = |index: usize| {
            if Some(index) == first {
                pieces
            } else if has_weights(&self.parts[index]) {
                1
            } else {
                usize::MAX
            }
        };
        if self.has_heads() {
            self.fetch(limits).await.map_err(|error| self.failed(error))?;
        }
        Ok(self.opened())
    }

    /// Whether metadata can be read before the download: only if the hub serves parts of files.
    pub fn has_heads(&self) -> bool {
        self.parts.iter().all(|part| part.facts.has_ranges)
    }

    /// Downloads what is missing, checks it, and puts the model into the store.
    ///
    /// Errors: everything in [`PullError`]. Unless the error says that the download was removed,
    /// the next pull continues it.
    pub async fn run(self) -> Result<Installed, PullError> {
        self.download().await.map_err(|error| self.failed(error))
    }

    /// Removes the downloaded part, because nobody wants it.
    pub fn forget(self) {
        self.remove();
    }

    /// The error, with what is kept. After an error that says so, the downloaded part is removed.
    fn failed(&self, error: PullError) -> PullError {
        if let PullError::Write { .. }
        | PullError::WrongChecksum { .. }
        | PullError::Changed { .. }
        | PullError::NotAModel { .. } = error
        {
            self.remove();
        }
        error.keeping(self.downloaded_bytes())
    }

    async fn download(&self) -> Result<Installed, PullError> {
        self.reserve()?;
        self.fetch(|_| usize::MAX).await?;
        let sums = self.check().await?;
        self.install(&sums)
    }

    /// Fetches the missing pieces; of each file only those below its limit.
    async fn fetch(&self, limits: impl Fn(usize) -> usize) -> Result<(), PullError> {
        let next = || {
            let parts = self.parts.iter().enumerate();
            parts.filter_map(|(index, part)| Some((index, part.claim(limits(index))?))).next()
        };
        let worker = || async {
            while let Some((index, span)) = next() {
                let job = fetch::Job {
                    client: &self.source.client,
                    file: &self.source.files[index],
                    location: &self.locations[index],
                    part: &self.parts[index],
                    progress: &self.terms.watch.progress,
                };
                job.run(span).await?;
            }
            Ok(())
        };
        self.terms.watch.progress.set_phase(Phase::Fetching);
        let workers = try_join_all((0..CONNECTIONS).map(|_| worker()));
        stoppable(&self.terms.watch.stop, workers).await.map(drop)
    }

    /// Errors: the disk or the limit of all models is too small for the rest.
    fn check_room(&self) -> Result<(), PullError> {
        if let Some(limit_bytes) = self.terms.limit_bytes {
            let others = self.store.used_bytes_beside(&self.folder)?;
            let needed_bytes = others.saturating_add(self.total_bytes());
            if needed_bytes > limit_bytes {
                return Err(PullError::OverLimit { limit_bytes, needed_bytes });
            }
        }
        let needed = self.parts.iter().map(Part::unreserved_bytes);
        let needed_bytes = needed.sum::<Result<u64, PullError>>()?;
        let free_bytes = self.free_bytes()?;
        if needed_bytes > free_bytes {
            return Err(self.disk_too_small(needed_bytes, free_bytes));
        }
        Ok(())
    }

    /// Reserves the disk space for the whole model.
    ///
    /// Errors: somebody else has used the space since it was checked.
    fn reserve(&self) -> Result<(), PullError> {
        for part in &self.parts {
            if part.reserve()? == Reserved::No {
                let needed_bytes = part.unreserved_bytes()?;
                return Err(self.disk_too_small(needed_bytes, self.free_bytes()?));
            }
        }
        Ok(())
    }

    fn disk_too_small(&self, needed_bytes: u64, free_bytes: u64) -> PullError {
        let folder = self.store.root().to_owned();
        PullError::DiskTooSmall { folder, needed_bytes, free_bytes }
    }

    /// Computes the checksums of all files, and compares those that the hub states.
    async fn check(&self) -> Result<Vec<Sha256Sum>, PullError> {
        let Watch { progress, stop } = &self.terms.watch;
        progress.set_phase(Phase::Checking);
        let mut sums = Vec::new();
        for part in &self.parts {
            part.sync()?;
            let summed = Sha256Sum::of_file(part.path(), |bytes| progress.add_checked(bytes));
            let checked = async { summed.await.map_err(PullError::folder(part.path())) };
            let found = stoppable(stop, checked).await?;
            if let Some(expected) = part.facts.sha256.filter(|expected| *expected != found) {
                let file = part.facts.name.clone();
                return Err(PullError::WrongChecksum { file, expected, found });
            }
            sums.push(found);
        }
        Ok(sums)
    }

    /// Renames the finished folder, whose files have these checksums, into the store.
    fn install(&self, sums: &[Sha256Sum]) -> Result<Installed, PullError> {
        let file = |(part, sum): (&Part, &Sha256Sum)| {
            Ok(ManifestFile {
                name: part.facts.name.clone(),
                bytes: part.facts.bytes,
                sha256: Some(*sum),
                checked: Some(Checked::sound(part.path())?),
            })
        };
        let files: Result<Vec<ManifestFile>, PullError> =
            self.parts.iter().zip(sums).map(file).collect();
        let manifest = Manifest {
            name: self.source.name.clone(),
            from: self.source.from.clone(),
            licence: self.source.licence.clone(),
            files: files?,
        };
        for part in &self.parts {
            part.forget_map()?;
        }
        let facts = self.folder.join(FACTS_FILE);
        std::fs::remove_file(&facts).map_err(PullError::folder(&facts))?;
        self.store.install(&self.folder, manifest)
    }

    /// What an engine opens: the first GGUF file, or the folder.
    fn opened(&self) -> PathBuf {
        let names = self.parts.iter().map(|part| part.facts.name.as_str());
        self.folder.join(opened_name(names))
    }

    fn remove(&self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "what was downloaded could not be removed; remove the folder by hand");
    }
}

/// Checks the names: the files are in one folder, together with files of ours. No two may have the
/// same name, and none the name of ours.
fn check_names(source: &Source, files: &[PartFacts]) -> Result<(), PullError> {
    let mut names = HashSet::new();
    for PartFacts { name, .. } in files {
        let is_ours = [FACTS_FILE, MANIFEST_FILE].contains(&name.as_str())
            || [".pieces", ".new"].iter().any(|ending| name.ends_with(ending));
        if is_ours || !names.insert(name.to_ascii_lowercase()) {
            let found = format!("a file named {name}, a name that cannot be used here");
            return Err(source.client.unexpected_response(&source.name, found));
        }
    }
    Ok(())
}

/// Keeps what an earlier pull of the same files has downloaded. If the files differ, it starts
/// again.
fn take_up(folder: &Path, facts: &Facts) -> Result<(), PullError> {
    let path = folder.join(FACTS_FILE);
    let earlier = std::fs::read(&path).ok();
    let earlier: Option<Facts> = earlier.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if earlier.is_some_and(|earlier| earlier.files == facts.files) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(PullError::folder(folder))?;
    }
    make_private_folder(folder)?;
    let text = serde_json::to_vec_pretty(facts).expect("facts are plain data");
    write_whole(&path, &text)
}

/// A partial download, for a list: the model's name, its bytes, and how many of them are
/// downloaded.
pub(crate) fn partial(folder: &Path) -> Option<(String, u64, u64)> {
    let facts: Facts =
        serde_json::from_slice(&std::fs::read(folder.join(FACTS_FILE)).ok()?).ok()?;
    let total = facts.files.iter().map(|file| file.bytes).sum();
    let done = facts.files.iter().map(|file| part::downloaded_bytes_in(folder, file)).sum();
    Some((facts.name, total, done))
}

fn free_bytes(folder: &Path) -> Result<u64, PullError> {
    let free = rustix::fs::statvfs(folder)
        .map_err(|errno| PullError::folder(folder)(std::io::Error::from(errno)))?;
    Ok(free.f_bavail.saturating_mul(free.f_frsize))
}

async fn stoppable<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, PullError>>,
) -> Result<T, PullError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(PullError::Stopped),
        outcome = work => outcome,
    }
}
