//! Notices that the backend stands still, and writes down what its threads do.

use crate::backend::BackendSlot;
use banter_protocol::http::Status;
use procfs::process::{Process, Task};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks until the server ends. `/ready` needs nobody to look: it asks for itself.
pub(crate) async fn watch(slot: BackendSlot, ending: CancellationToken) {
    let mut stands_still = false;
    while tokio::time::timeout(INTERVAL, ending.cancelled()).await.is_err() {
        let stood_still = std::mem::replace(&mut stands_still, slot.status() == Status::Stalled);
        match (stood_still, stands_still) {
            (false, true) => tell(),
            (true, false) => info!("the engine moves again"),
            _ => {}
        }
    }
}

fn tell() {
    error!(
        "the engine stands still: its thread has shown no sign of life for seconds. /ready says so, \
         and answers that wait for it fail in time. If it does not move again by itself, restart the \
         server, and report the lines about threads that follow"
    );
    let tasks = Process::myself().and_then(|process| process.tasks());
    for task in tasks.into_iter().flatten().filter_map(Result::ok) {
        if let Some(line) = describe(&task) {
            error!("{line}");
        }
    }
}

/// A thread: its name, its state, the processor time that it took, and what it waits for.
fn describe(task: &Task) -> Option<String> {
    let stat = task.stat().ok()?;
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let waits = std::fs::read_to_string(format!("/proc/self/task/{}/wchan", task.tid));
    let waits = waits.ok().filter(|place| place != "0").unwrap_or_else(|| "nothing".into());
    Some(format!(
        "thread {} {}: state {}, {seconds:.2} s of processor time, waits in the kernel for {waits}",
        task.tid, stat.comm, stat.state
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_of_the_process_has_a_line() {
        let named = std::thread::Builder::new().name("a-sleeper".into());
        let (wake, sleeps) = std::sync::mpsc::channel::<()>();
        let thread = named.spawn(move || sleeps.recv()).expect("a thread");
        let lines = || -> Vec<String> {
            let tasks = Process::myself().and_then(|process| process.tasks()).expect("Linux");
            tasks.filter_map(Result::ok).filter_map(|task| describe(&task)).collect()
        };
        // A new thread gets its name only when it runs.
        while !lines().iter().any(|line| line.contains(" a-sleeper: state ")) {
            std::thread::yield_now();
        }
        drop(wake);
        thread.join().expect("no panic").expect_err("nothing was sent");
    }
}
