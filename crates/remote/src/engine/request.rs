//! A request for an answer as JSON, before it is brought into the form that the engine accepts.

use std::collections::VecDeque;

use banter_seam::{
    Conversation, Function, GenerateRequest, Message, Parameters, Prompt, Role, Structure,
    ToolCall, ToolChoice, Tools,
};
use serde_json::{Map, Value, json};

use super::EngineError;
use super::counting::{Cut, shorten_answer};
use super::history::{LeastTokens, least_tokens};
use super::kind::{Kind, Part, shortest};

/// A request for an answer.
pub(super) struct Request<'a> {
    /// The fields that do not depend on how much of the conversation is sent.
    pub(super) fields: Map<String, Value>,
    /// The fields that the client has asked for.
    pub(super) wishes: Vec<Wish>,
    pub(super) content: Content<'a>,
}

/// The text, tokens or messages that an answer follows.
pub(super) enum Content<'a> {
    Conversation(Cut<'a>),
    /// A text or tokens, with nothing around them.
    Plain {
        prompt: Value,
        max_tokens: usize,
        least: LeastTokens,
    },
}

/// A field that the client has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Its name in requests to banter.
    pub(super) ours: &'static str,
    /// Its name in requests to the engine.
    pub(super) theirs: &'static str,
    /// The request is refused if the engine does not take the field. Otherwise it is left out.
    pub(super) is_firm: bool,
}

impl Request<'_> {
    /// The path below OpenAI's interface.
    pub(super) fn path(&self) -> &'static [&'static str] {
        match self.content {
            Content::Conversation(_) => &["chat", "completions"],
            Content::Plain { .. } => &["completions"],
        }
    }

    pub(super) fn form(&self) -> Map<String, Value> {
        let mut form = self.fields.clone();
        let (name, prompt, max_tokens) = match &self.content {
            Content::Conversation(cut) => ("messages", as_json(cut.kept()), cut.max_tokens),
            Content::Plain { prompt, max_tokens, .. } => ("prompt", prompt.clone(), *max_tokens),
        };
        form.insert(name.to_owned(), prompt);
        form.insert("max_tokens".to_owned(), json!(max_tokens));
        form
    }

    /// Asks for less after the engine has refused. False if nothing more can be left out.
    pub(super) fn shorten(&mut self, context: usize) -> bool {
        match &mut self.content {
            Content::Conversation(cut) => cut.shorten(context),
            Content::Plain { max_tokens, .. } => shorten_answer(max_tokens, context),
        }
    }

    pub(super) fn least_tokens(&self) -> LeastTokens {
        match &self.content {
            Content::Conversation(cut) => cut.least_tokens(),
            Content::Plain { least, .. } => *least,
        }
    }

    pub(super) fn dropped_messages(&self) -> usize {
        match &self.content {
            Content::Conversation(cut) => cut.dropped_messages(),
            Content::Plain { .. } => 0,
        }
    }
}

impl Content<'static> {
    /// A text.
    ///
    /// Errors: the engine takes conversations only.
    pub(super) fn text(
        kind: Kind,
        text: &str,
        max_tokens: usize,
    ) -> Result<Content<'static>, EngineError> {
        kind.must_have(Part::Text, "prompt")?;
        let least = least_tokens(text);
        let least = LeastTokens { all: least, newest: least };
        Ok(Content::Plain { prompt: json!(text), max_tokens, least })
    }

    /// Tokens.
    ///
    /// Errors: the engine takes text only.
    pub(super) fn tokens(
        kind: Kind,
        tokens: &[u32],
        max_tokens: usize,
    ) -> Result<Content<'static>, EngineError> {
        kind.must_have(Part::Tokens, "prompt")?;
        let least = LeastTokens { all: tokens.len(), newest: tokens.len() };
        Ok(Content::Plain { prompt: json!(tokens), max_tokens, least })
    }
}

/// The interface of these engines takes text, and text does not say of which tokens it was made.
///
/// Errors: the request goes on with an answer.
pub(super) fn refuse_to_continue(asked: &GenerateRequest) -> Result<(), EngineError> {
    if asked.continues.is_none() {
        return Ok(());
    }
    Err(EngineError::Parameter {
        field: "continue",
        expected: "an engine that can go on with an answer".to_owned(),
        found: "an engine that somebody else runs, which begins every answer anew".to_owned(),
    })
}

/// The fields that the engine's chat template reads, beside the messages.
///
/// Errors: the engine does not have one of them.
pub(super) fn template_fields(
    kind: Kind,
    conversation: &Conversation,
) -> Result<Map<String, Value>, EngineError> {
    let Conversation { tools, template_options, .. } = conversation;
    let mut fields = Map::new();
    if !tools.functions.is_empty() {
        kind.must_have(Part::Tools, "tools")?;
        let offered = tools.functions.iter().filter(|function| match &tools.choice {
            ToolChoice::Named(name) if !kind.takes_names_of_functions() => function.name == *name,
            _ => true,
        });
        fields.insert("tools".to_owned(), offered.map(function_as_json).collect());
    }
    if !template_options.is_empty() {
        kind.must_have(Part::TemplateOptions, "chat_template_kwargs")?;
        let options = Value::Object(template_options.clone());
        fields.insert("chat_template_kwargs".to_owned(), options);
    }
    Ok(fields)
}

/// The other fields that are passed on as the client has sent them.
///
/// Errors: the engine does not have one of them.
pub(super) fn passed_on(
    kind: Kind,
    asked: &GenerateRequest,
) -> Result<Map<String, Value>, EngineError> {
    let mut fields = Map::new();
    if let Some(Tools { choice, one_call, .. }) = asked.prompt.tools() {
        if *choice != ToolChoice::Auto {
            kind.must_have(Part::ToolChoice, "tool_choice")?;
            fields.insert("tool_choice".to_owned(), choice_as_json(kind, choice));
        }
        if *one_call {
            fields.insert("parallel_tool_calls".to_owned(), json!(false));
        }
    }
    if let Some(structure) = &asked.structure {
        kind.must_have(Part::Structure, "response_format")?;
        fields.insert("response_format".to_owned(), structure_as_json(kind, structure)?);
    }
    if let Some(likeliest) = asked.logprobs {
        kind.must_have(Part::Logprobs, "logprobs")?;
        // For llama.cpp 0 is none at all.
        let likeliest = likeliest.max(1);
        match asked.prompt {
            Prompt::Conversation(_) => {
                fields.insert("logprobs".to_owned(), json!(true));
                fields.insert("top_logprobs".to_owned(), json!(likeliest));
            }
            Prompt::Text(_) | Prompt::Tokens(_) => {
                fields.insert("logprobs".to_owned(), json!(likeliest));
            }
        }
    }
    let bias = &asked.parameters.logit_bias;
    if !bias.is_empty() {
        kind.must_have(Part::LogitBias, "logit_bias")?;
        let bias: Map<String, Value> =
            bias.iter().map(|(token, bias)| (token.to_string(), shortest(*bias))).collect();
        fields.insert("logit_bias".to_owned(), Value::Object(bias));
    }
    Ok(fields)
}

/// The fields that the client has asked for.
pub(super) fn wishes(
    kind: Kind,
    parameters: &Parameters,
    is_exact: bool,
    passed_on: &Map<String, Value>,
) -> Vec<Wish> {
    const PASSED_ON: [&str; 7] = [
        "tools",
        "tool_choice",
        "chat_template_kwargs",
        "response_format",
        "logprobs",
        "top_logprobs",
        "logit_bias",
    ];
    let given = [
        ("temperature", parameters.temperature.is_some()),
        ("top_p", parameters.top_p.is_some()),
        ("repetition_penalty", parameters.repetition_penalty.is_some()),
        ("top_k", parameters.top_k.is_some()),
        ("min_p", parameters.min_p.is_some()),
        ("presence_penalty", parameters.presence_penalty.is_some()),
        ("frequency_penalty", parameters.frequency_penalty.is_some()),
        ("seed", parameters.seed.is_some()),
        ("stop", !parameters.stop_strings.is_empty()),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    let parameters = given
        .filter_map(|(ours, _)| Some(Wish { ours, theirs: kind.field(ours)?, is_firm: is_exact }));
    let passed_on = PASSED_ON.into_iter().filter(|name| passed_on.contains_key(*name));
    parameters
        .chain(passed_on.map(|name| Wish { ours: name, theirs: name, is_firm: true }))
        .collect()
}

pub(super) fn as_json<'a>(messages: impl Iterator<Item = &'a Message>) -> Value {
    // Calls without a result so far. Ollama's interface does not say which call a result belongs
    // to, but others demand it.
    let mut open_calls = VecDeque::new();
    let entry = |message: &'a Message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let mut entry = json!({"role": role, "content": message.content});
        if let Some(thinking) = &message.thinking {
            entry["reasoning_content"] = json!(thinking);
        }
        if !message.tool_calls.is_empty() {
            entry["tool_calls"] = message.tool_calls.iter().map(call_as_json).collect();
            open_calls = message.tool_calls.iter().map(|call| call.id.as_str()).collect();
        }
        let call = match &message.tool_call_id {
            Some(id) => Some(id.as_str()),
            None if message.role == Role::Tool => open_calls.front().copied(),
            None => None,
        };
        if let Some(call) = call {
            open_calls.retain(|open| *open != call);
            entry["tool_call_id"] = json!(call);
        }
        entry
    };
    messages.map(entry).collect()
}

fn call_as_json(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn function_as_json(function: &Function) -> Value {
    let Function { name, description, parameters, strict } = function;
    let mut entry = json!({ "name": name });
    if let Some(description) = description {
        entry["description"] = json!(description);
    }
    if let Some(parameters) = parameters {
        entry["parameters"] = parameters.clone();
    }
    if *strict {
        entry["strict"] = json!(true);
    }
    json!({"type": "function", "function": entry})
}

fn choice_as_json(kind: Kind, choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::Named(_) if !kind.takes_names_of_functions() => json!("required"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// Errors: no request of OpenAI's interface has such a structure.
fn structure_as_json(kind: Kind, structure: &Structure) -> Result<Value, EngineError> {
    let schema = match structure {
        Structure::JsonSchema(schema) => schema,
        Structure::Regex(text) | Structure::Grammar(text) => {
            return Err(EngineError::Parameter {
                field: "response_format",
                expected: "a JSON schema, which is all that other engines take".to_owned(),
                found: text.clone(),
            });
        }
    };
    let schema: Value = serde_json::from_str(schema).map_err(|_| EngineError::Parameter {
        field: "response_format",
        expected: "a JSON schema".to_owned(),
        found: "text that is no JSON".to_owned(),
    })?;
    Ok(match kind {
        _ if schema == json!({"type": "object"}) => json!({"type": "json_object"}),
        Kind::LlamaCppPython => json!({"type": "json_object", "schema": schema}),
        _ => {
            let schema = json!({"name": "answer", "schema": schema, "strict": true});
            json!({"type": "json_schema", "json_schema": schema})
        }
    })
}
