//! `/v1/responses` as a WebSocket: a client sends `response.create` and gets the events of the
//! response, each in a frame. Of several that it sends, each begins when the one before has ended.

use super::answering::Client;
use super::error::ApiError;
use super::error_shape::openai_event;
use super::responses::{Answer, begin};
use super::state::Http;
use crate::access::Principal;
use crate::interfaces::Events;
use crate::interfaces::openai::{LastResponse, ResponseStream, response_lines};
use crate::shares::Reservation;
use crate::socket::{Close, Incoming, Outgoing, Payload, Socket};
use banter_protocol::interfaces::openai::responses::ResponseRequest;
use banter_seam::Failure;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Answers the requests of one socket until it has to be closed, and returns the reason. The
/// response that is being made then is stopped.
pub(super) async fn serve(
    socket: &mut Socket,
    http: Arc<Http>,
    principal: Principal,
    going_away: CancellationToken,
) -> Close {
    let budget = http.sockets.plain.queue_budget.clone();
    let last = LastResponse::none(budget, principal.share());
    let mut serving = ResponseSocket {
        http,
        principal,
        last,
        waiting: VecDeque::new(),
        running: Running::Nothing,
        frames: Frames::default(),
    };
    serving.run(socket, going_away).await
}

struct ResponseSocket {
    http: Arc<Http>,
    principal: Principal,
    last: LastResponse,
    /// Requests that wait for their turn, with their memory.
    waiting: VecDeque<(ResponseRequest, Reservation)>,
    running: Running,
    frames: Frames,
}

/// The response that is being made.
enum Running {
    Nothing,
    /// It waits for its turn at the engine.
    Begins(BoxFuture<'static, Result<Writing, ApiError>>),
    Writes(Writing),
}

type Writing = Box<Events<ResponseStream>>;

/// What the running response does next.
enum Step {
    Begun(Result<Writing, ApiError>),
    /// Events, each in a line.
    Lines(String),
    Ended,
}

impl Running {
    /// Never ready when there is none.
    async fn next(&mut self) -> Step {
        match self {
            Running::Nothing => std::future::pending().await,
            Running::Begins(answer) => Step::Begun(answer.await),
            Running::Writes(events) => events.next().await.map_or(Step::Ended, Step::Lines),
        }
    }
}

impl ResponseSocket {
    async fn run(&mut self, socket: &mut Socket, going_away: CancellationToken) -> Close {
        loop {
            if matches!(self.running, Running::Nothing)
                && let Some((request, memory)) = self.waiting.pop_front()
            {
                self.begin(request, memory);
            }
            let takes_events = socket.has_room(&self.frames);
            tokio::select! {
                biased;
                () = going_away.cancelled() => return Close::GoingAway,
                incoming = socket.exchange(&mut self.frames) => match incoming {
                    Incoming::Text(frame) => {
                        if let Err(error) = self.read(&frame)
                            && !self.refuse(&error)
                        {
                            return Close::Policy("too many refused requests");
                        }
                    }
                    Incoming::Refused => {
                        if !self.refuse(&no_room()) {
                            return Close::Policy("too many refused requests");
                        }
                    }
                    Incoming::Drained => {}
                    Incoming::Binary(_) => return Close::Unsupported,
                    Incoming::Closed(close) => return close,
                },
                step = self.running.next(), if takes_events => self.take(step),
            }
        }
    }

    fn read(&mut self, frame: &str) -> Result<(), ApiError> {
        if self.waiting.len() >= self.http.config.max_waiting_messages {
            return Err(no_room());
        }
        let budget = &self.http.sockets.plain.queue_budget;
        let memory = budget.take(self.principal.share(), frame.len()).ok_or_else(no_room)?;
        let request = ResponseRequest::parse_event(frame).map_err(ApiError::Fault)?;
        self.waiting.push_back((request, memory));
        Ok(())
    }

    /// Tells that a request is refused. Returns whether the client still reads.
    fn refuse(&mut self, error: &ApiError) -> bool {
        self.frames.push(openai_event(error));
        self.frames.waiting.len() <= self.http.config.max_waiting_refusals
    }

    fn begin(&mut self, request: ResponseRequest, memory: Reservation) {
        let (http, last) = (self.http.clone(), self.last.clone());
        // The span of the request that has opened the socket is not that of each response.
        let client = Client { principal: self.principal, trace: None };
        self.running = Running::Begins(Box::pin(async move {
            let answer = begin(&http, client, request, memory, Some(&last)).await?;
            let Answer { begun, asked, keeper } = answer;
            Ok(Box::new(response_lines(begun, asked, keeper)))
        }));
    }

    fn take(&mut self, step: Step) {
        self.running = match step {
            Step::Begun(Ok(writing)) => Running::Writes(writing),
            Step::Begun(Err(error)) => {
                self.frames.push(openai_event(&error));
                Running::Nothing
            }
            Step::Lines(lines) => {
                return lines.lines().for_each(|line| self.frames.push(line.into()));
            }
            Step::Ended => Running::Nothing,
        };
    }
}

fn no_room() -> ApiError {
    let reason = "too many requests wait on this connection; wait for their responses".to_owned();
    Failure::Busy { reason, position: 0, estimate_ms: None }.into()
}

/// The frames that wait to be sent.
#[derive(Default)]
struct Frames {
    waiting: VecDeque<String>,
    bytes: usize,
}

impl Frames {
    fn push(&mut self, frame: String) {
        self.bytes += size_of::<String>() + frame.len();
        self.waiting.push_back(frame);
    }
}

impl Outgoing for Frames {
    fn pop(&mut self) -> Option<Payload> {
        let frame = self.waiting.pop_front()?;
        self.bytes -= size_of::<String>() + frame.len();
        Some(Payload::Text(frame))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
