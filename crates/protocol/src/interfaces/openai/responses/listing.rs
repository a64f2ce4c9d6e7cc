//! `GET /v1/responses/{id}/input_items`: the items that a response answers, page by page.

use super::items::Items;
use banter_seam::Failure;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A page has this many items if the request does not say otherwise.
const USUAL_ITEMS: usize = 20;
const MOST_ITEMS: usize = 100;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Whether the oldest item is first.
    is_ascending: bool,
    limit: usize,
    /// The name of the item before the page.
    after: Option<String>,
}

/// How a response is asked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetrieveRequest {
    /// Whether its events are wanted.
    pub is_streamed: bool,
    /// The number of the last event that the client has; `None` if it has none.
    pub starting_after: Option<u64>,
}

impl RetrieveRequest {
    /// Reads the query of an address, as pairs of name and value.
    ///
    /// Errors: [`Failure::InvalidParameter`].
    pub fn parse(query: &[(String, String)]) -> Result<RetrieveRequest, Failure> {
        let mut asked = RetrieveRequest::default();
        for (name, value) in query {
            let expected = match (name.as_str(), value.as_str()) {
                ("stream", "true" | "false") => {
                    asked.is_streamed = value == "true";
                    continue;
                }
                ("starting_after", number) => match number.parse() {
                    Ok(number) => {
                        asked.starting_after = Some(number);
                        continue;
                    }
                    Err(_) => "the number of an event",
                },
                // They change nothing: a response is always told with all that was kept of it.
                ("include" | "include[]" | "include_obfuscation", _) => continue,
                ("stream", _) => "true or false",
                _ => "stream, starting_after or include",
            };
            return Err(invalid(name, expected.to_owned(), value));
        }
        if asked.starting_after.is_some() && !asked.is_streamed {
            let expected = "stream=true beside it".to_owned();
            return Err(invalid("starting_after", expected, "no stream"));
        }
        Ok(asked)
    }
}

/// A page of items.
#[derive(Clone, Debug, Serialize)]
pub struct ItemList {
    object: &'static str,
    data: Vec<Value>,
    first_id: String,
    last_id: String,
    has_more: bool,
}

impl PageRequest {
    /// Reads the query of an address, as pairs of name and value.
    ///
    /// Errors: [`Failure::InvalidParameter`].
    pub fn parse(query: &[(String, String)]) -> Result<PageRequest, Failure> {
        let mut page = PageRequest { is_ascending: false, limit: USUAL_ITEMS, after: None };
        for (name, value) in query {
            let expected = match name.as_str() {
                "order" if value == "asc" || value == "desc" => {
                    page.is_ascending = value == "asc";
                    continue;
                }
                "limit" => match value.parse() {
                    Ok(limit @ 1..=MOST_ITEMS) => {
                        page.limit = limit;
                        continue;
                    }
                    _ => format!("1 to {MOST_ITEMS}"),
                },
                "after" => {
                    page.after = Some(value.clone());
                    continue;
                }
                // What can be included is told anyway, or not at all.
                "include" | "include[]" => continue,
                "order" => "asc or desc".to_owned(),
                _ => "order, limit, after or include".to_owned(),
            };
            return Err(invalid(name, expected, value));
        }
        Ok(page)
    }
}

impl ItemList {
    /// A page of the first `count` items, which the response of this name answers.
    ///
    /// Errors: [`Failure::InvalidParameter`] if there is no item of the name that the page is to
    /// follow.
    pub fn new(
        response: &str,
        items: &Items,
        count: usize,
        page: &PageRequest,
    ) -> Result<ItemList, Failure> {
        let told = items.json().iter().take(count).enumerate();
        let mut listed: Vec<Value> = told.map(|(at, item)| report(item, response, at)).collect();
        if !page.is_ascending {
            listed.reverse();
        }
        let start = match &page.after {
            None => 0,
            Some(after) => match listed.iter().position(|item| item["id"] == after.as_str()) {
                Some(at) => at + 1,
                None => return Err(invalid("after", "the id of one of the items".into(), after)),
            },
        };
        let has_more = listed.len() > start + page.limit;
        let data: Vec<Value> = listed.into_iter().skip(start).take(page.limit).collect();
        let id = |item: Option<&Value>| {
            item.and_then(|item| item["id"].as_str()).unwrap_or_default().to_owned()
        };
        Ok(ItemList {
            object: "list",
            first_id: id(data.first()),
            last_id: id(data.last()),
            has_more,
            data,
        })
    }
}

fn invalid(field: &str, expected: String, found: &str) -> Failure {
    Failure::InvalidParameter { field: field.to_owned(), expected, found: format!("{found:?}") }
}

/// An item with everything that clients expect of one. Those that were sent have no names; these
/// get some that stay the same.
fn report(item: &Value, response: &str, at: usize) -> Value {
    let mut report = item.as_object().cloned().unwrap_or_default();
    let kind = report.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let prefix = match kind.as_str() {
        "function_call" => "fc",
        "function_call_output" => "fco",
        "reasoning" => "rs",
        _ => "msg",
    };
    let set = |report: &mut Map<String, Value>, name: &str, value: Value| {
        let is_missing = report.get(name).is_none_or(Value::is_null);
        if is_missing {
            report.insert(name.to_owned(), value);
        }
    };
    let of_response = response.trim_start_matches("resp_");
    set(&mut report, "id", json!(format!("{prefix}_{of_response}_{at}")));
    set(&mut report, "type", json!(kind));
    set(&mut report, "status", json!("completed"));
    if kind == "message" {
        let is_answer = report.get("role").and_then(Value::as_str) == Some("assistant");
        let content = report.remove("content").unwrap_or_default();
        report.insert("content".to_owned(), parts(content, is_answer));
    }
    if kind == "reasoning" {
        set(&mut report, "summary", json!([]));
    }
    Value::Object(report)
}

/// The content of a message as a list of parts.
fn parts(content: Value, is_answer: bool) -> Value {
    match content {
        Value::String(text) if is_answer => {
            json!([{"type": "output_text", "text": text, "annotations": [], "logprobs": []}])
        }
        Value::String(text) => json!([{"type": "input_text", "text": text}]),
        parts => parts,
    }
}
