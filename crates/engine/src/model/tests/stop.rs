//! A stop in the middle of a step: at most one more layer, and nothing changes for the neighbours.

use super::super::SpanOutcome::{Done, Stopped};
use super::*;

const LAYERS: usize = 5;

#[test]
fn a_stop_inside_a_layer_ends_the_span_after_that_layer() {
    let mut runner = runner(Setting::usual());
    for layer in 0..LAYERS {
        let long = Sequence::new(0, CONTEXT_TOKENS);
        let plan = Plan { spans: &[long.whole()] };
        let mut begun = Vec::new();
        let forward = runner.forward_observed(&plan, &mut |index| {
            begun.push(index);
            if index == layer {
                long.stop.raise();
            }
        });
        let expected = Stopped { layers_run: layer + 1, layers_after_stop: 0 };
        assert_eq!(forward.spans, [expected], "stopped in layer {layer}");
        assert_eq!(begun, (0..=layer).collect::<Vec<_>>(), "stopped in layer {layer}");
        assert!(runner.logits(0).is_none());
    }
}

#[test]
fn a_stop_before_the_step_runs_no_layer() {
    let mut runner = runner(Setting::usual());
    let stopped = Sequence::new(0, 40);
    stopped.stop.raise();
    let forward = runner.forward_observed(&Plan { spans: &[stopped.whole()] }, &mut |layer| {
        panic!("layer {layer} was begun");
    });
    assert_eq!(forward.spans, [Stopped { layers_run: 0, layers_after_stop: 0 }]);
}

/// Another thread raises the flag while a layer runs, and the layer waits until it has.
#[test]
fn a_stop_from_another_thread_lets_at_most_one_more_layer_run() {
    let mut runner = runner(Setting::usual());
    let long = Sequence::new(0, CONTEXT_TOKENS);
    let flag = long.stop.clone();
    let (ask, asked) = std::sync::mpsc::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let stopper = std::thread::spawn(move || {
        asked.recv().expect("the second layer asks");
        flag.raise();
        tell.send(()).expect("the layer waits");
    });
    let forward = runner.forward_observed(&Plan { spans: &[long.whole()] }, &mut |layer| {
        if layer == 1 {
            ask.send(()).expect("the stopper waits");
            told.recv().expect("the stopper answers");
        }
    });
    stopper.join().expect("the stopper ends");
    assert_eq!(forward.spans, [Stopped { layers_run: 2, layers_after_stop: 0 }]);
}

#[test]
fn neighbours_of_stopped_spans_go_on_bit_for_bit() {
    let mut runner = runner(Setting::usual());
    let lens = [30, 70, 17, 1, 40];
    let make = || -> Vec<_> {
        lens.iter().enumerate().map(|(index, len)| Sequence::new(index, *len)).collect()
    };
    let expected: Vec<_> = make().iter().map(|sequence| alone(&mut runner, sequence)).collect();
    // Which span is stopped in which layer: first, middle, last, several at once.
    let cases: [&[(usize, usize)]; 6] = [
        &[(0, 0)],
        &[(1, 2)],
        &[(4, 4)],
        &[(0, 1), (4, 1)],
        &[(0, 0), (1, 1), (2, 2), (4, 3)],
        &[(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)],
    ];
    for stops in cases {
        let sequences = make();
        let spans: Vec<_> = sequences.iter().map(Sequence::whole).collect();
        let forward = runner.forward_observed(&Plan { spans: &spans }, &mut |layer| {
            for (span, _) in stops.iter().filter(|(_, stopped_in)| *stopped_in == layer) {
                sequences[*span].stop.raise();
            }
        });
        for (span, outcome) in forward.spans.into_iter().enumerate() {
            let logits = bits(&mut runner, span);
            match stops.iter().find(|(stopped, _)| *stopped == span) {
                Some((_, layer)) => {
                    let expected = Stopped { layers_run: layer + 1, layers_after_stop: 0 };
                    assert_eq!(outcome, expected, "span {span} of {stops:?}");
                    assert!(logits.is_none(), "span {span} of {stops:?}");
                }
                None => {
                    assert_eq!(outcome, Done, "span {span} of {stops:?}");
                    assert!(logits.as_ref() == Some(&expected[span]), "span {span} of {stops:?}");
                }
            }
        }
    }
}

#[test]
fn a_neighbours_next_step_reads_what_this_step_wrote() {
    let mut runner = runner(Setting::usual());
    let (stopped, goes_on) = (Sequence::new(0, 50), Sequence::new(1, 60));
    let expected = alone(&mut runner, &goes_on);
    let spans = [stopped.whole(), goes_on.span(0, 45)];
    runner.forward_observed(&Plan { spans: &spans }, &mut |layer| {
        if layer == 2 {
            stopped.stop.raise();
        }
    });
    let rest = run(&mut runner, &[goes_on.span(45, 60)]).remove(0);
    assert!(rest == Some(expected));
}

#[test]
fn a_stop_while_nobody_else_computes_leaves_the_layer_and_not_the_next_step() {
    let mut runner = runner(Setting::usual());
    let (long, other) = (Sequence::new(0, CONTEXT_TOKENS), Sequence::new(1, 40));
    let expected = alone(&mut runner, &other);
    let plan = Plan { spans: &[long.whole()] };
    let forward = runner.forward_observed(&plan, &mut |_| long.stop.raise());
    assert_eq!(forward.spans, [Stopped { layers_run: 1, layers_after_stop: 0 }]);
    assert!(runner.logits(0).is_none());
    assert!(alone(&mut runner, &other) == expected, "the next step is computed to its end");
}
