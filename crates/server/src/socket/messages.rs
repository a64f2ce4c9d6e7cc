//! Messages while they are received: their fragments, their memory, which are refused for want of
//! memory, and whether their text is UTF-8.

use super::utf8::Utf8;
use crate::shares::{Reservation, SharedBudget};
use banter_seam::ShareId;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// For each fragment beyond those that are free, a message needs so many bytes: browsers send
/// fragments of several KiB, a flood sends one byte in each.
const FRAGMENT_BYTES: usize = 1024;
/// Messages up to this size take nothing of the shared memory.
pub(super) const FREE_MESSAGE_BYTES: u64 = 16 * 1024;

/// What a client may send.
#[derive(Clone)]
pub(crate) struct MeterLimits {
    /// Bytes of the longest message.
    pub(crate) message_bytes: usize,
    /// A message may always have this many fragments.
    pub(crate) free_fragments: usize,
    pub(crate) control_frames_per_second: u32,
    /// Memory for the long messages of all sockets while they are received.
    pub(crate) receive_budget: SharedBudget,
    /// Whose part of that memory this socket takes.
    pub(crate) share: ShareId,
}

/// A limit that a client has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("too many fragments in one message")]
    Fragments,
    #[error("too many control frames")]
    ControlFrames,
    #[error("no memory for another long message")]
    NoMemory,
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("a message that is too long")]
    TooLong,
}

/// Follows the frames in a stream of bytes. The library checks whether they are legal; an illegal
/// one only has to reach it. Text is checked here as it comes, because the library would find a bad
/// byte only at the end of its frame, and the first fragments of a message wait before it.
pub(super) struct Messages {
    limits: MeterLimits,
    /// The header of the next frame, as far as it has come.
    header: Vec<u8>,
    /// Bytes of the current frame's payload that have not come yet.
    payload_left: u64,
    /// Masks the rest of that payload, beginning with its first byte.
    mask: [u8; 4],
    current: Way,
    /// The current frame ends its message.
    ends_message: bool,
    /// The current frame has text for [`Message::text`].
    is_text: bool,
    message: Option<Message>,
    /// How many messages and control frames went to the library; a message counts when its last
    /// frame begins.
    count: u64,
    /// The refused messages: for each, how many messages and control frames the library got before
    /// it.
    refused: VecDeque<u64>,
    second: Instant,
    control_frames: u32,
}

struct Message {
    started: Instant,
    fragments: usize,
    bytes: u64,
    memory: Option<Reservation>,
    way: Way,
    /// The text of a text message, as far as it has come.
    text: Option<Utf8>,
    /// The first bytes, while they wait.
    waiting: Vec<u8>,
}

/// Where the bytes of a message go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the library.
    Passes,
    /// Nowhere yet: the first bytes wait here, because the rest may need memory that there is not.
    Waits,
    /// Nowhere: the message is refused.
    IsRefused,
}

const LONGEST_HEADER: usize = 14;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTINUATION: u8 = 0;
/// So many bytes of text are unmasked at once, to be checked.
const UNMASKED_BYTES: usize = 1024;

impl Messages {
    pub(super) fn new(limits: MeterLimits, now: Instant) -> Messages {
        Messages {
            limits,
            header: Vec::with_capacity(LONGEST_HEADER),
            payload_left: 0,
            mask: [0; 4],
            current: Way::Passes,
            ends_message: false,
            is_text: false,
            message: None,
            count: 0,
            refused: VecDeque::new(),
            second: now,
            control_frames: 0,
        }
    }

    pub(super) fn started(&self) -> Option<Instant> {
        self.message.as_ref().map(|message| message.started)
    }

    /// How many messages and control frames went to the library, if all are complete.
    pub(super) fn complete(&self) -> Option<u64> {
        let is_complete =
            self.header.is_empty() && self.payload_left == 0 && self.message.is_none();
        is_complete.then_some(self.count)
    }

    /// Whether the next message was refused, after the library gave `taken` messages and control
    /// frames. It tells each refusal once.
    pub(super) fn tell_refused(&mut self, taken: u64) -> bool {
        let is_next = self.refused.front().is_some_and(|before| *before <= taken);
        if is_next {
            self.refused.pop_front();
        }
        is_next
    }

    /// Counts bytes, and appends those for the library to `passed`.
    pub(super) fn pass(
        &mut self,
        mut bytes: &[u8],
        passed: &mut Vec<u8>,
        now: Instant,
    ) -> Result<(), Violation> {
        loop {
            // The part of the payload that is here.
            let here = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at(here);
            self.check_text(payload)?;
            self.forward(payload, passed);
            bytes = rest;
            self.payload_left -= here as u64;
            if self.payload_left == 0 && self.ends_message {
                self.ends_message = false;
                self.message = None;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.header.push(byte);
            bytes = rest;
            if let Some(frame) = FrameHead::parse(&self.header) {
                self.current = self.enter(&frame, passed, now)?;
                let mut header = std::mem::take(&mut self.header);
                self.forward(&header, passed);
                header.clear();
                self.header = header;
            }
        }
    }

    /// Checks bytes of the current frame's payload, if they are text.
    fn check_text(&mut self, payload: &[u8]) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        let Some(text) = self.message.as_mut().and_then(|message| message.text.as_mut()) else {
            return Ok(());
        };
        let mut unmasked = [0; UNMASKED_BYTES];
        for masked in payload.chunks(UNMASKED_BYTES) {
            for (index, byte) in masked.iter().enumerate() {
                unmasked[index] = byte ^ self.mask[index % self.mask.len()];
            }
            if !text.goes_on_with(&unmasked[..masked.len()]) {
                return Err(Violation::NotUtf8);
            }
            let used = masked.len() % self.mask.len();
            self.mask.rotate_left(used);
        }
        Ok(())
    }

    fn forward(&mut self, bytes: &[u8], passed: &mut Vec<u8>) {
        match (self.current, &mut self.message) {
            (Way::Passes, _) => passed.extend_from_slice(bytes),
            (Way::Waits, Some(message)) => message.waiting.extend_from_slice(bytes),
            (Way::Waits, None) | (Way::IsRefused, _) => {}
        }
    }

    /// Counts a frame, and returns where its bytes go.
    fn enter(
        &mut self,
        frame: &FrameHead,
        passed: &mut Vec<u8>,
        now: Instant,
    ) -> Result<Way, Violation> {
        self.payload_left = frame.payload_bytes;
        self.mask = frame.mask;
        self.is_text = false;
        if frame.is_control() {
            self.count += 1;
            self.count_control_frame(now)?;
            return Ok(Way::Passes);
        }
        self.ends_message = frame.is_final();
        let message = self.message.get_or_insert_with(|| Message::begin(frame, now));
        message.count(frame, &self.limits)?;
        self.is_text = message.text.is_some() && frame.is_legal(message.fragments);
        if message.way == Way::Waits {
            message.way = message.decide(frame, &self.limits)?;
            match message.way {
                Way::Passes => passed.append(&mut message.waiting),
                Way::Waits => {}
                Way::IsRefused => {
                    message.waiting = Vec::new();
                    self.refused.push_back(self.count);
                }
            }
        }
        self.count += u64::from(message.way == Way::Passes && frame.is_final());
        Ok(message.way)
    }

    fn count_control_frame(&mut self, now: Instant) -> Result<(), Violation> {
        if now - self.second >= Duration::from_secs(1) {
            self.second = now;
            self.control_frames = 0;
        }
        self.control_frames += 1;
        if self.control_frames > self.limits.control_frames_per_second {
            return Err(Violation::ControlFrames);
        }
        Ok(())
    }
}

impl Message {
    fn begin(frame: &FrameHead, now: Instant) -> Message {
        Message {
            started: now,
            fragments: 0,
            bytes: 0,
            memory: None,
            way: Way::Waits,
            text: (frame.opcode() == TEXT).then(Utf8::default),
            waiting: Vec::new(),
        }
    }

    fn count(&mut self, frame: &FrameHead, limits: &MeterLimits) -> Result<(), Violation> {
        self.fragments += 1;
        self.bytes = self.bytes.saturating_add(frame.payload_bytes);
        let paid = usize::try_from(self.bytes).unwrap_or(usize::MAX) / FRAGMENT_BYTES;
        if self.fragments > limits.free_fragments.saturating_add(paid) {
            return Err(Violation::Fragments);
        }
        // The library would find a sum of fragments too long only when the last of them is there.
        if self.bytes > limits.message_bytes as u64 && frame.is_legal(self.fragments) {
            return Err(Violation::TooLong);
        }
        Ok(())
    }

    /// Decides where the message goes, as far as this frame tells. Takes the memory that it needs.
    fn decide(&mut self, frame: &FrameHead, limits: &MeterLimits) -> Result<Way, Violation> {
        let is_legal = frame.is_legal(self.fragments);
        if self.bytes > limits.message_bytes as u64 {
            // It is illegal, and the library says why.
            return Ok(Way::Passes);
        }
        if self.bytes <= FREE_MESSAGE_BYTES {
            return Ok(if frame.is_final() || !is_legal { Way::Passes } else { Way::Waits });
        }
        // Memory for the longest message at once: two halves of two messages must not wait for each
        // other.
        let whole = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let amount = if frame.is_final() { whole } else { limits.message_bytes };
        self.memory = limits.receive_budget.take(limits.share, amount);
        match &self.memory {
            Some(_) => Ok(Way::Passes),
            None if is_legal => Ok(Way::IsRefused),
            None => Err(Violation::NoMemory),
        }
    }
}

struct FrameHead {
    first: u8,
    is_masked: bool,
    payload_bytes: u64,
    mask: [u8; 4],
}

impl FrameHead {
    /// Reads a header; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Option<FrameHead> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let short = second & 0x7f;
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let is_masked = second & 0x80 != 0;
        let mask_bytes = if is_masked { 4 } else { 0 };
        if bytes.len() < 2 + length_bytes + mask_bytes {
            return None;
        }
        let mask = bytes.last_chunk::<4>().copied().filter(|_| is_masked).unwrap_or_default();
        let payload_bytes = match length_bytes {
            0 => u64::from(short),
            _ => bytes[2..2 + length_bytes].iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        Some(FrameHead { first, is_masked, payload_bytes, mask })
    }

    fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }

    fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Whether the library accepts this frame as the fragment with this number. A frame that it
    /// does not accept must reach it, because the library says what is wrong.
    fn is_legal(&self, fragment: usize) -> bool {
        let (reserved, opcode) = (self.first & 0x70, self.opcode());
        let is_expected = match fragment {
            1 => opcode == TEXT || opcode == BINARY,
            _ => opcode == CONTINUATION,
        };
        is_expected && reserved == 0 && self.is_masked
    }
}

#[cfg(test)]
mod tests;
