//! A byte-level vocabulary of any size, with the control tokens of Qwen2.5.

use super::MakeModelError;
use super::gguf_writer::GgufWriter;
use crate::text::CHATML;

/// How many normal tokens Qwen2.5 has; its added ones follow from this id on.
const QWEN_NORMAL_TOKENS: usize = 151_643;
const BYTE_TOKENS: usize = 256;

#[derive(Clone, Copy, PartialEq)]
enum Added {
    Control,
    UserDefined,
}

/// The added tokens of Qwen2.5, in order of id.
const ADDED: [(&str, Added); 22] = [
    ("<|endoftext|>", Added::Control),
    ("<|im_start|>", Added::Control),
    ("<|im_end|>", Added::Control),
    ("<|object_ref_start|>", Added::Control),
    ("<|object_ref_end|>", Added::Control),
    ("<|box_start|>", Added::Control),
    ("<|box_end|>", Added::Control),
    ("<|quad_start|>", Added::Control),
    ("<|quad_end|>", Added::Control),
    ("<|vision_start|>", Added::Control),
    ("<|vision_end|>", Added::Control),
    ("<|vision_pad|>", Added::Control),
    ("<|image_pad|>", Added::Control),
    ("<|video_pad|>", Added::Control),
    ("<tool_call>", Added::UserDefined),
    ("</tool_call>", Added::UserDefined),
    ("<|fim_prefix|>", Added::Control),
    ("<|fim_middle|>", Added::Control),
    ("<|fim_suffix|>", Added::Control),
    ("<|fim_pad|>", Added::Control),
    ("<|repo_name|>", Added::Control),
    ("<|file_sep|>", Added::Control),
];
/// The least a conversation needs: the first three.
const MIN_ADDED: usize = 3;
const END_OF_TEXT: usize = 0;
const IM_END: usize = 2;

/// Tokens: 256 bytes, then made-up words in order of length, then the added tokens, then a padding
/// token for each row that is left.
pub(super) struct MadeVocabulary {
    texts: Vec<String>,
    merges: Vec<String>,
    normal: usize,
    added: usize,
}

impl MadeVocabulary {
    /// A vocabulary for an embedding of `rows` rows. Qwen2.5 has more rows than tokens; its published
    /// files fill them up with tokens that are marked as unused, and some programs insist on that.
    pub fn new(rows: usize) -> Result<MadeVocabulary, MakeModelError> {
        let needed = BYTE_TOKENS + MIN_ADDED;
        if rows < needed {
            return Err(MakeModelError::VocabularyTooSmall { needed, found: rows });
        }
        let added = if rows < BYTE_TOKENS + ADDED.len() { MIN_ADDED } else { ADDED.len() };
        let normal = (rows - added).min(QWEN_NORMAL_TOKENS);
        let mut texts: Vec<String> = byte_letters().into_iter().map(String::from).collect();
        let merges = add_words(&mut texts, normal);
        texts.extend(ADDED[..added].iter().map(|(text, _)| (*text).to_string()));
        texts.extend((texts.len()..rows).map(|id| format!("[PAD{id}]")));
        Ok(MadeVocabulary { texts, merges, normal, added })
    }

    /// Writes the keys of the tokenizer.
    pub fn describe(&self, writer: &mut GgufWriter) {
        let kinds = (0..self.texts.len()).map(|id| match id.checked_sub(self.normal) {
            None => 1,
            Some(added) if added >= self.added => 5,
            Some(added) if ADDED[added].1 == Added::Control => 3,
            Some(_) => 4,
        });
        let id =
            |added: usize| u32::try_from(self.normal + added).expect("vocabularies fit in 32 bits");
        writer.string("tokenizer.ggml.model", "gpt2");
        writer.string("tokenizer.ggml.pre", "qwen2");
        writer.strings("tokenizer.ggml.tokens", &self.texts);
        writer.i32s("tokenizer.ggml.token_type", &kinds.collect::<Vec<i32>>());
        writer.strings("tokenizer.ggml.merges", &self.merges);
        writer.u32("tokenizer.ggml.eos_token_id", id(IM_END));
        writer.u32("tokenizer.ggml.bos_token_id", id(END_OF_TEXT));
        writer.u32("tokenizer.ggml.padding_token_id", id(END_OF_TEXT));
        writer.bool("tokenizer.ggml.add_bos_token", false);
        writer.string("tokenizer.chat_template", CHATML);
    }
}

/// The letter that spells each byte in a byte-level vocabulary, in the order of GPT-2 and Qwen2:
/// bytes that are visible in Latin-1 spell themselves, the others follow as letters from U+0100 on.
fn byte_letters() -> Vec<char> {
    let visible = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let mut letters: Vec<char> = visible.collect();
    let others = BYTE_TOKENS - letters.len();
    letters.extend((0x100..).map_while(char::from_u32).take(others));
    letters
}

/// Extends `texts` to `count` tokens and returns the merge that makes each new one: every word of
/// two letters with or without a space before it, then of three, and so on.
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

    #[test]
    fn control_tokens_have_the_ids_of_qwen() {
        let vocabulary = MadeVocabulary::new(151_936).expect("enough rows");
        assert_eq!(vocabulary.texts.len(), 151_936);
        assert_eq!(vocabulary.texts[151_665], "[PAD151665]");
        assert_eq!(vocabulary.texts[151_643], "<|endoftext|>");
        assert_eq!(vocabulary.texts[151_645], "<|im_end|>");
        assert_eq!(vocabulary.texts[151_657], "<tool_call>");
        assert_eq!(vocabulary.merges.len(), 151_643 - 256);
    }

    #[test]
    fn every_token_is_spelled_once_and_every_merge_makes_one() {
        let vocabulary = MadeVocabulary::new(30_000).expect("enough rows");
        let known: HashSet<&str> = vocabulary.texts.iter().map(String::as_str).collect();
        assert_eq!(known.len(), vocabulary.texts.len());
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
        assert_eq!(MadeVocabulary::new(259).expect("enough rows").texts.len(), 259);
    }
}
