//! Mutants: mistakes that an engine could make, each made as a change of the model.
//!
//! A correct engine computes from the changed model the same as a wrong engine from the original.
//! So the engine needs no hook that makes it wrong, and the tests still prove that they notice each
//! mistake.

use crate::models::{Spec, Tensor};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Rotates neighbouring values (NORM) instead of the two halves (NEOX).
    RotateNeighbours,
    /// Uses the other common RoPE base: 10,000 instead of 1,000,000, or the reverse.
    OtherRopeBase,
    DropQBias,
    DropKBias,
    DropVBias,
    /// Uses the embedding as the output head of a model that has its own head.
    TieHead,
    /// Uses weights other than the embedding as the output head of a model without its own head.
    UntieHead,
    /// Query head `h` reads KV head `h % kv_heads` instead of `h / (heads / kv_heads)`.
    InterleaveKvHeads,
}

/// A model changed by a mistake.
pub struct Mutant {
    pub spec: Spec,
    pub tensors: Vec<Tensor>,
}

impl Mutation {
    pub const ALL: [Mutation; 8] = [
        Mutation::RotateNeighbours,
        Mutation::OtherRopeBase,
        Mutation::DropQBias,
        Mutation::DropKBias,
        Mutation::DropVBias,
        Mutation::TieHead,
        Mutation::UntieHead,
        Mutation::InterleaveKvHeads,
    ];

    /// The mutant of a model, or `None` if this mistake changes nothing in that model.
    pub fn of(self, original: &Spec, tensors: &[Tensor]) -> Option<Mutant> {
        let mut spec = original.clone();
        let mut tensors = tensors.to_vec();
        match self {
            Mutation::RotateNeighbours => {
                for name in ["q_proj", "k_proj"] {
                    for tensor in named(&mut tensors, name) {
                        reorder_rows(tensor, |row| neighbours_as_halves(row, spec.head_dim));
                    }
                }
            }
            Mutation::OtherRopeBase => {
                spec.rope_theta = if spec.rope_theta == 1e4 { 1e6 } else { 1e4 };
            }
            Mutation::DropQBias => drop_values(&mut tensors, "q_proj.bias"),
            Mutation::DropKBias => drop_values(&mut tensors, "k_proj.bias"),
            Mutation::DropVBias => drop_values(&mut tensors, "v_proj.bias"),
            Mutation::TieHead => {
                if spec.tie_word_embeddings {
                    return None;
                }
                spec.tie_word_embeddings = true;
                tensors.retain(|tensor| tensor.name != "lm_head.weight");
            }
            Mutation::UntieHead => {
                if !spec.tie_word_embeddings {
                    return None;
                }
                let shape = vec![spec.vocab_size, spec.hidden_size];
                tensors.push(spec.tensor("lm_head.weight".to_string(), shape));
                spec.tie_word_embeddings = false;
            }
            Mutation::InterleaveKvHeads => {
                let (heads, kv_heads) = (spec.num_attention_heads, spec.num_key_value_heads);
                if kv_heads == 1 || kv_heads == heads {
                    return None;
                }
                // The query head whose place reads the KV head that the mistake selects.
                let source =
                    |head: usize| head % (heads / kv_heads) * kv_heads + head / (heads / kv_heads);
                let row =
                    |row: usize| source(row / spec.head_dim) * spec.head_dim + row % spec.head_dim;
                for tensor in named(&mut tensors, "q_proj") {
                    reorder_rows(tensor, row);
                }
                for tensor in named(&mut tensors, "o_proj") {
                    reorder_columns(tensor, row);
                }
            }
        }
        Some(Mutant { spec, tensors })
    }
}

/// The source of each value of a head, such that rotating halves has the effect of rotating
/// neighbours.
fn neighbours_as_halves(row: usize, head_dim: usize) -> usize {
    let (head, place) = (row / head_dim, row % head_dim);
    let half = head_dim / 2;
    let source = if place < half { 2 * place } else { 2 * (place - half) + 1 };
    head * head_dim + source
}

fn named<'a>(tensors: &'a mut [Tensor], part: &'a str) -> impl Iterator<Item = &'a mut Tensor> {
    tensors.iter_mut().filter(move |tensor| tensor.name.contains(part))
}

fn drop_values(tensors: &mut [Tensor], part: &str) {
    named(tensors, part).for_each(|tensor| tensor.values.fill(0.0));
}

/// Puts the old row `source(i)` into row `i`; in a vector, a row is one value.
fn reorder_rows(tensor: &mut Tensor, source: impl Fn(usize) -> usize) {
    let width = tensor.shape.get(1).copied().unwrap_or(1);
    let rows: Vec<&[f32]> = tensor.values.chunks_exact(width).collect();
    let reordered = (0..rows.len()).flat_map(|row| rows[source(row)].iter().copied());
    tensor.values = reordered.collect();
}

/// Puts the old column `source(i)` into column `i`.
fn reorder_columns(tensor: &mut Tensor, source: impl Fn(usize) -> usize) {
    for row in tensor.values.chunks_exact_mut(tensor.shape[1]) {
        let old = row.to_vec();
        for (column, value) in row.iter_mut().enumerate() {
            *value = old[source(column)];
        }
    }
}
