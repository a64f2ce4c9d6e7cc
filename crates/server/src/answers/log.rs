//! What is known about an answer: its text, and what else has happened to it.

use banter_seam::{FinishReason, Finished, Logprobs, Timings, ToolCall, Usage};
use banter_store::{Ends, Growth, MessageId};

/// The longest piece of text that a follower reads at once, in bytes.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// What is known about an answer. Its texts only get longer: what was written stays as it is.
#[derive(Default)]
pub(super) struct AnswerLog {
    /// The answer so far.
    text: String,
    /// What the model thought before the answer, so far.
    thinking: String,
    /// The tokens of the answer so far, if the backend knows them.
    tokens: Vec<u32>,
    /// How likely the model found its newest tokens, until a follower has read it. Only answers with
    /// one follower are asked for this.
    logprobs: Vec<Logprobs>,
    /// The functions that the answer calls, so far.
    calls: Vec<ToolCall>,
    /// What it waits for, and how often that has changed.
    waiting: Option<Waiting>,
    waiting_changes: u64,
    begun: Option<Begun>,
    /// How it ended for those who read it.
    ended: Option<Ended>,
    /// The computation has halted. This can be later than the end.
    has_halted: bool,
    /// Nothing more is stored of it. This can be later than the halt, if the disk was full.
    is_settled: bool,
    /// How many times the halt was waited for in vain.
    overdue: u32,
}

/// How far a follower has read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    offsets: Offsets,
    calls: usize,
    /// In the arguments of the newest of these calls.
    arguments: usize,
    waiting_changes: u64,
    has_begun: bool,
    has_ended: bool,
    has_halted: bool,
    overdue: u32,
}

/// A place in the texts of an answer, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// In the answer.
    pub(crate) text: usize,
    /// In what the model thought before it.
    pub(crate) thinking: usize,
}

/// What a follower reads next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Update {
    /// The answer waits for something.
    Waiting(Waiting),
    /// The backend has taken the request.
    Begun(Begun),
    /// More of what the model thinks before it answers.
    Thinking(Piece),
    /// More of the answer.
    Delta(Piece),
    /// How likely the model found the tokens of what comes next.
    Logprobs(Vec<Logprobs>),
    /// The answer calls a function.
    Call(CallBegun),
    /// More of the arguments of that call; never empty.
    Arguments(String),
    /// The answer has ended. The computation may not have halted yet.
    Ended(Box<Ended>),
    /// The computation was asked to halt and has not done so in time. It is still waited for.
    Overdue,
    /// The computation has halted. Nothing follows.
    Halted,
}

/// What an answer waits for before its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Its turn.
    Queued {
        /// How many requests are ahead of it.
        ahead: usize,
        /// How long it will wait; `None` if that cannot be estimated.
        estimate_ms: Option<u64>,
    },
    /// Its prompt.
    Prefill {
        /// Prompt tokens computed so far.
        done: usize,
        /// Prompt tokens in all.
        total: usize,
        /// Prompt tokens that were found computed already.
        cached: usize,
    },
}

/// How far an answer has come, without its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) waiting: Option<Waiting>,
    /// Tokens of the prompt, if they are known.
    pub(crate) prompt_tokens: Option<usize>,
    /// Tokens of the answer; none if the backend does not know them.
    pub(crate) tokens: usize,
    /// Bytes of everything that was written.
    pub(crate) bytes: usize,
}

/// What is known when the backend has taken the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    /// How many of the oldest messages the backend has left out.
    pub(crate) dropped_messages: usize,
    /// The stored ones of these messages.
    pub(crate) left_out: Vec<MessageId>,
    /// Tokens of the prompt, if they are known.
    pub(crate) prompt_tokens: Option<usize>,
    /// Prompt and answer together can have this many tokens, if that is known.
    pub(crate) context_tokens: Option<usize>,
}

/// A call of a function, without its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallBegun {
    pub(crate) id: String,
    /// The name of the function.
    pub(crate) name: String,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// How many bytes of the text come before it.
    pub(crate) at: usize,
    /// Whole characters, never none.
    pub(crate) text: String,
}

impl Piece {
    /// Whether there was more to read than a piece may have.
    pub(crate) fn is_full(&self) -> bool {
        self.text.len() > MAX_PIECE_BYTES - char::MAX.len_utf8()
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    /// Why the server has stopped it, if it has.
    pub(crate) interruption: Option<Interruption>,
    /// The seed that repeats it, if it is known.
    pub(crate) seed: Option<u64>,
    /// Bytes of its texts.
    pub(crate) offsets: Offsets,
}

/// Why the server has stopped an answer that nobody has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Nobody followed it any more.
    Disconnected,
    /// The server ends.
    Shutdown,
}

impl Interruption {
    /// One word for the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Interruption::Disconnected => "disconnected",
            Interruption::Shutdown => "shutdown",
        }
    }
}

impl AnswerLog {
    /// The log of an answer of which a part is there already.
    pub(super) fn going_on(text: String, thinking: String, tokens: Vec<u32>) -> AnswerLog {
        AnswerLog { text, thinking, tokens, ..AnswerLog::default() }
    }

    pub(super) fn wait_for(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
        self.waiting_changes += 1;
    }

    pub(super) fn begin(&mut self, begun: Begun) {
        self.begun = Some(begun);
    }

    pub(super) fn think(&mut self, thought: &str) {
        self.thinking.push_str(thought);
    }

    pub(super) fn write(&mut self, delta: &str, tokens: &[u32]) {
        self.text.push_str(delta);
        self.tokens.extend_from_slice(tokens);
    }

    pub(super) fn tell_logprobs(&mut self, logprobs: Vec<Logprobs>) {
        self.logprobs.extend(logprobs);
    }

    pub(super) fn call(&mut self, call: CallBegun) {
        let CallBegun { id, name } = call;
        self.calls.push(ToolCall { id, name, arguments: String::new() });
    }

    /// Adds to the arguments of the newest call.
    pub(super) fn add_arguments(&mut self, piece: &str) {
        if let Some(call) = self.calls.last_mut() {
            call.arguments.push_str(piece);
        }
    }

    pub(super) fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    pub(super) fn halt(&mut self) {
        self.has_halted = true;
    }

    pub(super) fn settle(&mut self) {
        self.is_settled = true;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// How it ended, once it has.
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    pub(super) fn count_overdue(&mut self) {
        self.overdue += 1;
    }

    pub(super) fn has_halted(&self) -> bool {
        self.has_halted
    }

    pub(super) fn glance(&self) -> Glance {
        Glance {
            waiting: self.waiting,
            prompt_tokens: self.begun.as_ref().and_then(|begun| begun.prompt_tokens),
            tokens: self.tokens.len(),
            bytes: self.bytes(),
        }
    }

    /// Bytes of everything that was written so far.
    pub(super) fn bytes(&self) -> usize {
        let arguments: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        self.text.len() + self.thinking.len() + arguments
    }

    /// The ends of the texts so far.
    pub(super) fn offsets(&self) -> Offsets {
        Offsets { text: self.text.len(), thinking: self.thinking.len() }
    }

    /// The texts so far: the answer, and the thoughts before it.
    pub(super) fn texts(&self) -> (&str, &str) {
        (&self.text, &self.thinking)
    }

    /// The ends of the texts and the tokens so far.
    pub(super) fn ends(&self) -> Ends {
        Ends {
            text: self.text.len() as u64,
            thinking: self.thinking.len() as u64,
            tokens: self.tokens.len() as u64,
        }
    }

    /// What the answer has grown by since it had these ends.
    pub(super) fn growth_since(&self, at: Ends) -> Growth {
        let place = |end: u64| usize::try_from(end).expect("it was a length in memory");
        Growth {
            at,
            text: self.text[place(at.text)..].to_owned(),
            thinking: self.thinking[place(at.thinking)..].to_owned(),
            tokens: self.tokens[place(at.tokens)..].to_vec(),
        }
    }

    /// A position that begins at these offsets, if characters begin there.
    pub(super) fn position_at(&self, offsets: Offsets) -> Option<Position> {
        let is_there = self.text.is_char_boundary(offsets.text)
            && self.thinking.is_char_boundary(offsets.thinking);
        is_there.then(|| Position { offsets, ..Position::default() })
    }

    /// What comes after a position, which moves behind it; `None` if there is nothing yet.
    pub(super) fn after(&mut self, position: &mut Position) -> Option<Update> {
        if let Some(waiting) = self.waiting_after(position) {
            return Some(Update::Waiting(waiting));
        }
        if let (Some(begun), false) = (&self.begun, position.has_begun) {
            position.has_begun = true;
            return Some(Update::Begun(begun.clone()));
        }
        if let Some(thought) = piece_after(&self.thinking, &mut position.offsets.thinking) {
            return Some(Update::Thinking(thought));
        }
        if !self.logprobs.is_empty() {
            return Some(Update::Logprobs(std::mem::take(&mut self.logprobs)));
        }
        if let Some(delta) = piece_after(&self.text, &mut position.offsets.text) {
            return Some(Update::Delta(delta));
        }
        if let Some(update) = self.call_after(position) {
            return Some(update);
        }
        if let (Some(ended), false) = (&self.ended, position.has_ended) {
            position.has_ended = true;
            return Some(Update::Ended(Box::new(ended.clone())));
        }
        if self.has_halted && !position.has_halted {
            position.has_halted = true;
            return Some(Update::Halted);
        }
        if self.overdue > position.overdue && !position.has_halted {
            position.overdue = self.overdue;
            return Some(Update::Overdue);
        }
        None
    }

    /// What comes next of the calls.
    fn call_after(&self, position: &mut Position) -> Option<Update> {
        let newest = position.calls.checked_sub(1).and_then(|index| self.calls.get(index));
        if let Some(call) = newest
            && let Some(piece) = piece_after(&call.arguments, &mut position.arguments)
        {
            return Some(Update::Arguments(piece.text));
        }
        let ToolCall { id, name, .. } = self.calls.get(position.calls)?.clone();
        position.calls += 1;
        position.arguments = 0;
        Some(Update::Call(CallBegun { id, name }))
    }

    /// What the answer waits for, if that is new. Only the newest counts, and nothing once the
    /// answer has text.
    fn waiting_after(&self, position: &mut Position) -> Option<Waiting> {
        let is_new = self.waiting_changes > position.waiting_changes;
        position.waiting_changes = self.waiting_changes;
        let has_begun = !self.text.is_empty()
            || !self.thinking.is_empty()
            || !self.calls.is_empty()
            || self.ended.is_some();
        self.waiting.filter(|_| is_new && !has_begun)
    }
}

impl Ended {
    /// Whether it failed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.finished.reason, FinishReason::Failed(_))
    }

    /// The end of an answer for a reason of this server. What was computed is not known then.
    pub(super) fn here(reason: FinishReason) -> Finished {
        let (usage, timings) = (Usage::default(), Timings::default());
        Finished { reason, stop_string: None, usage, timings }
    }
}

/// The piece of a text that begins at a position, which moves to its end.
fn piece_after(text: &str, position: &mut usize) -> Option<Piece> {
    let rest = text.get(*position..).filter(|rest| !rest.is_empty())?;
    let piece = &rest[..rest.floor_char_boundary(MAX_PIECE_BYTES)];
    let at = *position;
    *position += piece.len();
    Some(Piece { at, text: piece.to_owned() })
}
