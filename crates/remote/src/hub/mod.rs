//! Model hubs: from the name of a model to its files.
//!
//! Reading order:
//! - `name`: [`ModelName`]; `typed`: the ways in which people write it; `catalogue`: the official
//!   models.
//! - `settings`: [`HubSettings`], the addresses and tokens of the hubs.
//! - [`resolve`] below: a name becomes a [`Source`].
//! - `hugging_face`, `model_scope`: the interfaces of the two hubs; `asking`: one request.
//! - `listing`: the files of a repository, and which of them are the model; `checksum`: SHA-256.
//!
//! To add a hub: a file beside `model_scope`, a variant of [`Hub`], its prefix in `name`, its
//! endpoint in `settings`.

pub(crate) mod asking;
mod catalogue;
mod checksum;
mod hugging_face;
mod listing;
mod model_scope;
mod name;
mod settings;
mod typed;

pub use catalogue::{FAMILY, KNOWN, KnownModel, QUANTISATIONS, is_open_licence};
pub use checksum::Sha256Sum;
pub use name::{Hub, ModelName, NameError};
pub use settings::HubSettings;
pub(crate) use typed::meant_by;
pub use typed::nearest_of;

use url::Url;

use crate::address::Address;
use crate::error::PullError;
use crate::patience::Trying;
use asking::HubClient;
use listing::{ListedFile, Listing, NoChoice, Wanted};
use settings::Endpoint;

/// The files of a model, and where they come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name under which the model is installed, with its quantisation.
    pub name: String,
    /// Where it comes from, for people.
    pub from: String,
    /// Its licence, if one is stated.
    pub licence: Option<String>,
    /// Its files, at least one.
    pub files: Vec<SourceFile>,
    /// The client that gets them.
    pub(crate) client: HubClient,
}

/// One file of a model.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name on disk.
    pub name: String,
    /// Its size, if the hub says it.
    pub bytes: Option<u64>,
    /// The checksum of its bytes, if the hub says it.
    pub sha256: Option<Sha256Sum>,
    pub(crate) url: Url,
}

/// The quantisation that is used if none is named.
const USUAL_QUANTISATION: &str = "q4_0";

/// Asks the hubs for the files of a model.
///
/// An official model is looked for at the second hub if the first cannot be reached.
///
/// Errors: no model of that name, no connection, a hub that refuses.
pub async fn resolve(
    name: &ModelName,
    settings: &HubSettings,
    trying: &Trying,
) -> Result<Source, PullError> {
    settings.check_online()?;
    let page = settings.page_of_mirror(name);
    let name = page.as_ref().unwrap_or(name);
    match name {
        ModelName::Known { model, quantisation } => {
            let wanted = match quantisation {
                Some(named) => Wanted::Named(named),
                None => Wanted::Usual(model.quantisation),
            };
            known(model, wanted, settings, trying).await
        }
        ModelName::Repository { hub, owner, repository, revision, file } => {
            let question = Question {
                hub: *hub,
                owner,
                repository,
                revision: revision.as_deref(),
                wanted: file.as_deref().map_or(Wanted::Usual(USUAL_QUANTISATION), Wanted::Named),
            };
            let mut source = question.ask(settings, trying).await?;
            source.name = name.to_string();
            Ok(source)
        }
        ModelName::Url { address, sha256 } => {
            let endpoint = Endpoint { address: address.clone(), token: None };
            let client = HubClient::new(None, &endpoint, trying)?;
            let file = SourceFile {
                name: file_name(address.url()),
                bytes: None,
                sha256: *sha256,
                url: address.url().clone(),
            };
            let shown = name.to_string();
            Ok(Source {
                name: shown.clone(),
                from: shown,
                licence: None,
                files: vec![file],
                client,
            })
        }
    }
}

async fn known(
    model: &'static KnownModel,
    wanted: Wanted<'_>,
    settings: &HubSettings,
    trying: &Trying,
) -> Result<Source, PullError> {
    let mut unreachable: Option<PullError> = None;
    for hub in &settings.order {
        let (owner, repository) = model.repository;
        let question = Question { hub: *hub, owner, repository, revision: None, wanted };
        let mut source = match question.ask(settings, trying).await {
            Err(error @ PullError::Unreachable { .. }) => {
                unreachable = Some(error.after(unreachable));
                continue;
            }
            answer => answer?,
        };
        source.name = match quantisation_of(&source.files) {
            Some(found) => format!("{}-{found}", model.name()),
            None => model.name(),
        };
        source.licence = source.licence.or_else(|| Some(model.licence.to_owned()));
        return Ok(source);
    }
    Err(unreachable.expect("at least one hub is asked"))
}

/// The quantisation in the name of the first file.
fn quantisation_of(files: &[SourceFile]) -> Option<&'static str> {
    let name = files.first()?.name.to_ascii_lowercase();
    let mut words = name.trim_end_matches(".gguf").split(['-', '.']);
    words.find_map(|word| Some(QUANTISATIONS.iter().find(|(name, _)| *name == word)?.0))
}

/// The question to one hub.
struct Question<'a> {
    hub: Hub,
    owner: &'a str,
    repository: &'a str,
    revision: Option<&'a str>,
    wanted: Wanted<'a>,
}

/// A repository at a hub.
struct Repository<'a> {
    client: &'a HubClient,
    address: &'a Address,
    owner: &'a str,
    name: &'a str,
    revision: Option<&'a str>,
}

impl Repository<'_> {
    /// Its name, for people.
    fn shown(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

impl Question<'_> {
    async fn ask(&self, settings: &HubSettings, trying: &Trying) -> Result<Source, PullError> {
        let endpoint = settings.endpoint(self.hub);
        let client = HubClient::new(Some(self.hub), endpoint, trying)?;
        let mut repository = Repository {
            client: &client,
            address: &endpoint.address,
            owner: self.owner,
            name: self.repository,
            revision: self.revision,
        };
        let mut listing = match self.hub {
            Hub::HuggingFace => hugging_face::list(&repository).await?,
            Hub::ModelScope => model_scope::list(&repository).await?,
        };
        listing.keep_usable();
        repository.revision = listing.commit.as_deref().or(self.revision);
        let mut files = Vec::new();
        for file in self.choose(&listing, &repository)? {
            files.push(match self.hub {
                Hub::HuggingFace => {
                    let is_told = file.bytes.is_some() && file.sha256.is_some();
                    let url = hugging_face::url(&repository, &file.path);
                    let file = match is_told {
                        true => file,
                        false => hugging_face::look_up(&repository, &file.path).await?,
                    };
                    source_file(url, file)
                }
                Hub::ModelScope => source_file(model_scope::url(&repository, &file.path), file),
            });
        }
        let from = format!("{}: {}", endpoint.address, repository.shown());
        Ok(Source { name: String::new(), from, licence: listing.licence, files, client })
    }

    fn choose(
        &self,
        listing: &Listing,
        repository: &Repository<'_>,
    ) -> Result<Vec<ListedFile>, PullError> {
        let (name, host) = (repository.shown(), repository.client.host().to_owned());
        listing.choose(self.wanted).map_err(|no_choice| match (no_choice, self.wanted) {
            (NoChoice::NotThere(there), Wanted::Named(file)) => {
                PullError::NotFound { what: format!("{name}:{file}"), host, there }
            }
            (NoChoice::NotThere(there), Wanted::Usual(_)) => {
                let what = match there.as_slice() {
                    [] => format!("{name}: a GGUF file or a folder with safetensors"),
                    _ => format!("{name}: the one file to take (name it as {name}:FILE)"),
                };
                PullError::NotFound { what, host, there }
            }
            (NoChoice::MissingPart(part), _) => {
                PullError::NotFound { what: format!("{name}:{part}"), host, there: Vec::new() }
            }
        })
    }
}

fn source_file(url: Url, file: ListedFile) -> SourceFile {
    // Folders inside a repository do not matter: here all files are in one folder.
    let name = file.path.rsplit('/').next().unwrap_or(&file.path).to_owned();
    SourceFile { name, bytes: file.bytes, sha256: file.sha256, url }
}

/// The name of a file that is named by its address.
fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back());
    let usable = last.filter(|name| name::is_path(name));
    usable.map_or_else(|| "model.gguf".to_owned(), str::to_owned)
}
