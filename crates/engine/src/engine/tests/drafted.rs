//! Drafts: what is computed while somebody types.

use super::*;
use crate::engine::drafts::NewDraft;

impl Stage {
    pub(super) fn draft(&self, tenant: u64, key: u64, tokens: &[TokenId]) {
        let permit = self.status.inbox().side_message().expect("few drafts are under way");
        let (origin, tokens) = (Tenant(tenant).into(), tokens.to_vec());
        let draft = NewDraft { origin, key, shared_tokens: 0, tokens, permit };
        let sender = self.sender.as_ref().expect("the inbox is open");
        sender.try_send(Arrival::Draft(draft)).expect("there is room for drafts");
    }

    fn cached(&mut self, ask: &Ask) -> usize {
        let reply = self.answer(ask);
        assert_eq!(reply.text, alone(ask).text);
        reply.finished.usage.cached_tokens
    }
}

#[test]
fn what_was_drafted_is_there_when_the_question_comes() {
    let mut stage = Stage::with_room();
    let ask = Ask::new(1, 150, 10);
    stage.draft(0, 7, &ask.prompt[..100]);
    stage.run_until_idle();
    stage.draft(0, 7, &ask.prompt[..140]);
    stage.run_until_idle();
    stage.assert_all_free();
    assert_eq!(stage.cached(&ask), 140);
    let counters = stage.status.counters();
    assert_eq!((counters.drafts_used, counters.drafts_wasted), (140, 0));
    assert!(counters.drafts_computed <= 141, "nothing is computed twice: {counters:?}");
}

#[test]
fn a_wrong_draft_costs_nothing_but_its_own_tokens() {
    let mut stage = Stage::with_room();
    let ask = Ask::new(1, 150, 10);
    let mut draft = ask.prompt[..120].to_vec();
    draft[100] = TokenId(draft[100].0 ^ 1);
    stage.draft(0, 7, &draft);
    stage.run_until_idle();
    assert_eq!(stage.cached(&ask), 96, "whole blocks before the difference");
    let counters = stage.status.counters();
    assert_eq!(
        (counters.drafts_computed, counters.drafts_used, counters.drafts_wasted),
        (120, 100, 20)
    );
    stage.draft(0, 7, &ask.prompt);
    stage.run_until_idle();
    assert_eq!(stage.cached(&Ask { tenant: Tenant(1), ..ask }), 0, "another's draft is not found");
}

#[test]
fn no_draft_is_computed_while_anybody_waits_for_a_word() {
    let mut stage = Stage::with_room();
    let drafted = Ask::new(2, 100, 5);
    let answering = stage.submit(&Ask::new(1, 10, 20));
    stage.draft(0, 7, &drafted.prompt);
    stage.iterate_times(15);
    assert_eq!(stage.status.counters().drafts_computed, 0);
    stage.run_until_idle();
    assert_eq!(stage.status.counters().drafts_computed, 100);
    assert_eq!(read(answering).text, alone(&Ask::new(1, 10, 20)).text);
    assert_eq!(stage.cached(&drafted), 99);
}

#[test]
fn a_question_ends_the_step_of_a_draft_within_a_layer() {
    let mut stage = Stage::with_room();
    let draft = Ask::new(2, 150, 5);
    stage.draft(0, 7, &draft.prompt);
    let status = stage.status.clone();
    // As the handle does when it has sent a question.
    stage.step_loop.compute.at_layer = Box::new(move |moment| {
        if moment == (Moment { step: 1, layer: 1 }) {
            status.inbox().interrupt_draft();
        }
    });
    stage.iterate_times(2);
    assert_eq!(stage.status.counters().drafts_computed, 16, "of two steps the second was left");
    stage.assert_all_free();
    stage.run_until_idle();
    assert_eq!(
        stage.status.counters().drafts_computed,
        150,
        "it goes on when nobody waits any more"
    );
    assert_eq!(stage.cached(&draft), 149);
}

#[test]
fn the_end_of_the_engine_ends_a_draft() {
    let mut stage = Stage::with_room();
    stage.draft(0, 7, &Ask::new(2, 150, 5).prompt);
    let all = stage.all.clone();
    stage.step_loop.compute.at_layer = Box::new(move |_| all.raise());
    stage.iterate_times(1);
    assert_eq!(stage.status.counters().drafts_computed, 0);
    stage.sender = None;
    assert_eq!(stage.iterate(), Next::End);
    stage.assert_all_free();
}

#[test]
fn a_broken_step_ends_the_draft_it_was_for() {
    let mut stage = Stage::with_room();
    stage.draft(0, 7, &Ask::new(2, 50, 5).prompt);
    let mut layers = 0;
    stage.step_loop.compute.at_layer = Box::new(move |_| {
        layers += 1;
        assert!(layers > 1, "broken on purpose");
    });
    stage.iterate_times(1);
    assert!(stage.step_loop.core.is_idle());
    stage.assert_all_free();
    let ask = Ask::new(1, 10, 5);
    assert_eq!(stage.answer(&ask).text, alone(&ask).text);
}

#[test]
fn a_draft_that_the_cache_has_no_room_for_is_given_up() {
    let mut stage = Stage::new(limits(4, 1));
    stage.draft(0, 7, &Ask::new(2, 100, 5).prompt);
    stage.run_until_idle();
    assert!(stage.status.counters().drafts_computed <= 64);
    stage.assert_all_free();
}
