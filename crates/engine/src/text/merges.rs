//! Byte-pair merging: joins pairs of tokens in the order that the vocabulary gives.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::TokenId;

/// The token that a pair becomes, and its rank: pairs with a lower rank join first.
#[derive(Clone, Copy, Debug)]
struct Merge {
    rank: u32,
    joined: TokenId,
}

/// The merges of a vocabulary, by the two tokens that join.
#[derive(Debug, Default)]
pub(super) struct Merges {
    by_pair: HashMap<(TokenId, TokenId), Merge>,
}

impl Merges {
    /// Adds the next merge. If the pair was added before, the earlier merge stays.
    pub(super) fn add(&mut self, left: TokenId, right: TokenId, joined: TokenId) {
        let rank = u32::try_from(self.by_pair.len()).expect("fewer merges than 2^32");
        self.by_pair.entry((left, right)).or_insert(Merge { rank, joined });
    }

    /// Joins neighbours in `ids` until no pair can join. The pair with the lowest rank joins first;
    /// if several pairs have that rank, the leftmost does. Takes time in proportion to n log n.
    pub(super) fn apply(&self, ids: &mut Vec<TokenId>, scratch: &mut Scratch) {
        if ids.len() < 2 {
            return;
        }
        scratch.start(ids.len());
        for left in 0..ids.len() - 1 {
            self.offer(ids, left, left + 1, scratch);
        }
        while let Some(Reverse((_, left, joined))) = scratch.candidates.pop() {
            let right = scratch.next[left];
            // The pair may have changed since it was offered.
            if right == END || scratch.gone[left] {
                continue;
            }
            match self.by_pair.get(&(ids[left], ids[right])) {
                Some(merge) if merge.joined == joined => {}
                _ => continue,
            }
            ids[left] = joined;
            scratch.unlink(left, right);
            let after = scratch.next[left];
            if after != END {
                self.offer(ids, left, after, scratch);
            }
            let before = scratch.previous[left];
            if before != END {
                self.offer(ids, before, left, scratch);
            }
        }
        let mut index = 0;
        ids.retain(|_| {
            index += 1;
            !scratch.gone[index - 1]
        });
    }

    /// Adds the pair `left`, `right` to the candidates if a merge joins it.
    fn offer(&self, ids: &[TokenId], left: usize, right: usize, scratch: &mut Scratch) {
        if let Some(merge) = self.by_pair.get(&(ids[left], ids[right])) {
            #[cfg(test)]
            {
                scratch.offers += 1;
            }
            scratch.candidates.push(Reverse((merge.rank, left, merge.joined)));
        }
    }
}

/// Stands for a neighbour that does not exist.
const END: usize = usize::MAX;

/// Working memory of [`Merges::apply`], reused for the next piece: a doubly linked list of the
/// tokens that are left, and the merges that may come next (rank, place of the left token, result).
#[derive(Debug, Default)]
pub(super) struct Scratch {
    previous: Vec<usize>,
    next: Vec<usize>,
    gone: Vec<bool>,
    candidates: BinaryHeap<Reverse<(u32, usize, TokenId)>>,
    /// How many candidates were ever added.
    #[cfg(test)]
    offers: usize,
}

impl Scratch {
    fn start(&mut self, length: usize) {
        self.previous.clear();
        self.previous.extend((0..length).map(|index| index.checked_sub(1).unwrap_or(END)));
        self.next.clear();
        self.next.extend((1..length).chain([END]));
        self.gone.clear();
        self.gone.resize(length, false);
        self.candidates.clear();
    }

    /// Takes `right`, the neighbour of `left`, out of the list.
    fn unlink(&mut self, left: usize, right: usize) {
        let after = self.next[right];
        self.gone[right] = true;
        self.next[left] = after;
        if after != END {
            self.previous[after] = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tokens 0 join to token 1, two tokens 1 to token 2, and so on.
    fn doubling(merges: u32) -> Merges {
        let mut doubling = Merges::default();
        for id in 0..merges {
            doubling.add(TokenId(id), TokenId(id), TokenId(id + 1));
        }
        doubling
    }

    #[test]
    fn merges_join_in_order_of_rank_and_from_the_left() {
        let mut ids = vec![TokenId(0); 7];
        doubling(2).apply(&mut ids, &mut Scratch::default());
        assert_eq!(ids, [TokenId(2), TokenId(1), TokenId(0)]);
    }

    #[test]
    fn long_runs_take_work_in_proportion_to_their_length() {
        for length in [1_000, 1 << 20] {
            let mut scratch = Scratch::default();
            let mut ids = vec![TokenId(0); length];
            doubling(20).apply(&mut ids, &mut scratch);
            assert!(ids.len() <= 20);
            assert!(scratch.offers < 3 * length, "{length}: {} candidates", scratch.offers);
        }
    }
}
