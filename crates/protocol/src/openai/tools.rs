//! Functions that the model may call.

use super::message::Unsupported;
use crate::json::null_as_default;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::{Map, Value, json};

/// A function that the model may call, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// For the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Option<Value>,
    /// Whether arguments must keep to the schema.
    pub strict: bool,
}

/// Which functions the model calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

impl Tool {
    /// The tool as chat templates take it.
    pub fn to_template(&self) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(self.name));
        if let Some(description) = &self.description {
            function.insert("description".to_owned(), json!(description));
        }
        if let Some(parameters) = &self.parameters {
            function.insert("parameters".to_owned(), parameters.clone());
        }
        json!({"type": "function", "function": function})
    }
}

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
        Ok(Tool { name, description, parameters, strict })
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

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ToolChoice, D::Error> {
        let expected = "auto, none, required or a function by its name";
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(ToolChoice::Auto),
            Value::String(word) => match word.as_str() {
                "auto" => Ok(ToolChoice::Auto),
                "none" => Ok(ToolChoice::None),
                "required" => Ok(ToolChoice::Required),
                _ => Err(D::Error::custom(expected)),
            },
            choice => match serde_json::from_value(choice) {
                Ok(SentChoice { kind, function: Some(Named { name }) }) if kind == "function" => {
                    Ok(ToolChoice::Named(name))
                }
                _ => Err(D::Error::custom(expected)),
            },
        }
    }
}
