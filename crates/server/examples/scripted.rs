//! The whole server in front of a scripted backend, for tests of the page and of clients.
//!
//! `cargo run -p banter-server --example scripted -- --port 0 [--allow-file-pages] [--key KEY]
//! [--public-url URL] [--allow-origin ORIGIN] [--data FOLDER] [--demo] [--loading]`
//!
//! What the newest message says decides the answer: see `backend/scripted.rs`.

use banter_server::backend::ScriptedBackend;
use banter_server::{KeyHash, Origin, PublicUrl, Server, ServerConfig, run};
use banter_store::{Place, Store, StoreConfig};
use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longer than any test: a title that the model writes would come sooner or later, depending on how
/// fast the machine is.
const TITLE_IDLE: Duration = Duration::from_hours(24);

struct Arguments {
    port: u16,
    /// The backend never arrives.
    loading: bool,
    /// It passes itself off as the demo model.
    demo: bool,
    /// Where conversations and keys are kept.
    data: Option<PathBuf>,
    config: ServerConfig,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let colour = std::io::stderr().is_terminal();
    // A log that cannot be written is no reason to end.
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour);
    log.log_internal_errors(false).init();
    let Arguments { port, loading, demo, data, config } = arguments()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let port = listener.local_addr()?.port();
    let mut listeners = vec![listener];
    // Browsers may try the other loopback first.
    listeners.extend(TcpListener::bind(("::1", port)).await.ok());
    let mut server = Server::new(config);
    if let Some(folder) = data {
        let store = Store::open(StoreConfig::new(Place::Folder(folder)))?;
        server = server.with_store(Arc::new(store));
    }
    if !loading {
        let backend = if demo { ScriptedBackend::demo() } else { ScriptedBackend::default() };
        server.slot().fill(backend);
    }
    let line = format!("ready http://localhost:{port} model=scripted weights=0B cache=0B in 0.0 s");
    println!("{line}");
    eprintln!("{line}");
    run(listeners, server, ended()).await?;
    Ok(())
}

/// Ctrl-C or SIGTERM.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be handled");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Lets `/echo` hear what no conversation needs: messages of 16 MB in fragments of 64 bytes.
fn allow_large_echoes(config: &mut ServerConfig) {
    const LARGE: usize = 64 << 20;
    config.max_message_bytes = LARGE;
    config.max_outbound_bytes = LARGE;
    config.max_total_message_bytes = 4 * LARGE;
    config.free_fragments = usize::MAX;
    config.max_control_frames_per_second = u32::MAX;
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let config = ServerConfig { title_idle: TITLE_IDLE, ..ServerConfig::default() };
    let mut arguments = Arguments { port: 0, loading: false, demo: false, data: None, config };
    let config = &mut arguments.config;
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{option}: expected a value"));
        match option.as_str() {
            "--port" => arguments.port = value()?.parse()?,
            "--key" => config.keys.push(KeyHash::of(&value()?)),
            "--public-url" => config.public_urls.push(PublicUrl::parse(&value()?)?),
            "--allow-origin" => config.allow_origins.push(Origin::parse(&value()?)?),
            "--max-connections" => config.max_connections = value()?.parse()?,
            "--allow-file-pages" => config.allow_file_pages = true,
            "--insecure" => config.insecure = true,
            "--data" => arguments.data = Some(value()?.into()),
            "--demo" => arguments.demo = true,
            "--loading" => arguments.loading = true,
            "--large-echoes" => allow_large_echoes(config),
            _ => return Err(format!("{option}: unknown option").into()),
        }
    }
    Ok(arguments)
}
