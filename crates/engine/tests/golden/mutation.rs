//! Mutants: the mistakes an engine could make, each as a change of the model.
//!
//! What a wrong engine computes from the original, a right engine computes from the changed model.
//! So the engine needs no hook to be wrong, and yet each mistake must show.

use crate::models::{Spec, Tensor};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Rotates neighbours (NORM) and not halves (NEOX).
    RotateNeighbours,
    /// The other usual base: 10,000 for 1,000,000 and the reverse.
    OtherRopeBase,
    DropQBias,
    DropKBias,
    DropVBias,
    /// Takes the embedding as the head of a model that has its own.
    TieHead,
    /// Takes other weights than the embedding as the head of a model without one.
    UntieHead,
    /// Query head `h` reads KV head `h % kv_heads` and not `h / (heads / kv_heads)`.
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

    /// The mutant of a model, unless this mistake changes nothing there.
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
                // The query head that stands where it reads the KV head the mistake gives it.
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

/// Where the values of a head come from so that rotating halves is rotating neighbours.
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

/// Row `i` becomes what row `source(i)` was; of a vector, value `i`.
fn reorder_rows(tensor: &mut Tensor, source: impl Fn(usize) -> usize) {
    let width = tensor.shape.get(1).copied().unwrap_or(1);
    let rows: Vec<&[f32]> = tensor.values.chunks_exact(width).collect();
    let reordered = (0..rows.len()).flat_map(|row| rows[source(row)].iter().copied());
    tensor.values = reordered.collect();
}

/// Column `i` becomes what column `source(i)` was.
fn reorder_columns(tensor: &mut Tensor, source: impl Fn(usize) -> usize) {
    for row in tensor.values.chunks_exact_mut(tensor.shape[1]) {
        let old = row.to_vec();
        for (column, value) in row.iter_mut().enumerate() {
            *value = old[source(column)];
        }
    }
}
