//! A byte-level vocabulary of any size, with the control tokens of Qwen2.5.

use super::MakeModelError;
use super::gguf_writer::GgufWriter;
use crate::text::{CHATML, TokenKind, Vocabulary, VocabularyToken};

/// Number of normal tokens of Qwen2.5; the first added token has this id.
const QWEN_NORMAL_TOKENS: usize = 151_643;
const BYTE_TOKENS: usize = 256;

/// The added tokens of Qwen2.5, in order of id.
const ADDED: [(&str, TokenKind); 22] = [
    ("<|endoftext|>", TokenKind::Control),
    ("<|im_start|>", TokenKind::Control),
    ("<|im_end|>", TokenKind::Control),
    ("<|object_ref_start|>", TokenKind::Control),
    ("<|object_ref_end|>", TokenKind::Control),
    ("<|box_start|>", TokenKind::Control),
    ("<|box_end|>", TokenKind::Control),
    ("<|quad_start|>", TokenKind::Control),
    ("<|quad_end|>", TokenKind::Control),
    ("<|vision_start|>", TokenKind::Control),
    ("<|vision_end|>", TokenKind::Control),
    ("<|vision_pad|>", TokenKind::Control),
    ("<|image_pad|>", TokenKind::Control),
    ("<|video_pad|>", TokenKind::Control),
    ("<tool_call>", TokenKind::UserDefined),
    ("</tool_call>", TokenKind::UserDefined),
    ("<|fim_prefix|>", TokenKind::Control),
    ("<|fim_middle|>", TokenKind::Control),
    ("<|fim_suffix|>", TokenKind::Control),
    ("<|fim_pad|>", TokenKind::Control),
    ("<|repo_name|>", TokenKind::Control),
    ("<|file_sep|>", TokenKind::Control),
];
/// Number of added tokens that a conversation needs at least: the first three.
const MIN_ADDED: usize = 3;

/// The vocabulary of a made model.
pub(super) struct MadeVocabulary {
    tokens: Vec<VocabularyToken>,
    /// Merges: both parts with a space between them.
    merges: Vec<String>,
    end_of_text: u32,
    im_end: u32,
}

impl MadeVocabulary {
    /// A vocabulary for an embedding of `rows` rows: 256 bytes, then made-up words in order of
    /// length, then the added tokens.
    pub fn new(rows: usize) -> Result<MadeVocabulary, MakeModelError> {
        let needed = BYTE_TOKENS + MIN_ADDED;
        if rows < needed {
            return Err(MakeModelError::VocabularyTooSmall { needed, found: rows });
        }
        let added = if rows < BYTE_TOKENS + ADDED.len() { MIN_ADDED } else { ADDED.len() };
        let normal = (rows - added).min(QWEN_NORMAL_TOKENS);
        let mut texts: Vec<String> = byte_letters().into_iter().map(String::from).collect();
        let merges = add_words(&mut texts, normal);
        let words = texts.into_iter().map(|text| VocabularyToken { text, kind: TokenKind::Normal });
        let added = ADDED[..added].iter().map(|&(text, kind)| (text.to_string(), kind));
        let added = added.map(|(text, kind)| VocabularyToken { text, kind });
        MadeVocabulary::of(words.chain(added).collect(), merges, rows)
    }

    /// A published vocabulary for an embedding of `rows` rows.
    pub fn published(
        vocabulary: &Vocabulary,
        rows: usize,
    ) -> Result<MadeVocabulary, MakeModelError> {
        let needed = vocabulary.tokens.len();
        if rows < needed {
            return Err(MakeModelError::VocabularyTooSmall { needed, found: rows });
        }
        let merges = vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}"));
        MadeVocabulary::of(vocabulary.tokens.clone(), merges.collect(), rows)
    }

    /// Adds unused tokens until each row has a token. Qwen2.5 has more rows than tokens; its
    /// published files contain such unused tokens too, and some programs require them.
    fn of(
        mut tokens: Vec<VocabularyToken>,
        merges: Vec<String>,
        rows: usize,
    ) -> Result<MadeVocabulary, MakeModelError> {
        let find = |text: &'static str| {
            let id = tokens.iter().position(|token| token.text == text);
            let id = id.ok_or(MakeModelError::TokenMissing { token: text })?;
            Ok(u32::try_from(id).expect("vocabularies fit in 32 bits"))
        };
        let (end_of_text, im_end) = (find("<|endoftext|>")?, find("<|im_end|>")?);
        tokens.extend(
            (tokens.len()..rows)
                .map(|id| VocabularyToken { text: format!("[PAD{id}]"), kind: TokenKind::Unused }),
        );
        Ok(MadeVocabulary { tokens, merges, end_of_text, im_end })
    }

    /// Writes the keys of the tokenizer.
    pub fn describe(&self, writer: &mut GgufWriter) {
        let kinds = self.tokens.iter().map(|token| match token.kind {
            TokenKind::Normal => 1,
            TokenKind::Control => 3,
            TokenKind::UserDefined => 4,
            TokenKind::Unused => 5,
        });
        let texts: Vec<&str> = self.tokens.iter().map(|token| token.text.as_str()).collect();
        writer.string("tokenizer.ggml.model", "gpt2");
        writer.string("tokenizer.ggml.pre", "qwen2");
        writer.strings("tokenizer.ggml.tokens", &texts);
        writer.i32s("tokenizer.ggml.token_type", &kinds.collect::<Vec<i32>>());
        writer.strings("tokenizer.ggml.merges", &self.merges);
        writer.u32("tokenizer.ggml.eos_token_id", self.im_end);
        writer.u32("tokenizer.ggml.bos_token_id", self.end_of_text);
        writer.u32("tokenizer.ggml.padding_token_id", self.end_of_text);
        writer.bool("tokenizer.ggml.add_bos_token", false);
        writer.string("tokenizer.chat_template", CHATML);
    }
}

/// The letter for each byte in a byte-level vocabulary, in the order of GPT-2 and Qwen2. First come
/// the bytes that are visible in Latin-1, each with its own letter; then the other bytes, with the
/// letters that begin at U+0100.
fn byte_letters() -> Vec<char> {
    let visible = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let mut letters: Vec<char> = visible.collect();
    let others = BYTE_TOKENS - letters.len();
    letters.extend((0x100..).map_while(char::from_u32).take(others));
    letters
}

/// Adds words to `texts` up to `count` tokens, and returns the merge for each new one. It first
/// adds every word of two letters, with or without a space before it, then those of three, and so
/// on.
fn add_words(texts: &mut Vec<String>, count: usize) -> Vec<String> {
    const SPACE: char = 'Ġ'; // U+0120, the spelling of the byte 0x20.
    let mut merges = Vec::with_capacity(count - texts.len());
    let mut stems: Vec<String> = [SPACE].into_iter().chain('a'..='z').map(String::from).collect();
    while texts.len() < count {
        let mut words = Vec::new();
        for stem in &stems {
            for letter in 'a'..='z' {
                if texts.len() == count {
                    return merges;
                }
                let word = format!("{stem}{letter}");
                merges.push(format!("{stem} {letter}"));
                texts.push(word.clone());
                words.push(word);
            }
        }
        stems = words;
    }
    merges
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::text::TokenizerOptions;

    #[test]
    fn control_tokens_have_the_ids_of_qwen() {
        let vocabulary = MadeVocabulary::new(151_936).expect("enough rows");
        let text = |id: usize| vocabulary.tokens[id].text.as_str();
        assert_eq!(vocabulary.tokens.len(), 151_936);
        assert_eq!(text(151_665), "[PAD151665]");
        assert_eq!(text(151_643), "<|endoftext|>");
        assert_eq!(text(151_645), "<|im_end|>");
        assert_eq!(text(151_657), "<tool_call>");
        assert_eq!((vocabulary.end_of_text, vocabulary.im_end), (151_643, 151_645));
        assert_eq!(vocabulary.merges.len(), 151_643 - 256);
    }

    #[test]
    fn every_token_is_spelled_once_and_every_merge_makes_one() {
        let vocabulary = MadeVocabulary::new(30_000).expect("enough rows");
        let known: HashSet<&str> = vocabulary.tokens.iter().map(|token| &*token.text).collect();
        assert_eq!(known.len(), vocabulary.tokens.len());
        for merge in &vocabulary.merges {
            let (left, right) = merge.split_once(' ').expect("two pieces");
            assert!(known.contains(left) && known.contains(right), "{merge}");
            assert!(known.contains(format!("{left}{right}").as_str()), "{merge}");
        }
    }

    #[test]
    fn bytes_are_spelled_as_in_gpt_2() {
        let letters = byte_letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[0], letters[93], letters[94]), ('!', '~', '¡'));
        assert_eq!(letters[188 + 32], 'Ġ'); // The space is the 33rd invisible byte.
    }

    #[test]
    fn too_few_rows_are_refused() {
        assert!(matches!(
            MadeVocabulary::new(258),
            Err(MakeModelError::VocabularyTooSmall { needed: 259, found: 258 })
        ));
        assert_eq!(MadeVocabulary::new(259).expect("enough rows").tokens.len(), 259);
    }

    fn published(texts: &[&str]) -> Vocabulary {
        let token = |text: &&str| VocabularyToken {
            text: (*text).to_string(),
            kind: if text.len() > 1 { TokenKind::Control } else { TokenKind::Normal },
        };
        Vocabulary {
            tokens: texts.iter().map(token).collect(),
            merges: vec![("a".to_string(), "b".to_string())],
            options: TokenizerOptions::QWEN2,
            add_bos: false,
            bos: None,
            end_tokens: Vec::new(),
        }
    }

    #[test]
    fn a_published_vocabulary_keeps_its_ids_and_is_filled_up() {
        let vocabulary = published(&["a", "b", "<|im_end|>", "<|endoftext|>"]);
        let made = MadeVocabulary::published(&vocabulary, 6).expect("enough rows");
        assert_eq!(made.tokens[..4], vocabulary.tokens);
        assert_eq!(made.tokens[5].text, "[PAD5]");
        assert_eq!(made.merges, ["a b"]);
        assert_eq!((made.end_of_text, made.im_end), (3, 2));
    }

    #[test]
    fn a_published_vocabulary_that_does_not_fit_or_ends_no_answer_is_refused() {
        let vocabulary = published(&["a", "b", "<|im_end|>"]);
        assert!(matches!(
            MadeVocabulary::published(&vocabulary, 2),
            Err(MakeModelError::VocabularyTooSmall { needed: 3, found: 2 })
        ));
        assert!(matches!(
            MadeVocabulary::published(&vocabulary, 3),
            Err(MakeModelError::TokenMissing { token: "<|endoftext|>" })
        ));
    }
}
