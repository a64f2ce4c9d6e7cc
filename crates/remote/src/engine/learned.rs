//! What an engine has refused once, and what is therefore not sent again.
//!
//! Interfaces differ, and say so only when a request is refused: a gateway does not know
//! `stream_options`, a newer model needs `max_completion_tokens`, another makes answers of at most
//! 1,024 tokens. What a refusal teaches is kept for later requests only if the changed request is
//! then answered. Otherwise a message that repeats an engine's words could teach something wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::error::RefusalResponse;
use super::request::Wish;

/// The form in which an engine accepts requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    /// Fields that it has refused by name.
    left_out: BTreeSet<String>,
    /// Fields one of which it has refused, without saying which: they are left out unless the client
    /// asks for them.
    left_out_unasked: BTreeSet<String>,
    limit: LimitField,
    longest_answer: Option<usize>,
    /// It has answered a request with our extra fields, so these are not the reason of a refusal.
    takes_extras: bool,
}

/// The engine's name of the limit of an answer's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum LimitField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
    /// It accepts neither name.
    None,
}

/// What to do after a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// Send the request again in its new form.
    SendAgain,
    /// The engine refuses what the client has asked for.
    NotAsWanted(Wish),
    Nothing,
}

/// Fields that every request needs.
const NEEDED: [&str; 3] = ["messages", "prompt", "model"];
const LIMITS: [&str; 4] =
    ["max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens"];

impl LimitField {
    fn name(self) -> Option<&'static str> {
        match self {
            LimitField::MaxTokens => Some("max_tokens"),
            LimitField::MaxCompletionTokens => Some("max_completion_tokens"),
            LimitField::None => None,
        }
    }

    fn next(self) -> LimitField {
        match self {
            LimitField::MaxTokens => LimitField::MaxCompletionTokens,
            LimitField::MaxCompletionTokens | LimitField::None => LimitField::None,
        }
    }
}

impl Learned {
    /// A request in the form that this engine accepts.
    pub(super) fn apply(
        &self,
        request: &Map<String, Value>,
        wishes: &[Wish],
    ) -> Map<String, Value> {
        let mut body = request.clone();
        let is_wish = |name: &String| wishes.iter().any(|wish| wish.theirs == name);
        body.retain(|name, _| {
            !self.left_out.contains(name)
                && (is_wish(name) || !self.left_out_unasked.contains(name))
        });
        let wanted = body.remove("max_tokens").and_then(|tokens| tokens.as_u64());
        if let (Some(wanted), Some(name)) = (wanted, self.limit.name()) {
            let most = self.longest_answer.map_or(u64::MAX, |most| most as u64);
            body.insert(name.to_owned(), json!(wanted.min(most)));
        }
        body
    }

    /// Looks for a change after `sent` was refused.
    pub(super) fn learn(
        &mut self,
        refusal: &RefusalResponse,
        sent: &Map<String, Value>,
        wishes: &[Wish],
    ) -> Lesson {
        // These statuses are about the key, the address or the moment.
        if matches!(refusal.status, 300..=399 | 401..=404 | 408 | 429 | 502..=504) {
            return Lesson::Nothing;
        }
        if self.learn_limit(refusal, sent) {
            return Lesson::SendAgain;
        }
        for name in named(refusal, sent) {
            let words = &refusal.words;
            let wish = wishes.iter().find(|wish| wish.theirs == name);
            let is_refused = words.is_unknown() || words.blames(&name);
            match wish {
                Some(wish) if words.is_about_value() || name == "stop" => {
                    return Lesson::NotAsWanted(*wish);
                }
                Some(wish) if is_refused && wish.is_firm => return Lesson::NotAsWanted(*wish),
                // Nobody minds if a field of ours goes.
                wish if is_refused || (wish.is_none() && words.is_about_value()) => {
                    self.left_out.insert(name);
                    return Lesson::SendAgain;
                }
                _ => {}
            }
        }
        self.learn_blindly(refusal, sent, wishes)
    }

    /// Leaves out our extra fields after a refusal that names no field: first the one that gateways
    /// most often do not know.
    fn learn_blindly(
        &mut self,
        refusal: &RefusalResponse,
        sent: &Map<String, Value>,
        wishes: &[Wish],
    ) -> Lesson {
        if self.takes_extras || !matches!(refusal.status, 400 | 422) {
            return Lesson::Nothing;
        }
        let mut extras: Vec<&String> = extras(sent, wishes).collect();
        if extras.iter().any(|name| *name == "stream_options") {
            extras.retain(|name| *name == "stream_options");
        }
        self.left_out_unasked.extend(extras.iter().map(|name| (*name).clone()));
        if extras.is_empty() { Lesson::Nothing } else { Lesson::SendAgain }
    }

    /// Whether the refusal is about the limit of the answer's tokens, and the limit could be
    /// changed.
    fn learn_limit(&mut self, refusal: &RefusalResponse, sent: &Map<String, Value>) -> bool {
        let words = &refusal.words;
        let Some(name) = self.limit.name() else { return false };
        let Some(tokens) = sent.get(name).and_then(Value::as_u64) else { return false };
        if !LIMITS.iter().any(|limit| words.names(limit)) {
            return false;
        }
        let longest = words.longest_answer(usize::try_from(tokens).unwrap_or(usize::MAX));
        let other = self.limit.next();
        let names_other = other.name().is_some_and(|other| words.names(other));
        if words.is_unknown() && (names_other || longest.is_none()) {
            self.limit = other;
        } else if let Some(longest) = longest {
            self.longest_answer = Some(longest);
        } else if names_other || words.blames(name) {
            self.limit = other;
        } else {
            return false;
        }
        true
    }

    /// Keeps what was learned for a request that was answered, and returns what is new.
    pub(super) fn keep(
        &mut self,
        learned: Learned,
        sent: &Map<String, Value>,
        wishes: &[Wish],
    ) -> Vec<String> {
        let named = learned.left_out.difference(&self.left_out);
        let unasked = learned.left_out_unasked.difference(&self.left_out_unasked);
        let mut news: Vec<String> = named.chain(unasked).map(|name| format!("no {name}")).collect();
        if learned.limit > self.limit {
            news.push(format!("{} instead of max_tokens", learned.limit.name().unwrap_or("none")));
        }
        if learned.longest_answer != self.longest_answer
            && let Some(longest) = learned.longest_answer
        {
            news.push(format!("answers of {longest} tokens at most"));
        }
        let takes_extras = self.takes_extras || extras(sent, wishes).next().is_some();
        self.left_out.extend(learned.left_out);
        self.left_out_unasked.extend(learned.left_out_unasked);
        self.limit = self.limit.max(learned.limit);
        self.longest_answer = match (self.longest_answer, learned.longest_answer) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.takes_extras = takes_extras;
        news
    }
}

/// The fields of a request that a refusal names.
fn named(refusal: &RefusalResponse, sent: &Map<String, Value>) -> Vec<String> {
    let is_fixed =
        |name: &&String| NEEDED.contains(&name.as_str()) || LIMITS.contains(&name.as_str());
    let is_named = |name: &&String| parts_of(name).iter().any(|part| refusal.words.names(part));
    let fields = sent.keys().filter(|name| !is_fixed(name)).filter(is_named);
    let mut named: Vec<String> = fields.cloned().collect();
    if named.len() > 1 {
        // "stream_options is only allowed with stream" is about the other field.
        named.retain(|name| name != "stream");
    }
    named
}

/// The names that a refusal may use for a field.
fn parts_of(field: &str) -> Vec<&str> {
    match field {
        "stream_options" => vec![field, "include_usage", "continuous_usage_stats"],
        _ => vec![field],
    }
}

/// The fields of a request that neither the client has set nor the interface needs.
fn extras<'a>(
    sent: &'a Map<String, Value>,
    wishes: &'a [Wish],
) -> impl Iterator<Item = &'a String> {
    sent.keys().filter(move |name| {
        let name = name.as_str();
        name != "stream"
            && ![&NEEDED[..], &LIMITS[..]].iter().any(|all| all.contains(&name))
            && !wishes.iter().any(|wish| wish.theirs == name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::words::Words;
    use super::*;

    fn request() -> Map<String, Value> {
        let request = json!({
            "messages": [], "model": "m", "stream": true, "max_tokens": 2_048, "seed": 7,
            "stop": ["x"], "temperature": 1.5, "stream_options": {"include_usage": true},
            "cache_salt": "s",
        });
        request.as_object().expect("an object").clone()
    }

    const fn wish(name: &'static str, is_firm: bool) -> Wish {
        Wish { ours: name, theirs: name, is_firm }
    }

    const WANTED: [Wish; 3] =
        [wish("seed", false), wish("stop", false), wish("temperature", false)];

    fn refusal(status: u16, body: &str) -> RefusalResponse {
        let words = Words::read(body.as_bytes());
        RefusalResponse {
            asked: "POST /v1/chat/completions".to_owned(),
            status,
            retry_after: None,
            words,
        }
    }

    #[test]
    fn what_is_refused_goes_and_the_rest_stays() {
        let cases = [
            (
                422,
                r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted","type":"extra_forbidden"}]}"#,
                "stream_options",
            ),
            (
                400,
                r#"{"error":{"message":"Unrecognized request argument supplied: cache_salt"}}"#,
                "cache_salt",
            ),
            (400, r#"{"error":{"message":"no","param":"seed"}}"#, "seed"),
            (500, r#"{"error":"got an unexpected keyword argument 'seed'"}"#, "seed"),
            (
                400,
                r#"{"error":{"message":"Unsupported value: 'temperature' does not support 1.5 with this model. Only the default (1) value is supported.","param":"temperature","code":"unsupported_value"}}"#,
                "temperature",
            ),
            (400, r#"{"error":{"message":"stream is not supported"}}"#, "stream"),
            (
                400,
                r#"{"error":{"message":"Field 'cache_salt': Value must be between 0 <= value <= 9, but got s"}}"#,
                "cache_salt",
            ),
        ];
        for (status, body, gone) in cases {
            let (mut learned, sent) = (Learned::default(), request());
            let lesson = learned.learn(&refusal(status, body), &sent, &WANTED);
            assert_eq!(lesson, Lesson::SendAgain, "{body}");
            let mut expected = request();
            expected.remove(gone);
            assert_eq!(learned.apply(&request(), &WANTED), expected, "{body}");
        }
    }

    #[test]
    fn the_limit_of_an_answer_is_renamed_or_made_smaller() {
        let cases = [
            (
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}"#,
                json!({"max_completion_tokens": 2_048}),
            ),
            (
                r#"{"error":{"message":"Unsupported parameter: use max_completion_tokens"}}"#,
                json!({"max_completion_tokens": 2_048}),
            ),
            (
                r#"{"detail":[{"loc":["body","max_tokens"],"msg":"Extra inputs are not permitted"}]}"#,
                json!({"max_completion_tokens": 2_048}),
            ),
            (
                r#"{"error":{"message":"max_tokens is too large: 2048. This model supports at most 1024 completion tokens."}}"#,
                json!({"max_tokens": 1_024}),
            ),
            (
                r#"{"detail":[{"loc":["body","max_tokens"],"msg":"Input should be less than or equal to 1024"}]}"#,
                json!({"max_tokens": 1_024}),
            ),
        ];
        for (body, expected) in cases {
            let mut learned = Learned::default();
            let lesson = learned.learn(&refusal(400, body), &request(), &WANTED);
            assert_eq!(lesson, Lesson::SendAgain, "{body}");
            let limits = learned.apply(&request(), &WANTED).into_iter();
            let limits: Map<String, Value> =
                limits.filter(|(name, _)| LIMITS.contains(&name.as_str())).collect();
            assert_eq!(Value::Object(limits), expected, "{body}");
        }
    }

    #[test]
    fn a_limit_that_is_refused_under_both_names_is_left_out() {
        let mut learned = Learned::default();
        for name in ["max_tokens", "max_completion_tokens"] {
            let body = format!("unknown field {name}");
            let sent = learned.apply(&request(), &WANTED);
            assert_eq!(learned.learn(&refusal(400, &body), &sent, &WANTED), Lesson::SendAgain);
        }
        assert!(
            learned.apply(&request(), &WANTED).keys().all(|name| !LIMITS.contains(&name.as_str()))
        );
    }

    #[test]
    fn a_value_that_the_client_wants_and_the_engine_does_not_take_is_told() {
        let cases = [
            ("temperature must be between 0 and 1", "temperature"),
            ("stop is not supported", "stop"),
        ];
        for (words, field) in cases {
            let lesson = Learned::default().learn(&refusal(400, words), &request(), &WANTED);
            assert_eq!(lesson, Lesson::NotAsWanted(wish(field, false)), "{words}");
        }
    }

    #[test]
    fn a_firm_wish_is_refused_where_another_is_left_out() {
        let words = r#"{"error":{"message":"no","param":"seed"}}"#;
        for is_firm in [false, true] {
            let (mut learned, wishes) = (Learned::default(), [wish("seed", is_firm)]);
            let lesson = learned.learn(&refusal(400, words), &request(), &wishes);
            let expected = if is_firm { Lesson::NotAsWanted(wishes[0]) } else { Lesson::SendAgain };
            assert_eq!(lesson, expected);
            assert_eq!(learned.left_out.contains("seed"), !is_firm);
        }
    }

    #[test]
    fn where_nothing_is_named_what_nobody_asked_for_goes_step_by_step() {
        let (mut learned, sent) = (Learned::default(), request());
        assert_eq!(learned.learn(&refusal(422, "{}"), &sent, &WANTED), Lesson::SendAgain);
        let second = learned.apply(&sent, &WANTED);
        assert!(!second.contains_key("stream_options") && second.contains_key("cache_salt"));
        assert_eq!(learned.learn(&refusal(422, "{}"), &second, &WANTED), Lesson::SendAgain);
        let third = learned.apply(&sent, &WANTED);
        assert!(!third.contains_key("cache_salt"));
        assert!(third.contains_key("seed") && third.contains_key("stream"));
        assert_eq!(learned.learn(&refusal(422, "{}"), &third, &WANTED), Lesson::Nothing);
        // An engine that has taken them refuses something else.
        let mut proven = Learned::default();
        assert!(proven.keep(Learned::default(), &sent, &WANTED).is_empty());
        assert_eq!(proven.learn(&refusal(422, "{}"), &sent, &WANTED), Lesson::Nothing);
    }

    #[test]
    fn refusals_about_other_things_teach_nothing() {
        for status in [302, 401, 403, 404, 408, 429, 500, 502, 503, 504] {
            let lesson = Learned::default().learn(&refusal(status, "no"), &request(), &WANTED);
            assert_eq!(lesson, Lesson::Nothing, "{status}");
        }
    }

    #[test]
    fn what_was_learned_is_kept_and_said_once() {
        let mut kept = Learned::default();
        let mut learned = Learned::default();
        for _ in 0..2 {
            let sent = learned.apply(&request(), &WANTED);
            learned.learn(&refusal(422, "{}"), &sent, &WANTED);
        }
        let sent = learned.apply(&request(), &WANTED);
        let news = kept.keep(learned.clone(), &sent, &WANTED);
        assert_eq!(news, ["no cache_salt", "no stream_options"]);
        // Nobody knows which one it has refused.
        assert!(kept.apply(&request(), &[wish("cache_salt", false)]).contains_key("cache_salt"));
        assert!(kept.keep(learned, &sent, &WANTED).is_empty());
        assert_eq!(kept.apply(&request(), &WANTED), sent);
    }
}
