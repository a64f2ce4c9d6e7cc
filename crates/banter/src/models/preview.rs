//! What is said about a model before it is downloaded, and what is asked.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::bail;
use banter_engine::engine::Forecast;
use banter_remote::hub::is_open_licence;
use banter_remote::size::show_bytes;

use super::pull::{Consent, Purpose};

/// What is known before the download.
pub struct Preview<'a> {
    pub name: &'a str,
    pub from: &'a str,
    pub licence: Option<&'a str>,
    pub folder: &'a Path,
    pub file_count: usize,
    pub total_bytes: u64,
    /// What an earlier pull has left.
    pub kept_bytes: u64,
    pub free_bytes: u64,
    /// Missing where the metadata cannot be had by itself.
    pub forecast: Option<&'a Forecast>,
}

/// What the person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    GoOn,
    Declined,
}

/// Whether there is a person who could be asked.
pub fn someone_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Preview<'_> {
    /// Shows what is known, and asks what has not been agreed to.
    ///
    /// Errors: it does not fit in memory although it is to be served; something is to be asked and
    /// nobody is there.
    pub fn ask(&self, consent: Consent, purpose: Purpose) -> anyhow::Result<Answer> {
        for line in self.lines() {
            eprintln!("{line}");
        }
        let mut questions = Vec::new();
        if let Some(error) = self.forecast.and_then(|forecast| forecast.check().err()) {
            if purpose == Purpose::ToServe {
                bail!("{} does not fit here: {error}; nothing was downloaded", self.name);
            }
            eprintln!("it does not fit here: {error}");
            questions.push("Pull it although it does not fit in memory?".to_owned());
        }
        if let Some(licence) = self.licence.filter(|licence| !is_open_licence(licence)) {
            questions.push(format!("Do you accept the licence {licence}?"));
        }
        if questions.is_empty() && consent == Consent::Nothing {
            questions.push("Pull it?".to_owned());
        }
        if consent == Consent::Everything {
            return Ok(Answer::GoOn);
        }
        for question in questions {
            if !someone_is_there() {
                bail!(
                    "{}: expected an answer to \"{question}\", found no terminal; \
                     --yes answers yes; nothing was downloaded",
                    self.name
                );
            }
            if !answered_yes(&question)? {
                return Ok(Answer::Declined);
            }
        }
        Ok(Answer::GoOn)
    }

    fn lines(&self) -> Vec<String> {
        let files = if self.file_count == 1 { "file" } else { "files" };
        let mut lines = vec![
            format!("model     {}{}", self.name, self.described()),
            format!("from      {} ({} {files})", self.from, self.file_count),
            format!("licence   {}", self.licence_line()),
            format!(
                "download  {} to {} ({} free{})",
                show_bytes(self.total_bytes),
                self.folder.display(),
                show_bytes(self.free_bytes),
                self.kept()
            ),
        ];
        lines.push(match self.forecast {
            Some(forecast) => format!(
                "memory    {} needed ({} weights, {} for {} tokens){}",
                show_bytes(forecast.memory_bytes()),
                show_bytes(forecast.weight_bytes()),
                show_bytes(forecast.context_bytes()),
                forecast.context_tokens(),
                available(forecast)
            ),
            None => "memory    unknown: the server sends the file only whole".to_owned(),
        });
        lines
    }

    fn described(&self) -> String {
        self.forecast.map_or_else(String::new, |forecast| {
            let millions = forecast.parameters as f64 / 1e6;
            let parameters = if millions < 999.5 {
                format!("{millions:.0} million")
            } else {
                format!("{:.1} billion", millions / 1e3)
            };
            format!(" ({}, {parameters} parameters, {})", forecast.name, forecast.weight_types)
        })
    }

    fn licence_line(&self) -> &str {
        let stated = self.forecast.and_then(|forecast| forecast.licence.as_deref());
        self.licence.or(stated).unwrap_or("not stated")
    }

    fn kept(&self) -> String {
        match self.kept_bytes {
            0 => String::new(),
            done => format!("; {} are here already", show_bytes(done)),
        }
    }
}

fn available(forecast: &Forecast) -> String {
    let free = forecast.available_bytes();
    free.map_or_else(String::new, |free| format!(", {} available", show_bytes(free)))
}

/// Asks on the terminal; the answer to Enter alone is yes.
fn answered_yes(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [Y/n] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    let answer = line.trim().to_lowercase();
    Ok(read > 0 && ["", "y", "yes", "j", "ja", "是", "好"].contains(&answer.as_str()))
}
