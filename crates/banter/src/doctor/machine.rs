//! Checks of the machine: processor, memory, disk, clock, open files.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use banter_engine::Isa;
use banter_engine::engine::{available_memory_bytes, cores};
use banter_engine::measure::weight_bytes_per_second;
use banter_remote::size::show_bytes;
use rustix::process::{Resource, getrlimit};

use super::finding::{Finding, said};

/// Below this, downloads and conversations soon have no room.
const LITTLE_DISK: u64 = 2 << 30;
const NO_DISK: u64 = 100 << 20;
/// 2026 began then, in seconds since 1970. No banter is older.
const FIRST_SECONDS: u64 = 1_767_225_600;
/// Files that a server opens beside its connections.
const OTHER_DESCRIPTORS: u64 = 128;

/// The instruction set, and how many threads compute.
pub fn processor() -> Finding {
    let (isa, threads) = (Isa::best().name(), cores());
    let found = said(
        format!("instruction set {isa}, {threads} threads compute"),
        format!("指令集 {isa}，{threads} 个线程参与计算"),
    );
    if isa != "scalar" {
        return Finding::ok("processor", found);
    }
    let todo = said(
        "expected AVX2 or NEON; answers will be many times slower. Use another machine, or give the \
         virtual machine the processor of its host (CPU type `host`)",
        "需要 AVX2 或 NEON，否则回答会慢很多倍。请换一台机器；如果是虚拟机，请把 CPU 类型设为 host",
    );
    Finding::warning("processor", found, todo)
}

/// How many bytes of weights can be read a second; `None` where there is too little memory to find
/// out. Takes about half a second.
pub fn memory_speed() -> Option<f64> {
    const NEEDED: u64 = 1 << 30;
    let is_enough = available_memory_bytes().is_none_or(|free| free >= NEEDED);
    is_enough.then(|| weight_bytes_per_second(Isa::best(), cores()).ok())?
}

/// The memory that may still be taken, and its speed in bytes a second.
pub fn memory(speed: Option<f64>) -> Finding {
    let unknown = || said("how much is free is not known", "无法得知可用内存");
    let free = available_memory_bytes().map(show_bytes);
    let free =
        free.map_or_else(unknown, |free| said(format!("{free} free"), format!("可用 {free}")));
    let Some(speed) = speed.map(|speed| show_bytes(speed as u64)) else {
        return Finding::ok("memory", free);
    };
    let found =
        said(format!("{}, read at {speed}/s", free.en), format!("{}，读取速度 {speed}/s", free.zh));
    Finding::ok("memory", found)
}

/// Whether a control group gives fewer cores than the machine has.
pub fn control_group() -> Option<Finding> {
    let here = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let limit = quota(Path::new("/sys/fs/cgroup/cpu.max"))?;
    if limit >= here as f64 {
        return None;
    }
    let found = said(
        format!("this container may use {limit:.1} of {here} cores"),
        format!("此容器只能使用 {here} 个核心中的 {limit:.1} 个"),
    );
    let todo = said(
        "raise the limit (`--cpus` of docker, `CPUQuota` of systemd) to have faster answers",
        "要更快的回答，请提高限额（docker 的 --cpus，systemd 的 CPUQuota）",
    );
    Some(Finding::warning("container", found, todo))
}

/// The cores that a file of version 2 gives; `None` without a limit.
fn quota(file: &Path) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// The room on the disk of a folder, or of the nearest folder above it that exists.
pub fn disk(folder: &Path) -> Finding {
    let shown = folder.display();
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(folder);
    let free = match rustix::fs::statvfs(there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let found = said(format!("{shown}: {error}"), format!("{shown}：{error}"));
            let todo = said(
                "make the folder readable, or name another one",
                "请让该文件夹可读，或指定另一个文件夹",
            );
            return Finding::problem("disk", found, todo);
        }
    };
    let room = show_bytes(free);
    let found = said(format!("{room} free for {shown}"), format!("{shown} 所在磁盘剩余 {room}"));
    if free >= LITTLE_DISK {
        return Finding::ok("disk", found);
    }
    let todo = said(
        "make room, or name a folder on another disk with --data or --models-dir",
        "请清理磁盘，或用 --data、--models-dir 指定其他磁盘上的文件夹",
    );
    match free < NO_DISK {
        true => Finding::problem("disk", found, todo),
        false => Finding::warning("disk", found, todo),
    }
}

/// Whether the clock can be right.
pub fn clock(now: SystemTime) -> Finding {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let shown = jiff::Timestamp::try_from(now)
        .map_or_else(|_| seconds.to_string(), |now| now.strftime("%Y-%m-%d %H:%M UTC").to_string());
    if seconds >= FIRST_SECONDS {
        return Finding::ok("clock", said(shown.clone(), shown));
    }
    let found = said(
        format!("it says {shown}, before this program was written"),
        format!("系统时间是 {shown}，早于本程序的编写时间"),
    );
    let todo = said(
        "set the clock (`timedatectl set-ntp true`): https and keys that end need it",
        "请校准时钟（timedatectl set-ntp true）：https 和有期限的密钥都需要它",
    );
    Finding::problem("clock", found, todo)
}

/// Whether the process may open enough files for its connections. When a server starts, it raises its
/// limit to the highest that the system allows.
pub fn descriptors(max_connections: usize) -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let needed = max_connections as u64 + OTHER_DESCRIPTORS;
    let found = said(
        format!("{limit} may be open, {needed} are needed for {max_connections} connections"),
        format!("最多可打开 {limit} 个，{max_connections} 个连接需要 {needed} 个"),
    );
    if limit >= needed {
        return Finding::ok("open files", found);
    }
    let todo = said(
        format!(
            "raise it (`ulimit -n {needed}`, `LimitNOFILE={needed}` of systemd), or lower --max-connections"
        ),
        format!(
            "请提高上限（ulimit -n {needed}，systemd 的 LimitNOFILE={needed}），或调低 --max-connections"
        ),
    );
    Finding::warning("open files", found, todo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn memory_is_told_with_and_without_its_speed() {
        assert!(memory(Some(10e9)).found.en.contains("/s"));
        assert!(!memory(None).found.en.contains("/s"));
    }

    #[test]
    fn a_clock_of_another_year_is_a_problem() {
        assert_eq!(clock(UNIX_EPOCH).outcome, Outcome::Problem);
        assert_eq!(clock(SystemTime::now()).outcome, Outcome::Ok);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_where_it_would_be_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let finding = disk(&folder.path().join("not/made/yet"));
        assert!(finding.found.en.contains("free for"), "{finding:?}");
    }

    #[test]
    fn connections_need_descriptors() {
        assert_eq!(descriptors(1).outcome, Outcome::Ok);
    }

    #[test]
    fn a_quota_is_a_number_of_cores() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cpu.max");
        for (text, expected) in [("150000 100000\n", Some(1.5)), ("max 100000\n", None), ("", None)]
        {
            fs::write(&file, text).expect("it can be written");
            assert_eq!(quota(&file), expected, "{text:?}");
        }
    }
}
