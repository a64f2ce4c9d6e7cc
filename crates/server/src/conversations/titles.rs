//! Titles for conversations that have none.
//!
//! A new conversation is named by its first words at once. A better title is written by the model
//! later, while it has nothing else to do: as soon as somebody asks for something, it is given up
//! and tried again when the model is idle again.

use super::history::History;
use super::state::{Conversations, Owner};
use crate::answers::{AnswerRequest, Keep, Question, Update, Urgency};
use banter_protocol::v1::{self, server::Change};
use banter_seam::{self as seam, ConversationNumber};
use banter_store::attached::{Parts, parts};
use banter_store::{Conversation, ConversationChange, Message, Role, TitleSource};
use futures_util::FutureExt;

/// The first words of a conversation are cut after this many characters.
const FIRST_CHARACTERS: usize = 60;
/// The model's title is cut after this many characters.
const TITLE_CHARACTERS: usize = 80;
const TITLE_TOKENS: u32 = 32;
/// How much of each message the model reads for a title.
const READ_CHARACTERS: usize = 1_000;
/// A title that was given up this often is not tried again.
const TRIES: u32 = 5;

/// The title of a conversation that begins with this message; `None` if it has no words. Files
/// count only if nothing else was sent: then it is their names.
pub(super) fn first_words(message: &str) -> Option<(String, TitleSource)> {
    let Parts { files, typed } = parts(message);
    let names: Vec<&str> = files.into_iter().map(|file| &message[file.name]).collect();
    let names = names.join(", ");
    let mut lines = message[typed].lines().chain([names.as_str()]).map(str::trim);
    let line = lines.find(|line| !line.is_empty())?;
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    Some((shortened(&words, FIRST_CHARACTERS), TitleSource::FirstWords))
}

/// The part of a message from which the model makes a title: the typed text, because it says more
/// about a conversation than the beginning of a file.
fn read_for_title(message: &str) -> String {
    let typed = &message[parts(message).typed];
    let read = if typed.trim().is_empty() { message } else { typed };
    read.chars().take(READ_CHARACTERS).collect()
}

/// A text of at most this many characters. It is cut between words, if one ends in its second half.
fn shortened(text: &str, characters: usize) -> String {
    let Some((cut, _)) = text.char_indices().nth(characters) else { return text.to_owned() };
    let kept = &text[..cut];
    let end = kept.rfind(' ').filter(|end| *end >= cut / 2).unwrap_or(cut);
    format!("{}…", kept[..end].trim_end())
}

/// The title that a model has written; `None` if it is none.
fn cleaned(written: &str) -> Option<String> {
    let line = written.lines().map(str::trim).find(|line| !line.is_empty())?;
    let is_around = |character: char| {
        character.is_whitespace() || "\"'“”‘’«»「」『』《》*#`:：。.".contains(character)
    };
    let title = line.trim_matches(is_around);
    let title: String = title.chars().filter(|character| !character.is_control()).collect();
    (!title.is_empty()).then(|| shortened(&title, TITLE_CHARACTERS))
}

impl Conversations {
    /// Lets the model write a title when it is idle, if the conversation has no better one.
    pub(super) fn title_later(&self, owner: Owner, conversation: Conversation) {
        let needs_one =
            matches!(conversation.title_source, TitleSource::None | TitleSource::FirstWords);
        let Ok(permit) = self.inner.titling.clone().try_acquire_owned() else { return };
        // A visitor has no list of conversations in which a title could stand.
        if !needs_one || owner.visits_with.is_some() || !self.writes_titles() {
            return;
        }
        let conversations = self.clone();
        let shutdown = self.inner.answers.shutdown();
        self.inner.tasks.spawn(async move {
            let titling = async {
                for _ in 0..TRIES {
                    conversations
                        .inner
                        .answers
                        .idle_for(conversations.inner.settings.title_idle)
                        .await;
                    if conversations.try_title(owner, &conversation).await.is_some() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = titling => {}
                () = shutdown.cancelled() => {}
            }
            drop(permit);
        });
    }

    /// Whether the model can write titles. The demo model is too small for it, and an engine of
    /// somebody else may cost money.
    fn writes_titles(&self) -> bool {
        let backend = self.inner.answers.backend();
        backend.is_ok_and(|backend| !backend.info().is_demo && backend.info().engine.is_none())
    }

    /// Writes a title; `None` if somebody else needs the model.
    async fn try_title(&self, owner: Owner, conversation: &Conversation) -> Option<()> {
        let store = &self.inner.store;
        let tree = store.tree(owner.user, conversation.id).await.ok()?;
        let mut messages = tree.messages;
        messages.truncate(2);
        if messages.len() < 2 || messages[1].role != Role::Assistant {
            return Some(());
        }
        let written = tokio::select! {
            written = self.write_title(owner, conversation, messages) => written?,
            () = self.inner.answers.busy() => return None,
        };
        let Some(title) = cleaned(&written) else { return Some(()) };
        let change = ConversationChange {
            title: Some((title, TitleSource::Model)),
            ..ConversationChange::default()
        };
        let _turn = self.inner.order.turn(conversation.id).await;
        if let Ok(changed) = store.change_conversation(owner.user, conversation.id, change).await {
            self.tell_changed(owner, &changed, Change::Updated);
        }
        Some(())
    }

    /// What the model writes as a title; `None` if it fails.
    async fn write_title(
        &self,
        owner: Owner,
        conversation: &Conversation,
        mut messages: Vec<Message>,
    ) -> Option<String> {
        for message in &mut messages {
            message.text = read_for_title(&message.text);
            message.tokens.clear();
        }
        let mut history =
            History::new(conversation.system.as_deref(), messages, &self.inner.settings);
        history.messages.push(seam::Message::user(
            "Write a title for this conversation: at most six words, in the language of the \
             conversation. Reply with the title only.",
        ));
        let parameters = v1::Parameters {
            max_tokens: Some(TITLE_TOKENS),
            temperature: Some(0.0),
            ..v1::Parameters::default()
        };
        let parameters = parameters.into_seam();
        let request = seam::GenerateRequest {
            // What is computed for the title is forgotten with the conversation.
            conversation: Some(ConversationNumber(conversation.number.get())),
            ..seam::GenerateRequest::new(history.messages, parameters, owner.asker)
        };
        let question = Question { request, stored: Vec::new() };
        let mut follower = self.inner.answers.start(AnswerRequest {
            question: std::future::ready(Ok(question)).boxed(),
            share: owner.asker.share,
            permits: None,
            memory: None,
            place: None,
            keep: Keep::WHILE_FOLLOWED,
            urgency: Urgency::WhenIdle,
            trace: None,
        });
        loop {
            match follower.next().await {
                Update::Ended(ended) if ended.has_failed() => return None,
                Update::Ended(_) => break,
                _ => {}
            }
        }
        Some(follower.answer().text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_named_by_the_first_words() {
        struct Case(&'static str, Option<&'static str>);
        let long = "Why is the sky blue in the day and red in the evening, and black at night?";
        let cases = [
            Case("", None),
            Case(" \n\t", None),
            Case("Hello", Some("Hello")),
            Case("\n  Hello   there\nsecond line", Some("Hello there")),
            Case(long, Some("Why is the sky blue in the day and red in the evening, and…")),
            Case("File: a.py\n```python\nprint(1)\n```\n\n为什么？\nWhy?", Some("为什么？")),
            Case("File: a.py\n```\nx\n```\n\nFile: 报告.md\n```\ny\n```", Some("a.py, 报告.md")),
            Case("File: a.py\n```\nx\n```\n\n \n", Some("a.py")),
            Case("File: a.py is broken", Some("File: a.py is broken")),
        ];
        for Case(message, title) in cases {
            let found = first_words(message).map(|(title, _)| title);
            assert_eq!(found.as_deref(), title, "{message}");
        }
        let chinese = "字".repeat(100);
        let (title, _) = first_words(&chinese).expect("it has words");
        assert_eq!(title, format!("{}…", "字".repeat(FIRST_CHARACTERS)));
    }

    #[test]
    fn for_a_title_the_typed_text_is_read_rather_than_files() {
        let file = format!("File: a.txt\n```\n{}\n```", "x".repeat(READ_CHARACTERS));
        assert_eq!(read_for_title(&format!("{file}\n\nWhy?")), "Why?");
        assert_eq!(read_for_title(&file), file[..READ_CHARACTERS]);
    }

    #[test]
    fn a_title_of_the_model_loses_what_stands_around_it() {
        let written = "\n\"**Blue skies**.\"\nIt is short.";
        assert_eq!(cleaned(written).as_deref(), Some("Blue skies"));
        assert_eq!(cleaned("《天空》").as_deref(), Some("天空"));
        assert_eq!(cleaned(" \"\" "), None);
    }
}
