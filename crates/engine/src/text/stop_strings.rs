//! Strings that end an answer before they would appear in it.

/// Watches an answer for stop strings, whatever pieces it comes in.
///
/// The answer ends with the first stop string that becomes complete (of several complete at the
/// same character, the longest) and is cut where that one begins. Text that may still turn out to
/// begin a stop string is held back.
#[derive(Debug)]
pub struct StopStrings {
    strings: Vec<String>,
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
        let strings = strings.into_iter().filter(|string| !string.is_empty()).collect();
        StopStrings { strings, held: String::new() }
    }

    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &str) -> StopOutcome {
        self.held.push_str(piece);
        if let Some(start) = self.first_complete() {
            self.held.truncate(start);
            return StopOutcome::Stop(std::mem::take(&mut self.held));
        }
        let keep = self.may_begin_one();
        let show = self.held.len() - keep;
        StopOutcome::Show(self.held.drain(..show).collect())
    }

    /// Ends the answer; returns what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the stop string begins that is complete first.
    fn first_complete(&self) -> Option<usize> {
        let complete = self.strings.iter().filter_map(|string| {
            let start = self.held.find(string.as_str())?;
            Some((start + string.len(), start))
        });
        complete.min().map(|(_, start)| start)
    }

    /// Bytes at the end that are the beginning of a stop string.
    fn may_begin_one(&self) -> usize {
        let held = self.held.as_bytes();
        let longest = |string: &String| {
            let most = held.len().min(string.len() - 1);
            (1..=most).rev().find(|&length| held.ends_with(&string.as_bytes()[..length]))
        };
        // Both sides are UTF-8, so an end of one that begins the other starts a character.
        self.strings.iter().filter_map(longest).max().unwrap_or(0)
    }
}
