use std::collections::BTreeMap;
use std::ops::Range;

use super::admission::EMBEDDINGS_AT_ONCE;
use super::*;
use crate::kv_cache::BLOCK_TOKENS;
use crate::kv_cache::block_name::{BlockName, BlockNamer};
use crate::origin::{ConversationId, Tenant};
use crate::sampler::random::uniform;

/// The seeds of a simulation: as many as usual, or those that `BANTER_SEEDS` names, as
/// `1000..2000`.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let Ok(named) = std::env::var("BANTER_SEEDS") else { return 0..usual };
    let (start, end) = named.split_once("..").expect("BANTER_SEEDS is a range, as 1000..2000");
    let seed = |text: &str| text.parse().expect("BANTER_SEEDS is a range of numbers");
    seed(start)..seed(end)
}

/// Numbers from a fixed seed.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice { seed, thrown: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        self.thrown += 1;
        (uniform(self.seed, self.thrown) * end as f64) as usize
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

fn limits(total_blocks: usize) -> SchedulerLimits {
    SchedulerLimits { total_blocks, max_sequences: 4, step_tokens: 64, guessed_rows: 8 }
}

/// A sequence with a prompt of its own.
fn new_sequence(id: u64, prompt_tokens: usize, max_tokens: usize) -> NewSequence {
    let first = 10_000 * (id as u32 + 1);
    NewSequence {
        id: SequenceId(id),
        prompt: (0..prompt_tokens as u32).map(|index| TokenId(first + index)).collect(),
        purpose: Purpose::Answer,
        max_tokens,
        origin: Tenant(0).into(),
        shared_tokens: 0,
    }
}

pub(crate) fn check_invariants(scheduler: &Scheduler) {
    let running = scheduler.running.iter().map(|running| &running.lease);
    let fetched = scheduler.waiting.iter().filter_map(|sequence| sequence.fetched.as_ref());
    let leases: Vec<&Lease> = running.chain(fetched).collect();
    scheduler.cache.check(&leases);
    for running in &scheduler.running {
        let blocks = running.lease.blocks();
        assert!(blocks.len() >= blocks_for(running.computed), "computed tokens have no block");
        assert!(running.missing() > 0, "nothing is left to compute");
        assert!(running.sequence.tokens.len() <= running.sequence.longest);
    }
    let waiting: Vec<SequenceId> = scheduler.waiting().collect();
    let count = |purpose| scheduler.waiting_count(purpose);
    assert_eq!(waiting.len(), count(Purpose::Answer) + count(Purpose::Embedding));
    assert!(scheduler.waiting.is_sorted_by(|a, b| a.id < b.id), "out of order of arrival");
    let mut of_tenants: BTreeMap<(bool, u64), SequenceId> = BTreeMap::new();
    for id in waiting.into_iter().skip(scheduler.preempted.len()) {
        let sequence = scheduler.waiting.iter().find(|sequence| sequence.id == id);
        let sequence = sequence.expect("it waits");
        let key = (sequence.purpose == Purpose::Answer, sequence.origin.tenant.0);
        assert!(of_tenants.insert(key, id).is_none_or(|before| before < id), "{id:?} overtook");
    }
    assert!(scheduler.running_count(Purpose::Answer) <= scheduler.limits.max_sequences);
    assert!(scheduler.running_count(Purpose::Embedding) <= EMBEDDINGS_AT_ONCE);
}

fn check_plan(scheduler: &Scheduler, plan: &[PlannedSpan], budget: PrefillBudget) {
    let rows: usize = plan.iter().map(|span| span.rows).sum();
    assert!(rows <= scheduler.limits.step_tokens);
    let prompts: Vec<&PlannedSpan> = plan.iter().filter(|span| !span.is_decode()).collect();
    let long_rows: usize = prompts.iter().map(|span| span.rows).sum();
    let ends =
        |span: &&PlannedSpan| span.first_position + span.rows == scheduler.tokens(span.id).len();
    let all_end = prompts.iter().all(ends);
    let most = if all_end { budget.rows_to_finish } else { budget.rows };
    assert!(long_rows <= most.max(MIN_PROMPT_ROWS).max(prompts.len()));
    let moves = |index: &usize| !scheduler.waits_for_older(*index);
    let moving = (0..scheduler.running.len()).filter(moves);
    let moving = moving.map(|index| scheduler.running[index].sequence.id);
    assert!(plan.iter().map(|span| span.id).eq(moving), "somebody who runs stands still");
    assert!(plan.iter().all(|span| span.rows > 0), "somebody who runs stands still");
    let guesses = plan.iter().filter(|span| span.is_decode()).map(|span| span.rows - 1);
    assert!(guesses.sum::<usize>() <= scheduler.limits.guessed_rows);
    for span in plan {
        let input = scheduler.input(span);
        assert_eq!(input.tokens.len(), span.rows);
        assert!(input.blocks.len() >= blocks_for(span.first_position + span.rows));
    }
}

/// The token of every answer, or another one.
fn answer_token(is_right: bool) -> TokenId {
    TokenId(if is_right { 9 } else { 8 })
}

/// One request as the simulation sees it.
struct Request {
    /// 0 for an embedding.
    answer_tokens: usize,
    answered: usize,
    /// Rows of an embedding that were computed, without a gap, since its last beginning.
    embedded: usize,
}

/// A disk that is as slow and as faulty as the dice say.
#[derive(Default)]
struct FakeDisk {
    blocks: BTreeMap<BlockName, [TokenId; BLOCK_TOKENS]>,
    /// Sequences that wait for blocks, and which.
    fetches: Vec<(SequenceId, Vec<BlockName>)>,
}

/// Random arrivals, answers, guesses, drafts, stops between and within steps, pressure on the
/// cache, and a disk with faults.
struct Simulation {
    seed: u64,
    dice: Dice,
    scheduler: Scheduler,
    open: BTreeMap<SequenceId, Request>,
    arrived: u64,
    ended: u64,
    preempted: usize,
    guesses_accepted: usize,
    disk: FakeDisk,
    namer: BlockNamer,
    fetched: usize,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut dice = Dice::new(seed);
        let mut scheduler = Scheduler::new(SchedulerLimits {
            total_blocks: dice.between(8, 60),
            max_sequences: dice.between(1, 8),
            step_tokens: dice.between(8 + ROWS_FOR_PROMPTS, 100),
            guessed_rows: dice.between(0, 20),
        });
        scheduler.cache().connect_disk();
        let open = BTreeMap::new();
        Simulation {
            seed,
            dice,
            scheduler,
            open,
            arrived: 0,
            ended: 0,
            preempted: 0,
            guesses_accepted: 0,
            disk: FakeDisk::default(),
            namer: BlockNamer::new([7; 32]),
            fetched: 0,
        }
    }

    fn arrive(&mut self) {
        let longest_prompt = if self.dice.one_in(3) { 300 } else { 40 };
        let prompt_tokens = self.dice.between(1, longest_prompt);
        let is_answer = !self.dice.one_in(4);
        let max_tokens = if is_answer { self.dice.between(1, 300) } else { 0 };
        let mut new = new_sequence(self.arrived, prompt_tokens, max_tokens);
        if !is_answer {
            new.purpose = Purpose::Embedding;
        }
        if !self.dice.one_in(3) {
            self.retell(&mut new.prompt);
            new.origin.tenant = Tenant(self.dice.below(2) as u64);
            new.origin.conversation = Some(ConversationId(self.dice.below(3) as u64));
            new.shared_tokens = if self.dice.one_in(2) { 40 } else { 0 };
        }
        let id = new.id;
        self.arrived += 1;
        let needed = blocks_for(prompt_tokens + max_tokens);
        match self.scheduler.submit(new) {
            Ok(()) => {
                let answer_tokens = if is_answer { self.dice.between(1, max_tokens) } else { 0 };
                self.open.insert(id, Request { answer_tokens, answered: 0, embedded: 0 });
                if is_answer {
                    self.fetch(id);
                }
            }
            Err(refused) => {
                assert_eq!(refused.needed_blocks, needed);
                assert!(needed > self.scheduler.limits.total_blocks, "refused without need");
                self.ended += 1;
            }
        }
    }

    /// Makes a prompt begin as others do: with a common story, and an answer to it that others were
    /// given.
    fn retell(&mut self, prompt: &mut [TokenId]) {
        let told = self.dice.between(1, 120);
        for (index, token) in prompt.iter_mut().enumerate() {
            match index {
                0..20 => *token = TokenId(index as u32),
                _ if index < told => *token = TokenId(9),
                _ => return,
            }
        }
    }

    fn finish(&mut self, id: SequenceId) {
        let before = self.scheduler.free_blocks();
        let ended = self.scheduler.finish(id);
        assert_eq!(self.scheduler.free_blocks(), before + ended.blocks_freed);
        self.open.remove(&id).expect("each request ends once");
        self.ended += 1;
    }

    fn stop_somebody(&mut self) {
        let index = self.dice.below(self.open.len().max(1));
        if let Some(&id) = self.open.keys().nth(index) {
            self.finish(id);
        }
    }

    /// Asks the disk for the blocks that it has of a sequence.
    fn fetch(&mut self, id: SequenceId) {
        let mut names = self.scheduler.begin_fetch(id, &self.namer);
        let there = names.iter().take_while(|name| self.disk.blocks.contains_key(*name)).count();
        names.truncate(there);
        if names.is_empty() {
            self.scheduler.end_fetch(id);
        } else {
            names.reverse();
            self.disk.fetches.push((id, names));
        }
    }

    /// Lets the disk load some of the blocks that are awaited, or fail, and save some that were
    /// released.
    fn use_disk(&mut self) {
        let mut fetches = std::mem::take(&mut self.disk.fetches);
        fetches.retain_mut(|(id, names)| {
            for _ in 0..self.dice.between(0, 3) {
                let name = names.pop().filter(|_| !self.dice.one_in(20));
                let Some(mut tokens) = name.and_then(|name| self.disk.blocks.get(&name).copied())
                else {
                    self.scheduler.end_fetch(*id);
                    return false;
                };
                if self.dice.one_in(30) {
                    tokens[3] = TokenId(77);
                }
                match self.scheduler.fetched_block(*id, &tokens) {
                    Some(_) => {
                        self.scheduler.settle_fetched(*id);
                        self.fetched += 1;
                    }
                    None => {
                        self.scheduler.end_fetch(*id);
                    }
                }
            }
            true
        });
        self.disk.fetches = fetches;
        for _ in 0..self.dice.between(0, 4) {
            if let Some(block) = self.scheduler.cache().next_released(&self.namer) {
                self.disk.blocks.insert(block.name, block.tokens);
            }
        }
        if self.dice.one_in(20) {
            let tenant = Tenant(self.dice.below(2) as u64);
            let conversation = Some(ConversationId(self.dice.below(3) as u64));
            self.scheduler.cache().forget(&Origin { tenant, conversation });
        }
        if self.dice.one_in(10) {
            let lost = self.dice.below(self.disk.blocks.len().max(1));
            let lost = self.disk.blocks.keys().nth(lost).copied();
            lost.and_then(|name| self.disk.blocks.remove(&name));
        }
    }

    fn prompt_rows(&mut self) -> PrefillBudget {
        let most = self.dice.between(0, 120);
        PrefillBudget { rows: most, rows_to_finish: self.dice.between(most, 150) }
    }

    /// Computes some of a draft, which others may begin with.
    fn draft(&mut self) {
        let mut new = new_sequence(self.arrived, self.dice.between(1, 100), 1);
        self.retell(&mut new.prompt);
        self.arrived += 1;
        self.ended += 1;
        let (id, mut plan) = (new.id, Vec::new());
        let rows = self.prompt_rows();
        if self.scheduler.plan_draft(new, rows, &mut plan).is_none() {
            assert_eq!(self.scheduler.free_blocks(), self.scheduler.limits.total_blocks);
            return;
        }
        if !self.dice.one_in(3) {
            self.scheduler.settle(&plan[0], &[]);
        }
        self.scheduler.finish(id);
        check_invariants(&self.scheduler);
    }

    fn step(&mut self) {
        if self.open.is_empty() && self.dice.one_in(2) {
            self.draft();
        }
        self.use_disk();
        let mut admitted = Vec::new();
        self.scheduler.admit(&mut admitted);
        let running_before = self.scheduler.running().len();
        self.scheduler.make_room();
        self.guess();
        let prompt_rows = self.prompt_rows();
        let mut plan = Vec::new();
        self.scheduler.plan(prompt_rows, &mut plan);
        self.preempted += running_before - self.scheduler.running().len();
        let waits = self.scheduler.is_fetching();
        assert!(plan.is_empty() <= (self.open.is_empty() || waits), "work stands still");
        assert!(!plan.is_empty() || self.scheduler.running().len() == 0, "work stands still");
        if !plan.is_empty() {
            check_plan(&self.scheduler, &plan, prompt_rows);
        }
        for span in &plan {
            self.complete(span);
        }
        check_invariants(&self.scheduler);
    }

    fn guess(&mut self) {
        for id in self.scheduler.decoding().collect::<Vec<_>>() {
            if self.dice.one_in(2) {
                let free = self.scheduler.cache.available_blocks();
                let wrong = self.dice.below(12);
                let guesses: Vec<TokenId> = (0..self.dice.between(0, 15))
                    .map(|index| answer_token(index != wrong))
                    .collect();
                if self.dice.one_in(2) {
                    self.scheduler.room_for_guesses(id, guesses.len());
                    let input = self.scheduler.draft_model_input(id);
                    assert!(
                        input.computed < input.tokens.len()
                            && input.blocks.len() >= blocks_for(input.computed)
                    );
                    let known = self.dice.between(input.computed, input.tokens.len());
                    self.scheduler.set_draft_model_len(id, known);
                }
                let tried = self.scheduler.try_guesses(id, &guesses);
                assert!(tried <= guesses.len());
                assert!(self.scheduler.cache.available_blocks() <= free);
            }
        }
    }

    fn complete(&mut self, span: &PlannedSpan) {
        if self.dice.one_in(300) {
            // Stopped between two layers: the step is not settled for this one.
            self.finish(span.id);
            return;
        }
        let request = self.open.get_mut(&span.id).expect("only open requests are planned");
        if span.kind == SpanKind::Embed {
            assert!([0, request.embedded].contains(&span.first_position), "rows are left out");
            request.embedded = span.first_position + span.rows;
            let is_last = request.embedded == self.scheduler.tokens(span.id).len();
            self.scheduler.settle(span, &[]);
            if is_last {
                self.finish(span.id);
            }
            return;
        }
        let guesses = &self.scheduler.input(span).tokens[span.rows - span.sampled().max(1) + 1..];
        let held = guesses.iter().take_while(|guess| **guess == answer_token(true)).count();
        let left = request.answer_tokens - request.answered;
        let chosen = (held + 1).min(left).min(span.sampled());
        request.answered += chosen;
        self.guesses_accepted += chosen.saturating_sub(1);
        let is_last = request.answered == request.answer_tokens;
        self.scheduler.settle(span, &vec![answer_token(true); chosen]);
        if is_last {
            self.finish(span.id);
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.dice.one_in(4) {
                (0..self.dice.between(1, 3)).for_each(|_| self.arrive());
            }
            if self.dice.one_in(10) {
                self.stop_somebody();
            }
            self.step();
        }
        // The oldest gets at least one row in each step and at most 600 tokens, so the work ends.
        let enough_steps = self.open.len() * 700;
        for _ in 0..enough_steps {
            if self.open.is_empty() {
                break;
            }
            self.step();
        }
    }
}

#[test]
fn thousands_of_random_arrivals_and_stops_keep_the_books_right() {
    let (mut arrived, mut preempted, mut guesses_accepted, mut fetched) = (0, 0, 0, 0);
    for seed in seeds(1_000) {
        let outcome = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            simulation.run(200);
            simulation
        });
        let simulation = outcome.unwrap_or_else(|_| panic!("seed {seed} broke an invariant"));
        assert_eq!(simulation.seed, seed);
        assert!(simulation.open.is_empty(), "seed {seed}: somebody starves");
        assert_eq!(simulation.arrived, simulation.ended, "seed {seed}");
        let scheduler = &simulation.scheduler;
        assert_eq!(scheduler.free_blocks(), scheduler.limits.total_blocks, "seed {seed}");
        arrived += simulation.arrived;
        preempted += simulation.preempted;
        guesses_accepted += simulation.guesses_accepted;
        fetched += simulation.fetched;
    }
    let count = seeds(1_000).count() as u64;
    assert!(arrived > 25 * count, "{arrived} arrivals");
    assert!(preempted as u64 > 2 * count, "{preempted} sequences gave up their blocks");
    assert!(guesses_accepted as u64 > 100 * count, "{guesses_accepted} guesses held");
    assert!(fetched as u64 > 2 * count, "{fetched} blocks came from disk");
}

fn up_to(rows: usize) -> PrefillBudget {
    PrefillBudget { rows, rows_to_finish: rows }
}

fn step(scheduler: &mut Scheduler, prompt_rows: usize) -> Vec<PlannedSpan> {
    let mut plan = Vec::new();
    scheduler.admit(&mut Vec::new());
    scheduler.make_room();
    scheduler.plan(up_to(prompt_rows), &mut plan);
    for span in &plan {
        scheduler.settle(span, &vec![answer_token(true); span.sampled()]);
    }
    plan
}

fn rows(plan: &[PlannedSpan]) -> Vec<(u64, usize)> {
    plan.iter().map(|span| (span.id.0, span.rows)).collect()
}

fn finish_all(scheduler: &mut Scheduler) {
    let all: Vec<SequenceId> = scheduler.running().chain(scheduler.waiting()).collect();
    all.into_iter().for_each(|id| drop(scheduler.finish(id)));
}

#[test]
fn what_can_never_fit_is_refused_with_the_numbers() {
    let mut scheduler = Scheduler::new(limits(10));
    let refused = scheduler.submit(new_sequence(0, 100, 61));
    assert_eq!(refused, Err(CannotFit { needed_blocks: 11, total_blocks: 10 }));
    scheduler.submit(new_sequence(1, 100, 60)).expect("it needs exactly ten blocks");
    let refused = limits(10).check_fits(usize::MAX, usize::MAX);
    assert!(refused.is_err(), "lengths that overflow do not fit");
}

#[test]
fn admission_reserves_the_prompt_and_64_tokens_in_order_of_arrival() {
    let mut scheduler = Scheduler::new(limits(20));
    for (id, prompt_tokens) in [(0, 160), (1, 97), (2, 1)] {
        scheduler.submit(new_sequence(id, prompt_tokens, 100)).expect("each fits alone");
    }
    let mut admitted = Vec::new();
    scheduler.admit(&mut admitted);
    assert_eq!(admitted, [SequenceId(0)], "14 of 20 blocks are taken, the second needs 11");
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [SequenceId(1), SequenceId(2)]);
    assert_eq!(scheduler.finish(SequenceId(0)).blocks_freed, 14);
    scheduler.admit(&mut admitted);
    assert_eq!(admitted[1..], [SequenceId(1), SequenceId(2)]);
    finish_all(&mut scheduler);
}

#[test]
fn answers_go_on_beside_a_long_prompt_that_advances_in_pieces() {
    let mut scheduler = Scheduler::new(limits(100));
    scheduler.submit(new_sequence(0, 1, 50)).expect("it fits");
    assert_eq!(rows(&step(&mut scheduler, 32)), [(0, 1)]);
    scheduler.submit(new_sequence(1, 100, 5)).expect("it fits");
    for expected in [32, 32, 32, 4, 1] {
        assert_eq!(rows(&step(&mut scheduler, 32)), [(0, 1), (1, expected)]);
    }
    finish_all(&mut scheduler);
}

#[test]
fn a_short_prompt_does_not_wait_for_a_long_one() {
    let mut scheduler = Scheduler::new(limits(100));
    scheduler.submit(new_sequence(0, 500, 5)).expect("it fits");
    scheduler.submit(new_sequence(1, 20, 5)).expect("it fits");
    let plan = step(&mut scheduler, 60);
    assert_eq!(rows(&plan), [(0, 40), (1, 20)], "what the short one leaves goes to the long one");
    assert_eq!((plan[0].sampled(), plan[1].sampled()), (0, 1));
    finish_all(&mut scheduler);
}

#[test]
fn the_youngest_gives_up_its_blocks_and_finds_again_what_is_left_of_them() {
    let mut scheduler = Scheduler::new(limits(11));
    scheduler.submit(new_sequence(0, 16, 100)).expect("it fits");
    scheduler.submit(new_sequence(1, 16, 80)).expect("it fits");
    let both_run = |plan: &[PlannedSpan]| plan.len() == 2;
    let mut steps = 0;
    while both_run(&step(&mut scheduler, 64)) {
        steps += 1;
    }
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [SequenceId(1)]);
    scheduler.finish(SequenceId(0));
    let again = step(&mut scheduler, 64);
    let PlannedSpan { first_position, rows, .. } = again[0];
    assert_eq!(first_position + rows, 16 + steps, "its answer goes on where it was");
    assert!(rows < 32, "{rows} rows: nobody had needed its first blocks meanwhile");
    assert_eq!(scheduler.finish(SequenceId(1)).tokens.len(), 16 + steps + 1);
}

#[test]
#[should_panic(expected = "is not running")]
fn ending_a_sequence_twice_is_a_bug() {
    let mut scheduler = Scheduler::new(limits(10));
    scheduler.submit(new_sequence(0, 1, 1)).expect("it fits");
    scheduler.finish(SequenceId(0));
    scheduler.finish(SequenceId(0));
}

/// A sequence whose prompt is computed, with one token of its answer.
#[test]
fn prompts_are_not_cut_where_little_would_be_left() {
    let mut scheduler = Scheduler::new(limits(20));
    scheduler.submit(new_sequence(0, 75, 10)).expect("it fits");
    let mut plan = Vec::new();
    scheduler.admit(&mut Vec::new());
    scheduler.plan(PrefillBudget { rows: 30, rows_to_finish: 45 }, &mut plan);
    assert_eq!(plan[0].rows, 30);
    scheduler.settle(&plan[0], &[]);
    scheduler.plan(PrefillBudget { rows: 30, rows_to_finish: 45 }, &mut plan);
    assert_eq!((plan[0].rows, plan[0].sampled()), (45, 1));
    scheduler.settle(&plan[0], &[answer_token(true)]);
    finish_all(&mut scheduler);
}

fn answering(limits: SchedulerLimits, max_tokens: usize) -> Scheduler {
    let mut scheduler = Scheduler::new(limits);
    scheduler.submit(new_sequence(0, 15, max_tokens)).expect("it fits");
    step(&mut scheduler, 64);
    scheduler.make_room();
    scheduler
}

fn guess(scheduler: &mut Scheduler, count: usize) -> PlannedSpan {
    scheduler.try_guesses(SequenceId(0), &vec![answer_token(true); count]);
    let mut plan = Vec::new();
    scheduler.plan(up_to(64), &mut plan);
    plan[0]
}

#[test]
fn guesses_that_hold_are_tokens_and_one_more_comes_behind_them() {
    let mut scheduler = answering(limits(20), 50);
    let span = guess(&mut scheduler, 3);
    assert_eq!((span.first_position, span.rows, span.sampled()), (15, 4, 4));
    assert_eq!(scheduler.input(&span).tokens, [answer_token(true); 4]);
    let chosen = [answer_token(true), answer_token(true), answer_token(false)];
    scheduler.settle(&span, &chosen);
    assert_eq!(scheduler.tokens(SequenceId(0))[16..], chosen);
    let next = step(&mut scheduler, 64);
    assert_eq!(
        (next[0].first_position, next[0].rows),
        (18, 1),
        "behind what was computed and held"
    );
    finish_all(&mut scheduler);
}

#[test]
fn guesses_stay_within_every_limit() {
    let rows = |limits, max_tokens| {
        let mut scheduler = answering(limits, max_tokens);
        let rows = guess(&mut scheduler, 15).rows;
        finish_all(&mut scheduler);
        rows
    };
    assert_eq!(rows(limits(20), 50), 1 + 8, "eight rows of guesses a step");
    assert_eq!(rows(limits(20), 4), 1 + 2, "a third token more is chosen behind two guesses");
    assert_eq!(rows(limits(20), 1 + 1), 1, "only one token may be added");
    let roomy = SchedulerLimits { guessed_rows: 40, ..limits(20) };
    assert_eq!(rows(roomy, 50), 1 + 15);
    let narrow = SchedulerLimits { step_tokens: 20, max_sequences: 1, ..roomy };
    assert_eq!(rows(narrow, 50), 1 + 3, "16 rows are kept for prompts");
}

#[test]
fn guesses_take_no_block_that_another_has() {
    let mut scheduler = Scheduler::new(SchedulerLimits { guessed_rows: 40, ..limits(2) });
    scheduler.submit(new_sequence(0, 10, 6)).expect("it fits");
    scheduler.submit(new_sequence(1, 10, 6)).expect("it fits");
    step(&mut scheduler, 64);
    scheduler.make_room();
    assert_eq!(scheduler.try_guesses(SequenceId(0), &[answer_token(true); 15]), 4);
    finish_all(&mut scheduler);
}

#[test]
#[should_panic(expected = "a token was accepted that was no guess")]
fn a_token_that_was_not_guessed_ends_what_may_be_settled() {
    let mut scheduler = answering(limits(20), 50);
    let span = guess(&mut scheduler, 3);
    scheduler.settle(&span, &[answer_token(false), answer_token(true)]);
}

#[test]
fn turns_go_round_between_tenants() {
    let mut scheduler = Scheduler::new(SchedulerLimits { max_sequences: 2, ..limits(20) });
    for (id, tenant) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (6, 2)] {
        let new = NewSequence { origin: Tenant(tenant).into(), ..new_sequence(id, 5, 5) };
        scheduler.submit(new).expect("it fits");
    }
    let waiting = |scheduler: &Scheduler| scheduler.waiting().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(waiting(&scheduler), [0, 4, 5, 1, 6, 2, 3]);
    step(&mut scheduler, 64);
    assert_eq!(
        waiting(&scheduler),
        [5, 1, 6, 2, 3],
        "admitting some changes nothing for the others"
    );
    scheduler.finish(SequenceId(4));
    assert_eq!(waiting(&scheduler), [5, 6, 1, 2, 3], "the second tenant has none that runs");
    finish_all(&mut scheduler);
}

#[test]
fn blocks_that_wait_for_the_rest_from_disk_go_before_a_running_sequence_does() {
    let mut scheduler = Scheduler::new(limits(6));
    let namer = BlockNamer::new([0; 32]);
    scheduler.submit(new_sequence(0, 15, 80)).expect("it fits");
    step(&mut scheduler, 64);
    let waiting = new_sequence(1, 70, 10);
    let tokens = waiting.prompt.clone();
    scheduler.submit(waiting).expect("it fits");
    assert_eq!(scheduler.begin_fetch(SequenceId(1), &namer).len(), 4);
    let fetched = scheduler.fetched_block(SequenceId(1), &tokens[..16]);
    assert!(fetched.is_some());
    scheduler.settle_fetched(SequenceId(1));
    while scheduler.tokens(SequenceId(0)).len() < 15 + 80 {
        step(&mut scheduler, 64);
    }
    assert!(!scheduler.is_fetching());
    assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [SequenceId(1)]);
    finish_all(&mut scheduler);
    assert_eq!(scheduler.free_blocks(), 6);
}

#[test]
fn a_long_conversation_that_waits_for_room_costs_a_step_no_more_than_a_short_one() {
    const LONG_BLOCKS: usize = 1_000;
    let mut scheduler = Scheduler::new(limits(LONG_BLOCKS + 300));
    scheduler.cache().connect_disk();
    scheduler.submit(new_sequence(0, 8_000, 1_000)).expect("it fits");
    step(&mut scheduler, 64);
    let long = new_sequence(1, 16 * LONG_BLOCKS, 1);
    let (tokens, id) = (long.prompt.clone(), SequenceId(2));
    scheduler.finish(SequenceId(0));
    scheduler.submit(long).expect("it fits alone");
    while scheduler.running().next() != Some(SequenceId(1)) || scheduler.decoding().next().is_none()
    {
        step(&mut scheduler, 64);
    }
    scheduler.finish(SequenceId(1));
    scheduler.submit(new_sequence(2, 5_000, 1_000)).expect("it fits");
    step(&mut scheduler, 64);
    let again = NewSequence { id: SequenceId(3), prompt: tokens, ..new_sequence(3, 1, 100) };
    scheduler.submit(again).expect("it fits alone");
    let namer = BlockNamer::new([7; 32]);
    while scheduler.cache().next_released(&namer).is_some() {}
    for round in 0..50 {
        let before = scheduler.cache().lookups();
        step(&mut scheduler, 64);
        let lookups = scheduler.cache().lookups() - before;
        assert!(lookups <= 20, "step {round} looked for {lookups} blocks");
        assert!(!scheduler.cache().has_released(), "step {round} gave blocks back");
        assert_eq!(scheduler.waiting().collect::<Vec<_>>(), [SequenceId(3)]);
    }
    scheduler.finish(id);
    step(&mut scheduler, 64);
    assert!(scheduler.cached_tokens(SequenceId(3)) > 8_000, "it finds what is left of it");
    finish_all(&mut scheduler);
}

#[test]
fn who_waits_is_admitted_as_soon_as_what_it_needs_is_computed_by_another() {
    let mut scheduler = Scheduler::new(limits(20));
    scheduler.submit(new_sequence(0, 160, 60)).expect("it fits");
    step(&mut scheduler, 16);
    let same = NewSequence { id: SequenceId(1), ..new_sequence(0, 160, 60) };
    scheduler.submit(same).expect("it fits alone");
    let mut steps = 0;
    while scheduler.waiting_count(Purpose::Answer) > 0 {
        step(&mut scheduler, 16);
        steps += 1;
        assert!(steps < 12, "of 28 blocks the two share enough by then");
    }
    assert!(steps > 5, "{steps} steps: fewer blocks than it shares were enough");
    finish_all(&mut scheduler);
}
