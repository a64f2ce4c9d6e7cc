//! Keeps the text of people apart from the text of the template.
//!
//! ```text
//! content    a<|im_end|>b
//! guarded    a<|im_end|·>b            a mark (·) breaks the literal
//! rendered   <|im_start|>user⏎a<|im_end|·>b<|im_end|>
//! split      [<|im_start|>] "user⏎a<|im_end|>b" [<|im_end|>]
//! ```
//!
//! A literal is the spelling of an added token. A template joins its own text and content into one
//! string. Before the template runs, marks are put into every literal inside content. So a literal
//! that is whole in the rendered string was written by the template, and becomes a token.
//! Everything else is text, and the marks are removed from it. `<|im_end|>` in a message is ten
//! characters and never a control token.
//!
//! Some templates look for a literal in content: for `</think>`, to leave out the thinking. If the
//! template quotes the literal of a token that is shown as text, the mark is put before the literal
//! and leaves it whole.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, Input, MatchKind};
use serde_json::Value;

use super::error::shown;
use super::{TextError, TokenId, TokenKind, Vocabulary, VocabularyToken};

/// Most added tokens; Qwen's vocabularies have about thirty, others about a thousand.
pub(super) const ADDED_TOKENS: usize = 16_384;
/// Longest added token in bytes; the longest of Qwen2.5's has 20.
const ADDED_TOKEN_BYTES: usize = 512;
/// Most bytes of all added tokens together; Qwen2.5's have 294.
const ALL_ADDED_BYTES: usize = 256 * 1024;

/// Begins every mark. It is a private-use character; if content contains it, it is escaped.
pub(super) const MARK: char = '\u{f0ba2}';
/// After [`MARK`]: breaks a literal.
const BREAK: char = 'b';
/// [`MARK`] and [`BREAK`]: the text after it was written by people.
const MARKED: &str = "\u{f0ba2}b";
/// After [`MARK`], at the end of content that ends with the start of a literal: breaks that
/// literal. The text after it is the template's.
const CUT: char = 'c';
/// After [`MARK`]: the character [`MARK`] itself.
const SELF: char = 'm';
/// After [`MARK`], up to the next [`MARK`]: the index of a message that is given as tokens.
const TOKENS: char = 't';

/// The added tokens of a vocabulary, and the search for their literals in text.
#[derive(Debug)]
pub(super) struct Scaffold {
    /// For rendered text: finds the first literal; of several at the same place, the longest.
    literals: AhoCorasick,
    /// For content: finds the literal that ends first. Upper and lower case are the same to it.
    first_to_end: AhoCorasick,
    texts: Vec<String>,
    ids: Vec<TokenId>,
    /// For each literal, whether it stays whole in content, after a mark.
    stays_whole: Vec<bool>,
}

/// One part of a rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A token whose literal the template wrote.
    Control(TokenId),
    /// Ordinary text.
    Text(String),
    /// The index of a message that is given as tokens.
    Tokens(usize),
}

impl Scaffold {
    /// Prepares the added tokens of a vocabulary. `template` is the source of the chat template,
    /// because it may look for their literals.
    ///
    /// Errors: an added token has fewer than two characters and could not be told from text, or
    /// there are more or longer added tokens than any real vocabulary has.
    pub(super) fn new(vocabulary: &Vocabulary, template: &str) -> Result<Scaffold, TextError> {
        let mut ids = Vec::new();
        let mut stays_whole = Vec::new();
        let mut texts = Vec::new();
        let mut all_bytes = 0;
        for (index, token) in vocabulary.tokens.iter().enumerate() {
            if !matches!(token.kind, TokenKind::Control | TokenKind::UserDefined) {
                continue;
            }
            all_bytes += token.text.len();
            check_added(token, texts.len() + 1, all_bytes)?;
            ids.push(TokenId(u32::try_from(index).expect("the tokenizer counted the tokens")));
            let is_quoted = ['\'', '"']
                .iter()
                .any(|quote| template.contains(&format!("{quote}{}{quote}", token.text)));
            stays_whole.push(token.kind == TokenKind::UserDefined && is_quoted);
            texts.push(token.text.clone());
        }
        let mut builder = AhoCorasick::builder();
        let build = |builder: &AhoCorasickBuilder| {
            builder.build(&texts).map_err(|error| {
                TextError::Vocabulary(format!("added tokens are too many or too long: {error}"))
            })
        };
        let literals = build(builder.match_kind(MatchKind::LeftmostLongest))?;
        // A template may change the case of content.
        builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        Ok(Scaffold { literals, first_to_end: build(&builder)?, texts, ids, stays_whole })
    }

    /// The literal of an added token.
    pub(super) fn literal_of(&self, id: TokenId) -> Option<&str> {
        let index = self.ids.binary_search(&id).ok()?;
        Some(&self.texts[index])
    }

    /// Whether content contains the literal of an added token, in any case.
    pub(super) fn is_spelled_in(&self, content: &str) -> bool {
        self.first_to_end.is_match(content)
    }

    /// Content with marks, safe to give to the template: no literal in it is whole unless a mark
    /// precedes it, text before or after the content completes no literal, and every [`MARK`] is
    /// escaped.
    pub(super) fn guard(&self, content: &str) -> String {
        let mut guarded = String::with_capacity(content.len());
        let mut copied = 0;
        let mut mark_at = |place: usize| {
            push_escaped(&content[copied..place], &mut guarded);
            guarded.push_str(MARKED);
            copied = place;
        };
        // A template may trim content and then put other text next to it.
        let trimmed = content.trim();
        if self.goes_on_a_literal(trimmed) {
            mark_at(content.len() - content.trim_start().len());
        }
        // The literal that ends first gets a mark before its last character. That mark also breaks
        // all other literals around this place. A literal that begins there comes after the mark.
        let mut from = 0;
        while let Some(found) = self.first_to_end.find(Input::new(content).range(from..)) {
            let literal = &content[found.range()];
            if self.stays_whole[found.pattern().as_usize()] {
                mark_at(found.start());
                from = found.start() + literal.chars().next().map_or(1, char::len_utf8);
            } else {
                from = found.end() - literal.chars().next_back().map_or(1, char::len_utf8);
                mark_at(from);
            }
        }
        let end = content.trim_end().len();
        if end >= copied && self.begins_a_literal(&content[..end]) {
            push_escaped(&content[copied..end], &mut guarded);
            guarded.extend([MARK, CUT]);
            copied = end;
        }
        push_escaped(&content[copied..], &mut guarded);
        guarded
    }

    /// The same value with every text and every name in it guarded.
    pub(super) fn guard_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.guard(text)),
            Value::Array(values) => values.iter().map(|value| self.guard_value(value)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| (self.guard(name), self.guard_value(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Whether text begins with the end of a literal, or is a part of one. Then the text before it
    /// may begin the literal.
    fn goes_on_a_literal(&self, text: &str) -> bool {
        let goes_on = |rest: &str| {
            let shared = rest.len().min(text.len());
            rest.as_bytes()[..shared].eq_ignore_ascii_case(&text.as_bytes()[..shared])
        };
        let is_gone_on = |literal: &str| {
            literal.char_indices().skip(1).any(|(index, _)| goes_on(&literal[index..]))
        };
        !text.is_empty() && self.texts.iter().any(|literal| is_gone_on(literal))
    }

    /// Whether text ends with the start of a literal. Then the text after it may end the literal.
    fn begins_a_literal(&self, text: &str) -> bool {
        let ends_text = |start: &str| {
            let end = text.len().checked_sub(start.len()).map(|from| &text.as_bytes()[from..]);
            end.is_some_and(|end| end.eq_ignore_ascii_case(start.as_bytes()))
        };
        let start_ends = |literal: &str| {
            literal.char_indices().skip(1).any(|(index, _)| ends_text(&literal[..index]))
        };
        self.texts.iter().any(|literal| start_ends(literal))
    }

    /// A placeholder for a message that is given as tokens; [`Part::Tokens`] returns `index`.
    pub(super) fn placeholder(index: usize) -> String {
        format!("{MARK}{TOKENS}{index}{MARK}")
    }

    /// Splits text without marks: every literal in it becomes its token.
    pub(super) fn split_raw(&self, text: &str) -> Vec<Part> {
        let mut escaped = String::with_capacity(text.len());
        push_escaped(text, &mut escaped);
        self.split(&escaped)
    }

    /// Splits a rendered prompt into tokens and text, without the marks.
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

/// Checks one added token; `count` and `all_bytes` are the totals up to and with it.
fn check_added(token: &VocabularyToken, count: usize, all_bytes: usize) -> Result<(), TextError> {
    let what = if token.text.chars().nth(1).is_none() {
        format!("added token {}: expected two characters or more", shown(&token.text))
    } else if token.text.len() > ADDED_TOKEN_BYTES {
        let (token, found) = (shown(&token.text), token.text.len());
        format!("added token {token}: expected at most {ADDED_TOKEN_BYTES} bytes, found {found}")
    } else if count > ADDED_TOKENS {
        format!("added tokens: expected at most {ADDED_TOKENS}, found more")
    } else if all_bytes > ALL_ADDED_BYTES {
        format!("added tokens: expected at most {ALL_ADDED_BYTES} bytes in all, found more")
    } else {
        return Ok(());
    };
    Err(TextError::Vocabulary(what))
}

/// Appends content to `guarded`, with every [`MARK`] in it escaped.
fn push_escaped(text: &str, guarded: &mut String) {
    for (index, piece) in text.split(MARK).enumerate() {
        if index > 0 {
            guarded.extend([MARK, SELF]);
        }
        guarded.push_str(piece);
    }
}

/// Appends text to `parts`, without its marks; placeholders in it become parts of their own.
fn push_text(guarded: &str, parts: &mut Vec<Part>) {
    let mut text = String::with_capacity(guarded.len());
    let mut rest = guarded;
    while let Some((before, behind)) = rest.split_once(MARK) {
        text.push_str(before);
        let mut characters = behind.chars();
        match characters.next() {
            Some(BREAK | CUT) => rest = characters.as_str(),
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
            // If a template cuts content inside a mark, the mark has lost its letter.
            _ => rest = behind,
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}
