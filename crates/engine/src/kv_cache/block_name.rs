//! Names of blocks outside of memory.
//!
//! A name stands for everything that the content of the block depends on: the model and how it is
//! computed, the owner, and all tokens up to the block's end:
//!
//! ```text
//!  name of block 0 = hash(key, none,            tenant, its 16 tokens)
//!  name of block 1 = hash(key, name of block 0, tenant, its 16 tokens)
//! ```
//!
//! Without the key nobody can find tokens from names.

use super::{BLOCK_TOKENS, Tenant};
use crate::text::TokenId;

/// The name of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockName(pub [u8; 16]);

/// Makes the names of blocks.
#[derive(Clone, Debug)]
pub struct BlockNamer {
    key: [u8; 32],
}

impl BlockNamer {
    /// The names of one key; another key gives other names.
    pub fn new(key: [u8; 32]) -> BlockNamer {
        BlockNamer { key }
    }

    /// The name of the block of `tokens` that follows `parent`, or that begins a conversation. The
    /// tenant is none if the operator shares the block.
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
        let namer = BlockNamer::new([1; 32]);
        let tokens = [TokenId(7); BLOCK_TOKENS];
        let mut other = tokens;
        other[15] = TokenId(8);
        let first = namer.name(None, Some(Tenant(0)), &tokens);
        assert_eq!(namer.name(None, Some(Tenant(0)), &tokens), first);
        let names = [
            first,
            namer.name(None, Some(Tenant(0)), &other),
            namer.name(None, Some(Tenant(1)), &tokens),
            namer.name(None, None, &tokens),
            namer.name(Some(first), Some(Tenant(0)), &tokens),
            namer.name(Some(BlockName([0; 16])), Some(Tenant(0)), &tokens),
            BlockNamer::new([2; 32]).name(None, Some(Tenant(0)), &tokens),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{index}");
        }
    }
}
