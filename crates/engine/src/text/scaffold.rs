//! Keeping what people write apart from what the template writes.
//!
//! A template glues scaffolding and content into one string. Before that, every literal of an added
//! token inside content is broken by a private mark, so that afterwards each literal that is whole
//! was written by the template. Text between two of them is then cut as one run, with the marks
//! removed; so `<|im_end|>` in a message is ten characters and never a control token.
//!
//! Some templates look for a literal in content themselves, `</think>` to leave out what was thought.
//! Literals of tokens that are shown as text and that the template quotes are therefore only
//! preceded by the mark, and stay whole for the template to find.

use aho_corasick::{AhoCorasick, MatchKind};

use super::{TextError, TokenId, TokenKind, Vocabulary};

/// Begins every mark; content's own are escaped. From a plane for private use.
const MARK: char = '\u{f0ba2}';
/// After [`MARK`]: breaks a literal.
const BREAK: char = 'b';
/// [`MARK`] and [`BREAK`]: what follows was written by people.
const MARKED: &str = "\u{f0ba2}b";
/// After [`MARK`]: the character [`MARK`] itself.
const SELF: char = 'm';
/// After [`MARK`], up to the next [`MARK`]: the index of tokens that stand for a whole message.
const TOKENS: char = 't';

/// Added tokens of a vocabulary, found in rendered text.
#[derive(Debug)]
pub(super) struct Scaffold {
    literals: AhoCorasick,
    /// To break content: finds every occurrence, overlapping ones too.
    everywhere: AhoCorasick,
    ids: Vec<TokenId>,
    /// Whether content may hold each literal whole, behind a mark.
    stays_whole: Vec<bool>,
}

/// One part of a rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A token that the template wrote by its literal.
    Control(TokenId),
    /// Text between two such tokens.
    Text(String),
    /// Tokens that stand for a whole message.
    Tokens(usize),
}

impl Scaffold {
    /// Prepares the added tokens of a vocabulary, beside the template that may look for them.
    ///
    /// Errors: an added token of fewer than two characters, which could not be told from text.
    pub(super) fn new(vocabulary: &Vocabulary, template: &str) -> Result<Scaffold, TextError> {
        let mut ids = Vec::new();
        let mut stays_whole = Vec::new();
        let mut texts = Vec::new();
        for (index, token) in vocabulary.tokens.iter().enumerate() {
            if !matches!(token.kind, TokenKind::Control | TokenKind::UserDefined) {
                continue;
            }
            if token.text.chars().nth(1).is_none() {
                let what = format!("added token {:?}: expected two characters or more", token.text);
                return Err(TextError::Vocabulary(what));
            }
            ids.push(TokenId(u32::try_from(index).expect("the tokenizer counted the tokens")));
            texts.push(token.text.as_str());
            let is_quoted = ['\'', '"']
                .iter()
                .any(|quote| template.contains(&format!("{quote}{}{quote}", token.text)));
            stays_whole.push(token.kind == TokenKind::UserDefined && is_quoted);
        }
        let build = |kind| {
            AhoCorasick::builder().match_kind(kind).build(&texts).map_err(|error| {
                TextError::Vocabulary(format!("added tokens are too many or too long: {error}"))
            })
        };
        Ok(Scaffold {
            literals: build(MatchKind::LeftmostLongest)?,
            everywhere: build(MatchKind::Standard)?,
            ids,
            stays_whole,
        })
    }

    /// Whether content spells an added token.
    pub(super) fn is_spelled_in(&self, content: &str) -> bool {
        self.everywhere.is_match(content)
    }

    /// Content as the template may have it: no literal is whole unless a mark precedes it, every
    /// [`MARK`] is escaped.
    pub(super) fn guard(&self, content: &str) -> String {
        let mut marks: Vec<usize> = self
            .everywhere
            .find_overlapping_iter(content)
            .map(|found| {
                let first = content[found.start()..].chars().next().map_or(0, char::len_utf8);
                let stays_whole = self.stays_whole[found.pattern().as_usize()];
                found.start() + if stays_whole { 0 } else { first }
            })
            .collect();
        marks.sort_unstable();
        let mut marks = marks.into_iter().peekable();
        let mut guarded = String::with_capacity(content.len());
        for (index, character) in content.char_indices() {
            if marks.peek() == Some(&index) {
                guarded.extend([MARK, BREAK]);
                while marks.next_if_eq(&index).is_some() {}
            }
            guarded.push(character);
            if character == MARK {
                guarded.push(SELF);
            }
        }
        guarded
    }

    /// A placeholder for tokens that stand for a whole message.
    pub(super) fn placeholder(index: usize) -> String {
        format!("{MARK}{TOKENS}{index}{MARK}")
    }

    /// Takes a rendered prompt apart.
    pub(super) fn split(&self, rendered: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut text_start = 0;
        for found in self.literals.find_iter(rendered) {
            if rendered[..found.start()].ends_with(MARKED) {
                continue;
            }
            push_text(&rendered[text_start..found.start()], &mut parts);
            parts.push(Part::Control(self.ids[found.pattern().as_usize()]));
            text_start = found.end();
        }
        push_text(&rendered[text_start..], &mut parts);
        parts
    }
}

/// Removes the marks from a run of text and takes placeholders out of it.
fn push_text(guarded: &str, parts: &mut Vec<Part>) {
    let mut text = String::with_capacity(guarded.len());
    let mut rest = guarded;
    while let Some((before, behind)) = rest.split_once(MARK) {
        text.push_str(before);
        let mut characters = behind.chars();
        match characters.next() {
            Some(BREAK) => rest = characters.as_str(),
            Some(SELF) => {
                text.push(MARK);
                rest = characters.as_str();
            }
            Some(TOKENS) => {
                let (index, after) = characters.as_str().split_once(MARK).unwrap_or(("", ""));
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                if let Ok(index) = index.parse() {
                    parts.push(Part::Tokens(index));
                }
                rest = after;
            }
            // A template that cuts content apart may leave a mark without its letter.
            _ => rest = behind,
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}
