//! The thread that finds the tokens a structured answer may go on with, while a step is computed.
//!
//! It is started with the engine, because a system that is short of threads gives none in the
//! middle of an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Works on jobs while the engine's thread computes. In the engine a job is a `MaskJob`, in tests
/// anything.
#[derive(Debug)]
pub struct MaskThread<J> {
    /// `None` when the thread is to end.
    jobs: Option<SyncSender<Vec<J>>>,
    done: Receiver<Vec<J>>,
    /// Whether the thread has jobs that were not taken back.
    has_jobs: bool,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> MaskThread<J> {
    /// Starts the thread, which does `work` on every job.
    ///
    /// Errors: no thread.
    pub fn start(work: impl Fn(&mut J) + Send + 'static) -> std::io::Result<MaskThread<J>> {
        let (jobs, received) = sync_channel::<Vec<J>>(1);
        let (sender, done) = sync_channel(1);
        let run = move || {
            while let Ok(mut jobs) = received.recv() {
                for job in &mut jobs {
                    // If a job panics it has found nothing, and its answer fails with `NoMask`.
                    let _ = catch_unwind(AssertUnwindSafe(|| work(job)));
                }
                if sender.send(jobs).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name("masks".to_owned()).spawn(run)?;
        Ok(MaskThread { jobs: Some(jobs), done, has_jobs: false, thread: Some(thread) })
    }

    /// Sends jobs to the thread, if there are any.
    ///
    /// Panics if those begun before were not taken back.
    pub fn begin(&mut self, jobs: Vec<J>) {
        assert!(!self.has_jobs, "jobs are taken back before others begin");
        if !jobs.is_empty()
            && let Some(sender) = &self.jobs
        {
            self.has_jobs = sender.send(jobs).is_ok();
        }
    }

    /// Waits until the jobs are done and returns them; none if none were sent.
    pub fn end(&mut self) -> Vec<J> {
        match std::mem::take(&mut self.has_jobs) {
            true => self.done.recv().unwrap_or_default(),
            false => Vec::new(),
        }
    }
}

impl<J> Drop for MaskThread<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The thread catches the panics of its jobs, so joining cannot fail.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles(number: &mut Option<u32>) {
        let found = number.take().expect("a number");
        *number = Some(2 * found);
    }

    #[test]
    fn jobs_come_back_done_in_their_order() {
        let mut thread = MaskThread::start(doubles).expect("a thread can be started");
        assert!(thread.end().is_empty(), "nothing was begun");
        for _ in 0..3 {
            thread.begin(vec![Some(1), Some(2)]);
            assert_eq!(thread.end(), [Some(2), Some(4)]);
            assert!(thread.end().is_empty(), "they were taken back");
        }
        thread.begin(Vec::new());
        assert!(thread.end().is_empty());
    }

    #[test]
    fn a_job_that_breaks_disturbs_no_other() {
        let mut thread = MaskThread::start(doubles).expect("a thread can be started");
        for _ in 0..3 {
            thread.begin(vec![Some(1), None, Some(3)]);
            assert_eq!(thread.end(), [Some(2), None, Some(6)]);
        }
    }

    #[test]
    fn it_ends_with_jobs_that_nobody_takes_back() {
        let mut thread = MaskThread::start(doubles).expect("a thread can be started");
        thread.begin(vec![Some(1)]);
        drop(thread);
    }
}
