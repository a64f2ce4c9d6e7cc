//! Memory that a piece of work takes at its peak.

use std::fs;

/// By how much the memory of this process grows at most during `work`, in KiB.
pub fn grown_kib(work: impl FnOnce()) -> u64 {
    // Memory that the allocator kept from earlier work would hide the growth.
    // SAFETY: the function takes a number and may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    // Resets the peak to the memory in use now.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let before = peak_kib();
    work();
    // The kernel counts in batches, so the peak may seem to be a little less.
    peak_kib().saturating_sub(before)
}

/// The peak of this process's memory since the last reset, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
