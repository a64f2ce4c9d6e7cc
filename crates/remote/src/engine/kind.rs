//! The known engines, and the names of their parameters.
//!
//! A parameter that an engine does not know is refused, unless its value means "off". An engine of
//! an unknown kind gets only what OpenAI's interface has.

use std::fmt;

use banter_protocol::plain::PARAMETERS;
use banter_seam::Parameters;
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
    /// Any other with OpenAI's interface.
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

/// Values for parameters that a request leaves out.
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

/// The values that Qwen2.5-Instruct is published with.
const QWEN: EngineDefaults =
    EngineDefaults { temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.05 };

/// A part of a request that not every engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Functions that the model may call, told as calls and not as text.
    Tools,
    /// That it calls one, or which one it calls.
    ToolChoice,
    /// The structure of the answer.
    Structure,
    Logprobs,
    LogitBias,
    /// Values for the chat template.
    TemplateOptions,
    /// A text without a conversation around it.
    Text,
    /// Tokens without a conversation around them.
    Tokens,
}

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

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of the engine, by the owner of a model in `GET /v1/models`.
    pub(super) fn of_owner(owner: &str) -> Option<Kind> {
        match owner {
            "vllm" => Some(Kind::Vllm),
            "sglang" => Some(Kind::SgLang),
            "llamacpp" => Some(Kind::LlamaServer),
            "library" => Some(Kind::Ollama),
            _ => None,
        }
    }

    /// The path at which it says whether it is well, if it has one.
    pub(super) fn health_path(self) -> Option<&'static [&'static str]> {
        match self {
            Kind::Vllm | Kind::SgLang | Kind::LlamaServer | Kind::Transformers => Some(&["health"]),
            // The answer also has the context of the loaded model.
            Kind::Ollama => Some(OLLAMA_RUNNING),
            // A request for its models would end the answer that it is writing.
            Kind::LlamaCppPython => Some(&["openapi.json"]),
            Kind::OpenAi => None,
        }
    }

    /// Whether a new request ends the one in progress without a word.
    pub fn serves_one_at_a_time(self) -> bool {
        self == Kind::LlamaCppPython
    }

    /// How many requests it should have at a time, computed and waiting, if the operator does not
    /// say it: what engines for many people compute at once by default; for the others, which
    /// compute a few, as many as our own engine has places.
    pub fn usual_places(self) -> usize {
        match self {
            Kind::Vllm | Kind::SgLang | Kind::OpenAi => 256,
            Kind::LlamaServer | Kind::LlamaCppPython | Kind::Transformers | Kind::Ollama => 80,
        }
    }

    /// Whether it separates what it has computed by `cache_salt`.
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

    /// The defaults that are sent with requests. Other engines use the model's own, which are
    /// better.
    pub fn defaults(self) -> Option<EngineDefaults> {
        matches!(self, Kind::LlamaServer | Kind::LlamaCppPython).then_some(QWEN)
    }

    /// The parameters that it knows, by the names that clients of banter use.
    pub fn parameters(self) -> Vec<&'static str> {
        PARAMETERS.into_iter().filter(|name| self.field(name).is_some()).collect()
    }

    /// Its name of our parameter; `None` if it does not have the parameter.
    pub(super) fn field(self, ours: &'static str) -> Option<&'static str> {
        let is_llama = matches!(self, Kind::LlamaServer | Kind::LlamaCppPython);
        let samples_richly = is_llama || matches!(self, Kind::Vllm | Kind::SgLang);
        match ours {
            "repetition_penalty" if is_llama => Some("repeat_penalty"),
            "repetition_penalty" | "top_k" | "min_p" => samples_richly.then_some(ours),
            // It understands one of them differently, and does not have the other.
            "presence_penalty" | "frequency_penalty" if self == Kind::Transformers => None,
            _ => Some(ours),
        }
    }

    /// Whether it does what a part asks for. Engines without a part ignore it, except
    /// [`Kind::OpenAi`], which may be any: that refuses what it does not have.
    fn has(self, part: Part) -> bool {
        match part {
            // It writes calls as text, and takes one without streams only.
            Part::Tools => self != Kind::LlamaCppPython,
            Part::ToolChoice => {
                !matches!(self, Kind::LlamaCppPython | Kind::Transformers | Kind::Ollama)
            }
            Part::Structure | Part::Logprobs | Part::Text => self != Kind::Transformers,
            Part::LogitBias => self != Kind::Ollama,
            Part::TemplateOptions => {
                matches!(self, Kind::Vllm | Kind::SgLang | Kind::LlamaServer)
            }
            Part::Tokens => {
                matches!(self, Kind::Vllm | Kind::SgLang | Kind::LlamaServer | Kind::OpenAi)
            }
        }
    }

    /// Whether a request can name the function that is to be called. Where it cannot, that function
    /// is the only one that is offered.
    pub(super) fn takes_names_of_functions(self) -> bool {
        self != Kind::LlamaServer
    }

    /// Errors: the engine does not have the part, which is `field` in requests.
    pub(super) fn must_have(self, part: Part, field: &'static str) -> Result<(), EngineError> {
        if self.has(part) {
            return Ok(());
        }
        let expected = format!("nothing: {self} does not have it");
        Err(EngineError::Parameter { field, expected, found: "a value".to_owned() })
    }

    /// The largest seed that it accepts.
    fn max_seed(self) -> u64 {
        match self {
            // To llama.cpp the largest number means "any seed".
            Kind::LlamaServer | Kind::LlamaCppPython => u64::from(u32::MAX) - 1,
            // The limit of its random generators.
            Kind::Transformers => u64::from(u32::MAX),
            _ => i64::MAX as u64,
        }
    }

    /// The parameters of a request by this engine's names. If the engine does not know a parameter,
    /// a value that means "off" is left out, because that means the same.
    ///
    /// Errors: [`EngineError::Parameter`] for the first parameter that it does not have.
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
        Ok(body)
    }

    /// "Off" is 0 here and for llama.cpp, and −1 for the others.
    fn top_k(self, top_k: u32) -> Value {
        match (self, top_k) {
            (Kind::Vllm | Kind::SgLang, 0) => json!(-1),
            _ => json!(top_k),
        }
    }

    /// The field that asks the engine for the token counts of an answer.
    pub(super) fn stream_options(self) -> Option<Value> {
        match self {
            // With every delta, so that a stopped answer has its counts too.
            Kind::Vllm => Some(json!({"include_usage": true, "continuous_usage_stats": true})),
            // It sends them unasked, and logs a warning for the field.
            Kind::Transformers => None,
            _ => Some(json!({"include_usage": true})),
        }
    }
}

/// Whether a value of a parameter means "off".
fn is_off(ours: &str, value: &Value) -> bool {
    let off = match ours {
        "repetition_penalty" => 1.0,
        "top_k" | "min_p" | "presence_penalty" | "frequency_penalty" => 0.0,
        _ => return false,
    };
    value.as_f64() == Some(off)
}

/// A single-precision number as people write it: 0.7, not 0.699999988.
pub(super) fn shortest(value: f32) -> Value {
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
            "min_p": 0.05, "seed": 7, "stop": ["END"],
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
