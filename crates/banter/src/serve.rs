//! `banter serve`: the server from its start to its end.
//!
//! The sockets are open at once and say that the model is loading. Loading has a thread of its own.
//! A signal ends everything in order, a second signal ends it at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use banter_seam::Tracer;
use banter_server::access::{Scope, make_key};
use banter_server::backend::{BackendSlot, EngineBackend};
use banter_server::qr::QrCode;
use banter_server::{KeyHash, PublicUrl, Server, ServerConfig};
use banter_store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::config::{AccessOptions, Config, TlsChoice};
use crate::conversation_store::OpenedStore;
use crate::models::Chosen;
use crate::models::library::LocalLibrary;
use crate::ready_line::{self, Loaded, ReadyLine};
use crate::tls::{Encryption, Names};
use crate::{
    conversation_store, free_memory, invocation, listen, logging, models, output, remote_engine,
    sandbox,
};

/// Threads for sockets; the engine has its own.
const SOCKET_THREADS: usize = 2;

/// File descriptors besides those of connections: for the model's files, the log and the runtime.
const OTHER_DESCRIPTORS: usize = 64;

/// With fewer file descriptors no server starts. A start takes some 25 of them.
const LEAST_DESCRIPTORS: u64 = 40;

/// Serves until a signal ends it.
///
/// Errors: the log, the sockets or the model cannot be opened.
pub fn run(config: Config) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    expect_descriptors()?;
    // Before anything is opened, because a pull may take hours or be declined.
    let model = if config.remote.is_some() { None } else { Some(models::find_or_pull(&config)?) };
    // Before any thread starts that stays.
    if config.has_sandbox {
        sandbox::enter(&config);
    }
    let started = Instant::now();
    let listeners = listen::bind(&config.listen)?;
    let access = Access::of(&config, &listeners)?;
    let store = Arc::new(open_store(&config)?);
    let encryption = Encryption::of(&config.tls, || access.names(), config.store.folder())?;
    let tracer = tracer()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SOCKET_THREADS)
        .enable_all()
        .build()
        .context("start the threads for sockets")?;
    let parts = Parts {
        config,
        model,
        access,
        encryption,
        store: store.clone(),
        tracer: tracer.clone(),
        listeners,
        started,
    };
    let outcome = runtime.block_on(serve(parts));
    drop(runtime);
    if let Some(tracer) = tracer {
        tracer.end();
    }
    // Closing it writes the rest to disk, so nothing else may hold it.
    drop(store);
    outcome
}

/// Records traces if the environment names a collector, and this build can.
///
/// Errors: a variable is wrong.
fn tracer() -> anyhow::Result<Option<Arc<dyn Tracer>>> {
    #[cfg(feature = "opentelemetry")]
    if let Some(traces) = banter_remote::traces::Traces::from_environment()? {
        info!("answers are traced for the collector that OTEL_EXPORTER_OTLP_ENDPOINT names");
        return Ok(Some(Arc::new(traces)));
    }
    #[cfg(not(feature = "opentelemetry"))]
    if banter_remote::traces::are_wanted() {
        warn!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build records no traces; build it with \
             `--features opentelemetry`, or unset the variable"
        );
    }
    Ok(None)
}

fn open_store(config: &Config) -> anyhow::Result<Store> {
    let OpenedStore { store, unkept } =
        conversation_store::open(&config.store, config.access.max_message_bytes)?;
    if let Some(reason) = unkept {
        warn!("conversations are kept in memory only: {reason}");
    }
    let answers = store.interrupted_answers();
    if answers > 0 {
        info!(
            answers,
            "answers were being written when the last server ended; their text up to then is kept"
        );
    }
    Ok(store)
}

/// The parts from which the server begins.
struct Parts {
    config: Config,
    model: Option<Chosen>,
    access: Access,
    encryption: Option<Encryption>,
    store: Arc<Store>,
    tracer: Option<Arc<dyn Tracer>>,
    listeners: Vec<TcpListener>,
    started: Instant,
}

async fn serve(parts: Parts) -> anyhow::Result<()> {
    let Parts { config, model, access, encryption, store, tracer, listeners, started } = parts;
    let url = access.address(&listeners)?;
    let mut server_config = access.server_config(&config);
    server_config.tls = encryption.as_ref().map(|encryption| encryption.tls.clone());
    let addresses = access.addresses_elsewhere(&listeners, &url)?;
    server_config.address_elsewhere = addresses.first().filter(|_| access.is_reachable).cloned();
    raise_descriptor_limit(&server_config);
    tokio::spawn(free_memory::keep_giving_back());
    let config = Arc::new(config);
    let mut server = Server::new(server_config).with_store(store);
    if let Some(tracer) = tracer {
        server = server.with_tracer(tracer);
    }
    let code = server.sessions().make_code(access.scope_of_link());
    let mut greeting = access.greeting(&addresses, &code);
    if let Some(encryption) = encryption {
        greeting.extend(encryption.greeting());
        tokio::spawn(encryption.watch());
    }
    let model =
        model.map(|start| (Arc::new(LocalLibrary::new(config.clone(), start.clone())), start));
    if let Some((library, start)) = &model {
        server = server.with_models(library.clone(), Some(start.name.clone()));
    }
    let loading = Loading { config, model, slot: server.slot(), url, greeting, started };
    let failure = async {
        match loading.run().await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };

    let mut outcome = Ok(());
    let ended = async {
        tokio::select! {
            () = signalled() => info!("shutting down"),
            error = failure => outcome = Err(error),
        }
        tokio::spawn(force_on_second_signal());
    };
    banter_server::run(in_runtime(listeners)?, server, ended).await.context("serve")?;
    outcome
}

/// Errors: the system allows too few descriptors for a start and a few connections. With fewer, the
/// parts of the program would fail one after another, each in its own words.
fn expect_descriptors() -> anyhow::Result<()> {
    let most = rlimit::Resource::NOFILE.get_hard().context("read the limit of descriptors")?;
    if most < LEAST_DESCRIPTORS {
        bail!(
            "file descriptors: expected a limit of at least {LEAST_DESCRIPTORS}, found {most}; \
             raise the limit with `ulimit -n`"
        );
    }
    Ok(())
}

/// Raises the process's limit of file descriptors to what the connections need, if the system
/// allows it. The usual limit is 1,024.
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
            "the system allows too few file descriptors for --max-connections; raise `ulimit -Hn` or lower --max-connections"
        );
    }
}

/// Loads the model, or finds the other engine, while the sockets are open already.
struct Loading {
    config: Arc<Config>,
    /// `None` if another engine computes.
    model: Option<(Arc<LocalLibrary>, Chosen)>,
    slot: BackendSlot,
    url: String,
    greeting: Vec<String>,
    started: Instant,
}

impl Loading {
    async fn run(self) -> anyhow::Result<()> {
        let greeting = match &self.config.remote {
            Some(remote) => {
                let Loading { config, slot, url, started, .. } = &self;
                remote_engine::connect(config, remote, slot, url, *started).await?;
                self.greeting
            }
            None => self.load_on_a_thread().await?,
        };
        for line in &greeting {
            output::tell(line);
        }
        Ok(())
    }

    async fn load_on_a_thread(self) -> anyhow::Result<Vec<String>> {
        let (tell, loaded) = oneshot::channel();
        std::thread::Builder::new()
            .name("load".to_owned())
            // After a signal nobody listens, and nobody needs to know.
            .spawn(move || drop(tell.send(self.load().map(|()| self.greeting))))
            .context("start the thread that loads the model")?;
        let failed = "the model could not be loaded; the lines before say why";
        loaded.await.map_err(|_| anyhow!(failed))?
    }

    fn load(&self) -> anyhow::Result<()> {
        let (library, start) = self.model.as_ref().expect("our own engine has a model");
        let (engine, is_demo) =
            library.open(start, &mut |progress| self.slot.set_progress(progress))?;
        let loaded = engine.info();
        let (model, weight_bytes, cache_bytes) =
            (loaded.name.clone(), loaded.weight_bytes, loaded.cache_bytes);
        self.slot.fill(EngineBackend::new(engine, is_demo));
        ready_line::print(&ReadyLine {
            url: &self.url,
            model: &model,
            loaded: Loaded::Here { weight_bytes, cache_bytes },
            after: self.started.elapsed(),
        });
        Ok(())
    }
}

/// Who may use the server: the configured keys, and the key that was made because there was none.
struct Access {
    /// How addresses of this machine begin: `http` or `https`.
    scheme: &'static str,
    public_urls: Vec<PublicUrl>,
    keys: Vec<String>,
    admin_keys: Vec<String>,
    made_key: Option<String>,
    insecure: bool,
    is_reachable: bool,
    shows_qr: bool,
}

impl Access {
    fn of(config: &Config, listeners: &[TcpListener]) -> anyhow::Result<Access> {
        let AccessOptions { keys, admin_keys, public_urls, insecure, .. } = &config.access;
        let scheme = if config.tls == TlsChoice::Off { "http" } else { "https" };
        let host = config.listen.host.filter(|host| !is_localhost(*host));
        let mut public_urls = public_urls.clone();
        // An operator who names one address to listen on expects to be reached there.
        if let Some(host) = host.filter(|host| public_urls.is_empty() && !host.is_unspecified()) {
            let address = SocketAddr::new(host, port_of(listeners)?);
            public_urls.push(PublicUrl::parse(&format!("{scheme}://{address}"))?);
        }
        let is_reachable = host.is_some() || !public_urls.is_empty();
        let has_keys = !keys.is_empty() || !admin_keys.is_empty();
        let made_key = (is_reachable && !has_keys && !insecure).then(make_key);
        Ok(Access {
            scheme,
            public_urls,
            keys: keys.clone(),
            // Only the person who has started the server sees the made key.
            admin_keys: admin_keys.iter().chain(&made_key).cloned().collect(),
            made_key,
            insecure: *insecure,
            is_reachable,
            shows_qr: config.shows_qr,
        })
    }

    /// The address to open: the public one, or else that of this machine.
    fn address(&self, listeners: &[TcpListener]) -> anyhow::Result<String> {
        match self.public_urls.first() {
            Some(url) if url.base_path().is_empty() => Ok(url.origin().to_string()),
            Some(url) => Ok(url.to_string()),
            None => Ok(format!("{}://localhost:{}", self.scheme, port_of(listeners)?)),
        }
    }

    /// The addresses for people on other machines: the public one, or else those of the machine, if
    /// the server listens at all of them.
    fn addresses_elsewhere(
        &self,
        listeners: &[TcpListener],
        url: &str,
    ) -> anyhow::Result<Vec<String>> {
        let bound = listeners[0].local_addr().context("read the address")?;
        let of_network = if self.public_urls.is_empty() && bound.ip().is_unspecified() {
            listen::addresses_in_the_network(bound)
        } else {
            Vec::new()
        };
        if of_network.is_empty() {
            return Ok(vec![url.trim_end_matches('/').to_owned()]);
        }
        let scheme = self.scheme;
        Ok(of_network.iter().map(|address| format!("{scheme}://{address}")).collect())
    }

    /// The names that a certificate made here has.
    fn names(&self) -> Names {
        let host = |url: &PublicUrl| {
            Some(
                url::Url::parse(&url.to_string()).ok()?.host_str()?.trim_matches(['[', ']']).into(),
            )
        };
        Names::of_this_machine(self.public_urls.iter().filter_map(host))
    }

    /// The lines below the ready line, about keys and links.
    fn greeting(&self, urls: &[String], code: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(key) = &self.made_key {
            lines.push(format!("key    {key}   (made for this start; set BANTER_KEY to have the same one at each start)"));
        }
        let has_keys = !self.keys.is_empty() || !self.admin_keys.is_empty();
        if let Some((url, others)) = urls.split_first().filter(|_| has_keys) {
            let link = format!("{url}/#code={code}");
            if let Some(code) = QrCode::of(&link).filter(|_| self.shows_qr) {
                lines.extend(code.lines());
            }
            lines.push(format!("open   {link}   (signs one browser in, for 10 minutes)"));
            lines.extend(others.iter().map(|other| format!("or     {other}")));
        } else if self.is_reachable {
            lines.extend(urls.iter().map(|url| format!("open   {url}")));
        }
        if self.insecure {
            lines.push(
                "insecure: everyone who can reach this server can use it without a key".to_owned(),
            );
        }
        lines
    }

    /// The scope of a printed link: the highest that a key gives.
    fn scope_of_link(&self) -> Scope {
        if self.admin_keys.is_empty() { Scope::Talk } else { Scope::Administer }
    }

    fn server_config(&self, config: &Config) -> ServerConfig {
        let options = &config.access;
        ServerConfig {
            public_urls: self.public_urls.clone(),
            allow_origins: options.allow_origins.clone(),
            keys: hashes(&self.keys),
            admin_keys: hashes(&self.admin_keys),
            switch_on_request: options.switch_on_request,
            allow_file_pages: options.allow_file_pages,
            well_known: options.well_known.clone(),
            insecure: options.insecure,
            trusted_proxies: options.trusted_proxies.clone(),
            max_connections: options.max_connections,
            max_connections_per_address: options.max_connections_per_address,
            header_timeout: options.header_timeout,
            idle_timeout: options.idle_timeout,
            max_message_bytes: options.max_message_bytes,
            queue_timeout: config.engine.queue_timeout,
            on_disconnect: config.on_disconnect,
            system_prompt: config.system_prompt.clone(),
            real_model_command: format!("{} --model qwen2.5:7b", invocation::serve_command()),
            ..ServerConfig::default()
        }
    }
}

fn hashes(keys: &[String]) -> Vec<KeyHash> {
    keys.iter().map(|key| KeyHash::of(key)).collect()
}

/// Whether `localhost` means this address. 127.0.0.2 is not one of them.
fn is_localhost(host: IpAddr) -> bool {
    host == Ipv4Addr::LOCALHOST || host == Ipv6Addr::LOCALHOST
}

fn port_of(listeners: &[TcpListener]) -> anyhow::Result<u16> {
    Ok(listeners[0].local_addr().context("read the port")?.port())
}

fn in_runtime(listeners: Vec<TcpListener>) -> anyhow::Result<Vec<tokio::net::TcpListener>> {
    let convert = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    listeners.into_iter().map(convert).collect::<std::io::Result<_>>().context("listen")
}

/// Ready when somebody asks for the end: by Ctrl-C, by SIGTERM, or by closing the terminal
/// (SIGHUP).
async fn signalled() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        _ = terminate.recv() => {}
        () = hung_up() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Ready on SIGHUP. Never ready for a process that ignores it, as one that `nohup` has started.
async fn hung_up() {
    if ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        return std::future::pending().await;
    }
    let mut hangup = signal(SignalKind::hangup()).expect("SIGHUP can be handled");
    let _ = hangup.recv().await;
}

/// Whether a process ignores SIGHUP, by its status file on Linux.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let signals = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let hangup = 1 << (SignalKind::hangup().as_raw_value() - 1);
    signals.is_some_and(|signals| signals & hangup != 0)
}

/// Ends the process at a second signal: somebody who asks twice does not want to wait.
async fn force_on_second_signal() {
    signalled().await;
    std::process::exit(130);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_names_every_address_and_gives_the_code_to_one() {
        let access = |keys: &[&str]| Access {
            scheme: "http",
            public_urls: Vec::new(),
            keys: keys.iter().map(|key| key.to_string()).collect(),
            admin_keys: Vec::new(),
            made_key: None,
            insecure: keys.is_empty(),
            is_reachable: true,
            shows_qr: false,
        };
        let urls = ["http://192.168.1.5:7860", "http://[2001:db8::5]:7860"].map(str::to_owned);
        let with_key = access(&["a-key"]).greeting(&urls, "c0de");
        assert_eq!(with_key.len(), 2, "{with_key:?}");
        assert!(with_key[0].starts_with("open   http://192.168.1.5:7860/#code=c0de "));
        assert_eq!(with_key[1], "or     http://[2001:db8::5]:7860");
        let insecure = access(&[]).greeting(&urls, "c0de");
        assert_eq!(insecure[0], "open   http://192.168.1.5:7860");
        assert!(insecure.iter().all(|line| !line.contains("c0de")), "{insecure:?}");
    }

    #[test]
    fn a_process_that_ignores_hangups_is_known() {
        let status =
            |set: &str| format!("Name:\tbanter\nSigBlk:\t0000000000000001\nSigIgn:\t{set}\n");
        assert!(ignores_hangup(&status("0000000000000001")));
        assert!(ignores_hangup(&status("0000000000001001")));
        for not in ["0000000000001000", "0000000000000002", "x", ""] {
            assert!(!ignores_hangup(&status(not)), "{not}");
        }
        assert!(!ignores_hangup(""));
    }
}
