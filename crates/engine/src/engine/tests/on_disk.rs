//! Conversations that are kept on disk, with a real disk and its thread.

use std::path::Path;

use super::*;
use crate::kv_cache::block_name::BlockName;
use crate::kv_cache::disk::{Disk, Identity, KeptAnswer, Stored};
use crate::kv_cache::{BLOCK_TOKENS, DiskConfig};

impl Stage {
    /// A stage that keeps conversations in a folder, which is open when this returns.
    pub(super) fn on_disk(limits: SchedulerLimits, folder: &Path, computed: &str) -> Stage {
        Stage::on_disk_of(1 << 20, limits, folder, computed)
    }

    fn on_disk_of(max_bytes: u64, limits: SchedulerLimits, folder: &Path, computed: &str) -> Stage {
        let mut stage = Stage::beside_disk(max_bytes, limits, folder, computed);
        stage.open_disk();
        stage
    }

    /// A stage whose folder may not be open yet.
    fn beside_disk(
        max_bytes: u64,
        limits: SchedulerLimits,
        folder: &Path,
        computed: &str,
    ) -> Stage {
        let mut stage = Stage::new(limits);
        let config = DiskConfig { folder: folder.to_owned(), max_bytes };
        let identity = Identity { model: Arc::new(byte_model()), computed: computed.to_owned() };
        let disk = Disk::start(config, identity).expect("a thread can be started");
        stage.step_loop.core.set_disk(disk);
        stage
    }

    /// Waits until the folder is open.
    fn open_disk(&mut self) {
        while self.step_loop.core.disk.as_ref().is_some_and(|disk| disk.namer().is_none()) {
            self.step_loop.core.wait_for_disk();
            self.step_loop.core.sync_disk(&mut self.step_loop.compute);
        }
    }

    /// Iterates until all released blocks are on disk.
    fn save_all(&mut self) {
        while self.step_loop.core.is_saving() {
            self.iterate_times(1);
        }
    }

    /// Asks for a conversation to be forgotten, as the engine does.
    fn forget(&self, ask: &Ask) {
        self.status
            .inbox()
            .add_forget(Origin { tenant: ask.tenant, conversation: ask.conversation });
        let permit = self.status.inbox().side_message().expect("there is room");
        let sender = self.sender.as_ref().expect("the inbox is open");
        sender.try_send(Arrival::Forget(permit)).expect("there is room");
    }

    /// Closes the inbox and runs the last iteration, which saves what is left.
    pub(super) fn end(mut self) {
        self.sender = None;
        assert_eq!(self.iterate(), Next::End);
    }

    fn cached_on_disk(&mut self, ask: &Ask) -> usize {
        let reply = self.answer(ask);
        assert_eq!(reply.text, alone(ask).text);
        self.assert_all_free();
        reply.finished.usage.cached_tokens
    }
}

pub(super) fn roomy() -> SchedulerLimits {
    limits(200, 8)
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let folders =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|path| {
        std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("one").path())
    });
    files.collect()
}

#[test]
fn a_conversation_goes_on_after_a_restart() {
    let folder = folder();
    let ask = Ask::new(1, 150, 10);
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&ask), 0);
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&ask), 144, "all whole blocks");
    let mut longer = ask.clone();
    longer.prompt.extend([TokenId(5); 40]);
    assert_eq!(stage.cached_on_disk(&longer), 150);
    let other = Ask { tenant: Tenant(1), ..ask.clone() };
    assert_eq!(stage.cached_on_disk(&other), 0, "another's conversation");
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "another type of cache");
    assert_eq!(stage.cached_on_disk(&ask), 0, "what was computed otherwise");
    stage.end();
}

#[test]
fn what_memory_had_to_let_go_comes_back_from_disk() {
    let folder = folder();
    let mut stage = Stage::on_disk(limits(12, 1), folder.path(), "same");
    let (first, second) = (Ask::new(1, 100, 5), Ask::new(2, 150, 5));
    assert_eq!(stage.cached_on_disk(&first), 0);
    stage.save_all();
    assert_eq!(stage.cached_on_disk(&second), 0);
    assert_eq!(stage.cached_on_disk(&first), 96);
    stage.end();
}

#[test]
fn a_damaged_file_costs_what_was_in_it_and_no_more() {
    let folder = folder();
    let ask = Ask::new(1, 150, 10);
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&ask);
    stage.end();
    let paths = files_of(folder.path());
    assert_eq!(paths.len(), 9);
    for path in &paths[3..] {
        let mut bytes = std::fs::read(path).expect("a file");
        let last = bytes.len() - 40;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).expect("it can be written");
    }
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let cached = stage.cached_on_disk(&ask);
    assert!(cached <= 48 && cached.is_multiple_of(16), "{cached} of what three whole files hold");
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&ask), 144, "what was damaged was written again");
    stage.end();
}

fn within(conversation: u64, ask: Ask) -> Ask {
    Ask { conversation: Some(ConversationId(conversation)), ..ask }
}

#[test]
fn what_is_forgotten_is_gone_from_memory_and_disk() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let first = within(1, Ask::new(1, 60, 5).behind(32));
    let second = within(2, Ask::new(2, 60, 5).behind(32));
    stage.answer(&first);
    stage.answer(&second);
    stage.save_all();
    stage.forget(&first);
    stage.iterate_times(1);
    assert_eq!(stage.cached_on_disk(&first), 32, "what another conversation begins with too");
    stage.forget(&first);
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&second), 80);
    stage.forget(&second);
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 0);
}

#[test]
fn histories_that_were_cut_or_edited_are_forgotten_with_their_conversation() {
    let folder = folder();
    let whole = within(1, Ask::new(1, 150, 5));
    let mut edited = whole.clone();
    edited.prompt[20] = TokenId(7);
    let mut cut = whole.clone();
    cut.prompt.drain(..70);
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let asks = [whole, edited, cut];
    asks.iter().for_each(|ask| drop(stage.answer(ask)));
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&asks[1]), 144, "it is there");
    stage.forget(&asks[0]);
    for ask in &asks {
        assert_eq!(stage.cached_on_disk(&Ask { conversation: None, ..ask.clone() }) & !15, 0);
        stage.forget(&Ask { conversation: None, ..ask.clone() });
    }
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 0);
}

#[test]
fn what_is_forgotten_while_it_is_written_leaves_nothing() {
    let folder = folder();
    let ask = within(1, Ask::new(1, 100, 40));
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let generation = stage.submit(&ask);
    stage.iterate_times(4);
    stage.forget(&ask);
    stage.run_until_idle();
    assert_eq!(read(generation).text, alone(&ask).text, "it goes on");
    stage.save_all();
    assert_eq!(stage.step_loop.core.disk.as_ref().map(Disk::blocks), Some(0));
    stage.assert_all_free();
    assert_eq!(stage.cached_on_disk(&Ask { conversation: None, ..ask }), 0);
    stage.forget(&Ask::new(1, 1, 1));
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 0);
}

#[test]
fn a_draft_is_forgotten_with_its_conversation() {
    let mut stage = Stage::with_room();
    let ask = within(1, Ask::new(1, 100, 5));
    let permit = stage.status.inbox().side_message().expect("there is room");
    let origin = Origin { tenant: ask.tenant, conversation: ask.conversation };
    let tokens = ask.prompt[..80].to_vec();
    let draft =
        crate::engine::drafts::NewDraft { origin, key: 1, shared_tokens: 0, tokens, permit };
    stage.step_loop.core.put_draft(draft);
    stage.iterate_times(1);
    stage.forget(&ask);
    stage.iterate_times(1);
    assert!(stage.step_loop.core.is_idle(), "nothing of it is computed any more");
    assert_eq!(stage.cached_on_disk(&ask), 0);
}

#[test]
fn what_was_sent_before_it_was_forgotten_leaves_nothing_either() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let (answer, draft) = (within(1, Ask::new(1, 100, 5)), within(1, Ask::new(2, 100, 5)));
    let kept = within(2, Ask::new(3, 100, 5));
    // All of this waits in the inbox when the engine looks into it.
    let generation = stage.submit(&answer);
    let permit = stage.status.inbox().side_message().expect("there is room");
    let origin = Origin { tenant: draft.tenant, conversation: draft.conversation };
    let tokens = draft.prompt.clone();
    let new = crate::engine::drafts::NewDraft { origin, key: 1, shared_tokens: 0, tokens, permit };
    let sender = stage.sender.as_ref().expect("the inbox is open");
    sender.try_send(Arrival::Draft(new)).expect("there is room");
    let beside = stage.submit(&kept);
    stage.forget(&answer);
    stage.run_until_idle();
    assert_eq!(read(generation).text, alone(&answer).text, "it is answered");
    assert_eq!(read(beside).text, alone(&kept).text);
    stage.save_all();
    assert_eq!(stage.status.counters().drafts_computed, 0);
    for ask in [answer, draft] {
        assert_eq!(stage.cached_on_disk(&Ask { conversation: None, ..ask }), 0);
    }
    assert_eq!(stage.cached_on_disk(&kept), 99, "another conversation stays");
    stage.end();
}

#[test]
fn what_is_sent_after_its_conversation_was_forgotten_is_kept() {
    let mut stage = Stage::with_room();
    let ask = within(1, Ask::new(1, 100, 5));
    stage.forget(&ask);
    stage.answer(&ask);
    assert_eq!(stage.cached_on_disk(&ask), 99);
}

#[test]
fn what_is_forgotten_before_the_folder_is_open_goes_as_soon_as_it_is() {
    let folder = folder();
    let (gone, kept) = (within(1, Ask::new(1, 150, 5)), within(2, Ask::new(2, 150, 5)));
    let mut first = Stage::on_disk(roomy(), folder.path(), "same");
    first.answer(&gone);
    first.answer(&kept);
    first.save_all();
    // The folder is the first one's until that ends.
    let second = Stage::beside_disk(1 << 20, roomy(), folder.path(), "same");
    second.forget(&gone);
    let third = std::thread::spawn(move || second.end());
    first.end();
    third.join().expect("it ends");
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&kept), 144);
    assert_eq!(stage.cached_on_disk(&gone), 0);
    stage.end();
}

/// Blocks that nobody can find, as many as may be on their way to the disk.
fn save_many(disk: &mut Disk) {
    let mut number = 0_u128;
    while disk.has_room() {
        number += 1;
        disk.save(Stored {
            name: BlockName(number.to_le_bytes()),
            parent: None,
            owner: None,
            tokens: [TokenId(0); BLOCK_TOKENS],
            payload: Vec::new(),
        });
    }
}

#[test]
fn a_disk_that_stands_still_makes_nothing_grow_and_forgets_once_it_goes_on() {
    let folder = folder();
    let (gone, kept) = (within(1, Ask::new(1, 150, 5)), within(2, Ask::new(2, 150, 5)));
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&gone);
    stage.answer(&kept);
    stage.save_all();
    let disk = stage.step_loop.core.disk.as_mut().expect("it is open");
    // It stands still from the moment when it has more to say than somebody hears.
    save_many(disk);
    for number in 0..50_000_u64 {
        let origin = Origin { tenant: Tenant(number % 7 + 1), ..Origin::default() };
        let conversation = Some(ConversationId(number));
        disk.touch(BlockName(u128::from(number).to_le_bytes()));
        disk.keep(KeptAnswer { origin, ids: vec![TokenId(1); 4] });
        disk.load(number, Vec::new(), StopFlag::new());
        disk.forget(Origin { conversation, ..origin });
        if number == 10 {
            disk.forget(Origin { tenant: gone.tenant, conversation: gone.conversation });
        }
        assert!(disk.is_bounded(), "after {number} commands of each kind");
    }
    while stage.step_loop.core.is_saving() {
        stage.step_loop.core.wait_for_disk();
        stage.step_loop.core.sync_disk(&mut stage.step_loop.compute);
    }
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&gone), 0);
    stage.end();
}

#[test]
fn an_answer_that_was_forgotten_before_the_folder_was_open_is_not_kept_in_it() {
    let folder = folder();
    let first = Stage::on_disk(roomy(), folder.path(), "same");
    // The folder is the first one's until that ends.
    let mut second = Stage::beside_disk(1 << 20, roomy(), folder.path(), "same");
    let origin = Origin { tenant: Tenant(1), conversation: Some(ConversationId(1)) };
    let disk = second.step_loop.core.disk.as_mut().expect("it waits");
    disk.keep(KeptAnswer { origin, ids: vec![TokenId(7); 4] });
    disk.forget(origin);
    first.end();
    second.open_disk();
    second.end();
    let answers = std::fs::read(folder.path().join("answers")).unwrap_or_default();
    assert!(answers.is_empty(), "{answers:?}");
}

#[test]
fn what_is_forgotten_is_gone_even_if_the_model_is_never_read() {
    let folder = folder();
    let ask = within(1, Ask::new(1, 150, 5));
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&ask);
    stage.end();
    let stage = Stage::beside_disk(1 << 20, roomy(), folder.path(), "another model");
    stage.forget(&ask);
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 0);
}

#[test]
fn what_a_shorter_conversation_left_in_memory_does_not_hide_the_disk() {
    let folder = folder();
    let long = Ask::new(1, 150, 5);
    let short = Ask { prompt: long.prompt[..25].to_vec(), ..Ask::new(1, 25, 1) };
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&long), 0);
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&short), 16);
    assert_eq!(stage.cached_on_disk(&long), 144);
    stage.end();
}

#[test]
fn a_block_that_the_disk_has_let_go_is_written_again() {
    let folder = folder();
    let (first, second) = (Ask::new(1, 150, 5), Ask::new(2, 150, 5));
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&first);
    stage.end();
    let file_bytes = std::fs::metadata(&files_of(folder.path())[0]).expect("a file").len();
    let mut stage = Stage::on_disk_of(9 * file_bytes, roomy(), folder.path(), "same");
    for ask in [&first, &second, &first] {
        stage.answer(ask);
        stage.save_all();
    }
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&first), 144, "memory had it all the time");
    stage.end();
}

#[test]
fn a_size_below_that_of_a_block_keeps_nothing_and_disturbs_nobody() {
    let folder = folder();
    let ask = Ask::new(1, 150, 5);
    let mut stage = Stage::on_disk_of(100, roomy(), folder.path(), "same");
    stage.answer(&ask);
    stage.save_all();
    while stage.step_loop.core.disk.is_some() {
        stage.iterate_times(1);
    }
    assert_eq!(stage.cached_on_disk(&ask), 149);
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 0);
}

#[test]
fn a_request_that_is_there_when_the_folder_opens_finds_what_is_in_it() {
    let folder = folder();
    let ask = Ask::new(1, 150, 5);
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&ask);
    stage.end();
    let mut stage = Stage::beside_disk(1 << 20, roomy(), folder.path(), "same");
    assert_eq!(stage.status.disk_blocks(), None);
    stage.step_loop.core.wait_for_folder();
    assert_eq!(stage.status.disk_blocks(), Some(9));
    assert_eq!(stage.cached_on_disk(&ask), 144);
    stage.end();
}

#[test]
fn a_draft_leaves_nothing_on_disk_until_it_is_sent() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let ask = Ask::new(1, 150, 5);
    let permit = stage.status.inbox().side_message().expect("there is room");
    let (origin, tokens) = (ask.tenant.into(), ask.prompt[..100].to_vec());
    let draft =
        crate::engine::drafts::NewDraft { origin, key: 1, shared_tokens: 0, tokens, permit };
    stage.step_loop.core.put_draft(draft);
    stage.run_until_idle();
    assert!(!stage.step_loop.core.is_saving());
    assert_eq!(stage.cached_on_disk(&ask), 100);
    assert!(stage.step_loop.core.is_saving());
    stage.end();
    assert_eq!(files_of(folder.path()).len(), 9);
}

#[test]
fn a_stop_while_blocks_come_from_disk_frees_them() {
    let folder = folder();
    let ask = Ask::new(1, 150, 10);
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    stage.answer(&ask);
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let stopped = stage.submit(&ask);
    stage.iterate_times(1);
    stopped.stop();
    stage.run_until_idle();
    assert_eq!(read(stopped).reason(), &FinishReason::Stopped);
    stage.assert_all_free();
    assert_eq!(stage.cached_on_disk(&ask), 144, "what had come is used, and the rest comes again");
    stage.end();
}

#[test]
fn a_folder_that_cannot_be_used_disturbs_nobody() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), b"in the way").expect("it can be written");
    let mut stage = Stage::on_disk(roomy(), &folder.path().join("file"), "same");
    assert!(stage.step_loop.core.disk.is_none());
    let ask = Ask::new(1, 150, 10);
    assert_eq!(stage.cached_on_disk(&ask), 0);
    assert_eq!(stage.cached_on_disk(&ask), 149);
    stage.end();
}

#[test]
fn who_waits_for_room_gives_the_disk_nothing_to_do() {
    let folder = folder();
    let mut stage = Stage::on_disk(limits(30, 4), folder.path(), "same");
    let long = Ask::new(1, 250, 5);
    stage.answer(&long);
    while stage.step_loop.core.is_saving() {
        stage.iterate_times(1);
    }
    stage.step_loop.compute.says = Box::new(only(byte(&stage, "a")));
    let running = stage.submit(&Ask::new(2, 200, 200));
    stage.iterate_times(1);
    let waiting = stage.submit(&Ask { max_tokens: 100, ..long.clone() });
    stage.iterate_times(1);
    let StepLoop { core, compute, .. } = &mut stage.step_loop;
    while core.waits_for_disk() || core.is_saving() {
        core.wait_for_disk();
        core.sync_disk(compute);
    }
    // Where what came is in the way of who runs, it goes again.
    stage.iterate_times(30);
    for _ in 0..50 {
        stage.iterate_times(1);
        assert_eq!(stage.status.counters().waiting, 1);
        assert!(!stage.step_loop.core.is_saving(), "blocks were given back for nothing");
    }
    drop(running);
    stage.run_until_idle();
    assert!(read(waiting).finished.usage.cached_tokens > 0);
    stage.end();
}
