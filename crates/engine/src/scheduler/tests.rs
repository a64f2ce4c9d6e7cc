use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::sampler::random::uniform;

/// The seeds of a simulation: as many as usual, or those that `BANTER_SEEDS` names, as `1000..2000`.
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
    SchedulerLimits { total_blocks, max_sequences: 4, step_tokens: 64 }
}

/// A sequence with a prompt of its own.
fn new_sequence(id: u64, prompt_tokens: usize, max_tokens: usize) -> NewSequence {
    let first = 10_000 * (id as u32 + 1);
    NewSequence {
        id: SequenceId(id),
        prompt: (0..prompt_tokens as u32).map(|index| TokenId(first + index)).collect(),
        max_tokens,
        tenant: Tenant(0),
        shared_tokens: 0,
    }
}

fn check_invariants(scheduler: &Scheduler) {
    let leases: Vec<&Lease> = scheduler.running.iter().map(|running| &running.lease).collect();
    scheduler.cache.check(&leases);
    for running in &scheduler.running {
        let blocks = running.lease.blocks();
        assert!(blocks.len() >= blocks_for(running.computed), "computed tokens have no block");
        assert!(running.computed < running.sequence.tokens.len(), "nothing is left to compute");
        assert!(running.sequence.tokens.len() <= running.sequence.longest);
    }
    let order: Vec<SequenceId> = scheduler.running().chain(scheduler.waiting()).collect();
    assert!(order.is_sorted_by(|a, b| a < b), "out of order of arrival: {order:?}");
    assert!(scheduler.running().len() <= scheduler.limits.max_sequences);
}

fn check_plan(scheduler: &Scheduler, plan: &[PlannedSpan], prompt_rows: usize) {
    let rows: usize = plan.iter().map(|span| span.rows).sum();
    assert!(rows <= scheduler.limits.step_tokens);
    let long_rows: usize = plan.iter().filter(|span| span.rows > 1).map(|span| span.rows).sum();
    assert!(long_rows <= prompt_rows.max(MIN_PROMPT_ROWS));
    let moves = |index: &usize| !scheduler.waits_for_older(*index);
    let moving = (0..scheduler.running.len()).filter(moves);
    let moving = moving.map(|index| scheduler.running[index].sequence.id);
    assert!(plan.iter().map(|span| span.id).eq(moving), "somebody who runs stands still");
    assert!(plan.iter().all(|span| span.rows > 0), "somebody who runs stands still");
    for span in plan {
        let input = scheduler.input(span);
        assert_eq!(input.tokens.len(), span.rows);
        assert!(input.blocks.len() >= blocks_for(span.first_position + span.rows));
    }
}

/// One request as the simulation sees it.
struct Request {
    answer_tokens: usize,
    answered: usize,
}

/// Random arrivals, answers, stops between and within steps, and pressure on the cache.
struct Simulation {
    seed: u64,
    dice: Dice,
    scheduler: Scheduler,
    open: BTreeMap<SequenceId, Request>,
    arrived: u64,
    ended: u64,
    preempted: usize,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut dice = Dice::new(seed);
        let scheduler = Scheduler::new(SchedulerLimits {
            total_blocks: dice.between(8, 60),
            max_sequences: dice.between(1, 8),
            step_tokens: dice.between(8 + MIN_PROMPT_ROWS, 100),
        });
        let open = BTreeMap::new();
        Simulation { seed, dice, scheduler, open, arrived: 0, ended: 0, preempted: 0 }
    }

    fn arrive(&mut self) {
        let longest_prompt = if self.dice.one_in(3) { 300 } else { 40 };
        let prompt_tokens = self.dice.between(1, longest_prompt);
        let max_tokens = self.dice.between(1, 300);
        let mut new = new_sequence(self.arrived, prompt_tokens, max_tokens);
        if !self.dice.one_in(3) {
            self.retell(&mut new.prompt);
            new.tenant = Tenant(self.dice.below(2) as u64);
            new.shared_tokens = if self.dice.one_in(2) { 40 } else { 0 };
        }
        let id = new.id;
        self.arrived += 1;
        let needed = blocks_for(prompt_tokens + max_tokens);
        match self.scheduler.submit(new) {
            Ok(()) => {
                let answer_tokens = self.dice.between(1, max_tokens);
                self.open.insert(id, Request { answer_tokens, answered: 0 });
            }
            Err(refused) => {
                assert_eq!(refused.needed_blocks, needed);
                assert!(needed > self.scheduler.limits.total_blocks, "refused without need");
                self.ended += 1;
            }
        }
    }

    /// Makes a prompt begin as others do: with a story that all tell, with an answer after it that
    /// others have been given.
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

    fn step(&mut self) {
        let mut admitted = Vec::new();
        self.scheduler.admit(&mut admitted);
        let running_before = self.scheduler.running().len();
        let prompt_rows = self.dice.between(0, 120);
        let mut plan = Vec::new();
        self.scheduler.plan(prompt_rows, &mut plan);
        self.preempted += running_before - self.scheduler.running().len();
        assert_eq!(plan.is_empty(), self.open.is_empty(), "work stands still");
        if !plan.is_empty() {
            check_plan(&self.scheduler, &plan, prompt_rows);
        }
        for span in &plan {
            self.complete(span);
        }
        check_invariants(&self.scheduler);
    }

    fn complete(&mut self, span: &PlannedSpan) {
        if self.dice.one_in(300) {
            // Stopped between two layers: the step is not settled for this one.
            self.finish(span.id);
            return;
        }
        let request = self.open.get_mut(&span.id).expect("only open requests are planned");
        request.answered += usize::from(span.samples);
        let is_last = request.answered == request.answer_tokens;
        self.scheduler.settle(span, span.samples.then_some(TokenId(9)));
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
        let enough_steps = self.open.len() * 600;
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
    let (mut arrived, mut preempted) = (0, 0);
    for seed in seeds(200) {
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
    }
    let count = seeds(200).count() as u64;
    assert!(arrived > 25 * count, "{arrived} arrivals");
    assert!(preempted as u64 > 2 * count, "{preempted} sequences gave up their blocks");
}

fn step(scheduler: &mut Scheduler, prompt_rows: usize) -> Vec<PlannedSpan> {
    let mut plan = Vec::new();
    scheduler.admit(&mut Vec::new());
    scheduler.plan(prompt_rows, &mut plan);
    for span in &plan {
        scheduler.settle(span, span.samples.then_some(TokenId(9)));
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
    assert!(plan[1].samples && !plan[0].samples);
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
