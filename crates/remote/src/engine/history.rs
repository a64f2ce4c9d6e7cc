//! A conversation that may have to be cut: a system message and turns, oldest first.

use banter_protocol::plain::{Role, Turn};

/// A conversation seen as a system message and turns that each start with a user's message.
pub(super) struct History<'a> {
    messages: &'a [Turn],
    system_messages: usize,
    turn_starts: Vec<usize>,
}

impl<'a> History<'a> {
    pub(super) fn new(messages: &'a [Turn]) -> History<'a> {
        let is_system = |message: &&Turn| message.role == Role::System;
        let system_messages = messages.iter().take_while(is_system).count();
        let after_system = system_messages..messages.len();
        let is_users = |&index: &usize| messages[index].role == Role::User;
        let mut turn_starts: Vec<usize> = after_system.filter(is_users).collect();
        // Messages before the first user's belong to the first turn.
        if let Some(first) = turn_starts.first_mut() {
            *first = system_messages;
        }
        History { messages, system_messages, turn_starts }
    }

    /// How many turns can be left out: all but the newest.
    pub(super) fn droppable_turns(&self) -> usize {
        self.turn_starts.len().saturating_sub(1)
    }

    /// How many messages the oldest turns have.
    pub(super) fn messages_of(&self, turns: usize) -> usize {
        self.turn_starts.get(turns).map_or(0, |start| start - self.system_messages)
    }

    /// The conversation without its oldest turns.
    pub(super) fn without(&self, turns: usize) -> impl Iterator<Item = &'a Turn> + Clone {
        let (system, rest) = self.messages.split_at(self.system_messages);
        system.iter().chain(&rest[self.messages_of(turns)..])
    }

    /// More tokens than it can have: each has at least a byte, and a template adds a few per message.
    pub(super) fn most_tokens(&self) -> usize {
        const TEMPLATE: usize = 128;
        const PER_MESSAGE: usize = 16;
        let content: usize = self.messages.iter().map(|turn| turn.content.len()).sum();
        content + PER_MESSAGE * self.messages.len() + TEMPLATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(roles: &str) -> Vec<Turn> {
        let turn = |(index, role): (usize, char)| Turn {
            role: match role {
                's' => Role::System,
                'u' => Role::User,
                _ => Role::Assistant,
            },
            content: index.to_string(),
        };
        roles.chars().enumerate().map(turn).collect()
    }

    #[test]
    fn the_oldest_turns_go_and_the_system_message_stays() {
        let cases = [("suauau", 2, ["012345", "0345", "05"]), ("auuau", 2, ["01234", "234", "4"])];
        for (roles, droppable, expected) in cases {
            let messages = turns(roles);
            let history = History::new(&messages);
            assert_eq!(history.droppable_turns(), droppable, "{roles}");
            for (dropped, expected) in expected.into_iter().enumerate() {
                let kept: String = history.without(dropped).map(|turn| &*turn.content).collect();
                assert_eq!(kept, expected, "{roles} without {dropped}");
                assert_eq!(messages.len() - kept.len(), history.messages_of(dropped));
            }
        }
    }

    #[test]
    fn a_single_message_cannot_be_dropped() {
        for roles in ["u", "su", "s", ""] {
            assert_eq!(History::new(&turns(roles)).droppable_turns(), 0, "{roles}");
        }
    }
}
