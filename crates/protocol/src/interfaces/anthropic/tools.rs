//! Functions that the model may call.

use super::super::tools::LONGEST_NAME;
use crate::json::null_as_default;
use banter_seam::{Function, ToolChoice};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Unexpected};
use serde_json::{Map, Value};

/// A function that the model may call, checked.
#[derive(Debug)]
pub(super) struct Tool(pub(super) Function);

#[derive(Deserialize)]
struct SentTool {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
    description: Option<String>,
    input_schema: Option<Map<String, Value>>,
    #[serde(deserialize_with = "null_as_default")]
    strict: bool,
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tool, D::Error> {
        let sent = SentTool::deserialize(deserializer)?;
        if let Some(kind) = sent.kind.filter(|kind| kind != "custom") {
            let expected = &"a tool of the type custom: this server runs none itself";
            return Err(D::Error::invalid_value(Unexpected::Str(&kind), expected));
        }
        let SentTool { name, description, strict, .. } = sent;
        if name.is_empty() || name.len() > LONGEST_NAME {
            let expected = format!("a tool with a name of 1 to {LONGEST_NAME} bytes");
            return Err(D::Error::custom(expected));
        }
        let Some(schema) = sent.input_schema else {
            return Err(D::Error::custom("a tool with its input_schema"));
        };
        Ok(Tool(Function { name, description, parameters: Some(Value::Object(schema)), strict }))
    }
}

/// Which functions the model calls.
#[derive(Debug)]
pub(super) struct Choice {
    /// `None`: none of them.
    pub(super) choice: Option<ToolChoice>,
    pub(super) one_call: bool,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { choice: Some(ToolChoice::Auto), one_call: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentChoice {
    #[serde(rename = "type")]
    kind: ChoiceKind,
    name: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    disable_parallel_tool_use: bool,
    #[serde(rename = "cache_control")]
    _cache_control: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChoiceKind {
    Auto,
    Any,
    Tool,
    None,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
        let sent = SentChoice::deserialize(deserializer)?;
        let choice = match sent.kind {
            ChoiceKind::Auto => Some(ToolChoice::Auto),
            ChoiceKind::Any => Some(ToolChoice::Required),
            ChoiceKind::None => None,
            ChoiceKind::Tool => {
                let lacks = || D::Error::custom("a choice with the name of a tool");
                Some(ToolChoice::Named(sent.name.ok_or_else(lacks)?))
            }
        };
        Ok(Choice { choice, one_call: sent.disable_parallel_tool_use })
    }
}
