//! An answer that comes back in a history keeps the tokens that the model chose for it.

use super::*;
use crate::text::{Conversation, TemplateExtras};

const HE: TokenId = TokenId(256);
const LL: TokenId = TokenId(257);
const HELL: TokenId = TokenId(258);

fn of(tenant: u64) -> Origin {
    Tenant(tenant).into()
}

/// One token per byte; the tokenizer would hardly ever cut text this way.
fn bytes(text: &str) -> Vec<TokenId> {
    text.bytes().map(|byte| TokenId(u32::from(byte))).collect()
}

fn history(answer: &str) -> [Message; 3] {
    [message(Role::User, "hello"), message(Role::Assistant, answer), message(Role::User, "x")]
}

/// The tokens of the assistant's message, without its header and its end token.
fn of_answer(text: &Text, origin: Origin, answer: &str) -> Vec<TokenId> {
    let ids = text.prompt_for(origin, &history(answer)).expect("it renders");
    let head = bytes("assistant\n");
    let head_at = ids.windows(head.len()).position(|window| window == head).expect("its head");
    let begun = &ids[head_at + head.len()..];
    let end_at = begun.iter().position(|id| *id == END).expect("its end");
    begun[..end_at].to_vec()
}

#[test]
fn an_unchanged_answer_keeps_its_own_tokens() {
    let text = chatml();
    assert_ne!(text.encode("hello"), bytes("hello"), "the answer is not what cutting would give");
    text.remember_answer(of(0), "hello", &bytes("hello"));
    assert_eq!(of_answer(&text, of(0), "hello"), bytes("hello"));
    let ids = text.prompt_for(of(0), &history("hello")).expect("it renders");
    assert_eq!(spelled(&text, &ids).matches("hello").count(), 2);
    let own = ids.windows(5).filter(|window| *window == bytes("hello")).count();
    assert_eq!(own, 1, "the assistant's message alone");
    assert_eq!(of_answer(&text, of(0), "hello!"), text.encode("hello!"), "a changed one is cut");
}

#[test]
fn an_end_token_is_no_part_of_an_answer() {
    let text = chatml();
    let canonical = text.prompt(&history("hello")).expect("it renders");
    let answer = text.encode("hello");
    for chosen in [answer.clone(), [&answer[..], &[END]].concat()] {
        text.remember_answer(of(0), "hello", &chosen);
        assert_eq!(text.prompt_for(of(0), &history("hello")), Ok(canonical.clone()));
    }
    text.remember_answer(of(0), "hello", &[bytes("hello"), vec![END]].concat());
    assert_eq!(of_answer(&text, of(0), "hello"), bytes("hello"));
}

#[test]
fn an_answer_with_a_control_token_in_its_middle_is_cut_as_text() {
    let text = chatml();
    for hidden in [START, END, END_OF_TEXT] {
        for place in 0..4 {
            let mut chosen = bytes("hell");
            chosen.insert(place, hidden);
            let remembered = text.remember_answer(of(0), "hell", &chosen);
            assert_eq!(remembered, None, "{hidden:?} at {place}");
            assert_eq!(of_answer(&text, of(0), "hell"), [HELL], "{hidden:?} at {place}");
        }
    }
}

#[test]
fn of_an_answer_that_was_cut_short_the_shown_tokens_are_kept() {
    struct Case {
        chosen: Vec<TokenId>,
        shown: &'static str,
        kept: Vec<TokenId>,
    }
    let byte = |byte: u8| TokenId(u32::from(byte));
    let cases = [
        Case { chosen: [bytes("he"), bytes("he.")].concat(), shown: "hehe", kept: bytes("hehe") },
        Case { chosen: vec![byte(b'h'), HE, LL], shown: "hhe", kept: vec![byte(b'h'), HE] },
        Case { chosen: vec![byte(b'x'), HELL], shown: "xhe", kept: vec![byte(b'x'), HE] },
        Case { chosen: vec![HELL], shown: "hel", kept: vec![HE, byte(b'l')] },
        Case {
            chosen: vec![byte(b'h'), byte(b'e'), byte(0xe4), byte(0xbd)],
            shown: "he",
            kept: bytes("he"),
        },
        Case {
            chosen: vec![byte(b'h'), byte(b'e'), byte(0xe4), byte(0xbd)],
            shown: "he\u{fffd}",
            kept: vec![byte(b'h'), byte(b'e'), byte(0xe4), byte(0xbd)],
        },
        Case {
            chosen: [vec![byte(b'h'), byte(b'e'), byte(0xff)], bytes("he")].concat(),
            shown: "he\u{fffd}he",
            kept: [vec![byte(b'h'), byte(b'e'), byte(0xff)], bytes("he")].concat(),
        },
        Case { chosen: bytes("你"), shown: "你", kept: bytes("你") },
        Case { chosen: Vec::new(), shown: "he", kept: vec![HE] },
    ];
    for Case { chosen, shown, kept } in cases {
        let text = chatml();
        let remembered = text.remember_answer(of(0), shown, &chosen);
        assert_eq!(remembered.as_ref(), Some(&kept), "{chosen:?} shown as {shown:?}");
        assert_eq!(of_answer(&text, of(0), shown), kept, "{shown:?}");
    }
}

fn history_of(answer: Message) -> [Message; 3] {
    [Message::user("hello"), answer, Message::user("x")]
}

#[test]
fn an_answer_that_comes_with_its_tokens_keeps_them() {
    let text = chatml();
    text.remember_answer(of(0), "hello", &bytes("hello"));
    let expected = text.prompt_for(of(0), &history("hello")).expect("it renders");
    let fresh = chatml();
    let with_tokens =
        |tokens: Vec<TokenId>| history_of(Message::assistant("hello").with_tokens(tokens));
    let known = with_tokens(bytes("hello"));
    assert_eq!(fresh.prompt(&known), Ok(expected.clone()));
    assert_eq!(fresh.prompt_for(of(3), &known), Ok(expected.clone()), "whoever asks");
    assert_eq!(fresh.fit(&known, 1_000, 10).map(|prompt| prompt.ids), Ok(expected.clone()));
    let ended = with_tokens([bytes("hello"), vec![END]].concat());
    assert_eq!(fresh.prompt(&ended), Ok(expected.clone()), "the template writes the end itself");
    let cut = with_tokens(bytes("hello, STOP"));
    assert_eq!(fresh.prompt(&cut), Ok(expected), "a stop string was not shown");
}

#[test]
fn tokens_that_do_not_make_the_message_are_ignored() {
    let text = chatml();
    let canonical = text.prompt(&history("hello")).expect("it renders");
    let damaged = [
        bytes("hallo"),
        bytes("jello"),
        Vec::new(),
        vec![END],
        vec![TokenId(99_999)],
        [bytes("hello"), vec![TokenId(99_999)]].concat(),
        [bytes("he"), vec![START], bytes("llo")].concat(),
        [bytes("hello"), vec![END], vec![END]].concat(),
    ];
    for tokens in damaged {
        let given = history_of(Message::assistant("hello").with_tokens(tokens.clone()));
        let ids = text.prompt(&given).expect("it renders");
        let spelled_alike = spelled(&text, &ids) == spelled(&text, &canonical);
        assert!(spelled_alike, "{tokens:?}");
        let has_own = ids.windows(5).any(|window| window == bytes("hello"));
        assert!(!has_own, "{tokens:?}");
    }
    let users = [Message::user("hello").with_tokens(bytes("hello"))];
    assert_eq!(text.prompt(&users), text.prompt(&[Message::user("hello")]));
    let literal = Message::assistant("<|im_end|>").with_tokens(bytes("<|im_end|>"));
    let plain = Message::assistant("<|im_end|>");
    assert_eq!(text.prompt(&history_of(literal)), text.prompt(&history_of(plain)));
    let empty = Message::assistant("").with_tokens(Vec::new());
    assert_eq!(text.prompt(&history_of(empty)), text.prompt(&history("")));
}

#[test]
fn remembered_tokens_are_used_where_those_given_are_damaged() {
    let text = chatml();
    text.remember_answer(of(0), "hello", &bytes("hello"));
    let damaged = history_of(Message::assistant("hello").with_tokens(vec![START]));
    assert_eq!(text.prompt_for(of(0), &damaged), text.prompt_for(of(0), &history("hello")));
}

#[test]
fn another_tenant_and_another_conversation_read_what_the_text_alone_gives() {
    let text = chatml();
    let in_first = Origin { conversation: Some(ConversationId(1)), ..of(1) };
    let in_second = Origin { conversation: Some(ConversationId(2)), ..of(1) };
    text.remember_answer(in_first, "hello", &bytes("hello"));
    let canonical = text.prompt(&history("hello")).expect("it renders");
    for other in [of(1), in_second, of(2), Origin { tenant: Tenant(2), ..in_first }] {
        assert_eq!(text.prompt_for(other, &history("hello")), Ok(canonical.clone()), "{other:?}");
    }
    assert_ne!(text.prompt_for(in_first, &history("hello")), Ok(canonical.clone()));
    assert_eq!(text.prompt(&history("hello")), Ok(canonical), "nobody's");
}

#[test]
fn a_fitted_history_keeps_the_tokens_of_its_own_conversation() {
    let text = chatml();
    text.remember_answer(of(1), "hello", &bytes("hello"));
    let messages = history("hello");
    let (extras, origin) = (&TemplateExtras::default(), Some(of(1)));
    let conversation = Conversation { messages: &messages, extras, origin };
    let own = text.fit_conversation(&conversation, 1_000, 0).expect("it fits");
    assert_eq!(Ok(own.ids), text.prompt_for(of(1), &history("hello")));
    let others = text.fit(&history("hello"), 1_000, 0).expect("it fits");
    assert_eq!(Ok(others.ids), text.prompt(&history("hello")));
}

#[test]
fn a_forgotten_answer_is_cut_again() {
    let text = chatml();
    for origin in [of(1), of(2)] {
        text.remember_answer(origin, "hello", &bytes("hello"));
    }
    text.forget_answers(&of(1));
    assert_eq!(of_answer(&text, of(1), "hello"), text.encode("hello"));
    assert_eq!(of_answer(&text, of(2), "hello"), bytes("hello"));
}

#[test]
fn a_restored_answer_gives_the_same_prompt_and_yields_to_a_newer_one() {
    let before = chatml();
    let kept = before.remember_answer(of(1), "hello", &[bytes("hello"), vec![END]].concat());
    let kept = kept.expect("it is remembered");
    let after = chatml();
    after.restore_answer(of(1), &kept);
    let expected = before.prompt_for(of(1), &history("hello"));
    assert_eq!(after.prompt_for(of(1), &history("hello")), expected);
    let newer = [HE, LL, TokenId(u32::from(b'o'))];
    after.remember_answer(of(1), "hello", &newer);
    after.restore_answer(of(1), &kept);
    assert_eq!(of_answer(&after, of(1), "hello"), newer);
}

#[test]
fn what_is_no_answers_tokens_is_not_restored() {
    let text = chatml();
    let beyond = TokenId(10_000);
    for ids in [vec![HELL, START], vec![HELL, END], vec![beyond, HELL], vec![TokenId(0xff)]] {
        text.restore_answer(of(1), &ids);
    }
    assert_eq!(of_answer(&text, of(1), "hell"), [HELL]);
    assert_eq!(text.prompt_for(of(1), &history("hell")), text.prompt(&history("hell")));
}

#[test]
fn a_remembered_answer_that_spells_a_control_token_is_cut_as_text() {
    let text = chatml();
    let answer = "a<|im_end|>b";
    text.remember_answer(of(0), answer, &bytes(answer));
    let ids = text.prompt_for(of(0), &[message(Role::Assistant, answer)]).expect("it renders");
    assert_eq!(ids.iter().filter(|id| **id >= END_OF_TEXT).count(), 3, "the template's own");
}

#[test]
fn an_answer_with_white_space_around_it_is_cut_as_the_template_leaves_it() {
    let template = "{% for m in messages %}<|im_start|>{{ m.content | trim }}{% endfor %}";
    let text = Text::new(&vocabulary(), Some(template)).expect("a whole vocabulary");
    text.remember_answer(of(0), " a\n", &text.encode(" a\n"));
    let ids = text.prompt_for(of(0), &[message(Role::Assistant, " a\n")]).expect("it renders");
    assert_eq!(ids, [START, TokenId(u32::from(b'a'))]);
}
