//! The official Qwen2.5-Instruct models, by the names that people use.
//!
//! To add a size: one row in [`KNOWN`].

/// An official model, before anything of it has been fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// The size as in its name: `7b`.
    pub size: &'static str,
    /// Owner and name of its GGUF repository, on both hubs.
    pub repository: (&'static str, &'static str),
    /// Its licence, by its SPDX name or the name that its makers use.
    pub licence: &'static str,
    /// The quantisation that is used if none is named.
    pub quantisation: &'static str,
    /// The quantisations whose published files contain blocks that banter cannot compute.
    lacks: &'static [&'static str],
    /// The number of weights in the published files. Small models contain the tied embedding twice.
    weights: u64,
    /// How many of them are the head, which never has less than six bits per weight.
    head_weights: u64,
    layers: u64,
    kv_heads: u64,
    head_dim: u64,
}

/// The quantisations in the official repositories, with their bits per weight in tenths, without
/// the head. The mixed ones have some matrices in larger types.
pub const QUANTISATIONS: &[(&str, u64)] = &[
    ("q2_k", 29),
    ("q3_k_m", 38),
    ("q4_0", 45),
    ("q4_k_m", 48),
    ("q5_0", 55),
    ("q5_k_m", 56),
    ("q6_k", 66),
    ("q8_0", 85),
    ("fp16", 160),
];

/// In files with fewer bits the head is in `q6_k`.
const HEAD_TENTHS: u64 = 66;

/// `q2_k` and `q3_k_m` are blocks of 256 weights. Where a row is no multiple of that, as with 896
/// (0.5b) and 29,568 (72b), llama.cpp writes `iq4_nl`, which banter cannot compute.
const UNEVEN_ROWS: &[&str] = &["q2_k", "q3_k_m"];

/// The name of the family in short names.
pub const FAMILY: &str = "qwen2.5";

/// The size that `qwen2.5` alone means.
pub(super) const USUAL_SIZE: &str = "7b";

const APACHE: &str = "apache-2.0";

/// Every official size, smallest first. The two that are not Apache-2.0 have licences of their own.
pub const KNOWN: &[KnownModel] = &[
    KnownModel {
        size: "0.5b",
        repository: ("Qwen", "Qwen2.5-0.5B-Instruct-GGUF"),
        licence: APACHE,
        // Small models suffer most from coarse weights, and these are small anyway.
        quantisation: "q8_0",
        lacks: UNEVEN_ROWS,
        weights: 630_000_000,
        head_weights: 136_000_000,
        layers: 24,
        kv_heads: 2,
        head_dim: 64,
    },
    KnownModel {
        size: "1.5b",
        repository: ("Qwen", "Qwen2.5-1.5B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        lacks: &[],
        weights: 1_780_000_000,
        head_weights: 233_000_000,
        layers: 28,
        kv_heads: 2,
        head_dim: 128,
    },
    KnownModel {
        size: "3b",
        repository: ("Qwen", "Qwen2.5-3B-Instruct-GGUF"),
        licence: "qwen-research",
        quantisation: "q4_0",
        lacks: &[],
        weights: 3_400_000_000,
        head_weights: 311_000_000,
        layers: 36,
        kv_heads: 2,
        head_dim: 128,
    },
    KnownModel {
        size: "7b",
        repository: ("Qwen", "Qwen2.5-7B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        lacks: &[],
        weights: 7_620_000_000,
        head_weights: 545_000_000,
        layers: 28,
        kv_heads: 4,
        head_dim: 128,
    },
    KnownModel {
        size: "14b",
        repository: ("Qwen", "Qwen2.5-14B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        lacks: &[],
        weights: 14_770_000_000,
        head_weights: 779_000_000,
        layers: 48,
        kv_heads: 8,
        head_dim: 128,
    },
    KnownModel {
        size: "32b",
        repository: ("Qwen", "Qwen2.5-32B-Instruct-GGUF"),
        licence: APACHE,
        quantisation: "q4_0",
        lacks: &[],
        weights: 32_760_000_000,
        head_weights: 779_000_000,
        layers: 64,
        kv_heads: 8,
        head_dim: 128,
    },
    KnownModel {
        size: "72b",
        repository: ("Qwen", "Qwen2.5-72B-Instruct-GGUF"),
        licence: "qwen",
        quantisation: "q4_0",
        lacks: UNEVEN_ROWS,
        weights: 72_710_000_000,
        head_weights: 1_246_000_000,
        layers: 80,
        kv_heads: 8,
        head_dim: 128,
    },
];

/// Licences without conditions for people who only use a model.
const OPEN_LICENCES: [&str; 3] = ["apache-2.0", "mit", "cc0-1.0"];

/// Whether a licence needs no question. Other licences are shown, and must be accepted.
pub fn is_open_licence(licence: &str) -> bool {
    OPEN_LICENCES.iter().any(|open| licence.eq_ignore_ascii_case(open))
}

impl KnownModel {
    /// The model of a size.
    pub fn of_size(size: &str) -> Option<&'static KnownModel> {
        KNOWN.iter().find(|known| known.size == size)
    }

    /// The quantisations that can be pulled.
    pub fn quantisations(&self) -> impl Iterator<Item = &'static str> {
        let names = QUANTISATIONS.iter().map(|(name, _)| *name);
        names.filter(|name| !self.lacks.contains(name))
    }

    /// The name by which people pull it.
    pub fn name(&self) -> String {
        format!("{FAMILY}:{}", self.size)
    }

    /// The approximate size of its files, in bytes.
    pub fn file_bytes(&self, quantisation: &str) -> u64 {
        let known = QUANTISATIONS.iter().find(|(name, _)| *name == quantisation);
        let tenths = known.map_or(160, |(_, tenths)| *tenths);
        let body = self.weights - self.head_weights;
        (body * tenths + self.head_weights * tenths.max(HEAD_TENTHS)) / 80
    }

    /// The approximate memory for one long conversation, in bytes. The exact amount is computed
    /// from the file's metadata.
    pub fn memory_bytes(&self, quantisation: &str) -> u64 {
        const CONTEXT_TOKENS: u64 = 8_192;
        const WORKING_BYTES: u64 = 512 << 20;
        let context = self.kv_bytes_per_token() * CONTEXT_TOKENS;
        let weights = self.file_bytes(quantisation);
        // Weights stay as they are stored, except 6-bit scales, which become bytes: up to 4 % more.
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
    use crate::size::show_bytes;

    #[test]
    fn sizes_of_files_are_about_those_published() {
        let cases = [
            ("0.5b", "q8_0", 676_000_000.0),
            ("1.5b", "q4_0", 1_070_000_000.0),
            ("7b", "q2_k", 3_020_000_000.0),
            ("7b", "q3_k_m", 3_810_000_000.0),
            ("7b", "q4_0", 4_430_000_000.0),
            ("7b", "q4_k_m", 4_680_000_000.0),
            ("7b", "q5_0", 5_320_000_000.0),
            ("7b", "q5_k_m", 5_440_000_000.0),
            ("7b", "q6_k", 6_250_000_000.0),
            ("7b", "fp16", 15_240_000_000.0),
        ];
        for (size, quantisation, published) in cases {
            let known = KnownModel::of_size(size).expect("a known size");
            let about = known.file_bytes(quantisation) as f64;
            let ratio = about / published;
            assert!((0.98..1.02).contains(&ratio), "{size} {quantisation}: {about}");
        }
    }

    #[test]
    fn the_readmes_name_the_sizes_that_the_list_shows() {
        let english = include_str!("../../../../README.md");
        let chinese = include_str!("../../../../README.zh-CN.md");
        for known in &KNOWN[..4] {
            let size = show_bytes(known.file_bytes(known.quantisation));
            let memory = show_bytes(known.memory_bytes(known.quantisation));
            let start = format!("| `{}` | `{}`", known.name(), known.quantisation);
            for readme in [english, chinese] {
                let row = readme.lines().find(|line| line.starts_with(&start));
                let row = row.unwrap_or_else(|| panic!("no row {start}"));
                assert!(row.contains(&format!("| {size} | {memory} |")), "{row}: {size}, {memory}");
            }
        }
    }

    #[test]
    fn nothing_is_offered_that_would_be_refused() {
        let offers = |size: &str, quantisation: &str| {
            let known = KnownModel::of_size(size).expect("a known size");
            known.quantisations().any(|name| name == quantisation)
        };
        for known in KNOWN {
            assert!(known.quantisations().any(|name| name == known.quantisation));
        }
        assert!(offers("7b", "q2_k") && offers("1.5b", "q3_k_m") && offers("0.5b", "q4_k_m"));
        for size in ["0.5b", "72b"] {
            assert!(!offers(size, "q2_k") && !offers(size, "q3_k_m"), "{size}");
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
