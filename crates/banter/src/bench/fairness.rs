//! Whether both sides were built so that they can be compared.
//!
//! Ours must be the program that people install, built for any processor. llama.cpp must be built
//! for this one: built for any, it is a third as fast, and ratios against it would say nothing.

use super::figures::{Figure, Measured};
use super::side::PORTABLE;
use super::task::{Engine, Task};

/// The features that a llama.cpp must say it has, by our best instruction set of the processor.
const NEEDED: [(&str, &[&str]); 6] = [
    ("avx512-bf16", &["AVX512", "AVX512_VNNI", "AVX512_BF16", "REPACK"]),
    ("avx512-vnni", &["AVX512", "AVX512_VNNI", "REPACK"]),
    ("avx512-vnni-256", &["AVX512_VNNI", "REPACK"]),
    ("avx-vnni", &["AVX2", "AVX_VNNI", "REPACK"]),
    ("avx2", &["AVX2", "FMA", "F16C", "REPACK"]),
    ("neon-dotprod", &["NEON", "DOTPROD", "REPACK"]),
];

/// llama.cpp of August 2026, built natively, on two cores of a Zen 4 with AVX-512-VNNI: the
/// qwen2.5-1.5b shape in Q4_0, two threads, tokens a second.
const REFERENCE: [(Task, f64); 4] = [
    (Task::Prompt { cached: 0, tokens: 512 }, 91.5),
    (Task::Generate { sequences: 1, cached: 512, tokens: 64 }, 26.0),
    (Task::Generate { sequences: 8, cached: 128, tokens: 64 }, 47.0),
    (Task::Generate { sequences: 16, cached: 128, tokens: 64 }, 63.0),
];
const REFERENCE_MODEL: (&str, &str) = ("qwen2.5-1.5b of random weights", "Q4_0 + Q6_K");
const REFERENCE_ISAS: [&str; 2] = ["avx512-vnni", "avx512-bf16"];

/// Why no ratio is given; `None` if the two sides can be compared.
///
/// `best_isa` is the best instruction set of this processor, even if our engine uses another.
pub fn objection(measured: &Measured, best_isa: &str) -> Option<String> {
    let other = measured.sides.get(1)?;
    let own = &measured.sides[0].ready.about;
    match other.engine {
        Engine::Banter => None,
        Engine::LlamaCpp if !own.ends_with(PORTABLE) => Some(format!(
            "expected a banter {PORTABLE}, as people install it, found {own} (name the program with \
             llama.cpp in it by --against-program)"
        )),
        Engine::LlamaCpp => missing(&other.ready.about, best_isa),
    }
}

/// The features that are missing in a llama.cpp's line about itself.
fn missing(about: &str, best_isa: &str) -> Option<String> {
    let Some((_, needed)) = NEEDED.iter().find(|(isa, _)| *isa == best_isa) else {
        return Some(format!("what llama.cpp needs on {best_isa} is not known"));
    };
    let has = |feature: &str| {
        let mut words = about.split(['|', ':']).map(str::trim);
        words.any(|word| word.strip_suffix("= 1").map(str::trim) == Some(feature))
    };
    let missing: Vec<&str> = needed.iter().copied().filter(|feature| !has(feature)).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join(", ");
    Some(format!(
        "expected a llama.cpp with {missing}, found one without (RUSTFLAGS=\"-C target-cpu=native\")"
    ))
}

/// How many times as fast the other side is as in our careful measurement, if there is one for this
/// figure.
pub fn other_by_reference(measured: &Measured, figure: &Figure, best_isa: &str) -> Option<f64> {
    let other = measured.sides.get(1)?;
    let model =
        (measured.sides[0].ready.model.as_str(), measured.sides[0].ready.weight_types.as_str());
    let is_known = model == REFERENCE_MODEL && REFERENCE_ISAS.contains(&best_isa);
    if other.engine != Engine::LlamaCpp || !is_known {
        return None;
    }
    let (task, reference) = REFERENCE.iter().find(|(task, _)| *task == figure.task)?;
    Some(task.tokens() as f64 / figure.done[1].seconds / reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_llama_cpp_without_this_processors_instructions_is_named_as_such() {
        let about = "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | REPACK = 1 | ";
        assert_eq!(missing(about, "avx2"), None);
        let objection = missing(about, "avx512-vnni").expect("it has no AVX-512");
        assert!(objection.contains("with AVX512, AVX512_VNNI, found"), "{objection}");
        let objection = missing("CPU : AVX2 = 0 | REPACK = 1", "avx2").expect("it has no AVX2");
        assert!(objection.contains("AVX2, FMA, F16C"), "{objection}");
    }
}
