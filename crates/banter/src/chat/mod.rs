//! `banter chat`: a conversation in a terminal, or one question and its answer.
//!
//! It is a client: it speaks `banter.v1` with a server, and asks it for nothing that other programs
//! could not ask for. If no server runs, one runs in this process.
//!
//! Reading order:
//! - [`run`] below: whom to talk to, and in which form. `settings`: the options.
//! - `once`: one question. `interactive`: the conversation; `commands` and `actions`: what begins
//!   with a slash; `save`: files of conversations; `editor`: the line that is typed.
//! - `link`: the socket, which is opened again when it is lost; `session`: what must be remembered
//!   for that; `socket`: frames; `api`: what is asked over HTTP; `local`: the server in this
//!   process.
//! - `screen`: what is shown; `markdown`, `inline`, `wrap`: how;
//!   `terminal`: modes and width.
//! - `plain`: servers of the plain language.

mod actions;
pub mod api;
mod commands;
mod editor;
mod inline;
mod interactive;
mod link;
mod local;
mod markdown;
mod once;
mod plain;
mod save;
mod screen;
mod session;
mod settings;
mod socket;
mod terminal;
mod wrap;

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use banter_protocol::v1::ClientId;
use banter_protocol::v1::client::MessageText;
use banter_protocol::v1::server::Welcome;
use banter_remote::Address;
use banter_remote::server::ServerClient;
use clap::{Arg, ArgMatches, Command};

use crate::config::Config;
use crate::options::{self, OptionError, Options};
use crate::output;
pub use link::Link;
use local::LocalServer;
use once::{Output, Question};
use settings::ENGINE_OPTIONS;
pub use settings::{ChatSettings, Target};
pub use socket::OpenError;

/// The status after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// How long a server may take for a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server of this machine may take to say that it is there.
const PROBE: Duration = Duration::from_secs(1);
/// The longest question that is read from stdin, far above what models take.
const MAX_STDIN_BYTES: u64 = 64 << 20;

/// The subcommand.
pub fn command() -> Command {
    let question = Arg::new("question")
        .value_name("QUESTION")
        .num_args(0..)
        .help("Question to answer once; piped text is added to it [default: a conversation]");
    let of_engine = ENGINE_OPTIONS.into_iter().chain(["log-file", "log", "log-format"]);
    Command::new("chat")
        .about("Talk in this terminal, with a running server or with a model in this process")
        .after_help(
            "With a question, the answer goes to stdout. Exit status: 0 answered, 1 failed, 2 wrong \
             usage, 130 stopped by Ctrl-C.\n\nOptions of the engine, such as --model, run the model \
             in this process. Every option can also be set as BANTER_… in the environment or in the \
             configuration file.",
        )
        .arg(question)
        .args(options::chat_arguments())
        .arg(options::argument("key").help(
            "Key of the server; safer in BANTER_KEY or in the configuration file",
        ))
        .args(of_engine.map(options::argument))
}

/// Talks, and returns the status to exit with.
///
/// Errors: wrong usage, no server, or an answer that failed.
pub fn run(matches: &ArgMatches, options: &Options) -> anyhow::Result<u8> {
    let settings = ChatSettings::check(options)?;
    let question = question(matches)?;
    let is_interactive = question.is_none();
    if is_interactive && settings.json {
        bail!(OptionError("--json: expected a question together with it, found none".to_owned()));
    }
    if is_interactive && !io::stdout().is_terminal() {
        let what = "expected a question, because stdout is no terminal; found none";
        bail!(OptionError(what.to_owned()));
    }
    let modes = terminal::Modes::now().filter(|_| is_interactive);
    let _restored = modes.clone().map(terminal::Restored);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the threads for sockets")?;
    let outcome = runtime.block_on(talk(settings, question, options, modes));
    // A thread that waits for a key would hold up the end.
    runtime.shutdown_background();
    match outcome {
        Err(error) if is_broken_pipe(&error) => Ok(0),
        outcome => outcome,
    }
}

async fn talk(
    settings: ChatSettings,
    question: Option<MessageText>,
    options: &Options,
    modes: Option<terminal::Modes>,
) -> anyhow::Result<u8> {
    if let Target::Plain { address, idle_end } = &settings.target {
        let server = plain::PlainServer::new(address, &settings, *idle_end)?;
        return match (question, modes) {
            (Some(question), _) => plain::ask(server, question.as_str()).await,
            (None, modes) => plain::talk(server, modes).await,
        };
    }
    let Found { client, local } = find_server(&settings, options).await?;
    if let Some(reason) = local.as_ref().and_then(|local| local.unkept.as_ref()) {
        output::tell(&format!("banter: conversations are not kept: {reason}"));
    }
    let outcome = match (question, modes) {
        (Some(text), _) => {
            let ChatSettings { conversation, system, parameters, json, .. } = settings;
            let output = if json { Output::Events } else { Output::Text };
            let question = Question { text, conversation, system, parameters, output };
            once::ask(&client, question).await
        }
        (None, modes) => interactive::talk(client, settings, modes).await,
    };
    if let Some(local) = local {
        local.end().await;
    }
    outcome
}

/// The server to talk to.
struct Found {
    client: ServerClient,
    /// The server, if it runs in this process.
    local: Option<LocalServer>,
}

async fn find_server(settings: &ChatSettings, options: &Options) -> anyhow::Result<Found> {
    let key = settings.key.as_deref();
    let client = |address: &Address, patience| {
        ServerClient::new(address.clone(), key, &settings.trusted, patience)
            .map_err(|reason| anyhow!(reason))
    };
    match &settings.target {
        Target::Url { address, place } => {
            let client = client(address, PATIENCE)?;
            let told = || {
                format!(
                    "{place}: {address}: no banter answers there; start one with `banter serve`, \
                     or leave --url out to run the model in this process"
                )
            };
            wait_until_ready(&client, told).await?;
            return Ok(Found { client, local: None });
        }
        Target::Usual { addresses } => {
            for address in addresses {
                if api::is_banter(&client(address, PROBE)?).await {
                    let client = client(address, PATIENCE)?;
                    let told = || format!("{address}: it does not answer any more");
                    wait_until_ready(&client, told).await?;
                    return Ok(Found { client, local: None });
                }
            }
        }
        Target::Here | Target::Plain { .. } => {}
    }
    let local = LocalServer::start(Config::check(options)?).await?;
    let client = ServerClient::new(local.address.clone(), None, &[], PATIENCE);
    Ok(Found { client: client.map_err(|reason| anyhow!(reason))?, local: Some(local) })
}

/// Waits for a model that is being loaded.
///
/// Errors: no banter answers, which is told by `unreached`, or its engine is not about to be ready.
async fn wait_until_ready(
    client: &ServerClient,
    unreached: impl Fn() -> String,
) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(300);
    let mut screen = screen::Screen::stdout();
    loop {
        match api::unready(client).await.with_context(&unreached)? {
            None => return Ok(screen.clear_status()?),
            Some(why) if why.starts_with("loading") => screen.status(&why)?,
            Some(why) => bail!(
                "the server is there, but its engine is not: {why}; `banter doctor --url` with its \
                 address says more"
            ),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Connects; an error says what to do.
async fn connect(client: &ServerClient) -> anyhow::Result<(Link, Welcome)> {
    Link::connect(client).await.map_err(|error| match error {
        OpenError::Key(reason) => anyhow!("{reason}; set BANTER_KEY to the server's key"),
        OpenError::Unreachable(reason) | OpenError::Refused(reason) => {
            anyhow!("{}: {reason}", client.address())
        }
    })
}

/// A name for a request that no other has.
fn client_id() -> ClientId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    ClientId::new(name).expect("32 bytes are a name")
}

/// The question on the command line, and the text that is piped in.
///
/// Errors: the text is not UTF-8, too long, or nothing at all.
fn question(matches: &ArgMatches) -> anyhow::Result<Option<MessageText>> {
    let words: Vec<&str> =
        matches.get_many::<String>("question").into_iter().flatten().map(String::as_str).collect();
    let is_asked = !words.is_empty();
    let words = words.join(" ");
    let nothing = || {
        let what = "expected a question on the command line or on stdin, found none";
        anyhow::Error::from(OptionError(what.to_owned()))
    };
    let read = |text: String| {
        MessageText::new(text).filter(|text| !text.as_str().trim().is_empty()).ok_or_else(nothing)
    };
    if io::stdin().is_terminal() {
        return is_asked.then(|| read(words)).transpose();
    }
    let mut piped = Vec::new();
    io::stdin().take(MAX_STDIN_BYTES + 1).read_to_end(&mut piped).context("stdin")?;
    if piped.len() as u64 > MAX_STDIN_BYTES {
        bail!("stdin: expected at most {MAX_STDIN_BYTES} bytes, found more");
    }
    let piped = String::from_utf8(piped).map_err(|_| anyhow!("stdin: expected UTF-8 text"))?;
    read(joined(&words, piped.trim_end_matches(['\n', '\r']))).map(Some)
}

/// A question, and after a blank line the text that it is about.
fn joined(question: &str, piped: &str) -> String {
    match (question.trim().is_empty(), piped.is_empty()) {
        (_, true) => question.to_owned(),
        (true, false) => piped.to_owned(),
        (false, false) => format!("{question}\n\n{piped}"),
    }
}

/// Whether nobody reads stdout any more. Then there is nothing to say, and nobody to say it to.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piped_text_follows_the_question() {
        assert_eq!(joined("", "a\nb"), "a\nb");
        assert_eq!(joined("what is it?", ""), "what is it?");
        assert_eq!(joined("what is it?", "a\nb"), "what is it?\n\na\nb");
    }
}
