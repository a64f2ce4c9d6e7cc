//! The calls of functions in an answer, which engines write in pieces.

use std::collections::BTreeSet;

use banter_seam::{ToolChoice, Tools};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::answer::Step;
use super::error::EngineError;

/// A longer name of a call is not taken over.
const MAX_ID_BYTES: usize = 256;

/// A piece of a call, as one event has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CallPiece {
    /// Which call of the answer it belongs to.
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// Which calls an answer may have, and must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CallRules {
    one: bool,
    at_least_one: bool,
}

impl CallRules {
    pub(super) fn of(tools: &Tools) -> CallRules {
        CallRules { one: tools.one_call, at_least_one: tools.choice != ToolChoice::Auto }
    }
}

/// Puts the pieces together.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Option<OpenCall>,
    /// The names that the answer's calls have.
    ids: BTreeSet<String>,
    rules: CallRules,
}

/// The newest call.
#[derive(Debug)]
struct OpenCall {
    index: Option<u64>,
    /// Its name as the engine has written it.
    id: String,
    has_arguments: bool,
}

/// Whether the answer goes on after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterCall {
    GoesOn,
    /// Another call would begin, and the answer may have one only.
    Ends,
}

impl CallPiece {
    /// The pieces in a `delta` or a `message`.
    pub(super) fn all_in(part: &Map<String, Value>) -> Vec<CallPiece> {
        match (part.get("tool_calls"), part.get("function_call")) {
            (Some(Value::Array(calls)), _) => calls.iter().filter_map(CallPiece::read).collect(),
            // The form before there were several calls.
            (_, Some(Value::Object(function))) => vec![CallPiece::of_function(function)],
            _ => Vec::new(),
        }
    }

    fn read(value: &Value) -> Option<CallPiece> {
        let call = value.as_object()?;
        let function = call.get("function").and_then(Value::as_object);
        let piece = function.map(CallPiece::of_function).unwrap_or_default();
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let index = call.get("index").and_then(Value::as_u64);
        Some(CallPiece { index, id: id.to_owned(), ..piece })
    }

    fn of_function(function: &Map<String, Value>) -> CallPiece {
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(arguments)) => arguments.clone(),
            // Ollama's own form has the arguments themselves.
            Some(arguments) => arguments.to_string(),
        };
        CallPiece { index: None, id: String::new(), name: name.to_owned(), arguments }
    }

    pub(super) fn bytes(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }
}

impl Calls {
    pub(super) fn new(rules: CallRules) -> Calls {
        Calls { rules, ..Calls::default() }
    }

    /// The answer must have a call, and has none.
    pub(super) fn are_missing(&self) -> bool {
        self.rules.at_least_one && self.are_none()
    }

    pub(super) fn are_none(&self) -> bool {
        self.ids.is_empty()
    }

    /// Takes the next piece, and adds what it means to `steps`.
    ///
    /// Errors: it belongs to a call that is not the newest, or begins one without a name.
    pub(super) fn take(
        &mut self,
        piece: CallPiece,
        steps: &mut impl Extend<Step>,
    ) -> Result<AfterCall, EngineError> {
        if !self.open.as_ref().is_some_and(|open| open.is_meant_by(&piece)) {
            if piece.name.is_empty() && piece.arguments.is_empty() {
                return Ok(AfterCall::GoesOn);
            }
            if piece.name.is_empty() {
                let what = "arguments of a function that has no name, or of an earlier call";
                return Err(EngineError::Unexpected(what.to_owned()));
            }
            if self.rules.one && self.open.is_some() {
                return Ok(AfterCall::Ends);
            }
            steps.extend(self.close());
            let id = self.name_for(&piece.id);
            steps.extend([Step::Call { id, name: piece.name }]);
            let (index, id) = (piece.index, piece.id);
            self.open = Some(OpenCall { index, id, has_arguments: false });
        }
        if let Some(open) = &mut self.open
            && !piece.arguments.is_empty()
        {
            open.has_arguments = true;
            steps.extend([Step::Arguments(piece.arguments)]);
        }
        Ok(AfterCall::GoesOn)
    }

    /// No more pieces of the newest call come. Some engines write nothing for a function without
    /// arguments, but clients expect JSON.
    pub(super) fn close(&mut self) -> Option<Step> {
        let open = self.open.take()?;
        (!open.has_arguments).then(|| Step::Arguments("{}".to_owned()))
    }

    /// A name that no other call of the answer has: the engine's, if that is one.
    fn name_for(&mut self, theirs: &str) -> String {
        let is_usable = !theirs.is_empty() && theirs.len() <= MAX_ID_BYTES;
        if is_usable && self.ids.insert(theirs.to_owned()) {
            return theirs.to_owned();
        }
        let mut random = [0; 18];
        getrandom::fill(&mut random).expect("the system has random numbers");
        let id = format!("call_{}", BASE64URL_NOPAD.encode(&random));
        self.ids.insert(id.clone());
        id
    }
}

impl OpenCall {
    /// Whether a piece belongs to this call. Some engines repeat its name in every piece, some give
    /// every call the same index, and some give none.
    fn is_meant_by(&self, piece: &CallPiece) -> bool {
        let is_same_place = match (self.index, piece.index) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => piece.name.is_empty(),
        };
        let is_same_call = piece.name.is_empty() || piece.id.is_empty() || piece.id == self.id;
        is_same_place && is_same_call
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What the pieces mean, with a call as `id:name` and its arguments after it.
    fn read(one: bool, deltas: &[Value]) -> Result<String, EngineError> {
        let (mut calls, mut steps) =
            (Calls::new(CallRules { one, ..CallRules::default() }), Vec::new());
        'deltas: for delta in deltas {
            for piece in CallPiece::all_in(delta.as_object().expect("an object")) {
                if calls.take(piece, &mut steps)? == AfterCall::Ends {
                    break 'deltas;
                }
            }
        }
        steps.extend(calls.close());
        let written = steps.into_iter().map(|step| match step {
            Step::Call { id, name } if id.starts_with("call_") => format!(" new:{name}"),
            Step::Call { id, name } => format!(" {id}:{name}"),
            Step::Arguments(arguments) => arguments,
            other => panic!("{other:?}"),
        });
        Ok(written.collect())
    }

    fn piece(index: u64, id: &str, name: &str, arguments: &str) -> Value {
        let function = json!({"name": name, "arguments": arguments});
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
    }

    #[test]
    fn calls_are_put_together_in_whatever_pieces_they_come() {
        let own = |name: &str| json!({"function": {"name": name, "arguments": {"a": 1}}});
        let cases: [(&str, &[Value], &str); 9] = [
            (
                "as OpenAI writes them",
                &[
                    piece(0, "x", "f", ""),
                    json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]}),
                    json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
                    piece(1, "y", "g", "{}"),
                ],
                r#" x:f{"a":1} y:g{}"#,
            ),
            ("at once", &[piece(0, "x", "f", "{}"), piece(1, "y", "g", "{}")], " x:f{} y:g{}"),
            (
                "with its name in every piece",
                &[piece(0, "x", "f", "{"), piece(0, "x", "f", "}"), piece(1, "y", "f", "{}")],
                " x:f{} y:f{}",
            ),
            (
                "with another id in every piece",
                &[piece(0, "x", "f", "{"), piece(0, "z", "", "}")],
                " x:f{}",
            ),
            (
                "with one index for all",
                &[piece(0, "x", "f", "{}"), piece(0, "y", "g", "{}")],
                " x:f{} y:g{}",
            ),
            (
                "in Ollama's own form",
                &[json!({"tool_calls": [own("f"), own("g")]})],
                r#" new:f{"a":1} new:g{"a":1}"#,
            ),
            (
                "in the old form",
                &[
                    json!({"function_call": {"name": "f", "arguments": ""}}),
                    json!({"function_call": {"arguments": "{}"}}),
                ],
                " new:f{}",
            ),
            (
                "without arguments",
                &[piece(0, "x", "f", ""), piece(1, "y", "g", "")],
                " x:f{} y:g{}",
            ),
            (
                "with a name that is taken",
                &[piece(0, "x", "f", "1"), piece(1, "x", "g", "2")],
                " x:f1 new:g2",
            ),
        ];
        for (what, deltas, expected) in cases {
            assert_eq!(read(false, deltas).expect("they are right"), expected, "{what}");
        }
    }

    #[test]
    fn a_second_call_is_not_begun_where_one_is_allowed() {
        let deltas = [piece(0, "x", "f", "{}"), piece(1, "y", "g", "{}")];
        assert_eq!(read(true, &deltas).expect("they are right"), " x:f{}");
    }

    #[test]
    fn pieces_that_belong_to_no_open_call_are_told() {
        let back = [piece(0, "x", "f", "{"), piece(1, "y", "g", "{}"), piece(0, "", "", "}")];
        for deltas in [&back[..], &[piece(0, "", "", "{}")]] {
            assert!(matches!(read(false, deltas), Err(EngineError::Unexpected(_))), "{deltas:?}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for delta in [
            json!({"tool_calls": null}),
            json!({"tool_calls": []}),
            json!({"tool_calls": [7, null, {}]}),
            json!({"tool_calls": [{"index": 0, "id": "x"}]}),
            json!({"function_call": null}),
            json!({"tool_calls": {}}),
        ] {
            assert_eq!(
                read(false, std::slice::from_ref(&delta)).expect("nothing is wrong"),
                "",
                "{delta}"
            );
        }
    }
}
