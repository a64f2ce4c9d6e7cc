//! Strings that end an answer before they would appear in it.

/// Watches an answer for stop strings, whatever pieces it comes in.
///
/// The answer ends with the first stop string that becomes complete (of several complete at the
/// same character, the longest) and is cut where that one begins. Text that may still turn out to
/// begin a stop string is held back. Takes time in proportion to the answer, whatever the strings.
#[derive(Debug)]
pub struct StopStrings {
    watched: Vec<Watched>,
    held: String,
}

/// What a piece of an answer turned into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// This much may be shown, which may be nothing.
    Show(String),
    /// This much may still be shown; a stop string follows it.
    Stop(String),
}

impl StopStrings {
    /// Watches for any of `strings`; empty ones are left out.
    pub fn new(strings: Vec<String>) -> StopStrings {
        let strings = strings.into_iter().filter(|string| !string.is_empty());
        StopStrings { watched: strings.map(Watched::new).collect(), held: String::new() }
    }

    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &str) -> StopOutcome {
        let before = self.held.len();
        self.held.push_str(piece);
        for (index, &byte) in piece.as_bytes().iter().enumerate() {
            let complete =
                self.watched.iter_mut().filter_map(|watched| watched.advance(byte)).max();
            if let Some(length) = complete {
                self.held.truncate(before + index + 1 - length);
                return StopOutcome::Stop(std::mem::take(&mut self.held));
            }
        }
        // Both sides are UTF-8, so an end of one that begins the other starts a character.
        let keep = self.watched.iter().map(|watched| watched.matched).max().unwrap_or(0);
        let show = self.held.len() - keep;
        StopOutcome::Show(self.held.drain(..show).collect())
    }

    /// Ends the answer; returns what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// One stop string, and how much of it the answer ends with.
///
/// Source: Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.
#[derive(Debug)]
struct Watched {
    bytes: Vec<u8>,
    /// For each beginning of the string, from one byte on: the length of the longest shorter
    /// beginning that it ends with.
    shorter: Vec<usize>,
    matched: usize,
}

impl Watched {
    fn new(string: String) -> Watched {
        let bytes = string.into_bytes();
        let mut shorter = vec![0; bytes.len()];
        let mut length = 0;
        for index in 1..bytes.len() {
            while length > 0 && bytes[length] != bytes[index] {
                length = shorter[length - 1];
            }
            length += usize::from(bytes[length] == bytes[index]);
            shorter[index] = length;
        }
        Watched { bytes, shorter, matched: 0 }
    }

    /// Takes one byte; returns the length of the string if that completes it.
    fn advance(&mut self, byte: u8) -> Option<usize> {
        while self.matched > 0 && self.bytes[self.matched] != byte {
            self.matched = self.shorter[self.matched - 1];
        }
        self.matched += usize::from(self.bytes[self.matched] == byte);
        if self.matched < self.bytes.len() {
            return None;
        }
        self.matched = self.shorter[self.matched - 1];
        Some(self.bytes.len())
    }
}
