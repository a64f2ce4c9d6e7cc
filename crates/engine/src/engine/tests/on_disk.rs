//! Conversations that are kept on disk, with a real disk and its thread.

use std::path::Path;

use super::*;
use crate::kv_cache::DiskConfig;
use crate::kv_cache::disk::{Disk, Identity};

impl Stage {
    /// A stage that keeps conversations in a folder, which is open when this returns.
    fn on_disk(limits: SchedulerLimits, folder: &Path, computed: &str) -> Stage {
        let mut stage = Stage::new(limits);
        let config = DiskConfig { folder: folder.to_owned(), max_bytes: 1 << 20 };
        let identity = Identity { model: byte_model(), computed: computed.to_owned() };
        let disk = Disk::start(config, identity).expect("a thread can be started");
        stage.step_loop.core.set_disk(disk);
        while stage.step_loop.core.disk.as_ref().is_some_and(|disk| disk.chain().is_none()) {
            stage.step_loop.core.wait_for_disk();
            stage.step_loop.core.keep(&mut stage.step_loop.compute);
        }
        stage
    }

    /// Closes the inbox and takes the last turn, which saves what is left.
    fn end(mut self) {
        self.sender = None;
        assert_eq!(self.turn(), Next::End);
    }

    fn cached_on_disk(&mut self, ask: &Ask) -> usize {
        let reply = self.answer(ask);
        assert_eq!(reply.text, alone(ask).text);
        self.assert_all_free();
        reply.finished.usage.cached_tokens
    }
}

fn roomy() -> SchedulerLimits {
    limits(200, 8)
}

fn folder() -> tempfile::TempDir {
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
    while stage.step_loop.core.is_saving() {
        stage.turns(1);
    }
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

#[test]
fn what_is_forgotten_is_gone_from_memory_and_disk() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let (first, second) = (Ask::new(1, 60, 5).behind(32), Ask::new(2, 60, 5).behind(32));
    let letter = byte(&stage, "a");
    stage.step_loop.compute.says = Box::new(only(letter));
    stage.answer(&first);
    stage.answer(&second);
    stage.step_loop.compute.says = Box::new(noise);
    let conversation = [first.prompt.as_slice(), &[letter; 5]].concat();
    while stage.step_loop.core.is_saving() {
        stage.turns(1);
    }
    stage.step_loop.core.forget(Tenant(0), 0, &conversation);
    assert_eq!(stage.cached_on_disk(&first), 32, "what another conversation begins with too");
    stage.end();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    assert_eq!(stage.cached_on_disk(&second), 80);
    stage.end();
}

#[test]
fn a_draft_leaves_nothing_on_disk_until_it_is_sent() {
    let folder = folder();
    let mut stage = Stage::on_disk(roomy(), folder.path(), "same");
    let ask = Ask::new(1, 150, 5);
    let place = stage.status.join_errands().expect("there is room");
    let (tenant, tokens) = (ask.tenant, ask.prompt[..100].to_vec());
    let draft = crate::engine::drafts::NewDraft { tenant, key: 1, shared_tokens: 0, tokens, place };
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
    stage.turns(1);
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
