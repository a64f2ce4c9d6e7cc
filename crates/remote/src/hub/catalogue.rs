//! The official Qwen2.5-Instruct models, by the names people know them by.
//!
//! Another size: one row in [`KNOWN`].

/// An official model, before anything of it has been fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// The size as in its name: `7b`.
    pub size: &'static str,
    /// Owner and name of its GGUF repository, on both hubs.
    pub repository: (&'static str, &'static str),
    /// Its licence, as SPDX or as its makers call it.
    pub licence: &'static str,
    /// The quantisation that is taken unless another is named.
    pub quantisation: &'static str,
    /// Weights in the published files; small models hold the tied embedding twice.
    weights: u64,
    layers: u64,
    kv_heads: u64,
    head_dim: u64,
}

/// The quantisations that the official repositories hold, with their bits per weight in tenths:
/// the mixed ones keep some matrices in larger types.
pub const QUANTISATIONS: &[(&str, u64)] = &[
    ("q2_k", 32),
    ("q3_k_m", 40),
    ("q4_0", 46),
    ("q4_k_m", 49),
    ("q5_0", 56),
    ("q5_k_m", 57),
    ("q6_k", 66),
    ("q8_0", 85),
    ("fp16", 160),
];

/// Name of the family in short names.
pub const FAMILY: &str = "qwen2.5";

/// What `qwen2.5` alone stands for.
pub(super) const USUAL_SIZE: &str = "7b";

const APACHE: &str = "apache-2.0";

/// Every official size, smallest first. The two that are not Apache-2.0 carry licences of their own.
pub const KNOWN: &[KnownModel] = &[
    KnownModel {
        size: "0.5b",
        repository: ("Qwen", "Qwen2.5-0.5B-Instruct-GGUF"),
        licence: APACHE,
        // Small models suffer most from coarse weights, and these are small anyway.
        quantisation: "q8_0",
        weights: 630_000_000,
        layers: 24,
        kv_heads: 2,
        head_dim: 64,
    },
    KnownModel {
        size: "1.5b",
        repository: ("Qwen", "Qwen2.5-1.5B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        weights: 1_780_000_000,
        layers: 28,
        kv_heads: 2,
        head_dim: 128,
    },
    KnownModel {
        size: "3b",
        repository: ("Qwen", "Qwen2.5-3B-Instruct-GGUF"),
        licence: "qwen-research",
        quantisation: "q4_0",
        weights: 3_400_000_000,
        layers: 36,
        kv_heads: 2,
        head_dim: 128,
    },
    KnownModel {
        size: "7b",
        repository: ("Qwen", "Qwen2.5-7B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        weights: 7_620_000_000,
        layers: 28,
        kv_heads: 4,
        head_dim: 128,
    },
    KnownModel {
        size: "14b",
        repository: ("Qwen", "Qwen2.5-14B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        weights: 14_770_000_000,
        layers: 48,
        kv_heads: 8,
        head_dim: 128,
    },
    KnownModel {
        size: "32b",
        repository: ("Qwen", "Qwen2.5-32B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        weights: 32_760_000_000,
        layers: 64,
        kv_heads: 8,
        head_dim: 128,
    },
    KnownModel {
        size: "72b",
        repository: ("Qwen", "Qwen2.5-72B-Instruct-GGUF"),
        licence: "qwen",
        quantisation: "q4_0",
        weights: 72_710_000_000,
        layers: 80,
        kv_heads: 8,
        head_dim: 128,
    },
];

/// Licences that ask nothing of those who only use a model.
const OPEN_LICENCES: [&str; 3] = ["apache-2.0", "mit", "cc0-1.0"];

/// Whether a licence can be taken as accepted; others are shown and asked about.
pub fn is_open_licence(licence: &str) -> bool {
    OPEN_LICENCES.iter().any(|open| licence.eq_ignore_ascii_case(open))
}

impl KnownModel {
    /// The model of a size.
    pub fn of_size(size: &str) -> Option<&'static KnownModel> {
        KNOWN.iter().find(|known| known.size == size)
    }

    /// The name people pull it by.
    pub fn name(&self) -> String {
        format!("{FAMILY}:{}", self.size)
    }

    /// About the size of its files, in bytes.
    pub fn file_bytes(&self, quantisation: &str) -> u64 {
        let bits = QUANTISATIONS.iter().find(|(name, _)| *name == quantisation);
        self.weights * bits.map_or(160, |(_, tenths)| *tenths) / 80
    }

    /// About the memory it needs for one long conversation, in bytes. What it is exactly is told by
    /// the file's own metadata.
    pub fn memory_bytes(&self, quantisation: &str) -> u64 {
        const CONTEXT_TOKENS: u64 = 8_192;
        const WORKING_BYTES: u64 = 512 << 20;
        let context = self.kv_bytes_per_token() * CONTEXT_TOKENS;
        let weights = self.file_bytes(quantisation);
        // Weights are held as they are stored; 6-bit scales alone become bytes, up to 4 % more.
        let widened = if quantisation.contains("_k") { weights / 25 } else { 0 };
        weights + widened + context + WORKING_BYTES
    }

    /// Memory of keys and values for one token at 16 bits, in bytes.
    fn kv_bytes_per_token(&self) -> u64 {
        let sides_and_bytes = 2 * 2;
        self.layers * self.kv_heads * self.head_dim * sides_and_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_files_are_about_those_published() {
        let cases = [
            ("0.5b", "q8_0", 676_000_000.0),
            ("1.5b", "q4_0", 1_070_000_000.0),
            ("7b", "q4_0", 4_430_000_000.0),
            ("7b", "q4_k_m", 4_680_000_000.0),
            ("7b", "fp16", 15_240_000_000.0),
        ];
        for (size, quantisation, published) in cases {
            let known = KnownModel::of_size(size).expect("a known size");
            let about = known.file_bytes(quantisation) as f64;
            let ratio = about / published;
            assert!((0.95..1.05).contains(&ratio), "{size} {quantisation}: {about}");
        }
    }

    #[test]
    fn licences_that_ask_for_something_are_told_apart() {
        assert!(is_open_licence("Apache-2.0") && is_open_licence("mit"));
        for own in ["qwen-research", "qwen", "other", "unknown", ""] {
            assert!(!is_open_licence(own), "{own}");
        }
    }
}
