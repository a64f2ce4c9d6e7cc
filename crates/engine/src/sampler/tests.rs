use super::*;

const EVERY_ROW: TokenRows = TokenRows { count: usize::MAX, unused: Vec::new() };

/// Logits with one clear favourite, equal pairs, a long tail and impossible tokens.
fn test_logits() -> Vec<f32> {
    let mut logits: Vec<f32> =
        (0..700).map(|index| (random::uniform(3, index) * 6.0) as f32 - 3.0).collect();
    logits[500] = 4.0;
    logits[20] = 3.5;
    logits[300] = 3.5;
    logits[301] = 3.0;
    logits[100] = f32::NEG_INFINITY;
    logits
}

fn sampler(params: SamplingParams) -> Sampler {
    Sampler::new(params.checked().expect("the test asks within range"), &[])
}

fn seeded() -> SamplingParams {
    SamplingParams { seed: Some(42), ..SamplingParams::default() }
}

/// The distribution by definition: softmax in f64, a full sort, filters one after the other.
fn exact_probabilities(logits: &[f32], params: &SamplingParams) -> Vec<f64> {
    let scaled: Vec<f64> =
        logits.iter().map(|&l| f64::from(l) / f64::from(params.temperature)).collect();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| scaled[b].total_cmp(&scaled[a]).then(a.cmp(&b)));
    if params.top_k > 0 {
        order.truncate(params.top_k as usize);
    }
    let best = scaled[order[0]];
    let weight = |index: usize| (scaled[index] - best).exp();
    let total: f64 = order.iter().map(|&index| weight(index)).sum();
    let mut sum = 0.0;
    let mut kept = 0;
    while kept < order.len() && (kept == 0 || sum < f64::from(params.top_p) * total) {
        sum += weight(order[kept]);
        kept += 1;
    }
    if params.top_p < 1.0 {
        order.truncate(kept);
    }
    order.retain(|&index| weight(index) >= f64::from(params.min_p));
    let total: f64 = order.iter().map(|&index| weight(index)).sum();
    let mut probabilities = vec![0.0; logits.len()];
    order.iter().for_each(|&index| probabilities[index] = weight(index) / total);
    probabilities
}

/// Pearson's statistic of `counts`, tokens expected fewer than 5 times taken together, as a number
/// of standard deviations above its mean (Wilson and Hilferty's approximation).
fn chi_square_deviation(counts: &[u32], probabilities: &[f64], draws: u32) -> f64 {
    let mut bins: Vec<(f64, f64)> = Vec::new();
    let mut rare = (0.0, 0.0);
    for (&count, &probability) in counts.iter().zip(probabilities) {
        let expected = probability * f64::from(draws);
        if expected >= 5.0 {
            bins.push((f64::from(count), expected));
        } else {
            rare = (rare.0 + f64::from(count), rare.1 + expected);
        }
    }
    if rare.1 > 0.0 {
        bins.push(rare);
    }
    let freedom = (bins.len() - 1).max(1) as f64;
    let statistic: f64 = bins.iter().map(|(n, expected)| (n - expected).powi(2) / expected).sum();
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

#[test]
fn every_filter_draws_from_its_exact_distribution() {
    assert_exact_distributions(50_000);
}

#[test]
#[ignore = "takes minutes; part of make test-long"]
fn every_filter_draws_from_its_exact_distribution_a_million_times() {
    assert_exact_distributions(1_000_000);
}

fn assert_exact_distributions(draws: u32) {
    let cases = [
        seeded(),
        SamplingParams { temperature: 0.5, ..seeded() },
        SamplingParams { temperature: 2.0, ..seeded() },
        SamplingParams { top_k: 1, ..seeded() },
        SamplingParams { top_k: 2, ..seeded() },
        SamplingParams { top_k: 20, ..seeded() },
        SamplingParams { top_k: 100_000, ..seeded() },
        SamplingParams { top_p: 0.1, ..seeded() },
        SamplingParams { top_p: 0.8, ..seeded() },
        SamplingParams { top_p: 0.999, temperature: 2.0, ..seeded() },
        SamplingParams { min_p: 0.2, ..seeded() },
        SamplingParams { min_p: 1.0, ..seeded() },
        SamplingParams { top_k: 20, top_p: 0.8, temperature: 0.7, ..seeded() },
        SamplingParams { top_k: 50, top_p: 0.9, min_p: 0.3, temperature: 1.5, ..seeded() },
    ];
    for params in cases {
        let logits = test_logits();
        let probabilities = exact_probabilities(&logits, &params);
        let sampler = sampler(params.clone());
        let mut scratch = SampleScratch::new(Isa::best());
        let mut counts = vec![0; logits.len()];
        for position in 0..draws as usize {
            let mut logits = logits.clone();
            let token = sampler
                .sample(&mut logits, position, &EVERY_ROW, None, &mut scratch)
                .expect("the logits allow a choice");
            counts[token.0 as usize] += 1;
        }
        for (index, (&count, &probability)) in counts.iter().zip(&probabilities).enumerate() {
            assert!(count == 0 || probability > 0.0, "{params:?} drew filtered token {index}");
        }
        let deviation = chi_square_deviation(&counts, &probabilities, draws);
        assert!(deviation < 3.5, "{params:?}: {deviation} standard deviations");
    }
}

#[test]
fn the_chi_square_test_sees_a_small_error() {
    let logits = test_logits();
    let drawn_with = SamplingParams { temperature: 1.0, ..seeded() };
    let judged_with = SamplingParams { temperature: 1.1, ..seeded() };
    let sampler = sampler(drawn_with);
    let mut scratch = SampleScratch::new(Isa::best());
    let mut counts = vec![0; logits.len()];
    let draws = 20_000;
    for position in 0..draws as usize {
        let mut logits = logits.clone();
        let token = sampler.sample(&mut logits, position, &EVERY_ROW, None, &mut scratch);
        counts[token.expect("the logits allow a choice").0 as usize] += 1;
    }
    let deviation =
        chi_square_deviation(&counts, &exact_probabilities(&logits, &judged_with), draws);
    assert!(deviation > 3.5, "{deviation} standard deviations");
}

#[test]
fn greedy_takes_the_best_and_of_equals_the_lowest_id() {
    let greedy = sampler(SamplingParams { temperature: 0.0, top_k: 5, ..seeded() });
    let mut scratch = SampleScratch::new(Isa::best());
    let mut logits = vec![1.0; 600];
    logits[400] = 2.0;
    logits[90] = 2.0;
    let token = greedy.sample(&mut logits, 0, &EVERY_ROW, None, &mut scratch);
    assert_eq!(token, Ok(TokenId(90)));
}

#[test]
fn rows_without_a_token_are_never_chosen() {
    let rows = TokenRows { count: 3, unused: vec![TokenId(1)] };
    let mut scratch = SampleScratch::new(Isa::best());
    for temperature in [0.0, 2.0] {
        let sampler = sampler(SamplingParams { temperature, ..seeded() });
        for position in 0..200 {
            let mut logits = [0.0, 9.0, 0.1, 9.0, f32::NAN];
            let token = sampler.sample(&mut logits, position, &rows, None, &mut scratch);
            assert!(matches!(token, Ok(TokenId(0 | 2))), "{token:?}");
        }
    }
}

#[test]
fn the_same_seed_and_position_give_the_same_token_whatever_was_drawn_before() {
    let params = SamplingParams { temperature: 1.5, ..seeded() };
    let draw = |sampler: &Sampler, position| {
        sampler.sample(
            &mut test_logits(),
            position,
            &EVERY_ROW,
            None,
            &mut SampleScratch::new(Isa::best()),
        )
    };
    let forwards: Vec<_> =
        (0..50).map(|position| draw(&sampler(params.clone()), position)).collect();
    let one = sampler(params.clone());
    let backwards: Vec<_> = (0..50).rev().map(|position| draw(&one, position)).collect();
    assert!(forwards.iter().eq(backwards.iter().rev()));
    let other_seed = sampler(SamplingParams { seed: Some(43), ..params });
    let other: Vec<_> = (0..50).map(|position| draw(&other_seed, position)).collect();
    assert_ne!(forwards, other);
}

#[test]
fn accepted_tokens_count_for_the_penalties() {
    let params = SamplingParams { temperature: 0.0, presence_penalty: 2.0, ..seeded() };
    let mut sampler = sampler(params);
    let mut scratch = SampleScratch::new(Isa::best());
    let mut next = |sampler: &Sampler, position| {
        let mut logits = [0.0, 3.0, 2.0];
        sampler.sample(&mut logits, position, &EVERY_ROW, None, &mut scratch).expect("a choice")
    };
    let first = next(&sampler, 0);
    sampler.accept(first);
    assert_eq!([first, next(&sampler, 1)], [TokenId(1), TokenId(2)]);
}

#[test]
fn logits_without_a_choice_are_an_outcome_not_a_panic() {
    let sampler = sampler(seeded());
    let mut scratch = SampleScratch::new(Isa::best());
    let mut sample =
        |mut logits: Vec<f32>| sampler.sample(&mut logits, 0, &EVERY_ROW, None, &mut scratch);
    assert_eq!(sample(vec![]), Err(SampleError::NothingPossible));
    assert_eq!(sample(vec![f32::NEG_INFINITY; 2]), Err(SampleError::NothingPossible));
    assert_eq!(sample(vec![0.0, f32::NAN]), Err(SampleError::NotFinite { token: TokenId(1) }));
}

#[test]
fn the_smallest_temperature_still_gives_the_best_token() {
    let sampler = sampler(SamplingParams { temperature: f32::MIN_POSITIVE, ..seeded() });
    let token = sampler.sample(
        &mut test_logits(),
        0,
        &EVERY_ROW,
        None,
        &mut SampleScratch::new(Isa::best()),
    );
    assert_eq!(token, Ok(TokenId(500)));
}

/// Chooses a token, and tells how likely the model found it.
fn with_logprobs(
    sampler: &Sampler,
    mut logits: Vec<f32>,
    position: usize,
    top: usize,
) -> (TokenId, Logprobs) {
    let mut scratch = SampleScratch::new(Isa::best());
    let seen = Seen::of(&mut logits, &EVERY_ROW, top, &mut scratch).expect("a choice");
    let token = sampler.sample(&mut logits, position, &EVERY_ROW, None, &mut scratch);
    let token = token.expect("a choice");
    (token, seen.chosen(token, &scratch))
}

#[test]
fn log_probabilities_are_those_of_the_model_however_tokens_are_chosen() {
    let logits = test_logits();
    let exact = exact_probabilities(&logits, &seeded());
    let wanted = [
        seeded(),
        SamplingParams { temperature: 0.0, ..seeded() },
        SamplingParams { top_k: 3, temperature: 0.3, ..seeded() },
        SamplingParams { logit_bias: vec![(TokenId(2), 5.0), (TokenId(5), -100.0)], ..seeded() },
    ];
    let mut scratch = SampleScratch::new(Isa::best());
    for params in wanted {
        let mut sampler = sampler(params.clone());
        for position in 0..200 {
            let token =
                sampler.sample(&mut logits.clone(), position, &EVERY_ROW, None, &mut scratch);
            let (same, found) = with_logprobs(&sampler, logits.clone(), position, 5);
            assert_eq!(token, Ok(same), "{params:?}: the choice is the same");
            let near = |found: f32, token: TokenId| {
                (f64::from(found) - exact[token.0 as usize].ln()).abs() < 1e-5
            };
            assert!(near(found.chosen, same), "{params:?}: {found:?}");
            assert_eq!(found.top.len(), 5);
            assert!(found.top.iter().all(|top| near(top.logprob, top.token)), "{found:?}");
            assert!(found.top.is_sorted_by(|a, b| a.logprob >= b.logprob), "{found:?}");
            sampler.accept(same);
        }
    }
}

#[test]
fn a_certain_token_has_the_log_probability_zero() {
    let mut logits = vec![f32::NEG_INFINITY; 300];
    logits[7] = 3.25;
    let found = with_logprobs(&sampler(seeded()), logits, 0, 20);
    let certain = TokenLogprob { token: TokenId(7), logprob: 0.0 };
    assert_eq!(found, (TokenId(7), Logprobs { chosen: 0.0, top: vec![certain] }));
}

#[test]
fn a_bias_makes_a_token_certain_or_impossible() {
    let mut scratch = SampleScratch::new(Isa::best());
    let mut draw = |bias: &[(u32, f32)], position| {
        let logit_bias = bias.iter().map(|&(id, bias)| (TokenId(id), bias)).collect();
        let sampler = sampler(SamplingParams { logit_bias, ..seeded() });
        sampler.sample(&mut test_logits(), position, &EVERY_ROW, None, &mut scratch)
    };
    let best = (0..test_logits().len() as u32)
        .max_by(|a, b| test_logits()[*a as usize].total_cmp(&test_logits()[*b as usize]));
    let best = best.expect("there are logits");
    for position in 0..200 {
        assert_eq!(draw(&[(9, 100.0)], position), Ok(TokenId(9)));
        assert_ne!(draw(&[(best, -100.0)], position), Ok(TokenId(best)));
        assert_eq!(draw(&[(u32::MAX, 100.0)], position), draw(&[], position), "no such token");
    }
}
