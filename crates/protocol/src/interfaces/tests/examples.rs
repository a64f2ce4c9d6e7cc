//! A request of each interface with every field that may say something.

use super::super::{anthropic, ollama, openai};
use super::numbers::{self, Number};
use super::without_indices;
use crate::Fault;
use serde_json::{Value, json};
use std::fmt::Debug;

/// A kind of request.
pub(super) struct Interface {
    pub(super) name: &'static str,
    /// Reads a body, and shows what was understood.
    pub(super) read: fn(&str) -> Result<String, Fault>,
    /// A request with every field that is not refused whatever it says.
    pub(super) example: fn() -> Value,
    /// If the first field changes, the second, which depends on it, is left out.
    pub(super) bound: &'static [(&'static str, &'static str)],
    /// Fields that change nothing, whatever they say. Lists are written without an index.
    pub(super) ignored: &'static [&'static str],
    pub(super) numbers: fn() -> Vec<Number>,
}

pub(super) const INTERFACES: &[Interface] = &[
    Interface {
        name: "OpenAI's chat completions",
        read: |body| shown(openai::ChatRequest::parse(body)),
        example: || parsed(CHAT),
        bound: &[("stream", "stream_options"), ("logprobs", "top_logprobs")],
        ignored: &[
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
            "messages[].name",
            "messages[].annotations",
            "messages[].tool_calls[].type",
            "response_format.json_schema.description",
            "response_format.json_schema.strict",
        ],
        numbers: numbers::of_chat,
    },
    Interface {
        name: "OpenAI's completions",
        read: |body| shown(openai::CompletionRequest::parse(body)),
        example: || parsed(COMPLETION),
        bound: &[("stream", "stream_options"), ("n", "best_of")],
        ignored: &["prompt_cache_key", "user"],
        numbers: numbers::of_completions,
    },
    Interface {
        name: "OpenAI's responses",
        read: |body| shown(openai::ResponseRequest::parse(body)),
        example: || parsed(RESPONSE),
        bound: &[],
        ignored: &IGNORED_BY_RESPONSES,
        numbers: numbers::of_responses,
    },
    Interface {
        name: "an event of OpenAI's responses",
        read: |body| shown(openai::ResponseRequest::parse_event(body)),
        example: || with(parsed(RESPONSE), json!({"type": "response.create", "generate": true})),
        bound: &[],
        ignored: &IGNORED_BY_RESPONSES,
        numbers: numbers::of_responses,
    },
    Interface {
        name: "OpenAI's embeddings",
        read: |body| shown(openai::read_embeddings(body)),
        example: || {
            let texts = json!({"model": "m", "input": ["a", "b"], "dimensions": 2});
            with(texts, json!({"encoding_format": "float", "pooling": "mean"}))
        },
        bound: &[],
        ignored: &["user"],
        numbers: numbers::of_embeddings,
    },
    Interface {
        name: "Ollama's chat",
        read: |body| shown(ollama::read_chat(body)),
        example: || with_options(parsed(OLLAMA_CHAT)),
        bound: &[("logprobs", "top_logprobs")],
        ignored: &IGNORED_BY_OLLAMA,
        numbers: numbers::of_ollama,
    },
    Interface {
        name: "Ollama's generate",
        read: |body| shown(ollama::read_generate(body)),
        example: || with_options(parsed(OLLAMA_GENERATE)),
        bound: &[("logprobs", "top_logprobs"), ("raw", "system")],
        ignored: &IGNORED_BY_OLLAMA_GENERATE,
        numbers: numbers::of_ollama,
    },
    Interface {
        name: "Ollama's embed",
        read: |body| shown(ollama::read_embed(body)),
        example: || {
            with_options(
                json!({"model": "m", "input": ["a", "b"], "truncate": true, "dimensions": 2}),
            )
        },
        bound: &[],
        ignored: &IGNORED_BY_OLLAMA_EMBED,
        numbers: numbers::of_ollama_embed,
    },
    Interface {
        name: "Ollama's older embeddings",
        read: |body| shown(ollama::read_embeddings(body)),
        example: || with_options(json!({"model": "m", "prompt": "a"})),
        bound: &[],
        ignored: &IGNORED_BY_OLLAMA_EMBED,
        numbers: numbers::of_ollama_options,
    },
    Interface {
        name: "Anthropic's messages",
        read: |body| shown(anthropic::MessageRequest::parse(body)),
        example: || with(parsed(COUNT), parsed(SAMPLING_OF_MESSAGES)),
        bound: &[],
        ignored: &IGNORED_BY_ANTHROPIC,
        numbers: numbers::of_messages,
    },
    Interface {
        name: "Anthropic's count of tokens",
        read: |body| shown(anthropic::CountRequest::parse(body)),
        example: || parsed(COUNT),
        bound: &[],
        ignored: &IGNORED_BY_ANTHROPIC,
        numbers: || vec![numbers::stop("stop_sequences")],
    },
];

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect(json)
}

fn with(mut request: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more}") };
    request.as_object_mut().expect("an object").extend(more);
    request
}

/// A request of Ollama's with all options.
fn with_options(request: Value) -> Value {
    with(request, json!({"options": parsed(OLLAMA_OPTIONS)}))
}

fn shown(read: Result<impl Debug, Fault>) -> Result<String, Fault> {
    read.map(|request| format!("{request:?}"))
}

impl Interface {
    /// Reads the example with another value in a field.
    pub(super) fn read_with(&self, field: &str, value: &str) -> Result<String, Fault> {
        const HERE: &str = "the value stands here";
        let mut body = (self.example)();
        for (_, dependent) in self.bound.iter().filter(|(changed, _)| *changed == field) {
            body.as_object_mut().expect("an object").remove(*dependent);
        }
        *place(&mut body, field) = HERE.into();
        (self.read)(&body.to_string().replace(&format!("\"{HERE}\""), value))
    }

    /// Whether the example has a field, anywhere in a list if the path leads through one.
    pub(super) fn has_in_example(&self, kind: &str) -> bool {
        let mut paths = Vec::new();
        list_paths(&(self.example)(), "", &mut paths);
        paths.iter().any(|path| without_indices(path) == kind)
    }
}

/// The value at a path; a last field that is missing is added.
fn place<'a>(body: &'a mut Value, path: &str) -> &'a mut Value {
    let steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    steps.fold(body, |value, step| match (value.is_array(), step.parse::<usize>()) {
        (true, Ok(index)) => &mut value[index],
        _ => &mut value[step],
    })
}

/// The paths of all values, in the form that mistakes have.
fn list_paths(value: &Value, path: &str, paths: &mut Vec<String>) {
    paths.push(path.to_owned());
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                let joint = if path.is_empty() { "" } else { "." };
                list_paths(inner, &format!("{path}{joint}{name}"), paths);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                list_paths(inner, &format!("{path}[{index}]"), paths);
            }
        }
        _ => {}
    }
}

const CHAT: &str = r#"{
    "model": "m",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        {"role": "assistant", "content": "c", "refusal": "d", "reasoning_content": "e", "reasoning": "f",
         "tool_calls": [{"id": "g", "function": {"name": "h", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "g", "content": "i"}
    ],
    "max_tokens": 5, "temperature": 1, "top_p": 0.5, "repetition_penalty": 1, "top_k": 5, "min_p": 0.5,
    "presence_penalty": 1, "frequency_penalty": 1, "seed": 5, "stop": ["x"],
    "max_completion_tokens": 5, "logit_bias": {"5": 1}, "n": 1, "logprobs": true, "top_logprobs": 2,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": true}}],
    "tool_choice": "auto", "parallel_tool_calls": true, "stream": true,
    "stream_options": {"include_usage": true}, "continue_final_message": false,
    "add_generation_prompt": true, "chat_template_kwargs": {}, "modalities": ["text"]
}"#;

const COMPLETION: &str = r#"{
    "model": "m", "prompt": "hi", "max_tokens": 5, "temperature": 1, "top_p": 0.5,
    "repetition_penalty": 1, "top_k": 5, "min_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1,
    "seed": 5, "stop": ["x"], "logit_bias": {"5": 1}, "n": 1, "best_of": 1, "logprobs": 2,
    "echo": false, "stream": true, "stream_options": {"include_usage": true}
}"#;

const RESPONSE: &str = r#"{
    "model": "m", "input": "hi", "instructions": "i", "previous_response_id": "r",
    "max_output_tokens": 5, "temperature": 1, "top_p": 0.5, "repetition_penalty": 1, "top_k": 5,
    "min_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1, "seed": 5, "stop": ["x"],
    "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "auto",
    "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "top_logprobs": 2,
    "include": ["message.output_text.logprobs"], "store": true, "stream": false,
    "truncation": "auto", "metadata": {}, "user": "u", "chat_template_kwargs": {},
    "reasoning": {"effort": "none"}, "background": false
}"#;

const IGNORED_BY_RESPONSES: [&str; 5] = [
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "stream_options",
];

const OLLAMA_OPTIONS: &str = r#"{
    "num_predict": 5, "temperature": 1, "top_p": 0.5, "top_k": 5, "min_p": 0.5, "repeat_penalty": 1,
    "presence_penalty": 1, "frequency_penalty": 1, "seed": 5, "stop": ["x"], "mirostat": 0,
    "repeat_last_n": -1, "tfs_z": 1, "typical_p": 1
}"#;

const OLLAMA_CHAT: &str = r#"{
    "model": "m",
    "messages": [
        {"role": "user", "content": "a", "images": []},
        {"role": "assistant", "content": "b", "thinking": "c",
         "tool_calls": [{"id": "d", "function": {"name": "e", "arguments": {}}}]},
        {"role": "tool", "tool_call_id": "d", "content": "f"}
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": true}}],
    "truncate": true, "format": "json", "stream": true, "think": true, "logprobs": true,
    "top_logprobs": 2, "shift": false
}"#;

const OLLAMA_GENERATE: &str = r#"{
    "model": "m", "prompt": "a", "system": "b", "raw": false, "suffix": "", "template": "",
    "context": [], "images": [],
    "format": "json", "stream": true, "think": true, "logprobs": true, "top_logprobs": 2,
    "shift": false
}"#;

const IGNORED_BY_OLLAMA: [&str; 15] = [
    "keep_alive",
    "messages[].tool_name",
    "options.mirostat_eta",
    "options.mirostat_tau",
    "options.f16_kv",
    "options.low_vram",
    "options.main_gpu",
    "options.num_batch",
    "options.num_ctx",
    "options.num_gpu",
    "options.num_thread",
    "options.numa",
    "options.use_mlock",
    "options.use_mmap",
    "options.num_keep",
];
const IGNORED_BY_OLLAMA_GENERATE: [&str; 15] = {
    let mut ignored = IGNORED_BY_OLLAMA;
    ignored[1] = "truncate";
    ignored
};
const IGNORED_BY_OLLAMA_EMBED: [&str; 14] = {
    let mut ignored = ["keep_alive"; 14];
    let mut index = 1;
    while index < ignored.len() {
        ignored[index] = IGNORED_BY_OLLAMA[index + 1];
        index += 1;
    }
    ignored
};

const SAMPLING_OF_MESSAGES: &str = r#"{
    "max_tokens": 5, "temperature": 1, "top_p": 0.5, "top_k": 5, "seed": 5, "min_p": 0.5,
    "repetition_penalty": 1, "presence_penalty": 1, "frequency_penalty": 1
}"#;

const COUNT: &str = r#"{
    "model": "m",
    "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "c", "name": "d", "input": {}}
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "e"}]}
    ],
    "system": "s", "stop_sequences": ["x"], "stream": false, "thinking": {"type": "disabled"},
    "output_config": {"format": {"type": "json_schema", "schema": {}}},
    "tools": [{"type": "custom", "name": "f", "description": "d", "input_schema": {}, "strict": true}],
    "tool_choice": {"type": "auto", "name": "f", "disable_parallel_tool_use": true}
}"#;

const IGNORED_BY_ANTHROPIC: [&str; 12] = [
    "cache_control",
    "metadata",
    "service_tier",
    "user_profile_id",
    "workspace_id",
    "messages[].id",
    "messages[].model",
    "messages[].stop_reason",
    "messages[].stop_sequence",
    "messages[].type",
    "messages[].usage",
    "tool_choice.cache_control",
];
