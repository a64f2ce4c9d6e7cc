//! What `transformers` gives to chat templates beyond Jinja itself.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

/// Depth of a value that is written as JSON; the conversation's own is three.
const JSON_DEPTH: usize = 16;
/// Filters that copy lists into lists or print whole values; no chat template needs them.
const REMOVED_FILTERS: [&str; 11] = [
    "batch",
    "chain",
    "dictsort",
    "format",
    "groupby",
    "pprint",
    "slice",
    "sum",
    "unique",
    "urlencode",
    "zip",
];

/// Adds what chat templates expect, and takes away what only others use.
pub(super) fn install(environment: &mut Environment<'static>) {
    REMOVED_FILTERS.iter().for_each(|name| environment.remove_filter(name));
    environment.remove_global("debug");
    environment.remove_global("dict");
    environment.add_filter("join", join);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(write_value);
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// What a template says of a conversation that it does not take.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(wrong("raise_exception").with_source(Raised(message.to_owned())))
}

/// Python's methods of strings, lists and maps.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (name, args) {
        ("join", [items]) if value.kind() == ValueKind::String => join(state, items, Some(value)),
        ("format", _) => Err(Error::from(ErrorKind::UnknownMethod)),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// As the filter of the same name, but each item is paid for before it is copied.
fn join(state: &State, items: &Value, separator: Option<&Value>) -> Result<Value, Error> {
    let separator = separator.map(text_of).transpose()?.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        let item = text_of(&item)?;
        state.consume_fuel(1 + (separator.len() + item.len()) as u64 / 64)?;
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&item);
    }
    Ok(Value::from(joined))
}

/// What Python's `str` makes of a plain value.
fn text_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::None => Ok("None".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "True" } else { "False" }.to_owned()),
        ValueKind::Number => Ok(value.to_string()),
        other => Err(wrong(format!("expected text or a number to write, found a {other}"))),
    }
}

fn write_value(output: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return Ok(output.write_str(text)?);
    }
    Ok(output.write_str(&text_of(value)?)?)
}

/// Python's `json.dumps` with the arguments that `transformers` takes.
fn tojson(state: &State, value: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let separators: Option<Value> = kwargs.get("separators")?;
    let indent: Option<usize> = kwargs.get("indent")?;
    let (item, key) = match separators {
        Some(pair) => {
            (text_of(&pair.get_item_by_index(0)?)?, text_of(&pair.get_item_by_index(1)?)?)
        }
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let mut json = Json {
        state,
        text: String::new(),
        item,
        key,
        indent,
        ensure_ascii: kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    json.value(value, 0)?;
    Ok(Value::from(json.text))
}

struct Json<'s, 't, 'e> {
    state: &'s State<'t, 'e>,
    text: String,
    item: String,
    key: String,
    indent: Option<usize>,
    ensure_ascii: bool,
    sort_keys: bool,
}

impl Json<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > JSON_DEPTH {
            return Err(wrong(format!("tojson: expected at most {JSON_DEPTH} levels")));
        }
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&value.to_string()),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth)?,
            ValueKind::Map => self.map(value, depth)?,
            other => return Err(wrong(format!("tojson: expected a value, found {other}"))),
        }
        Ok(())
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('[');
        let mut count = 0;
        for item in value.try_iter()? {
            self.start_item(count, depth + 1);
            self.value(&item, depth + 1)?;
            count += 1;
        }
        self.end(count, depth, ']');
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        self.text.push('{');
        for (index, key) in keys.iter().enumerate() {
            self.start_item(index, depth + 1);
            match key.as_str() {
                Some(text) => self.string(text)?,
                None => self.string(&text_of(key)?)?,
            }
            self.text.push_str(&self.key);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.end(keys.len(), depth, '}');
        Ok(())
    }

    fn start_item(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.text.push_str(&self.item);
        }
        self.new_line(depth);
    }

    fn end(&mut self, items: usize, depth: usize, bracket: char) {
        if items > 0 {
            self.new_line(depth);
        }
        self.text.push(bracket);
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', indent.min(16) * depth));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(text.len() as u64 / 16)?;
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                '\0'..='\u{1f}' => self.escape(u16::try_from(u32::from(character)).unwrap_or(0)),
                ' '..='~' => self.text.push(character),
                _ if self.ensure_ascii => {
                    character.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| self.escape(unit));
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
        Ok(())
    }

    fn escape(&mut self, unit: u16) {
        write!(self.text, "\\u{unit:04x}").expect("a string takes all text");
    }
}

/// The date and time, in UTC, in the format of C's `strftime`.
fn strftime_now(format: &str) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Moment::of(now).format(format)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A second of the calendar.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    year: u64,
    /// From 1.
    month: usize,
    /// From 1.
    day: u64,
    /// Days since Sunday.
    week_day: usize,
    /// Days since the year began.
    year_day: u64,
    second_of_day: u64,
}

impl Moment {
    fn of(unix_seconds: u64) -> Moment {
        let (mut days, second_of_day) = (unix_seconds / 86_400, unix_seconds % 86_400);
        let week_day = usize::try_from((days + 4) % 7).expect("fewer than seven");
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let mut year = 1970;
        while days >= 365 + u64::from(is_leap(year)) {
            days -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let year_day = days;
        let february = 28 + u64::from(is_leap(year));
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        Moment { year, month: month + 1, day: days + 1, week_day, year_day, second_of_day }
    }

    fn format(&self, format: &str) -> Result<String, Error> {
        let (hour, minute) = (self.second_of_day / 3600, self.second_of_day / 60 % 60);
        let hour_of_12 = (hour + 11) % 12 + 1;
        let mut text = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            let directive = characters.next();
            let (directive, width) = match directive {
                Some('-') => (characters.next(), 1),
                other => (other, 2),
            };
            let number = match directive {
                Some('d') => self.day,
                Some('m') => self.month as u64,
                Some('y') => self.year % 100,
                Some('H') => hour,
                Some('I') => hour_of_12,
                Some('M') => minute,
                Some('S') => self.second_of_day % 60,
                Some(other) => {
                    self.word(other, &mut text)?;
                    continue;
                }
                None => return Err(wrong("strftime_now: expected a letter after %")),
            };
            write!(text, "{number:0width$}").expect("a string takes all text");
        }
        Ok(text)
    }

    fn word(&self, directive: char, text: &mut String) -> Result<(), Error> {
        let (month, day) = (MONTHS[self.month - 1], DAYS[self.week_day]);
        match directive {
            'Y' => text.push_str(&self.year.to_string()),
            'B' => text.push_str(month),
            'b' => text.push_str(&month[..3]),
            'A' => text.push_str(day),
            'a' => text.push_str(&day[..3]),
            'j' => text.push_str(&format!("{:03}", self.year_day + 1)),
            'p' => text.push_str(if self.second_of_day < 43_200 { "AM" } else { "PM" }),
            'F' => text.push_str(&self.format("%Y-%m-%d")?),
            'T' => text.push_str(&self.format("%H:%M:%S")?),
            '%' => text.push('%'),
            other => return Err(wrong(format!("strftime_now: %{other} is not known"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 Thu 001 12:00 AM"),
            (951_782_400, "2000-02-29 Tue 060 12:00 AM"),
            (1_709_251_199, "2024-02-29 Thu 060 11:59 PM"),
            (4_107_542_400, "2100-03-01 Mon 060 12:00 AM"),
        ];
        for (second, expected) in cases {
            assert_eq!(
                Moment::of(second).format("%F %a %j %I:%M %p").ok().as_deref(),
                Some(expected)
            );
        }
        let text = Moment::of(1_709_251_199).format("%-d %B %Y %H %y %A %b %T 100%%");
        assert_eq!(text.ok().as_deref(), Some("29 February 2024 23 24 Thursday Feb 23:59:59 100%"));
        assert!(Moment::of(0).format("%Q").is_err());
        assert!(Moment::of(0).format("%").is_err());
    }
}
