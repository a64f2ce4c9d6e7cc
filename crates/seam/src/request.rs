//! What is asked of a backend.

/// A request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    /// The conversation, the newest message last.
    pub messages: Vec<Message>,
    /// How the answer is to be sampled, and how long it may be.
    pub parameters: Parameters,
    /// Who asks.
    pub asker: Asker,
}

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
    /// Makes the answer repeatable.
    pub seed: Option<u64>,
    /// At most 16 strings of 1 to 256 bytes. The answer ends before the first of them.
    pub stop_strings: Vec<String>,
}
