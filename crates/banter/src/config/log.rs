//! The options of the log.

use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::values::{optional, path};
use crate::options::{OptionError, Options};

/// What is logged, and where to besides stderr.
#[derive(Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Level or filter.
    pub filter: String,
    /// A file that also gets the log.
    pub file: Option<PathBuf>,
    /// How its lines are written, there and on stderr.
    pub format: LogFormat,
}

/// How the lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object of JSON each, for programs.
    Json,
}

/// Reads the options of the log.
///
/// Errors: a level, a filter or a format that there is not.
pub(super) fn log(options: &Options) -> Result<LogOptions, OptionError> {
    let levels = "error, warn, info, debug, trace, off or a filter as banter_engine=debug";
    let filter =
        optional(options, "log", levels, |text| is_log_filter(text).then(|| text.to_string()))?;
    let format = optional(options, "log-format", "text or json", |text| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    })?;
    Ok(LogOptions {
        filter: filter.unwrap_or_else(|| "info".to_string()),
        file: path(options, "log-file")?,
        format: format.unwrap_or(LogFormat::Text),
    })
}

/// Whether a text is a level or a filter. A single word must be a level: as a filter it would name
/// a module that does not exist, and nothing would be logged. An empty text would mean `error`.
fn is_log_filter(text: &str) -> bool {
    let is_level = !text.is_empty() && LevelFilter::from_str(text).is_ok();
    is_level || text.contains('=') && EnvFilter::try_new(text).is_ok()
}
