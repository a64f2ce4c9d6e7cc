//! Whether the time that a wrong key takes tells where it is wrong.

use super::*;
use std::hint::black_box;
use std::time::Instant;

const RIGHT: &str = "abcdefghijklmnopqrstuvwxyz";
/// Guesses for each place of the first wrong character.
const TRIES: usize = 20_000;
/// Beyond this a trend is there by chance in one of a hundred measurements.
const CRITICAL: f64 = 2.576;

/// For each place, a key that is right before it and wrong from there on.
fn guesses() -> Vec<String> {
    let wrong = "0".repeat(RIGHT.len());
    (0..RIGHT.len()).map(|place| format!("{}{}", &RIGHT[..place], &wrong[place..])).collect()
}

/// How surely the time rises (above zero) or falls (below) with the place, in standard deviations.
///
/// In each round every guess is measured once, in a random order. Without a trend, a round in which
/// more pairs rise than fall is as probable as the contrary, however busy the machine is. So the
/// rounds are counted as throws of a coin.
fn trend(check: impl Fn(&str)) -> f64 {
    let guesses = guesses();
    let mut order: Vec<usize> = (0..guesses.len()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut rising, mut rounds) = (0_i32, 0_u32);
    for _ in 0..TRIES {
        shuffle(&mut order, &mut random);
        let mut times = vec![0; guesses.len()];
        for place in &order {
            let begun = Instant::now();
            check(black_box(&guesses[*place]));
            times[*place] = begun.elapsed().as_nanos();
        }
        let pairs =
            (0..times.len()).flat_map(|low| (low + 1..times.len()).map(move |high| (low, high)));
        let score: i32 = pairs.map(|(low, high)| times[high].cmp(&times[low]) as i32).sum();
        rising += score.signum();
        rounds += u32::from(score != 0);
    }
    f64::from(rising) / f64::from(rounds.max(1)).sqrt()
}

fn shuffle(order: &mut [usize], random: &mut u64) {
    for last in (1..order.len()).rev() {
        // Xorshift: any even order will do.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let bound = u64::try_from(last + 1).expect("it is small");
        order.swap(last, usize::try_from(*random % bound).expect("it is small"));
    }
}

#[test]
#[ignore = "measures time for a minute; part of make test-long"]
fn a7_the_time_of_a_wrong_key_does_not_tell_where_it_is_wrong() {
    const ATTEMPTS: usize = 3;
    let keys = vec![KeyHash::of("another"), KeyHash::of(RIGHT)];
    let config = ServerConfig { keys, max_wrong_keys_per_minute: u32::MAX, ..config() };
    let access = access(&config);
    let check = |guess: &str| {
        let refused = access.try_key(stranger(), guess, &Sender::Program);
        assert_eq!(refused, Err(Denial::KeyNeeded));
    };
    // By chance one is beyond it now and then, but not three on the same side.
    let trends: Vec<f64> = (0..ATTEMPTS).map(|_| trend(check)).collect();
    println!("trends of the real comparison: {trends:?}");
    assert!(!trends.iter().all(|trend| *trend > CRITICAL), "{trends:?}");
    assert!(!trends.iter().all(|trend| *trend < -CRITICAL), "{trends:?}");
}

#[test]
#[ignore = "measures time for a minute; part of make test-long"]
fn a7_a_comparison_that_ends_at_the_first_difference_would_be_found() {
    let leaky = |guess: &str| {
        // Several times, as an attacker would send one guess several times.
        for _ in 0..10 {
            let pairs = guess.bytes().zip(RIGHT.bytes());
            let equal = pairs.take_while(|(found, right)| black_box(found) == right).count();
            black_box(equal);
        }
    };
    let found = trend(leaky);
    println!("trend of a comparison that ends early: {found}");
    assert!(found > CRITICAL, "{found}");
}
