//! The filters, functions and methods that `transformers` adds to Jinja for chat templates.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

use super::super::scaffold::MARK;
use super::clock;

/// Deepest value that is written as JSON, in levels. Requests are read as JSON of at most 128, and
/// what is made of them has a few more.
const JSON_DEPTH: usize = 136;
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

/// Adds the functions that chat templates expect, and removes those that none of them needs.
pub(super) fn install(environment: &mut Environment<'static>) {
    REMOVED_FILTERS.iter().for_each(|name| environment.remove_filter(name));
    environment.remove_global("debug");
    environment.remove_global("dict");
    environment.add_filter("join", join);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", clock::strftime_now);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(write_value);
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// The message of a template that does not accept a conversation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(wrong("raise_exception").with_source(Raised(text_of(message)?)))
}

/// Python's methods of strings, lists and maps.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (name, args) {
        ("join", [items]) if value.kind() == ValueKind::String => join(state, items, Some(value)),
        ("format", _) => Err(Error::from(ErrorKind::UnknownMethod)),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// The filter `join`, except that each item costs fuel before it is copied.
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

/// A plain value as text, as Python's `str` writes it.
///
/// Errors: the value is a list, a map or an object.
fn text_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::None => Ok("None".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "True" } else { "False" }.to_owned()),
        ValueKind::Number => Ok(number(value)),
        other => Err(wrong(format!("expected text or a number to write, found a {other}"))),
    }
}

/// A number as Python writes it: the fewest digits that give it again, and an exponent of at least
/// two digits if it is below 1e-4 or from 1e16 on.
fn number(value: &Value) -> String {
    let Some(float) = f64::try_from(value.clone()).ok().filter(|_| !value.is_integer()) else {
        return value.to_string();
    };
    let scientific = format!("{float:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..16).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{digits}e{sign}{:02}", exponent.abs())
            }
            _ => format!("{float:?}"),
        },
        // Infinite, or no number.
        None => value.to_string(),
    }
}

fn write_value(output: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return Ok(output.write_str(text)?);
    }
    Ok(output.write_str(&text_of(value)?)?)
}

/// Python's `json.dumps` with the arguments that `transformers` supports.
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
            return Err(wrong(format!("tojson: expected at most {JSON_DEPTH} levels, found more")));
        }
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&number(value)),
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
                // Marks are no characters of the text.
                _ if self.ensure_ascii && character != MARK => {
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
