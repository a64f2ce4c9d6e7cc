//! Functions that the model may call, as OpenAI and Ollama write them.

use super::fields::{Unfit, Unsupported};
use crate::json::null_as_default;
use banter_seam::{Function, Structure, ToolChoice, Tools};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::Value;
use std::collections::HashSet;

/// A function that the model may call, checked.
#[derive(Debug)]
pub(super) struct Tool(pub(super) Function);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentTool {
    #[serde(rename = "type")]
    kind: Option<String>,
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
pub(super) const LONGEST_NAME: usize = 64;

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tool, D::Error> {
        let SentTool { kind, function, .. } = SentTool::deserialize(deserializer)?;
        if let Some(kind) = kind.filter(|kind| kind != "function") {
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

/// The functions of tools.
///
/// Errors: two have the same name.
pub(super) fn functions(tools: Vec<Tool>) -> Result<Vec<Function>, Unfit> {
    let functions: Vec<Function> = tools.into_iter().map(|Tool(function)| function).collect();
    match have_distinct_names(&functions) {
        true => Ok(functions),
        false => Err(Unfit { field: "tools", expected: "functions whose names differ" }),
    }
}

pub(super) fn have_distinct_names<'a>(functions: impl IntoIterator<Item = &'a Function>) -> bool {
    let mut names = HashSet::new();
    functions.into_iter().all(|function| names.insert(function.name.as_str()))
}

/// The structure of an answer that may call these functions. An answer that has to be a call has
/// none of its own: a format is that of its text.
pub(super) fn structure_beside(structure: Option<Structure>, tools: &Tools) -> Option<Structure> {
    match tools.choice {
        ToolChoice::Auto => structure,
        ToolChoice::Required | ToolChoice::Named(_) => None,
    }
}
