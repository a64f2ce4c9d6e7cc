//! The blocks there are, and lists of those that are owned.

/// The number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Hands out blocks and takes them back.
#[derive(Debug)]
pub struct BlockPool {
    free: Vec<BlockId>,
    is_owned: Vec<bool>,
}

/// The blocks of one sequence, in order of position.
///
/// They go back through [`BlockPool::give_back`] only; dropping a list that still has blocks would
/// lose them, and panics.
#[derive(Debug, Default)]
pub struct BlockList {
    blocks: Vec<BlockId>,
}

/// The pool has fewer free blocks than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBlocks;

impl BlockPool {
    /// A pool of `total_blocks` free blocks.
    ///
    /// Panics if their numbers do not fit 32 bits.
    pub fn new(total_blocks: usize) -> BlockPool {
        let count = u32::try_from(total_blocks).expect("a cache has fewer blocks than 2³²");
        // Blocks are handed out from the end, so the lowest numbers go first.
        BlockPool {
            free: (0..count).rev().map(BlockId).collect(),
            is_owned: vec![false; total_blocks],
        }
    }

    /// Blocks that nobody owns.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// All blocks.
    pub fn total_blocks(&self) -> usize {
        self.is_owned.len()
    }

    /// Lengthens `list` to at least `blocks` blocks, or changes nothing if there are too few.
    pub fn grow(&mut self, list: &mut BlockList, blocks: usize) -> Result<(), OutOfBlocks> {
        let missing = blocks.saturating_sub(list.blocks.len());
        let Some(kept) = self.free.len().checked_sub(missing) else { return Err(OutOfBlocks) };
        for block in self.free.drain(kept..).rev() {
            let is_owned = &mut self.is_owned[block.0 as usize];
            assert!(!*is_owned, "{block:?} was free and owned at once");
            *is_owned = true;
            list.blocks.push(block);
        }
        Ok(())
    }

    /// Takes back all blocks of `list` and says how many they were.
    pub fn give_back(&mut self, mut list: BlockList) -> usize {
        let count = list.blocks.len();
        // From the last to the first, so that the next owner gets them in the same order.
        for block in list.blocks.drain(..).rev() {
            let is_owned = &mut self.is_owned[block.0 as usize];
            assert!(*is_owned, "{block:?} was given back twice");
            *is_owned = false;
            self.free.push(block);
        }
        count
    }
}

impl BlockList {
    /// A list without blocks.
    pub fn new() -> BlockList {
        BlockList::default()
    }

    /// The blocks, in order of position.
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }
}

impl Drop for BlockList {
    fn drop(&mut self) {
        // While another panic unwinds, a second one would end the process and hide the first.
        if !std::thread::panicking() {
            assert!(self.blocks.is_empty(), "a block list was dropped with its blocks");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_out_and_come_back() {
        let mut pool = BlockPool::new(4);
        let (mut first, mut second) = (BlockList::new(), BlockList::new());
        pool.grow(&mut first, 2).expect("four are free");
        pool.grow(&mut second, 1).expect("two are free");
        pool.grow(&mut first, 3).expect("one is free");
        assert_eq!(first.blocks(), [BlockId(0), BlockId(1), BlockId(3)]);
        assert_eq!(second.blocks(), [BlockId(2)]);
        assert_eq!(pool.free_blocks(), 0);
        assert_eq!(pool.give_back(first), 3);
        assert_eq!(pool.give_back(second), 1);
        assert_eq!((pool.free_blocks(), pool.total_blocks()), (4, 4));
    }

    #[test]
    fn too_large_a_wish_changes_nothing() {
        let mut pool = BlockPool::new(2);
        let mut list = BlockList::new();
        pool.grow(&mut list, 1).expect("two are free");
        assert_eq!(pool.grow(&mut list, 3), Err(OutOfBlocks));
        assert_eq!((list.blocks().len(), pool.free_blocks()), (1, 1));
        pool.grow(&mut list, 1).expect("a list long enough asks for nothing");
        pool.give_back(list);
    }

    #[test]
    #[should_panic(expected = "dropped with its blocks")]
    fn a_list_dropped_with_blocks_is_a_bug() {
        let mut pool = BlockPool::new(1);
        let mut list = BlockList::new();
        pool.grow(&mut list, 1).expect("one is free");
        drop(list);
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn a_block_given_back_to_another_pool_is_a_bug() {
        let mut pool = BlockPool::new(1);
        let mut list = BlockList::new();
        pool.grow(&mut list, 1).expect("one is free");
        BlockPool::new(1).give_back(list);
    }
}
