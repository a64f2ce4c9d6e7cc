//! Checks of the model: whether it is here and whole, whether it fits, and how fast it can be.

use banter_engine::engine::{Engine, EngineConfig, Forecast};
use banter_engine::model_file::ModelSource;
use banter_remote::hub::{KNOWN, KnownModel, ModelName};
use banter_remote::size::show_bytes;

use super::finding::{Finding, Said, said};
use crate::config::{Config, ModelChoice};
use crate::engine_config::engine_config;
use crate::invocation;
use crate::models::library;

/// English words of a token, on average.
const WORDS_A_TOKEN: f64 = 0.75;
/// Below this many words a second people read faster than the model writes.
const READING_WORDS: f64 = 4.0;

/// Checks the model of the options, or else the demo model. `speed` is that of memory, in bytes a
/// second, if it is known.
pub fn check(config: &Config, speed: Option<f64>) -> Vec<Finding> {
    let source = match source(config) {
        Ok(source) => source,
        Err(finding) => return not_here(config, *finding, speed),
    };
    let read = engine_config(config, source)
        .and_then(|config: EngineConfig| Engine::forecast(&config).map_err(anyhow::Error::from));
    let forecast = match read {
        Ok(forecast) => forecast,
        Err(error) => {
            let found = said(format!("{error:#}"), format!("{error:#}"));
            let todo = said(
                "pull the model again, or name another file with --model",
                "请重新下载该模型，或用 --model 指定其他文件",
            );
            return vec![Finding::problem("model", found, todo)];
        }
    };
    let name = &forecast.name;
    let weights = show_bytes(forecast.weight_bytes());
    let types = &forecast.weight_types;
    let whole = said(
        format!("{name} ({types}) is here and whole, {weights} of weights"),
        format!("{name}（{types}）已在本机且完整，权重 {weights}"),
    );
    let mut findings = vec![Finding::ok("model", whole), room(&forecast)];
    findings.extend(speed.map(|speed| pace(forecast.weight_bytes(), speed)));
    findings
}

/// Where the model is. A finding says why it is nowhere.
fn source(config: &Config) -> Result<ModelSource, Box<Finding>> {
    let problem = |found: Said, todo: Said| Box::new(Finding::problem("model", found, todo));
    let name = match &config.model {
        None => return Ok(library::demo().source),
        Some(ModelChoice::Path(path)) if path.exists() => {
            return Ok(ModelSource::Path(path.clone()));
        }
        Some(ModelChoice::Path(path)) => {
            let path = path.display();
            let found = said(format!("nothing is at {path}"), format!("{path} 不存在"));
            let todo = said(
                "name a file, a folder or a model, as `--model qwen2.5:7b`",
                "请指定文件、文件夹或模型名称，例如 --model qwen2.5:7b",
            );
            return Err(problem(found, todo));
        }
        Some(ModelChoice::Name { name, .. }) => name,
    };
    let failed = |reason: String| {
        let todo = said(
            "make the folder of models readable, or name another one with --models-dir",
            "请让模型文件夹可读，或用 --models-dir 指定其他文件夹",
        );
        problem(said(reason.clone(), reason), todo)
    };
    let store = config.store().map_err(|error| failed(error.to_string()))?;
    match store.find(name).map_err(|error| failed(error.to_string()))? {
        Some(installed) => Ok(ModelSource::Path(installed.path)),
        None => {
            let command = invocation::pull_command(&name.to_string());
            let found = said(format!("{name} is not here yet"), format!("本机还没有 {name}"));
            let todo = said(format!("pull it with `{command}`"), format!("请用 `{command}` 下载"));
            Err(problem(found, todo))
        }
    }
}

/// A model that is not here. Of those with a short name the sizes are known before the download.
fn not_here(config: &Config, finding: Finding, speed: Option<f64>) -> Vec<Finding> {
    let mut findings = vec![finding];
    if let Some(ModelChoice::Name { name, .. }) = &config.model
        && let Some((known, quantisation)) = known(name)
    {
        let (file, memory) = (known.file_bytes(quantisation), known.memory_bytes(quantisation));
        let (shown_file, shown_memory) = (show_bytes(file), show_bytes(memory));
        let found = said(
            format!(
                "the download is about {shown_file}, and it needs about {shown_memory} of memory"
            ),
            format!("下载约 {shown_file}，运行约需 {shown_memory} 内存"),
        );
        findings.push(match banter_engine::engine::available_memory_bytes() {
            Some(free) if free < memory => Finding::problem("room", found, smaller()),
            _ => Finding::ok("room", found),
        });
        findings.extend(speed.map(|speed| pace(file, speed)));
    }
    findings
}

fn known(name: &ModelName) -> Option<(&'static KnownModel, &'static str)> {
    let text = name.to_string();
    let known = KNOWN.iter().find(|known| {
        let rest = text.strip_prefix(&known.name());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })?;
    let asked = text.strip_prefix(&format!("{}-", known.name()));
    let quantisation = known.quantisations().find(|name| Some(*name) == asked);
    Some((known, quantisation.unwrap_or(known.quantisation)))
}

fn smaller() -> Said {
    said(
        "take a smaller model, fewer bits (`-q4_0`) or a shorter --ctx, or end other programs",
        "请换更小的模型、更低的位数（-q4_0）或更短的 --ctx，或关闭其他程序",
    )
}

/// How many long conversations fit beside the weights.
fn room(forecast: &Forecast) -> Finding {
    if let Err(error) = forecast.check() {
        let found = said(error.to_string(), error.to_string());
        return Finding::problem("room", found, smaller());
    }
    let needed = show_bytes(forecast.memory_bytes());
    let tokens = forecast.context_tokens();
    let Some(free) = forecast.available_bytes() else {
        let found = said(
            format!("{needed} needed; how much is free is not known"),
            format!("需要 {needed}；无法得知可用内存"),
        );
        return Finding::ok("room", found);
    };
    // The first one is part of what is needed anyway.
    let others = free.saturating_sub(forecast.memory_bytes()) / forecast.context_bytes().max(1);
    let conversations = others + 1;
    let found = said(
        format!(
            "{needed} needed of {}; room for {conversations} conversations of {tokens} tokens",
            show_bytes(free)
        ),
        format!(
            "需要 {needed}，可用 {}；可容纳 {conversations} 个 {tokens} token 的对话",
            show_bytes(free)
        ),
    );
    Finding::ok("room", found)
}

/// How fast one answer can be: each token reads all weights once.
fn pace(weight_bytes: u64, speed: f64) -> Finding {
    let words = speed / weight_bytes.max(1) as f64 * WORDS_A_TOKEN;
    let shown = if words < 10.0 { format!("{words:.1}") } else { format!("{words:.0}") };
    let found = said(
        format!("at most about {shown} words a second, as fast as memory is here"),
        format!("按本机内存速度，每秒最多约 {shown} 个词"),
    );
    if words >= READING_WORDS {
        return Finding::ok("speed", found);
    }
    let todo = said(
        "that is slower than people read; a smaller model or fewer bits (`-q4_0`) is faster",
        "这比人阅读的速度慢；更小的模型或更低的位数（-q4_0）会更快",
    );
    Finding::warning("speed", found, todo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn the_sizes_of_a_short_name_are_known_before_the_download() {
        let name = |text: &str| ModelName::parse(text).expect("a name");
        let quantisation = |text: &str| known(&name(text)).map(|(_, quantisation)| quantisation);
        assert_eq!(quantisation("qwen2.5:7b-q4_0"), Some("q4_0"));
        assert!(quantisation("qwen2.5:7b").is_some());
        assert_eq!(quantisation("hf:somebody/something"), None);
    }

    #[test]
    fn a_model_that_writes_slower_than_people_read_is_told() {
        assert_eq!(pace(4 << 30, 2e9).outcome, Outcome::Warning);
        let fast = pace(400 << 20, 20e9);
        assert_eq!(fast.outcome, Outcome::Ok);
        assert!(fast.found.en.contains("36 words"), "{fast:?}");
    }
}
