//! The words of the seam in those of our engine, and its refusals in those of the seam.

use banter_engine::ConversationId;
use banter_engine::engine::{self, PromptSource, Refusal};
use banter_engine::kv_cache;
use banter_engine::model_file::SamplingDefaults;
use banter_engine::sampler::SamplingParams;
use banter_engine::structure;
use banter_engine::text::{self, TemplateExtras};
use banter_engine::tool_calls::{AnswerWithCalls, CallableFunction, answer_with_calls};
use banter_seam::{
    Continuation, Conversation, ConversationNumber, DraftRequest, Failure, Function,
    GenerateRequest, Message, Parameters, Prompt, Role, Structure, Tenant, ToolCall, ToolChoice,
    Tools,
};
use serde_json::{Map, Value, json};

/// What the client is told of a refusal.
pub(super) fn failure_of(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::TooLong { tokens, limit } => Failure::TooLong { tokens, limit },
        Refusal::InvalidParameter(error) => Failure::InvalidParameter {
            field: error.field.into(),
            expected: error.range,
            found: error.value,
        },
        Refusal::Structure(error) => Failure::InvalidParameter {
            field: "structure".into(),
            expected: "a schema that can be used".into(),
            found: error.to_string().trim_start_matches("structure: ").to_owned(),
        },
        Refusal::Continuation(error) => Failure::InvalidParameter {
            field: "continue".into(),
            expected: "an answer that can go on".into(),
            found: error.to_string(),
        },
        Refusal::Template(reason) => {
            Failure::Internal { reason: format!("chat template: {reason}") }
        }
        Refusal::Conversation(words) => Failure::InvalidParameter {
            field: "history".into(),
            expected: "a conversation that the model's chat template takes".into(),
            found: words,
        },
        Refusal::Closed => Failure::Internal { reason: "the engine has ended".into() },
    }
}

/// The model's own values; a value that it leaves out has no effect. A model without any gets those
/// that Qwen2.5-Instruct is published with, because its GGUF files do not contain them.
pub(super) fn defaults_of(model: &SamplingDefaults) -> SamplingParams {
    if *model == SamplingDefaults::default() {
        return SamplingParams {
            temperature: 0.7,
            top_p: 0.8,
            top_k: 20,
            repetition_penalty: 1.05,
            ..SamplingParams::default()
        };
    }
    let neutral = SamplingParams::default();
    SamplingParams {
        temperature: model.temperature.unwrap_or(neutral.temperature),
        top_p: model.top_p.unwrap_or(neutral.top_p),
        top_k: model.top_k.unwrap_or(neutral.top_k),
        min_p: model.min_p.unwrap_or(neutral.min_p),
        repetition_penalty: model.repetition_penalty.unwrap_or(neutral.repetition_penalty),
        ..neutral
    }
}

/// A request as the engine takes it. `defaults` are the values of parameters that it leaves out.
pub(super) fn for_engine(
    request: GenerateRequest,
    defaults: &SamplingParams,
) -> engine::GenerateRequest {
    let Parameters {
        max_tokens,
        temperature,
        top_p,
        repetition_penalty,
        top_k,
        min_p,
        presence_penalty,
        frequency_penalty,
        logit_bias,
        seed,
        stop_strings,
    } = request.parameters;
    let sampling = SamplingParams {
        temperature: temperature.unwrap_or(defaults.temperature),
        top_k: top_k.unwrap_or(defaults.top_k),
        top_p: top_p.unwrap_or(defaults.top_p),
        min_p: min_p.unwrap_or(defaults.min_p),
        repetition_penalty: repetition_penalty.unwrap_or(defaults.repetition_penalty),
        presence_penalty: presence_penalty.unwrap_or(defaults.presence_penalty),
        frequency_penalty: frequency_penalty.unwrap_or(defaults.frequency_penalty),
        logit_bias: logit_bias.into_iter().map(|(id, bias)| (text::TokenId(id), bias)).collect(),
        seed,
    };
    let structure = structure_for_engine(request.structure, request.prompt.tools());
    engine::GenerateRequest {
        prompt: prompt_for_engine(request.prompt),
        sampling,
        max_tokens: Some(usize::try_from(max_tokens).unwrap_or(usize::MAX)),
        stop_strings,
        structure,
        logprobs: request.logprobs,
        tenant: tenant_for_engine(request.asker.tenant),
        conversation: request.conversation.map(conversation_for_engine),
        continues: request.continues.map(continuation_for_engine),
    }
}

/// A draft as the engine takes it.
pub(super) fn draft_for_engine(draft: DraftRequest) -> engine::Draft {
    engine::Draft {
        messages: messages_for_engine(draft.messages),
        max_tokens: Some(usize::try_from(draft.max_tokens).unwrap_or(usize::MAX)),
        tenant: tenant_for_engine(draft.asker.tenant),
        conversation: draft.conversation.map(conversation_for_engine),
        key: draft.key,
    }
}

pub(super) fn tenant_for_engine(tenant: Tenant) -> kv_cache::Tenant {
    kv_cache::Tenant(tenant.0)
}

pub(super) fn conversation_for_engine(conversation: ConversationNumber) -> ConversationId {
    ConversationId(conversation.0)
}

fn continuation_for_engine(continuation: Continuation) -> engine::Continuation {
    let Continuation { tokens, text_bytes } = continuation;
    let tokens = tokens.into_iter().map(text::TokenId).collect();
    engine::Continuation { tokens, text_bytes }
}

fn prompt_for_engine(prompt: Prompt) -> PromptSource {
    match prompt {
        Prompt::Conversation(Conversation { messages, tools, template_options, is_whole }) => {
            let extras = extras_for_engine(&tools, template_options);
            let messages = messages_for_engine(messages);
            PromptSource::Messages { messages, extras, is_whole }
        }
        Prompt::Text(text) => PromptSource::Text(text),
        Prompt::Tokens(tokens) => {
            PromptSource::Tokens(tokens.into_iter().map(text::TokenId).collect())
        }
    }
}

/// What the chat template is told beside the messages.
pub(super) fn extras_for_engine(tools: &Tools, options: Map<String, Value>) -> TemplateExtras {
    TemplateExtras { tools: tools.functions.iter().map(function_for_template).collect(), options }
}

/// The structure that an answer must have: the one that is asked for, and that of calls which must
/// be there or must be right.
fn structure_for_engine(
    asked: Option<Structure>,
    tools: Option<&Tools>,
) -> Option<structure::Structure> {
    match (asked, tools) {
        (None, Some(tools)) if calls_have_structure(tools) => {
            Some(answer_with_calls(&answer_for_engine(tools, None)))
        }
        (Some(Structure::JsonSchema(schema)), Some(tools)) => Some(match schema.parse() {
            Ok(schema) => answer_with_calls(&answer_for_engine(tools, Some(schema))),
            // The engine says what is wrong with it.
            Err(_) => structure::Structure::JsonSchema(schema),
        }),
        (asked, _) => asked.map(|asked| match asked {
            Structure::JsonSchema(schema) => structure::Structure::JsonSchema(schema),
            Structure::Regex(pattern) => structure::Structure::Regex(pattern),
            Structure::Grammar(grammar) => structure::Structure::Grammar(grammar),
        }),
    }
}

fn calls_have_structure(tools: &Tools) -> bool {
    let is_strict = |function: &Function| function.strict;
    tools.choice != ToolChoice::Auto || tools.one_call || tools.functions.iter().any(is_strict)
}

fn answer_for_engine(tools: &Tools, schema: Option<Value>) -> AnswerWithCalls<'_> {
    let is_demanded = tools.choice != ToolChoice::Auto;
    let may_be_called = |function: &&Function| match &tools.choice {
        ToolChoice::Named(name) => function.name == *name,
        ToolChoice::Auto | ToolChoice::Required => true,
    };
    let keeps_to_schema = |function: &Function| is_demanded || function.strict;
    let functions = tools.functions.iter().filter(may_be_called);
    AnswerWithCalls {
        functions: functions
            .map(|function| CallableFunction {
                name: &function.name,
                arguments: function.parameters.as_ref().filter(|_| keeps_to_schema(function)),
            })
            .collect(),
        only_calls: is_demanded,
        one_call: tools.one_call || matches!(tools.choice, ToolChoice::Named(_)),
        schema,
    }
}

/// A function as chat templates take it.
fn function_for_template(function: &Function) -> Value {
    let mut described = Map::new();
    described.insert("name".to_owned(), json!(function.name));
    if let Some(description) = &function.description {
        described.insert("description".to_owned(), json!(description));
    }
    if let Some(parameters) = &function.parameters {
        described.insert("parameters".to_owned(), parameters.clone());
    }
    json!({"type": "function", "function": described})
}

/// A call as a chat template takes it. Arguments that are no JSON are passed on as text.
fn call_for_engine(ToolCall { name, arguments, .. }: ToolCall) -> text::ToolCall {
    let arguments = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
    text::ToolCall { name, arguments }
}

/// A conversation as the engine takes it.
pub(super) fn messages_for_engine(messages: Vec<Message>) -> Vec<text::Message> {
    let message = |message: Message| text::Message {
        role: match message.role {
            Role::System => text::Role::System,
            Role::User => text::Role::User,
            Role::Assistant => text::Role::Assistant,
            Role::Tool => text::Role::Tool,
        },
        content: message.content,
        tokens: message.tokens.map(|tokens| tokens.iter().copied().map(text::TokenId).collect()),
        tool_calls: message.tool_calls.into_iter().map(call_for_engine).collect(),
    };
    messages.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_seam::Asker;

    fn function(name: &str) -> Function {
        let (name, description) = (name.to_owned(), Some("d".to_owned()));
        Function { name, description, parameters: Some(json!({"a": 1})), strict: false }
    }

    #[test]
    fn calls_have_a_structure_if_they_must_be_there_or_must_be_right() {
        let tools = Tools { functions: vec![function("f"), function("g")], ..Tools::default() };
        assert_eq!(structure_for_engine(None, Some(&tools)), None);
        let grammar = |asked: Option<&str>, tools: &Tools| {
            let asked = asked.map(|schema| Structure::JsonSchema(schema.to_owned()));
            match structure_for_engine(asked, Some(tools)) {
                Some(structure::Structure::Grammar(grammar)) => grammar,
                other => panic!("{other:?}"),
            }
        };
        let schemas = |grammar: &str| grammar.matches(r#""a":1"#).count();
        let required = grammar(None, &Tools { choice: ToolChoice::Required, ..tools.clone() });
        assert_eq!((schemas(&required), required.contains("TEXT")), (2, false), "{required}");
        let named = ToolChoice::Named("g".to_owned());
        let named = grammar(None, &Tools { choice: named, ..tools.clone() });
        assert_eq!((schemas(&named), named.contains("function_1")), (1, false), "{named}");
        let mut strict = tools.clone();
        strict.functions[0].strict = true;
        let strict = grammar(None, &strict);
        assert_eq!((schemas(&strict), strict.contains("TEXT")), (1, true), "{strict}");
        let one = grammar(None, &Tools { one_call: true, ..tools.clone() });
        assert_eq!((schemas(&one), one.contains("call*")), (0, false), "{one}");
        let answer = grammar(Some(r#"{"b":2}"#), &tools);
        assert!(answer.contains(r#"answer: %json {"b":2"#), "{answer}");
    }

    #[test]
    fn tools_and_calls_reach_the_chat_template() {
        let call = |arguments: &str| ToolCall {
            id: "call-1".to_owned(),
            name: "weather".to_owned(),
            arguments: arguments.to_owned(),
        };
        let calls = vec![call(r#"{"town": "Bonn"}"#), call("no JSON")];
        let answer = Message { tool_calls: calls, ..Message::assistant("") };
        let result = Message::new(Role::Tool, "rain");
        let conversation = Conversation {
            messages: vec![Message::user("hi"), answer, result],
            tools: Tools { functions: vec![function("weather")], ..Tools::default() },
            template_options: Map::from_iter([("enable_thinking".to_owned(), json!(false))]),
            is_whole: true,
        };
        let prompt = prompt_for_engine(Prompt::Conversation(conversation));
        let PromptSource::Messages { messages, extras, is_whole: true } = prompt else {
            panic!("it is one")
        };
        let described = json!({"name": "weather", "description": "d", "parameters": {"a": 1}});
        assert_eq!(extras.tools, [json!({"type": "function", "function": described})]);
        assert_eq!(extras.options["enable_thinking"], json!(false));
        let arguments: Vec<&Value> =
            messages[1].tool_calls.iter().map(|call| &call.arguments).collect();
        assert_eq!(arguments, [&json!({"town": "Bonn"}), &json!("no JSON")]);
        assert_eq!(messages[2].role, text::Role::Tool);
    }

    #[test]
    fn a_model_that_says_something_is_not_given_other_models_values() {
        let nothing = defaults_of(&SamplingDefaults::default());
        assert_eq!((nothing.temperature, nothing.top_p, nothing.top_k), (0.7, 0.8, 20));
        let greedy = SamplingDefaults { temperature: Some(0.0), ..SamplingDefaults::default() };
        let expected = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
        assert_eq!(defaults_of(&greedy), expected);
    }

    #[test]
    fn a_conversation_that_the_template_refuses_is_the_clients_to_mend() {
        let failure = failure_of(Refusal::Conversation("roles must alternate".into()));
        assert_eq!(failure.code(), "invalid_parameter");
        let expected = "history: expected a conversation that the model's chat template takes, \
                        found roles must alternate";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn the_engine_is_told_what_the_request_says() {
        let parameters = Parameters {
            max_tokens: 7,
            temperature: None,
            top_p: Some(0.5),
            repetition_penalty: None,
            top_k: None,
            min_p: None,
            presence_penalty: None,
            frequency_penalty: None,
            logit_bias: vec![(5, 1.5)],
            seed: Some(3),
            stop_strings: vec!["x".into()],
        };
        let messages = vec![Message::user("a"), Message::assistant("b").with_tokens([4, 5])];
        let asker = Asker { tenant: Tenant(8), ..Asker::default() };
        let request = GenerateRequest {
            conversation: Some(ConversationNumber(9)),
            continues: Some(Continuation { tokens: vec![6], text_bytes: 2 }),
            structure: Some(Structure::Regex("a|b".to_owned())),
            logprobs: Some(4),
            ..GenerateRequest::new(messages, parameters, asker)
        };
        let defaults = SamplingParams { temperature: 0.25, ..SamplingParams::default() };
        let told = for_engine(request, &defaults);
        assert_eq!((told.max_tokens, told.stop_strings), (Some(7), vec!["x".to_owned()]));
        let logit_bias = vec![(text::TokenId(5), 1.5)];
        let sampling = SamplingParams { top_p: 0.5, logit_bias, seed: Some(3), ..defaults };
        assert_eq!(told.sampling, sampling);
        let structure = structure::Structure::Regex("a|b".to_owned());
        assert_eq!((told.structure, told.logprobs), (Some(structure), Some(4)));
        assert_eq!(
            (told.tenant, told.conversation),
            (kv_cache::Tenant(8), Some(ConversationId(9)))
        );
        let tokens = vec![text::TokenId(6)];
        assert_eq!(told.continues, Some(engine::Continuation { tokens, text_bytes: 2 }));
        let made_of = [4, 5].map(text::TokenId);
        let expected =
            [text::Message::user("a"), text::Message::assistant("b").with_tokens(made_of)];
        assert_eq!(told.prompt.messages(), expected);
    }
}
