//! An answer depends on neither neighbours, chunks, threads, blocks nor instruction set: bits are
//! compared.

use super::*;

/// Around every edge: of lanes and blocks, of softmax pieces, of the context.
const LENGTHS: [usize; 13] =
    [1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, CONTEXT_TOKENS - 1, CONTEXT_TOKENS];

#[test]
fn a_prompt_is_the_same_in_one_step_and_in_many() {
    for kv_type in KvType::ALL {
        let mut runner = runner(Setting { kv_type, ..Setting::usual() });
        for len in LENGTHS {
            let sequence = Sequence::new(0, len);
            let expected = alone(&mut runner, &sequence);
            for chunk in [1, 7, 16, 100] {
                let mut last = None;
                for from in (0..len).step_by(chunk) {
                    let span = sequence.span(from, len.min(from + chunk));
                    last = run(&mut runner, &[span]).remove(0);
                }
                assert!(last == Some(expected.clone()), "{len} tokens in steps of {chunk}");
            }
        }
    }
}

#[test]
fn a_sequence_is_the_same_alone_and_among_others() {
    for weights in ["f32", "f16", "bf16", "q8_0", "q4_0"] {
        let mut runner = runner(Setting { weights, ..Setting::usual() });
        let lens = [1, 33, 16, 70, 17, 2];
        let sequences: Vec<_> =
            lens.iter().enumerate().map(|(index, len)| Sequence::new(index, *len)).collect();
        let expected: Vec<_> =
            sequences.iter().map(|sequence| alone(&mut runner, sequence)).collect();

        let spans: Vec<_> = sequences.iter().map(Sequence::whole).collect();
        let together = run(&mut runner, &spans);
        for (index, logits) in together.into_iter().enumerate() {
            assert!(logits.as_ref() == Some(&expected[index]), "{weights}: sequence {index}");
        }
        // The longest is in the middle of its prompt while the others write one token each.
        for sequence in &sequences {
            let len = sequence.tokens.len();
            if len > 1 {
                run(&mut runner, &[sequence.span(0, len - 1)]);
            }
        }
        let last_tokens: Vec<_> = sequences
            .iter()
            .map(|sequence| match sequence.tokens.len() {
                70 => sequence.span(30, 70),
                len => sequence.span(len - 1, len),
            })
            .collect();
        let together = run(&mut runner, &last_tokens);
        for (index, logits) in together.into_iter().enumerate() {
            assert!(logits.as_ref() == Some(&expected[index]), "{weights}: sequence {index}");
        }
    }
}

#[test]
fn a_token_is_the_same_in_every_batch() {
    for weights in ["q4_0", "q4_k_m", "q6_k"] {
        let mut runner = runner(Setting { weights, threads: 3, ..Setting::usual() });
        let sequences: Vec<_> = (0..MAX_SPANS).map(|index| Sequence::new(index, 3)).collect();
        let expected: Vec<_> =
            sequences.iter().map(|sequence| alone(&mut runner, sequence)).collect();
        for batch in 1..=MAX_SPANS {
            let last_tokens: Vec<_> =
                sequences[..batch].iter().map(|sequence| sequence.span(2, 3)).collect();
            let together = run(&mut runner, &last_tokens);
            for (index, logits) in together.into_iter().enumerate() {
                assert!(logits.as_ref() == Some(&expected[index]), "{weights}: {index} of {batch}");
            }
        }
    }
}

#[test]
fn threads_and_instruction_sets_give_the_same_bits() {
    for weights in ["f32", "q8_0", "q4_0"] {
        let sequence = Sequence::new(0, 50);
        let base = Setting { weights, isa: Isa::scalar(), threads: 1, ..Setting::usual() };
        let expected = alone(&mut runner(base), &sequence);
        for isa in Isa::available() {
            for threads in [1, 2, 3, 5] {
                let setting = Setting { isa, threads, ..base };
                assert!(alone(&mut runner(setting), &sequence) == expected, "{setting:?}");
            }
        }
    }
}

#[test]
fn logits_are_there_for_sampled_spans_only() {
    let mut runner = runner(Setting::usual());
    let (first, second) = (Sequence::new(0, 20), Sequence::new(1, 30));
    let unsampled = Span { wanted: Wanted::Nothing, ..first.whole() };
    let logits = run(&mut runner, &[unsampled, second.whole()]);
    assert!(logits[0].is_none());
    assert!(logits[1].as_ref() == Some(&alone(&mut runner, &second)));
    assert!(runner.logits(2).is_none(), "there is no such span");
}

/// The bits of all hidden rows of a span.
fn hidden(runner: &mut Runner, span: usize) -> Vec<u32> {
    let hidden = runner.hidden(span).expect("they were wanted");
    hidden.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn hidden_rows_are_the_same_in_one_step_and_in_many_and_in_company() {
    let wanted = Wanted::Hidden;
    for len in [1, 16, 33, 200] {
        let mut runner = runner(Setting::usual());
        let sequence = Sequence::new(0, len);
        runner.forward(&Plan { spans: &[Span { wanted, ..sequence.whole() }] });
        let expected = hidden(&mut runner, 0);
        assert!(runner.logits(0).is_none());
        let (other, third) = (Sequence::new(1, 30), Sequence::new(2, 9));
        let other_alone = alone(&mut runner, &other);
        let mut found = Vec::new();
        for from in (0..len).step_by(13) {
            let part = Span { wanted, ..sequence.span(from, len.min(from + 13)) };
            let third = Span { wanted, ..third.whole() };
            let spans = [other.whole(), part, third];
            let logits = run(&mut runner, &spans);
            assert!(logits[0].as_ref() == Some(&other_alone));
            assert!(runner.hidden(0).is_none());
            found.extend(hidden(&mut runner, 1));
        }
        assert!(found == expected, "{len} tokens");
    }
}

#[test]
fn an_empty_plan_is_done_at_once() {
    let mut runner = runner(Setting::usual());
    assert_eq!(runner.forward(&Plan { spans: &[] }), Forward { spans: vec![] });
    assert!(runner.logits(0).is_none());
}

#[test]
#[should_panic(expected = "in a context of 288")]
fn a_position_beyond_the_context_is_a_bug() {
    let mut runner = runner(Setting::usual());
    let mut sequence = Sequence::new(0, CONTEXT_TOKENS + 1);
    sequence.blocks.push(BlockId(0));
    run(&mut runner, &[sequence.span(CONTEXT_TOKENS, CONTEXT_TOKENS + 1)]);
}
