//! What this machine has: memory that may still be taken, and cores.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A machine, as Linux describes it in files; elsewhere nothing is known of its memory.
pub struct Machine {
    /// `/`, or a folder that looks like it in tests.
    root: PathBuf,
}

/// How one version of control groups names its files.
struct GroupFiles {
    limit: &'static str,
    usage: &'static str,
    /// The field of `memory.stat` that counts file pages nobody has used lately.
    reclaimable: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

const VERSION_2: GroupFiles =
    GroupFiles { limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file" };

/// Memory that this process may still take, in bytes, if known.
pub fn available_memory_bytes() -> Option<u64> {
    Machine::here().available_memory_bytes()
}

impl Machine {
    /// The machine this runs on.
    pub fn here() -> Machine {
        Machine { root: PathBuf::from("/") }
    }

    /// Memory that can be taken before the machine or a control group runs out, if known.
    pub fn available_memory_bytes(&self) -> Option<u64> {
        let machine = self.machine_memory_bytes();
        self.group_rooms().into_iter().chain(machine).min()
    }

    /// Cores this process may use, two hardware threads of one core counted once: matrix kernels
    /// keep a core's arithmetic busy with one.
    pub fn cores(&self) -> NonZeroUsize {
        let allowed = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.physical_cores().map_or(allowed, |cores| cores.min(allowed))
    }

    fn machine_memory_bytes(&self) -> Option<u64> {
        let meminfo = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
        let kibibytes: u64 = field(&meminfo, "MemAvailable:")?;
        kibibytes.checked_mul(1024)
    }

    /// Room in every control group this process is in, up to the outermost.
    fn group_rooms(&self) -> Vec<u64> {
        let groups = fs::read_to_string(self.root.join("proc/self/cgroup")).unwrap_or_default();
        let mounts = self.root.join("sys/fs/cgroup");
        let mut rooms = Vec::new();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            if controllers.is_empty() {
                rooms.extend(rooms_up(&mounts, path, &VERSION_2));
            } else if controllers.split(',').any(|controller| controller == "memory") {
                rooms.extend(rooms_up(&mounts.join("memory"), path, &VERSION_1));
            }
        }
        rooms
    }

    fn physical_cores(&self) -> Option<NonZeroUsize> {
        let mut cores = HashSet::new();
        for cpu in fs::read_dir(self.root.join("sys/devices/system/cpu")).ok()?.flatten() {
            let siblings = cpu.path().join("topology/thread_siblings_list");
            cores.extend(fs::read_to_string(siblings));
        }
        NonZeroUsize::new(cores.len())
    }
}

/// Inside a container the path may be the one seen from outside; groups that are not there are
/// passed over, and the container's own is the mount itself.
fn rooms_up(mount: &Path, path: &str, files: &GroupFiles) -> Vec<u64> {
    let innermost = Path::new(path.trim_start_matches('/'));
    innermost.ancestors().filter_map(|group| room(&mount.join(group), files)).collect()
}

fn room(group: &Path, files: &GroupFiles) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, usage) = (number(files.limit)?, number(files.usage)?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable = field(&stat, files.reclaimable).unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
}

/// The number after `name` in a file of one field per line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("every file is in a folder"))
                .and_then(|()| fs::write(&path, text))
                .expect("a temporary folder can be written");
        }
        let machine = Machine { root: folder.path().to_owned() };
        (folder, machine)
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:       2000 kB\nMemFree: 5 kB\nMemAvailable:   1000 kB\n");

    #[test]
    fn available_memory_is_the_least_of_machine_and_groups() {
        struct Case {
            files: &'static [(&'static str, &'static str)],
            expected: Option<u64>,
        }
        let cases = [
            Case { files: &[], expected: None },
            Case { files: &[MEMINFO], expected: Some(1_024_000) },
            Case {
                files: &[
                    MEMINFO,
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/memory.max", "9000\n"),
                    ("sys/fs/cgroup/a/memory.current", "5000\n"),
                    ("sys/fs/cgroup/a/memory.stat", "anon 7\ninactive_file 1500\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/b/memory.current", "5000\n"),
                ],
                expected: Some(5_500),
            },
            Case {
                files: &[
                    MEMINFO,
                    ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/seen/outside\n0::/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000\n"),
                    ("sys/fs/cgroup/memory/memory.usage_in_bytes", "9500\n"),
                    ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 2000\n"),
                ],
                expected: Some(500),
            },
            Case {
                files: &[
                    MEMINFO,
                    ("proc/self/cgroup", "4:memory:/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"),
                ],
                expected: Some(1_024_000),
            },
        ];
        for case in &cases {
            let (_folder, machine) = machine(case.files);
            assert_eq!(machine.available_memory_bytes(), case.expected, "{:?}", case.files);
        }
    }

    #[test]
    fn two_threads_of_one_core_count_once() {
        let (_folder, machine) = machine(&[
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
        ]);
        assert_eq!(machine.cores(), NonZeroUsize::MIN);
    }
}
