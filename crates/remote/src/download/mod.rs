//! From files on a hub to a model in the store, whatever happens on the way.
//!
//! A download lives in a folder of its own below the store until every byte is there and checked;
//! then the folder is renamed, so that a model is either there or not. What is half there is
//! remembered piece by piece, and the next pull goes on with it.
//!
//! Reading order:
//! - [`Download`] below: begin, look at the heads, run.
//! - `part`: one file and its pieces; `fetch`: one piece from the hub; `page`: what is no file.
//!
//! Limits: [`CONNECTIONS`] requests at once, [`MAX_MODEL_BYTES`] for one model, the disk and
//! [`Terms::limit_bytes`] for all.
//!
//! Writing blocks the thread it runs on: a server gives downloads a thread of their own.

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
    Installed, Lock, MANIFEST_FILE, Manifest, ManifestFile, Store, make_private_folder,
    opened_name, write_whole,
};
use fetch::Location;
use part::{Part, PartFacts, Reserved};

/// Requests for pieces at the same time.
pub const CONNECTIONS: usize = 4;

/// The largest model; more than any that a machine could hold.
pub const MAX_MODEL_BYTES: u64 = 4 << 40;

/// Name of the file that says what is being downloaded.
const FACTS_FILE: &str = "pull.json";

/// Who watches a download, and who may end it.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Ends it; what is there is kept.
    pub stop: CancellationToken,
}

/// On what terms a model is downloaded.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How long to try.
    pub patience: Patience,
    /// Who watches.
    pub watch: Watch,
    /// What all models together may take on disk, this one included; at the limit it is refused.
    /// Without it the disk is the limit.
    pub limit_bytes: Option<u64>,
}

/// A model on its way into the store. One at a time per model, over all processes.
pub struct Download {
    store: Store,
    folder: PathBuf,
    source: Source,
    parts: Vec<Part>,
    /// Where each of them lies.
    locations: Vec<Location>,
    terms: Terms,
    /// Held until the end.
    _lock: Lock,
}

/// What is being downloaded, as it stands on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Facts {
    name: String,
    from: String,
    licence: Option<String>,
    files: Vec<PartFacts>,
}

impl Terms {
    /// How long to try, for [`crate::hub::resolve`], which is watched like the download itself.
    pub fn trying(&self) -> Trying {
        Trying { patience: self.patience, progress: self.watch.progress.clone() }
    }
}

impl Download {
    /// Finds out how large the files are and whether there is room for them, and takes up what an
    /// earlier pull has left.
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

    /// What is downloaded.
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

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.parts.len()
    }

    /// Bytes that are free where the model goes.
    pub fn free_bytes(&self) -> Result<u64, PullError> {
        free_bytes(&self.folder)
    }

    /// Fetches what holds the metadata and returns what an engine opens to read it: everything else
    /// in the files is still empty.
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

    /// Whether metadata can be looked at before the download: not where parts cannot be asked for.
    pub fn has_heads(&self) -> bool {
        self.parts.iter().all(|part| part.facts.has_ranges)
    }

    /// Downloads what is missing, checks it, and puts the model into the store.
    ///
    /// Errors: everything that [`PullError`] names. After one that does not say that all was
    /// removed, the next pull goes on where this one ended.
    pub async fn run(self) -> Result<Installed, PullError> {
        self.download().await.map_err(|error| self.failed(error))
    }

    /// Removes what is there: nobody wants it.
    pub fn forget(self) {
        self.remove();
    }

    /// The error with what is kept; nothing is where it says so.
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
        self.check().await?;
        self.install()
    }

    /// Fetches missing pieces, of each file those below its limit.
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

    /// Takes the room for the whole model.
    ///
    /// Errors: someone else has taken it since it was looked at.
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

    /// Computes the checksums of all files that have one.
    async fn check(&self) -> Result<(), PullError> {
        let Watch { progress, stop } = &self.terms.watch;
        progress.set_phase(Phase::Checking);
        for part in &self.parts {
            part.sync()?;
            let Some(expected) = part.facts.sha256 else { continue };
            let summed = Sha256Sum::of_file(part.path(), |bytes| progress.add_checked(bytes));
            let checked = async { summed.await.map_err(PullError::folder(part.path())) };
            let found = stoppable(stop, checked).await?;
            if found != expected {
                let file = part.facts.name.clone();
                return Err(PullError::WrongChecksum { file, expected, found });
            }
        }
        Ok(())
    }

    /// Renames the finished folder into the store.
    fn install(&self) -> Result<Installed, PullError> {
        let file = |part: &Part| ManifestFile {
            name: part.facts.name.clone(),
            bytes: part.facts.bytes,
            sha256: part.facts.sha256,
        };
        let manifest = Manifest {
            name: self.source.name.clone(),
            from: self.source.from.clone(),
            licence: self.source.licence.clone(),
            files: self.parts.iter().map(file).collect(),
        };
        for part in &self.parts {
            part.forget_map()?;
        }
        let facts = self.folder.join(FACTS_FILE);
        std::fs::remove_file(&facts).map_err(PullError::folder(&facts))?;
        self.store.install(&self.folder, manifest)
    }

    /// What an engine opens: a folder of many kinds of files, or the first file.
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
        tracing::warn!(%error, folder = %folder.display(), "could not be removed");
    }
}

/// Files lie side by side, beside ours: no two may have one name, and none one of ours.
fn check_names(source: &Source, files: &[PartFacts]) -> Result<(), PullError> {
    let mut names = HashSet::new();
    for PartFacts { name, .. } in files {
        let is_ours = [FACTS_FILE, MANIFEST_FILE].contains(&name.as_str())
            || [".pieces", ".new"].iter().any(|ending| name.ends_with(ending));
        if is_ours || !names.insert(name.to_ascii_lowercase()) {
            let found = format!("a file that cannot be called {name}");
            return Err(source.client.unexpected_response(&source.name, found));
        }
    }
    Ok(())
}

/// Keeps what an earlier pull of the same files has left, and starts anew otherwise.
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

/// What is half there, for a list: the model's name, bytes of the whole, bytes that are there.
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
