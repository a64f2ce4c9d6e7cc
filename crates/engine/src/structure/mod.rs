//! Structured answers: JSON of a schema, text of a regular expression, or text of a grammar.
//!
//! `llguidance` finds the tokens that may come next, and the sampler chooses one of them. Tokens
//! that must come next are guesses like any other ([`speculation`](crate::speculation)), so they
//! cost a row and change nothing.
//!
//! - [`Structure`]: what is asked for.
//! - [`Structures`]: makes a [`Guide`] of it, for one model's tokens.
//! - [`Guide`]: follows one answer.
//!
//! Structures are hostile input. Limits: those of `limits`, and what `llguidance` may spend on
//! preparing a structure: a request beyond them is refused. It may also spend only so much on each
//! token: an answer beyond that fails.

mod guide;
mod limits;
mod schema;
mod tokens;

use std::sync::Arc;

use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{Matcher, ParserFactory};

pub use guide::{Guide, TokenMask};
pub use limits::{
    MAX_ALL_BRANCHES, MAX_BRANCHES, MAX_DECIMALS, MAX_DIVISOR, MAX_NESTING, MAX_REPEATS, MAX_RULES,
    MAX_STRUCTURE_BYTES,
};
pub(crate) use schema::bounded;

use crate::text::Text;

/// The structure that an answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Structure {
    /// JSON that a JSON schema accepts; holds the schema.
    JsonSchema(String),
    /// Text that a regular expression matches as a whole, in the syntax of Rust's `regex`.
    Regex(String),
    /// Text that a grammar derives from its rule `start`, in the syntax of Lark as `llguidance`
    /// reads it.
    Grammar(String),
}

/// Why a structure cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// It is too large to be prepared.
    #[error("structure: expected at most {limit} {of}, found {found}")]
    TooLarge {
        /// What there is too much of.
        of: &'static str,
        /// How much may be.
        limit: usize,
        /// How much there is.
        found: usize,
    },
    /// It cannot be understood, or takes more than may be spent on it.
    #[error("structure: {0}")]
    Wrong(String),
}

/// Stack for [`MAX_RULES`] rules that refer to each other, and for as many schemas that do so as
/// fit into [`MAX_STRUCTURE_BYTES`]. Pages that are never used take no memory.
const STACK_BYTES: usize = 64 << 20;

/// Prepares structures for the tokens of one model.
pub struct Structures {
    factory: ParserFactory,
}

impl Structures {
    /// Sorts a model's tokens, which takes a tenth of a second with Qwen2.5's.
    ///
    /// Errors: the tokens cannot be used.
    pub fn new(text: Arc<Text>) -> Result<Structures, StructureError> {
        let tokens = tokens::environment(text);
        let abilities =
            InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&tokens, abilities, &slices).map_err(wrong)?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            // About 20 ms each, by the figures of `llguidance`.
            initial_lexer_fuel: 500_000,
            step_lexer_fuel: 100_000,
            step_max_items: 50_000,
            max_grammar_size: 100_000,
            max_lexer_states: 50_000,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Structures { factory })
    }

    /// Prepares a structure for one answer. Does so on a thread of its own, because nested
    /// structures take much stack.
    ///
    /// Errors: it cannot be understood, or is too large.
    pub fn guide(&self, structure: &Structure) -> Result<Guide, StructureError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let made = thread.spawn_scoped(scope, || self.make_guide(structure)).map_err(wrong)?;
            made.join().unwrap_or_else(|_| Err(wrong("it could not be prepared")))
        })
    }

    fn make_guide(&self, structure: &Structure) -> Result<Guide, StructureError> {
        let (Structure::JsonSchema(text) | Structure::Regex(text) | Structure::Grammar(text)) =
            structure;
        limits::check_size(text)?;
        let grammar = match structure {
            Structure::JsonSchema(text) => {
                // The parser has a limit of its own for depth.
                let schema = serde_json::from_str(text).map_err(wrong)?;
                limits::check_schema(&schema)?;
                TopLevelGrammar::from_json_schema(bounded(schema))
            }
            Structure::Regex(text) => {
                limits::check_regex(text)?;
                TopLevelGrammar::from_regex(text)
            }
            Structure::Grammar(text) => {
                limits::check_grammar(text)?;
                TopLevelGrammar::from_lark(text.clone())
            }
        };
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(wrong(error)),
            // Some faults show only when tokens are looked for.
            None => match matcher.compute_mask_or_eos() {
                Ok(_) => Ok(Guide::new(matcher)),
                Err(error) => Err(wrong(error)),
            },
        }
    }
}

impl std::fmt::Debug for Structures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Structures")
    }
}

fn check(of: &'static str, limit: usize, found: usize) -> Result<(), StructureError> {
    if found <= limit {
        return Ok(());
    }
    Err(StructureError::TooLarge { of, limit, found })
}

/// Why a structure is refused that no finite text has.
const MATCHES_NOTHING: &str = "no text can have it";

/// The longest message of `llguidance` that is passed on.
const MAX_MESSAGE_CHARS: usize = 300;

fn wrong(error: impl std::fmt::Display) -> StructureError {
    let text = error.to_string();
    // What `llguidance` appends in angle brackets is for its authors.
    let for_people = text.split("\n<").next().unwrap_or_default().trim();
    // A word of its own for a case that clients meet.
    let for_people = match for_people == StopReason::NoExtensionBias.to_string() {
        true => MATCHES_NOTHING,
        false => for_people,
    };
    StructureError::Wrong(for_people.chars().take(MAX_MESSAGE_CHARS).collect())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
