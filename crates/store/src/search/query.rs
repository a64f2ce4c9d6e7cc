//! What a person types, as a question for the index.
//!
//! The text is cut into the same pieces as messages are, and only their letters reach the index, in
//! quotes, so nothing in it can be taken for the index's own language.

use super::index::{BEGINNING_CHARS, beginning_token, word_token};
use super::words::{Kind, Piece, pieces};
use crate::ids::UserId;

/// One thing that must be in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// These characters, next to each other.
    Run(Vec<char>),
    /// These words, next to each other; the last may be the beginning of one.
    Words(Vec<Vec<char>>),
}

/// What must be in a text.
pub(crate) fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    for Piece { kind, chars, is_glued } in pieces(text) {
        let chars: Vec<char> = chars.iter().map(|folded| folded.char).collect();
        match (kind, terms.last_mut()) {
            (Kind::Run, _) => terms.push(Term::Run(chars)),
            (Kind::Word, Some(Term::Words(words))) if is_glued => words.push(chars),
            (Kind::Word, _) => terms.push(Term::Words(vec![chars])),
        }
    }
    terms
}

/// The terms in the language of the index.
pub(crate) fn fts(user: UserId, terms: &[Term]) -> String {
    let terms: Vec<String> = terms.iter().map(|term| fts_term(user, term)).collect();
    terms.join(" AND ")
}

fn fts_term(user: UserId, term: &Term) -> String {
    match term {
        Term::Run(chars) if chars.len() == 1 => {
            quoted([word_token(user, chars[0].encode_utf8(&mut [0; 4]))])
        }
        Term::Run(chars) => {
            let pairs = chars.windows(2).map(|pair| word_token(user, &String::from_iter(pair)));
            format!("words : {}", quoted(pairs))
        }
        Term::Words(words) => match &words[..] {
            [word] if word.len() <= BEGINNING_CHARS => {
                let token = beginning_token(user, &String::from_iter(word));
                format!("parts : {}", quoted([token]))
            }
            [word] => format!("{} *", quoted([word_token(user, &String::from_iter(word))])),
            words => {
                let tokens = words.iter().map(|word| word_token(user, &String::from_iter(word)));
                format!("words : {} *", quoted(tokens))
            }
        },
    }
}

/// A phrase. Tokens have letters and digits only, so none has a quote.
fn quoted(tokens: impl IntoIterator<Item = String>) -> String {
    let tokens: Vec<String> = tokens.into_iter().collect();
    format!("\"{}\"", tokens.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_reaches_the_index_as_its_language() {
        struct Case(&'static str, &'static str);
        let cases = [
            Case("", ""),
            Case("\"", ""),
            Case("the", r#"parts : "3pthe""#),
            Case("there", r#""3xthere" *"#),
            Case("max_tokens", r#"words : "3xmax 3xtokens" *"#),
            Case("a OR b", r#"parts : "3pa" AND parts : "3por" AND parts : "3pb""#),
            Case(
                "x\" OR words : \"y*",
                r#"parts : "3px" AND parts : "3por" AND "3xwords" * AND parts : "3py""#,
            ),
            Case("NEAR(中文, 2)", r#""3xnear" * AND words : "3x中文" AND parts : "3p2""#),
            Case("中", r#""3x中""#),
            Case("中文字", r#"words : "3x中文 3x文字""#),
        ];
        for Case(text, expected) in cases {
            assert_eq!(fts(UserId(3), &terms(text)), expected, "{text}");
        }
    }
}
