//! `banter serve`: from the first socket to the last goodbye.
//!
//! The sockets open at once and say that the model is loading; loading runs on a thread of its own;
//! a signal ends everything in order, a second one at once.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Instant;

use anyhow::Context;
use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::model_file::ModelSource;
use banter_engine::{Isa, KvType};
use banter_server::access::make_key;
use banter_server::backend::{BackendSlot, EngineBackend};
use banter_server::{KeyHash, Origin, PublicUrl, Server, ServerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::config::{AccessOptions, Config, KvChoice};
use crate::ready_line::{self, ReadyLine};
use crate::{invocation, listen, logging};

/// The demo model, so that a first conversation needs no download.
const DEMO_MODEL: ModelSource = ModelSource::Embedded {
    name: "the embedded demo model",
    bytes: include_bytes!("../assets/banter-demo.gguf"),
};

/// Threads for sockets; the engine has its own.
const SOCKET_THREADS: usize = 2;

/// Descriptors beside those of connections: the model's files, the log, the runtime's own.
const OTHER_DESCRIPTORS: usize = 64;

/// Serves until a signal ends it.
///
/// Errors: the log, the sockets or the model cannot be opened.
pub fn run(config: Config) -> anyhow::Result<()> {
    let started = Instant::now();
    logging::start(&config.log)?;
    let access = Access::of(&config)?;
    let listeners = listen::bind(&config.listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SOCKET_THREADS)
        .enable_all()
        .build()
        .context("start the threads for sockets")?;
    runtime.block_on(serve(config, access, listeners, started))
}

async fn serve(
    config: Config,
    access: Access,
    listeners: Vec<TcpListener>,
    started: Instant,
) -> anyhow::Result<()> {
    let url = access.address(&listeners)?;
    let server_config = access.server_config(&config);
    raise_descriptor_limit(&server_config);
    let server = Server::new(server_config);
    let greeting = access.greeting(&url, &server.sessions().make_code());
    let (failed, failure) = oneshot::channel();
    let loading = Loading { config, slot: server.slot(), url, greeting, started };
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            if let Err(error) = loading.run() {
                // Nobody listens when a signal came first; then nobody needs to know.
                let _ = failed.send(error);
            }
        })
        .context("start the thread that loads the model")?;

    let mut outcome = Ok(());
    let ended = async {
        tokio::select! {
            () = signalled() => {}
            Ok(error) = failure => outcome = Err(error),
        }
        tokio::spawn(force_on_second_signal());
    };
    banter_server::run(in_runtime(listeners)?, server, ended).await.context("serve")?;
    outcome
}

/// Raises this process's limit of open descriptors to what its connections need, where it is lower
/// and the system allows it; the usual one is 1,024.
fn raise_descriptor_limit(config: &ServerConfig) {
    let needed = (config.max_connections + config.max_refusals + OTHER_DESCRIPTORS) as u64;
    match rlimit::Resource::NOFILE.get_soft() {
        Ok(limit) if limit >= needed => return,
        _ => {}
    }
    let limit = rlimit::increase_nofile_limit(needed).unwrap_or(0);
    if limit < needed {
        let connections = config.max_connections;
        warn!(
            limit,
            needed,
            connections,
            "too few descriptors: raise `ulimit -Hn` or lower --max-connections"
        );
    }
}

/// What it takes to load the model while the sockets are open already.
struct Loading {
    config: Config,
    slot: BackendSlot,
    url: String,
    greeting: Vec<String>,
    started: Instant,
}

impl Loading {
    fn run(self) -> anyhow::Result<()> {
        let engine = Engine::open(engine_config(&self.config)?, &mut |progress| {
            self.slot.set_progress(progress.fraction);
        })?;
        let loaded = engine.info();
        info!(
            isa = loaded.isa,
            threads = loaded.threads,
            context_tokens = loaded.context_tokens,
            weights = %loaded.weight_types,
            "model loaded"
        );
        let (model, weight_bytes, cache_bytes) =
            (loaded.name.clone(), loaded.weight_bytes, loaded.cache_bytes);
        self.slot.fill(EngineBackend::new(engine));
        ready_line::print(&ReadyLine {
            url: &self.url,
            model: &model,
            weight_bytes,
            cache_bytes,
            after: self.started.elapsed(),
        });
        for line in &self.greeting {
            eprintln!("{line}");
        }
        Ok(())
    }
}

fn engine_config(config: &Config) -> anyhow::Result<EngineConfig> {
    let options = &config.engine;
    let source = config.model.clone().map_or(DEMO_MODEL, ModelSource::Path);
    Ok(EngineConfig {
        context_tokens: options.context_tokens,
        kv_type: match options.kv_type {
            KvChoice::F16 => KvType::F16,
            KvChoice::F32 => KvType::F32,
        },
        kv_memory_bytes: options.kv_memory_bytes,
        threads: options.threads,
        isa: options.isa.as_deref().map(Isa::named).transpose().context("--isa")?,
        queue_limit: options.queue_limit,
        max_sequences: options.max_sequences,
        queue_timeout: options.queue_timeout,
        ..EngineConfig::new(source)
    })
}

/// Who may come in, checked, with the keys that were given or the one that was made.
struct Access {
    public_urls: Vec<PublicUrl>,
    allow_origins: Vec<Origin>,
    keys: Vec<String>,
    made_key: Option<String>,
    insecure: bool,
    host: Option<IpAddr>,
    first_public_url: Option<String>,
}

impl Access {
    fn of(config: &Config) -> anyhow::Result<Access> {
        let AccessOptions { keys, public_urls, allow_origins, insecure, .. } = &config.access;
        let parsed_urls = public_urls
            .iter()
            .map(|url| PublicUrl::parse(url).with_context(|| format!("--public-url {url}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let parsed_origins = allow_origins
            .iter()
            .map(|origin| Origin::parse(origin).with_context(|| format!("--allow-origin {origin}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let host = config.listen.host;
        let is_open = !public_urls.is_empty() || host.is_some_and(|host| !host.is_loopback());
        let made_key = (is_open && keys.is_empty() && !insecure).then(make_key);
        Ok(Access {
            public_urls: parsed_urls,
            allow_origins: parsed_origins,
            keys: keys.iter().chain(&made_key).cloned().collect(),
            made_key,
            insecure: *insecure,
            host,
            first_public_url: public_urls.first().cloned(),
        })
    }

    /// The address to open: the public one, else that of the first socket.
    fn address(&self, listeners: &[TcpListener]) -> anyhow::Result<String> {
        if let Some(url) = &self.first_public_url {
            return Ok(url.clone());
        }
        let local = listeners[0].local_addr().context("read the port")?;
        Ok(match self.host {
            Some(host) if !host.is_unspecified() && !host.is_loopback() => {
                format!("http://{}", SocketAddr::new(host, local.port()))
            }
            _ => format!("http://localhost:{}", local.port()),
        })
    }

    /// What is said below the ready line, about keys and the lack of them.
    fn greeting(&self, url: &str, code: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(key) = &self.made_key {
            lines.push(format!("key    {key}   (made for this start; set BANTER_KEY to keep one)"));
        }
        if !self.keys.is_empty() {
            let url = url.trim_end_matches('/');
            lines.push(format!(
                "open   {url}/#code={code}   (signs one browser in, for 10 minutes)"
            ));
        }
        if self.insecure {
            lines.push("insecure: whoever reaches this server may use it without a key".to_owned());
        }
        lines
    }

    fn server_config(&self, config: &Config) -> ServerConfig {
        let is_reachable = self.host.is_some_and(|host| !host.is_loopback());
        if is_reachable && self.public_urls.is_empty() {
            warn!("no --public-url: other machines are refused until their address is named");
        }
        let options = &config.access;
        ServerConfig {
            public_urls: self.public_urls.clone(),
            allow_origins: self.allow_origins.clone(),
            keys: self.keys.iter().map(|key| KeyHash::of(key)).collect(),
            allow_file_pages: options.allow_file_pages,
            insecure: options.insecure,
            max_connections: options.max_connections,
            max_message_bytes: options.max_message_bytes,
            queue_timeout: config.engine.queue_timeout,
            demo_model: config.model.is_none(),
            real_model_command: format!("{} --model FILE", invocation::serve_command()),
            ..ServerConfig::default()
        }
    }
}

fn in_runtime(listeners: Vec<TcpListener>) -> anyhow::Result<Vec<tokio::net::TcpListener>> {
    let convert = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    listeners.into_iter().map(convert).collect::<std::io::Result<_>>().context("listen")
}

/// Ready when someone asks for the end: Ctrl-C or SIGTERM.
async fn signalled() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Someone who asks twice does not want to wait.
async fn force_on_second_signal() {
    signalled().await;
    std::process::exit(130);
}
