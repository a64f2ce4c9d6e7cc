//! What waiting requests are told about their wait.

use super::*;

const STEP: Duration = Duration::from_millis(4);
/// Estimates are compared only behind this place: the next end comes by chance, later ones come on
/// average.
const NEAR: usize = 8;
const ROW: Duration = Duration::from_micros(500);

/// A stage whose steps take some time, and some more for each row of an answer.
fn stage_that_takes_time() -> Stage {
    let mut stage = Stage::new(limits(400, 4));
    let time = stage.time.clone();
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        if moment.layer == 0 {
            *time.lock().expect("no test panics with the clock") += STEP;
        }
    });
    let time = stage.time.clone();
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        *time.lock().expect("no test panics with the clock") += ROW;
        noise(tokens, logits);
    });
    stage
}

fn ask(seed: u64) -> Ask {
    Ask::new(seed, 5 + dice(seed, 1, 30), 5 + dice(seed, 2, 30))
}

/// A generation that waits, and what it was told.
struct Waiting {
    generation: Generation,
    told: Vec<(Instant, u64)>,
    admitted: bool,
}

#[test]
fn estimates_are_within_a_factor_of_two_under_load_after_answers_that_ran_alone() {
    let mut stage = stage_that_takes_time();
    for seed in 0..10 {
        stage.answer(&ask(seed));
    }
    let load = 10..60;
    let mut waiting: Vec<Waiting> = load
        .map(|seed| Waiting {
            generation: stage.submit(&ask(seed)),
            told: Vec::new(),
            admitted: false,
        })
        .collect();
    let mut compared = 0;
    while waiting.iter().any(|one| !one.admitted) {
        stage.iterate_times(1);
        let at = now(&stage.time);
        for one in waiting.iter_mut().filter(|one| !one.admitted) {
            for event in one.generation.take_ready() {
                match event {
                    Event::Queued { position, estimate_ms } if position > NEAR => {
                        one.told.push((at, estimate_ms.expect("answers have ended")));
                    }
                    Event::Queued { .. } => {}
                    _ => one.admitted = true,
                }
            }
            if one.admitted {
                for (told_at, estimate_ms) in one.told.drain(..) {
                    let waited_ms = (at - told_at).as_millis() as f64;
                    let ratio = estimate_ms as f64 / waited_ms;
                    assert!((0.5..=2.0).contains(&ratio), "{estimate_ms} told, {waited_ms} waited");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
    drop(waiting);
    stage.run_until_idle();
}

#[test]
fn nothing_is_told_before_an_answer_has_ended() {
    let mut stage = stage_that_takes_time();
    let generations: Vec<Generation> = (0..6).map(|seed| stage.submit(&ask(seed))).collect();
    stage.iterate_times(1);
    let told = |mut generation: Generation| {
        generation.take_ready().into_iter().find(|event| matches!(event, Event::Queued { .. }))
    };
    let told: Vec<Event> = generations.into_iter().filter_map(told).collect();
    // They are dropped, which stops them.
    stage.run_until_idle();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|event| matches!(event, Event::Queued { estimate_ms: None, .. })));
}

#[test]
fn an_answer_that_was_stopped_says_nothing_about_how_long_others_will_take() {
    let mut stage = stage_that_takes_time();
    let estimate = |stage: &Stage| stage.step_loop.core.pace.wait_ms(1, 1);
    stage.answer(&Ask::new(1, 20, 40));
    let stopped = stage.submit(&Ask::new(2, 20, 400));
    stage.iterate_times(8);
    let before = estimate(&stage);
    assert!(before.is_some());
    stopped.stop();
    stage.iterate_times(1);
    assert_eq!(read(stopped).reason(), &FinishReason::Stopped);
    assert_eq!(estimate(&stage), before);
}
