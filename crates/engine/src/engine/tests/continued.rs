//! Answers that go on after a cut are what they would have been without it.

use super::*;

/// All that a reader is told of an answer.
#[derive(Debug)]
struct Told {
    text: String,
    tokens: Vec<TokenId>,
    /// After each delta: how many tokens and bytes were told.
    deltas: Vec<(usize, usize)>,
    finished: Finished,
}

impl Told {
    /// The beginning of the answer that a reader has after `tokens` and `bytes`.
    fn up_to(&self, (tokens, text_bytes): (usize, usize)) -> Continuation {
        Continuation { tokens: self.tokens[..tokens].to_vec(), text_bytes }
    }

    fn so_far(&self) -> Continuation {
        self.up_to((self.tokens.len(), self.text.len()))
    }
}

fn told(mut generation: Generation) -> Told {
    let (mut text, mut tokens, mut deltas) = (String::new(), Vec::new(), vec![(0, 0)]);
    while let Some(event) = generation.next_blocking() {
        match event {
            Event::Delta { text: delta, tokens: new, .. } => {
                text.push_str(&delta);
                tokens.extend(new);
                deltas.push((tokens.len(), text.len()));
            }
            Event::Finished(finished) => return Told { text, tokens, deltas, finished },
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
    unreachable!("every generation is told its end")
}

/// The token of each byte.
fn token_of(byte: u8) -> TokenId {
    static IDS: OnceLock<Vec<TokenId>> = OnceLock::new();
    let text = byte_text();
    let find = |byte: u8| {
        let mut ids = (0..text.token_count() as u32).map(TokenId);
        ids.find(|id| text.token_bytes(*id) == [byte]).expect("every byte has a token")
    };
    IDS.get_or_init(|| (0..=255).map(find).collect())[usize::from(byte)]
}

fn tokens_of(text: &str) -> Vec<TokenId> {
    text.bytes().map(token_of).collect()
}

/// Letters, spaces and Chinese characters, which take three tokens each, now and then a byte of no
/// character, and an end.
fn syllables(tokens: &[TokenId], logits: &mut [f32]) {
    noise(tokens, logits);
    let is_lead = |back: usize| {
        let before = tokens.len().checked_sub(back).and_then(|index| tokens.get(index));
        before == Some(&token_of(0xe4))
    };
    let possible: &[u8] = match (is_lead(2), is_lead(1)) {
        (_, true) => &[0xbd, 0xb8],
        (true, _) => &[0xa0, 0xad],
        _ => &[b'a', b'b', b' ', 0xe4],
    };
    let text = byte_text();
    for (id, logit) in (0..).map(TokenId).zip(logits) {
        let is_possible = possible.iter().any(|byte| token_of(*byte) == id);
        let is_rare = text.is_end(id) || id == token_of(0xff);
        *logit -= if is_possible { 0.0 } else { [f32::INFINITY, 5.0][usize::from(is_rare)] };
    }
}

/// A request whose answer needs everything that a continuation must restore.
fn ask(seed: u64) -> Ask {
    let dice = |place, end| dice(7_000 + seed, place, end);
    let mut ask = Ask::new(seed, 5 + dice(0, 40), 20 + dice(1, 60));
    ask.sampling = SamplingParams {
        temperature: [0.0, 0.6, 1.0, 1.4][dice(2, 4)],
        repetition_penalty: [1.0, 1.3][dice(3, 2)],
        presence_penalty: [0.0, 0.7][dice(4, 2)],
        frequency_penalty: [0.0, 0.4][dice(5, 2)],
        ..ask.sampling
    };
    let strings: &[&str] =
        [&["b 你a"][..], &["aab", "你你", "b  "], &["ab a", "中b中"], &[]][dice(6, 4)];
    ask.stop_strings = strings.iter().map(|&string| string.to_owned()).collect();
    ask
}

/// One of several ways to run an answer: alone or with neighbours, with guesses, and with so few
/// blocks that sequences lose theirs.
fn stage(seed: u64) -> Stage {
    let limits = match seed % 4 {
        0 => limits(200, 8),
        1 => limits(20, 4),
        2 => SchedulerLimits { guessed_rows: 16, ..limits(200, 8) },
        _ => SchedulerLimits { step_tokens: 20, ..limits(200, 4) },
    };
    let mut stage = Stage::new(limits);
    stage.step_loop.compute.says = Box::new(syllables);
    stage
}

/// Goes on with an answer in some company, and checks that all of it is as it is in `whole`.
fn go_on(stage: &mut Stage, ask: &Ask, whole: &Told, so_far: Continuation) {
    let (tokens, bytes) = (so_far.tokens.len(), so_far.text_bytes);
    let case = format!("{ask:?} after {tokens} tokens and {bytes} bytes of {whole:?}");
    let max_tokens = ask.max_tokens - tokens;
    let more = Ask { max_tokens, continues: Some(so_far), ..ask.clone() };
    let neighbours = [1_001, 1_002].map(|seed| stage.submit(&super::continued::ask(seed)));
    let generation = match stage.try_submit(&more) {
        Ok(generation) => generation,
        Err(ContinuationError::StopString { index }) => {
            assert_eq!(whole.finished.reason, FinishReason::StopString, "{case}");
            assert_eq!((index + 1, tokens), (tokens, whole.tokens.len()), "{case}");
            return;
        }
        Err(error) => panic!("{error}: {case}"),
    };
    stage.run_until_idle();
    let rest = told(generation);
    // What was shown at the greatest length may be the beginning of a stop string.
    let is_behind_stop_string = bytes > whole.text.len();
    assert!(!is_behind_stop_string || whole.finished.reason == FinishReason::StopString, "{case}");
    assert_eq!(rest.text, whole.text.get(bytes..).unwrap_or_default(), "{case}");
    assert_eq!(rest.tokens, whole.tokens[tokens..], "{case}");
    assert_eq!(rest.finished.reason, whole.finished.reason, "{case}");
    let (usage, of_whole) = (rest.finished.usage, whole.finished.usage);
    assert_eq!(usage.completion_tokens + tokens, of_whole.completion_tokens, "{case}");
    assert_eq!(usage.prompt_tokens, of_whole.prompt_tokens + tokens, "{case}");
    drop(neighbours);
    stage.assert_all_free();
}

#[test]
fn an_answer_goes_on_from_any_delta_as_if_it_had_not_been_cut() {
    let mut reasons = Vec::new();
    for seed in seeds(60) {
        let ask = ask(seed);
        let mut first = stage(0);
        let whole = told(first.submit_and_run(&ask));
        for (index, &cut) in whole.deltas.iter().enumerate().step_by(1 + dice(seed, 8, 5)) {
            if cut.0 == ask.max_tokens {
                continue;
            }
            // In the cache that has it all, in an empty one, and in another tenant's.
            go_on(&mut first, &ask, &whole, whole.up_to(cut));
            let mut other = stage(seed + index as u64);
            go_on(&mut other, &ask, &whole, whole.up_to(cut));
            let tenant = Tenant(1 + index as u64);
            go_on(&mut first, &Ask { tenant, ..ask.clone() }, &whole, whole.up_to(cut));
        }
        reasons.push(whole.finished.reason);
    }
    for reason in [FinishReason::Length, FinishReason::StopString, FinishReason::EndToken] {
        assert!(reasons.contains(&reason), "no answer ended as {reason:?}");
    }
}

impl Stage {
    fn submit_and_run(&mut self, ask: &Ask) -> Generation {
        let generation = self.submit(ask);
        self.run_until_idle();
        generation
    }

    /// Runs what there is to the end. An idle iteration would wait.
    fn finish(&mut self) {
        if !self.step_loop.core.is_idle() {
            self.run_until_idle();
        }
    }
}

#[test]
fn an_answer_that_reached_its_length_goes_on_as_if_it_might_have_been_longer() {
    let (mut half_characters, mut shown_too_early) = (0, 0);
    for seed in seeds(80) {
        let ask = ask(seed);
        let whole = told(stage(0).submit_and_run(&ask));
        for length in (1..ask.max_tokens).step_by(1 + dice(seed, 9, 4)) {
            let mut stage = stage(seed + length as u64);
            let short = Ask { max_tokens: length, ..ask.clone() };
            let first = told(stage.submit_and_run(&short));
            if first.finished.reason != FinishReason::Length {
                break;
            }
            assert_eq!(first.tokens, whole.tokens[..length], "every token is told");
            let middle = [0xe4, 0xbd, 0xb8].map(token_of);
            let is_half = first.tokens.last().is_some_and(|last| middle.contains(last));
            half_characters += usize::from(is_half);
            shown_too_early += usize::from(first.text.len() > whole.text.len());
            go_on(&mut stage, &ask, &whole, first.so_far());
        }
    }
    assert!(half_characters > 20, "{half_characters} answers were cut inside a character");
    assert!(shown_too_early > 0, "no answer was cut inside a stop string");
}

#[test]
fn an_answer_that_was_stopped_goes_on_as_often_as_that_happens() {
    for seed in seeds(60) {
        let ask = ask(seed);
        let whole = told(stage(0).submit_and_run(&ask));
        let mut stage = stage(seed);
        let mut so_far = Continuation::default();
        let mut text = String::new();
        for stop in 0..4 {
            let max_tokens = ask.max_tokens - so_far.tokens.len();
            let continues = Some(so_far.clone());
            let Ok(generation) = stage.try_submit(&Ask { max_tokens, continues, ..ask.clone() })
            else {
                break;
            };
            stage.iterate_while_busy(2 + dice(seed, 20 + stop, 12));
            generation.stop();
            stage.finish();
            let piece = told(generation);
            so_far.tokens.extend(piece.tokens);
            so_far.text_bytes += piece.text.len();
            text.push_str(&piece.text);
            assert!(whole.text.starts_with(&text), "{text:?} of {whole:?}");
            if piece.finished.reason != FinishReason::Stopped {
                break;
            }
        }
        if so_far.tokens.len() < ask.max_tokens && text != whole.text {
            go_on(&mut stage, &ask, &whole, so_far);
        }
    }
}

#[test]
fn deltas_begin_where_the_reader_is_even_if_less_was_shown_than_could_be() {
    for seed in seeds(20) {
        let ask = ask(seed);
        let whole = told(stage(0).submit_and_run(&ask));
        let (tokens, shown) = whole.deltas[whole.deltas.len() / 2];
        for bytes in (0..=shown).filter(|bytes| whole.text.is_char_boundary(*bytes)) {
            go_on(&mut stage(0), &ask, &whole, whole.up_to((tokens, bytes)));
        }
    }
}

#[test]
fn a_structured_answer_goes_on_in_its_structure() {
    let structure = Structure::Regex("(red|green|blue) house(, [a-c]{4,8}){2}".to_owned());
    for seed in 0..6 {
        for guessed_rows in [0, 32] {
            let limits = SchedulerLimits { guessed_rows, ..limits(200, 8) };
            let ask = Ask { structure: Some(structure.clone()), ..Ask::new(seed, 10, 100) };
            let whole = told(Stage::new(limits).submit_and_run(&ask));
            assert_eq!(whole.finished.reason, FinishReason::EndToken);
            for &cut in &whole.deltas {
                let more = Ask {
                    max_tokens: ask.max_tokens - cut.0,
                    continues: Some(whole.up_to(cut)),
                    ..ask.clone()
                };
                let mut stage = Stage::new(limits);
                match stage.try_submit(&more) {
                    Ok(generation) => {
                        stage.run_until_idle();
                        let rest = told(generation);
                        assert_eq!(rest.text, whole.text[cut.1..]);
                        assert_eq!(rest.tokens, whole.tokens[cut.0..]);
                        assert_eq!(rest.finished.reason, FinishReason::EndToken);
                    }
                    Err(error) => {
                        let index = whole.tokens.len() - 1;
                        assert_eq!(error, ContinuationError::CompleteStructure { index });
                        assert_eq!(cut.0, whole.tokens.len());
                    }
                }
            }
        }
    }
}

#[test]
fn an_answer_that_went_on_is_remembered_whole() {
    let said = [b'a', 0xff, b'b', 0xff, b'a', b'b'].map(token_of);
    let prompt = 5;
    let mut stage = Stage::with_room();
    stage.step_loop.compute.says = Box::new(move |tokens, logits| {
        only(said[(tokens.len() - prompt) % said.len()])(tokens, logits);
    });
    let conversation = Some(ConversationId(77));
    let ask = Ask { tenant: Tenant(4_711), conversation, ..Ask::new(1, prompt, said.len()) };
    let first = told(stage.submit_and_run(&Ask { max_tokens: 2, ..ask.clone() }));
    let continues = Some(first.so_far());
    let rest = told(stage.submit_and_run(&Ask { max_tokens: 4, continues, ..ask.clone() }));
    let text = first.text + &rest.text;
    assert_eq!(text, "a\u{fffd}b\u{fffd}ab");
    let origin = Origin { tenant: ask.tenant, conversation };
    let ids = stage.text.prompt_for(origin, &[Message::assistant(text)]).expect("it renders");
    assert!(ids.windows(said.len()).any(|window| window == said), "{ids:?}");
}

#[test]
fn what_cannot_go_on_is_refused() {
    let stage = Stage::with_room();
    let end = end_token(&stage);
    let refused = |tokens: Vec<TokenId>, text_bytes: usize, change: fn(&mut Ask)| {
        let mut ask = Ask::new(1, 5, 20);
        change(&mut ask);
        ask.continues = Some(Continuation { tokens, text_bytes });
        stage.try_submit(&ask).expect_err("it cannot go on").to_string()
    };
    let same = |_: &mut Ask| ();
    let unknown = [tokens_of("ab"), vec![TokenId(999_999)]].concat();
    assert_eq!(refused(unknown, 0, same), "the id 999999 without a token, at index 2");
    let ended = "an end token at index 1, so the answer has ended";
    assert_eq!(refused([tokens_of("a"), vec![end]].concat(), 0, same), ended);
    assert_eq!(refused([tokens_of("a"), vec![end], tokens_of("b")].concat(), 0, same), ended);
    let too_much = "3 bytes of shown text, where the tokens spell 2";
    assert_eq!(refused(tokens_of("ab"), 3, same), too_much);
    let half = tokens_of("你")[..2].to_vec();
    let one = "shown text that ends inside a character, at byte 1";
    assert_eq!(refused(half, 1, same), one);
    let inside = "shown text that ends inside a character, at byte 2";
    assert_eq!(refused(tokens_of("你"), 2, same), inside);
    let stopped = "a whole stop string at index 2, so the answer has ended";
    assert_eq!(refused(tokens_of("xab"), 1, |ask| ask.stop_strings = vec!["ab".into()]), stopped);
    let form = |ask: &mut Ask| ask.structure = Some(Structure::Regex("ab".into()));
    let complete = "a complete structure at index 1, so the answer has ended";
    assert_eq!(refused(tokens_of("ab"), 2, form), complete);
    let outside = refused(tokens_of("ba"), 2, form);
    assert!(
        outside.starts_with("a token at index 0 that the structure does not allow"),
        "{outside}"
    );
    assert_eq!(stage.status.counters().waiting, 0);
}
