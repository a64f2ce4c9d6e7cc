//! What the interfaces' requests for vectors have in common.

use banter_seam::{Asker, EmbedRequest, Embeddings, Failure, Pooling, TextInput};

/// How many texts a request may have.
pub(super) const MOST_TEXTS: usize = 2_048;
/// What a request with more is told.
pub(super) const AT_MOST_TEXTS: &str = "at most 2048 texts";

/// A checked request for vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingRequest {
    /// The name of the model; `None` if any will do.
    pub model: Option<String>,
    /// The texts. At least one.
    pub inputs: Vec<TextInput>,
    /// How the model's view of a text becomes one vector, if the client says it.
    pub pooling: Option<Pooling>,
    /// Whether texts that are too long are cut.
    pub truncates: bool,
    /// How many of a vector's first numbers are wanted; `None`: all.
    pub dimensions: Option<usize>,
}

impl EmbeddingRequest {
    /// What is asked of the backend.
    pub fn for_backend(&mut self, asker: Asker) -> EmbedRequest {
        let inputs = std::mem::take(&mut self.inputs);
        EmbedRequest { inputs, pooling: self.pooling, truncates: self.truncates, asker }
    }

    /// Leaves of each vector the numbers that are wanted, and gives it the length 1 again.
    ///
    /// Errors: more numbers are wanted than there are.
    pub fn shorten(&self, embeddings: &mut Embeddings) -> Result<(), Failure> {
        let Some(wanted) = self.dimensions else { return Ok(()) };
        for vector in &mut embeddings.vectors {
            if wanted > vector.len() {
                return Err(Failure::InvalidParameter {
                    field: "dimensions".into(),
                    expected: format!(
                        "1 to {}, as many as this model's vectors have",
                        vector.len()
                    ),
                    found: wanted.to_string(),
                });
            }
            vector.truncate(wanted);
        }
        embeddings.normalise();
        Ok(())
    }
}
