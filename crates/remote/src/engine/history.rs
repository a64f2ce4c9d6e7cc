//! A conversation whose oldest exchanges may have to be left out.

use banter_seam::{Conversation, Message, Role, ToolCall};
use serde_json::{Map, Value};
use unicode_normalization_alignments::char::is_combining_mark;

/// A conversation as a system message and exchanges. An exchange is a user's message and what
/// followed it.
pub(super) struct History<'a> {
    messages: &'a [Message],
    system_messages: usize,
    exchange_starts: Vec<usize>,
    /// What the engine's chat template reads beside the messages.
    template_fields: Map<String, Value>,
    /// Nothing may be left out.
    is_whole: bool,
}

/// A lower bound of the tokens, with any tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeastTokens {
    pub(super) all: usize,
    pub(super) newest: usize,
}

impl<'a> History<'a> {
    pub(super) fn new(messages: &'a [Message]) -> History<'a> {
        let is_system = |message: &&Message| message.role == Role::System;
        let system_messages = messages.iter().take_while(is_system).count();
        let after_system = system_messages..messages.len();
        let is_users = |&index: &usize| messages[index].role == Role::User;
        let mut exchange_starts: Vec<usize> = after_system.filter(is_users).collect();
        // Messages before the user's first belong to the first exchange.
        if let Some(first) = exchange_starts.first_mut() {
            *first = system_messages;
        }
        let (template_fields, is_whole) = (Map::new(), false);
        History { messages, system_messages, exchange_starts, template_fields, is_whole }
    }

    pub(super) fn of(
        conversation: &'a Conversation,
        template_fields: Map<String, Value>,
    ) -> History<'a> {
        let Conversation { messages, is_whole, .. } = conversation;
        History { template_fields, is_whole: *is_whole, ..History::new(messages) }
    }

    pub(super) fn template_fields(&self) -> &Map<String, Value> {
        &self.template_fields
    }

    /// How many exchanges can be left out: all but the newest, or none.
    pub(super) fn droppable_exchanges(&self) -> usize {
        if self.is_whole { 0 } else { self.exchange_starts.len().saturating_sub(1) }
    }

    /// How many messages the oldest exchanges have.
    pub(super) fn messages_of(&self, exchanges: usize) -> usize {
        self.exchange_starts.get(exchanges).map_or(0, |start| start - self.system_messages)
    }

    /// The conversation without its oldest exchanges.
    pub(super) fn without(&self, exchanges: usize) -> impl Iterator<Item = &'a Message> + Clone {
        let (system, rest) = self.messages.split_at(self.system_messages);
        system.iter().chain(&rest[self.messages_of(exchanges)..])
    }

    /// The lower bound for the conversation without its oldest exchanges.
    pub(super) fn least_tokens(&self, exchanges: usize) -> LeastTokens {
        let kept = self.without(exchanges);
        let newest = self.messages.last().map_or(0, |newest| least_tokens(&newest.content));
        LeastTokens { all: kept.map(|message| least_tokens(&message.content)).sum(), newest }
    }

    /// An upper bound of the tokens: each has at least one byte, and a template adds a few per
    /// message.
    pub(super) fn most_tokens(&self) -> usize {
        const TEMPLATE: usize = 128;
        const PER_MESSAGE: usize = 16;
        const SPACED: usize = 2;
        let of_call = |call: &ToolCall| call.name.len() + call.arguments.len() + PER_MESSAGE;
        let of_message = |message: &Message| {
            let calls: usize = message.tool_calls.iter().map(of_call).sum();
            let thinking = message.thinking.as_ref().map_or(0, String::len);
            message.content.len() + thinking + calls + PER_MESSAGE
        };
        let messages: usize = self.messages.iter().map(of_message).sum();
        // A template may write JSON with more white space.
        let fields = self.template_fields.values();
        let fields: usize = fields.map(|field| SPACED * field.to_string().len()).sum();
        messages + fields + TEMPLATE
    }
}

/// A lower bound of a text's tokens. Tokenizers first cut between words and numbers, and some take
/// "don't" for one word, or a letter with its marks. Within words and numbers, no token is longer
/// than what counts as one here: 16 letters, 4 characters of Chinese or Japanese, or 3 digits.
pub(super) fn least_tokens(text: &str) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum Run {
        Word,
        Digits,
        Other,
    }
    const LONGEST: usize = 48;
    let part = |c: char| match c {
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => {
            (Run::Word, LONGEST / 4)
        }
        c if c.is_alphabetic() => (Run::Word, LONGEST / 16),
        c if c.is_ascii_digit() => (Run::Digits, LONGEST / 3),
        _ => (Run::Other, 0),
    };
    let (mut tokens, mut run, mut length) = (0, Run::Other, 0);
    for c in text.chars() {
        let (next, size) = part(c);
        let joins = matches!(c, '\'' | '’') || is_combining_mark(c);
        if next == Run::Other && joins && run == Run::Word {
            continue;
        }
        if next != run || length + size > LONGEST {
            (run, length) = (next, 0);
            tokens += usize::from(run != Run::Other);
        }
        length += size;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(roles: &str) -> Vec<Message> {
        let message = |(index, role): (usize, char)| {
            let role = match role {
                's' => Role::System,
                'u' => Role::User,
                _ => Role::Assistant,
            };
            Message::new(role, index.to_string())
        };
        roles.chars().enumerate().map(message).collect()
    }

    #[test]
    fn the_oldest_exchanges_go_and_the_system_message_stays() {
        let cases = [("suauau", 2, ["012345", "0345", "05"]), ("auuau", 2, ["01234", "234", "4"])];
        for (roles, droppable, expected) in cases {
            let messages = messages(roles);
            let history = History::new(&messages);
            assert_eq!(history.droppable_exchanges(), droppable, "{roles}");
            for (dropped, expected) in expected.into_iter().enumerate() {
                let kept: String =
                    history.without(dropped).map(|message| &*message.content).collect();
                assert_eq!(kept, expected, "{roles} without {dropped}");
                assert_eq!(messages.len() - kept.len(), history.messages_of(dropped));
            }
        }
    }

    #[test]
    fn a_single_message_cannot_be_dropped() {
        for roles in ["u", "su", "s", ""] {
            assert_eq!(History::new(&messages(roles)).droppable_exchanges(), 0, "{roles}");
        }
    }

    #[test]
    fn the_least_tokens_are_fewer_than_any_tokenizer_makes() {
        let cases = [
            ("", 0),
            ("  \n\n...", 0),
            ("What color is the sky?", 5),
            ("don't we’ll", 2),
            ("cafe\u{301}s, cafés", 2),
            ("x你 Qwen模型", 2),
            ("1234567", 3),
            ("你好，世界", 2),
            ("中华人民共和国", 2),
            ("x2", 2),
        ];
        for (text, expected) in cases {
            assert_eq!(least_tokens(text), expected, "{text}");
        }
        // One long word may be few tokens.
        assert_eq!(least_tokens(&"x".repeat(160)), 10);
    }
}
