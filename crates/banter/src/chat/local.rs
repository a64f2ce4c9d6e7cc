//! The server in this process, for a chat that finds none.
//!
//! It is the server of `banter serve`, on a free port of this machine, with the conversations in
//! the person's own folder. It prints nothing and ends with the chat.

use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use banter_remote::Address;
use banter_server::backend::{BackendSlot, EngineBackend};
use banter_server::{Server, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::screen;
use super::terminal;
use super::wrap::Dress;
use crate::config::{Config, RemoteOptions};
use crate::conversation_store::OpenedStore;
use crate::models::library::LocalLibrary;
use crate::models::{self, Chosen};
use crate::{conversation_store, invocation, logging, remote_engine};

/// How long an engine that others run may be unreachable.
const ENGINE_WITHIN: Duration = Duration::from_secs(10);

/// The running server.
pub struct LocalServer {
    /// Its address.
    pub address: Address,
    /// Why conversations are not kept, if they are not.
    pub unkept: Option<String>,
    end: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl LocalServer {
    /// Starts the server, and waits until its model is loaded.
    ///
    /// Errors: the model cannot be loaded, or the store cannot be opened.
    pub async fn start(config: Config) -> anyhow::Result<LocalServer> {
        logging::start_quietly(&config.log)?;
        let model =
            if config.remote.is_some() { None } else { Some(models::find_or_pull(&config)?) };
        let config = Arc::new(config);
        let OpenedStore { store, unkept } =
            conversation_store::open(&config.store, config.access.max_message_bytes)?;
        let mut server = Server::new(server_config(&config)).with_store(Arc::new(store));
        let slot = server.slot();
        let library =
            model.map(|start| (Arc::new(LocalLibrary::new(config.clone(), start.clone())), start));
        if let Some((library, start)) = &library {
            server = server.with_models(library.clone(), Some(start.name.clone()));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
        let port = listener.local_addr().context("read the chosen port")?.port();
        let address = Address::parse(&format!("http://127.0.0.1:{port}"))?;
        let (end, ended) = oneshot::channel::<()>();
        let ended = async { ended.await.unwrap_or(()) };
        let task = tokio::spawn(banter_server::run(vec![listener], server, ended));
        match (&config.remote, library) {
            (Some(remote), _) => reach(&config, remote, &slot).await?,
            (None, Some((library, start))) => load(library, start, slot).await?,
            (None, None) => unreachable!("our own engine has a model"),
        }
        Ok(LocalServer { address, unkept, end, task })
    }

    /// Ends the server, and waits until everything is stored.
    pub async fn end(self) {
        // A server that has ended by itself needs no order, and its chat has noticed.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

fn server_config(config: &Config) -> ServerConfig {
    ServerConfig {
        max_message_bytes: config.access.max_message_bytes,
        queue_timeout: config.engine.queue_timeout,
        on_disconnect: config.on_disconnect,
        system_prompt: config.system_prompt.clone(),
        real_model_command: format!("{} --model qwen2.5:7b", invocation::serve_command()),
        ..ServerConfig::default()
    }
}

async fn load(library: Arc<LocalLibrary>, start: Chosen, slot: BackendSlot) -> anyhow::Result<()> {
    let (tell, loaded) = oneshot::channel();
    let name = crate::visible::visible_line(&start.name);
    let work = move || -> anyhow::Result<()> {
        let mut meter = Meter::new(&name);
        let opened = library.open(&start, &mut |progress| {
            slot.set_progress(progress);
            meter.show(progress);
        });
        meter.clear();
        let (engine, is_demo) = opened?;
        slot.fill(EngineBackend::new(engine, is_demo));
        Ok(())
    };
    std::thread::Builder::new()
        .name("load".to_owned())
        // A chat that has ended needs no model.
        .spawn(move || drop(tell.send(work())))
        .context("start the thread that loads the model")?;
    loaded.await.map_err(|_| anyhow!("the model could not be loaded; the lines before say why"))?
}

async fn reach(config: &Config, remote: &RemoteOptions, slot: &BackendSlot) -> anyhow::Result<()> {
    let filled = remote_engine::fill(config, remote, slot);
    match tokio::time::timeout(ENGINE_WITHIN, filled).await {
        Ok(filled) => filled.map(drop),
        Err(_) => {
            let place = config.places.get("engine").map_or("--engine", String::as_str);
            Err(anyhow!(
                "{place}: {}: the engine cannot be reached; check that it runs at that address",
                remote.address
            ))
        }
    }
}

/// A line on a terminal that says how much of a model is loaded, and goes away.
struct Meter<'a> {
    name: &'a str,
    shown: Option<u32>,
    is_visible: bool,
}

impl Meter<'_> {
    fn new(name: &str) -> Meter<'_> {
        let is_visible = std::io::stdout().is_terminal() && terminal::dress() != Dress::None;
        Meter { name, shown: None, is_visible }
    }

    fn show(&mut self, progress: f32) {
        let percent = (progress * 100.0) as u32;
        if self.is_visible && self.shown != Some(percent) {
            self.shown = Some(percent);
            let line = format!("loading {} {percent} %", self.name);
            let room = terminal::width().saturating_sub(1);
            let line: String = line.chars().take(room).collect();
            // If stdout is closed, the chat notices soon.
            let _ = screen::put(&format!("\r\x1b[2K{line}"));
        }
    }

    fn clear(&mut self) {
        if self.shown.is_some() {
            let _ = screen::put("\r\x1b[2K");
        }
    }
}
