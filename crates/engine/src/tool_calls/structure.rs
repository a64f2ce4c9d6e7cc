//! The structure of an answer that calls functions.

use serde_json::{Value, json};

use super::{CLOSE, OPEN};
use crate::structure::{Structure, bounded};

/// What an answer may be.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerWithCalls<'a> {
    /// The functions that may be called.
    pub functions: Vec<CallableFunction<'a>>,
    /// There is at least one call, and nothing but calls.
    pub only_calls: bool,
    /// There is one call at most.
    pub one_call: bool,
    /// The JSON schema of the answer if it calls nothing. It may be any text otherwise.
    pub schema: Option<Value>,
}

/// A function that may be called.
#[derive(Clone, Debug, PartialEq)]
pub struct CallableFunction<'a> {
    /// Its name.
    pub name: &'a str,
    /// The JSON schema that its arguments keep to; `None` if any object will do.
    pub arguments: Option<&'a Value>,
}

/// The structure of an answer whose calls have the right form.
pub fn answer_with_calls(answer: &AnswerWithCalls<'_>) -> Structure {
    let mut rules = String::new();
    let mut names = Vec::new();
    for (index, CallableFunction { name, arguments }) in answer.functions.iter().enumerate() {
        let head = format!("\n{{\"name\": {}, \"arguments\": ", json!(name));
        let (head, tail) = (json!(head), json!(format!("}}\n{CLOSE}")));
        let schema = bounded(arguments.cloned().unwrap_or_else(|| json!({"type": "object"})));
        rules.push_str(&format!(
            "function_{index}: {head} arguments_{index} {tail}\narguments_{index}: %json {schema}\n"
        ));
        names.push(format!("function_{index}"));
    }
    let functions = names.join(" | ");
    let opened = json!(OPEN);
    let calls = match answer.one_call {
        true => "call",
        false => "call (\"\\n\" call)*",
    };
    let start = match (answer.only_calls, &answer.schema) {
        (true, _) => format!("start: {calls}\ncall: {opened} function\n"),
        (false, Some(schema)) => {
            let schema = bounded(schema.clone());
            format!("start: {calls} | answer\nanswer: %json {schema}\ncall: {opened} function\n")
        }
        (false, None) => {
            let repeated = if answer.one_call { "call | TEXT" } else { "call* TEXT" };
            // A call begins as soon as the text says so.
            format!(
                "start: {repeated}\ncall: opened function\nopened[lazy]: TEXT {opened}\n\
                 TEXT: /(?s:.*)/\n"
            )
        }
    };
    Structure::Grammar(format!("{start}function: {functions}\n{rules}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::testing::{structures, wander};
    use crate::text::Text;
    use crate::tool_calls::{CallReader, Found};

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {"town": {"$ref": "#/$defs/town"}, "days": {"type": "integer"}},
            "required": ["town", "days"],
            "additionalProperties": false,
            "$defs": {"town": {"enum": ["Bonn", "北京"]}},
        })
    }

    fn answers(of: &AnswerWithCalls<'_>) -> Vec<String> {
        let (text, structures) = structures();
        let answer = |seed| {
            let mut guide = structures.guide(&answer_with_calls(of)).expect("a structure");
            wander(&text, &mut guide, seed)
        };
        (0..8).map(answer).collect()
    }

    fn calls_of(answer: &str) -> (String, Vec<(String, Value)>) {
        let mut reader = CallReader::default();
        let mut found = reader.read(answer);
        found.extend(reader.finish());
        let (mut text, mut calls) = (String::new(), Vec::new());
        for next in found {
            match next {
                Found::Text(more) => text.push_str(&more),
                Found::Call(name) => calls.push((name, String::new())),
                Found::Arguments(more) => calls.last_mut().expect("a call").1.push_str(&more),
            }
        }
        let read = |(name, arguments): (String, String)| {
            let value = serde_json::from_str(&arguments).expect(&arguments);
            (name, value)
        };
        (text, calls.into_iter().map(read).collect())
    }

    #[test]
    fn calls_that_are_demanded_come_and_have_the_form_of_their_schema() {
        let (schema, none) = (schema(), json!({"type": "object", "additionalProperties": false}));
        let functions = vec![
            CallableFunction { name: "weather", arguments: Some(&schema) },
            CallableFunction { name: "say \"no\"", arguments: Some(&none) },
        ];
        for one_call in [true, false] {
            let of = AnswerWithCalls {
                functions: functions.clone(),
                only_calls: true,
                one_call,
                schema: None,
            };
            for answer in answers(&of) {
                let (text, calls) = calls_of(&answer);
                assert_eq!((text.as_str(), calls.is_empty()), ("", false), "{answer}");
                assert!(!one_call || calls.len() == 1, "{answer}");
                for (name, arguments) in calls {
                    match name.as_str() {
                        "weather" => {
                            assert!(
                                ["Bonn", "北京"].contains(&arguments["town"].as_str().unwrap())
                            );
                            assert!(arguments["days"].is_number(), "{answer}");
                        }
                        other => assert_eq!(other, "say \"no\""),
                    }
                    assert!(arguments.is_object(), "{answer}");
                }
            }
        }
    }

    #[test]
    fn an_answer_may_also_be_text_or_keep_to_a_schema_of_its_own() {
        let schema = schema();
        let functions = vec![CallableFunction { name: "weather", arguments: Some(&schema) }];
        let of = AnswerWithCalls { functions, only_calls: false, one_call: false, schema: None };
        let free = answers(&of);
        assert!(free.iter().any(|answer| calls_of(answer).1.is_empty()), "{free:?}");
        let (text, structures) = structures();
        let follows = |answer: &str, of: &AnswerWithCalls<'_>| {
            let mut guide = structures.guide(&answer_with_calls(of)).expect("a structure");
            takes(&text, &mut guide, answer)
        };
        let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"town\": \"Bonn\", \
                    \"days\": 3}}\n</tool_call>";
        assert!(follows(call, &of));
        assert!(follows(&format!("Let me < look.\n{call}\n{call}"), &of));
        assert!(follows("Nothing to call here, <tool or so.", &of));
        assert!(!follows(&call.replace("Bonn", "Rome"), &of));
        assert!(!follows(&format!("Text {}", call.replace("weather", "other")), &of));
        let of = AnswerWithCalls { schema: Some(json!({"enum": ["yes"]})), ..of };
        assert!(follows(call, &of) && follows("\"yes\"", &of));
        assert!(!follows("yes", &of) && !follows(&format!("\"yes\"{call}"), &of));
    }

    /// Whether a structure allows an answer as a whole.
    fn takes(text: &Text, guide: &mut crate::structure::Guide, answer: &str) -> bool {
        let mut tokens = text.encode(answer).into_iter().peekable();
        while let Some(token) = tokens.next() {
            if !guide.masks(&[]).expect("a small form")[0].allows(token) {
                return false;
            }
            if guide.take(token).expect("it may come") {
                return tokens.peek().is_none();
            }
        }
        let last = guide.masks(&[]).expect("a small form").remove(0);
        (0..text.token_count() as u32).any(|id| {
            let id = crate::text::TokenId(id);
            text.is_end(id) && last.allows(id)
        })
    }
}
