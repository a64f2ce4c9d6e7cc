//! Compares the forward pass with golden logits of `transformers` in float32, and with mutants of
//! the models.
//!
//! - `models`: the models of `models.json`, made of the same random numbers as in
//!   `tools/golden/logits.py`.
//! - `expected`: the content of the golden files.
//! - `mutation`: changed models, on which a correct engine computes what a wrong engine computes on
//!   the original.
//! - `run`: computes a model's logits position by position.

mod expected;
mod models;
mod mutation;
mod run;

use banter_kernels::{Isa, KvType};

use expected::{Expected, Gap};
use models::Spec;
use mutation::Mutation;
use run::{Model, run_positions};

/// Largest allowed difference of a logit, in standard deviations of the logits at its position.
const TOLERANCE: f32 = 1e-3;
/// Smallest allowed share of positions whose most likely token is the expected one.
const TOP_1: f64 = 0.999;
/// The same with 16-bit keys and values, which sometimes make two tokens almost equally likely.
const F16_TOP_1: f64 = 0.995;
/// Positions that are computed to prove a mutant wrong; fewer if the sequence is shorter.
const MUTANT_POSITIONS: usize = 64;

#[test]
fn logits_are_those_of_transformers() {
    let mut positions = 0;
    for spec in models::all() {
        let gap = gap_of(&spec, KvType::F32);
        println!("{}: {gap}", spec.name);
        assert!(gap.worst <= TOLERANCE, "{}: {gap}", spec.name);
        assert!(gap.top_1() >= TOP_1, "{}: {gap}", spec.name);
        positions += gap.positions;
    }
    assert!(positions >= 10_000, "{positions} positions");
}

/// The loss of accuracy that 16-bit keys and values may cause in each model: measured, then rounded
/// up.
#[test]
fn f16_keys_and_values_cost_what_is_recorded() {
    struct Case {
        model: &'static str,
        worst: f32,
    }
    let cases = [
        Case { model: "plain", worst: 1e-2 },
        Case { model: "grouped", worst: 6e-3 },
        Case { model: "seven", worst: 8e-3 },
        Case { model: "wide-heads", worst: 4e-3 },
        Case { model: "odd", worst: 1.2e-2 },
        Case { model: "outliers", worst: 1e-3 },
        Case { model: "outliers-tied", worst: 8e-2 },
    ];
    let specs = models::all();
    assert_eq!(specs.len(), cases.len(), "one case per model");
    for (spec, Case { model, worst }) in specs.iter().zip(cases) {
        assert_eq!(spec.name, model);
        let gap = gap_of(spec, KvType::F16);
        println!("{model}: {gap}");
        assert!(gap.worst <= worst, "{model}: {gap}");
        assert!(gap.top_1() >= F16_TOP_1, "{model}: {gap}");
    }
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    for spec in models::all() {
        let expected = Expected::read(&spec);
        let mut model = Model::make(&spec, KvType::F32);
        assert_eq!(
            model.answer(&expected.prompt, expected.answer.len()),
            expected.answer,
            "{}",
            spec.name
        );
    }
}

#[test]
fn every_mutant_is_seen() {
    let mut seen = 0;
    for spec in models::all() {
        let tensors = spec.tensors();
        for mutation in Mutation::ALL {
            let Some(mutant) = mutation.of(&spec, &tensors) else { continue };
            let mut model = Model::write_and_load(&mutant.spec, &mutant.tensors, KvType::F32);
            let gap = first_gap(&spec, &mut model);
            println!("{} with {mutation:?}: {gap}", spec.name);
            assert!(gap.worst > 10.0 * TOLERANCE, "{} with {mutation:?}: {gap}", spec.name);
            seen += 1;
        }
        // The same comparison passes on the unchanged model.
        let gap = first_gap(&spec, &mut Model::make(&spec, KvType::F32));
        assert!(gap.worst <= TOLERANCE, "{}: {gap}", spec.name);
    }
    assert!(seen >= 40, "{seen} mutants");
}

/// The gap over every position of every sequence.
fn gap_of(spec: &Spec, kv_type: KvType) -> Gap {
    let expected = Expected::read(spec);
    let mut model = Model::make(spec, kv_type);
    let mut gap = Gap::default();
    for (tokens, expected) in expected.sequences {
        run_positions(&mut model.runner, &tokens, &mut |position, logits| {
            gap.add(spec, logits, &expected[position]);
        });
    }
    gap
}

/// The gap over the first positions.
fn first_gap(spec: &Spec, model: &mut Model) -> Gap {
    let expected = Expected::read(spec);
    let (tokens, expected) = &expected.sequences[0];
    let mut gap = Gap::default();
    let count = tokens.len().min(MUTANT_POSITIONS);
    run_positions(&mut model.runner, &tokens[..count], &mut |position, logits| {
        gap.add(spec, logits, &expected[position]);
    });
    gap
}

/// Every set gives the same bits, so one set is enough for the golden files.
#[test]
fn every_instruction_set_gives_the_same_bits() {
    let sets = Isa::available();
    let missing: Vec<_> = Isa::NAMES.into_iter().filter(|name| Isa::named(name).is_err()).collect();
    println!("not run, because this processor lacks them: {missing:?}");
    for spec in models::all() {
        let runs = sets.iter().map(|isa| {
            let mut bits = Vec::new();
            let mut model = Model::make_on(&spec, KvType::F16, *isa);
            let tokens = spec.tokens("sequence/0", 40);
            run_positions(&mut model.runner, &tokens, &mut |_, logits| {
                bits.extend(logits.iter().map(|logit| logit.to_bits()));
            });
            bits
        });
        let runs: Vec<Vec<u32>> = runs.collect();
        for (isa, run) in sets.iter().zip(&runs) {
            assert!(
                *run == runs[0],
                "{}: {} differs from {}",
                spec.name,
                isa.name(),
                sets[0].name()
            );
        }
    }
}
