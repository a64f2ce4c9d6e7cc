//! Messages and the answers to them: what is asked is stored, and then its answer is started.

use super::feed::News;
use super::history::History;
use super::state::{Conversations, Owner, RunningAnswer};
use super::wire::{self, SameId, v1_error};
use crate::answers::{AnswerRequest, Follower, LiveAnswer, Place, Question, Urgency};
use banter_protocol::v1::server::{Change, Changed};
use banter_protocol::v1::{self, ErrorCode, V1Error};
use banter_seam::{self as seam, Continuation, ConversationNumber, Failure};
use banter_store::{
    Ask, Asked, Continue, Conversation, ConversationId, How, Message, MessageId, NewConversation,
    Position, Role, State, Target,
};
use futures_util::FutureExt;
use std::sync::Arc;

/// Seeds that the server draws are below this, so that every program can read them as a number.
const SEED_LIMIT: u64 = 1 << 53;

/// A request for an answer.
pub(crate) struct Request {
    pub(crate) what: What,
    /// The client's name for it.
    pub(crate) client_id: String,
    pub(crate) parameters: v1::Parameters,
}

/// What is asked.
pub(crate) enum What {
    /// An answer to a new message.
    Message { text: String, place: MessagePlace },
    /// Another answer beside one that is there.
    Another { conversation: ConversationId, answer: MessageId },
    /// More of an answer that ended too early.
    More { conversation: ConversationId, answer: MessageId },
}

/// Where a new message comes.
pub(crate) enum MessagePlace {
    /// In a new conversation, with this system prompt.
    NewConversation { system: Option<String> },
    /// In a conversation that is there.
    In(ConversationId, Position),
}

/// A request that was accepted.
pub(crate) struct AcceptedRequest {
    pub(crate) accepted: v1::server::Accepted,
    pub(crate) conversation: ConversationId,
    /// Reads the answer, if it is being written.
    pub(crate) follower: Option<Follower>,
}

/// How an answer is going to be made.
struct Making {
    parameters: v1::Parameters,
    continues: Option<Continuation>,
}

impl Conversations {
    /// Stores what is asked and starts the answer. A request with a name that the user has used
    /// before starts nothing; its first result is returned.
    pub(crate) async fn ask(
        &self,
        owner: Owner,
        request: Request,
    ) -> Result<AcceptedRequest, V1Error> {
        self.check_visitor(owner, &request)?;
        let conversations = self.clone();
        self.to_the_end(async move {
            match request.what {
                What::More { conversation, answer } => {
                    conversations.go_on(owner, (conversation, answer), request).await
                }
                _ => conversations.ask_now(owner, request).await,
            }
        })
        .await
    }

    async fn ask_now(&self, owner: Owner, request: Request) -> Result<AcceptedRequest, V1Error> {
        let store = &self.inner.store;
        let existing = match &request.what {
            What::Message { place: MessagePlace::NewConversation { .. }, .. } => None,
            What::Message { place: MessagePlace::In(id, _), .. }
            | What::Another { conversation: id, .. }
            | What::More { conversation: id, .. } => Some(*id),
        };
        let own = match existing {
            None => v1::Parameters::default(),
            Some(id) => {
                let conversation = store.conversation(owner.user, id).await.map_err(v1_error)?;
                wire::parameters(conversation.parameters.as_ref())
            }
        };
        let given = wire::stored_parameters(&request.parameters);
        let parameters = request.parameters.over(&own);
        let (text, target) = match request.what {
            What::Message { text, place: MessagePlace::NewConversation { system } } => {
                let title = super::titles::first_words(&text);
                let new = NewConversation { title, system, parameters: given };
                (Some(text), Target::New(new))
            }
            What::Message { text, place: MessagePlace::In(id, position) } => {
                (Some(text), Target::Existing(id, position))
            }
            What::Another { conversation, answer } | What::More { conversation, answer } => {
                (None, Target::Existing(conversation, Position::Beside(answer)))
            }
        };
        let how = self.how(&parameters);
        let parameters = v1::Parameters { seed: how.seed, ..parameters };
        let _turn = match target {
            Target::Existing(id, _) => Some(self.inner.order.turn(id).await),
            Target::New(_) => None,
        };
        let ask = Ask { target, text, client_id: request.client_id.clone(), how };
        let asked = store.ask(owner.user, ask).await.map_err(v1_error)?;
        let is_new = existing.is_none();
        Ok(self.accept(owner, (asked, is_new), (request.client_id, Making::new(parameters))))
    }

    /// Goes on with an answer that ended too early.
    async fn go_on(
        &self,
        owner: Owner,
        (conversation, answer): (ConversationId, MessageId),
        request: Request,
    ) -> Result<AcceptedRequest, V1Error> {
        let store = &self.inner.store;
        let before = store.message(owner.user, conversation, answer).await.map_err(v1_error)?;
        let parameters = request.parameters.over(&wire::parameters(before.parameters.as_ref()));
        let how = How { seed: before.seed, ..self.how(&parameters) };
        if before.role == Role::Assistant {
            self.check_can_continue(&before)?;
        }
        let _turn = self.inner.order.turn(conversation).await;
        let stored = Continue { conversation, answer, client_id: request.client_id.clone(), how };
        let asked = store.continue_answer(owner.user, stored).await.map_err(v1_error)?;
        // Another request may have gone on with the answer since it was read above.
        let making = Making::going_on(parameters, (&asked.answer, before.state));
        Ok(self.accept(owner, (asked, false), (request.client_id, making)))
    }

    fn check_can_continue(&self, answer: &Message) -> Result<(), V1Error> {
        let backend = self.inner.answers.backend().map_err(V1Error::from)?;
        if answer.text.is_empty() && answer.tokens.is_empty() {
            return Ok(());
        }
        if !backend.can_continue() {
            let reason = "the engine behind this server cannot go on with an answer; ask for \
                          another one";
            return Err(V1Error::new(ErrorCode::Unavailable, reason));
        }
        if answer.tokens.is_empty() || answer.model.as_deref() != Some(&*backend.info().name) {
            let reason = "another model has written this answer, so this one cannot go on with \
                          it; ask for another one";
            return Err(V1Error::new(ErrorCode::Unavailable, reason));
        }
        Ok(())
    }

    /// How an answer is going to be made, as it is stored. The seed is drawn here, so that an
    /// answer can go on after the server was killed.
    fn how(&self, parameters: &v1::Parameters) -> How {
        let backend = self.inner.answers.backend().ok();
        let draws = backend.as_ref().is_some_and(|backend| backend.can_continue());
        let drawn = || draws.then(random_seed);
        How {
            model: backend.map(|backend| backend.info().name.clone()),
            parameters: wire::stored_parameters(parameters),
            seed: parameters.seed.or_else(drawn),
        }
    }

    /// Starts the answer to what was stored, and tells everybody.
    fn accept(
        &self,
        owner: Owner,
        (asked, is_new): (Asked, bool),
        (client_id, making): (String, Making),
    ) -> AcceptedRequest {
        let conversation = asked.conversation.id;
        let parent = match &asked.message {
            Some(message) => message.parent,
            None => asked.answer.parent,
        };
        let accepted = v1::server::Accepted {
            client_id: v1::ClientId::new(client_id).expect("it was checked when it was read"),
            conversation: conversation.other(),
            message: asked.message.as_ref().map(|message| message.id.other()),
            answer: asked.answer.id.other(),
            parent: parent.map(SameId::other),
            duplicate: asked.duplicate,
        };
        let follower = if asked.duplicate {
            let running = self.running().get(&asked.answer.id).cloned();
            running.and_then(|running| running.live.follow(Default::default()))
        } else {
            Some(self.start(owner, asked, (is_new, making)))
        };
        AcceptedRequest { accepted, conversation, follower }
    }

    fn start(&self, owner: Owner, asked: Asked, (is_new, making): (bool, Making)) -> Follower {
        let Asked { conversation, message, answer, .. } = asked;
        let change = if is_new { Change::Created } else { Change::Updated };
        self.tell_changed(owner, &conversation, change);
        if let Some(message) = message {
            self.tell_message(owner, conversation.id, (message, None));
        }
        let place = Place { store: self.inner.store.clone(), answer: answer.clone() };
        let question = self.clone().question(owner, conversation.clone(), (answer.parent, making));
        let follower = self.inner.answers.start(AnswerRequest {
            question: question.boxed(),
            share: owner.asker.share,
            permits: None,
            memory: None,
            place: Some(place),
            keep: self.inner.settings.keep,
            urgency: Urgency::Now,
            trace: None,
        });
        let (id, live) = (answer.id, follower.answer().clone());
        let running =
            RunningAnswer { user: owner.user, conversation: conversation.id, live: live.clone() };
        self.running().insert(id, running);
        self.tell_message(owner, conversation.id, (answer, Some((id, live.clone()))));
        let conversations = self.clone();
        self.inner.tasks.spawn(async move {
            live.settled().await;
            conversations.end_running(id, &live);
            conversations.after_an_answer(owner, conversation.id).await;
        });
        follower
    }

    /// What the model is asked.
    async fn question(
        self,
        owner: Owner,
        conversation: Conversation,
        (parent, making): (Option<MessageId>, Making),
    ) -> Result<Question, Failure> {
        let failed = |reason: &str| Failure::Internal { reason: reason.into() };
        let parent = parent.ok_or_else(|| failed("the answer has no message before it"))?;
        let branch = self.inner.store.path(owner.user, conversation.id, parent).await;
        let branch = branch.map_err(|error| failed(&v1_error(error).message))?;
        let system = self.system_prompt(owner, &conversation);
        let system = system.map_err(|error| failed(&error.message))?;
        let History { messages, stored } =
            History::new(system.as_deref(), branch, &self.inner.settings);
        let request = seam::GenerateRequest {
            conversation: Some(ConversationNumber(conversation.number.get())),
            continues: making.continues,
            ..seam::GenerateRequest::new(messages, making.parameters.into_seam(), owner.asker)
        };
        Ok(Question { request, stored })
    }

    /// Tells all sockets of a user that a conversation has changed.
    pub(super) fn tell_changed(&self, owner: Owner, conversation: &Conversation, change: Change) {
        let changed = Changed {
            conversation: conversation.id.other(),
            change,
            summary: Some(wire::conversation(conversation)),
            removed: None,
            removed_pair: None,
        };
        self.inner.feeds.tell(owner.user, conversation.id, News::Changed(Box::new(changed)));
    }

    fn tell_message(
        &self,
        owner: Owner,
        conversation: ConversationId,
        (message, live): (Message, Option<(MessageId, Arc<LiveAnswer>)>),
    ) {
        let seq = message.seq;
        let news = News::Message { seq, message: Box::new(wire::message(message)), live };
        self.inner.feeds.tell(owner.user, conversation, news);
    }

    /// An answer has ended: the conversation is newer, and may get a title.
    async fn after_an_answer(&self, owner: Owner, conversation: ConversationId) {
        let turn = self.inner.order.turn(conversation).await;
        if let Ok(conversation) = self.inner.store.conversation(owner.user, conversation).await {
            self.tell_changed(owner, &conversation, Change::Updated);
            drop(turn);
            self.title_later(owner, conversation);
        }
    }
}

impl Making {
    fn new(parameters: v1::Parameters) -> Making {
        Making { parameters, continues: None }
    }

    /// How an answer goes on. If it was cut at its length, it gets as many tokens again; if not, it
    /// gets those that are left, so that it becomes what it would have been.
    fn going_on(parameters: v1::Parameters, (answer, ended): (&Message, State)) -> Making {
        let all = parameters.clone().into_seam().max_tokens;
        let so_far = u32::try_from(answer.tokens.len()).unwrap_or(u32::MAX);
        let max_tokens = match ended {
            State::Length => all,
            _ => all.checked_sub(so_far).filter(|left| *left > 0).unwrap_or(all),
        };
        let continuation =
            Continuation { tokens: answer.tokens.clone(), text_bytes: answer.text.len() };
        let continues = (!answer.tokens.is_empty()).then_some(continuation);
        let parameters =
            v1::Parameters { max_tokens: Some(max_tokens), seed: answer.seed, ..parameters };
        Making { parameters, continues }
    }
}

fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u64::from_le_bytes(bytes) % SEED_LIMIT
}
