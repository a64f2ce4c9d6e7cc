//! What is asked of a backend.

use crate::{TextInput, TraceParent};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    /// The text, tokens or conversation that the answer follows.
    pub prompt: Prompt,
    /// How the answer is to be sampled, and how long it may be.
    pub parameters: Parameters,
    /// The structure that the answer must have.
    pub structure: Option<Structure>,
    /// Whether each token comes with its log-probability, and with those of how many of the
    /// likeliest tokens, at most 20.
    pub logprobs: Option<usize>,
    /// Whether it is refused rather than answered without one of its parameters. A backend in front
    /// of an engine that somebody else runs learns only from the engine which ones it takes.
    pub is_exact: bool,
    /// Who asks.
    pub asker: Asker,
    /// Which of the tenant's conversations it is, so that it can be forgotten later.
    pub conversation: Option<ConversationNumber>,
    /// The answer so far, if the request goes on with one instead of beginning one. It belongs to
    /// the newest message. A backend that cannot go on refuses the request; see
    /// [`Backend::can_continue`](crate::Backend::can_continue).
    pub continues: Option<Continuation>,
    /// The client's span that the request belongs to.
    pub trace: Option<TraceParent>,
}

impl GenerateRequest {
    /// A request for a new answer of any structure, in a conversation without a number.
    pub fn new(prompt: impl Into<Prompt>, parameters: Parameters, asker: Asker) -> GenerateRequest {
        GenerateRequest {
            prompt: prompt.into(),
            parameters,
            structure: None,
            logprobs: None,
            is_exact: false,
            asker,
            conversation: None,
            continues: None,
            trace: None,
        }
    }
}

/// The text, tokens or conversation that an answer follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A conversation, as the model's chat template writes it.
    Conversation(Conversation),
    /// A text, with nothing around it. Literals of control tokens in it are those tokens.
    Text(String),
    /// Tokens, with nothing around them.
    Tokens(Vec<u32>),
}

impl From<TextInput> for Prompt {
    fn from(input: TextInput) -> Prompt {
        match input {
            TextInput::Text(text) => Prompt::Text(text),
            TextInput::Tokens(tokens) => Prompt::Tokens(tokens),
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The newest message last.
    pub messages: Vec<Message>,
    /// The functions that the model may call.
    pub tools: Tools,
    /// Further values for the chat template, by their names.
    pub template_options: Map<String, Value>,
    /// The request is refused if the messages do not fit. Otherwise the oldest are left out.
    pub is_whole: bool,
}

/// The functions that the model may call, and which of them it calls.
///
/// If there are any, calls in the answer are told as [`Event::Call`](crate::Event::Call) instead of
/// text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tools {
    /// The functions, with names that differ.
    pub functions: Vec<Function>,
    /// Which of them it calls.
    pub choice: ToolChoice,
    /// The answer has one call at most.
    pub one_call: bool,
}

/// A function that the model may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// For the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments, an object; `None` if any object will do.
    pub parameters: Option<Value>,
    /// Whether arguments must keep to the schema. Arguments of a call that the request demands
    /// always do.
    pub strict: bool,
}

/// Which functions the model calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// At least one.
    Required,
    /// The one of this name.
    Named(String),
}

impl Prompt {
    /// The functions that the model may call.
    pub fn tools(&self) -> Option<&Tools> {
        match self {
            Prompt::Conversation(conversation) if !conversation.tools.functions.is_empty() => {
                Some(&conversation.tools)
            }
            _ => None,
        }
    }

    /// The messages of a conversation; none of other prompts.
    pub fn messages(&self) -> &[Message] {
        match self {
            Prompt::Conversation(conversation) => &conversation.messages,
            Prompt::Text(_) | Prompt::Tokens(_) => &[],
        }
    }
}

impl From<Conversation> for Prompt {
    fn from(conversation: Conversation) -> Prompt {
        Prompt::Conversation(conversation)
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Prompt {
        Prompt::Conversation(Conversation { messages, ..Conversation::default() })
    }
}

/// The structure that an answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Structure {
    /// JSON that a JSON schema accepts; holds the schema.
    JsonSchema(String),
    /// Text that a regular expression matches as a whole.
    Regex(String),
    /// Text of a grammar.
    Grammar(String),
}

/// An answer that was cut off and is to go on.
///
/// With the messages, the parameters and the seed of the request that began it, its text and its
/// tokens become what they would have been without the cut. `max_tokens` counts new tokens only,
/// and so does [`Usage::completion_tokens`](crate::Usage::completion_tokens). To keep the context
/// as it was, the caller asks for the tokens that remain of the first `max_tokens`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continuation {
    /// All tokens of the answer so far, in the order in which its deltas told them.
    pub tokens: Vec<u32>,
    /// How many bytes of its text were shown. Deltas go on exactly from there.
    pub text_bytes: usize,
}

/// A message that is still being typed. A backend may compute what its answer will need.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftRequest {
    /// The conversation; the last message is the one being typed.
    pub messages: Vec<Message>,
    /// As in the request that will follow: it decides how much of a long history fits.
    pub max_tokens: u32,
    /// Who types.
    pub asker: Asker,
    /// The conversation, as in the request that will follow.
    pub conversation: Option<ConversationNumber>,
    /// Distinguishes drafts of one tenant: a newer one replaces the older one of the same key.
    pub key: u64,
}

/// The number of a conversation, chosen by the server and unique within a tenant. A conversation
/// can be forgotten by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConversationNumber(pub u64);

/// Who asks, as far as a backend must know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asker {
    /// Whose computed text may be used.
    pub tenant: Tenant,
    /// Whose part of the limits is used.
    pub share: ShareId,
}

/// Whose computed text may be used. Text that was computed for one tenant is not used for another,
/// as far as a backend can separate them: the speed of the answer would tell what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tenant(pub u64);

/// Whose part of the limits is used. Clients that cannot be told apart have one share together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShareId(pub u64);

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
    /// Of an answer: the tokens that made it, if they are known, as its deltas told them. A backend
    /// that computed it finds more of it in its cache by these than by the text. Tokens that do not
    /// spell `content` are ignored.
    pub tokens: Option<Arc<[u32]>>,
    /// Of an answer: what the model thought before it, if the client says so.
    pub thinking: Option<String>,
    /// Of an answer: the functions that it calls after its text.
    pub tool_calls: Vec<ToolCall>,
    /// Of the result of a function: the call that it belongs to, if the client says so.
    pub tool_call_id: Option<String>,
}

/// A call of a function, made by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its name among the calls of a conversation.
    pub id: String,
    /// The name of the function.
    pub name: String,
    /// Its arguments as the model wrote them, usually JSON.
    pub arguments: String,
}

impl Message {
    /// A message that is known by its text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message {
            role,
            content: content.into(),
            tokens: None,
            thinking: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// The rules of a conversation.
    pub fn system(content: impl Into<String>) -> Message {
        Message::new(Role::System, content)
    }

    /// A message of the person.
    pub fn user(content: impl Into<String>) -> Message {
        Message::new(Role::User, content)
    }

    /// An answer of the model.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::new(Role::Assistant, content)
    }

    /// The same message, made of these tokens.
    pub fn with_tokens(self, tokens: impl Into<Arc<[u32]>>) -> Message {
        Message { tokens: Some(tokens.into()), ..self }
    }
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The rules of the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A function that the model has called: its result.
    Tool,
}

/// Sampling parameters within their ranges; `None` means the model's default.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// 1 to 1,000,000; 2,048 if the client does not say it.
    pub max_tokens: u32,
    /// 0.0 to 2.0; 0 takes the likeliest token.
    pub temperature: Option<f32>,
    /// Above 0.0, at most 1.0. The plain language takes 0.1 to 1.0.
    pub top_p: Option<f32>,
    /// 0.5 to 2.0; 1.0 is none.
    pub repetition_penalty: Option<f32>,
    /// 0 to 1,000,000; 0 is off.
    pub top_k: Option<u32>,
    /// 0.0 to 1.0; 0 is off.
    pub min_p: Option<f32>,
    /// -2.0 to 2.0.
    pub presence_penalty: Option<f32>,
    /// -2.0 to 2.0.
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of these tokens, -100.0 to 100.0 each; at most 1,024 of them.
    pub logit_bias: Vec<(u32, f32)>,
    /// Makes the answer repeatable.
    pub seed: Option<u64>,
    /// At most 16 strings of 1 to 256 bytes. The answer ends before the first of them.
    pub stop_strings: Vec<String>,
}
