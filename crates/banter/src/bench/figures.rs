//! The tasks of each figure, which the sides run alternately.

use banter_engine::model_file::{ModelFile, ModelSource};

use super::child::SideProcess;
use super::options::BenchOptions;
use super::task::{Done, Engine, Ready, Side, Task};

/// A conversation's next message: this many tokens after this many cached ones.
const TURN: Task = Task::Prompt { cached: 2000, tokens: 32 };
/// The cached tokens of each of several streams.
pub const STREAM_CACHED: usize = 128;

/// Everything that was measured.
pub struct Measured {
    /// Ours first, then the other's if there is one.
    pub sides: Vec<SideFacts>,
    pub figures: Vec<Figure>,
}

/// The facts about a side that hold for all its figures.
pub struct SideFacts {
    pub engine: Engine,
    pub ready: Ready,
    pub peak_memory_bytes: Option<u64>,
}

/// One task, which each side runs several times.
pub struct Figure {
    pub task: Task,
    /// Medians, in the order of the sides.
    pub done: Vec<Done>,
}

/// Tasks that the same processes can run one after another.
struct Group {
    sequences: usize,
    context_tokens: usize,
    tasks: Vec<Task>,
}

/// Measures everything that `options` ask for.
///
/// Errors: a side could not be started, or failed.
pub fn measure(options: &BenchOptions) -> anyhow::Result<Measured> {
    let file = ModelFile::open(&ModelSource::Path(options.model.path.clone()))?;
    let mut measured = Measured { sides: Vec::new(), figures: Vec::new() };
    for group in groups(options, file.config().trained_context) {
        let start = |side: &Side| {
            SideProcess::start(side, &options.model, group.sequences, group.context_tokens)
        };
        let both = [Side::own()?].into_iter().chain(options.against.clone());
        let mut sides = both.map(|side| start(&side)).collect::<anyhow::Result<Vec<_>>>()?;
        for &task in &group.tasks {
            measured.figures.push(run(&mut sides, task, options.repetitions)?);
        }
        // The first group is one conversation; a side's memory is measured there.
        if measured.sides.is_empty() {
            let figures = &measured.figures;
            measured.sides = sides.iter().enumerate().map(|(i, s)| facts(s, i, figures)).collect();
        }
    }
    Ok(measured)
}

/// The turn is left out for models that were not trained with such a long history.
fn groups(options: &BenchOptions, trained_context: usize) -> Vec<Group> {
    let (prompt, generate) = (options.prompt_tokens, options.generate_tokens);
    let turn = (TURN.end() <= trained_context).then_some(TURN);
    let conversation = [
        Task::Prompt { cached: 0, tokens: prompt },
        Task::Generate { sequences: 1, cached: prompt, tokens: generate },
    ];
    let tasks: Vec<Task> = conversation.into_iter().chain(turn).collect();
    let context_tokens = tasks.iter().map(|task| task.end()).max().expect("there are tasks");
    let one = Group { sequences: 1, context_tokens, tasks };
    let stream =
        |&sequences: &usize| Task::Generate { sequences, cached: STREAM_CACHED, tokens: generate };
    let streams = options.streams.iter().max().map(|&most| Group {
        sequences: most,
        context_tokens: STREAM_CACHED + generate,
        tasks: options.streams.iter().map(stream).collect(),
    });
    let depths = options.depths.iter().map(|&cached| Group {
        sequences: 1,
        context_tokens: cached + generate,
        tasks: vec![Task::Generate { sequences: 1, cached, tokens: generate }],
    });
    [one].into_iter().chain(streams).chain(depths).collect()
}

/// Lets the sides run a task alternately, so that disturbances of the machine affect both equally.
fn run(sides: &mut [SideProcess], task: Task, repetitions: usize) -> anyhow::Result<Figure> {
    let mut runs: Vec<Vec<Done>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..repetitions {
        for (side, runs) in sides.iter_mut().zip(&mut runs) {
            runs.push(side.run(task)?);
        }
    }
    Ok(Figure { task, done: runs.into_iter().map(median).collect() })
}

fn median(mut runs: Vec<Done>) -> Done {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = runs.len() / 2;
    runs.swap_remove(middle)
}

fn facts(side: &SideProcess, index: usize, figures: &[Figure]) -> SideFacts {
    let peaks = figures.iter().filter_map(|figure| figure.done[index].peak_memory_bytes);
    SideFacts { engine: side.engine(), ready: side.ready().clone(), peak_memory_bytes: peaks.max() }
}

impl Task {
    /// The positions that the context must have.
    fn end(self) -> usize {
        let (Task::Prompt { cached, tokens } | Task::Generate { cached, tokens, .. }) = self;
        cached + tokens
    }

    /// How many tokens are computed, in all sequences together.
    pub fn tokens(self) -> usize {
        match self {
            Task::Prompt { tokens, .. } => tokens,
            Task::Generate { sequences, tokens, .. } => sequences * tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_run_is_kept_whole() {
        let done = |seconds| Done {
            seconds,
            peak_memory_bytes: Some(seconds as u64),
            profile: Vec::new(),
        };
        let median = median([5.0, 1.0, 3.0, 9.0, 2.0].map(done).to_vec());
        assert_eq!((median.seconds, median.peak_memory_bytes), (3.0, Some(3)));
    }

    #[test]
    fn tokens_of_all_streams_count() {
        assert_eq!(Task::Generate { sequences: 8, cached: 128, tokens: 64 }.tokens(), 512);
        assert_eq!(TURN.end(), 2032);
    }
}
