//! Responses that are made in the background. The client need not stay connected: it can ask for the
//! response at any time, and can follow its events from any event on.

use super::keeping::Keeper;
use super::responses::ResponseStream;
use super::words::send_sign_of_life;
use crate::interfaces::asking::{Asked, CannotAnswer};
use crate::interfaces::events::{Events, LONGEST_SILENCE};
use crate::shares::{Reservation, SharedBudget};
use crate::tasks::Tasks;
use axum::body::{Body, Bytes};
use banter_protocol::interfaces::openai::responses::report;
use banter_seam::ShareId;
use banter_store::UserId;
use futures_util::future::BoxFuture;
use futures_util::stream;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The events of all responses together take at most this much memory. The oldest go first.
const EVENT_BYTES: usize = 64 << 20;
/// The events of a response that has ended can be followed for this long.
const FOLLOWED_FOR: Duration = Duration::from_secs(300);

/// The responses that are being made in the background. Clones are the same.
#[derive(Clone)]
pub(crate) struct Background {
    by_id: Arc<Mutex<HashMap<String, Arc<Making>>>>,
    events: SharedBudget,
    tasks: Tasks,
}

/// A request for a response in the background.
pub(crate) struct Order {
    pub(crate) owner: UserId,
    pub(crate) share: ShareId,
    pub(crate) model: String,
    /// What the response repeats of its request.
    pub(crate) asked: report::Asked,
    pub(crate) keeper: Keeper,
    /// Whether its events can be followed.
    pub(crate) is_streamed: bool,
    /// Cancelled when whoever asks may ask no more.
    pub(crate) revoked: CancellationToken,
}

/// A response that is being made, or has just been.
pub(crate) struct Making {
    id: String,
    owner: UserId,
    share: ShareId,
    is_streamed: bool,
    log: Mutex<Log>,
    /// Notified when the log has changed.
    changed: watch::Sender<()>,
    /// Asks for the response as it is.
    asks: mpsc::Sender<oneshot::Sender<String>>,
    stop: CancellationToken,
    /// Cancelled when the response has ended and is kept.
    ended: CancellationToken,
}

/// The events of a response, each as it is sent.
#[derive(Default)]
struct Log {
    /// The number of the oldest event that is still here.
    first: u64,
    events: VecDeque<(String, Reservation)>,
    is_over: bool,
}

impl Background {
    pub(crate) fn new(tasks: Tasks) -> Background {
        Background { by_id: Arc::default(), events: SharedBudget::new(EVENT_BYTES), tasks }
    }

    /// Makes a response. `beginning` yields its answer once the backend has taken the request.
    ///
    /// Errors: the response cannot be kept, so nobody could ask for it.
    pub(crate) async fn make(
        &self,
        order: Order,
        beginning: BoxFuture<'static, Result<Asked, CannotAnswer>>,
    ) -> Result<Arc<Making>, CannotAnswer> {
        let Order { owner, share, model, asked, keeper, is_streamed, revoked } = order;
        let stream = ResponseStream::queued(model, asked, keeper);
        stream.keep_begun().await?;
        let (asks, asked_for) = mpsc::channel(1);
        let id = stream.id().to_owned();
        let making = Arc::new(Making {
            id: id.clone(),
            owner,
            share,
            is_streamed,
            log: Mutex::default(),
            changed: watch::Sender::default(),
            asks,
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        self.lock().insert(id.clone(), making.clone());
        let work = Work {
            stage: Stage::Begins(beginning, Box::new(stream)),
            making: making.clone(),
            asked_for,
            events: self.events.clone(),
        };
        let (background, going_away) = (self.clone(), self.tasks.going_away.clone());
        self.tasks.tracker.spawn(async move {
            work.run(&revoked, &going_away).await;
            if is_streamed {
                drop(tokio::time::timeout(FOLLOWED_FOR, going_away.cancelled()).await);
            }
            background.lock().remove(&id);
        });
        Ok(making)
    }

    /// The response of a user with this id, if it is being made or has just been.
    pub(crate) fn find(&self, owner: UserId, id: &str) -> Option<Arc<Making>> {
        self.lock().get(id).filter(|making| making.owner == owner).cloned()
    }

    /// Lets nobody follow the events of a response any more, because it is deleted.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Making>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Making {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn owner(&self) -> UserId {
        self.owner
    }

    /// The response as it is, as JSON; `None` once it has ended and is kept.
    pub(crate) async fn so_far(&self) -> Option<String> {
        let (asks, told) = oneshot::channel();
        self.asks.send(asks).await.ok()?;
        told.await.ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Stops the response, and waits until it has ended and is kept.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }

    /// The numbers of the events that can still be followed; `None` if nobody can follow it.
    pub(crate) fn numbers(&self) -> Option<std::ops::RangeFrom<u64>> {
        self.is_streamed.then(|| self.log().first..)
    }

    /// The events from this number on, while they come. Leaving stops nothing.
    pub(crate) fn follow(self: Arc<Self>, from: u64) -> Body {
        let changed = self.changed.subscribe();
        let events = stream::unfold((self, changed, from), async |(making, mut changed, next)| {
            let (text, next) = making.next_events(&mut changed, next).await?;
            Some((Ok::<_, Infallible>(Bytes::from(text)), (making, changed, next)))
        });
        Body::from_stream(events)
    }

    /// The events from this number on, and the number of the event after them; `None` at the end.
    async fn next_events(
        &self,
        changed: &mut watch::Receiver<()>,
        next: u64,
    ) -> Option<(String, u64)> {
        loop {
            changed.mark_unchanged();
            let since = self.log().since(next);
            match since {
                Since::Events(text, next) => return Some((text, next)),
                Since::Over => return None,
                Since::Nothing => {}
            }
            if tokio::time::timeout(LONGEST_SILENCE, changed.changed()).await.is_err() {
                let mut sign = String::new();
                send_sign_of_life(&mut sign);
                return Some((sign, next));
            }
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes events as they are sent.
    fn take(&self, budget: &SharedBudget, sent: &str) {
        if !self.is_streamed {
            return;
        }
        for event in sent.split_inclusive("\n\n").filter(|event| !event.starts_with(':')) {
            self.log().push(event, |bytes| budget.take(self.share, bytes));
        }
        self.changed.send_replace(());
    }

    fn close(&self) {
        self.log().is_over = true;
        self.changed.send_replace(());
    }
}

enum Since {
    /// Events, and the number of the next one.
    Events(String, u64),
    Nothing,
    /// The response has ended, or the event is gone.
    Over,
}

impl Log {
    /// Keeps an event. If there is no memory for it, the oldest events go, and in the end it goes
    /// itself.
    fn push(&mut self, event: &str, memory: impl Fn(usize) -> Option<Reservation>) {
        loop {
            if let Some(memory) = memory(event.len()) {
                return self.events.push_back((event.to_owned(), memory));
            }
            self.first += 1;
            if self.events.pop_front().is_none() {
                return;
            }
        }
    }

    fn since(&self, next: u64) -> Since {
        let Some(skipped) = next.checked_sub(self.first) else { return Since::Over };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let text: String =
            self.events.iter().skip(skipped).map(|(event, _)| event.as_str()).collect();
        match text.is_empty() {
            false => Since::Events(text, self.first + self.events.len() as u64),
            true if self.is_over => Since::Over,
            true => Since::Nothing,
        }
    }
}

/// The work on one response.
struct Work {
    stage: Stage,
    making: Arc<Making>,
    asked_for: mpsc::Receiver<oneshot::Sender<String>>,
    events: SharedBudget,
}

enum Stage {
    /// It waits until the backend takes the request.
    Begins(BoxFuture<'static, Result<Asked, CannotAnswer>>, Box<ResponseStream>),
    Writes(Box<Events<ResponseStream>>),
}

enum Step {
    Begun(Result<Asked, CannotAnswer>),
    Events(String),
    Ended,
}

impl Stage {
    async fn next(&mut self) -> Step {
        match self {
            Stage::Begins(beginning, _) => Step::Begun(beginning.await),
            Stage::Writes(events) => events.next().await.map_or(Step::Ended, Step::Events),
        }
    }

    fn stream(&self) -> &ResponseStream {
        match self {
            Stage::Begins(_, stream) => stream,
            Stage::Writes(events) => events.write(),
        }
    }

    /// What is left when nothing more is computed.
    fn halt(self) -> ResponseStream {
        match self {
            Stage::Begins(_, stream) => *stream,
            Stage::Writes(events) => events.into_write(),
        }
    }
}

impl Work {
    /// Makes the response, until its end is kept.
    async fn run(self, revoked: &CancellationToken, going_away: &CancellationToken) {
        let Work { mut stage, making, mut asked_for, events } = self;
        let mut out = String::new();
        let mut stream = loop {
            let why = tokio::select! {
                biased;
                () = making.stop.cancelled() => Left::Stopped,
                () = revoked.cancelled() => Left::Stopped,
                () = going_away.cancelled() => Left::Failed(CannotAnswer::Ending),
                Some(asks) = asked_for.recv() => {
                    // Whoever asked may have left.
                    drop(asks.send(stage.stream().as_json()));
                    continue;
                }
                step = stage.next() => match step {
                    Step::Begun(Ok(asked)) => {
                        stage = Stage::Writes(Box::new(stage.halt().begun(asked)));
                        continue;
                    }
                    Step::Begun(Err(why)) => Left::Failed(why),
                    Step::Events(sent) => {
                        making.take(&events, &sent);
                        continue;
                    }
                    Step::Ended => break stage.halt(),
                },
            };
            let mut stream = stage.halt();
            match why {
                Left::Stopped => stream.cancel(&mut out),
                Left::Failed(why) => stream.fail(&why, &mut out),
            }
            break stream;
        };
        making.take(&events, &out);
        stream.keep().await;
        // From now on it is found where it is kept.
        drop(asked_for);
        making.close();
        making.ended.cancel();
    }
}

/// Why a response ends before its answer has.
enum Left {
    Stopped,
    Failed(CannotAnswer),
}
