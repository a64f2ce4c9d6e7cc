//! Stop strings: text that ends an answer and is not shown.

/// Watches an answer for stop strings; a stop string may be spread over several pieces.
///
/// The answer ends as soon as a stop string is complete, and is cut where that string begins. If
/// several are complete at the same character, the longest counts. Text that may be the start of a
/// stop string is held back. The time is in proportion to the length of the answer times the number
/// of strings.
#[derive(Debug)]
pub struct StopStrings {
    watched: Vec<Watched>,
    held: String,
}

/// The result of [`StopStrings::push`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// This text may be shown; it may be empty.
    Show(String),
    /// The answer ends here.
    Stop {
        /// This text may still be shown.
        text: String,
        /// The stop string that follows it.
        string: String,
    },
}

impl StopStrings {
    /// Watches for any of `strings`. Empty strings are ignored.
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
                self.held.truncate(before + index + 1);
                let string = self.held.split_off(self.held.len() - length);
                return StopOutcome::Stop { text: std::mem::take(&mut self.held), string };
            }
        }
        // Answer and strings are UTF-8, so the part that matches starts at a whole character.
        let keep = self.watched.iter().map(|watched| watched.matched).max().unwrap_or(0);
        let show = self.held.len() - keep;
        StopOutcome::Show(self.held.drain(..show).collect())
    }

    /// Text that may be the start of a stop string.
    pub fn held_back(&self) -> &str {
        &self.held
    }

    /// Ends the answer and returns the text that was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// One stop string, and how many of its first bytes the answer ends with (`matched`).
///
/// Source: Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.
#[derive(Debug)]
struct Watched {
    bytes: Vec<u8>,
    /// For each prefix of the string, beginning with that of one byte: the length of the longest
    /// shorter prefix that it ends with.
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

    /// Takes one byte. Returns the string's length in bytes if the byte completes it.
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
