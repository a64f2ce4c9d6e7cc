//! A side as the bench sees it: a process that gets tasks.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use super::options::ModelOptions;
use super::side;
use super::task::{Done, Engine, LogitsRows, Ready, Request, Side, Task};

/// A process with a model loaded. Dropping it ends it.
pub struct SideProcess {
    engine: Engine,
    ready: Ready,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl SideProcess {
    /// Starts a side with room for `sequences` of `context_tokens`, and waits until its model is
    /// loaded.
    ///
    /// Errors: it could not be started, or has ended; it has written the reason to standard error.
    pub fn start(
        side: &Side,
        model: &ModelOptions,
        sequences: usize,
        context_tokens: usize,
    ) -> anyhow::Result<SideProcess> {
        let engine = side.engine;
        let mut child = Command::new(&side.program)
            .args(["bench", side::NAME, "--model"])
            .arg(&model.path)
            .args(["--threads", &model.threads.to_string(), "--isa", model.isa.name()])
            .args(["--kv-type", model.kv_type.name()])
            .args(model.quant.iter().flat_map(|quant| ["--quant", quant.name()]))
            .arg(engine.name())
            .args([sequences.to_string(), context_tokens.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {} to measure in", side.program.display()))?;
        let requests = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("its output was piped"));
        let ready = answer(&mut answers, engine)?;
        Ok(SideProcess { engine, ready, child, requests, answers })
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Runs a task, and returns how long it took.
    pub fn run(&mut self, task: Task) -> anyhow::Result<Done> {
        self.ask(&Request::Time(task))?;
        answer(&mut self.answers, self.engine)
    }

    /// Computes tokens from position 0 on, and hands out the logits after each.
    pub fn logits(
        &mut self,
        tokens: &[u32],
        mut each: impl FnMut(usize, &[f32]),
    ) -> anyhow::Result<()> {
        self.ask(&Request::Logits { tokens: tokens.to_vec() })?;
        let LogitsRows { width } = answer(&mut self.answers, self.engine)?;
        let mut bytes = vec![0; width * size_of::<f32>()];
        let mut logits = vec![0.0; width];
        for position in 0..tokens.len() {
            self.answers.read_exact(&mut bytes).context(self.engine.name())?;
            for (logit, bytes) in logits.iter_mut().zip(bytes.as_chunks().0) {
                *logit = f32::from_le_bytes(*bytes);
            }
            each(position, &logits);
        }
        Ok(())
    }

    fn ask(&mut self, request: &Request) -> anyhow::Result<()> {
        let requests = self.requests.as_mut().expect("taken only by drop");
        writeln!(requests, "{}", serde_json::to_string(request)?)?;
        Ok(requests.flush()?)
    }
}

impl Drop for SideProcess {
    fn drop(&mut self) {
        // It ends itself when there are no more tasks. If it does not, that does no harm.
        self.requests = None;
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
