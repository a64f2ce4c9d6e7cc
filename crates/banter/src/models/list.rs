//! `banter list`: installed, partial and damaged models, and those that can be pulled by a short
//! name.

use std::time::{SystemTime, UNIX_EPOCH};

use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::model_file::ModelSource;
use banter_remote::hub::KNOWN;
use banter_remote::size::show_bytes;
use banter_remote::store::{Damaged, Installed, Partial, Store};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::{options, output};

/// The subcommand.
pub fn command() -> Command {
    Command::new("list")
        .about("List pulled models, and those that can be pulled by a short name")
        .arg(options::argument("models-dir"))
        .arg(
            Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the list as JSON"),
        )
}

/// Prints the list on stdout.
pub fn run(matches: &ArgMatches, store: &Store) -> anyhow::Result<()> {
    if matches.get_flag("json") {
        output::print_json(&as_json(store)?.to_string())?;
    } else {
        output::print(&as_table(store)?)?;
    }
    Ok(())
}

fn as_table(store: &Store) -> anyhow::Result<String> {
    let mut rows = vec![["NAME", "SIZE", "MEMORY", "LICENCE", "WHERE"].map(str::to_owned)];
    for model in store.models()? {
        let licence = model.licence.clone().unwrap_or_else(|| "not stated".to_owned());
        let memory = memory_bytes(&model).map_or_else(String::new, show_bytes);
        let place = model.path.display().to_string();
        rows.push([model.name, show_bytes(model.bytes), memory, licence, place]);
    }
    for half in store.partial()? {
        let percent = half.downloaded_bytes * 100 / half.total_bytes.max(1);
        let state = format!("{percent} % downloaded; pull it again to continue, or remove it");
        let size = show_bytes(half.total_bytes);
        rows.push([half.name, size, String::new(), String::new(), state]);
    }
    for model in store.damaged()? {
        let state = format!("damaged ({}); pull it again, or remove it", model.why);
        rows.push([model.name, String::new(), String::new(), String::new(), state]);
    }
    let mut text = if rows.len() == 1 { "no models yet\n".to_owned() } else { columns(&rows) };
    text.push_str("\nto pull:\n");
    let known = KNOWN.iter().map(|known| {
        let about = |bytes| format!("about {}", show_bytes(bytes));
        let size = about(known.file_bytes(known.quantisation));
        let memory = about(known.memory_bytes(known.quantisation));
        [known.name(), size, memory, known.licence.to_owned(), known.quantisation.to_owned()]
    });
    text.push_str(&columns(&known.collect::<Vec<_>>()));
    Ok(text)
}

/// The memory that a model needs with the default options; `None` if its metadata cannot be read.
fn memory_bytes(model: &Installed) -> Option<u64> {
    let config = EngineConfig::new(ModelSource::Path(model.path.clone()));
    Engine::forecast(&config).ok().map(|forecast| forecast.memory_bytes())
}

fn columns(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
    let line = |[name, size, memory, licence, place]: &[String; 5]| {
        let [first, second, third, fourth] = widths;
        let text =
            format!("{name:first$}  {size:second$}  {memory:third$}  {licence:fourth$}  {place}");
        format!("{}\n", text.trim_end())
    };
    rows.iter().map(line).collect()
}

fn as_json(store: &Store) -> anyhow::Result<serde_json::Value> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
    let installed = |model: Installed| {
        json!({
            "name": model.name, "bytes": model.bytes, "memory_bytes": memory_bytes(&model),
            "licence": model.licence,
            "path": model.path, "from": model.from,
            "pulled_at": model.pulled_at.and_then(seconds),
        })
    };
    let partial = |half: Partial| {
        let Partial { name, total_bytes, downloaded_bytes, .. } = half;
        json!({"name": name, "bytes": total_bytes, "downloaded_bytes": downloaded_bytes})
    };
    let partial: Vec<_> = store.partial()?.into_iter().map(partial).collect();
    let damaged = |model: Damaged| json!({"name": model.name, "why": model.why});
    let damaged: Vec<_> = store.damaged()?.into_iter().map(damaged).collect();
    let models: Vec<_> = store.models()?.into_iter().map(installed).collect();
    Ok(json!({"models": models, "partial": partial, "damaged": damaged}))
}
