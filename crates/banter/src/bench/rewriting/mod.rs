//! `banter bench rewriting`: how much faster guesses make an answer that repeats what was said.
//!
//! A model with random weights repeats nothing, so its answer is forced to be a real one: a letter
//! made more polite, a program whose two methods become one. Every step computes the same as for a
//! real model, with guesses; only the chosen token is that of the real answer.

use std::path::PathBuf;

use banter_engine::measure::{Bench, Followed, Guessing, Setup};
use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::text::{Message, Text, TokenId};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::options::{ModelOptions, model_arguments, repeat_argument, repetitions};
use crate::output;

/// A text, the request about it, and the answer.
struct Task {
    name: &'static str,
    text: &'static str,
    wish: &'static str,
    answer: &'static str,
}

const TASKS: [Task; 2] = [
    Task {
        name: "letter",
        text: include_str!("letter.txt"),
        wish: "Please make this letter a little more polite, and change nothing else:",
        answer: include_str!("letter_rewritten.txt"),
    },
    Task {
        name: "program",
        text: include_str!("program.txt"),
        wish: "Both sums are the same code. Write it once, and let best_shop cope with no rows:",
        answer: include_str!("program_rewritten.txt"),
    },
];

/// The fraction of a draft model's guesses that are made right.
const ACCEPTANCES: [f64; 3] = [0.4, 0.6, 0.8];

/// The subcommand.
pub fn command() -> Command {
    model_arguments(Command::new("rewriting"))
        .about("Measures guesses of the next tokens, along real answers that repeat their question")
        .arg(repeat_argument())
        .arg(
            Arg::new("draft-model")
                .long("draft-model")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Guess with this model too, as if 40, 60 and 80 % of what it says held"),
        )
}

/// Runs the subcommand.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let model = ModelOptions::from_matches(matches)?;
    let repetitions = repetitions(matches);
    let text = ModelFile::open(&ModelSource::Path(model.path.clone()))?.text()?;
    let tasks = TASKS.iter().map(|task| Ok((task.name, task.prompt(&text)?, task.ids(&text))));
    let tasks: Vec<(&str, Vec<TokenId>, Vec<TokenId>)> = tasks.collect::<anyhow::Result<_>>()?;
    let longest = tasks.iter().map(|(_, prompt, answer)| prompt.len() + answer.len()).max();
    let setup = Setup {
        isa: model.isa,
        threads: model.threads,
        quant: model.quant,
        kv_type: model.kv_type,
        sequences: 1,
        context_tokens: longest.expect("there are tasks"),
    };
    let mut bench = Bench::open(&model.path, &setup)?;
    let draft = matches.get_one::<PathBuf>("draft-model");
    let mut draft = draft.map(|path| Bench::open(path, &setup)).transpose()?;
    let (weights, isa) = (bench.weight_types(), model.isa.name());
    output::print(&format!("{} · {weights} · {isa}\n", bench.model()))?;
    for (name, prompt, answer) in tasks {
        bench.prompt_of(&prompt);
        let mut follow = |guess| {
            let runs = (0..repetitions).map(|_| bench.follow(&prompt, &answer, guess));
            let mut runs: Vec<Followed> = runs.collect();
            runs.sort_by_key(|followed| followed.time);
            runs.swap_remove(repetitions / 2)
        };
        let (plain, guessed) = (follow(Guessing::None), follow(Guessing::FromText));
        let speed = |followed: &Followed| answer.len() as f64 / followed.time.as_secs_f64();
        output::print(&format!(
            "{name:<8} {} tokens behind {}: {:.1} tokens/s, with guesses {:.1} · {:.2} × · {} steps, {} of {} guesses accepted\n",
            answer.len(),
            prompt.len(),
            speed(&plain),
            speed(&guessed),
            speed(&guessed) / speed(&plain),
            guessed.steps,
            guessed.accepted,
            guessed.guesses,
        ))?;
        if let Some(draft) = &mut draft {
            draft.prompt_of(&prompt);
            for acceptance in ACCEPTANCES {
                let follow = |_| bench.follow_with_draft_model(draft, &prompt, &answer, acceptance);
                let mut runs: Vec<Followed> = (0..repetitions).map(follow).collect();
                runs.sort_by_key(|followed| followed.time);
                let median = runs.swap_remove(repetitions / 2);
                output::print(&format!(
                    "{name:<8} draft model, {:.0} %: {:.1} tokens/s · {:.2} × · {} steps, {} of {} guesses accepted\n",
                    acceptance * 100.0,
                    speed(&median),
                    speed(&median) / speed(&plain),
                    median.steps,
                    median.accepted,
                    median.guesses,
                ))?;
            }
        }
    }
    Ok(())
}

impl Task {
    fn prompt(&self, text: &Text) -> anyhow::Result<Vec<TokenId>> {
        let content = format!("{}\n\n{}", self.wish, self.text);
        Ok(text.prompt(&[Message::user(content)])?)
    }

    fn ids(&self, text: &Text) -> Vec<TokenId> {
        text.encode(self.answer)
    }
}
