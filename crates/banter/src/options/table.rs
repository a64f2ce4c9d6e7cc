//! The table of options.

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// One value, shown in the help by this name.
    One(&'static str),
    /// Any number: the flag several times, commas in the environment, a list in the file.
    Many(&'static str),
    /// No value: the flag alone switches it on.
    Nothing,
}

/// One row of the table.
#[derive(Debug)]
pub struct OptionRow {
    /// Name of the flag without dashes, and of the key in the file.
    pub name: &'static str,
    /// How many values it takes.
    pub takes: Takes,
    /// One sentence for `--help`.
    pub help: &'static str,
}

const fn row(name: &'static str, takes: Takes, help: &'static str) -> OptionRow {
    OptionRow { name, takes, help }
}

/// Every option of `banter serve`.
pub const SERVE: &[OptionRow] = &[
    row(
        "model",
        Takes::One("MODEL"),
        "Model to load: a name such as qwen2.5:7b, or the path of a GGUF file, of the first part of a split one, or of a Hugging Face folder [default: the demo model in the binary]",
    ),
    row("yes", Takes::Nothing, "If the model is not installed, pull it without asking"),
    row(
        "models-dir",
        Takes::One("PATH"),
        "Folder of pulled models [default: ~/.local/share/banter/models]",
    ),
    row(
        "max-models-disk",
        Takes::One("SIZE"),
        "Disk space that all pulled models may take when the page pulls another one [default: the whole disk]",
    ),
    row(
        "engine",
        Takes::One("URL"),
        "Address of an existing engine that computes instead of our own: vLLM, SGLang, llama-server, Ollama, or any other with OpenAI's interface",
    ),
    row(
        "engine-kind",
        Takes::One("KIND"),
        "Kind of that engine: vllm, sglang, llama-server, llama-cpp-python, transformers, ollama or openai [default: found out]",
    ),
    row("engine-model", Takes::One("NAME"), "Model of that engine to use [default: its only one]"),
    row(
        "engine-key",
        Takes::One("KEY"),
        "Key that the engine needs; safer in BANTER_ENGINE_KEY or in the configuration file",
    ),
    row(
        "system-prompt",
        Takes::One("TEXT"),
        "System message of conversations that have none of their own [default: the model's]",
    ),
    row(
        "chat-template",
        Takes::One("FILE"),
        "Jinja file that makes the prompts in place of the model's own chat template [default: the model's]",
    ),
    row(
        "host",
        Takes::One("ADDRESS"),
        "Address to listen on [default: 127.0.0.1, and ::1 if the machine has it]",
    ),
    row("port", Takes::One("PORT"), "Port to listen on [default: 7860]"),
    row(
        "lan",
        Takes::Nothing,
        "Serve phones and computers of your network: as --host 0.0.0.0 with --tls-self-signed, and with a QR code that signs one of them in",
    ),
    row(
        "tls-cert",
        Takes::One("FILE"),
        "Certificate for https in PEM form, followed by those of its issuers; read again when it changes [default: none, and http]",
    ),
    row(
        "tls-key",
        Takes::One("FILE"),
        "Private key of this certificate in PEM form [default: in the same file]",
    ),
    row(
        "tls-self-signed",
        Takes::Nothing,
        "Serve https with a certificate that is made here, names every address of this machine and is kept for a year; browsers ask once whether to trust it",
    ),
    row(
        "ctx",
        Takes::One("TOKENS"),
        "Longest conversation in tokens [default: the model's, at most 8192]",
    ),
    row(
        "kv-memory",
        Takes::One("SIZE"),
        "Memory for cached keys and values, such as 4GiB or 512MiB [default: a quarter of the free memory]",
    ),
    row(
        "kv-disk",
        Takes::One("PATH"),
        "Folder for the keys and values of conversations, so that conversations continue without delay after a restart [default: none]",
    ),
    row(
        "kv-disk-size",
        Takes::One("SIZE"),
        "Disk space that this folder may take, such as 10GiB; the least recently used conversations are removed first [default: 8GiB]",
    ),
    row(
        "quant",
        Takes::One("TYPE"),
        "Type that float weights are converted to when they are loaded: q8_0, q4_0 or bf16-dot; f32 converts all weights to floats [default: as stored]",
    ),
    row(
        "kv-type",
        Takes::One("TYPE"),
        "Type of the cached keys and values: f16, f32 or q8_0 [default: f16]",
    ),
    row(
        "threads",
        Takes::One("COUNT"),
        "Threads that compute [default: chosen by the model and the cores]",
    ),
    row(
        "isa",
        Takes::One("NAME"),
        "Instruction set, such as avx512-vnni, avx2 or scalar [default: the best that the processor has]",
    ),
    row(
        "max-sequences",
        Takes::One("COUNT"),
        "Answers that are computed at the same time; more requests wait [default: 16]",
    ),
    row(
        "queue-limit",
        Takes::One("COUNT"),
        "Requests that may wait; one more is refused as busy. With --engine: requests that it may have, computed and waiting [default: 64; with --engine 256 or 80, by its kind]",
    ),
    row(
        "max-gap-ms",
        Takes::One("MS"),
        "Longest pause between two words of an answer because of prompts of others, in milliseconds [default: 200]",
    ),
    row(
        "draft-model",
        Takes::One("MODEL"),
        "Smaller model of the same family that guesses the next tokens; the answers stay the same [default: none]",
    ),
    row(
        "no-speculation",
        Takes::Nothing,
        "Compute one token of an answer at a time, and never guess tokens",
    ),
    row(
        "queue-timeout",
        Takes::One("SECONDS"),
        "Longest wait in the queue; after that the request ends with timeout [default: 120]",
    ),
    row(
        "data",
        Takes::One("PATH"),
        "Folder of conversations; it belongs to one server [default: ~/.local/share/banter/data]",
    ),
    row("no-store", Takes::Nothing, "Keep conversations in memory only, until the server ends"),
    row(
        "on-disconnect",
        Takes::One("WHAT"),
        "What becomes of an answer whose reader is gone: finish, grace (it goes on for --grace) or stop; the plain language always stops [default: grace]",
    ),
    row(
        "grace",
        Takes::One("SECONDS"),
        "How long an answer goes on whose reader is gone [default: 60]",
    ),
    row(
        "max-message",
        Takes::One("SIZE"),
        "Longest WebSocket message; a longer one closes the connection with 1009 [default: 1MiB]",
    ),
    row(
        "max-connections",
        Takes::One("COUNT"),
        "Open connections; a WebSocket beyond that is accepted and closed with 1013 [default: 896]",
    ),
    row(
        "max-connections-per-address",
        Takes::One("COUNT"),
        "Open connections from one address, or WebSockets of one client of a trusted proxy [default: a quarter of max-connections, at least 32]",
    ),
    row(
        "header-timeout",
        Takes::One("SECONDS"),
        "Longest time for the head of a request; after that the connection is closed [default: 5]",
    ),
    row(
        "idle-timeout",
        Takes::One("SECONDS"),
        "How long a connection is kept open without a further request [default: 90]",
    ),
    row(
        "trusted-proxy",
        Takes::Many("ADDRESS"),
        "Address or network, such as 10.0.0.0/8, of proxies whose X-Forwarded-For is believed [default: only this machine]",
    ),
    row(
        "key",
        Takes::Many("KEY"),
        "Key with which other machines may use the server; safer in BANTER_KEY or in the configuration file",
    ),
    row(
        "admin-key",
        Takes::Many("KEY"),
        "Key with which other machines may also pull models and switch between them [default: only this machine may, and the key that a start makes]",
    ),
    row(
        "switch-on-request",
        Takes::Nothing,
        "Let a program's request that names another installed model load that model",
    ),
    row(
        "public-url",
        Takes::Many("URL"),
        "Address, with its path, at which people open the server through a proxy or tunnel; needs a key",
    ),
    row(
        "allow-origin",
        Takes::Many("ORIGIN"),
        "Exact origin of a web site whose pages may use the server, or of a program made of pages, such as app://obsidian.md",
    ),
    row(
        "allow-file-pages",
        Takes::Nothing,
        "Allow pages opened from disk, and sandboxed frames of any site, to use /ws",
    ),
    row(
        "well-known",
        Takes::Many("FILE"),
        "Text file to serve at the root, /NAME, such as a proof that the domain is yours",
    ),
    row(
        "insecure",
        Takes::Nothing,
        "Let other machines use the server without a key; every start warns of it",
    ),
    row(
        "no-sandbox",
        Takes::Nothing,
        "Do not give up the right to other files than the model and the own folders",
    ),
    row("log-file", Takes::One("FILE"), "File that gets the log too"),
    row(
        "log",
        Takes::One("LEVEL"),
        "What is logged: error, warn, info, debug, or a filter such as banter_engine=debug [default: info]",
    ),
    row(
        "log-format",
        Takes::One("FORMAT"),
        "Lines of the log: text, or json for programs [default: text]",
    ),
];

/// Every option that only `banter chat` has.
pub const CHAT: &[OptionRow] = &[
    row(
        "url",
        Takes::One("URL"),
        "Address of the server to talk to [default: http://127.0.0.1:7860 if a banter answers there; else the model runs in this process]",
    ),
    row(
        "trust",
        Takes::One("FILE"),
        "Certificate in PEM form that a server may have beside those that this machine trusts [default: the one that --tls-self-signed has made here]",
    ),
    row(
        "system",
        Takes::One("TEXT"),
        "System message of a new conversation [default: the server's]",
    ),
    row("conversation", Takes::One("ID"), "Conversation to go on with [default: a new one]"),
    row("new", Takes::Nothing, "Begin a new conversation, whatever the other sources say"),
    row("json", Takes::Nothing, "Print the server's events as lines of JSON instead of the answer"),
    row(
        "plain",
        Takes::One("URL"),
        "WebSocket of a server that speaks the plain language, such as ws://localhost:7860/ws",
    ),
    row(
        "idle-end",
        Takes::One("SECONDS"),
        "With --plain: silence that ends an answer of a server that sends no empty frame [default: 2]",
    ),
    row("max-tokens", Takes::One("COUNT"), "Longest answer in tokens [default: 2048]"),
    row(
        "temperature",
        Takes::One("NUMBER"),
        "0 always takes the likeliest word, up to 2 [default: the model's]",
    ),
    row(
        "top-p",
        Takes::One("NUMBER"),
        "Keep the likeliest words that together have this probability [default: the model's]",
    ),
    row("seed", Takes::One("NUMBER"), "Makes the answer repeatable [default: drawn]"),
    row("stop", Takes::Many("TEXT"), "End the answer before this text"),
];
