//! Messages while they are received: their fragments, their memory, and which are refused for want
//! of memory.

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
    /// Bytes of the longest message. The library refuses a longer one.
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
}

/// Follows the frames in a stream of bytes. The library checks whether they are legal; an illegal
/// one only has to reach it.
pub(super) struct Messages {
    limits: MeterLimits,
    /// The header of the next frame, as far as it has come.
    header: Vec<u8>,
    /// Bytes of the current frame's payload that have not come yet.
    payload_left: u64,
    current: Way,
    /// The current frame ends its message.
    ends_message: bool,
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

impl Messages {
    pub(super) fn new(limits: MeterLimits, now: Instant) -> Messages {
        Messages {
            limits,
            header: Vec::with_capacity(LONGEST_HEADER),
            payload_left: 0,
            current: Way::Passes,
            ends_message: false,
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
        if frame.is_control() {
            self.count += 1;
            self.count_control_frame(now)?;
            return Ok(Way::Passes);
        }
        self.ends_message = frame.is_final();
        let message = self.message.get_or_insert_with(|| Message::begin(now));
        message.count(frame, &self.limits)?;
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
    fn begin(now: Instant) -> Message {
        Message {
            started: now,
            fragments: 0,
            bytes: 0,
            memory: None,
            way: Way::Waits,
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
        Ok(())
    }

    /// Decides where the message goes, as far as this frame tells. Takes the memory that it needs.
    fn decide(&mut self, frame: &FrameHead, limits: &MeterLimits) -> Result<Way, Violation> {
        let is_legal = frame.is_legal(self.fragments);
        if self.bytes > limits.message_bytes as u64 {
            // The library refuses it as too long.
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
        let payload_bytes = match length_bytes {
            0 => u64::from(short),
            _ => bytes[2..2 + length_bytes].iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        Some(FrameHead { first, is_masked, payload_bytes })
    }

    fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }

    /// Whether the library accepts this frame as the fragment with this number. A frame that it
    /// does not accept must reach it, because the library says what is wrong.
    fn is_legal(&self, fragment: usize) -> bool {
        let (reserved, opcode) = (self.first & 0x70, self.first & 0x0f);
        let is_expected = if fragment == 1 { opcode == 1 || opcode == 2 } else { opcode == 0 };
        is_expected && reserved == 0 && self.is_masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::SharedBudget;
    use banter_seam::ShareId;
    use proptest::prelude::*;

    const FREE_FRAGMENTS: usize = 64;
    const MESSAGE_BYTES: usize = 1024 * 1024;
    const ALICE: ShareId = ShareId(1);
    const BOB: ShareId = ShareId(2);
    const TEXT: u8 = 0x1;
    const CONTINUATION: u8 = 0x0;
    const PING: u8 = 0x9;

    fn frame(opcode: u8, is_final: bool, payload: usize) -> Vec<u8> {
        let mut bytes = vec![opcode | if is_final { 0x80 } else { 0 }];
        match payload {
            0..126 => bytes.push(0x80 | payload as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + payload, 0xff);
        bytes
    }

    fn messages_of(share: ShareId, receiving: &SharedBudget) -> Messages {
        let limits = MeterLimits {
            free_fragments: FREE_FRAGMENTS,
            message_bytes: MESSAGE_BYTES,
            control_frames_per_second: 50,
            receive_budget: receiving.clone(),
            share,
        };
        Messages::new(limits, Instant::now())
    }

    fn messages(receiving_bytes: usize) -> Messages {
        messages_of(ALICE, &SharedBudget::new(receiving_bytes))
    }

    /// What the library gets of these bytes.
    fn passed(messages: &mut Messages, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
        let mut passed = Vec::new();
        messages.pass(bytes, &mut passed, Instant::now())?;
        Ok(passed)
    }

    /// A text in fragments of this many bytes.
    fn fragments(count: usize, bytes: usize) -> Vec<u8> {
        let opcode = |index| if index == 0 { TEXT } else { CONTINUATION };
        (0..count).flat_map(|index| frame(opcode(index), index + 1 == count, bytes)).collect()
    }

    #[test]
    fn one_byte_fragments_are_few() {
        let mut messages = messages(0);
        let mut fragments = 0;
        let mut next = frame(TEXT, false, 1);
        while passed(&mut messages, &next).is_ok() {
            fragments += 1;
            next = frame(CONTINUATION, false, 1);
        }
        assert_eq!(fragments, FREE_FRAGMENTS);
    }

    #[test]
    fn a_longest_message_in_fragments_of_4_kib_passes_and_gives_its_memory_back() {
        let receiving = SharedBudget::new(MESSAGE_BYTES);
        let mut messages = messages_of(ALICE, &receiving);
        let long = fragments(256, 4096);
        let (most, last) = long.split_at(long.len() - 1);
        let mut all = passed(&mut messages, most).expect("honest fragments");
        assert!(receiving.take(BOB, 1).is_none(), "it is held");
        all.extend(passed(&mut messages, last).expect("the end"));
        assert!(all == long && messages.complete() == Some(1));
        assert!(receiving.take(BOB, MESSAGE_BYTES).is_some());
    }

    #[test]
    fn a_whole_message_takes_only_its_own_length() {
        let receiving = SharedBudget::new(MESSAGE_BYTES);
        let mut messages = messages_of(ALICE, &receiving);
        let begun = &frame(TEXT, true, 17_000)[..100];
        assert_eq!(passed(&mut messages, begun).expect("memory"), begun);
        assert!(receiving.take(BOB, MESSAGE_BYTES - 17_000).is_some());
    }

    #[test]
    fn a_long_message_without_memory_is_kept_from_the_library_and_refused_in_its_turn() {
        let before = frame(TEXT, true, 3);
        let after = frame(PING, true, 0);
        for refused in [frame(TEXT, true, 100_000), fragments(30, 10_000), fragments(90, 400)] {
            let mut messages = messages(10);
            let bytes = [&before[..], &refused, &after].concat();
            assert_eq!(passed(&mut messages, &bytes), Ok([&before[..], &after].concat()));
            assert_eq!(messages.complete(), Some(2));
            assert!(!messages.tell_refused(0), "one is answered before it");
            assert!(messages.tell_refused(1) && !messages.tell_refused(2));
            assert_eq!(passed(&mut messages, &before).as_ref(), Ok(&before));
        }
    }

    #[test]
    fn one_who_holds_much_leaves_others_their_share() {
        let receiving = SharedBudget::new(10 * MESSAGE_BYTES);
        let begun = &fragments(30, 10_000)[..21_000];
        let of_alice: Vec<Messages> = (0..64)
            .map(|_| {
                let mut messages = messages_of(ALICE, &receiving);
                passed(&mut messages, begun).expect("no violation");
                messages
            })
            .collect();
        assert!(of_alice.iter().any(|messages| !messages.refused.is_empty()));
        let long = frame(TEXT, true, 1_000_000);
        let of_bob = passed(&mut messages_of(BOB, &receiving), &long);
        assert_eq!(of_bob.map(|passed| passed.len()), Ok(long.len()));
    }

    #[test]
    fn what_is_illegal_reaches_the_library() {
        let text_inside = [frame(TEXT, false, 3), frame(TEXT, true, 3)].concat();
        let unmasked = [frame(TEXT, false, 3), vec![0x80 | CONTINUATION, 1, b'a']].concat();
        let reserved = [frame(TEXT, false, 3), frame(0x40, true, 3)].concat();
        for bytes in [text_inside, unmasked, reserved, frame(CONTINUATION, false, 3)] {
            assert_eq!(passed(&mut messages(0), &bytes), Ok(bytes));
        }
        let odd = frame(0x3, true, 100_000);
        assert_eq!(passed(&mut messages(0), &odd), Err(Violation::NoMemory));
    }

    #[test]
    fn control_frames_are_counted_per_second() {
        let mut messages = messages(0);
        let now = Instant::now();
        let mut pass = |bytes: &[u8], now| messages.pass(bytes, &mut Vec::new(), now);
        let flood: Vec<u8> = (0..50).flat_map(|_| frame(PING, true, 125)).collect();
        pass(&flood, now).expect("as many as allowed");
        let later = now + Duration::from_secs(1);
        pass(&flood, later).expect("a new second");
        assert_eq!(pass(&frame(PING, true, 0), later), Err(Violation::ControlFrames));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..64) {
            let mut messages = messages(0);
            let cut = cut.min(bytes.len());
            let _ = passed(&mut messages, &bytes[..cut]);
            let _ = passed(&mut messages, &bytes[cut..]);
        }

        #[test]
        fn cuts_do_not_change_what_passes(
            sizes in prop::collection::vec((0usize..300, 1usize..4), 1..8),
        ) {
            let whole: Vec<u8> =
                sizes.iter().flat_map(|(bytes, count)| fragments(*count, *bytes)).collect();
            let mut messages = messages(0);
            let mut all = Vec::new();
            for byte in &whole {
                all.extend(passed(&mut messages, std::slice::from_ref(byte)).expect("short"));
            }
            prop_assert_eq!(all, whole);
            prop_assert_eq!(messages.complete(), Some(sizes.len() as u64));
        }
    }
}
