//! The engines that are known, and what each calls its parameters.
//!
//! A parameter that an engine does not know is refused, unless its value means "off". An engine of no
//! known kind gets only what OpenAI's own interface has.

use std::fmt;

use banter_protocol::plain::{PARAMETERS, Parameters};
use serde_json::{Map, Value, json};

use super::error::EngineError;
use super::finding::OLLAMA_RUNNING;

/// What kind of engine answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vLLM.
    Vllm,
    /// SGLang.
    SgLang,
    /// llama-server of llama.cpp.
    LlamaServer,
    /// The server of llama-cpp-python.
    LlamaCppPython,
    /// `transformers serve`.
    Transformers,
    /// Ollama.
    Ollama,
    /// Any other that speaks OpenAI's language.
    OpenAi,
}

/// Every kind.
pub const KINDS: [Kind; 7] = [
    Kind::Vllm,
    Kind::SgLang,
    Kind::LlamaServer,
    Kind::LlamaCppPython,
    Kind::Transformers,
    Kind::Ollama,
    Kind::OpenAi,
];

/// Values that an engine is given where a request leaves them out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineDefaults {
    /// Sampling temperature.
    pub temperature: f32,
    /// Nucleus size.
    pub top_p: f32,
    /// Only this many of the likeliest tokens.
    pub top_k: u32,
    /// Repetition penalty.
    pub repetition_penalty: f32,
}

/// What Qwen2.5-Instruct is published with.
const QWEN: EngineDefaults =
    EngineDefaults { temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.05 };

/// How an engine counts the tokens of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// `POST /tokenize` takes messages.
    Messages,
    /// `POST /apply-template` makes a prompt of messages, `POST /tokenize` takes that.
    Prompt,
    /// Not at all.
    None,
}

impl Kind {
    /// Its name in options and messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vllm => "vllm",
            Kind::SgLang => "sglang",
            Kind::LlamaServer => "llama-server",
            Kind::LlamaCppPython => "llama-cpp-python",
            Kind::Transformers => "transformers",
            Kind::Ollama => "ollama",
            Kind::OpenAi => "openai",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }

    /// What the owner of a model in `GET /v1/models` tells about the engine.
    pub(super) fn of_owner(owner: &str) -> Option<Kind> {
        match owner {
            "vllm" => Some(Kind::Vllm),
            "sglang" => Some(Kind::SgLang),
            "llamacpp" => Some(Kind::LlamaServer),
            "library" => Some(Kind::Ollama),
            _ => None,
        }
    }

    /// Where it says that it is well, if it has a place for that alone.
    pub(super) fn health_path(self) -> Option<&'static [&'static str]> {
        match self {
            Kind::Vllm | Kind::SgLang | Kind::LlamaServer | Kind::Transformers => Some(&["health"]),
            // It says the context of the loaded model, too.
            Kind::Ollama => Some(OLLAMA_RUNNING),
            // Asking it for its models breaks off an answer that it is writing.
            Kind::LlamaCppPython => Some(&["openapi.json"]),
            Kind::OpenAi => None,
        }
    }

    /// Whether a new request silently aborts the one in progress.
    pub(super) fn serves_one_at_a_time(self) -> bool {
        self == Kind::LlamaCppPython
    }

    /// Whether it keeps what it has computed apart for each `cache_salt`.
    pub(super) fn takes_cache_salt(self) -> bool {
        matches!(self, Kind::Vllm | Kind::SgLang)
    }

    /// How it counts the tokens of a conversation.
    pub(super) fn counting(self) -> Counting {
        match self {
            Kind::Vllm => Counting::Messages,
            Kind::LlamaServer => Counting::Prompt,
            _ => Counting::None,
        }
    }

    /// The defaults that requests are sent with. Others have the model's own, which are better.
    pub fn defaults(self) -> Option<EngineDefaults> {
        matches!(self, Kind::LlamaServer | Kind::LlamaCppPython).then_some(QWEN)
    }

    /// Names of the parameters that it knows, as clients of banter call them.
    pub fn parameters(self) -> Vec<&'static str> {
        PARAMETERS.into_iter().filter(|name| self.field(name).is_some()).collect()
    }

    /// What it calls a parameter of ours; `None` if it has no such.
    pub(super) fn field(self, ours: &'static str) -> Option<&'static str> {
        let is_llama = matches!(self, Kind::LlamaServer | Kind::LlamaCppPython);
        let samples_richly = is_llama || matches!(self, Kind::Vllm | Kind::SgLang);
        match ours {
            "repetition_penalty" if is_llama => Some("repeat_penalty"),
            "repetition_penalty" | "top_k" | "min_p" => samples_richly.then_some(ours),
            // It takes the one as something else, and the other not at all.
            "presence_penalty" | "frequency_penalty" if self == Kind::Transformers => None,
            _ => Some(ours),
        }
    }

    /// The largest seed it takes.
    fn max_seed(self) -> u64 {
        match self {
            // The largest number means "any seed" to llama.cpp.
            Kind::LlamaServer | Kind::LlamaCppPython => u64::from(u32::MAX) - 1,
            // What its random generators take.
            Kind::Transformers => u64::from(u32::MAX),
            _ => i64::MAX as u64,
        }
    }

    /// The parameters of a request in this engine's words. A value that means "off" is left out where
    /// the engine does not know the parameter, because leaving it out means the same.
    ///
    /// Errors: [`EngineError::Parameter`] for the first that it does not have.
    pub(super) fn translate(self, wanted: &Parameters) -> Result<Map<String, Value>, EngineError> {
        let usual = self.defaults();
        let number = |value: Option<f32>, usual: Option<f32>| value.or(usual).map(shortest);
        let seed = wanted.seed;
        if let Some(seed) = seed.filter(|seed| *seed > self.max_seed()) {
            let most = self.max_seed();
            let expected = format!("a whole number from 0 to {most} ({} takes no more)", self);
            return Err(EngineError::Parameter {
                field: "seed",
                expected,
                found: seed.to_string(),
            });
        }
        let top_k = wanted.top_k.or(usual.map(|usual| usual.top_k));
        let stop = (!wanted.stop_strings.is_empty()).then(|| json!(wanted.stop_strings));
        let values = [
            ("temperature", number(wanted.temperature, usual.map(|usual| usual.temperature))),
            ("top_p", number(wanted.top_p, usual.map(|usual| usual.top_p))),
            (
                "repetition_penalty",
                number(wanted.repetition_penalty, usual.map(|usual| usual.repetition_penalty)),
            ),
            ("top_k", top_k.map(|top_k| self.top_k(top_k))),
            ("min_p", number(wanted.min_p, usual.map(|_| 0.0))),
            ("presence_penalty", number(wanted.presence_penalty, None)),
            ("frequency_penalty", number(wanted.frequency_penalty, None)),
            ("seed", seed.map(|seed| json!(seed))),
            ("stop", stop),
        ];
        let mut body = Map::new();
        for (ours, value) in values {
            let Some(value) = value else { continue };
            match self.field(ours) {
                Some(theirs) => drop(body.insert(theirs.to_owned(), value)),
                None if is_off(ours, &value) => {}
                None => {
                    let expected = format!("nothing: {self} does not know it");
                    let found = value.to_string();
                    return Err(EngineError::Parameter { field: ours, expected, found });
                }
            }
        }
        if self == Kind::LlamaServer {
            // Without it the penalty forgets what is 64 tokens back.
            body.insert("repeat_last_n".to_owned(), json!(-1));
        }
        Ok(body)
    }

    /// 0 is off with us and with llama.cpp, −1 with the others.
    fn top_k(self, top_k: u32) -> Value {
        match (self, top_k) {
            (Kind::Vllm | Kind::SgLang, 0) => json!(-1),
            _ => json!(top_k),
        }
    }

    /// How the engine is asked to say what the answer has taken.
    pub(super) fn stream_options(self) -> Option<Value> {
        match self {
            // With every piece, so that a stopped answer has its figures too.
            Kind::Vllm => Some(json!({"include_usage": true, "continuous_usage_stats": true})),
            // It says so unasked, and warns of the question.
            Kind::Transformers => None,
            _ => Some(json!({"include_usage": true})),
        }
    }
}

/// Whether a value of a parameter changes nothing.
fn is_off(ours: &str, value: &Value) -> bool {
    let off = match ours {
        "repetition_penalty" => 1.0,
        "top_k" | "min_p" | "presence_penalty" | "frequency_penalty" => 0.0,
        _ => return false,
    };
    value.as_f64() == Some(off)
}

/// A single-precision number as people write it: 0.7, not 0.699999988.
fn shortest(value: f32) -> Value {
    let text = value.to_string();
    json!(text.parse::<f64>().expect("a finite number reads back"))
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_protocol::plain::{ClientMessage, parse};

    fn parameters(json: &str) -> Parameters {
        match parse(&format!("{{\"message\": \"x\"{json}}}")).expect("a request") {
            ClientMessage::Ask(ask) => ask.parameters,
            ClientMessage::Stop { .. } => panic!("no stop was written"),
        }
    }

    #[test]
    fn parameters_have_the_engines_names() {
        let wanted = parameters(
            ", \"temperature\": 0.7, \"top_p\": 0.9, \"top_k\": 0, \"min_p\": 0.05, \
             \"repetition_penalty\": 1.1, \"seed\": 7, \"stop\": [\"END\"]",
        );
        let vllm = Kind::Vllm.translate(&wanted).expect("it knows all of them");
        let expected = json!({
            "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1, "top_k": -1,
            "min_p": 0.05, "seed": 7, "stop": ["END"],
        });
        assert_eq!(Value::Object(vllm), expected);
        let llama = Kind::LlamaServer.translate(&wanted).expect("it knows all of them");
        let expected = json!({
            "temperature": 0.7, "top_p": 0.9, "repeat_penalty": 1.1, "top_k": 0,
            "min_p": 0.05, "seed": 7, "stop": ["END"], "repeat_last_n": -1,
        });
        assert_eq!(Value::Object(llama), expected);
    }

    #[test]
    fn what_an_engine_does_not_know_is_refused() {
        let cases = [
            (Kind::OpenAi, ", \"top_k\": 20", "top_k"),
            (Kind::OpenAi, ", \"repetition_penalty\": 1.1", "repetition_penalty"),
            (Kind::Ollama, ", \"min_p\": 0.1", "min_p"),
            (Kind::Transformers, ", \"presence_penalty\": 0.5", "presence_penalty"),
            (Kind::Transformers, ", \"frequency_penalty\": 0.5", "frequency_penalty"),
            (Kind::LlamaServer, ", \"seed\": 4294967295", "seed"),
            (Kind::Vllm, ", \"seed\": 9223372036854775808", "seed"),
        ];
        for (kind, json, expected) in cases {
            match kind.translate(&parameters(json)) {
                Err(EngineError::Parameter { field, .. }) => assert_eq!(field, expected),
                other => panic!("{kind}: {json} gave {other:?}"),
            }
        }
    }

    #[test]
    fn a_value_that_means_off_is_as_if_left_out_where_the_engine_does_not_know_it() {
        let off = parameters(
            ", \"repetition_penalty\": 1, \"top_k\": 0, \"min_p\": 0.0, \"presence_penalty\": 0, \
             \"frequency_penalty\": 0.0",
        );
        let sent = |kind: Kind| Value::Object(kind.translate(&off).expect("nothing is wrong"));
        let penalties = json!({"presence_penalty": 0.0, "frequency_penalty": 0.0});
        assert_eq!(sent(Kind::OpenAi), penalties);
        assert_eq!(sent(Kind::Ollama), penalties);
        assert_eq!(sent(Kind::Transformers), json!({}));
        // An engine that knows it may have another value of its own.
        assert_eq!(sent(Kind::Vllm)["top_k"], -1);
        assert_eq!(sent(Kind::LlamaServer)["repeat_penalty"], 1.0);
    }

    #[test]
    fn what_is_left_out_is_left_to_the_model_where_the_engine_knows_it() {
        let nothing = parameters("");
        for kind in [Kind::Vllm, Kind::SgLang, Kind::Ollama, Kind::OpenAi, Kind::Transformers] {
            assert_eq!(kind.translate(&nothing).expect("nothing is wrong"), Map::new(), "{kind}");
        }
        let llama = Kind::LlamaCppPython.translate(&nothing).expect("nothing is wrong");
        let expected = json!({
            "temperature": 0.7, "top_p": 0.8, "repeat_penalty": 1.05, "top_k": 20, "min_p": 0.0,
        });
        assert_eq!(Value::Object(llama), expected);
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in KINDS {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("lmdeploy"), None);
    }
}
