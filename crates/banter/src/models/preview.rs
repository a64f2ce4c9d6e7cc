//! What is shown and asked before a model is downloaded.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use anyhow::bail;
use banter_engine::engine::Forecast;
use banter_remote::PullError;
use banter_remote::hub::is_open_licence;
use banter_remote::size::show_bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::pull::{Consent, Purpose};
use crate::output;

/// What is known before the download.
pub struct Preview<'a> {
    pub name: &'a str,
    pub from: &'a str,
    /// As the hub or the file states it.
    pub licence: Option<&'a str>,
    pub folder: &'a Path,
    pub file_count: usize,
    pub total_bytes: u64,
    /// Bytes that an earlier pull has downloaded.
    pub kept_bytes: u64,
    pub free_bytes: u64,
    /// Files of which the hub states no checksum.
    pub unstated_checksums: usize,
    /// `None` if the metadata cannot be fetched before the rest.
    pub forecast: Option<&'a Forecast>,
}

/// The person's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    GoOn,
    Declined,
}

/// Whether there is a person who can be asked.
pub fn someone_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Preview<'_> {
    /// Shows what is known, and asks for what has not been agreed to.
    ///
    /// Errors: the model is to be served but does not fit in memory; there is a question but nobody
    /// to ask; `stop` is raised during a question.
    pub async fn ask(
        &self,
        consent: Consent,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> anyhow::Result<Answer> {
        for line in self.lines() {
            output::tell(&line);
        }
        let lack = self.forecast.and_then(|forecast| forecast.check().err());
        if let Some(error) = &lack {
            if purpose == Purpose::ToServe {
                bail!("{} does not fit here, so it is not downloaded: {error}", self.name);
            }
            output::tell(&format!("it does not fit here: {error}"));
        }
        if consent == Consent::Everything {
            return Ok(Answer::GoOn);
        }
        for question in self.questions(lack.is_some(), consent) {
            if !someone_is_there() {
                bail!(
                    "{}: expected an answer to \"{}\", found no terminal; --yes answers yes to all questions",
                    self.name,
                    question.text
                );
            }
            if question.answer(stop).await? == Answer::Declined {
                return Ok(Answer::Declined);
            }
        }
        Ok(Answer::GoOn)
    }

    fn questions(&self, is_too_large: bool, consent: Consent) -> Vec<Question> {
        let mut questions = Vec::new();
        if is_too_large {
            let text = "Pull it although it does not fit in memory?".to_owned();
            questions.push(Question { text, usual: Answer::Declined });
        }
        if let Some(licence) = self.licence.filter(|licence| !is_open_licence(licence)) {
            let text = format!("Do you accept the licence {licence}?");
            questions.push(Question { text, usual: Answer::Declined });
        }
        if questions.is_empty() && consent == Consent::Nothing {
            questions.push(Question { text: "Pull it?".to_owned(), usual: Answer::GoOn });
        }
        questions
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
        if self.unstated_checksums > 0 {
            lines.push(format!(
                "checksum  {} states none for {} of {} {files}, so nobody can tell whether what comes is \
                 what was published",
                self.from, self.unstated_checksums, self.file_count
            ));
        }
        lines.push(match self.forecast {
            Some(forecast) => format!(
                "memory    {} needed ({} weights, {} for {} tokens){}",
                show_bytes(forecast.memory_bytes()),
                show_bytes(forecast.weight_bytes()),
                show_bytes(forecast.context_bytes()),
                forecast.context_tokens(),
                available(forecast)
            ),
            None => "memory    unknown: the server sends files only as a whole".to_owned(),
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
        self.licence.unwrap_or("not stated")
    }

    fn kept(&self) -> String {
        match self.kept_bytes {
            0 => String::new(),
            done => format!("; {} already downloaded", show_bytes(done)),
        }
    }
}

fn available(forecast: &Forecast) -> String {
    let free = forecast.available_bytes();
    free.map_or_else(String::new, |free| format!(", {} available", show_bytes(free)))
}

/// A question on the terminal.
struct Question {
    text: String,
    /// The answer that Enter alone gives.
    usual: Answer,
}

impl Question {
    /// Errors: `stop` is raised, or the terminal is closed.
    async fn answer(&self, stop: &CancellationToken) -> anyhow::Result<Answer> {
        let choices = if self.usual == Answer::GoOn { "[Y/n]" } else { "[y/N]" };
        output::ask(&format!("{} {choices} ", self.text));
        let (tell, told) = oneshot::channel();
        // Reading cannot be interrupted, so the thread stays behind if nobody waits for it any
        // more.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            drop(tell.send(read.map(|bytes| (bytes > 0).then_some(line))));
        });
        let line = tokio::select! {
            () = stop.cancelled() => {
                output::tell("");
                return Err(PullError::Stopped.into());
            }
            line = told => line??,
        };
        // The end of the input does not mean yes.
        let Some(line) = line else { return Ok(Answer::Declined) };
        Ok(match line.trim().to_lowercase().as_str() {
            "" => self.usual,
            "y" | "yes" | "是" | "好" => Answer::GoOn,
            _ => Answer::Declined,
        })
    }
}
