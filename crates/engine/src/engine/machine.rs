//! What this machine has: memory that may still be taken, and cores.
//!
//! Only the cores count on which the process may run: a container or `taskset` may leave it two
//! hardware threads of one core of sixty-four. A control group may give it less time than these
//! cores have.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A machine, as Linux describes it in files. On other systems nothing is known of its memory.
pub struct Machine {
    /// `/`, or a folder that looks like it in tests.
    root: PathBuf,
}

/// How one version of control groups names its files for memory.
struct GroupFiles {
    limit: &'static str,
    usage: &'static str,
    /// The field of `memory.stat` that counts file pages nobody has used lately.
    reclaimable: &'static str,
}

/// Which control groups.
#[derive(Clone, Copy, Debug)]
enum Version {
    One,
    Two,
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

/// Cores that this process may use; an engine takes as many threads unless it is told otherwise.
pub fn cores() -> NonZeroUsize {
    Machine::here().cores()
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

    /// Cores this process may use, but no more than a control group gives it the time of, and at
    /// least one. Two hardware threads of one core count once: matrix kernels keep a core's
    /// arithmetic busy with one.
    pub fn cores(&self) -> NonZeroUsize {
        let allowed = self.allowed_cpus().map(|cpus| self.cores_of(&cpus));
        let cores = allowed
            .and_then(NonZeroUsize::new)
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        // With more threads than whole cores' time all would be halted for a part of each period.
        let whole = self.group_quotas().into_iter().map(|quota| quota as usize).min();
        let whole = whole.map(|whole| NonZeroUsize::new(whole).unwrap_or(NonZeroUsize::MIN));
        whole.map_or(cores, |whole| whole.min(cores))
    }

    /// Numbers of the hardware threads that this process may run on, if known.
    fn allowed_cpus(&self) -> Option<Vec<usize>> {
        let status = fs::read_to_string(self.root.join("proc/self/status")).ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        numbers(list.trim())
    }

    /// Cores that these hardware threads are of; one of which that is not known is a core of its
    /// own.
    fn cores_of(&self, cpus: &[usize]) -> usize {
        let core = |cpu: &usize| {
            let folder = self.root.join(format!("sys/devices/system/cpu/cpu{cpu}/topology"));
            let siblings = fs::read_to_string(folder.join("thread_siblings_list")).ok();
            let first = siblings.and_then(|list| numbers(list.trim())?.into_iter().min());
            first.unwrap_or(*cpu)
        };
        cpus.iter().map(core).collect::<HashSet<usize>>().len()
    }

    /// How many cores' time every control group this process is in gives it, where they limit that.
    fn group_quotas(&self) -> Vec<f64> {
        self.in_groups("cpu", |version, group| {
            let read = |name: &str| fs::read_to_string(group.join(name)).ok();
            let (quota, period) = match version {
                Version::One => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
                Version::Two => {
                    let both = read("cpu.max")?;
                    let (quota, period) = both.trim().split_once(' ')?;
                    (quota.to_owned(), period.to_owned())
                }
            };
            // Without a limit the quota is -1 or "max".
            let quota: f64 = quota.trim().parse().ok().filter(|quota| *quota > 0.0)?;
            let period: f64 = period.trim().parse().ok().filter(|period| *period > 0.0)?;
            Some(quota / period)
        })
    }

    fn machine_memory_bytes(&self) -> Option<u64> {
        let meminfo = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
        let kibibytes: u64 = field(&meminfo, "MemAvailable:")?;
        kibibytes.checked_mul(1024)
    }

    /// Room in every control group this process is in, up to the outermost.
    fn group_rooms(&self) -> Vec<u64> {
        self.in_groups("memory", |version, group| match version {
            Version::One => room(group, &VERSION_1),
            Version::Two => room(group, &VERSION_2),
        })
    }

    /// What is found in every control group of a controller that this process is in, up to the
    /// outermost.
    fn in_groups<T>(
        &self,
        controller: &str,
        mut find: impl FnMut(Version, &Path) -> Option<T>,
    ) -> Vec<T> {
        let groups = fs::read_to_string(self.root.join("proc/self/cgroup")).unwrap_or_default();
        let mounts = self.root.join("sys/fs/cgroup");
        let mut found = Vec::new();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let (version, mount) = if controllers.is_empty() {
                (Version::Two, mounts.clone())
            } else if controllers.split(',').any(|one| one == controller) {
                (Version::One, self.version_1_mount(controller, controllers))
            } else {
                continue;
            };
            // Inside a container the path may be the one seen from outside; groups that are not
            // there are passed over, and the container's own is the mount itself.
            let innermost = Path::new(path.trim_start_matches('/'));
            let groups = innermost.ancestors().map(|group| mount.join(group));
            found.extend(groups.filter_map(|group| find(version, &group)));
        }
        found
    }

    /// A controller's folder is named for it, or for all that are mounted together, as
    /// `cpu,cpuacct`.
    fn version_1_mount(&self, controller: &str, controllers: &str) -> PathBuf {
        let mounts = self.root.join("sys/fs/cgroup");
        let own = mounts.join(controller);
        if own.is_dir() { own } else { mounts.join(controllers) }
    }
}

/// Numbers as `0-3,8`; none if it is anything else, or more than a machine has.
fn numbers(list: &str) -> Option<Vec<usize>> {
    const MOST: usize = 1 << 16;
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
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

    /// A machine with these siblings of each hardware thread, of which the process may run on some.
    fn with_cpus(
        allowed: &str,
        siblings: &[&str],
        files: &[(&str, &str)],
    ) -> (tempfile::TempDir, Machine) {
        let status = format!("Name:\tbanter\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\n");
        let cpu = |(index, list): (usize, &&str)| {
            let path = format!("sys/devices/system/cpu/cpu{index}/topology/thread_siblings_list");
            (path, format!("{list}\n"))
        };
        let cpus: Vec<(String, String)> = siblings.iter().enumerate().map(cpu).collect();
        let mut all = vec![("proc/self/status", status.as_str())];
        all.extend(cpus.iter().map(|(path, list)| (path.as_str(), list.as_str())));
        all.extend_from_slice(files);
        machine(&all)
    }

    #[test]
    fn cores_are_those_of_the_hardware_threads_that_the_process_may_run_on() {
        struct Case {
            allowed: &'static str,
            siblings: &'static [&'static str],
            cores: usize,
        }
        const NEIGHBOURS: &[&str] = &["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"];
        const FAR: &[&str] = &["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"];
        let cases = [
            Case { allowed: "0-1", siblings: &["0-1", "0-1"], cores: 1 },
            Case { allowed: "0-7", siblings: NEIGHBOURS, cores: 4 },
            Case { allowed: "0-1", siblings: NEIGHBOURS, cores: 1 },
            Case { allowed: "0,2", siblings: NEIGHBOURS, cores: 2 },
            Case { allowed: "1,2-5", siblings: NEIGHBOURS, cores: 3 },
            Case { allowed: "7", siblings: NEIGHBOURS, cores: 1 },
            Case { allowed: "0-3", siblings: FAR, cores: 4 },
            Case { allowed: "0,4", siblings: FAR, cores: 1 },
            Case { allowed: "3-4", siblings: FAR, cores: 2 },
            Case { allowed: "0-2", siblings: &["0", "1", "2", "3"], cores: 3 },
            Case { allowed: "0-3", siblings: &[], cores: 4 },
            Case { allowed: "0-2", siblings: &["0-1", "", "what?"], cores: 3 },
        ];
        for Case { allowed, siblings, cores } in cases {
            let (_folder, machine) = with_cpus(allowed, siblings, &[]);
            assert_eq!(machine.cores().get(), cores, "{allowed} of {siblings:?}");
        }
    }

    #[test]
    fn no_more_cores_count_than_a_control_group_gives_the_time_of() {
        struct Case {
            files: &'static [(&'static str, &'static str)],
            cores: usize,
        }
        const GROUPS_1: (&str, &str) = ("proc/self/cgroup", "4:cpu,cpuacct:/a\n3:memory:/a\n");
        const GROUPS_2: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");
        let cases = [
            Case { files: &[], cores: 4 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")], cores: 4 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/a/b/cpu.max", "200000 100000\n")], cores: 2 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/a/cpu.max", "350000 100000\n")], cores: 3 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/cpu.max", "50000 100000\n")], cores: 1 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/cpu.max", "900000 100000\n")], cores: 4 },
            Case { files: &[GROUPS_2, ("sys/fs/cgroup/cpu.max", "0 0\n")], cores: 4 },
            Case {
                files: &[
                    GROUPS_2,
                    ("sys/fs/cgroup/a/cpu.max", "100000 100000\n"),
                    ("sys/fs/cgroup/a/b/cpu.max", "300000 100000\n"),
                ],
                cores: 1,
            },
            Case {
                files: &[
                    GROUPS_1,
                    ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n"),
                    ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ],
                cores: 2,
            },
            Case {
                files: &[
                    GROUPS_1,
                    ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "25000\n"),
                    ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n"),
                ],
                cores: 1,
            },
            Case {
                files: &[
                    GROUPS_1,
                    ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n"),
                    ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
                ],
                cores: 4,
            },
        ];
        for Case { files, cores } in cases {
            let (_folder, machine) =
                with_cpus("0-7", &["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"], files);
            assert_eq!(machine.cores().get(), cores, "{files:?}");
        }
    }

    #[test]
    fn lists_of_numbers_are_read_or_refused() {
        assert_eq!(numbers("0-2,7"), Some(vec![0, 1, 2, 7]));
        assert_eq!(numbers("5"), Some(vec![5]));
        for wrong in ["", "a", "1-", "-3", "0-99999999999", "3,,4"] {
            assert_eq!(numbers(wrong), None, "{wrong:?}");
        }
    }
}
