//! Random numbers keyed by seed and position: the same for a token whatever ran before it.
//!
//! Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), Philox4x32-10.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// A number in [0, 1), uniform in steps of 2⁻⁵³.
pub fn uniform(seed: u64, position: u64) -> f64 {
    let (counter_low, counter_high) = halves(position);
    let (key_low, key_high) = halves(seed);
    let words = philox([counter_low, counter_high, 0, 0], [key_low, key_high]);
    let bits = (u64::from(words[1]) << 32 | u64::from(words[0])) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let (low_0, high_0) = halves(u64::from(MULTIPLIERS[0]) * u64::from(counter[0]));
        let (low_1, high_1) = halves(u64::from(MULTIPLIERS[1]) * u64::from(counter[2]));
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

/// The low and the high word, in this order.
fn halves(wide: u64) -> (u32, u32) {
    ((wide & u64::from(u32::MAX)) as u32, (wide >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        struct Case {
            counter: [u32; 4],
            key: [u32; 2],
            words: [u32; 4],
        }
        let cases = [
            Case {
                counter: [0; 4],
                key: [0; 2],
                words: [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            },
            Case {
                counter: [u32::MAX; 4],
                key: [u32::MAX; 2],
                words: [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            },
            Case {
                counter: [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                key: [0xa409_3822, 0x299f_31d0],
                words: [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            },
        ];
        for case in &cases {
            assert_eq!(philox(case.counter, case.key), case.words, "{:x?}", case.counter);
        }
    }

    #[test]
    fn uniform_spreads_evenly_over_positions_and_over_seeds() {
        let draws = 100_000;
        let bins = 100;
        for by_seed in [false, true] {
            let mut counts = vec![0u32; bins];
            for index in 0..draws {
                let value = if by_seed { uniform(index, 7) } else { uniform(7, index) };
                assert!((0.0..1.0).contains(&value));
                counts[(value * bins as f64) as usize] += 1;
            }
            let expected = draws as f64 / bins as f64;
            let chi_square: f64 =
                counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            // 99 degrees of freedom: 148.2 is exceeded once in a thousand times.
            assert!(chi_square < 148.2, "by_seed {by_seed}: {chi_square}");
        }
    }
}
