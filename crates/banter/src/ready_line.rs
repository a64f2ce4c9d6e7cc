//! The line that says that the server is ready, for people and scripts.
//!
//! Its form is fixed: `ready URL model=NAME weights=SIZE cache=SIZE in SECONDS s`, or with
//! `engine=KIND` instead of the sizes if another engine computes.

use std::fmt;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use banter_remote::size::show_bytes;

/// What the line says.
#[derive(Debug)]
pub struct ReadyLine<'a> {
    /// Address to open in a browser.
    pub url: &'a str,
    /// The name of the model. Blanks are shown as `-`, so that scripts can split the line at
    /// blanks.
    pub model: &'a str,
    /// What computes.
    pub loaded: Loaded,
    /// Time since the process started, or since its model was pulled.
    pub after: Duration,
}

/// What computes.
#[derive(Debug)]
pub enum Loaded {
    /// The engine in this process.
    Here {
        /// Memory of the weights.
        weight_bytes: u64,
        /// Memory of the cache of keys and values.
        cache_bytes: u64,
    },
    /// An engine that somebody else runs.
    Elsewhere {
        /// Its kind.
        engine: &'static str,
    },
}

impl fmt::Display for ReadyLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_whitespace() || c.is_control() { '-' } else { c })
                .collect()
        };
        let loaded = match self.loaded {
            Loaded::Here { weight_bytes, cache_bytes } => {
                let (weights, cache) = (show_bytes(weight_bytes), show_bytes(cache_bytes));
                format!("weights={} cache={}", word(&weights), word(&cache))
            }
            Loaded::Elsewhere { engine } => format!("engine={engine}"),
        };
        let (url, model, seconds) = (self.url, word(self.model), self.after.as_secs_f64());
        write!(formatter, "ready {url} model={model} {loaded} in {seconds:.1} s")
    }
}

/// Prints the line on stderr, and on stdout too if that is another stream: a person reads it once,
/// and a script finds it on the stream that it captures. If a stream is closed, the server goes on.
pub fn print(line: &ReadyLine<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if !lead_to_the_same(&std::io::stdout(), &std::io::stderr()) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

fn lead_to_the_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    matches!((identity(one), identity(other)), (Some(one), Some(other)) if one == other)
}

fn identity(stream: &impl AsFd) -> Option<(u64, u64)> {
    let owned = stream.as_fd().try_clone_to_owned().ok()?;
    let metadata = std::fs::File::from(owned).metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_its_fixed_form() {
        let line = ReadyLine {
            url: "http://localhost:7860",
            model: "Qwen2.5 1.5B",
            loaded: Loaded::Here { weight_bytes: 935_000_000, cache_bytes: 2_147_483_648 },
            after: Duration::from_millis(1234),
        };
        let expected =
            "ready http://localhost:7860 model=Qwen2.5-1.5B weights=935-MB cache=2.1-GB in 1.2 s";
        assert_eq!(line.to_string(), expected);
        let line = ReadyLine { loaded: Loaded::Elsewhere { engine: "vllm" }, ..line };
        let expected = "ready http://localhost:7860 model=Qwen2.5-1.5B engine=vllm in 1.2 s";
        assert_eq!(line.to_string(), expected);
    }
}
