//! Random numbers and texts from a seed, and what a run of a test may be told from outside.

/// Random numbers, the same in every run with the same seed.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number (SplitMix64).
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit as u64).expect("below a usize")
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A text of this many pieces in several languages: characters of one to four bytes, and emoji
    /// of several characters.
    pub fn text(&mut self, pieces: usize) -> String {
        const PIECES: [&str; 14] =
            ["a", "Z", "\"", "\\", " ", "é", "ß", "你", "好", "，", "世界", "🙂", "👩‍👩‍👧", "\u{301}"];
        (0..pieces).map(|_| *self.choose(&PIECES)).collect()
    }
}

/// The seed of this run: `BANTER_SEED`, or always the same one.
pub fn seed() -> u64 {
    number_from("BANTER_SEED", 1) as u64
}

/// A number that is set from outside for a longer run.
pub fn number_from(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable}: {number:?}")),
        Err(_) => usual,
    }
}
