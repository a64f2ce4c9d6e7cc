use super::*;

const LEN: usize = BLOCK_TOKENS;

impl BlockCache {
    /// Asserts that every block is in exactly one place and every node where it can be found, if
    /// these are all leases there are.
    pub(crate) fn check(&self, leases: &[&Lease]) {
        let own = leases.iter().flat_map(|lease| &lease.blocks[lease.nodes.len()..]);
        let kept = self.nodes.values().map(|node| &node.block);
        let mut blocks: Vec<&BlockId> = self.free.iter().chain(own).chain(kept).collect();
        blocks.sort();
        let all: Vec<BlockId> = (0..self.total_blocks as u32).map(BlockId).collect();
        assert!(blocks.into_iter().eq(&all), "a block is lost, or in two places");
        for lease in leases {
            let blocks = lease.nodes.iter().map(|id| self.nodes[id].block);
            assert!(blocks.eq(lease.blocks[..lease.nodes.len()].iter().copied()));
        }
        for (id, node) in &self.nodes {
            let leased = leases.iter().filter(|lease| lease.nodes.contains(id)).count();
            assert_eq!(node.leases, leased, "{id:?} counts who leases it");
            assert_eq!(self.idle.get(&node.turn) == Some(id), leased == 0, "{id:?} waits its turn");
            let parent = match &node.place {
                Place::Whole(key) => {
                    assert_eq!(self.by_tokens.get(key), Some(id), "{id:?} is found");
                    key.parent
                }
                Place::End { parent, tenant, tokens } => {
                    assert!(self.ends[&(*parent, *tenant)].contains(id), "{id:?} is found");
                    assert!(!tokens.is_empty() && tokens.len() < BLOCK_TOKENS);
                    *parent
                }
            };
            let parent = parent.map(|parent| &self.nodes[&parent]);
            assert!(parent.is_none_or(|parent| parent.leases > 0 || parent.turn > node.turn));
        }
        let whole = self.nodes.values().filter(|node| matches!(node.place, Place::Whole(_)));
        assert_eq!(self.by_tokens.len(), whole.count(), "only what exists is found");
        let ends = self.ends.values().map(Vec::len).sum::<usize>();
        assert_eq!(self.by_tokens.len() + ends, self.nodes.len(), "only what exists is found");
    }
}

/// Tokens of a story; stories of different numbers differ from the first token on.
fn story(number: u32, tokens: usize) -> Vec<TokenId> {
    (0..tokens as u32).map(|index| TokenId(number * 100_000 + index)).collect()
}

fn lease(tenant: u64) -> Lease {
    Lease::new(Tenant(tenant), 0)
}

/// Computes all of `tokens` as a sequence of its own; says how many were kept, and its blocks.
fn read(cache: &mut BlockCache, tenant: u64, tokens: &[TokenId]) -> (usize, Vec<BlockId>) {
    let mut lease = lease(tenant);
    let adopted = cache.adopt(&mut lease, tokens, 0);
    cache.grow(&mut lease, tokens.len().div_ceil(LEN)).expect("there is room");
    cache.settle(&mut lease, tokens, tokens.len());
    let blocks = lease.blocks().to_vec();
    cache.release(lease, tokens, tokens.len());
    (adopted, blocks)
}

#[test]
fn blocks_go_out_and_come_back() {
    let mut cache = BlockCache::new(4);
    let (mut first, mut second) = (lease(0), lease(0));
    cache.grow(&mut first, 2).expect("four are free");
    cache.grow(&mut second, 1).expect("two are free");
    cache.grow(&mut first, 3).expect("one is free");
    assert_eq!(first.blocks(), [BlockId(0), BlockId(1), BlockId(3)]);
    assert_eq!(second.blocks(), [BlockId(2)]);
    assert_eq!(cache.available_blocks(), 0);
    assert_eq!(cache.release(first, &[], 0), 3);
    assert_eq!(cache.release(second, &[], 0), 1);
    assert_eq!((cache.available_blocks(), cache.total_blocks()), (4, 4));
}

#[test]
fn too_large_a_wish_changes_nothing() {
    let mut cache = BlockCache::new(2);
    let mut list = lease(0);
    cache.grow(&mut list, 1).expect("two are free");
    assert_eq!(cache.grow(&mut list, 3), Err(OutOfBlocks));
    assert_eq!((list.blocks().len(), cache.available_blocks()), (1, 1));
    cache.grow(&mut list, 1).expect("a lease long enough asks for nothing");
    cache.release(list, &[], 0);
}

#[test]
#[should_panic(expected = "dropped with its blocks")]
fn a_lease_dropped_with_blocks_is_a_bug() {
    let mut cache = BlockCache::new(1);
    let mut list = lease(0);
    cache.grow(&mut list, 1).expect("one is free");
    drop(list);
}

#[test]
fn a_conversation_finds_everything_but_its_last_token() {
    let mut cache = BlockCache::new(10);
    let whole = story(1, 3 * LEN + 5);
    let (adopted, blocks) = read(&mut cache, 0, &whole[..2 * LEN + 3]);
    assert_eq!(adopted, 0);
    let (adopted, longer) = read(&mut cache, 0, &whole);
    assert_eq!(adopted, 2 * LEN + 3, "the last block is taken over half full");
    assert_eq!(longer[..3], blocks);
    assert_eq!(read(&mut cache, 0, &whole).0, whole.len() - 1, "logits need the last token");
    assert_eq!(read(&mut cache, 0, &whole[..2 * LEN]).0, LEN, "and so does the end of a block");
    assert_eq!(read(&mut cache, 0, &[]).0, 0);
    assert_eq!(cache.available_blocks(), 10);
}

#[test]
fn an_edited_conversation_finds_what_it_has_not_changed() {
    let mut cache = BlockCache::new(10);
    let mut tokens = story(1, 3 * LEN);
    read(&mut cache, 0, &tokens);
    tokens[LEN + 3] = TokenId(7);
    assert_eq!(read(&mut cache, 0, &tokens).0, LEN);
    tokens[0] = TokenId(7);
    assert_eq!(read(&mut cache, 0, &tokens).0, 0);
    let mut end = story(1, LEN + 9);
    read(&mut cache, 0, &end);
    end[LEN + 4] = TokenId(7);
    assert_eq!(read(&mut cache, 0, &end).0, LEN + 4, "a part of a last block");
}

#[test]
fn two_who_run_at_once_share_blocks() {
    let mut cache = BlockCache::new(10);
    let tokens = story(1, 2 * LEN + 1);
    let run = |cache: &mut BlockCache| {
        let mut lease = lease(0);
        let adopted = cache.adopt(&mut lease, &tokens, 0);
        cache.grow(&mut lease, 3).expect("there is room");
        cache.settle(&mut lease, &tokens, tokens.len());
        (adopted, lease)
    };
    let (adopted, first) = run(&mut cache);
    assert_eq!((adopted, cache.available_blocks()), (0, 7));
    let (adopted, second) = run(&mut cache);
    assert_eq!((adopted, cache.available_blocks()), (2 * LEN, 6), "only the last is its own");
    assert_eq!(first.blocks()[..2], second.blocks()[..2]);
    assert_eq!(cache.release(first, &tokens, tokens.len()), 1, "two are still leased");
    assert_eq!(cache.release(second, &tokens, tokens.len()), 3);
}

#[test]
fn two_who_compute_the_same_at_once_end_with_one_copy() {
    let mut cache = BlockCache::new(10);
    let tokens = story(1, 2 * LEN + 1);
    let mut leases = [lease(0), lease(0)];
    for lease in &mut leases {
        assert_eq!(cache.adopt(lease, &tokens, 0), 0);
        cache.grow(lease, 3).expect("there is room");
    }
    for lease in &mut leases {
        cache.settle(lease, &tokens, tokens.len());
    }
    assert_eq!(leases[0].blocks()[..2], leases[1].blocks()[..2]);
    assert_eq!(cache.available_blocks(), 6);
    for lease in leases {
        cache.release(lease, &tokens, tokens.len());
    }
    assert_eq!(cache.available_blocks(), 10);
}

#[test]
fn a_running_sequence_takes_what_another_has_computed_meanwhile() {
    let mut cache = BlockCache::new(10);
    let tokens = story(1, 3 * LEN);
    let mut late = lease(0);
    assert_eq!(cache.adopt(&mut late, &tokens, 0), 0);
    cache.grow(&mut late, 3).expect("there is room");
    read(&mut cache, 0, &tokens[..2 * LEN]);
    assert_eq!(cache.adopt(&mut late, &tokens, 0), 2 * LEN);
    assert_eq!(late.blocks().len(), 3);
    assert_eq!(cache.adopt(&mut late, &tokens, 2 * LEN + 1), 2 * LEN + 1, "within a block");
    cache.release(late, &tokens, 2 * LEN);
    assert_eq!(cache.available_blocks(), 10);
}

#[test]
fn nothing_is_found_before_it_is_settled() {
    let mut cache = BlockCache::new(10);
    let tokens = story(1, 3 * LEN);
    let mut abandoned = lease(0);
    cache.grow(&mut abandoned, 3).expect("there is room");
    cache.settle(&mut abandoned, &tokens, LEN + 2);
    cache.release(abandoned, &tokens, LEN + 2);
    assert_eq!(read(&mut cache, 0, &tokens).0, LEN + 2, "what the last step wrote is not kept");
}

#[test]
fn the_least_recently_used_goes_first_and_ends_before_beginnings() {
    let mut cache = BlockCache::new(4);
    let kept = |cache: &mut BlockCache, number: u32| {
        let (tokens, mut lease) = (story(number, 2 * LEN + 1), lease(0));
        let kept = cache.adopt(&mut lease, &tokens, 0);
        cache.release(lease, &tokens, kept);
        kept
    };
    read(&mut cache, 0, &story(1, 2 * LEN));
    read(&mut cache, 0, &story(2, 2 * LEN));
    read(&mut cache, 0, &story(3, LEN));
    assert_eq!(kept(&mut cache, 1), LEN, "the end of the oldest made room");
    assert_eq!(kept(&mut cache, 2), 2 * LEN);
    read(&mut cache, 0, &story(4, LEN));
    assert_eq!(kept(&mut cache, 3), 0, "to look for something is to use it");
    assert_eq!((kept(&mut cache, 1), kept(&mut cache, 2)), (LEN, 2 * LEN));
    cache.check(&[]);
}

#[test]
fn tenants_share_only_what_the_operator_shares() {
    let mut cache = BlockCache::new(20);
    let tokens = story(1, 4 * LEN);
    let shared = LEN + LEN / 2;
    let run = |cache: &mut BlockCache, tenant: u64| {
        let mut lease = Lease::new(Tenant(tenant), shared);
        let adopted = cache.adopt(&mut lease, &tokens, 0);
        cache.grow(&mut lease, 4).expect("there is room");
        cache.release(lease, &tokens, 4 * LEN - 3);
        adopted
    };
    assert_eq!(run(&mut cache, 1), 0);
    assert_eq!(
        run(&mut cache, 2),
        LEN,
        "the block in which the operator's tokens end is not shared"
    );
    assert_eq!(run(&mut cache, 1), 4 * LEN - 3);
    assert_eq!(run(&mut cache, 2), 4 * LEN - 3);
    assert_eq!(
        read(&mut cache, 3, &tokens).0,
        0,
        "who is told nothing of the operator finds nothing"
    );
}

#[test]
fn of_two_ends_the_longer_is_kept() {
    let mut cache = BlockCache::new(10);
    let tokens = story(1, LEN);
    read(&mut cache, 0, &tokens[..9]);
    let mut short = lease(0);
    cache.grow(&mut short, 1).expect("there is room");
    cache.release(short, &tokens, 5);
    assert_eq!((cache.idle.len(), cache.free.len()), (1, 9));
    let mut long = lease(0);
    cache.grow(&mut long, 1).expect("there is room");
    cache.release(long, &tokens, 12);
    assert_eq!((cache.idle.len(), cache.free.len()), (1, 9));
    assert_eq!(read(&mut cache, 0, &tokens).0, 12);
}

#[test]
fn one_that_will_compute_the_next_block_is_ahead() {
    let mut cache = BlockCache::new(20);
    let (tokens, other) = (story(1, 3 * LEN + 1), story(2, 3 * LEN + 1));
    let mut first = lease(0);
    cache.grow(&mut first, 3).expect("there is room");
    let behind = lease(0);
    assert!(first.is_ahead(&tokens, &behind, &tokens));
    assert!(!first.is_ahead(&other, &behind, &tokens), "other tokens");
    assert!(!first.is_ahead(&tokens[..LEN - 1], &behind, &tokens), "not yet known");
    assert!(!first.is_ahead(&tokens, &lease(1), &tokens), "another tenant");
    cache.settle(&mut first, &tokens, 2 * LEN);
    let mut later = lease(0);
    cache.adopt(&mut later, &tokens, 0);
    assert!(first.is_ahead(&tokens, &later, &tokens), "the third block");
    assert!(!behind.is_ahead(&tokens, &later, &tokens), "it is not that far");
    cache.release(first, &tokens, 2 * LEN);
    cache.release(later, &tokens, 2 * LEN);
}

#[test]
fn a_forgotten_conversation_is_gone_but_for_what_others_need() {
    let mut cache = BlockCache::new(20);
    let first = story(1, 4 * LEN + 5);
    let second = [&first[..2 * LEN], &story(2, LEN + 3)].concat();
    read(&mut cache, 0, &first);
    read(&mut cache, 0, &second);
    cache.forget(Tenant(1), 0, &first);
    assert_eq!(cache.nodes.len(), 5 + 2, "another's conversation of the same words");
    let mut leased = lease(0);
    cache.adopt(&mut leased, &first[..3 * LEN + 1], 0);
    cache.forget(Tenant(0), 0, &first);
    cache.check(&[&leased]);
    assert_eq!(cache.nodes.len(), 3 + 2, "what somebody leases stays");
    cache.release(leased, &first, 3 * LEN);
    cache.forget(Tenant(0), 0, &first);
    assert_eq!(cache.nodes.len(), 2 + 2, "and what another conversation begins with");
    cache.forget(Tenant(0), 0, &second);
    assert_eq!(cache.nodes.len(), 0);
    cache.check(&[]);
}

#[test]
fn what_a_draft_model_knows_goes_with_the_blocks() {
    let mut cache = BlockCache::new(20);
    let tokens = story(1, 3 * LEN + 5);
    let mut first = lease(0);
    cache.grow(&mut first, 4).expect("there is room");
    cache.know_to_model(&mut first, 2 * LEN + 1);
    cache.settle(&mut first, &tokens, tokens.len());
    cache.release(first, &tokens, tokens.len());
    let longer = [&tokens[..], &story(2, LEN)].concat();
    let mut second = lease(0);
    assert_eq!(cache.adopt(&mut second, &longer, 0), tokens.len());
    assert_eq!(second.known_to_model(), 2 * LEN, "whole blocks of what it knew");
    cache.know_to_model(&mut second, tokens.len());
    cache.release(second, &longer, tokens.len());
    let mut third = lease(0);
    cache.adopt(&mut third, &longer, 0);
    assert_eq!(third.known_to_model(), tokens.len(), "the half-filled block too");
    third.forget_of_model(LEN);
    assert_eq!(third.known_to_model(), LEN);
    cache.release(third, &longer, tokens.len());
}
