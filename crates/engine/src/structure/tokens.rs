//! A model's tokens as `llguidance` wants them.

use std::sync::Arc;

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use crate::text::{Text, TokenId};

struct Tokens {
    text: Arc<Text>,
    trie: TokTrie,
}

/// The tokens of `text`. Of control tokens, only those that end an answer are included.
pub(super) fn environment(text: Arc<Text>) -> TokEnv {
    let count = u32::try_from(text.token_count()).expect("a vocabulary has fewer rows than 2³²");
    let ends: Vec<u32> = (0..count).filter(|id| text.is_end(TokenId(*id))).collect();
    let word = |id: u32| match text.is_end(TokenId(id)) {
        true => [&[TokTrie::SPECIAL_TOKEN_MARKER], format!("<end {id}>").as_bytes()].concat(),
        false if text.has_token(TokenId(id)) => text.token_bytes(TokenId(id)).to_vec(),
        false => Vec::new(),
    };
    let words: Vec<Vec<u8>> = (0..count).map(word).collect();
    let info = TokRxInfo::new(count, ends.first().copied().unwrap_or_default());
    let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
    Arc::new(Tokens { text, trie })
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.text.encode(text).into_iter().map(|token| token.0).collect()
        })
    }
}
