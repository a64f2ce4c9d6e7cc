//! A panic in the engine's thread ends the answers it was for, and nothing else.

use super::embedded::expected;
use super::on_disk::{folder, roomy};
use super::*;
use crate::engine::embedding::{EmbedError, Pooling};
use crate::faults::{Fault, break_at, has_broken};
use crate::scheduler::tests::check_invariants;

const LIMITS: SchedulerLimits =
    SchedulerLimits { total_blocks: 24, max_sequences: 3, step_tokens: 40, guessed_rows: 12 };

/// Places that a few answers pass, each time for one sequence.
const OF_ONE: [Fault; 10] = [
    Fault::Submit,
    Fault::End,
    Fault::Admit,
    Fault::CatchUp,
    Fault::Guess,
    Fault::BeginMasks,
    Fault::EndMasks,
    Fault::Deliver,
    Fault::Settle,
    Fault::Lease,
];

/// Answers that repeat themselves, a structured one, two that begin alike; more than run at once.
fn asks() -> Vec<Ask> {
    let form = Some(Structure::Regex("([a-c]{2}[d-f]{3}){2,9}g".to_owned()));
    vec![
        in_circles(Ask::new(1, 20, 120).behind(40)),
        Ask { structure: form, ..Ask::new(2, 10, 60) },
        in_circles(Ask::new(3, 20, 120).behind(40)),
        in_circles(Ask::new(4, 30, 40)),
        in_circles(Ask::new(5, 9, 30)),
    ]
}

/// An answer that repeats itself.
fn in_circles(ask: Ask) -> Ask {
    let sampling = SamplingParams { temperature: 0.0, ..ask.sampling.clone() };
    Ask { sampling, ..ask }
}

/// Logits that depend on the last two tokens alone, and leave all to choose from.
fn circles(tokens: &[TokenId], logits: &mut [f32]) {
    noise(&tokens[tokens.len().saturating_sub(2)..], logits);
}

fn each_alone(asks: &[Ask]) -> Vec<Reply> {
    let alone: Vec<Reply> = asks.iter().map(|ask| alone_where(ask, circles)).collect();
    let is_failed = |reply: &Reply| matches!(reply.reason(), FinishReason::Failed(_));
    assert!(!alone.iter().any(is_failed), "{alone:?}");
    alone
}

fn stage() -> Stage {
    let mut stage = Stage::new(LIMITS);
    stage.step_loop.compute.says = Box::new(circles);
    let time = stage.time.clone();
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        let passed = Duration::from_millis(u64::from(moment.layer == 0));
        *time.lock().expect("no test panics with the clock") += passed;
    });
    stage
}

/// Lets all answers run while something panics. Says how many failed, and whether it panicked.
/// Asserts that the others are as they are alone, the bookkeeping is correct, and the next requests
/// are answered.
fn run(asks: &[Ask], alone: &[Reply]) -> (usize, bool) {
    let mut stage = stage();
    let generations: Vec<Generation> = asks.iter().map(|ask| stage.submit(ask)).collect();
    let text = Ask::new(9, 150, 1).prompt;
    let embedding = stage.embed(&text, Pooling::Mean);
    let mut iterations = 0;
    while iterations == 0 || !stage.step_loop.core.is_idle() || stage.status.counters().waiting > 0
    {
        stage.iterate_times(1);
        check_invariants(&stage.step_loop.core.scheduler);
        iterations += 1;
        assert!(iterations < 2_000, "the work does not end");
    }
    stage.assert_all_free();
    let (mut failed, broke) = (0, has_broken());
    match embedding.wait() {
        Err(EmbedError::Failed(_)) => failed += 1,
        vector => assert_eq!(vector, Ok(expected(&text, Pooling::Mean))),
    }
    for (generation, alone) in generations.into_iter().zip(alone) {
        let reply = read(generation);
        match reply.reason() {
            FinishReason::Failed(_) => {
                assert!(alone.text.starts_with(&reply.text), "{reply:?}");
                failed += 1;
            }
            reason => assert_eq!((&reply.text, reason), (&alone.text, alone.reason())),
        }
    }
    for (ask, alone) in asks.iter().zip(alone) {
        assert_eq!(stage.answer(ask).text, alone.text, "whoever asks next is answered");
    }
    stage.assert_all_free();
    (failed, broke)
}

#[test]
fn what_breaks_for_one_answer_ends_that_one_and_no_other() {
    let asks = asks();
    let alone = each_alone(&asks);
    for fault in OF_ONE {
        let mut broken = 0;
        for after in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55] {
            break_at(fault, after);
            let (failed, broke) = run(&asks, &alone);
            assert_eq!(failed, usize::from(broke), "{fault:?} the {after}th time");
            broken += failed;
        }
        assert!(broken > 0, "nobody came to {fault:?}");
    }
}

#[test]
fn blocks_on_their_way_back_are_not_lost() {
    let asks = asks();
    let alone = each_alone(&asks);
    for after in 0..30 {
        break_at(Fault::Release, after);
        let (failed, broke) = run(&asks, &alone);
        assert_eq!(failed, usize::from(broke), "the {after}th time");
    }
}

#[test]
fn what_breaks_while_blocks_are_given_up_ends_the_answer_that_gave_them_up() {
    let mut stage = Stage::new(limits(11, 2));
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    break_at(Fault::Preempt, 0);
    let older = stage.submit(&Ask::new(1, 16, 100));
    let younger = stage.submit(&Ask::new(2, 16, 90));
    stage.run_until_idle();
    assert!(has_broken());
    assert!(matches!(read(younger).reason(), FinishReason::Failed(_)));
    assert_eq!(read(older).text, "a".repeat(100));
    assert_eq!(stage.answer(&Ask::new(2, 16, 90)).text, "a".repeat(90));
    stage.assert_all_free();
    check_invariants(&stage.step_loop.core.scheduler);
}

#[test]
fn what_breaks_for_a_whole_step_ends_those_who_run_and_not_those_who_wait() {
    let asks = asks();
    let alone = each_alone(&asks);
    for after in [0, 1, 4, 9] {
        break_at(Fault::Plan, after);
        let (failed, _) = run(&asks, &alone);
        assert!((1..=LIMITS.max_sequences + 1).contains(&failed), "{failed} the {after}th time");
    }
}

#[test]
fn a_step_that_breaks_for_nobody_in_particular_again_and_again_ends_the_engine() {
    let mut stage = stage();
    let mut generations = Vec::new();
    let mut next = Next::GoOn;
    for seed in 0..3 {
        assert_eq!(next, Next::GoOn);
        generations.push(stage.submit(&Ask::new(seed, 10, 10)));
        break_at(Fault::Plan, 0);
        next = stage.iterate();
    }
    assert_eq!(next, Next::End);
    for generation in generations {
        assert!(matches!(read(generation).reason(), FinishReason::Failed(_)));
    }
}

#[test]
fn a_draft_that_breaks_is_given_up() {
    for fault in [Fault::Settle, Fault::Lease, Fault::Release] {
        let mut stage = stage();
        let ask = Ask::new(2, 90, 5);
        stage.draft(0, 7, &ask.prompt);
        break_at(fault, 0);
        stage.run_until_idle();
        assert!(has_broken(), "{fault:?}");
        stage.assert_all_free();
        check_invariants(&stage.step_loop.core.scheduler);
        assert_eq!(stage.answer(&ask).text, alone_where(&ask, circles).text, "{fault:?}");
    }
}

#[test]
fn when_keeping_breaks_answers_go_on_without_a_disk() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let (first, second) = (Ask::new(1, 150, 10), Ask::new(2, 20, 60));
    stage.answer(&first);
    let running = stage.submit(&second);
    stage.iterate_times(2);
    break_at(Fault::SyncDisk, 0);
    stage.iterate_times(1);
    assert!(has_broken() && stage.step_loop.core.disk.is_none());
    stage.run_until_idle();
    assert_eq!(read(running).text, alone(&second).text);
    assert_eq!(stage.answer(&first).text, alone(&first).text);
    stage.assert_all_free();
    stage.end();
}

#[test]
fn a_block_from_disk_that_breaks_something_ends_the_answer_that_waited_for_it() {
    let folder = folder();
    let (first, second) = (Ask::new(1, 150, 10), Ask::new(2, 20, 60));
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&first);
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    break_at(Fault::TakeLoaded, 3);
    let (waiting, beside) = (stage.submit(&first), stage.submit(&second));
    stage.run_until_idle();
    assert!(has_broken());
    assert!(matches!(read(waiting).reason(), FinishReason::Failed(_)));
    assert_eq!(read(beside).text, alone(&second).text);
    assert_eq!(stage.answer(&first).text, alone(&first).text);
    stage.assert_all_free();
    check_invariants(&stage.step_loop.core.scheduler);
    stage.end();
}
