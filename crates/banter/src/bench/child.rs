//! A side as the bench sees it: a process that is told what to compute.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use super::options::BenchOptions;
use super::side;
use super::task::{Done, Engine, Ready, Task};

/// A process with a model loaded. Dropping it ends it.
pub struct SideProcess {
    engine: Engine,
    ready: Ready,
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl SideProcess {
    /// Starts this program as a side with room for `sequences` of `context_tokens`, and waits until
    /// its model is loaded.
    ///
    /// Errors: it could not be started, or ended without a word; it has said why on standard error.
    pub fn start(
        engine: Engine,
        options: &BenchOptions,
        sequences: usize,
        context_tokens: usize,
    ) -> anyhow::Result<SideProcess> {
        let program = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(program)
            .args(["bench", side::NAME, "--model"])
            .arg(&options.model)
            .args(["--threads", &options.threads.to_string(), "--isa", options.isa.name()])
            .args(["--kv-type", options.kv_type.name(), engine.name()])
            .args([sequences.to_string(), context_tokens.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a process to measure in")?;
        let tasks = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("its output was piped"));
        let ready = answer(&mut answers, engine)?;
        Ok(SideProcess { engine, ready, child, tasks, answers })
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Computes something and says how long it took.
    pub fn run(&mut self, task: Task) -> anyhow::Result<Done> {
        let tasks = self.tasks.as_mut().expect("taken only by drop");
        writeln!(tasks, "{}", serde_json::to_string(&task)?)?;
        tasks.flush()?;
        answer(&mut self.answers, self.engine)
    }
}

impl Drop for SideProcess {
    fn drop(&mut self) {
        // It ends by itself when there are no more tasks; nothing is owed to it if it does not.
        self.tasks = None;
        let _ = self.child.wait();
    }
}

fn answer<T: serde::de::DeserializeOwned>(
    answers: &mut BufReader<ChildStdout>,
    engine: Engine,
) -> anyhow::Result<T> {
    let mut line = String::new();
    if answers.read_line(&mut line)? == 0 {
        bail!("{}: the process ended before it had answered", engine.name());
    }
    serde_json::from_str(&line).with_context(|| format!("{}: {line:?}", engine.name()))
}
