//! The socket of a chat, which is opened again whenever it is lost.
//!
//! A task owns the socket and the [`Session`]. The chat gives it orders and gets news. While the
//! socket is lost, orders are remembered, and the task tries again: after half a second at first,
//! then after twice the time before, up to 30 s, with a bit of chance.

use std::time::Duration;

use banter_protocol::v1::client::{Draft, Hello};
use banter_protocol::v1::server::{GoingAwayReason, Welcome};
use banter_protocol::v1::{ClientEvent, MessageId, SUBPROTOCOL, ServerEvent, Tag, Tagged};
use banter_remote::server::ServerClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::session::{Request, Session, Shown};
use super::socket::{Frame, OpenError, Socket};
use crate::visible::visible_line;

/// How long the reply to `hello` may take.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Orders and news that may wait. The chat has few orders, and it reads the news all the time.
const WAITING: usize = 256;
/// The tag of requests, so that an error can be told from those of drafts.
const REQUEST_TAG: &str = "request";

/// The chat's end of the socket.
pub struct Link {
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
}

/// What the chat wants.
enum Order {
    Request(Box<Request>),
    Follow(MessageId, Shown),
    Stop,
    Draft(Draft),
    Close,
}

/// What has happened.
#[derive(Debug)]
pub enum News {
    /// A frame has come, and this of it has to be shown.
    Frame(String, Option<Box<ServerEvent>>),
    /// The socket is lost; the text says how. It is being opened again.
    Lost(String),
    /// The socket is open again.
    Back,
    /// The request is longer than the server takes, so it was not sent.
    TooLong {
        /// The bytes of its frame.
        bytes: usize,
        /// The most that the server takes.
        limit: u64,
    },
    /// The server does not want this client any more; the text says why. Nothing follows.
    Refused(String),
}

impl Link {
    /// Connects, and says hello.
    pub async fn connect(client: &ServerClient) -> Result<(Link, Welcome), OpenError> {
        let (socket, welcome) = greet(client).await?;
        let (orders, ordered) = mpsc::channel(WAITING);
        let (told, news) = mpsc::channel(WAITING);
        let limit = welcome.limits.message_bytes;
        let keeper = Keeper {
            client: client.clone(),
            session: Session::default(),
            ordered,
            told,
            limit,
            deferred: Vec::new(),
        };
        tokio::spawn(keeper.run(socket));
        Ok((Link { orders, news }, welcome))
    }

    /// What happens next. Nothing is lost if the future is dropped.
    pub async fn news(&mut self) -> News {
        let ended = || News::Refused("the connection's task has ended".to_owned());
        self.news.recv().await.unwrap_or_else(ended)
    }

    /// Asks for an answer.
    pub fn request(&self, request: Request) {
        self.order(Order::Request(Box::new(request)));
    }

    /// Follows an answer that is being written, from where it is shown.
    pub fn follow(&self, answer: MessageId, shown: Shown) {
        self.order(Order::Follow(answer, shown));
    }

    /// Stops the answer.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Tells what is being typed.
    pub fn draft(&self, draft: Draft) {
        self.order(Order::Draft(draft));
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        self.order(Order::Close);
        while self.news.recv().await.is_some() {}
    }

    fn order(&self, order: Order) {
        // A task that has ended has told so.
        let _ = self.orders.try_send(order);
    }
}

/// Opens a socket and says hello.
async fn greet(client: &ServerClient) -> Result<(Socket, Welcome), OpenError> {
    let url = client.address().below(["ws"]);
    let mut socket = Socket::open(client, &url, Some(SUBPROTOCOL)).await?;
    let hello = Tagged::untagged(ClientEvent::Hello(Hello::default()));
    socket.send(hello.to_json()).await.map_err(OpenError::Unreachable)?;
    let waited = timeout(WELCOME_WITHIN, welcome(&mut socket)).await;
    let silent = || OpenError::Unreachable("the server does not greet".to_owned());
    let welcome = waited.unwrap_or_else(|_| Err(silent()))?;
    Ok((socket, welcome))
}

async fn welcome(socket: &mut Socket) -> Result<Welcome, OpenError> {
    loop {
        let frame = match socket.next().await {
            Frame::Text(frame) => frame,
            Frame::Closed(1008) => return Err(OpenError::Key("the key is wrong".to_owned())),
            Frame::Closed(1013) => {
                return Err(OpenError::Unreachable("the server is full".to_owned()));
            }
            Frame::Closed(code) => {
                return Err(OpenError::Unreachable(format!("the server closed it with {code}")));
            }
            Frame::Lost(reason) => return Err(OpenError::Unreachable(reason)),
        };
        match Tagged::<ServerEvent>::parse(&frame).map(|tagged| tagged.event) {
            Ok(ServerEvent::Welcome(welcome)) => return Ok(*welcome),
            Ok(ServerEvent::Error(error)) => {
                return Err(OpenError::Key(visible_line(&error.message)));
            }
            _ => {}
        }
    }
}

/// The task.
struct Keeper {
    client: ServerClient,
    session: Session,
    ordered: mpsc::Receiver<Order>,
    told: mpsc::Sender<News>,
    limit: u64,
    /// What follows from an order, and has to be sent.
    deferred: Vec<ClientEvent>,
}

/// Why a socket is not used any more.
enum End {
    Lost(String),
    /// Coming back would not help.
    Refused(String),
    /// The chat has ended.
    Left,
}

impl Keeper {
    async fn run(mut self, mut socket: Socket) {
        loop {
            let reason = match self.use_socket(&mut socket).await {
                End::Lost(reason) => reason,
                End::Left => return socket.close().await,
                End::Refused(reason) => return self.tell(News::Refused(reason)).await,
            };
            self.tell(News::Lost(reason)).await;
            socket = match self.open_again().await {
                Ok(socket) => socket,
                Err(End::Refused(reason)) => return self.tell(News::Refused(reason)).await,
                Err(_) => return,
            };
            self.tell(News::Back).await;
            self.deferred = self.session.on_connected();
        }
    }

    async fn use_socket(&mut self, socket: &mut Socket) -> End {
        loop {
            for event in std::mem::take(&mut self.deferred) {
                if let Err(reason) = socket.send(frame_of(event)).await {
                    return End::Lost(reason);
                }
            }
            tokio::select! {
                order = self.ordered.recv() => match order {
                    None | Some(Order::Close) => return End::Left,
                    Some(Order::Draft(draft)) => self.deferred.push(ClientEvent::Draft(draft)),
                    Some(order) => self.take(order).await,
                },
                frame = socket.next() => {
                    if let Some(end) = self.received(frame).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Takes an order; what is to be sent because of it is deferred.
    async fn take(&mut self, order: Order) {
        match order {
            Order::Request(request) => {
                let bytes = frame_of(request.event.clone()).len();
                if bytes as u64 > self.limit {
                    return self.tell(News::TooLong { bytes, limit: self.limit }).await;
                }
                self.deferred.push(request.event.clone());
                self.session.request(*request);
            }
            Order::Follow(answer, shown) => {
                let resume = self.session.follow(answer, shown);
                self.deferred.push(resume);
            }
            Order::Stop => self.deferred.extend(self.session.stop()),
            Order::Draft(_) | Order::Close => {}
        }
    }

    async fn received(&mut self, frame: Frame) -> Option<End> {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Closed(code @ (1002 | 1003 | 1007 | 1008 | 1009)) => {
                return Some(End::Refused(format!("the server closed the socket with {code}")));
            }
            Frame::Closed(code) => {
                return Some(End::Lost(format!("the server closed the socket with {code}")));
            }
            Frame::Lost(reason) => return Some(End::Lost(reason)),
        };
        let Ok(Tagged { event, tag }) = Tagged::<ServerEvent>::parse(&text) else {
            self.tell(News::Frame(text, None)).await;
            return None;
        };
        if let ServerEvent::GoingAway(going) = &event
            && going.reason == GoingAwayReason::Revoked
        {
            return Some(End::Refused("the key is no longer valid".to_owned()));
        }
        let is_reply = tag.is_some_and(|tag| tag.as_str() == REQUEST_TAG);
        let meaning = self.session.received(event, is_reply);
        self.deferred.extend(meaning.ask);
        self.tell(News::Frame(text, meaning.show.map(Box::new))).await;
        None
    }

    async fn open_again(&mut self) -> Result<Socket, End> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.wait_until(Instant::now() + with_chance(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match greet(&self.client).await {
                Ok((socket, welcome)) => {
                    self.limit = welcome.limits.message_bytes;
                    return Ok(socket);
                }
                Err(OpenError::Unreachable(_)) => {}
                Err(OpenError::Refused(reason) | OpenError::Key(reason)) => {
                    return Err(End::Refused(reason));
                }
            }
        }
    }

    /// Waits, and takes orders meanwhile. The session sends later what these orders put off.
    async fn wait_until(&mut self, time: Instant) -> Result<(), End> {
        loop {
            tokio::select! {
                () = sleep_until(time) => return Ok(()),
                order = self.ordered.recv() => match order {
                    None | Some(Order::Close) => return Err(End::Left),
                    Some(order) => self.take(order).await,
                },
            }
        }
    }

    async fn tell(&self, news: News) {
        // A chat that has ended needs no news.
        let _ = self.told.send(news).await;
    }
}

fn frame_of(event: ClientEvent) -> String {
    let is_request = super::session::client_id(&event).is_some();
    let tag = is_request.then(|| Tag::new(REQUEST_TAG).expect("a short tag"));
    Tagged { event, tag }.to_json()
}

/// The pause, or up to a quarter more or less, so that many clients do not come back at once.
fn with_chance(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without chance the pause is as good.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.75 + f64::from(byte[0]) / 510.0)
}
