//! Asking, saving, finishing, going on.

use super::support::*;
use crate::{Continue, Ending, Ends, Growth, How, Position, Reason, State, StoreError, Usage};

#[test]
fn a_question_and_its_answer_are_stored_together() {
    let store = memory();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("hello", "a")).wait().unwrap();
    let message = asked.message.clone().unwrap();
    assert_eq!(asked.answer.parent, Some(message.id));
    assert_eq!(asked.answer.state, State::Waiting);
    assert_eq!(asked.conversation.leaf, Some(asked.answer.id));
    assert!(!asked.duplicate);

    let answer = store.finish_answer(asked.answer.seq, ending(0, "hi")).wait().unwrap();
    assert_eq!((answer.text.as_str(), answer.state), ("hi", State::Complete));
    assert_eq!(texts(&store, user, asked.conversation.id), ["hello", "hi"]);
}

#[test]
fn s12_a_repeated_client_id_gets_the_first_result() {
    let store = memory();
    let user = user(&store, 1);
    let replies: Vec<_> = (0..100).map(|_| store.ask(user, ask_new("hello", "same"))).collect();
    let asked: Vec<_> = replies.into_iter().map(|reply| reply.wait().unwrap()).collect();
    assert_eq!(asked.iter().filter(|asked| !asked.duplicate).count(), 1);
    for other in &asked {
        assert_eq!(other.message, asked[0].message);
        assert_eq!(other.answer.id, asked[0].answer.id);
    }
    assert_eq!(
        store.list_conversations(user, Default::default()).wait().unwrap().conversations.len(),
        1
    );
    // Another user's ids are others.
    let other = super::support::user(&store, 2);
    assert!(!store.ask(other, ask_new("hello", "same")).wait().unwrap().duplicate);
}

#[test]
fn s12_racing_threads_store_a_request_once() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| store.ask(user, ask_new("hello", "same")).wait().unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(asked.iter().filter(|asked| !asked.duplicate).count(), 1);
    assert!(asked.iter().all(|other| other.answer.id == asked[0].answer.id));
}

#[test]
fn an_answer_grows_by_pieces_and_reads_the_same_at_any_time() {
    let store = memory();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("hello", "a")).wait().unwrap();
    let (seq, conversation) = (asked.answer.seq, asked.conversation.id);
    let piece = |at: Ends, text: &str, thinking: &str, tokens: &[u32]| Growth {
        at,
        text: text.into(),
        thinking: thinking.into(),
        tokens: tokens.into(),
    };
    let first = piece(Ends::default(), "", "hm", &[1]);
    let ends = store.save_progress(seq, first.clone()).wait().unwrap();
    assert_eq!(ends, Ends { text: 0, thinking: 2, tokens: 1 });
    // A repetition and an overlap add nothing twice.
    assert_eq!(store.save_progress(seq, first).wait().unwrap(), ends);
    let second = piece(Ends { thinking: 1, ..Ends::default() }, "中", "m!", &[1, 2]);
    let ends = store.save_progress(seq, second).wait().unwrap();
    assert_eq!(ends, Ends { text: 3, thinking: 3, tokens: 2 });

    let tree = store.tree(user, conversation).wait().unwrap();
    let answer = &tree.messages[1];
    assert_eq!((answer.text.as_str(), answer.thinking.as_str()), ("中", "hm!"));
    assert_eq!((answer.state, &answer.tokens[..]), (State::Writing, &[1, 2][..]));

    let gap = store.save_progress(seq, growth(4, "x")).wait().unwrap_err();
    assert_eq!(gap, StoreError::Gap { field: "text", expected: 3, found: 4 });
    let usage = Some(Usage { completion_tokens: Some(3), ..Usage::default() });
    let rest = piece(ends, "文", "", &[0xffff_ffff]);
    let ending =
        Ending { rest, usage, seed: Some(u64::MAX), ..Ending::new(State::Complete, Reason::End) };
    let answer = store.finish_answer(seq, ending).wait().unwrap();
    assert_eq!((answer.text.as_str(), answer.thinking.as_str()), ("中文", "hm!"));
    assert_eq!((answer.tokens, answer.seed), (vec![1, 2, u32::MAX], Some(u64::MAX)));
    assert_eq!((answer.usage, answer.reason), (usage, Some(Reason::End)));
}

#[test]
fn a_finished_answer_can_not_grow() {
    let store = memory();
    let user = user(&store, 1);
    let (asked, _) = exchange(&store, user, ask_new("a", "a"), "b");
    let seq = asked.answer.seq;
    let expected = StoreError::AnswerNotRunning { state: State::Complete };
    assert_eq!(store.save_progress(seq, growth(1, "c")).wait().unwrap_err(), expected);
    assert_eq!(store.finish_answer(seq, ending(1, "c")).wait().unwrap_err(), expected);
    let running = Ending::new(State::Writing, Reason::End);
    let error = store.finish_answer(seq, running).wait().unwrap_err();
    assert!(matches!(error, StoreError::Invalid { field: "state", .. }));
}

#[test]
fn an_answer_goes_on_where_it_ended() {
    let store = memory();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("a", "a")).wait().unwrap();
    let stopped =
        Ending { rest: growth(0, "one "), ..Ending::new(State::Stopped, Reason::Stopped) };
    store.finish_answer(asked.answer.seq, stopped).wait().unwrap();
    let request = Continue {
        conversation: asked.conversation.id,
        answer: asked.answer.id,
        client_id: "b".into(),
        how: How { seed: Some(5), ..How::default() },
    };
    let again = store.continue_answer(user, request.clone()).wait().unwrap();
    assert_eq!((again.answer.state, again.answer.text.as_str()), (State::Waiting, "one "));
    assert_eq!((again.answer.reason, again.message), (None, None));
    let repeated = store.continue_answer(user, request.clone()).wait().unwrap();
    assert!(repeated.duplicate);
    let busy = Continue { client_id: "c".into(), ..request.clone() };
    assert_eq!(store.continue_answer(user, busy).wait().unwrap_err(), StoreError::AnswerRunning);

    store.save_progress(asked.answer.seq, growth(4, "two ")).wait().unwrap();
    let answer = store.finish_answer(asked.answer.seq, ending(8, "three")).wait().unwrap();
    assert_eq!((answer.text.as_str(), answer.seed), ("one two three", Some(5)));
    let ended = Continue { client_id: "d".into(), ..request };
    let error = store.continue_answer(user, ended).wait().unwrap_err();
    assert_eq!(error, StoreError::CannotContinue { state: State::Complete });
}

#[test]
fn branches_are_beside_what_they_replace() {
    let store = memory();
    let user = user(&store, 1);
    let (first, _) = exchange(&store, user, ask_new("q1", "a"), "a1");
    let id = first.conversation.id;
    let (question, answer) = (first.message.unwrap().id, first.answer.id);
    let (second, _) = exchange(&store, user, ask_in(id, Position::AtLeaf, Some("q2")), "a2");
    assert_eq!(second.message.as_ref().unwrap().parent, Some(answer));

    let (other, _) = exchange(&store, user, ask_in(id, Position::Beside(answer), None), "a1'");
    assert_eq!((other.answer.parent, other.message), (Some(question), None));
    let (edited, _) =
        exchange(&store, user, ask_in(id, Position::Beside(question), Some("q1'")), "b1");
    assert_eq!(edited.message.unwrap().parent, None);

    let path = store.path(user, id, second.answer.id).wait().unwrap();
    let path: Vec<_> = path.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(path, ["q1", "a1", "q2", "a2"]);
    assert_eq!(texts(&store, user, id), ["q1", "a1", "q2", "a2", "a1'", "q1'", "b1"]);
}

#[test]
fn a_place_that_makes_no_sense_is_refused() {
    let store = memory();
    let user = user(&store, 1);
    let (first, answer) = exchange(&store, user, ask_new("q", "a"), "a");
    let id = first.conversation.id;
    let question = first.message.unwrap().id;
    let other = exchange(&store, user, ask_new("q", "b"), "a").0;
    let running = store.ask(user, ask_in(id, Position::AtLeaf, Some("q2"))).wait().unwrap();
    let cases = [
        (Position::Beside(question), None, StoreError::NotAnAnswer),
        (Position::Beside(answer.id), Some("x"), StoreError::NotAUserMessage),
        (Position::After(answer.id), None, StoreError::NotAUserMessage),
        (Position::After(other.answer.id), Some("x"), StoreError::UnknownMessage),
        (Position::First, None, StoreError::UnknownMessage),
        (Position::AtLeaf, Some("x"), StoreError::AnswerRunning),
        (Position::After(running.answer.id), Some("x"), StoreError::AnswerRunning),
    ];
    for (position, text, expected) in cases {
        let error = store.ask(user, ask_in(id, position, text)).wait().unwrap_err();
        assert_eq!(error, expected, "{position:?} {text:?}");
    }
    let stranger = super::support::user(&store, 2);
    let error = store.ask(stranger, ask_in(id, Position::AtLeaf, Some("x"))).wait().unwrap_err();
    assert_eq!(error, StoreError::UnknownConversation);
}

#[test]
fn live_text_is_merged_when_the_store_is_opened_again() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    let (seq, id) = (asked.answer.seq, asked.conversation.id);
    let piece = |at: u64, text: &str, tokens: &[u32], tokens_at: u64| Growth {
        at: Ends { text: at, thinking: 0, tokens: tokens_at },
        text: text.into(),
        thinking: String::new(),
        tokens: tokens.into(),
    };
    store.append_live(seq, piece(0, "one ", &[1], 0)).wait().unwrap();
    store.append_live(seq, piece(4, "two ", &[2], 1)).wait().unwrap();
    store.save_progress(seq, piece(0, "one two ", &[1, 2], 0)).wait().unwrap();
    store.append_live(seq, piece(8, "three", &[3], 2)).wait().unwrap();
    drop(store);

    let store = folder.open();
    assert_eq!(store.interrupted_answers(), 1);
    let answer = store.message(user, id, asked.answer.id).wait().unwrap();
    assert_eq!((answer.text.as_str(), &answer.tokens[..]), ("one two three", &[1, 2, 3][..]));
    assert_eq!((answer.state, answer.reason), (State::Interrupted, Some(Reason::Crashed)));
    drop(store);
    assert_eq!(folder.open().interrupted_answers(), 0);
}

#[test]
fn live_text_that_does_not_continue_the_stored_text_is_left_out() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    let seq = asked.answer.seq;
    store.append_live(seq, growth(0, "abcdef")).wait().unwrap();
    store.append_live(seq, growth(100, "far")).wait().unwrap();
    // What is durable says something else: as after a power cut, which `live.db` knows nothing of.
    store.save_progress(seq, growth(0, "abX")).wait().unwrap();
    drop(store);
    let store = folder.open();
    let answer = store.message(user, asked.conversation.id, asked.answer.id).wait().unwrap();
    assert_eq!(answer.text, "abX");
}

#[test]
fn live_text_that_cannot_be_read_is_left_out() {
    let folder = TestFolder::new();
    let store = folder.open();
    let user = user(&store, 1);
    let asked = store.ask(user, ask_new("q", "a")).wait().unwrap();
    for (at, text) in [(0, "one "), (4, "two "), (8, "three")] {
        store.append_live(asked.answer.seq, growth(at, text)).wait().unwrap();
    }
    drop(store);
    // After a power cut: whole pages, and nonsense in them.
    let live = rusqlite::Connection::open(folder.path().join("live.db")).unwrap();
    let broken = "UPDATE live SET text = CAST(x'ff' AS TEXT) WHERE text = 'two '";
    assert_eq!(live.execute(broken, []).unwrap(), 1);
    drop(live);
    let store = folder.open();
    let answer = store.message(user, asked.conversation.id, asked.answer.id).wait().unwrap();
    assert_eq!((answer.text.as_str(), answer.state), ("one ", State::Interrupted));
}

#[test]
fn a_reply_can_be_awaited() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};
    let store = memory();
    let mut reply = std::pin::pin!(store.users());
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match reply.as_mut().poll(&mut context) {
            Poll::Ready(users) => break assert_eq!(users.unwrap(), []),
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
