//! The parts of JSON as slices of its text.
//!
//! A value of JSON takes far more memory than its text: `[0,0,…]` 36 times as much, and lists in a
//! list a hundred times. So a file stays text. It is cut into its conversations, and only one of
//! them at a time becomes values.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use super::ImportError;
use super::value::{reason, shortened};

/// JSON whose syntax is right, without white space around it. A number may still be out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Checks the syntax.
    pub(super) fn check(text: &'a str) -> Result<Self, ImportError> {
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| ImportError::NotJson { reason: error.to_string() })?;
        Ok(Self(text.trim()))
    }

    /// Its text.
    pub(super) fn text(self) -> &'a str {
        self.0
    }

    pub(super) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// The entries of a list. Anything else has none.
    pub(super) fn entries(self) -> Entries<'a> {
        Entries { rest: self.0.strip_prefix('[').unwrap_or_default() }
    }

    /// The fields of an object. Anything else has none.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields { rest: self.0.strip_prefix('{').unwrap_or_default() }
    }

    /// A field of an object; the last one, if several have the name.
    pub(super) fn field(self, name: &str) -> Option<Json<'a>> {
        self.fields().filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }

    /// What it is, in few words and without its text.
    pub(super) fn describe(self) -> String {
        match self.0.as_bytes().first() {
            Some(b'"') => "a text".into(),
            Some(b'[') => format!("a list of {}", self.entries().count()),
            Some(b'{') => format!("an object with {} fields", self.fields().count()),
            _ => shortened(self.0),
        }
    }

    /// Makes values of it, if they are not too many.
    pub(super) fn values(self, (path, limit): (&str, usize)) -> Result<Value, ImportError> {
        self.check_count((path, limit))?;
        serde_json::from_str(self.0)
            .map_err(|error| ImportError::Unreadable { path: path.into(), reason: reason(&error) })
    }

    /// Checks that there are not too many values in it.
    pub(super) fn check_count(self, (path, limit): (&str, usize)) -> Result<(), ImportError> {
        let found = self.value_count();
        if found > limit {
            return Err(ImportError::TooManyValues { path: path.into(), limit, found });
        }
        Ok(())
    }

    /// How many values it is made of: a little more than there are, because keys count too.
    fn value_count(self) -> usize {
        let (mut count, mut is_in_text, mut is_escaped) = (1, false, false);
        for byte in self.0.bytes() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_in_text = !is_in_text,
                b'[' | b'{' | b',' | b':' if !is_in_text => count += 1,
                _ => {}
            }
        }
        count
    }
}

/// Goes through the entries of a list.
pub(super) struct Entries<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let (entry, rest) = first_value(self.rest)?;
        self.rest = after(rest, ',');
        Some(entry)
    }
}

/// Goes through the fields of an object. A key that is no text is empty: half a pair of surrogates.
pub(super) struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = first_value(self.rest)?;
        let (value, rest) = first_value(after(rest, ':'))?;
        self.rest = after(rest, ',');
        Some((read_key(key), value))
    }
}

fn read_key(key: Json<'_>) -> Cow<'_, str> {
    let inside = key.0.trim_matches('"');
    match inside.contains('\\') {
        true => serde_json::from_str::<String>(key.0).unwrap_or_default().into(),
        false => inside.into(),
    }
}

/// What comes after a separator, if it is there.
fn after(text: &str, separator: char) -> &str {
    let text = text.trim_start();
    text.strip_prefix(separator).unwrap_or(text)
}

/// The value with which a text begins, and the rest of the text. `None` at the end of a list or an
/// object.
fn first_value(text: &str) -> Option<(Json<'_>, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let (value, rest) = text.split_at_checked(values.byte_offset())?;
    Some((Json(value.trim()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::check(text).unwrap()
    }

    #[test]
    fn the_parts_of_json_are_those_that_serde_reads() {
        let texts = [
            "[]",
            " [ ] ",
            "[1,2]",
            "\n[ 1 , \"a,b]\" , [2, [3]] , {\"x\": [4]} , true,null,-1.5e3 ]\t",
            "[\"\\\"],\\\\\", \"中文\"]",
        ];
        for text in texts {
            let expected: Vec<Value> = serde_json::from_str(text).unwrap();
            let found = json(text).entries();
            let found: Vec<Value> =
                found.map(|entry| serde_json::from_str(entry.text()).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        }
        let text =
            " { \"a\" : 1 , \"\\u0062\" : { \"a\" : 2 } , \"a\" : [ 3 ] , \"\\ud800\" : 4 } ";
        let fields: Vec<_> =
            json(text).fields().map(|(key, value)| (key.into_owned(), value.text())).collect();
        let expected = [("a", "1"), ("b", "{ \"a\" : 2 }"), ("a", "[ 3 ]"), ("", "4")];
        assert_eq!(fields, expected.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(json(text).field("a"), Some(Json("[ 3 ]")));
        assert_eq!(json("5").entries().count() + json("[5]").fields().count(), 0);
    }

    #[test]
    fn values_are_counted_without_making_them() {
        let cases = [("1", 1), ("[]", 2), ("[0,0]", 3), ("{\"a,[\\\"{\":0}", 3), ("\",,\\\\\"", 1)];
        for (text, expected) in cases {
            assert_eq!(json(text).value_count(), expected, "{text}");
        }
        assert!(json("[0,0]").values(("x", 3)).is_ok());
        let error = json("[0,0]").values(("x", 2)).unwrap_err();
        assert_eq!(error.to_string(), "x: at most 2 values are allowed, found 3");
    }

    #[test]
    fn json_is_described_in_few_words() {
        let cases = [
            ("null", "null"),
            ("-5", "-5"),
            ("\"x\"", "a text"),
            ("[1, 2]", "a list of 2"),
            ("{\"a\": 1}", "an object with 1 fields"),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text).describe(), expected);
        }
    }
}
