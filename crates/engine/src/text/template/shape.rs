//! Limits the length and the depth of a template, before the compiler gets it: the compiler is
//! recursive, so a deep template could overflow its stack.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Longest template in bytes; Qwen2.5's has 2,507, the longest known about 20,000.
const SOURCE_BYTES: usize = 128 * 1024;
/// Longest line in bytes; the parser of Jinja counts columns in 16 bits.
const LINE_BYTES: usize = 60_000;
/// Deepest nesting of blocks (each `elif` counts as one level) and of brackets; real templates have
/// fewer than ten levels.
const NESTING: usize = 64;
/// Most words, operators and strings in a tag; real tags have fewer than a hundred.
const TAG_TOKENS: usize = 1024;

const OPENING: [&str; 8] = ["if", "for", "macro", "filter", "call", "with", "autoescape", "block"];

/// Checks that a template is not much longer or deeper than real ones.
///
/// Errors: a part is too long or too deep, or is not Jinja; the text names it.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), String> {
    if source.len() > SOURCE_BYTES {
        return Err(format!("expected at most {SOURCE_BYTES} bytes, found {}", source.len()));
    }
    if source.lines().any(|line| line.len() > LINE_BYTES) {
        return Err(format!("expected lines of at most {LINE_BYTES} bytes, found a longer one"));
    }
    let mut blocks = Blocks::default();
    let (mut length, mut brackets, mut starts_block) = (0, 0_usize, false);
    for token in tokenize(source, false, syntax.clone()) {
        let (token, _) = token.map_err(|error| error.to_string())?;
        if let (true, Token::Ident(word)) = (starts_block, &token) {
            blocks.enter(word)?;
        }
        starts_block = matches!(token, Token::BlockStart);
        length += 1;
        match token {
            Token::BlockStart | Token::VariableStart => (length, brackets) = (0, 0),
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => brackets += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                brackets = brackets.saturating_sub(1);
            }
            _ => {}
        }
        if brackets > NESTING {
            return Err(format!("expected at most {NESTING} nested brackets, found more"));
        }
        if length > TAG_TOKENS {
            return Err(format!("expected tags of at most {TAG_TOKENS} words, found more"));
        }
    }
    Ok(())
}

/// The template with `{% generation %}` and `{% endgeneration %}` replaced by tags that do nothing.
/// `transformers` uses them to mark answers for training.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        kept.push_str(before);
        kept.push_str("{%");
        let inside = tag.trim_start_matches(['-', '+']).trim_start();
        let lead = tag.len() - inside.len();
        kept.push_str(&tag[..lead]);
        let ends_word = |after: &str| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = match (inside.strip_prefix("generation"), inside.strip_prefix("endgeneration")) {
            (Some(after), _) if ends_word(after) => {
                kept.push_str("if true");
                after
            }
            (_, Some(after)) if ends_word(after) => {
                kept.push_str("endif");
                after
            }
            _ => inside,
        };
    }
    kept + rest
}

/// The blocks that are open, each with its number of levels: 1, and 1 more for each `elif`.
#[derive(Default)]
struct Blocks {
    open: Vec<usize>,
}

impl Blocks {
    /// Takes the first word of a tag.
    ///
    /// Errors: the blocks are nested too deeply.
    fn enter(&mut self, word: &str) -> Result<(), String> {
        if OPENING.contains(&word) {
            self.open.push(1);
        } else if word.starts_with("end") {
            self.open.pop();
        } else if word == "elif"
            && let Some(chain) = self.open.last_mut()
        {
            *chain += 1;
        }
        let depth: usize = self.open.iter().sum();
        if depth > NESTING {
            return Err(format!("expected at most {NESTING} nested blocks, found more"));
        }
        Ok(())
    }
}
