//! Guesses make answers come sooner and change nothing else.

use super::*;

fn guessing() -> Stage {
    Stage::new(SchedulerLimits { guessed_rows: 32, ..limits(200, 8) })
}

/// A machine for which a step takes a second, however many rows it has.
fn takes_a_second_a_step(stage: &mut Stage) {
    let time = stage.time.clone();
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        let passed = Duration::from_secs(u64::from(moment.layer == 0));
        *time.lock().expect("no test panics with the clock") += passed;
    });
}

fn steps(stage: &mut Stage) -> usize {
    let mut steps = 0;
    stage.iterate_times(1);
    while !stage.step_loop.core.is_idle() {
        stage.iterate_times(1);
        steps += 1;
    }
    steps
}

#[test]
fn an_answer_that_repeats_itself_takes_fewer_steps() {
    let ask = Ask::new(1, 20, 200);
    let mut stage = guessing();
    takes_a_second_a_step(&mut stage);
    stage.step_loop.compute.says = Box::new(|tokens, logits| {
        only(TokenId(97 + (tokens.len() % 10) as u32))(tokens, logits);
    });
    let generation = stage.submit(&ask);
    let steps = steps(&mut stage);
    let reply = read(generation);
    assert_eq!(reply.finished.usage.completion_tokens, 200);
    assert!(steps < 50, "{steps} steps for 200 tokens");
    stage.assert_all_free();
}

#[test]
fn guesses_that_never_hold_are_given_up() {
    let mut stage = guessing();
    takes_a_second_a_step(&mut stage);
    // The prompt says the same over and over, and the answer something else each time.
    stage.step_loop.compute.says = Box::new(|tokens, logits| {
        let next = if tokens.len().is_multiple_of(2) { 97 } else { tokens.len() as u32 % 256 };
        only(TokenId(next))(tokens, logits);
    });
    let mut ask = Ask::new(1, 1, 300);
    ask.prompt = [97, 98].into_iter().cycle().take(40).map(TokenId).collect();
    stage.answer(&ask);
    let counters = stage.status.counters();
    assert!(counters.guesses > 0, "{counters:?}");
    assert!(counters.guesses < 100, "{counters:?}");
}

#[test]
fn an_answer_ends_at_its_end_even_if_more_was_guessed() {
    let mut stage = guessing();
    takes_a_second_a_step(&mut stage);
    let (letter, end) = (byte(&stage, "a"), end_token(&stage));
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        only(if tokens.len() < 50 { letter } else { end })(tokens, logits);
    });
    let reply = stage.answer(&Ask::new(1, 10, 200));
    assert_eq!(reply.text, "a".repeat(40));
    assert_eq!(reply.reason(), &FinishReason::EndToken);
    assert_eq!(reply.finished.usage.completion_tokens, 41);
    let stops = Ask { stop_strings: vec!["aaaaaaaaaaaaaaaaa".to_owned()], ..Ask::new(1, 10, 200) };
    let reply = stage.answer(&stops);
    assert_eq!((reply.text.as_str(), reply.reason()), ("", &FinishReason::StopString));
    stage.assert_all_free();
}

#[test]
fn the_next_turn_finds_only_what_held() {
    let mut stage = guessing();
    takes_a_second_a_step(&mut stage);
    let letters = stage.text.encode("abcdefg");
    assert_eq!(letters.len(), 7);
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        let circle = if tokens.len() < 60 { 5 } else { 7 };
        only(letters[tokens.len() % circle])(tokens, logits);
    });
    let first = stage.answer(&Ask::new(1, 20, 90));
    assert!(stage.status.counters().guesses > stage.status.counters().guesses_accepted);
    let mut next = Ask::new(1, 20, 40);
    next.prompt.extend(stage.text.encode(&first.text));
    let reply = stage.answer(&next);
    assert_eq!(reply.finished.usage.cached_tokens, 20 + 89);
    assert_eq!(reply.text, "fgabcde".repeat(6)[..40]);
}

/// A stage whose answers are noise, and a draft model that is wrong at every position of a
/// multiple.
fn with_model(wrong_every: usize) -> Stage {
    let mut stage = guessing();
    takes_a_second_a_step(&mut stage);
    stage.step_loop.draft_model = Some(DraftModel::new(model(&stage, wrong_every)));
    stage
}

fn model(stage: &Stage, wrong_every: usize) -> Scripted {
    let mut model = Scripted::new(200, stage.text.token_count());
    model.says = Box::new(move |tokens, logits| match tokens.len() % wrong_every {
        0 => noise(&tokens[1..], logits),
        _ => noise(tokens, logits),
    });
    model
}

#[test]
fn a_draft_model_makes_answers_come_in_fewer_steps() {
    let ask = Ask::new(1, 100, 120);
    let mut stage = with_model(10);
    let generation = stage.submit(&ask);
    let steps = steps(&mut stage);
    let reply = read(generation);
    assert_eq!(reply.text, alone(&ask).text);
    assert!(steps < 60, "{steps} steps for 120 tokens");
    stage.assert_all_free();
    let again = stage.answer(&ask);
    assert_eq!(again.text, reply.text, "behind what was found in the cache");
}

/// Lets every pass of the draft model take this long.
fn takes(stage: &mut Stage, wrong_every: usize, pass: Duration) {
    let time = stage.time.clone();
    let mut model = model(stage, wrong_every);
    model.at_layer = Box::new(move |moment| {
        if moment.layer == 0 {
            *time.lock().expect("no test panics with the clock") += pass;
        }
    });
    stage.step_loop.draft_model = Some(DraftModel::new(model));
}

#[test]
fn the_time_of_a_draft_model_is_its_own_and_no_part_of_a_steps() {
    let mut stage = with_model(5);
    let pass = Duration::from_millis(20);
    takes(&mut stage, 5, pass);
    stage.answer(&Ask::new(1, 20, 100));
    let counters = stage.status.counters();
    assert!(counters.guesses > 0, "{counters:?}");
    let second = Duration::from_secs(1);
    assert!(counters.step_level.abs_diff(second) < pass / 4, "{:?}", counters.step_level);
    let policy = stage.step_loop.core.pace.policy();
    assert!(policy.pass_ms().is_some_and(|ms| (ms - 20.0).abs() < 1e-6), "{policy:?}");
}

/// Noise that never ends an answer.
fn endless(tokens: &[TokenId], logits: &mut [f32]) {
    noise(tokens, logits);
    logits[256..].fill(f32::NEG_INFINITY);
}

/// Steps of a short answer that comes while a long one is written.
fn steps_of_a_short_answer(mut stage: Stage) -> usize {
    stage.step_loop.compute.says = Box::new(endless);
    let long = stage.submit(&Ask::new(1, 20, 1_000));
    // By then it is known that large steps take no longer than small ones.
    stage.iterate_times(15);
    let short = stage.submit(&Ask::new(2, 10, 4));
    stage.iterate_times(1);
    let mut steps = 1;
    while stage.status.counters().running > 1 {
        stage.iterate_times(1);
        steps += 1;
    }
    assert_eq!(read(short).reason(), &FinishReason::Length);
    drop(long);
    stage.run_until_idle();
    stage.assert_all_free();
    steps
}

#[test]
fn an_answer_that_has_all_the_guesses_it_has_room_for_keeps_them_while_others_get_more() {
    let mut without_guesses = Stage::with_room();
    takes_a_second_a_step(&mut without_guesses);
    let without = steps_of_a_short_answer(without_guesses);
    let mut guessing = with_model(usize::MAX);
    let mut model = model(&guessing, usize::MAX);
    model.says = Box::new(endless);
    guessing.step_loop.draft_model = Some(DraftModel::new(model));
    let with = steps_of_a_short_answer(guessing);
    assert_eq!(with + 2, without, "the last three of four tokens take one step");
}

#[test]
fn a_draft_model_that_is_always_right_is_soon_asked_for_more_than_one_guess() {
    let mut stage = with_model(usize::MAX);
    let long = stage.submit(&Ask::new(1, 20, 1_000));
    let mut model = model(&stage, usize::MAX);
    model.says = Box::new(endless);
    stage.step_loop.draft_model = Some(DraftModel::new(model));
    stage.step_loop.compute.says = Box::new(endless);
    stage.iterate_times(15);
    let counters = stage.status.counters();
    assert!(counters.guesses_accepted > 50, "{counters:?}");
    drop(long);
    stage.run_until_idle();
}

#[test]
fn a_draft_model_that_is_always_wrong_is_left_alone() {
    let mut stage = with_model(1);
    let ask = Ask::new(1, 20, 300);
    assert_eq!(stage.answer(&ask).text, alone(&ask).text);
    let counters = stage.status.counters();
    assert!((1..150).contains(&counters.guesses), "{counters:?}");
}

#[test]
fn a_draft_model_that_breaks_is_done_without() {
    let mut stage = with_model(10);
    let mut model = Scripted::new(200, stage.text.token_count());
    model.at_layer = Box::new(|moment| assert!(moment.step < 3, "broken on purpose"));
    stage.step_loop.draft_model = Some(DraftModel::new(model));
    let ask = Ask::new(1, 20, 60);
    assert_eq!(stage.answer(&ask).text, alone(&ask).text);
    stage.assert_all_free();
}

#[test]
fn a_stop_while_a_draft_model_guesses_ends_the_answer() {
    let mut stage = with_model(10);
    let stopped = stage.submit(&Ask::new(1, 20, 300));
    let kept = Ask::new(2, 20, 40);
    let beside = stage.submit(&kept);
    let flag = stopped.stopper();
    let mut model = Scripted::new(200, stage.text.token_count());
    model.at_layer = Box::new(move |moment| {
        if moment.step == 5 {
            flag.raise();
        }
    });
    stage.step_loop.draft_model = Some(DraftModel::new(model));
    stage.run_until_idle();
    assert_eq!(read(stopped).reason(), &FinishReason::Stopped);
    assert_eq!(read(beside).text, alone(&kept).text);
    stage.assert_all_free();
}
