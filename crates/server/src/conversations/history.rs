//! What the model is told of a conversation.

use super::state::Settings;
use banter_seam as seam;
use banter_store::{Message, MessageId, Role};

/// The messages of a branch as a model gets them.
pub(super) struct History {
    pub(super) messages: Vec<seam::Message>,
    /// The stored ones of these messages, in the same order.
    pub(super) stored: Vec<MessageId>,
}

impl History {
    /// The history of a new conversation with this system prompt.
    pub(super) fn of_new(system: Option<&str>, settings: &Settings) -> History {
        let system = system.or(settings.system_prompt.as_deref()).filter(|text| !text.is_empty());
        let messages = system.map(seam::Message::system).into_iter().collect();
        History { messages, stored: Vec::new() }
    }

    /// The history of a branch, oldest message first, of a conversation with this system prompt.
    /// Answers without text say nothing and are left out.
    pub(super) fn new(system: Option<&str>, branch: Vec<Message>, settings: &Settings) -> History {
        let History { mut messages, mut stored } = History::of_new(system, settings);
        for message in branch {
            if message.text.is_empty() {
                continue;
            }
            stored.push(message.id);
            messages.push(match message.role {
                Role::User => seam::Message::user(message.text),
                Role::Assistant if message.tokens.is_empty() => {
                    seam::Message::assistant(message.text)
                }
                Role::Assistant => {
                    seam::Message::assistant(message.text).with_tokens(message.tokens)
                }
            });
        }
        History { messages, stored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Keep;
    use banter_store::{
        Ask, Conversation, How, NewConversation, Place, Position, Store, StoreConfig, Target,
        TitleSource,
    };
    use std::time::Duration;

    fn settings(system_prompt: Option<&str>) -> Settings {
        Settings {
            system_prompt: system_prompt.map(str::to_owned),
            keep: Keep::ToTheEnd,
            title_idle: Duration::ZERO,
            stores: false,
        }
    }

    /// A conversation with a question, an answer that is not begun, and another question.
    fn stored(system: Option<&str>) -> (Conversation, Vec<Message>) {
        let store = Store::open(StoreConfig::new(Place::Memory)).expect("a store");
        let user = store.ensure_user(crate::access::Principal::OPERATOR.user()).wait();
        let user = user.expect("a user").id;
        let new = NewConversation {
            title: Some(("title".into(), TitleSource::Person)),
            system: system.map(str::to_owned),
            parameters: None,
        };
        let ask = |target, text: &str, client_id: &str| Ask {
            target,
            text: Some(text.into()),
            client_id: client_id.into(),
            how: How::default(),
        };
        let first = store.ask(user, ask(Target::New(new), "first", "1")).wait().expect("asked");
        let id = first.conversation.id;
        let end =
            banter_store::Ending::new(banter_store::State::Stopped, banter_store::Reason::Stopped);
        store.finish_answer(first.answer.seq, end).wait().expect("finished");
        let target = Target::Existing(id, Position::AtLeaf);
        let second = store.ask(user, ask(target, "second", "2")).wait().expect("asked");
        let question = second.message.expect("a message").id;
        let branch = store.path(user, id, question).wait().expect("a branch");
        (second.conversation, branch)
    }

    #[test]
    fn an_answer_without_text_says_nothing_and_is_not_told() {
        let (conversation, branch) = stored(None);
        assert_eq!(branch.len(), 3);
        let history = History::new(conversation.system.as_deref(), branch.clone(), &settings(None));
        let told = [seam::Message::user("first"), seam::Message::user("second")];
        assert_eq!(history.messages, told);
        assert_eq!(history.stored, [branch[0].id, branch[2].id]);
    }

    #[test]
    fn the_conversations_system_prompt_comes_before_the_operators() {
        for (own, operators, expected) in [
            (Some("own"), Some("operator"), Some("own")),
            (None, Some("operator"), Some("operator")),
            (Some(""), Some("operator"), None),
            (None, None, None),
        ] {
            let (conversation, branch) = stored(own);
            let history =
                History::new(conversation.system.as_deref(), branch, &settings(operators));
            let system = history.messages.iter().find(|told| told.role == seam::Role::System);
            assert_eq!(system.map(|told| told.content.as_str()), expected, "{own:?} {operators:?}");
        }
    }
}
