//! Functions that the model may call.

use super::message::Unsupported;
use crate::json::null_as_default;
use banter_seam::{Function, ToolChoice};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::Value;

/// A function that the model may call, checked.
#[derive(Debug)]
pub(super) struct Tool(pub(super) Function);

/// Which functions the model calls. `None`: none of them.
#[derive(Debug)]
pub(super) struct Choice(pub(super) Option<ToolChoice>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentTool {
    #[serde(rename = "type")]
    kind: String,
    function: Option<SentFunction>,
    #[serde(rename = "custom")]
    _custom: Option<Unsupported>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentFunction {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    #[serde(deserialize_with = "null_as_default")]
    strict: bool,
}

/// As in OpenAI's interface.
const LONGEST_NAME: usize = 64;

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tool, D::Error> {
        let SentTool { kind, function, .. } = SentTool::deserialize(deserializer)?;
        if kind != "function" {
            let expected = &"a tool of the type function: this server has no others";
            return Err(D::Error::invalid_value(Unexpected::Str(&kind), expected));
        }
        let Some(function) = function else {
            return Err(D::Error::custom("a tool with its function"));
        };
        let SentFunction { name, description, parameters, strict } = function;
        if name.is_empty() || name.len() > LONGEST_NAME {
            let expected = format!("a function with a name of 1 to {LONGEST_NAME} bytes");
            return Err(D::Error::custom(expected));
        }
        if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
            return Err(D::Error::custom("a function whose parameters are a JSON schema"));
        }
        Ok(Tool(Function { name, description, parameters, strict }))
    }
}

#[derive(Deserialize)]
struct SentChoice {
    #[serde(rename = "type")]
    kind: String,
    function: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
        let expected = "auto, none, required or a function by its name";
        let choice = match Value::deserialize(deserializer)? {
            Value::Null => Some(ToolChoice::Auto),
            Value::String(word) => match word.as_str() {
                "auto" => Some(ToolChoice::Auto),
                "none" => None,
                "required" => Some(ToolChoice::Required),
                _ => return Err(D::Error::custom(expected)),
            },
            choice => match serde_json::from_value(choice) {
                Ok(SentChoice { kind, function: Some(Named { name }) }) if kind == "function" => {
                    Some(ToolChoice::Named(name))
                }
                _ => return Err(D::Error::custom(expected)),
            },
        };
        Ok(Choice(choice))
    }
}
