use super::*;
use crate::shares::SharedBudget;
use banter_seam::ShareId;
use proptest::prelude::*;

const FREE_FRAGMENTS: usize = 64;
const MESSAGE_BYTES: usize = 1024 * 1024;
const ALICE: ShareId = ShareId(1);
const BOB: ShareId = ShareId(2);
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

/// `payload` as a masked frame.
fn masked(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(opcode, is_final, payload.len());
    let start = bytes.len() - payload.len() - 4;
    bytes[start..start + 4].copy_from_slice(b"mask");
    for (index, (byte, plain)) in bytes[start + 4..].iter_mut().zip(payload).enumerate() {
        *byte = plain ^ b"mask"[index % 4];
    }
    bytes
}

#[test]
fn w8_text_that_is_not_utf_8_ends_at_its_first_bad_byte() {
    let mut long = "你好🌍".repeat(2000).into_bytes();
    long[15_001] = 0xff;
    for (text, bad) in [(b"a\xffb".to_vec(), 1), (long, 15_001)] {
        let whole = masked(TEXT, false, &text);
        let before = whole.len() - text.len() + bad;
        let mut messages = messages(MESSAGE_BYTES);
        // The bytes come one by one, so that the mask and the characters are cut everywhere.
        for byte in &whole[..before] {
            passed(&mut messages, std::slice::from_ref(byte)).expect("text so far");
        }
        let found = passed(&mut messages, &whole[before..=before]);
        assert_eq!(found, Err(Violation::NotUtf8));
    }
}

#[test]
fn w8_a_character_goes_on_in_the_next_fragment_behind_a_control_frame() {
    let (start, end) = "a你".as_bytes().split_at(2);
    let ping = masked(PING, true, b"\xff");
    let good = [masked(TEXT, false, start), ping.clone(), masked(CONTINUATION, true, end)];
    assert!(passed(&mut messages(0), &good.concat()).is_ok());
    let bad = [masked(TEXT, false, start), ping, masked(CONTINUATION, true, b"a")];
    assert_eq!(passed(&mut messages(0), &bad.concat()), Err(Violation::NotUtf8));
    let binary = masked(BINARY, true, b"\xff");
    assert_eq!(passed(&mut messages(0), &binary), Ok(binary));
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
