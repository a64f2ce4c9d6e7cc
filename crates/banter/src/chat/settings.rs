//! The checked options of `banter chat`.

use std::path::PathBuf;
use std::time::Duration;

use banter_protocol::plain::PARAMETERS;
use banter_protocol::v1::{ConversationId, Parameters};
use banter_remote::Address;
use serde_json::{Map, Value, json};

use crate::config::values::{many, number, optional, path, switch};
use crate::config::{DEFAULT_PORT, data_folder};
use crate::options::{Given, OptionError, Options, Source};
use crate::{text_file, tls};

/// The checked options.
#[derive(Debug)]
pub struct ChatSettings {
    /// Whom to talk to.
    pub target: Target,
    /// The key of the server.
    pub key: Option<String>,
    /// A certificate in PEM form that the server may have; empty if there is none.
    pub trusted: Vec<u8>,
    /// The system message of a new conversation.
    pub system: Option<String>,
    /// The conversation to go on with.
    pub conversation: Option<ConversationId>,
    /// Sampling parameters of every answer.
    pub parameters: Parameters,
    /// Whether the server's events are printed.
    pub json: bool,
}

/// Whom to talk to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A server that is named.
    Url {
        /// Its address.
        address: Address,
        /// How a message names the option.
        place: String,
    },
    /// The server of this machine, if it runs.
    Usual {
        /// Its address without https, and with it.
        addresses: [Address; 2],
    },
    /// The model, in this process, because options of the engine were given.
    Here,
    /// A server that speaks the plain language.
    Plain {
        /// The address of its WebSocket.
        address: Address,
        /// The silence that ends an answer.
        idle_end: Duration,
    },
}

/// The options of our engine, of others and of the store that `banter chat` has too. They mean a
/// server in this process.
pub const ENGINE_OPTIONS: [&str; 20] = [
    "model",
    "yes",
    "models-dir",
    "engine",
    "engine-kind",
    "engine-model",
    "engine-key",
    "chat-template",
    "ctx",
    "kv-memory",
    "kv-disk",
    "kv-disk-size",
    "quant",
    "kv-type",
    "threads",
    "isa",
    "draft-model",
    "no-speculation",
    "data",
    "no-store",
];

impl ChatSettings {
    /// Checks the options.
    ///
    /// Errors: the first that is wrong; the message names it and where it was given.
    pub fn check(options: &Options) -> Result<ChatSettings, OptionError> {
        let conversation = conversation(options)?;
        Ok(ChatSettings {
            target: target(options)?,
            key: key(options)?,
            trusted: trusted(options)?,
            system: system(options, conversation.is_some())?,
            conversation,
            parameters: parameters(options)?,
            json: switch(options, "json")?,
        })
    }
}

fn target(options: &Options) -> Result<Target, OptionError> {
    let url = address(options, "url", "an http:// or https:// address without ? and #", |text| {
        Address::parse_base(text).ok()
    })?;
    let plain =
        address(options, "plain", "a ws://, wss://, http:// or https:// address", |text| {
            let http = text.strip_prefix("ws").map(|rest| format!("http{rest}"));
            Address::parse(http.as_deref().unwrap_or(text)).ok()
        })?;
    // A wrong value is an error also where it has no meaning.
    let idle_end = idle_end(options)?;
    let port = number(options, "port", 0, u64::from(u16::MAX))?.filter(|port| *port > 0);
    if let Some((address, place)) = plain {
        check_alone(options, &place)?;
        return Ok(Target::Plain { address, idle_end });
    }
    if let Some((address, place)) = url {
        return Ok(Target::Url { address, place });
    }
    let is_flag = |name: &&str| options.get(name).is_some_and(is_on_command_line);
    if ENGINE_OPTIONS.iter().any(is_flag) {
        return Ok(Target::Here);
    }
    let port = port.unwrap_or(DEFAULT_PORT.into());
    let usual = |scheme| Address::parse(&format!("{scheme}://127.0.0.1:{port}"));
    let addresses = ["http", "https"].map(|scheme| usual(scheme).expect("an address"));
    Ok(Target::Usual { addresses })
}

/// An address, and how a message names the option.
fn address(
    options: &Options,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<Address>,
) -> Result<Option<(Address, String)>, OptionError> {
    let place = options.get(name).map(Given::place).unwrap_or_default();
    Ok(optional(options, name, expected, read)?.map(|address| (address, place)))
}

/// The certificate that is trusted beside those of this machine. The one that a server has made
/// here is found without being named.
fn trusted(options: &Options) -> Result<Vec<u8>, OptionError> {
    const WHAT: &str = "a certificate";
    let Some(file) = path(options, "trust")? else {
        let made = data_folder(options).map(|data| tls::kept_certificate(&data));
        let read = |file: PathBuf| text_file::read_bytes(&file, WHAT, tls::MAX_FILE_BYTES).ok();
        return Ok(made.ok().and_then(read).unwrap_or_default());
    };
    let place = options.get("trust").map(Given::place).unwrap_or_default();
    let shown = file.display();
    let text = text_file::read_bytes(&file, WHAT, tls::MAX_FILE_BYTES)
        .map_err(|error| OptionError(format!("{place}: {error}")))?;
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    match text.windows(BEGIN.len()).any(|window| window == BEGIN) {
        true => Ok(text),
        false => Err(OptionError(format!(
            "{place}: {shown}: expected a certificate in PEM form, found none"
        ))),
    }
}

/// The plain language has no stored conversations and no events.
fn check_alone(options: &Options, place: &str) -> Result<(), OptionError> {
    let others = ["url", "conversation", "json"].iter();
    let other = others.filter_map(|name| options.get(name)).find(|given| is_on_command_line(given));
    match other {
        Some(other) => {
            let other = other.place();
            Err(OptionError(format!("{place}: expected no {other} together with it, found one")))
        }
        None => Ok(()),
    }
}

fn idle_end(options: &Options) -> Result<Duration, OptionError> {
    const USUAL: f64 = 2.0;
    let seconds = optional(options, "idle-end", "seconds from 0.1 to 3600", |text| {
        text.parse().ok().filter(|seconds| (0.1..=3_600.0).contains(seconds))
    })?;
    Ok(Duration::from_secs_f64(seconds.unwrap_or(USUAL)))
}

fn is_on_command_line(given: &Given) -> bool {
    given.source == Source::Flag
}

fn key(options: &Options) -> Result<Option<String>, OptionError> {
    let visible = |text: &str| {
        let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_visible.then(|| text.to_owned())
    };
    optional(options, "key", "a key of visible ASCII characters", visible)
}

fn system(options: &Options, is_existing: bool) -> Result<Option<String>, OptionError> {
    let system =
        optional(options, "system", "a text", |text| (!text.is_empty()).then(|| text.to_owned()))?;
    match options.get("system") {
        Some(given) if is_existing && is_on_command_line(given) => {
            let place = given.place();
            let what = "expected no --conversation together with it, which has its own; found one";
            Err(OptionError(format!("{place}: {what}")))
        }
        _ => Ok(system.filter(|_| !is_existing)),
    }
}

fn conversation(options: &Options) -> Result<Option<ConversationId>, OptionError> {
    let expected = "an id of 26 characters of a-z and 2-7, as --json prints it";
    let id = optional(options, "conversation", expected, |text| text.parse().ok())?;
    if !switch(options, "new")? {
        return Ok(id);
    }
    match options.get("conversation").filter(|given| is_on_command_line(given)) {
        Some(given) => {
            let place = given.place();
            Err(OptionError(format!("{place}: expected no --new together with it, found one")))
        }
        None => Ok(None),
    }
}

fn parameters(options: &Options) -> Result<Parameters, OptionError> {
    let mut all = Parameters::default();
    for (option, name) in [
        ("max-tokens", "max_tokens"),
        ("temperature", "temperature"),
        ("top-p", "top_p"),
        ("seed", "seed"),
    ] {
        let Some(given) = options.get(option) else { continue };
        let text = given.values.first().map_or("", |value| value.trim());
        let value = parameter(name, text);
        let value = value.map_err(|error| OptionError(format!("{}: {error}", given.place())))?;
        all = value.over(&all);
    }
    let stop = many(options, "stop", "a text", |text| Some(text.to_owned()))?;
    if let (Some(given), false) = (options.get("stop"), stop.is_empty()) {
        let value = read_parameter("stop", json!(stop));
        let value = value.map_err(|error| OptionError(format!("{}: {error}", given.place())))?;
        all = value.over(&all);
    }
    Ok(all)
}

/// Reads one sampling parameter, as a person writes it.
///
/// Errors: there is no such parameter, or the value is out of its range; the text says which.
pub fn parameter(name: &str, text: &str) -> Result<Parameters, String> {
    if !PARAMETERS.contains(&name) {
        let known = PARAMETERS.join(", ");
        return Err(format!("expected one of {known}, found {name:?}"));
    }
    let number = serde_json::from_str(text).ok().filter(Value::is_number);
    read_parameter(name, number.filter(|_| name != "stop").unwrap_or_else(|| json!(text)))
}

fn read_parameter(name: &str, value: Value) -> Result<Parameters, String> {
    let mut object = Map::new();
    object.insert(name.to_owned(), value);
    serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ConfigFile, arguments, chat_arguments};
    use std::collections::BTreeMap;

    fn check(flags: &[&str], environment: &[(&str, &str)]) -> Result<ChatSettings, String> {
        let arguments = arguments().chain(chat_arguments());
        let command = clap::Command::new("chat").args(arguments);
        let flags = std::iter::once("chat").chain(flags.iter().copied());
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let options = Options::collect(&matches, &environment, None::<&ConfigFile>);
        options.and_then(|options| ChatSettings::check(&options)).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_the_server_of_this_machine_is_meant() {
        let settings = check(&[], &[]).expect("all right");
        let Target::Usual { addresses: [address, _] } = settings.target else {
            panic!("{:?}", settings.target)
        };
        assert_eq!(address.to_string(), "http://127.0.0.1:7860");
        assert!(settings.parameters.is_empty() && settings.key.is_none());
        let settings = check(&[], &[("BANTER_PORT", "9000"), ("BANTER_KEY", "k1")]).expect("right");
        let Target::Usual { addresses: [address, _] } = settings.target else {
            panic!("{:?}", settings.target)
        };
        assert_eq!(address.to_string(), "http://127.0.0.1:9000");
        assert_eq!(settings.key.as_deref(), Some("k1"));
    }

    #[test]
    fn options_of_the_engine_mean_this_process() {
        assert_eq!(check(&["--ctx", "512"], &[]).expect("right").target, Target::Here);
        let usual = check(&[], &[("BANTER_MODEL", "a.gguf")]).expect("right").target;
        assert!(matches!(usual, Target::Usual { .. }), "{usual:?}");
    }

    #[test]
    fn parameters_are_read_with_their_ranges() {
        let flags = ["--temperature", "0.5", "--max-tokens", "7", "--seed", "9", "--stop", "1"];
        let parameters = check(&flags, &[]).expect("right").parameters;
        assert_eq!((parameters.temperature, parameters.max_tokens), (Some(0.5), Some(7)));
        assert_eq!((parameters.seed, parameters.stop), (Some(9), vec!["1".to_owned()]));
    }

    #[test]
    fn wrong_values_are_told_with_their_place() {
        let id = "a".repeat(26);
        let cases: &[(&[&str], &[&str])] = &[
            (&["--url", "localhost:1"], &["--url (command line)", "http://"]),
            (&["--plain", "x"], &["--plain (command line)", "ws://"]),
            (&["--plain", "ws://h/ws", "--json"], &["--plain (command line)", "--json"]),
            (&["--temperature", "5"], &["--temperature (command line)", "0.0 to 2.0"]),
            (&["--top-p", "x"], &["--top-p (command line)", "number"]),
            (&["--max-tokens", "-1"], &["--max-tokens (command line)"]),
            (&["--seed", "1.5"], &["--seed (command line)", "whole number"]),
            (&["--stop", ""], &["--stop (command line)"]),
            (&["--conversation", "x"], &["--conversation (command line)", "26"]),
            (&["--conversation", &id, "--new"], &["--conversation (command line)", "--new"]),
            (&["--conversation", &id, "--system", "s"], &["--system (command line)"]),
            (&["--idle-end", "0"], &["--idle-end (command line)", "0.1"]),
        ];
        for (flags, parts) in cases {
            let message = check(flags, &[]).expect_err("wrong");
            for part in *parts {
                assert!(message.contains(part), "{flags:?}: {message}");
            }
        }
        let message = check(&["--key", "ge heim"], &[]).expect_err("a blank");
        assert!(!message.contains("heim"), "{message}");
    }

    #[test]
    fn new_and_a_system_message_of_weaker_sources_give_way() {
        let id = "a".repeat(26);
        let environment = [("BANTER_CONVERSATION", id.as_str()), ("BANTER_SYSTEM", "s")];
        let settings = check(&[], &environment).expect("right");
        assert_eq!((settings.conversation.is_some(), settings.system), (true, None));
        let settings = check(&["--new"], &environment).expect("right");
        assert_eq!(settings.conversation, None);
        assert_eq!(settings.system.as_deref(), Some("s"));
    }
}
