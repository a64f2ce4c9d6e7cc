//! The checked configuration of `banter serve`.
//!
//! The text of an option becomes a value only here, so all messages about options have the same
//! form: `--port (command line): expected a number from 0 to 65535, found "http"`.

mod conversations;
mod encryption;
mod log;
pub mod values;
mod well_known;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banter_engine::engine::ChatTemplate;
use banter_engine::kv_cache::DiskConfig;
use banter_engine::model_file::Quant;
use banter_engine::{Isa, KvType};
use banter_remote::Address;
use banter_remote::engine::{KINDS, Kind};
use banter_remote::hub::ModelName;
use banter_remote::store::Store;
use banter_server::{OnDisconnect, Origin, PublicUrl, WellKnown};
use ipnet::IpNet;

use crate::options::{Given, OptionError, Options};
use crate::{chat_template, home};
pub use conversations::{StoreChoice, data_folder};
use conversations::{on_disconnect, store};
pub use encryption::TlsChoice;
use encryption::tls;
pub use log::{LogFormat, LogOptions};
use values::{bytes, many, number, optional, path, seconds, switch};
use well_known::well_known;

/// The port, unless another is named.
pub const DEFAULT_PORT: u16 = 7860;

/// The checked options of `banter serve`.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// The model to load; `None` is the demo model in the binary.
    pub model: Option<ModelChoice>,
    /// The draft model that guesses for it.
    pub draft_model: Option<ModelChoice>,
    /// The engine of somebody else that computes in place of ours.
    pub remote: Option<RemoteOptions>,
    /// Whether a model that is not here yet is pulled without asking.
    pub yes: bool,
    /// The folder of pulled models. Without a home folder and without the option it is an error,
    /// which is told only when the folder is needed.
    pub models_dir: Result<PathBuf, OptionError>,
    /// How much disk space all pulled models may take, when the page pulls another one.
    pub max_models_disk_bytes: Option<u64>,
    /// The system message of conversations that have none.
    pub system_prompt: Option<String>,
    /// What makes the prompts of the model of the start, in place of its own template.
    pub chat_template: Option<ChatTemplate>,
    /// Where to listen.
    pub listen: Listen,
    /// Whether the start shows a link for other devices as a QR code.
    pub shows_qr: bool,
    /// What the engine may use.
    pub engine: EngineOptions,
    /// Who may use the server, and how many may.
    pub access: AccessOptions,
    /// The certificate of https.
    pub tls: TlsChoice,
    /// Where conversations are kept.
    pub store: StoreChoice,
    /// What becomes of an answer whose reader is gone.
    pub on_disconnect: OnDisconnect,
    /// What is logged, and where besides stderr.
    pub log: LogOptions,
    /// Whether the server gives up the right to files that it does not need.
    pub has_sandbox: bool,
    /// Warnings about the environment and the configuration file, for the log.
    pub warnings: Vec<String>,
    /// How a message names each option that was given. Some options can only be checked when the
    /// model is loaded.
    pub places: BTreeMap<&'static str, String>,
}

/// A model to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// A file or a folder.
    Path(PathBuf),
    /// A model of a hub, already pulled or not.
    Name {
        /// Its name.
        name: ModelName,
        /// The text that the user typed, which may have been meant as a path.
        given: String,
    },
}

/// An engine that somebody else runs.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Its address.
    pub address: Address,
    /// Its kind; found out if `None`.
    pub kind: Option<Kind>,
    /// Which of its models to use.
    pub model: Option<String>,
    /// The key that it needs.
    pub key: Option<String>,
    /// How many requests it may have at a time; its kind decides if `None`.
    pub queue_limit: Option<usize>,
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RemoteOptions { address, kind, model, .. } = self;
        write!(formatter, "RemoteOptions({address}, {kind:?}, {model:?})")
    }
}

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
pub struct Listen {
    /// One address; `None` is loopback: IPv4, and IPv6 if the machine has it.
    pub host: Option<IpAddr>,
    /// The port; 0 takes any free one.
    pub port: u16,
}

/// What the engine may use; `None` leaves the choice to the engine.
#[derive(Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Longest conversation in tokens.
    pub context_tokens: Option<usize>,
    /// Memory for cached keys and values in bytes.
    pub kv_memory_bytes: Option<u64>,
    /// Where keys and values are kept on disk.
    pub kv_disk: Option<DiskConfig>,
    /// What float weights are converted to when they are loaded.
    pub quant: Option<Quant>,
    /// The type in which keys and values are kept.
    pub kv_type: KvType,
    /// Threads that compute.
    pub threads: Option<NonZeroUsize>,
    /// Instruction set by name.
    pub isa: Option<String>,
    /// Answers computed at the same time.
    pub max_sequences: usize,
    /// Requests that may wait.
    pub queue_limit: usize,
    /// Longest wait in the queue.
    pub queue_timeout: Duration,
    /// The longest pause of an answer because of prompts of others.
    pub max_gap: Duration,
    /// Whether several tokens of an answer are guessed and computed at once.
    pub speculation: bool,
}

/// Who may come in, and how many.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessOptions {
    /// Keys for using the server.
    pub keys: Vec<String>,
    /// Keys that also allow to change it.
    pub admin_keys: Vec<String>,
    /// Addresses at which people on other machines open it.
    pub public_urls: Vec<PublicUrl>,
    /// Web sites whose pages may use it.
    pub allow_origins: Vec<Origin>,
    /// Whether a request that names another installed model loads it.
    pub switch_on_request: bool,
    /// Whether pages opened from disk may use it.
    pub allow_file_pages: bool,
    /// Files at the root.
    pub well_known: Vec<WellKnown>,
    /// Whether other machines may use it without a key.
    pub insecure: bool,
    /// Longest WebSocket message in bytes.
    pub max_message_bytes: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Open connections.
    pub max_connections: usize,
    /// Open connections from one address.
    pub max_connections_per_address: usize,
    /// Longest time for the head of a request.
    pub header_timeout: Duration,
    /// How long a connection is kept without a further request.
    pub idle_timeout: Duration,
}

impl Config {
    /// Checks every option.
    ///
    /// Errors: the first option with a wrong value: its source, what was expected and what was
    /// found.
    pub fn check(options: &Options) -> Result<Config, OptionError> {
        // A wrong value is an error at once; a missing home folder is one only when the folder is
        // needed.
        path(options, "models-dir")?;
        let config = Config {
            model: model(options, "model")?,
            draft_model: draft_model(options)?,
            remote: remote(options)?,
            yes: switch(options, "yes")?,
            models_dir: models_dir(options),
            max_models_disk_bytes: bytes(options, "max-models-disk", 1 << 20, 1 << 50)?,
            system_prompt: optional(options, "system-prompt", "a text", |text| {
                (!text.trim().is_empty()).then(|| text.to_string())
            })?,
            chat_template: chat_template(options)?,
            listen: listen(options)?,
            shows_qr: switch(options, "lan")?,
            engine: engine(options)?,
            access: access(options)?,
            tls: tls(options)?,
            store: store(options)?,
            on_disconnect: on_disconnect(options)?,
            log: log::log(options)?,
            has_sandbox: !switch(options, "no-sandbox")?,
            warnings: options.warnings().to_vec(),
            places: options.places(),
        };
        Ok(config)
    }

    /// The folder of pulled models.
    ///
    /// Errors: no folder is named, and there is no home folder.
    pub fn store(&self) -> Result<Store, OptionError> {
        self.models_dir.clone().map(Store::new)
    }
}

/// Reads a model: a text that exists as a path is a path, any other may be a name.
///
/// Errors: it is neither a path nor a name.
fn model(options: &Options, option: &str) -> Result<Option<ModelChoice>, OptionError> {
    let Some(path) = path(options, option)? else { return Ok(None) };
    let given = path.to_string_lossy().into_owned();
    // A pipe would be waited for, and a device may have no end.
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let place = options.get(option).map(Given::place).unwrap_or_default();
        return Err(OptionError(format!(
            "{place}: expected a file, a folder or the name of a model, found a pipe or a device: \
             {given}"
        )));
    }
    if path.exists() || !ModelName::is_meant_by(&given) && is_like_a_path(&path) {
        return Ok(Some(ModelChoice::Path(path)));
    }
    match ModelName::parse(&given) {
        Ok(name) => Ok(Some(ModelChoice::Name { name, given })),
        Err(error) => {
            let place = options.get(option).map(Given::place).unwrap_or_default();
            let is_name = ModelName::is_meant_by(&given);
            let no_path = if is_name { "" } else { "no file or folder has this name; " };
            Err(OptionError(format!("{place}: {no_path}{error}")))
        }
    }
}

/// Whether a text was meant as a path, although nothing is there.
fn is_like_a_path(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let lower = text.to_ascii_lowercase();
    let is_written_so = text.starts_with(['/', '.', '~', '$']) || text.contains('\\');
    let is_file = [".gguf", ".safetensors", ".bin"].iter().any(|ending| lower.ends_with(ending));
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    is_written_so || is_file || parent.is_some_and(Path::is_dir)
}

fn draft_model(options: &Options) -> Result<Option<ModelChoice>, OptionError> {
    let chosen = model(options, "draft-model")?;
    if let (Some(_), true) = (&chosen, switch(options, "no-speculation")?) {
        let place = options.get("draft-model").map(Given::place).unwrap_or_default();
        return Err(OptionError(format!(
            "{place}: a draft model is not used with --no-speculation; leave one of the two out"
        )));
    }
    Ok(chosen)
}

fn chat_template(options: &Options) -> Result<Option<ChatTemplate>, OptionError> {
    let Some(path) = path(options, "chat-template")? else { return Ok(None) };
    chat_template::read(&path).map(Some).map_err(|error| {
        let place = options.get("chat-template").map(Given::place).unwrap_or_default();
        OptionError(format!("{place}: {error}"))
    })
}

fn listen(options: &Options) -> Result<Listen, OptionError> {
    let host =
        optional(options, "host", "an IP address, as 127.0.0.1 or ::", |text| text.parse().ok())?;
    let is_lan = switch(options, "lan")?;
    if let (Some(_), true) = (host, is_lan) {
        let place = options.get("lan").map(Given::place).unwrap_or_default();
        return Err(OptionError(format!(
            "{place}: expected no --host together with it, found one; it listens on every address of this machine"
        )));
    }
    Ok(Listen {
        host: host.or(is_lan.then_some(Ipv4Addr::UNSPECIFIED.into())),
        port: number(options, "port", 0, u64::from(u16::MAX))?
            .map_or(DEFAULT_PORT, |port| port as u16),
    })
}

/// The options that only our engine has.
const OF_OUR_ENGINE: [&str; 16] = [
    "model",
    "chat-template",
    "yes",
    "max-models-disk",
    "ctx",
    "kv-memory",
    "kv-disk",
    "kv-disk-size",
    "quant",
    "kv-type",
    "threads",
    "isa",
    "max-sequences",
    "max-gap-ms",
    "draft-model",
    "no-speculation",
];

fn remote(options: &Options) -> Result<Option<RemoteOptions>, OptionError> {
    let Some(given) = options.get("engine") else {
        let orphan = ["engine-kind", "engine-model", "engine-key"].iter();
        return match orphan.filter_map(|name| options.get(name)).next() {
            Some(orphan) => {
                let place = orphan.place();
                Err(OptionError(format!("{place}: expected --engine together with it, found none")))
            }
            None => Ok(None),
        };
    };
    let place = given.place();
    if let Some(other) = OF_OUR_ENGINE.iter().filter_map(|name| options.get(name)).next() {
        let message = "this is an option of our own engine, and --engine uses another; leave one of the two out";
        return Err(OptionError(format!("{}: {message}", other.place())));
    }
    let text = given.values.first().map_or("", |value| value.trim());
    let address = Address::parse_base(text).map_err(|error| {
        // The part before an @ may be a password.
        let found = if text.contains('@') { "another".to_owned() } else { format!("{text:?}") };
        OptionError(format!("{place}: {error}, found {found}"))
    })?;
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    let visible = |text: &str| {
        let is_visible = !text.is_empty() && !text.chars().any(char::is_control);
        is_visible.then(|| text.to_string())
    };
    Ok(Some(RemoteOptions {
        address,
        kind: optional(options, "engine-kind", &names.join(", "), Kind::named)?,
        model: optional(options, "engine-model", "the name of a model", visible)?,
        key: optional(options, "engine-key", "a key of visible ASCII characters", |text| {
            let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
            (is_visible && !text.is_empty()).then(|| text.to_string())
        })?,
        queue_limit: queue_limit(options)?,
    }))
}

/// The folder of pulled models.
///
/// Errors: no folder is named, and there is no home folder.
pub fn models_dir(options: &Options) -> Result<PathBuf, OptionError> {
    path(options, "models-dir")?.or_else(home::models_dir).ok_or_else(|| {
        let message =
            "models-dir: expected a folder for models, and found no home folder to put it in";
        OptionError(format!("{message}; name one with --models-dir"))
    })
}

fn engine(options: &Options) -> Result<EngineOptions, OptionError> {
    let kv_types = KvType::ALL.map(KvType::name).join(", ");
    let kv_type = optional(options, "kv-type", &format!("one of {kv_types}"), KvType::named)?;
    let quants = Quant::ALL.map(Quant::name).join(", ");
    Ok(EngineOptions {
        context_tokens: number(options, "ctx", 32, 1 << 24)?.map(|tokens| tokens as usize),
        kv_memory_bytes: bytes(options, "kv-memory", 1 << 20, 1 << 46)?,
        kv_disk: kv_disk(options)?,
        quant: optional(options, "quant", &format!("one of {quants}"), Quant::named)?,
        kv_type: kv_type.unwrap_or(KvType::F16),
        threads: number(options, "threads", 1, 1024)?
            .and_then(|threads| NonZeroUsize::new(threads as usize)),
        isa: optional(options, "isa", &format!("one of {}", Isa::NAMES.join(", ")), |text| {
            Isa::NAMES.contains(&text).then(|| text.to_string())
        })?,
        max_sequences: number(options, "max-sequences", 1, 256)?.unwrap_or(16) as usize,
        queue_limit: queue_limit(options)?.unwrap_or(64),
        queue_timeout: seconds(options, "queue-timeout", 120)?,
        max_gap: Duration::from_millis(number(options, "max-gap-ms", 1, 60_000)?.unwrap_or(200)),
        speculation: !switch(options, "no-speculation")?,
    })
}

fn queue_limit(options: &Options) -> Result<Option<usize>, OptionError> {
    Ok(number(options, "queue-limit", 1, 100_000)?.map(|count| count as usize))
}

/// How much the disk cache may take by default.
const DEFAULT_DISK_BYTES: u64 = 8 << 30;

fn kv_disk(options: &Options) -> Result<Option<DiskConfig>, OptionError> {
    let max_bytes = bytes(options, "kv-disk-size", 1 << 20, 1 << 46)?;
    match (path(options, "kv-disk")?, options.get("kv-disk-size")) {
        (Some(folder), _) => {
            Ok(Some(DiskConfig { folder, max_bytes: max_bytes.unwrap_or(DEFAULT_DISK_BYTES) }))
        }
        (None, Some(size)) => {
            let place = size.place();
            Err(OptionError(format!("{place}: expected --kv-disk together with it, found none")))
        }
        (None, None) => Ok(None),
    }
}

fn access(options: &Options) -> Result<AccessOptions, OptionError> {
    let max_connections = number(options, "max-connections", 1, 1_000_000)?.unwrap_or(896) as usize;
    let per_address = number(options, "max-connections-per-address", 1, 1_000_000)?;
    let keys = |name| {
        many(options, name, "a key of at least 8 visible ASCII characters", |text| {
            is_key(text).then(|| text.to_string())
        })
    };
    let access = AccessOptions {
        keys: keys("key")?,
        admin_keys: keys("admin-key")?,
        public_urls: many(
            options,
            "public-url",
            "an http:// or https:// address with a plain path, as https://chat.example.com/chat/",
            |text| PublicUrl::parse(text).ok(),
        )?,
        allow_origins: many(
            options,
            "allow-origin",
            "an origin without path, as https://wiki.example.com or app://obsidian.md",
            |text| Origin::parse(text).ok(),
        )?,
        switch_on_request: switch(options, "switch-on-request")?,
        allow_file_pages: switch(options, "allow-file-pages")?,
        well_known: well_known(options)?,
        insecure: switch(options, "insecure")?,
        max_message_bytes: bytes(options, "max-message", 1024, 64 << 20)?
            .map_or(1 << 20, |bytes| bytes as usize),
        trusted_proxies: many(
            options,
            "trusted-proxy",
            "an IP address or network, as 10.0.0.7 or 10.0.0.0/8",
            |text| text.parse().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into())),
        )?,
        max_connections,
        max_connections_per_address: per_address
            .map_or_else(|| (max_connections / 4).max(32), |count| count as usize),
        header_timeout: seconds(options, "header-timeout", 5)?,
        idle_timeout: seconds(options, "idle-timeout", 90)?,
    };
    if access.insecure && !access.keys.is_empty() {
        let place = options.get("insecure").map(Given::place).unwrap_or_default();
        return Err(OptionError(format!(
            "{place}: expected no key together with it, found one; leave one of the two out"
        )));
    }
    Ok(access)
}

fn is_key(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
