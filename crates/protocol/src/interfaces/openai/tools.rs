//! `tool_choice`: which functions the model calls.

use banter_seam::ToolChoice;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

/// Which functions the model calls. `None`: none of them.
#[derive(Debug)]
pub(super) struct Choice(pub(super) Option<ToolChoice>);

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
