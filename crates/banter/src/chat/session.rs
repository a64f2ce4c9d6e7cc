//! What a chat must remember to go on after its socket was lost: nothing is lost, nothing doubled.
//!
//! A [`Session`] sees every event that is sent and every event that comes. It has no socket and no
//! clock, so a table can test it. It knows the requests that were not accepted yet, the answer that
//! is being written with the number of its bytes that were shown, and a stop that was not
//! confirmed.

use banter_protocol::v1::client::{
    ClientEvent, Close, Continue, EditMessage, Regenerate, Resume, SendMessage, Stop,
};
use banter_protocol::v1::server::{Accepted, Delta, Finished};
use banter_protocol::v1::{ClientId, ConversationId, MessageId, ServerEvent};

/// A request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `send`, `edit`, `regenerate` or `continue`.
    pub event: ClientEvent,
    /// What is shown already of the answer: something only with `continue`.
    pub shown: Shown,
}

/// How many bytes of an answer are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Bytes of its text.
    pub text: u64,
    /// Bytes of what the model thought.
    pub thinking: u64,
}

/// An answer that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    answer: MessageId,
    shown: Shown,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Session {
    unaccepted: Option<Request>,
    live: Option<Live>,
    stop_wanted: bool,
    /// The conversation whose news the socket brings.
    followed: Option<ConversationId>,
}

/// What an event of the server means for the chat.
#[derive(Debug, Default, PartialEq)]
pub struct Meaning {
    /// What the person has to see of it. `None` if it belongs to something else, or was shown
    /// before.
    pub show: Option<ServerEvent>,
    /// What has to be sent because of it.
    pub ask: Vec<ClientEvent>,
}

impl Meaning {
    fn show(event: ServerEvent) -> Meaning {
        Meaning { show: Some(event), ask: Vec::new() }
    }

    fn ask(event: ClientEvent) -> Meaning {
        Meaning { show: None, ask: vec![event] }
    }
}

impl Session {
    /// Whether an answer is awaited or written.
    pub fn is_busy(&self) -> bool {
        self.unaccepted.is_some() || self.live.is_some()
    }

    /// A request is made. There is one at a time.
    pub fn request(&mut self, request: Request) {
        self.unaccepted = Some(request);
        self.stop_wanted = false;
    }

    /// Follows an answer that is being written. Returns what to send for it.
    pub fn follow(&mut self, answer: MessageId, shown: Shown) -> ClientEvent {
        self.live = Some(Live { answer, shown });
        self.stop_wanted = false;
        resume(answer, shown)
    }

    /// The person wants the answer to stop. Returns what to send now, if the answer is known.
    pub fn stop(&mut self) -> Option<ClientEvent> {
        self.stop_wanted = self.is_busy();
        let live = self.live?;
        Some(stop(live.answer))
    }

    /// What has to be sent on a new socket, behind `hello`.
    pub fn on_connected(&mut self) -> Vec<ClientEvent> {
        self.followed = None;
        let request = self.unaccepted.iter().map(|request| request.event.clone());
        let live = self.live.iter();
        let resume = live.clone().map(|live| resume(live.answer, live.shown));
        let stop = live.filter(|_| self.stop_wanted).map(|live| stop(live.answer));
        request.chain(resume).chain(stop).collect()
    }

    /// The server refuses the request, so it is not sent again.
    pub fn give_up(&mut self) {
        *self = Session { followed: self.followed, ..Session::default() };
    }

    /// An event has come. `is_reply` says that it is the direct reply to the request.
    pub fn received(&mut self, event: ServerEvent, is_reply: bool) -> Meaning {
        match event {
            ServerEvent::Accepted(accepted) => self.accepted(accepted),
            ServerEvent::Delta(delta) => self.grown(delta, Text::Answer),
            ServerEvent::Thinking(delta) => self.grown(delta, Text::Thinking),
            ServerEvent::Finished(finished) => self.finished(finished),
            ServerEvent::Reset(reset) if self.is_live(reset.answer) => {
                self.give_up();
                Meaning::show(ServerEvent::Reset(reset))
            }
            ServerEvent::Error(_) if is_reply && self.unaccepted.is_some() => {
                self.give_up();
                Meaning::show(event)
            }
            ServerEvent::Queued(ref queued) if self.is_live(queued.answer) => Meaning::show(event),
            ServerEvent::Context(ref context) if self.is_live(context.answer) => {
                Meaning::show(event)
            }
            ServerEvent::GoingAway(_) | ServerEvent::Changed(_) => Meaning::show(event),
            _ => Meaning::default(),
        }
    }

    fn is_live(&self, answer: MessageId) -> bool {
        self.live.is_some_and(|live| live.answer == answer)
    }

    fn accepted(&mut self, accepted: Accepted) -> Meaning {
        let is_ours = |request: &mut Request| {
            client_id(&request.event).is_some_and(|id| *id == accepted.client_id)
        };
        let Some(request) = self.unaccepted.take_if(is_ours) else { return Meaning::default() };
        let live = Live { answer: accepted.answer, shown: request.shown };
        self.live = Some(live);
        let mut ask = Vec::new();
        let earlier = self.followed.replace(accepted.conversation);
        if let Some(conversation) = earlier.filter(|id| *id != accepted.conversation) {
            ask.push(ClientEvent::Close(Close { conversation }));
        }
        if accepted.duplicate {
            // It was accepted on a socket that is lost, so nobody follows it on this one.
            ask.push(resume(live.answer, live.shown));
        }
        if self.stop_wanted {
            ask.push(stop(live.answer));
        }
        Meaning { show: Some(ServerEvent::Accepted(accepted)), ask }
    }

    fn grown(&mut self, delta: Delta, text: Text) -> Meaning {
        let Some(live) = self.live.as_mut().filter(|live| live.answer == delta.answer) else {
            return Meaning::default();
        };
        let shown = match text {
            Text::Answer => &mut live.shown.text,
            Text::Thinking => &mut live.shown.thinking,
        };
        if delta.at > *shown {
            return Meaning::ask(resume(live.answer, live.shown));
        }
        let known = usize::try_from(*shown - delta.at).unwrap_or(usize::MAX);
        let new = delta.text.get(known..).unwrap_or_default().to_owned();
        if new.is_empty() {
            return Meaning::default();
        }
        let at = *shown;
        *shown += new.len() as u64;
        let delta = Delta { at, text: new, ..delta };
        Meaning::show(match text {
            Text::Answer => ServerEvent::Delta(delta),
            Text::Thinking => ServerEvent::Thinking(delta),
        })
    }

    fn finished(&mut self, finished: Box<Finished>) -> Meaning {
        let Some(live) = self.live.filter(|live| live.answer == finished.answer) else {
            return Meaning::default();
        };
        if finished.bytes > live.shown.text {
            // A stop is answered also on a socket that does not follow the answer.
            return Meaning::ask(resume(live.answer, live.shown));
        }
        self.live = None;
        self.stop_wanted = false;
        Meaning::show(ServerEvent::Finished(finished))
    }
}

#[derive(Clone, Copy)]
enum Text {
    Answer,
    Thinking,
}

fn stop(answer: MessageId) -> ClientEvent {
    ClientEvent::Stop(Stop { answer })
}

fn resume(answer: MessageId, shown: Shown) -> ClientEvent {
    ClientEvent::Resume(Resume { answer, at: shown.text, thinking_at: Some(shown.thinking) })
}

/// The name that a client gave a request.
pub fn client_id(event: &ClientEvent) -> Option<&ClientId> {
    match event {
        ClientEvent::Send(SendMessage { client_id, .. })
        | ClientEvent::Edit(EditMessage { client_id, .. })
        | ClientEvent::Regenerate(Regenerate { client_id, .. })
        | ClientEvent::Continue(Continue { client_id, .. }) => Some(client_id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_protocol::Settable;
    use banter_protocol::v1::client::MessageText;
    use banter_protocol::v1::server::{Reset, ResetReason};
    use banter_protocol::v1::{ErrorCode, Parameters, V1Error};

    fn conversation() -> ConversationId {
        ConversationId::from_bits(1)
    }

    fn answer() -> MessageId {
        MessageId::from_bits(2)
    }

    fn send() -> Request {
        let event = ClientEvent::Send(SendMessage {
            conversation: None,
            parent: Settable::Missing,
            text: MessageText::new("hello").expect("not empty"),
            client_id: ClientId::new("one").expect("short"),
            system: None,
            parameters: Parameters::default(),
        });
        Request { event, shown: Shown::default() }
    }

    fn accepted(duplicate: bool) -> ServerEvent {
        ServerEvent::Accepted(Accepted {
            client_id: ClientId::new("one").expect("short"),
            conversation: conversation(),
            message: None,
            answer: answer(),
            parent: None,
            duplicate,
        })
    }

    fn delta(at: u64, text: &str) -> ServerEvent {
        let (conversation, answer) = (conversation(), answer());
        ServerEvent::Delta(Delta { conversation, answer, at, text: text.to_owned() })
    }

    fn finished(bytes: u64) -> ServerEvent {
        let json = serde_json::json!({
            "type": "finished", "conversation": conversation(), "answer": answer(),
            "state": "complete", "bytes": bytes, "thinking_bytes": 0, "reason": "end",
            "seed": null,
        });
        serde_json::from_value(json).expect("an event")
    }

    fn resume_at(at: u64) -> ClientEvent {
        resume(answer(), Shown { text: at, thinking: 0 })
    }

    /// The text that is shown of these events, and what is asked because of them.
    fn play(session: &mut Session, events: Vec<ServerEvent>) -> (String, Vec<ClientEvent>) {
        let (mut text, mut asked) = (String::new(), Vec::new());
        for event in events {
            let meaning = session.received(event, true);
            if let Some(ServerEvent::Delta(delta)) = meaning.show {
                text.push_str(&delta.text);
            }
            asked.extend(meaning.ask);
        }
        (text, asked)
    }

    fn requested() -> Session {
        let mut session = Session::default();
        session.request(send());
        session
    }

    #[test]
    fn a_conversation_that_is_left_is_closed() {
        let mut session = Session::default();
        let mut ask_in = |conversation| {
            session.request(send());
            let ServerEvent::Accepted(accepted) = accepted(false) else { unreachable!() };
            let meaning = session
                .received(ServerEvent::Accepted(Accepted { conversation, ..accepted }), true);
            session.received(finished(0), false);
            meaning.ask
        };
        let (first, second) = (conversation(), ConversationId::from_bits(9));
        assert_eq!(ask_in(first), []);
        assert_eq!(ask_in(first), []);
        assert_eq!(ask_in(second), [ClientEvent::Close(Close { conversation: first })]);
        session.on_connected();
        session.request(send());
        assert_eq!(session.received(accepted(false), true).ask, [], "the socket is a new one");
    }

    #[test]
    fn a_request_is_repeated_until_it_is_accepted() {
        let mut session = requested();
        assert_eq!(session.on_connected(), [send().event]);
        let (_, asked) = play(&mut session, vec![accepted(true)]);
        assert_eq!(asked, [resume_at(0)]);
        assert_eq!(session.on_connected(), [resume_at(0)]);
    }

    #[test]
    fn an_answer_goes_on_where_it_was_and_nothing_is_shown_twice() {
        let mut session = requested();
        let events = vec![accepted(false), delta(0, "你好"), delta(6, " wor")];
        assert_eq!(play(&mut session, events), ("你好 wor".to_owned(), vec![]));
        assert_eq!(session.on_connected(), [resume_at(10)]);
        // A server may send more than was missing.
        let events = vec![delta(6, " world"), delta(6, " w"), finished(12)];
        assert_eq!(play(&mut session, events), ("ld".to_owned(), vec![]));
        assert!(!session.is_busy());
        assert_eq!(session.on_connected(), []);
    }

    #[test]
    fn a_gap_is_asked_for() {
        let mut session = requested();
        let events = vec![accepted(false), delta(0, "a"), delta(3, "d")];
        assert_eq!(play(&mut session, events), ("a".to_owned(), vec![resume_at(1)]));
        let (_, asked) = play(&mut session, vec![finished(4)]);
        assert_eq!(asked, [resume_at(1)]);
        assert!(session.is_busy());
        let rest = vec![delta(1, "bcd"), finished(4)];
        assert_eq!(play(&mut session, rest), ("bcd".to_owned(), vec![]));
        assert!(!session.is_busy());
    }

    #[test]
    fn a_stop_is_not_forgotten() {
        let mut session = requested();
        assert_eq!(session.stop(), None);
        let (_, asked) = play(&mut session, vec![accepted(false)]);
        assert_eq!(asked, [stop(answer())]);
        assert_eq!(session.on_connected(), [resume_at(0), stop(answer())]);
        play(&mut session, vec![finished(0)]);
        assert_eq!(session.stop(), None);
        session.request(send());
        let (_, asked) = play(&mut session, vec![accepted(false)]);
        assert_eq!(asked, [], "the stop was for the answer before");
    }

    #[test]
    fn what_a_continued_answer_had_is_not_shown_again() {
        let mut session = Session::default();
        session.request(Request { shown: Shown { text: 4, thinking: 0 }, ..send() });
        let events = vec![accepted(false), delta(4, "ef"), finished(6)];
        assert_eq!(play(&mut session, events), ("ef".to_owned(), vec![]));
    }

    #[test]
    fn errors_and_resets_end_what_they_are_about_and_others_are_left_out() {
        let error = || ServerEvent::Error(V1Error::from(ErrorCode::Busy));
        let mut session = requested();
        assert_eq!(session.received(error(), false), Meaning::default());
        assert_eq!(session.received(error(), true).show, Some(error()));
        assert!(!session.is_busy());
        let reset = |answer| {
            let (epoch, reason) = (String::new(), ResetReason::UnknownAnswer);
            ServerEvent::Reset(Reset { answer, epoch, reason })
        };
        let mut session = requested();
        play(&mut session, vec![accepted(false)]);
        let other = MessageId::from_bits(9);
        assert_eq!(session.received(reset(other), false), Meaning::default());
        assert_eq!(session.received(reset(answer()), false).show, Some(reset(answer())));
        assert!(!session.is_busy());
    }
}
