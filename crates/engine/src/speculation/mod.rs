//! Guesses of the next tokens, several of which are tried in one step.
//!
//! Reading the weights takes most of a step with few rows, so a few rows more cost little. A guess
//! is computed as if it were the answer's next token. It is accepted if the token that is then
//! chosen from the model's own logits is that very one:
//!
//! ```text
//!  rows      t    g1   g2   g3        t is the last token, g1 … g3 are guesses
//!  chosen    g1   g2   x              g1 and g2 are accepted, g3 is not:
//!                                     the step gives three tokens, g1 g2 x
//! ```
//!
//! The answer is therefore the same with guesses as without, bit for bit. Only the number of tokens
//! that a step gives changes.
//!
//! - [`Guesser`]: the guesses of one answer.
//! - [`Lookup`]: guesses from what the text repeats.
//! - [`Odds`]: how often guesses were accepted lately.
//! - [`StepPolicy`]: how many guesses of all sequences a step tries.
//! - [`StepCosts`]: what steps take, by their rows.
//!
//! Absent on purpose: accepting a guess without the model's logits.

mod guesser;
mod lookup;
mod odds;
mod policy;
mod step_costs;

pub use guesser::{Guesser, Guesses};
pub use lookup::{Found, Lookup};
pub use odds::Odds;
pub use policy::StepPolicy;
#[cfg(test)]
pub(crate) use policy::tests::disturbance;
pub use step_costs::{FORGOTTEN_AFTER, StepCosts};

/// The most guesses of one sequence in one step. With the token before them they fill a kernel's
/// tile.
pub const MAX_GUESSES: usize = 15;

/// Guesses must promise to be faster by this factor, because measurements are not exact.
const LEAST_GAIN: f64 = 1.05;

/// How many of each sequence's guesses to try in a step that has `singles` other rows.
///
/// `chances[s]` says how likely a guess of sequence `s` is accepted if those before it are, and how
/// many guesses there are. `step_ms(rows)` is what a step of `rows` rows takes.
///
/// Tries the likeliest of all guesses, as many as give the most tokens per time; none if that is
/// not more than without guesses.
fn most_worthwhile(
    chances: &[(f64, usize)],
    singles: usize,
    most: usize,
    step_ms: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let mut guesses: Vec<(f64, usize)> = Vec::new();
    for (sequence, &(chance, count)) in chances.iter().enumerate() {
        let holds = (1..=count as i32).map(|length| chance.powi(length));
        guesses.extend(holds.map(|all_hold| (all_hold, sequence)));
    }
    // Sorting is stable: of guesses as likely as each other, the first sequence's come first.
    guesses.sort_by(|a, b| b.0.total_cmp(&a.0));
    guesses.truncate(most);
    let mut tokens = singles as f64;
    let mut best = (LEAST_GAIN * tokens / step_ms(singles), 0);
    for (index, (all_hold, _)) in guesses.iter().enumerate() {
        tokens += all_hold;
        let speed = tokens / step_ms(singles + index + 1);
        if speed > best.0 {
            best = (speed, index + 1);
        }
    }
    let mut counts = vec![0; chances.len()];
    guesses[..best.1].iter().for_each(|(_, sequence)| counts[*sequence] += 1);
    counts
}

/// How many guesses each sequence should get from a draft model: as many as give the most tokens
/// per time, in a step that has `singles` other rows.
///
/// `chances[s]` says how likely a guess of sequence `s` is accepted if those before it are. The
/// model takes `pass_ms` for one guess of every sequence; before that is known it is asked for one.
fn worthwhile_length(
    chances: &[f64],
    singles: usize,
    most: usize,
    pass_ms: Option<f64>,
    step_ms: impl Fn(usize) -> f64,
) -> usize {
    let Some(pass_ms) = pass_ms else { return most.min(1) };
    let mut tokens = singles as f64;
    let mut best = (LEAST_GAIN * tokens / step_ms(singles), 0);
    for length in 1..=most {
        tokens += chances.iter().map(|chance| chance.powi(length as i32)).sum::<f64>();
        let rows = singles + chances.len() * length;
        let speed = tokens / (step_ms(rows) + length as f64 * pass_ms);
        if speed > best.0 {
            best = (speed, length);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that takes as long for up to four rows as for one.
    fn flat(rows: usize) -> f64 {
        rows.max(4) as f64
    }

    #[test]
    fn a_draft_model_is_asked_while_it_is_fast_enough_for_what_it_knows() {
        let length = |chance, pass_ms| worthwhile_length(&[chance], 1, 15, Some(pass_ms), flat);
        assert_eq!(worthwhile_length(&[0.5], 1, 15, None, flat), 1, "to know how fast it is");
        assert_eq!(worthwhile_length(&[0.5], 1, 0, None, flat), 0);
        assert_eq!(length(0.9, 0.1), 3, "as many as cost the large model nothing");
        assert_eq!(length(0.3, 1.5), 0);
        assert_eq!(length(0.95, 100.0), 0);
        assert!(worthwhile_length(&[0.9; 4], 4, 15, Some(0.1), |rows| rows as f64) == 0);
    }

    #[test]
    fn guesses_that_cost_nothing_are_tried() {
        assert_eq!(most_worthwhile(&[(0.5, 15)], 1, 32, flat), [3]);
        assert_eq!(most_worthwhile(&[(0.5, 2)], 1, 32, flat), [2], "there are no more");
        assert_eq!(most_worthwhile(&[(0.5, 15)], 1, 1, flat), [1], "no more may be");
    }

    #[test]
    fn guesses_that_cost_as_much_as_they_promise_are_not() {
        let linear = |rows: usize| rows as f64;
        assert_eq!(most_worthwhile(&[(0.9, 15)], 1, 32, linear), [0]);
        assert_eq!(most_worthwhile(&[(0.01, 15)], 1, 32, flat), [0], "too little to be sure of");
        assert_eq!(most_worthwhile(&[(0.9, 15)], 8, 32, linear), [0], "others need the time");
    }

    #[test]
    fn the_likeliest_of_all_sequences_come_first() {
        let counts =
            most_worthwhile(&[(0.1, 15), (0.95, 15), (0.0, 0)], 1, 32, |rows| (rows.max(8)) as f64);
        assert_eq!(counts, [0, 7, 0]);
    }
}
