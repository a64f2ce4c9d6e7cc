//! Values of options: each form of value has one reader, and a wrong value has one form of message.
//!
//! A reader returns nothing, or its default, if the option was not given. Errors: the value has
//! another form; the message names the option, its source, what was expected and what was found.

use std::path::PathBuf;
use std::time::Duration;

use crate::home;
use crate::options::{Given, OptionError, Options, SECRETS};
use crate::quantity::parse_bytes;

fn wrong(given: &Given, expected: &str, found: &str) -> OptionError {
    // A message may get into a log, so it never repeats a key.
    let is_secret = SECRETS.contains(&given.name);
    let found = if is_secret { "another".to_string() } else { format!("{found:?}") };
    OptionError(format!("{}: expected {expected}, found {found}", given.place()))
}

/// A value that `read` understands; `expected` describes what it understands.
pub fn optional<T>(
    options: &Options,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, OptionError> {
    let Some(given) = options.get(name) else { return Ok(None) };
    let text = given.values.first().map_or("", |value| value.trim());
    read(text).map(Some).ok_or_else(|| wrong(given, expected, text))
}

/// A whole number.
pub fn number(
    options: &Options,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, OptionError> {
    optional(options, name, &format!("a number from {least} to {most}"), |text| {
        text.parse().ok().filter(|number| (least..=most).contains(number))
    })
}

/// A size in bytes.
pub fn bytes(
    options: &Options,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, OptionError> {
    let expected = format!("a size from {least} bytes to {most}, as 512MiB or 4GiB");
    optional(options, name, &expected, |text| {
        parse_bytes(text).filter(|bytes| (least..=most).contains(bytes))
    })
}

/// A path; `~` and `$HOME` are replaced.
pub fn path(options: &Options, name: &str) -> Result<Option<PathBuf>, OptionError> {
    let home = home::folder();
    optional(options, name, "a path", |text| {
        (!text.is_empty()).then(|| home::expanded(text, home.as_deref()))
    })
}

/// A yes or no; no if it is not given.
pub fn switch(options: &Options, name: &str) -> Result<bool, OptionError> {
    let on = optional(options, name, "true or false", |text| match text {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    })?;
    Ok(on.unwrap_or(false))
}

/// All values of an option that can be repeated, in their order.
pub fn many<T>(
    options: &Options,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, OptionError> {
    let Some(given) = options.get(name) else { return Ok(Vec::new()) };
    let read = |value: &String| read(value).ok_or_else(|| wrong(given, expected, value));
    given.values.iter().map(read).collect()
}

/// A time of at least a second and at most a day.
pub fn seconds(options: &Options, name: &str, default: u64) -> Result<Duration, OptionError> {
    let seconds = optional(options, name, "seconds from 1 to 86400", |text| {
        text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds))
    })?;
    Ok(Duration::from_secs(seconds.unwrap_or(default)))
}
