//! Texts that become vectors.

use crate::Asker;

/// A request for vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedRequest {
    /// Each becomes one vector.
    pub inputs: Vec<TextInput>,
    /// How the model's view of the tokens of a text becomes one vector; `None`: as the backend does
    /// it without being asked.
    pub pooling: Option<Pooling>,
    /// Whether a text that is too long for the context is cut off at its end. Otherwise it is
    /// refused.
    pub truncates: bool,
    /// Who asks.
    pub asker: Asker,
}

/// A text without a conversation around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextInput {
    /// A text. Literals of control tokens in it are those tokens.
    Text(String),
    /// Tokens.
    Tokens(Vec<u32>),
}

/// How many rows become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of the rows of all tokens.
    #[default]
    Mean,
    /// The row of the last token.
    Last,
}

/// The vectors of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// In the order of the texts. Each has the length 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts together.
    pub tokens: usize,
}

impl Embeddings {
    /// Gives each vector the length 1, unless it is all zeros.
    pub fn normalise(&mut self) {
        for vector in &mut self.vectors {
            let squares = vector.iter().map(|value| f64::from(*value) * f64::from(*value));
            let length = squares.sum::<f64>().sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
            }
        }
    }
}
