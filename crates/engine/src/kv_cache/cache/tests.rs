use std::collections::HashSet;

use super::*;
use crate::origin::Tenant;
use crate::sampler::random::uniform;

const LEN: usize = BLOCK_TOKENS;

impl BlockCache {
    /// How often a whole block was looked for, in all.
    pub(crate) fn lookups(&self) -> usize {
        self.tree.lookups()
    }

    /// Asserts that every block is in exactly one place and every node where it can be found, if
    /// these are all leases there are.
    pub(crate) fn check(&self, leases: &[&Lease]) {
        let own = leases.iter().flat_map(|lease| &lease.blocks[lease.nodes.len()..]);
        let kept = self.tree.nodes.values().map(|node| &node.block);
        let mut blocks: Vec<&BlockId> = self.free.iter().chain(own).chain(kept).collect();
        blocks.sort();
        let all: Vec<BlockId> = (0..self.total_blocks as u32).map(BlockId).collect();
        assert!(blocks.into_iter().eq(&all), "a block is lost, or in two places");
        for lease in leases {
            let blocks = lease.nodes.iter().map(|id| self.tree.nodes[id].block);
            assert!(blocks.eq(lease.blocks[..lease.nodes.len()].iter().copied()));
        }
        self.tree.check(leases);
    }
}

/// Tokens of a story; stories of different numbers differ from the first token on.
fn story(number: u32, tokens: usize) -> Vec<TokenId> {
    (0..tokens as u32).map(|index| TokenId(number * 100_000 + index)).collect()
}

fn lease(tenant: u64) -> Lease {
    Lease::new(Tenant(tenant).into(), 0)
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
        let mut lease = Lease::new(Tenant(tenant).into(), shared);
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
    assert_eq!((cache.tree.idle.len(), cache.free.len()), (1, 9));
    let mut long = lease(0);
    cache.grow(&mut long, 1).expect("there is room");
    cache.release(long, &tokens, 12);
    assert_eq!((cache.tree.idle.len(), cache.free.len()), (1, 9));
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

fn within(tenant: u64, conversation: u64) -> Origin {
    Origin { tenant: Tenant(tenant), conversation: Some(ConversationId(conversation)) }
}

/// As [`read`], in a conversation of a number.
fn read_within(cache: &mut BlockCache, origin: Origin, tokens: &[TokenId]) -> usize {
    let mut lease = Lease::new(origin, 0);
    let adopted = cache.adopt(&mut lease, tokens, 0);
    cache.grow(&mut lease, tokens.len().div_ceil(LEN)).expect("there is room");
    cache.release(lease, tokens, tokens.len());
    cache.check(&[]);
    adopted
}

#[test]
fn a_forgotten_conversation_is_gone_whatever_its_histories_were() {
    let mut cache = BlockCache::new(40);
    let whole = story(1, 4 * LEN + 5);
    let mut edited = whole.clone();
    edited[LEN + 3] = TokenId(7);
    let without_its_beginning = &whole[2 * LEN + 1..];
    for tokens in [&whole, &edited, without_its_beginning] {
        read_within(&mut cache, within(1, 7), tokens);
    }
    cache.forget(&within(1, 8));
    cache.forget(&within(2, 7));
    assert_eq!(read_within(&mut cache, within(1, 7), &whole), whole.len() - 1, "others' are");
    cache.forget(&within(1, 7));
    cache.check(&[]);
    assert_eq!((cache.tree.nodes.len(), cache.free.len()), (0, 40));
}

#[test]
fn what_another_conversation_goes_on_from_stays_until_that_is_forgotten_too() {
    let mut cache = BlockCache::new(40);
    let first = story(1, 4 * LEN + 5);
    let second = [&first[..2 * LEN], &story(2, LEN + 3)].concat();
    for (kept, forgotten) in [(1, 2), (2, 1)] {
        let (first_origin, second_origin) = (within(0, 1), within(0, 2));
        read_within(&mut cache, first_origin, &first);
        read_within(&mut cache, second_origin, &second);
        cache.forget(&within(0, forgotten));
        cache.check(&[]);
        assert_eq!(
            cache.tree.nodes.len(),
            if kept == 1 { 5 } else { 4 },
            "{kept} has all it needs"
        );
        cache.forget(&within(0, kept));
        cache.check(&[]);
        assert_eq!(cache.tree.nodes.len(), 0, "{kept}");
    }
}

#[test]
fn what_is_leased_stays_and_belongs_to_whoever_used_it_last() {
    let mut cache = BlockCache::new(40);
    let tokens = story(1, 2 * LEN + 5);
    read_within(&mut cache, within(0, 1), &tokens);
    let mut leased = Lease::new(within(0, 2), 0);
    assert_eq!(cache.adopt(&mut leased, &tokens[..LEN + 2], 0), LEN);
    cache.forget(&within(0, 1));
    cache.check(&[&leased]);
    assert_eq!(cache.tree.nodes.len(), 1, "what somebody leases");
    cache.release(leased, &tokens[..LEN + 2], LEN);
    cache.forget(&within(0, 1));
    assert_eq!(cache.tree.nodes.len(), 1, "it is the other's now");
    cache.forget(&within(0, 2));
    assert_eq!(cache.tree.nodes.len(), 0);
}

#[test]
fn a_forgotten_tenant_keeps_nothing_but_what_the_operator_shares() {
    let mut cache = BlockCache::new(40);
    let tokens = story(1, 3 * LEN + 2);
    for origin in [within(1, 7), within(1, 8), Tenant(1).into(), within(2, 7)] {
        let mut lease = Lease::new(origin, LEN);
        cache.adopt(&mut lease, &tokens, 0);
        cache.grow(&mut lease, 4).expect("there is room");
        cache.release(lease, &tokens, tokens.len());
    }
    assert_eq!(cache.tree.nodes.len(), 1 + 2 * 3);
    cache.forget(&Tenant(1).into());
    cache.check(&[]);
    assert_eq!(cache.tree.nodes.len(), 1 + 3, "the operator's and the other tenant's");
}

/// Thousands of conversations that begin alike, run together and are forgotten, in random order.
#[test]
fn forgetting_in_any_order_loses_no_block_and_leaves_no_token() {
    let mut thrown = 0;
    let mut dice = |end: usize| {
        thrown += 1;
        (uniform(5, thrown) * end as f64) as usize
    };
    let mut cache = BlockCache::new(24);
    let mut running: Vec<(Lease, Vec<TokenId>, usize)> = Vec::new();
    for _ in 0..5_000 {
        match dice(8) {
            0..3 if running.len() < 3 => {
                let origin = within(0, dice(3) as u64);
                let shared = dice(3) * LEN;
                let own = story(2 + dice(3) as u32, dice(2 * LEN));
                let tokens = [&story(1, shared + 1), &own[..]].concat();
                let mut lease = Lease::new(origin, 0);
                let computed = cache.adopt(&mut lease, &tokens, 0);
                match cache.grow(&mut lease, tokens.len().div_ceil(LEN)) {
                    Ok(()) => running.push((lease, tokens, computed)),
                    Err(OutOfBlocks) => drop(cache.release(lease, &tokens, computed)),
                }
            }
            3..5 if !running.is_empty() => {
                let place = dice(running.len());
                let (lease, tokens, computed) = &mut running[place];
                *computed += dice(tokens.len() - *computed + 1);
                cache.settle(lease, tokens, *computed);
            }
            5..7 if !running.is_empty() => {
                let (lease, tokens, computed) = running.swap_remove(dice(running.len()));
                cache.release(lease, &tokens, computed);
            }
            _ => {
                let meant = within(0, dice(3) as u64);
                cache.forget(&meant);
                let is_running = running.iter().any(|(lease, ..)| lease.origin == meant);
                let left = cache.tree.nodes.values().filter(|node| node.owner() == Some(meant));
                assert!(
                    is_running || left.clone().all(|node| node.leases > 0 || node.children > 0)
                );
            }
        }
        let leases: Vec<&Lease> = running.iter().map(|(lease, ..)| lease).collect();
        cache.check(&leases);
    }
    for (lease, tokens, computed) in running {
        cache.release(lease, &tokens, computed);
    }
    (0..3).for_each(|conversation| cache.forget(&within(0, conversation)));
    assert_eq!((cache.tree.nodes.len(), cache.free.len()), (0, 24));
}

#[test]
fn what_a_draft_model_knows_goes_with_the_blocks() {
    let mut cache = BlockCache::new(20);
    let tokens = story(1, 3 * LEN + 5);
    let mut first = lease(0);
    cache.grow(&mut first, 4).expect("there is room");
    cache.set_draft_model_len(&mut first, 2 * LEN + 1);
    cache.settle(&mut first, &tokens, tokens.len());
    cache.release(first, &tokens, tokens.len());
    let longer = [&tokens[..], &story(2, LEN)].concat();
    let mut second = lease(0);
    assert_eq!(cache.adopt(&mut second, &longer, 0), tokens.len());
    assert_eq!(second.draft_model_len(), 2 * LEN, "whole blocks of what it knew");
    cache.set_draft_model_len(&mut second, tokens.len());
    cache.release(second, &longer, tokens.len());
    let mut third = lease(0);
    cache.adopt(&mut third, &longer, 0);
    assert_eq!(third.draft_model_len(), tokens.len(), "the half-filled block too");
    third.truncate_draft_model(LEN);
    assert_eq!(third.draft_model_len(), LEN);
    cache.release(third, &longer, tokens.len());
}

#[test]
fn what_others_lease_is_counted_without_leasing_anything() {
    let mut cache = BlockCache::new(60);
    let stories: Vec<Vec<TokenId>> = (0..4)
        .map(|end| {
            [story(1, 4 * LEN), story(2 + end % 2, 3 * LEN + 5), story(5 + end, 20)].concat()
        })
        .collect();
    let dice = |index: u64, end: usize| (uniform(11, index) * end as f64) as usize;
    let mut leases: Vec<(Lease, usize, usize)> = Vec::new();
    let mut path = LeasedPath::new(Tenant(0).into(), 0);
    let mut counts = HashSet::new();
    for round in 0..2_000 {
        let (which, tokens) = (dice(3 * round, 4), 1 + dice(3 * round + 1, 9 * LEN));
        let tokens = tokens.min(stories[which].len());
        if leases.len() < 5 && dice(3 * round + 2, 2) == 0 {
            let mut lease = lease(0);
            cache.adopt(&mut lease, &stories[which][..tokens], 0);
            cache.grow(&mut lease, tokens.div_ceil(LEN)).expect("there is room for five");
            cache.settle(&mut lease, &stories[which], tokens);
            leases.push((lease, which, tokens));
        } else if !leases.is_empty() {
            let (lease, which, tokens) = leases.swap_remove(dice(3 * round + 2, leases.len()));
            cache.release(lease, &stories[which], tokens);
        }
        let wanted = &stories[0];
        let (uses, counted) = (cache.tree.uses(), cache.leased_by_others(&mut path, wanted));
        let anew = cache.leased_by_others(&mut LeasedPath::new(Tenant(0).into(), 0), wanted);
        assert_eq!((counted, cache.tree.uses()), (anew, uses), "round {round}");
        let mut adopted = lease(0);
        cache.adopt(&mut adopted, wanted, 0);
        let shared = adopted.nodes.iter().filter(|node| cache.tree.nodes[node].leases > 1).count();
        assert_eq!(counted, shared, "round {round}");
        let computed = adopted.settled_tokens();
        cache.release(adopted, wanted, computed);
        counts.insert(counted);
    }
    assert!(counts.len() > 4, "hardly anything was shared: {counts:?}");
    for (lease, which, tokens) in leases {
        cache.release(lease, &stories[which], tokens);
    }
}
