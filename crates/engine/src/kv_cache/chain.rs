//! What a block is called outside of memory.
//!
//! A name stands for everything that decides what is in the block: the model and how it is computed,
//! whose block it is, and all tokens up to its end. Whoever does not have the key cannot tell tokens
//! from names.

use super::{BLOCK_TOKENS, Tenant};
use crate::text::TokenId;

/// The name of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockName(pub [u8; 16]);

/// Gives blocks their names.
#[derive(Clone, Debug)]
pub struct Chain {
    key: [u8; 32],
}

impl Chain {
    /// The names that go with a key; another key gives others.
    pub fn new(key: [u8; 32]) -> Chain {
        Chain { key }
    }

    /// The name of the block of `tokens` that follows `parent`, or begins a conversation; of no tenant
    /// if the operator shares it.
    pub fn name(
        &self,
        parent: Option<BlockName>,
        tenant: Option<Tenant>,
        tokens: &[TokenId; BLOCK_TOKENS],
    ) -> BlockName {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[u8::from(parent.is_some()), u8::from(tenant.is_some())]);
        hasher.update(&parent.map_or([0; 16], |parent| parent.0));
        hasher.update(&tenant.map_or([0; 8], |tenant| tenant.0.to_le_bytes()));
        for token in tokens {
            hasher.update(&token.0.to_le_bytes());
        }
        let name = hasher.finalize();
        BlockName(*name.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_everything_before_it() {
        let chain = Chain::new([1; 32]);
        let tokens = [TokenId(7); BLOCK_TOKENS];
        let mut other = tokens;
        other[15] = TokenId(8);
        let first = chain.name(None, Some(Tenant(0)), &tokens);
        assert_eq!(chain.name(None, Some(Tenant(0)), &tokens), first);
        let names = [
            first,
            chain.name(None, Some(Tenant(0)), &other),
            chain.name(None, Some(Tenant(1)), &tokens),
            chain.name(None, None, &tokens),
            chain.name(Some(first), Some(Tenant(0)), &tokens),
            chain.name(Some(BlockName([0; 16])), Some(Tenant(0)), &tokens),
            Chain::new([2; 32]).name(None, Some(Tenant(0)), &tokens),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{index}");
        }
    }
}
