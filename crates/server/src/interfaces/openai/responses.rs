//! `/v1/responses`: what happens to an answer, in OpenAI's words.

use super::keeping::Keeper;
use super::words::{json, send_sign_of_life};
use crate::access::random_token;
use crate::answers::{CallBegun, Ended, Update};
use crate::interfaces::asking::{Asked, CannotAnswer, end_of, seconds_since_1970};
use crate::interfaces::events::{Events, Write};
use crate::interfaces::whole::{WholeAnswer, read_to_end};
use axum::body::Body;
use banter_protocol::interfaces::openai::answer::{ChosenToken, LogprobsReport};
use banter_protocol::interfaces::openai::error::ErrorReport;
use banter_protocol::interfaces::openai::responses::event::{
    Event, EventLogprob, Numbered, PartPlace,
};
use banter_protocol::interfaces::openai::responses::report::{
    self, OutputItem, Part, Response, ResponseError, Status,
};
use banter_seam::{Logprobs, ToolCall};

/// Waits for the answer and writes it as one object of JSON.
pub(crate) async fn whole(
    asked: Asked,
    request: report::Asked,
    keeper: Keeper,
) -> Result<String, CannotAnswer> {
    let mut response = begun(&asked, request);
    let answer = read_to_end(asked.only()).await?;
    let (reason, finished) = (answer.reason, answer.finished.clone());
    response.output = items(answer);
    response.end(reason, &finished.usage, seconds_since_1970());
    keeper.keep(&mut response).await;
    Ok(json(&response))
}

/// Writes the answer as a stream of server-sent events while it is made.
pub(crate) fn stream(asked: Asked, request: report::Asked, keeper: Keeper) -> Body {
    events(asked, request, keeper, Framing::Named).into_body()
}

/// Writes the answer while it is made, each event as one line of JSON.
pub(crate) fn event_lines(
    asked: Asked,
    request: report::Asked,
    keeper: Keeper,
) -> Events<ResponseStream> {
    events(asked, request, keeper, Framing::Lines)
}

fn events(
    asked: Asked,
    request: report::Asked,
    keeper: Keeper,
    framing: Framing,
) -> Events<ResponseStream> {
    let stream = ResponseStream::new(begun(&asked, request), keeper, framing);
    Events::new(vec![asked.only()], stream)
}

fn begun(asked: &Asked, request: report::Asked) -> Response {
    Response::begun(format!("resp_{}", asked.id), asked.created, asked.model.clone(), request)
}

/// The items of an answer: thoughts, text, calls.
fn items(answer: WholeAnswer) -> Vec<OutputItem> {
    let logprobs = LogprobsReport::from(answer.logprobs).content;
    let thoughts = Some(answer.thinking).filter(|thinking| !thinking.is_empty());
    let thoughts = thoughts.map(|text| {
        let parts = vec![Part::ReasoningText { text }];
        OutputItem::reasoning(Kind::Thoughts.id(), Status::Completed, parts)
    });
    let text = Some(answer.text).filter(|text| !text.is_empty());
    let text = text.map(|text| {
        OutputItem::message(Kind::Text.id(), Status::Completed, vec![Part::text(text, logprobs)])
    });
    let call = |call| OutputItem::call(Kind::Call.id(), Status::Completed, call);
    thoughts.into_iter().chain(text).chain(answer.calls.into_iter().map(call)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Thoughts,
    Text,
    Call,
}

impl Kind {
    /// A new name for an item.
    fn id(self) -> String {
        let prefix = match self {
            Kind::Thoughts => "rs",
            Kind::Text => "msg",
            Kind::Call => "fc",
        };
        format!("{prefix}_{}", random_token())
    }
}

/// An item that is being written.
struct OpenItem {
    kind: Kind,
    id: String,
    /// Of a call.
    call_id: String,
    /// The function that is called.
    name: String,
    /// Text, thoughts or arguments so far.
    text: String,
    logprobs: Vec<ChosenToken>,
}

impl OpenItem {
    fn item(&self, status: Status) -> OutputItem {
        let (id, text) = (self.id.clone(), self.text.clone());
        let is_new = text.is_empty() && status == Status::InProgress;
        match self.kind {
            Kind::Call => {
                let (call_id, name) = (self.call_id.clone(), self.name.clone());
                OutputItem::call(id, status, ToolCall { id: call_id, name, arguments: text })
            }
            Kind::Thoughts => OutputItem::reasoning(
                id,
                status,
                (!is_new).then(|| self.part()).into_iter().collect(),
            ),
            Kind::Text => OutputItem::message(
                id,
                status,
                (!is_new).then(|| self.part()).into_iter().collect(),
            ),
        }
    }

    fn part(&self) -> Part {
        match self.kind {
            Kind::Thoughts => Part::ReasoningText { text: self.text.clone() },
            Kind::Text | Kind::Call => Part::text(self.text.clone(), self.logprobs.clone()),
        }
    }
}

/// A stream of events.
pub(crate) struct ResponseStream {
    response: Response,
    keeper: Option<Keeper>,
    open: Option<OpenItem>,
    /// They are sent with the next piece of text.
    logprobs: Vec<Logprobs>,
    events: Numbering,
}

impl ResponseStream {
    fn new(response: Response, keeper: Keeper, framing: Framing) -> ResponseStream {
        ResponseStream {
            response,
            keeper: Some(keeper),
            open: None,
            logprobs: Vec::new(),
            events: Numbering { number: 0, framing },
        }
    }

    /// The stream of a response that is made in the background, before the backend has taken its
    /// request.
    pub(super) fn queued(model: String, request: report::Asked, keeper: Keeper) -> ResponseStream {
        let id = format!("resp_{}", random_token());
        let response = Response::begun(id, seconds_since_1970(), model, request);
        let response = Response { status: Status::Queued, background: true, ..response };
        ResponseStream::new(response, keeper, Framing::Named)
    }

    /// The backend has taken the request.
    pub(super) fn begun(mut self, asked: Asked) -> Events<ResponseStream> {
        self.response.status = Status::InProgress;
        Events::new(vec![asked.only()], self)
    }

    pub(super) fn id(&self) -> &str {
        &self.response.id
    }

    /// The response as it is.
    pub(super) fn as_json(&self) -> String {
        let open = self.open.as_ref().map(|open| OpenItem::item(open, Status::InProgress));
        let mut response = self.response.clone();
        response.output.extend(open);
        json(&response)
    }

    /// Keeps the response before it has an answer.
    ///
    /// Errors: that is not possible.
    pub(super) async fn keep_begun(&self) -> Result<(), CannotAnswer> {
        match &self.keeper {
            Some(keeper) => keeper.keep_begun(&self.response).await,
            None => Ok(()),
        }
    }

    /// Keeps the response, unless that was done.
    pub(super) async fn keep(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.keep(&mut self.response).await;
        }
    }

    /// Somebody has stopped the response.
    pub(super) fn cancel(&mut self, out: &mut String) {
        self.close(Status::Incomplete, out);
        self.response.status = Status::Cancelled;
        self.response.completed_at = Some(seconds_since_1970());
        self.events.send(Event::end(&self.response), out);
    }

    /// The response ends without a whole answer.
    pub(super) fn fail(&mut self, why: &CannotAnswer, out: &mut String) {
        self.close(Status::Incomplete, out);
        self.response.status = Status::Failed;
        self.response.error = Some(error_of(why));
        self.events.send(Event::Failed { response: &self.response }, out);
    }

    /// Begins another item, unless one of this kind is open already.
    fn open(&mut self, kind: Kind, out: &mut String) {
        if kind != Kind::Call && self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.open_call(kind, CallBegun { id: String::new(), name: String::new() }, out);
    }

    fn open_call(
        &mut self,
        kind: Kind,
        CallBegun { id: call_id, name }: CallBegun,
        out: &mut String,
    ) {
        self.close(Status::Completed, out);
        let (text, logprobs) = (String::new(), Vec::new());
        let open = OpenItem { kind, id: kind.id(), call_id, name, text, logprobs };
        let output_index = self.response.output.len();
        let item = &open.item(Status::InProgress);
        self.events.send(Event::ItemAdded { output_index, item }, out);
        if kind != Kind::Call {
            let place = PartPlace { item_id: &open.id, output_index, content_index: 0 };
            self.events.send(Event::PartAdded { place, part: open.part() }, out);
        }
        self.open = Some(open);
    }

    /// Sends more of the item that is open.
    fn add(&mut self, piece: &str, out: &mut String) {
        let Some(open) = &mut self.open else { return };
        open.text.push_str(piece);
        let output_index = self.response.output.len();
        let place = PartPlace { item_id: &open.id, output_index, content_index: 0 };
        let event = match open.kind {
            Kind::Thoughts => Event::ReasoningDelta { place, delta: piece },
            Kind::Call => Event::ArgumentsDelta { item_id: &open.id, output_index, delta: piece },
            Kind::Text => {
                let chosen = LogprobsReport::from(std::mem::take(&mut self.logprobs)).content;
                let logprobs = chosen.iter().map(EventLogprob::from).collect();
                open.logprobs.extend(chosen);
                Event::TextDelta { place, delta: piece, logprobs }
            }
        };
        self.events.send(event, out);
    }

    /// Ends the item that is open.
    fn close(&mut self, status: Status, out: &mut String) {
        let Some(open) = self.open.take() else { return };
        let output_index = self.response.output.len();
        let place = PartPlace { item_id: &open.id, output_index, content_index: 0 };
        let (text, item_id) = (open.text.as_str(), open.id.as_str());
        let done = match open.kind {
            Kind::Thoughts => Event::ReasoningDone { place, text },
            Kind::Call => Event::ArgumentsDone { item_id, output_index, arguments: text },
            Kind::Text => {
                let logprobs = open.logprobs.iter().map(EventLogprob::from).collect();
                Event::TextDone { place, text, logprobs }
            }
        };
        self.events.send(done, out);
        if open.kind != Kind::Call {
            self.events.send(Event::PartDone { place, part: &open.part() }, out);
        }
        let item = open.item(status);
        self.events.send(Event::ItemDone { output_index, item: &item }, out);
        self.response.output.push(item);
    }

    fn end_answer(&mut self, ended: &Ended, out: &mut String) {
        match end_of(ended) {
            Ok(reason) => {
                self.response.end(reason, &ended.finished.usage, seconds_since_1970());
                let status = match self.response.status {
                    Status::Completed => Status::Completed,
                    _ => Status::Incomplete,
                };
                self.close(status, out);
            }
            Err(why) => self.fail(&why, out),
        }
    }
}

fn error_of(why: &CannotAnswer) -> ResponseError {
    match why {
        CannotAnswer::Failed(failure) => ErrorReport::from(failure).into(),
        CannotAnswer::Ending => ResponseError { code: "server_error", message: why.to_string() },
    }
}

impl Write for ResponseStream {
    fn begin(&mut self, _answer: usize, out: &mut String) {
        self.events.send(Event::Created { response: &self.response }, out);
        self.events.send(Event::InProgress { response: &self.response }, out);
    }

    fn update(&mut self, _answer: usize, update: Update, out: &mut String) {
        match update {
            Update::Waiting(_) | Update::Begun(_) | Update::Overdue | Update::Halted => {}
            Update::Logprobs(logprobs) => self.logprobs.extend(logprobs),
            Update::Thinking(piece) => {
                self.open(Kind::Thoughts, out);
                self.add(&piece.text, out);
            }
            Update::Delta(piece) => {
                self.open(Kind::Text, out);
                self.add(&piece.text, out);
            }
            Update::Call(call) => self.open_call(Kind::Call, call, out),
            Update::Arguments(piece) => self.add(&piece, out),
            Update::Ended(ended) => self.end_answer(&ended, out),
        }
    }

    async fn end(&mut self, out: &mut String) {
        self.keep().await;
        self.events.send(Event::end(&self.response), out);
    }

    fn sign_of_life(&mut self, out: &mut String) {
        // A WebSocket has its own.
        if self.events.framing == Framing::Named {
            send_sign_of_life(out);
        }
    }
}

/// How an event is told from the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// As server-sent events, which have names.
    Named,
    /// Each in a line of its own.
    Lines,
}

/// Numbers events and writes them.
struct Numbering {
    number: u64,
    framing: Framing,
}

impl Numbering {
    /// Appends an event.
    fn send(&mut self, event: Event<'_>, out: &mut String) {
        let name = event.name();
        let numbered = json(&Numbered { sequence_number: self.number, event });
        self.number += 1;
        match self.framing {
            Framing::Named => out.extend(["event: ", name, "\ndata: ", &numbered, "\n\n"]),
            Framing::Lines => out.extend([&numbered, "\n"]),
        }
    }
}
