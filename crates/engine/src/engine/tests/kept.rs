//! What was computed before is not computed again, and changes nothing.

use super::*;

#[test]
fn a_conversation_computes_only_what_is_new() {
    let mut stage = Stage::with_room();
    let letter = byte(&stage, "a");
    stage.step_loop.compute.says = Box::new(only(letter));
    let first = Ask::new(1, 90, 40);
    let cached = |stage: &mut Stage, ask: &Ask| {
        let reply = stage.answer(ask);
        assert_eq!(reply.text, "a".repeat(40));
        reply.finished.usage.cached_tokens
    };
    assert_eq!(cached(&mut stage, &first), 0);
    let mut next = first.clone();
    next.prompt.extend([vec![letter; 40], vec![TokenId(5); 30]].concat());
    assert_eq!(cached(&mut stage, &next), 90 + 39, "the answer's last token was not computed");
    let mut edited = next.clone();
    edited.prompt[50] = TokenId(5);
    assert_eq!(cached(&mut stage, &edited), 48, "whole blocks before the edit");
    let other = Ask { tenant: Tenant(1), ..next };
    assert_eq!(cached(&mut stage, &other), 0, "another's conversation");
    stage.assert_all_free();
}

#[test]
fn a_stopped_prompt_is_not_computed_again() {
    let mut stage = Stage::with_room();
    let ask = Ask::new(1, 150, 10);
    let stopped = stage.submit(&ask);
    stage.iterate_times(2);
    stopped.stop();
    stage.iterate_times(1);
    assert_eq!(read(stopped).finished.usage.completion_tokens, 0);
    let reply = stage.answer(&ask);
    assert_eq!(reply.finished.usage.cached_tokens, 16 + 64, "what two steps had computed");
    assert_eq!(reply.text, alone(&ask).text);
}

#[test]
fn who_comes_while_the_same_prompt_is_computed_waits_for_it() {
    let mut stage = Stage::with_room();
    let asks: Vec<Ask> = (0..3).map(|seed| Ask::new(seed, 20, 10).behind(96)).collect();
    let generations: Vec<Generation> = asks.iter().map(|ask| stage.submit(ask)).collect();
    stage.run_until_idle();
    for ((generation, ask), cached) in generations.into_iter().zip(&asks).zip([0, 96, 96]) {
        let reply = read(generation);
        assert_eq!(reply.finished.usage.cached_tokens, cached);
        assert_eq!(reply.text, alone(ask).text);
    }
}
