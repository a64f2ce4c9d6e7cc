//! Finds calls of functions in an answer while it is written.

use serde::Deserialize;
use serde_json::Value;

use super::{CLOSE, OPEN};

/// What comes next in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Text outside of calls; never empty.
    Text(String),
    /// A call of this function begins.
    Call(String),
    /// More of the arguments of the newest call; never empty.
    Arguments(String),
}

/// Finds the calls in an answer that comes in pieces. What is found does not depend on where the
/// pieces end, if neighbouring texts and arguments are joined.
///
/// White space around calls is no text. What looks like a call and is none stays text.
#[derive(Debug, Default)]
pub struct CallReader {
    state: State,
    /// What has come and is not decided yet.
    held: String,
    /// The white space before a call that may turn out to be none.
    space: String,
    /// A call was found, so white space alone is no text any more.
    has_called: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Inside of a call, before its arguments.
    Head,
    /// Inside of the arguments.
    Arguments(Nesting),
    /// After the arguments, before the end of the call.
    Tail,
}

/// A place in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nesting {
    depth: usize,
    in_string: bool,
    /// The byte before was a backslash in a string.
    escaped: bool,
}

/// A call may have this many bytes before its arguments. It is text otherwise.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// A call that is known whole.
#[derive(Deserialize)]
struct WholeCall {
    name: String,
    #[serde(alias = "parameters")]
    arguments: Option<Value>,
}

impl CallReader {
    /// Takes the next piece of the answer.
    pub fn read(&mut self, piece: &str) -> Vec<Found> {
        self.held.push_str(piece);
        let mut found = Vec::new();
        while self.advance(&mut found) {}
        found
    }

    /// The answer has ended. An unfinished call stays text, unless its arguments have begun.
    pub fn finish(mut self) -> Vec<Found> {
        let held = std::mem::take(&mut self.held);
        let mut found = Vec::new();
        match self.state {
            State::Text if self.has_called && held.trim().is_empty() => {}
            State::Text => tell_text(&mut found, held),
            State::Head => tell_text(&mut found, format!("{}{OPEN}{held}", self.space)),
            State::Arguments(_) | State::Tail => {}
        }
        found
    }

    /// Decides about some of what is held. Says whether more can be decided.
    fn advance(&mut self, found: &mut Vec<Found>) -> bool {
        match self.state {
            State::Text => self.advance_text(found),
            State::Head => self.advance_head(found),
            State::Arguments(nesting) => self.advance_arguments(nesting, found),
            State::Tail => self.advance_tail(),
        }
    }

    fn advance_text(&mut self, found: &mut Vec<Found>) -> bool {
        if self.has_called {
            let text = self.held.trim_start().len();
            self.held.drain(..self.held.len() - text);
        }
        if let Some(at) = self.held.find(OPEN) {
            let text = self.held[..at].trim_end().len();
            tell_text(found, self.held.drain(..text).collect());
            self.space = self.held.drain(..at - text).collect();
            self.held.drain(..OPEN.len());
            self.state = State::Head;
            return true;
        }
        let decided = self.held[..self.held.len() - begun(&self.held, OPEN)].trim_end().len();
        tell_text(found, self.held.drain(..decided).collect());
        // White space after a call is only left out where a call comes before it.
        self.has_called &= decided == 0;
        false
    }

    fn advance_head(&mut self, found: &mut Vec<Found>) -> bool {
        if let Some((name, at)) = usual_head(&self.held) {
            self.held.drain(..at);
            self.begin(name, found);
            self.state = State::Arguments(Nesting::default());
            return true;
        }
        let mut values = serde_json::Deserializer::from_str(&self.held).into_iter::<Value>();
        let whole = match values.next() {
            None => return false,
            Some(Err(error)) if error.is_eof() && self.held.len() <= MAX_HEAD_BYTES => {
                return false;
            }
            Some(Err(_)) => None,
            Some(Ok(value)) => serde_json::from_value::<WholeCall>(value).ok(),
        };
        let end = values.byte_offset();
        match whole {
            Some(WholeCall { name, arguments }) => {
                self.held.drain(..end);
                self.begin(name, found);
                found.push(Found::Arguments(match arguments {
                    None | Some(Value::Null) => "{}".to_owned(),
                    // Some models write the arguments as JSON in a string.
                    Some(Value::String(text)) if !text.is_empty() => text,
                    Some(value) => value.to_string(),
                }));
                self.state = State::Tail;
            }
            None => {
                self.has_called = false;
                tell_text(found, format!("{}{OPEN}", self.space));
                self.state = State::Text;
            }
        }
        true
    }

    fn begin(&mut self, name: String, found: &mut Vec<Found>) {
        self.has_called = true;
        found.push(Found::Call(name));
    }

    fn advance_arguments(&mut self, mut nesting: Nesting, found: &mut Vec<Found>) -> bool {
        let end = self.held.bytes().position(|byte| nesting.ends_with(byte));
        let arguments: String =
            self.held.drain(..end.map_or(self.held.len(), |last| last + 1)).collect();
        if !arguments.is_empty() {
            found.push(Found::Arguments(arguments));
        }
        self.state = end.map_or(State::Arguments(nesting), |_| State::Tail);
        end.is_some()
    }

    /// Whatever follows the arguments up to the end of the call says nothing more. Some models
    /// leave the end out, or write another object.
    fn advance_tail(&mut self) -> bool {
        let rest = self.held.trim_start_matches(|next: char| next.is_whitespace() || next == '}');
        let (next, skipped) = if let Some(after) = rest.strip_prefix(CLOSE) {
            (State::Text, self.held.len() - after.len())
        } else if rest.starts_with('{') {
            (State::Head, self.held.len() - rest.len())
        } else if CLOSE.starts_with(rest) {
            return false;
        } else {
            (State::Text, self.held.len() - rest.len())
        };
        self.held.drain(..skipped);
        self.state = next;
        true
    }
}

impl Nesting {
    /// Takes the next byte of an object. Says whether the object ends with it.
    fn ends_with(&mut self, byte: u8) -> bool {
        match (self.in_string, self.escaped, byte) {
            (true, true, _) => self.escaped = false,
            (true, false, b'\\') => self.escaped = true,
            (_, _, b'"') => self.in_string = !self.in_string,
            (false, _, b'{' | b'[') => self.depth += 1,
            (false, _, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

fn tell_text(found: &mut Vec<Found>, text: String) {
    if !text.is_empty() {
        found.push(Found::Text(text));
    }
}

/// How many bytes at the end of a text may be the beginning of `mark`.
fn begun(text: &str, mark: &str) -> usize {
    let lengths = (1..mark.len()).rev();
    lengths.into_iter().find(|length| text.ends_with(&mark[..*length])).unwrap_or(0)
}

/// The name of a function whose call begins as models write it, with the name first and an object
/// for the arguments; and where that object begins.
fn usual_head(call: &str) -> Option<(String, usize)> {
    let rest = after(call, "{")?;
    let rest = after(after(rest, "\"name\"")?, ":")?;
    let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let name = names.next()?.ok()?;
    let rest = &rest[names.byte_offset()..];
    let rest = after(after(after(rest, ",")?, "\"arguments\"")?, ":")?.trim_start();
    rest.starts_with('{').then(|| (name, call.len() - rest.len()))
}

/// What follows a word, which white space may precede.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.trim_start().strip_prefix(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is found in pieces, with neighbours joined.
    fn found<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Found> {
        let mut reader = CallReader::default();
        let mut found: Vec<Found> = Vec::new();
        let mut all: Vec<Found> = Vec::new();
        pieces.into_iter().for_each(|piece| all.extend(reader.read(piece)));
        all.extend(reader.finish());
        for next in all {
            match (found.last_mut(), next) {
                (Some(Found::Text(before)), Found::Text(more))
                | (Some(Found::Arguments(before)), Found::Arguments(more)) => {
                    before.push_str(&more)
                }
                (_, next) => found.push(next),
            }
        }
        found
    }

    fn text(words: &str) -> Found {
        Found::Text(words.to_owned())
    }

    fn call(name: &str, arguments: &str) -> [Found; 2] {
        [Found::Call(name.to_owned()), Found::Arguments(arguments.to_owned())]
    }

    #[test]
    fn calls_are_found_and_text_stays() {
        let [name, arguments] =
            call("weather", r#"{"town": "Bonn } \" ]", "days": [1, {"a": 2}]}"#);
        let usual = "Let me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"town\": \
                     \"Bonn } \\\" ]\", \"days\": [1, {\"a\": 2}]}}\n</tool_call>";
        assert_eq!(found([usual]), [text("Let me look."), name, arguments]);
        let two = "<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n\
                   {\"name\":\"b\",\"arguments\":{\"x\":1}}\n</tool_call>\n";
        assert_eq!(found([two]), [call("a", "{}"), call("b", r#"{"x":1}"#)].concat());
        let between = "<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>\nThen \n\nthis";
        assert_eq!(found([between]), [&call("a", "{}")[..], &[text("Then \n\nthis")]].concat());
    }

    #[test]
    fn calls_that_are_written_otherwise_are_found_too() {
        for other in [
            r#"<tool_call>{"arguments": {"x":1}, "name": "f"}</tool_call>"#,
            r#"<tool_call>{"name": "f", "parameters": {"x":1}}</tool_call>"#,
            r#"<tool_call>{"name": "f", "arguments": "{\"x\":1}"}</tool_call>"#,
            r#"<tool_call>{"name": "f", "arguments": {"x":1}, "more": 2}</tool_call>"#,
            r#"<tool_call>{"name": "f", "arguments": {"x":1}}}"#,
            r#"<tool_call>{"name": "f", "arguments": {"x":1}"#,
        ] {
            let [first, second] = call("f", r#"{"x":1}"#);
            let all = found([other]);
            assert_eq!(all[..2], [first, second], "{other}");
        }
        let without = r#"<tool_call>{"name": "f"}</tool_call>"#;
        assert_eq!(found([without]), call("f", "{}"));
        let joined =
            r#"<tool_call>{"name":"a","arguments":{}}{"name":"b","arguments":{}}</tool_call>"#;
        assert_eq!(found([joined]), [call("a", "{}"), call("b", "{}")].concat());
    }

    #[test]
    fn what_is_no_call_stays_text() {
        for words in [
            "",
            "a < b",
            "<tool",
            "The mark is <tool_call>, and that is all.",
            "<tool_call>\n{\"nam",
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "<tool_call>[1]</tool_call>",
            "  indented\n",
            "</tool_call>",
        ] {
            let expected = if words.is_empty() { Vec::new() } else { vec![text(words)] };
            assert_eq!(found([words]), expected, "{words}");
        }
        let long = format!("<tool_call>{{\"arguments\": \"{}", "x".repeat(MAX_HEAD_BYTES));
        assert_eq!(found([long.as_str()]), [text(&long)]);
    }

    #[test]
    fn arguments_are_told_while_they_are_written() {
        let mut reader = CallReader::default();
        assert_eq!(reader.read("<tool_call>\n{\"name\": \"f\", \"arguments\":"), []);
        assert_eq!(reader.read(" {\"a\": \"b"), call("f", "{\"a\": \"b"));
        assert_eq!(reader.read("c\"}"), [Found::Arguments("c\"}".to_owned())]);
        assert_eq!(reader.read("}\n</tool_call>"), []);
        assert_eq!(reader.finish(), []);
    }

    proptest! {
        #[test]
        fn where_pieces_end_changes_nothing(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<tool_call>", "</tool_call>", "\n", " ", "{", "}", "\"name\"", ":", "\"f\"", ",",
                "\"arguments\"", "{\"x\": [1, \"}\\\"\"]}", "word", "你好", "<", "<tool",
                "{\"name\": \"g\", \"arguments\": {}}",
            ]), 0..14),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = parts.concat();
            let mut ends: Vec<usize> = cuts
                .iter()
                .map(|cut| whole.floor_char_boundary(cut.index(whole.len() + 1)))
                .collect();
            ends.sort_unstable();
            let begins = std::iter::once(0).chain(ends.iter().copied());
            let pieces: Vec<&str> = begins
                .zip(ends.iter().copied().chain([whole.len()]))
                .map(|(begin, end)| &whole[begin..end])
                .collect();
            prop_assert_eq!(found(pieces), found([whole.as_str()]));
        }
    }
}
