//! Shows a download: a progress bar on a terminal, otherwise a line from time to time.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use banter_remote::download::{Phase, Progress};
use banter_remote::size::show_bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;
use crate::visible::visible_line;

/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is written without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells what a download waits for, until `work` is done.
pub async fn tell_news<T>(
    progress: &Progress,
    tell: impl Fn(&str),
    work: impl Future<Output = T>,
) -> T {
    let tell_all = || progress.take_news().iter().for_each(|line| tell(line));
    let outcome = with_ticks(work, tell_all).await;
    tell_all();
    outcome
}

/// Calls `tick` each time the bar is drawn, until `work` is done.
async fn with_ticks<T>(work: impl Future<Output = T>, mut tick: impl FnMut()) -> T {
    let mut ticks = tokio::time::interval(REDRAW);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            _ = ticks.tick() => tick(),
        }
    }
}

/// Shows the progress of a download.
pub struct Meter {
    total_bytes: u64,
    bar: Option<ProgressBar>,
    last_line: Instant,
    rate: Rate,
}

/// The recent speed.
struct Rate {
    since: Instant,
    bytes_then: Option<u64>,
    bytes_per_second: f64,
}

impl Meter {
    /// For a download of this many bytes, shown on stderr.
    pub fn new(total_bytes: u64) -> Meter {
        let style =
            ProgressStyle::with_template("{wide_bar} {msg}").expect("the template is right");
        let bar = std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr();
            ProgressBar::with_draw_target(Some(total_bytes), target).with_style(style)
        });
        let rate = Rate { since: Instant::now(), bytes_then: None, bytes_per_second: 0.0 };
        Meter { total_bytes, bar, last_line: Instant::now(), rate }
    }

    /// Shows `progress` until the work is done.
    pub async fn watch<T>(mut self, progress: &Progress, work: impl Future<Output = T>) -> T {
        let outcome = with_ticks(work, || self.show(progress)).await;
        self.tell(progress);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        outcome
    }

    /// Prints news above the bar.
    fn tell(&self, progress: &Progress) {
        for line in progress.take_news() {
            match &self.bar {
                Some(bar) => bar.println(visible_line(&line)),
                None => output::tell(&line),
            }
        }
    }

    fn show(&mut self, progress: &Progress) {
        self.tell(progress);
        self.rate.measure(progress.downloaded_bytes());
        let line = self.line(progress);
        match &self.bar {
            Some(bar) => {
                let is_checking = progress.phase() == Phase::Checking;
                let done = if is_checking {
                    progress.checked_bytes()
                } else {
                    progress.downloaded_bytes()
                };
                bar.set_position(done);
                bar.set_message(line);
            }
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                output::tell(&line);
            }
            None => {}
        }
    }

    fn line(&self, progress: &Progress) -> String {
        let total = show_bytes(self.total_bytes);
        let done = progress.downloaded_bytes();
        match progress.phase() {
            Phase::Checking => {
                format!("{} of {total} checked", show_bytes(progress.checked_bytes()))
            }
            Phase::Waiting => format!("{} of {total}, waiting to try again", show_bytes(done)),
            Phase::Fetching => {
                let left = self.total_bytes.saturating_sub(done);
                let speed = self.rate.bytes_per_second;
                let rest = if speed >= 1.0 {
                    format!(
                        ", {}/s, {} left",
                        show_bytes(speed as u64),
                        show_time(left as f64 / speed)
                    )
                } else {
                    String::new()
                };
                format!("{} of {total}{rest}", show_bytes(done))
            }
        }
    }
}

impl Rate {
    /// Once a second: the mean of the old speed and the new one.
    fn measure(&mut self, bytes: u64) {
        let Some(then) = self.bytes_then else {
            // Bytes of an earlier pull do not count for the speed.
            self.bytes_then = Some(bytes);
            return;
        };
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds < 1.0 {
            return;
        }
        let now = bytes.saturating_sub(then) as f64 / seconds;
        let is_first = self.bytes_per_second == 0.0;
        self.bytes_per_second = if is_first { now } else { (self.bytes_per_second + now) / 2.0 };
        self.since = Instant::now();
        self.bytes_then = Some(bytes);
    }
}

/// `45 s`, `3 min`, `2 h 10 min`.
fn show_time(seconds: f64) -> String {
    let seconds = seconds.min(1e7) as u64;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_short() {
        let cases = [(0.4, "0 s"), (59.0, "59 s"), (61.0, "1 min"), (7_800.0, "2 h 10 min")];
        for (seconds, expected) in cases {
            assert_eq!(show_time(seconds), expected);
        }
    }
}
