//! Structured answers, with others in the step and with guesses.

use super::*;

fn regex(text: &str) -> Option<Structure> {
    Some(Structure::Regex(text.to_owned()))
}

#[test]
fn an_answer_has_the_form_that_was_asked_for_and_ends_with_it() {
    for guessed_rows in [0, 32] {
        let mut stage = Stage::new(SchedulerLimits { guessed_rows, ..limits(200, 8) });
        let ask = Ask { structure: regex("(red|green|blue) house"), ..Ask::new(1, 10, 100) };
        let beside = Ask::new(2, 20, 40);
        let other = stage.submit(&beside);
        let reply = stage.answer(&ask);
        assert!(
            ["red house", "green house", "blue house"].contains(&reply.text.as_str()),
            "{reply:?}"
        );
        assert_eq!(reply.reason(), &FinishReason::EndToken);
        assert_eq!(read(other).text, alone(&beside).text, "its neighbour has no form");
        stage.assert_all_free();
    }
}

#[test]
fn what_the_form_demands_takes_few_steps() {
    let mut stage = Stage::new(SchedulerLimits { guessed_rows: 32, ..limits(200, 8) });
    let time = stage.time.clone();
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        let passed = Duration::from_secs(u64::from(moment.layer == 0));
        *time.lock().expect("no test panics with the clock") += passed;
    });
    let demanded = "this is what every answer to this question begins with: ";
    let ask = Ask { structure: regex(&format!("{demanded}[ab]")), ..Ask::new(1, 10, 100) };
    let generation = stage.submit(&ask);
    stage.iterate_times(1);
    let mut steps = 0;
    while !stage.step_loop.core.is_idle() {
        stage.iterate_times(1);
        steps += 1;
    }
    let text = read(generation).text;
    assert!(text.starts_with(demanded) && text.len() == demanded.len() + 1, "{text}");
    assert!(steps < demanded.len() / 3, "{steps} steps for {} tokens", text.len());
}

#[test]
fn an_answer_that_is_cut_short_is_the_beginning_of_the_form() {
    let mut stage = Stage::with_room();
    let ask = Ask { structure: regex("x{50}"), ..Ask::new(1, 10, 20) };
    let reply = stage.answer(&ask);
    assert_eq!(
        (reply.text.as_str(), reply.reason()),
        ("x".repeat(20).as_str(), &FinishReason::Length)
    );
}

#[test]
fn a_form_goes_on_after_its_sequence_gave_up_its_blocks() {
    let mut stage = Stage::new(limits(9, 2));
    let first = stage.submit(&Ask::new(1, 16, 80));
    let form = Ask { structure: regex("(ab){30}"), ..Ask::new(2, 16, 90) };
    let second = stage.submit(&form);
    stage.run_until_idle();
    assert_eq!(read(second).text, "ab".repeat(30));
    assert_eq!(read(first).text, alone(&Ask::new(1, 16, 80)).text);
}
