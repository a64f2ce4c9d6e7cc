//! What a socket knows and does.

use super::outbound::Outbound;
use super::readings::{MAX_STOPS, Read, Readings, Shows};
use super::requests::{self, Caller, Outcome};
use super::state::V1;
use super::user::{Followed, User};
use crate::answers::LiveAnswer;
use crate::conversations::{Missed, News, NewsOf, Opened, Opening, Owner, Running, SameId};
use crate::shares::Reservation;
use crate::socket::Close;
use banter_protocol::v1::client::{Draft, Stop};
use banter_protocol::v1::server::{self, Change, MessageAdded};
use banter_protocol::v1::{self, ClientEvent, ErrorCode, ServerEvent, Tag, Tagged, V1Error};
use banter_store::{ConversationId, MessageId};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// More events than this cannot wait.
const MAX_WAITING: usize = 64;

/// The state of one socket.
pub(super) struct Session {
    v1: Arc<V1>,
    caller: Caller,
    /// Events that wait for what is being done.
    waiting: VecDeque<WaitingEvent>,
    /// Answers that this socket has asked for and has not been told of as messages yet.
    asked: HashSet<MessageId>,
    draft_key: u64,
    pub(super) pending: Pending,
    pub(super) outbound: Outbound,
    /// Cancelled when the key that came with the hello lets in no more.
    pub(super) revoked: CancellationToken,
}

/// Everything that a socket waits for, beside frames.
#[derive(Default)]
pub(super) struct Pending {
    /// The user, once the client has said hello.
    user: Option<User>,
    /// What is being done for the client, one after another.
    doing: Option<Doing>,
    readings: Readings,
    /// Stops of answers that this socket does not follow.
    stops: FuturesUnordered<BoxFuture<'static, Tagged<ServerEvent>>>,
    drafting: Option<BoxFuture<'static, ()>>,
}

/// An event that waits for those before it.
struct WaitingEvent {
    event: Tagged<ClientEvent>,
    _memory: Reservation,
}

/// What is being done. Its texts may still wait for the store.
struct Doing {
    work: BoxFuture<'static, Outcome>,
    tag: Option<Tag>,
    /// The news that come from here on are new to the client.
    since: u64,
    _memory: Reservation,
}

/// What happens next.
pub(super) enum Next {
    /// The loop goes on.
    GoOn,
    Close(Close),
    Done(Outcome),
    Read(Read),
    News(Result<Arc<NewsOf>, Missed>),
    Stopped(Tagged<ServerEvent>),
    Drafted,
}

impl Session {
    pub(super) fn new(v1: Arc<V1>, caller: Caller) -> Session {
        let mut key = [0; 8];
        getrandom::fill(&mut key).expect("the system has random numbers");
        Session {
            v1,
            caller,
            waiting: VecDeque::new(),
            asked: HashSet::new(),
            draft_key: u64::from_le_bytes(key),
            pending: Pending::default(),
            outbound: Outbound::default(),
            revoked: CancellationToken::new(),
        }
    }

    /// Whether the client has said hello. The greeting may still wait for the store.
    pub(super) fn has_said_hello(&self) -> bool {
        self.pending.doing.is_some() || self.pending.user.is_some()
    }

    /// Sends an event without a tag.
    pub(super) fn say(&mut self, event: impl Into<ServerEvent>) {
        self.reply(event.into(), None);
    }

    fn reply(&mut self, event: ServerEvent, tag: Option<Tag>) {
        self.outbound.push(event.tagged(tag).to_json());
    }

    fn refuse(&mut self, error: impl Into<V1Error>, tag: Option<Tag>) {
        self.reply(ServerEvent::Error(error.into()), tag);
    }

    /// Reads a frame of the client.
    pub(super) fn read(&mut self, frame: &str) {
        let event = match v1::parse(frame) {
            Ok(event) => event,
            Err(Tagged { event, tag }) => return self.refuse(event, tag),
        };
        if let Some(event) = self.do_at_once(event) {
            self.wait(event, frame.len());
        }
    }

    /// Does what waits for nothing but the greeting: stops and drafts. Returns any other event.
    fn do_at_once(&mut self, event: Tagged<ClientEvent>) -> Option<Tagged<ClientEvent>> {
        let Tagged { event, tag } = event;
        match event {
            ClientEvent::Stop(stop) if self.pending.user.is_some() => self.stop(stop, tag),
            ClientEvent::Draft(draft) if self.pending.user.is_some() => self.draft(draft),
            event => return Some(Tagged { event, tag }),
        }
        None
    }

    /// Lets an event wait for those before it.
    fn wait(&mut self, event: Tagged<ClientEvent>, bytes: usize) {
        let memory = self.v1.queue_budget.take(self.caller.share(), bytes);
        match memory {
            Some(memory) if self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back(WaitingEvent { event, _memory: memory });
                self.go_on();
            }
            _ => {
                let reason = "too much waits on this socket; wait for a reply first";
                self.refuse(V1Error::new(ErrorCode::Busy, reason), event.tag);
            }
        }
    }

    /// Does what waits, up to something that takes a while.
    fn go_on(&mut self) {
        while self.pending.doing.is_none()
            && let Some(WaitingEvent { event, _memory }) = self.waiting.pop_front()
        {
            // Stops and drafts are among these if they came before the greeting.
            let Some(Tagged { event, tag }) = self.do_at_once(event) else { continue };
            match self.begin(event) {
                Ok(work) => {
                    let since = self.pending.user.as_ref().map_or(0, |user| user.news.latest());
                    self.pending.doing = Some(Doing { work, tag, since, _memory });
                }
                Err(reply) => self.reply(*reply, tag),
            }
        }
        if self.waiting.is_empty() {
            // An idle socket holds no memory for events.
            self.waiting = VecDeque::new();
        }
    }

    /// Begins what an event asks for. A reply that needs no work is the error.
    fn begin(
        &mut self,
        event: ClientEvent,
    ) -> Result<BoxFuture<'static, Outcome>, Box<ServerEvent>> {
        let v1 = self.v1.clone();
        let refused = |code: ErrorCode| Box::new(ServerEvent::Error(code.into()));
        let Some(user) = &self.pending.user else {
            return match event {
                ClientEvent::Hello(hello) => {
                    Ok(requests::hello(v1, self.caller.clone(), hello).boxed())
                }
                _ => Err(refused(ErrorCode::HelloFirst)),
            };
        };
        let owner = user.owner;
        Ok(match event {
            ClientEvent::Hello(_) => return Err(refused(ErrorCode::HelloAgain)),
            ClientEvent::Ping => return Err(Box::new(ServerEvent::Pong)),
            event if user.follows_too_many(&event) => {
                let reason = "this socket follows as many conversations as it may; close one";
                let error = V1Error::new(ErrorCode::Busy, reason);
                return Err(Box::new(ServerEvent::Error(error)));
            }
            ClientEvent::Open(open) => requests::open(v1, owner, open).boxed(),
            ClientEvent::Close(close) => {
                let id = close.conversation.other();
                std::future::ready(Outcome::Closed(id)).boxed()
            }
            ClientEvent::Send(send) => self.ask(owner, requests::send(send)),
            ClientEvent::Edit(edit) => self.ask(owner, requests::edit(edit)),
            ClientEvent::Regenerate(again) => self.ask(owner, requests::regenerate(again)),
            ClientEvent::Continue(more) => self.ask(owner, requests::go_on(more)),
            ClientEvent::Resume(resume) => requests::resume(v1, owner, resume).boxed(),
            ClientEvent::Stop(_) | ClientEvent::Draft(_) => {
                unreachable!("those of a client that was greeted are done at once")
            }
        })
    }

    fn ask(
        &mut self,
        owner: Owner,
        request: crate::conversations::Request,
    ) -> BoxFuture<'static, Outcome> {
        self.pending.drafting = None;
        requests::ask(self.v1.clone(), owner, request).boxed()
    }

    /// Stops an answer at once. The reply comes when it has halted.
    fn stop(&mut self, stop: Stop, tag: Option<Tag>) {
        let Some(user) = &self.pending.user else { return };
        let (owner, answer) = (user.owner, stop.answer.other());
        let live = self.v1.conversations.stop(owner, answer);
        if live.is_some() && self.pending.readings.tag_end(answer, tag.as_ref()) {
            return;
        }
        self.tell_end((owner, answer), live, tag);
    }

    /// Tells the end of an answer that is not read, once it has halted.
    fn tell_end(
        &mut self,
        (owner, answer): (Owner, MessageId),
        live: Option<Arc<LiveAnswer>>,
        tag: Option<Tag>,
    ) {
        if self.pending.stops.len() >= MAX_STOPS {
            let reason = "too many stops wait for their answers; wait for a reply first";
            return self.refuse(V1Error::new(ErrorCode::Busy, reason), tag);
        }
        let v1 = self.v1.clone();
        let stopped = async move {
            if let Some(live) = live {
                live.halted().await;
            }
            requests::stopped(v1, owner, answer).await.tagged(tag)
        };
        self.pending.stops.push(stopped.boxed());
    }

    /// Ends the readings of a conversation. The stops that wait there are answered all the same:
    /// with the end that a new reading comes to, or that is stored.
    fn end_readings(&mut self, id: ConversationId, new: Vec<Running>) {
        let stops = self.pending.readings.end(id);
        for running in new {
            let ids = (id, running.answer);
            self.pending.readings.begin(ids, running.follower, Shows::Everything);
        }
        let Some(owner) = self.pending.user.as_ref().map(|user| user.owner) else { return };
        for (answer, tag) in stops {
            if !self.pending.readings.tag_end(answer, tag.as_ref()) {
                self.tell_end((owner, answer), None, tag);
            }
        }
    }

    fn draft(&mut self, draft: Draft) {
        let Some(user) = &self.pending.user else { return };
        self.pending.drafting = None;
        // What strangers type on another site's page costs nothing until they send it.
        if user.owner.visits_with.is_some() {
            return;
        }
        if !draft.text.is_empty() {
            let drafting = requests::draft(self.v1.clone(), user.owner, draft, self.draft_key);
            self.pending.drafting = Some(drafting.boxed());
        }
    }

    /// Does what has happened.
    pub(super) fn take(&mut self, next: Next) -> Next {
        match next {
            Next::GoOn | Next::Close(_) => return next,
            Next::Done(outcome) => {
                let doing =
                    self.pending.doing.take().expect("an outcome comes from what is being done");
                if let Some(close) = self.done(outcome, doing) {
                    return Next::Close(close);
                }
                // The news about a request come before everything else about its answer, whatever
                // is done next.
                if self.pending.doing.is_none() && self.tell_news().is_err() {
                    return Next::Close(Close::TooFarBehind);
                }
                self.go_on();
            }
            Next::News(Ok(news)) => self.tell(&news),
            Next::News(Err(Missed)) => return Next::Close(Close::TooFarBehind),
            Next::Read(read) => {
                for event in self.pending.readings.take(read) {
                    self.outbound.push(event.to_json());
                }
            }
            Next::Stopped(event) => self.outbound.push(event.to_json()),
            Next::Drafted => self.pending.drafting = None,
        }
        Next::GoOn
    }

    /// Tells the client what has come of its event.
    fn done(&mut self, outcome: Outcome, doing: Doing) -> Option<Close> {
        let (tag, since) = (doing.tag.clone(), doing.since);
        match outcome {
            Outcome::Said(said) => self.reply_all(said, tag),
            Outcome::Greeted { owner, welcome, revoked } => {
                self.revoked = revoked;
                let news = self.v1.conversations.subscribe(owner.user);
                self.pending.user = Some(User { owner, news, followed: HashMap::new() });
                self.reply(ServerEvent::Welcome(welcome), tag);
            }
            Outcome::Unauthorized => {
                self.refuse(ErrorCode::Unauthorized, tag);
                return Some(Close::Policy("the key is wrong, or one is needed"));
            }
            Outcome::Opened(id, opened) => {
                let conversation = opened.conversation.clone();
                self.reply(ServerEvent::Opened(Box::new(server::Opened { conversation })), tag);
                self.show_messages(id, opened, doing);
            }
            Outcome::OpenedOn(id, opened) => self.show_messages(id, opened, doing),
            Outcome::CannotOpenOn(id, error) => {
                if let Some(user) = &mut self.pending.user {
                    user.followed.remove(&id);
                }
                self.refuse(error, tag);
            }
            Outcome::Closed(id) => {
                self.pending.readings.hide(id);
                if let Some(user) = &mut self.pending.user {
                    user.followed.remove(&id);
                }
                let closed = server::Closed { conversation: id.other() };
                self.reply(ServerEvent::Closed(closed), tag);
            }
            Outcome::Accepted(accepted) => {
                let id = accepted.conversation;
                let answer = accepted.accepted.answer.other();
                self.reply(ServerEvent::Accepted(accepted.accepted), tag);
                if let Some(user) = &mut self.pending.user {
                    user.followed.entry(id).or_insert(Followed { since, newest: None });
                }
                if let Some(follower) = accepted.follower {
                    self.pending.readings.begin((id, answer), follower, Shows::Everything);
                    self.asked.insert(answer);
                }
            }
            Outcome::Resumed { ids, said, follower, with_thinking } => {
                self.reply_first(said, tag);
                if let Some(follower) = follower {
                    let shows = if with_thinking { Shows::Everything } else { Shows::NoThinking };
                    self.pending.readings.begin(ids, follower, shows);
                }
            }
        }
        None
    }

    /// Sends messages of a conversation that is being opened. If they are not the last ones, the
    /// next ones are read when the client has taken these. Until then the client is told nothing
    /// else of the conversation.
    fn show_messages(&mut self, id: ConversationId, mut opened: Box<Opened>, doing: Doing) {
        self.reply_all(requests::messages_frames(&mut opened), doing.tag.clone());
        if !opened.more {
            return self.follow_opened(id, *opened, doing.since);
        }
        let Some(user) = &self.pending.user else { return };
        let opening = Opening { newest: opened.newest, running: opened.running };
        let work = requests::open_on(self.v1.clone(), user.owner, id, opening).boxed();
        self.pending.readings.hide(id);
        self.pending.doing = Some(Doing { work, ..doing });
    }

    fn follow_opened(&mut self, id: ConversationId, opened: Opened, since: u64) {
        let Some(user) = &mut self.pending.user else { return };
        user.followed.insert(id, Followed { since, newest: opened.newest });
        self.end_readings(id, opened.running);
    }

    /// Sends events that all are the direct reply.
    fn reply_all(&mut self, events: Vec<ServerEvent>, tag: Option<Tag>) {
        for event in events {
            self.reply(event, tag.clone());
        }
    }

    /// Sends events of which the first is the direct reply.
    fn reply_first(&mut self, events: Vec<ServerEvent>, mut tag: Option<Tag>) {
        for event in events {
            self.reply(event, tag.take());
        }
    }

    /// Tells the client all news that are there.
    fn tell_news(&mut self) -> Result<(), Missed> {
        loop {
            let Some(user) = &mut self.pending.user else { return Ok(()) };
            match user.news.next().now_or_never() {
                Some(news) => self.tell(&*news?),
                None => return Ok(()),
            }
        }
    }

    /// Tells the client what has happened elsewhere.
    fn tell(&mut self, news: &NewsOf) {
        let Some(user) = &mut self.pending.user else { return };
        let number = user.news.position() - 1;
        let id = news.conversation;
        match &news.news {
            News::Changed(changed) => {
                if changed.change == Change::Deleted {
                    user.followed.remove(&id);
                    self.end_readings(id, Vec::new());
                }
                self.say(ServerEvent::Changed(changed.clone()));
            }
            News::Message { seq, message, live } => {
                let Some(followed) = user.followed.get_mut(&id) else { return };
                // An answer that this socket has just asked for is told, although it is read.
                let is_read = live.as_ref().is_some_and(|(answer, _)| {
                    self.pending.readings.shows(*answer) && !self.asked.remove(answer)
                });
                let was_seen = followed.newest.is_some_and(|newest| newest >= *seq);
                if number < followed.since || was_seen && (live.is_none() || is_read) {
                    return;
                }
                followed.newest = followed.newest.max(Some(*seq));
                let added = MessageAdded { conversation: id.other(), message: (**message).clone() };
                self.say(ServerEvent::Message(Box::new(added)));
                let Some((answer, live)) = live else { return };
                if self.pending.readings.shows(*answer) {
                    return;
                }
                let offsets = crate::answers::Offsets {
                    text: message.text.len(),
                    thinking: message.thinking.as_ref().map_or(0, String::len),
                };
                if let Some(follower) = live.follow(offsets) {
                    self.pending.readings.begin((id, *answer), follower, Shows::Everything);
                }
            }
        }
    }
}

impl Pending {
    /// Waits for what happens next. The future may be dropped at any time; nothing is lost.
    pub(super) async fn next(&mut self) -> Next {
        let is_idle = self.doing.is_none();
        tokio::select! {
            biased;
            outcome = outcome_of(&mut self.doing) => Next::Done(outcome),
            // The reply to a request comes before the news about it.
            news = news_of(&mut self.user), if is_idle => Next::News(news),
            read = self.readings.next() => Next::Read(read),
            Some(stopped) = self.stops.next() => Next::Stopped(stopped),
            () = drafted(&mut self.drafting) => Next::Drafted,
        }
    }
}

/// The outcome of what is being done. Never ready when there is nothing.
async fn outcome_of(doing: &mut Option<Doing>) -> Outcome {
    match doing {
        Some(doing) => (&mut doing.work).await,
        None => std::future::pending().await,
    }
}

async fn news_of(user: &mut Option<User>) -> Result<Arc<NewsOf>, Missed> {
    match user {
        Some(user) => user.news.next().await,
        None => std::future::pending().await,
    }
}

async fn drafted(drafting: &mut Option<BoxFuture<'static, ()>>) {
    match drafting {
        Some(drafting) => drafting.await,
        None => std::future::pending().await,
    }
}
