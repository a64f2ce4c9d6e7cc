//! The log-probabilities of an answer's tokens, in the two forms of OpenAI's interface.

use banter_seam::{Logprobs, TokenLogprob};
use serde_json::{Map, Value};

/// Those of a choice. A token without a number is left out.
pub(super) fn read(choice: &Map<String, Value>) -> Vec<Logprobs> {
    let Some(found) = choice.get("logprobs").and_then(Value::as_object) else { return Vec::new() };
    match (found.get("content"), found.get("tokens")) {
        (Some(Value::Array(tokens)), _) => tokens.iter().filter_map(of_chat).collect(),
        (_, Some(Value::Array(tokens))) => of_completion(found, tokens),
        _ => Vec::new(),
    }
}

/// `{"token": …, "logprob": …, "bytes": […], "top_logprobs": […]}`
fn of_chat(value: &Value) -> Option<Logprobs> {
    let chosen = token(value)?;
    let top = value.get("top_logprobs").and_then(Value::as_array);
    Some(Logprobs { chosen, top: top.into_iter().flatten().filter_map(token).collect() })
}

fn token(value: &Value) -> Option<TokenLogprob> {
    let logprob = number(value.get("logprob")?)?;
    let bytes = value.get("bytes").and_then(Value::as_array).and_then(|bytes| {
        let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
        bytes.iter().map(byte).collect::<Option<Vec<u8>>>()
    });
    let text = || value.get("token").and_then(Value::as_str).map(|text| text.as_bytes().to_vec());
    Some(TokenLogprob { bytes: bytes.or_else(text)?, logprob })
}

/// Lists of the tokens, of their numbers, and of the likeliest tokens at each place.
fn of_completion(found: &Map<String, Value>, tokens: &[Value]) -> Vec<Logprobs> {
    let list = |name: &str| found.get(name).and_then(Value::as_array);
    let of = |(text, value): (&String, &Value)| {
        Some(TokenLogprob { bytes: text.as_bytes().to_vec(), logprob: number(value)? })
    };
    let at = |(place, text): (usize, &Value)| {
        let text = text.as_str()?.as_bytes().to_vec();
        let logprob = number(list("token_logprobs")?.get(place)?)?;
        let top = list("top_logprobs").and_then(|all| all.get(place)).and_then(Value::as_object);
        let mut top: Vec<TokenLogprob> = top.into_iter().flatten().filter_map(of).collect();
        top.sort_by(|one, other| other.logprob.total_cmp(&one.logprob));
        Some(Logprobs { chosen: TokenLogprob { bytes: text, logprob }, top })
    };
    tokens.iter().enumerate().filter_map(at).collect()
}

/// A logarithm of a probability; rounding may have made it larger than 0.
fn number(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| (number as f32).min(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(logprobs: &Value) -> String {
        let choice = json!({ "logprobs": logprobs });
        let found = super::read(choice.as_object().expect("an object"));
        let token = |token: &TokenLogprob| {
            format!("{}{}", String::from_utf8_lossy(&token.bytes), token.logprob)
        };
        let place = |at: &Logprobs| {
            let top: Vec<String> = at.top.iter().map(token).collect();
            format!("{}[{}]", token(&at.chosen), top.join(" "))
        };
        found.iter().map(place).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn both_forms_are_read() {
        let top = json!([{"token": "a", "logprob": -0.5, "bytes": [97]},
                         {"token": "?", "logprob": -2, "bytes": [98]}]);
        let chat = json!({"content": [{"token": "a", "logprob": -0.5, "top_logprobs": top},
                                      {"token": "c", "logprob": 1e-9, "bytes": null}]});
        assert_eq!(read(&chat), "a-0.5[a-0.5 b-2] c0[]");
        let completion = json!({"tokens": ["a", "c"], "token_logprobs": [-0.5, -1.0],
                                "top_logprobs": [{"b": -2, "a": -0.5}, null]});
        assert_eq!(read(&completion), "a-0.5[a-0.5 b-2] c-1[]");
    }

    #[test]
    fn odd_forms_break_nothing() {
        for odd in [
            json!(null),
            json!([]),
            json!({}),
            json!({"content": null, "tokens": null}),
            json!({"content": [7, {"token": "a"}, {"logprob": -1}, {"token": 5, "logprob": -1}]}),
            json!({"tokens": ["a"]}),
            json!({"tokens": ["a", 5], "token_logprobs": [null, -1]}),
        ] {
            assert_eq!(read(&odd), "", "{odd}");
        }
    }
}
