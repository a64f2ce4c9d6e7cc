//! The forward pass once more, in `f64` on the dequantised weights of a file. It is as short as
//! possible: no cache, no batch, and only the file reader and the block formats of the engine.

use std::num::NonZeroUsize;

use banter_kernels::{InputOrder, Isa, Pool, dequantise};

use crate::model_file::{LayerTensor, ModelFile, TensorName};
use crate::text::TokenId;

/// A matrix or, with one row, a vector.
struct Weights {
    depth: usize,
    values: Vec<f64>,
}

impl Weights {
    fn read(file: &ModelFile, name: TensorName) -> Weights {
        let info = file.tensor(name).expect("the model has this tensor");
        let pool = Pool::new(Isa::scalar(), NonZeroUsize::MIN);
        let rows = file.rows(info, &pool).expect("the file is readable");
        let mut bytes = vec![0; info.rows * info.row_bytes()];
        rows.read(0..info.rows, &mut bytes).expect("the file is readable");
        let mut values = vec![0.0; info.rows * info.depth];
        dequantise(info.kind, &bytes, &mut values);
        let mut weights = Weights { depth: info.depth, values: vec![0.0; values.len()] };
        weights.put(&values, rows.order());
        weights
    }

    /// Takes rows whose values stand in an order of their own.
    fn put(&mut self, values: &[f32], order: Option<&InputOrder>) {
        let rows = self.values.chunks_exact_mut(self.depth);
        for (row, values) in rows.zip(values.chunks_exact(self.depth)) {
            for (place, value) in values.iter().enumerate() {
                let input = order.map_or(place, |order| order.places()[place] as usize);
                row[input] = f64::from(*value);
            }
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.depth..][..self.depth]
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        self.values.chunks_exact(self.depth).map(|row| dot(row, x)).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn norm(x: &[f64], weight: &Weights, eps: f64) -> Vec<f64> {
    let factor = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().zip(&weight.values).map(|(x, weight)| x * factor * weight).collect()
}

/// Turns each pair of values `i` and `i + half` of every head by `position * base^(-i / half)`.
fn rotate(x: &mut [f64], head_dim: usize, position: usize, base: f64) {
    let half = head_dim / 2;
    for head in x.chunks_exact_mut(head_dim) {
        for i in 0..half {
            let (sine, cosine) = (position as f64 * base.powf(-(i as f64) / half as f64)).sin_cos();
            let (a, b) = (head[i], head[i + half]);
            head[i] = a * cosine - b * sine;
            head[i + half] = b * cosine + a * sine;
        }
    }
}

/// The logits after the last token.
pub(super) fn logits(file: &ModelFile, tokens: &[TokenId]) -> Vec<f64> {
    let config = file.config();
    let embedding = Weights::read(file, TensorName::Embedding);
    let mut x: Vec<Vec<f64>> =
        tokens.iter().map(|token| embedding.row(token.0 as usize).to_vec()).collect();
    let eps = f64::from(config.rms_eps);
    for layer in 0..config.layers {
        let weights = |tensor| Weights::read(file, TensorName::Layer(layer, tensor));
        attention(file, &weights, &mut x);
        let (gate, up, down) =
            (weights(LayerTensor::Gate), weights(LayerTensor::Up), weights(LayerTensor::Down));
        let feed_forward_norm = weights(LayerTensor::FeedForwardNorm);
        for x in &mut x {
            let h = norm(x, &feed_forward_norm, eps);
            let gated = gate.times(&h).into_iter().zip(up.times(&h));
            let gated: Vec<f64> = gated.map(|(g, up)| g / (1.0 + (-g).exp()) * up).collect();
            add(x, &down.times(&gated));
        }
    }
    let last = norm(x.last().expect("a token"), &Weights::read(file, TensorName::OutputNorm), eps);
    match config.tied_embeddings {
        true => embedding.times(&last),
        false => Weights::read(file, TensorName::Head).times(&last),
    }
}

fn attention(file: &ModelFile, weights: &dyn Fn(LayerTensor) -> Weights, x: &mut [Vec<f64>]) {
    let config = file.config();
    let (head_dim, base) = (config.head_dim, f64::from(config.rope_base));
    let attention_norm = weights(LayerTensor::AttentionNorm);
    let project = |weight, bias| {
        let (weight, bias): (Weights, Weights) = (weights(weight), weights(bias));
        let project = |x: &Vec<f64>| {
            let mut y = weight.times(&norm(x, &attention_norm, f64::from(config.rms_eps)));
            add(&mut y, &bias.values);
            y
        };
        x.iter().map(project).collect::<Vec<_>>()
    };
    let mut q = project(LayerTensor::Q, LayerTensor::QBias);
    let mut k = project(LayerTensor::K, LayerTensor::KBias);
    let v = project(LayerTensor::V, LayerTensor::VBias);
    for rows in [&mut q, &mut k] {
        for (position, row) in rows.iter_mut().enumerate() {
            rotate(row, head_dim, position, base);
        }
    }
    let o = weights(LayerTensor::O);
    for (position, x) in x.iter_mut().enumerate() {
        let mut attended = vec![0.0; config.heads * head_dim];
        for (head, out) in attended.chunks_exact_mut(head_dim).enumerate() {
            let kv = head / (config.heads / config.kv_heads) * head_dim;
            let query = &q[position][head * head_dim..][..head_dim];
            let score =
                |key: &Vec<f64>| dot(query, &key[kv..][..head_dim]) / (head_dim as f64).sqrt();
            let scores: Vec<f64> = k[..=position].iter().map(score).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            for (score, v) in scores.iter().zip(&v) {
                let weight = (score - highest).exp() / sum;
                out.iter_mut().zip(&v[kv..]).for_each(|(out, v)| *out += weight * v);
            }
        }
        add(x, &o.times(&attended));
    }
}
