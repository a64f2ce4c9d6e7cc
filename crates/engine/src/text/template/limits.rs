//! Limits the lists and maps that a template makes, while it runs.
//!
//! ```text
//! {% set messages = [{'role': 'system', 'content': text}] + messages %}
//!                   └──────────── literal ─────────────┘
//!                   └──────────────────── sum ──────────────────┘
//! ```
//!
//! Every such place is wrapped in a call of one of our functions. For a literal, the function
//! visits all its values, so that none is deeper or larger than a conversation needs. For a sum, it
//! counts the entries. [`rules`](super::rules) says why.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde_json::Value as Json;

use super::rules::{Making, Place};

/// Most levels of lists and maps inside one another, beside those of the values that are given;
/// messages with parts have four.
const DEPTH: usize = 8;
/// Entries that a literal may hold on all its levels, in addition to those for each message.
const HELD_BEYOND_MESSAGES: usize = 1024;
/// Entries for each message: twice the message, its two keys and their two values.
const HELD_PER_MESSAGE: usize = 10;
/// Entries for each value that is given: twice the value and its name.
const HELD_PER_VALUE: usize = 4;
/// Entries that a sum may have, in addition to those for each message.
const ENTRIES_BEYOND_MESSAGES: usize = 512;
const ENTRIES_PER_MESSAGE: usize = 4;
/// Entries that are visited or copied for one unit of fuel.
const ENTRIES_PER_FUEL: u64 = 16;

/// The source with a check around each of these places.
///
/// Errors: the source already contains the name of a check, or two places overlap in part.
pub(super) fn with_checks(source: &str, mut places: Vec<Place>) -> Result<String, String> {
    for name in [Making::Literal, Making::Sum].map(Making::check_name) {
        if source.contains(name) {
            return Err(format!("{name}: expected another name, because this one is reserved"));
        }
    }
    // If two places begin together, the longer one is the outer one.
    places.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
    let mut checked = String::with_capacity(source.len());
    let (mut copied, mut ends) = (0, Vec::new());
    let mut copy_to = |offset: usize, checked: &mut String| -> Result<(), String> {
        let between = source.get(copied..offset);
        checked.push_str(between.ok_or("a list or map: expected brackets around it")?);
        copied = offset;
        Ok(())
    };
    for place in places {
        while let Some(end) = ends.pop_if(|end| *end <= place.start) {
            copy_to(end, &mut checked)?;
            checked.push_str(")))");
        }
        copy_to(place.start, &mut checked)?;
        checked.push('(');
        checked.push_str(place.making.check_name());
        checked.push_str("((");
        ends.push(place.end);
    }
    while let Some(end) = ends.pop() {
        copy_to(end, &mut checked)?;
        checked.push_str(")))");
    }
    copy_to(source.len(), &mut checked)?;
    Ok(checked)
}

/// The size of the values that a template is given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    /// Messages and tools.
    pub entries: usize,
    /// Values in tools, calls of tools and options: texts, numbers, lists and maps.
    pub values: usize,
    /// Most levels of lists and maps inside one another in them.
    pub levels: usize,
}

impl Given {
    /// Counts a value in.
    pub fn add(&mut self, value: &Json) {
        self.levels = self.levels.max(self.count(value));
    }

    /// Counts the values in a value. Returns its levels.
    fn count(&mut self, value: &Json) -> usize {
        self.values += 1;
        let levels = match value {
            Json::Array(values) => values.iter().map(|value| self.count(value)).max(),
            Json::Object(map) => map.values().map(|value| self.count(value)).max(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return 0,
        };
        1 + levels.unwrap_or_default()
    }
}

/// Adds the checks, and `dict` with a check.
pub(super) fn install(environment: &mut Environment<'_>, given: Given) {
    let held = Held {
        values: HELD_BEYOND_MESSAGES
            + HELD_PER_MESSAGE * given.entries
            + HELD_PER_VALUE * given.values,
        levels: DEPTH + given.levels,
    };
    let entries = ENTRIES_BEYOND_MESSAGES + ENTRIES_PER_MESSAGE * given.entries;
    environment.add_function(Making::Literal.check_name(), move |state: &State, value: Value| {
        check_held(state, &value, held)?;
        Ok::<Value, Error>(value)
    });
    environment.add_function(Making::Sum.check_name(), move |state: &State, value: Value| {
        checked_sum(state, value, entries)
    });
    environment.add_function("dict", move |state: &State, map: Option<Value>, named: Kwargs| {
        let made = minijinja::functions::dict(map, named)?;
        check_held(state, &made, held)?;
        Ok::<Value, Error>(made)
    });
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// How much a value may hold.
#[derive(Clone, Copy)]
struct Held {
    values: usize,
    levels: usize,
}

/// Fails if a value holds too many entries or has too many levels.
fn check_held(state: &State, value: &Value, most: Held) -> Result<(), Error> {
    let mut left = most.values;
    if !fits(value, most.levels, &mut left)? {
        let levels = most.levels;
        return Err(wrong(format!("lists and maps: expected at most {levels} levels, found more")));
    }
    state.consume_fuel(1 + (most.values - left) as u64 / ENTRIES_PER_FUEL)
}

/// Whether a value has at most so many levels. Takes its entries from `left`.
fn fits(value: &Value, levels: usize, left: &mut usize) -> Result<bool, Error> {
    *left = left.checked_sub(1).ok_or_else(|| wrong("a list or map holds too many values"))?;
    let is_map = value.kind() == ValueKind::Map;
    if !is_map && !is_list(value) {
        return Ok(true);
    }
    let Some(levels) = levels.checked_sub(1) else { return Ok(false) };
    for entry in value.try_iter()? {
        let fits_here = fits(&entry, levels, left)?
            && (!is_map || fits(&value.get_item(&entry)?, levels, left)?);
        if !fits_here {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Turns a sum of lists into a list whose entries can be read by index, as in Python. Any other
/// value stays as it is.
///
/// Errors: the list has more than `limit` entries.
fn checked_sum(state: &State, value: Value, limit: usize) -> Result<Value, Error> {
    if !is_list(&value) {
        return Ok(value);
    }
    let count = value.len().unwrap_or(usize::MAX);
    if count > limit {
        return Err(wrong(format!("a list: expected at most {limit} entries, found {count}")));
    }
    state.consume_fuel(1 + count as u64 / ENTRIES_PER_FUEL)?;
    if value.is_tuple() {
        return Ok(value);
    }
    Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>()))
}
