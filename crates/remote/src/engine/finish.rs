//! Why an answer ended, in the words of many engines.

use serde_json::Value;

use super::words::printable;

/// What an engine says about the end of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The model has ended it, or has written a stop string.
    Done,
    /// The model has ended it to call functions.
    Called(String),
    /// It has as many tokens as it may have.
    Length,
    /// A filter for contents cut it off.
    Filtered,
    /// The engine had no more memory or time for it.
    Unavailable,
    /// It was cut off for another reason, in the engine's word.
    Failed(String),
}

const DONE: [&str; 17] = [
    "stop",
    "eos",
    "eos_token",
    "eos_found",
    "end",
    "end_turn",
    "end_of_turn",
    "end_of_text",
    "stop_sequence",
    "stop_string",
    "stop_str",
    "stop_token",
    "done",
    "complete",
    "completed",
    "finished",
    "normal",
];
const CALLED: [&str; 5] =
    ["tool_calls", "tool_call", "tool_use", "function_call", "function_calls"];
const LENGTH: [&str; 9] = [
    "length",
    "max_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_length",
    "model_length",
    "token_limit",
    "model_context_window_exceeded",
];
const FILTERED: [&str; 13] = [
    "content_filter",
    "content_filtered",
    "safety",
    "sensitive",
    "recitation",
    "blocklist",
    "blocked",
    "prohibited_content",
    "spii",
    "guardrail_intervened",
    "moderation",
    "refusal",
    "risk_control",
];
const UNAVAILABLE: [&str; 6] = [
    "insufficient_system_resource",
    "insufficient_system_resources",
    "overloaded",
    "resource_exhausted",
    "timeout",
    "network_error",
];

impl Finish {
    /// Reads a `finish_reason`; `None` if it says that the answer goes on.
    pub(super) fn read(reason: &Value) -> Option<Finish> {
        let word = match reason {
            Value::Bool(true) => return Some(Finish::Done),
            Value::String(word) => word.trim(),
            // SGLang's own form: {"type": "stop", "matched": 151645}.
            Value::Object(object) => return Finish::read(object.get("type")?),
            // Gateways that know no `null` write 0, false or an empty list.
            Value::Number(number) if number.as_f64() != Some(0.0) => {
                return Some(Finish::Failed(number.to_string()));
            }
            _ => return None,
        };
        // `SAFETY`, `FINISH_REASON_STOP` and `end-turn` are the same words in other clothes.
        let plain = word.to_ascii_lowercase().replace(['-', ' '], "_");
        let plain = plain.strip_prefix("finish_reason_").unwrap_or(&plain);
        Some(match plain {
            "" | "null" | "none" | "nil" | "undefined" | "unspecified" | "false" | "0" => {
                return None;
            }
            word if DONE.contains(&word) => Finish::Done,
            word if CALLED.contains(&word) => Finish::Called(word.to_owned()),
            word if LENGTH.contains(&word) => Finish::Length,
            word if FILTERED.contains(&word) => Finish::Filtered,
            word if UNAVAILABLE.contains(&word) => Finish::Unavailable,
            _ => Finish::Failed(printable(word)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_nothing_is_no_reason() {
        let nothing =
            [json!(null), json!(""), json!(" "), json!("null"), json!("None"), json!("NULL")];
        let odd = [
            json!(0),
            json!(0.0),
            json!(false),
            json!([]),
            json!({}),
            json!("FINISH_REASON_UNSPECIFIED"),
        ];
        for reason in nothing.into_iter().chain(odd) {
            assert_eq!(Finish::read(&reason), None, "{reason}");
        }
    }

    #[test]
    fn only_ends_are_ends() {
        let cases = [
            ("stop", Finish::Done),
            ("EOS", Finish::Done),
            ("FINISH_REASON_STOP", Finish::Done),
            ("length", Finish::Length),
            ("MAX_TOKENS", Finish::Length),
            ("content_filter", Finish::Filtered),
            ("SAFETY", Finish::Filtered),
            ("sensitive", Finish::Filtered),
            ("insufficient_system_resource", Finish::Unavailable),
            ("network_error", Finish::Unavailable),
        ];
        for (word, expected) in cases {
            assert_eq!(Finish::read(&json!(word)), Some(expected), "{word}");
        }
        assert_eq!(Finish::read(&json!("TOOL_CALLS")), Some(Finish::Called("tool_calls".into())));
        for word in ["abort", "error", "cancelled", "sparkle", "7"] {
            assert_eq!(Finish::read(&json!(word)), Some(Finish::Failed(word.into())), "{word}");
        }
        let typed = json!({"type": "length", "length": 9});
        assert_eq!(Finish::read(&typed), Some(Finish::Length));
        assert_eq!(Finish::read(&json!(7)), Some(Finish::Failed("7".into())));
        assert_eq!(Finish::read(&json!(true)), Some(Finish::Done));
    }
}
