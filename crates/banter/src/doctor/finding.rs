//! The result of one check.

use serde_json::{Value, json};

/// A sentence in the two languages of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// How a check has ended; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but worse than it could, or not for everybody.
    Warning,
    /// It does not work.
    Problem,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, one word.
    pub check: &'static str,
    /// How it has ended.
    pub outcome: Outcome,
    /// The result as a sentence.
    pub found: Said,
    /// Advice, unless everything is in order.
    pub todo: Option<Said>,
}

/// A sentence in both languages.
pub fn said(en: impl Into<String>, zh: impl Into<String>) -> Said {
    Said { en: en.into(), zh: zh.into() }
}

impl Said {
    /// The sentence in a language.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

impl Language {
    /// The language of a locale such as `zh_CN.UTF-8`.
    pub fn of_locale(locale: &str) -> Language {
        if locale.starts_with("zh") { Language::Zh } else { Language::En }
    }
}

impl Outcome {
    /// The word in JSON.
    fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Problem => "problem",
        }
    }

    fn word(self, language: Language) -> &'static str {
        match (self, language) {
            (Outcome::Ok, Language::En) => "ok     ",
            (Outcome::Warning, Language::En) => "warning",
            (Outcome::Problem, Language::En) => "problem",
            (Outcome::Ok, Language::Zh) => "正常",
            (Outcome::Warning, Language::Zh) => "注意",
            (Outcome::Problem, Language::Zh) => "问题",
        }
    }
}

impl Finding {
    /// Everything is as it should be.
    pub fn ok(check: &'static str, found: Said) -> Finding {
        Finding { check, outcome: Outcome::Ok, found, todo: None }
    }

    /// Something should be better.
    pub fn warning(check: &'static str, found: Said, todo: Said) -> Finding {
        Finding { check, outcome: Outcome::Warning, found, todo: Some(todo) }
    }

    /// Something does not work.
    pub fn problem(check: &'static str, found: Said, todo: Said) -> Finding {
        Finding { check, outcome: Outcome::Problem, found, todo: Some(todo) }
    }

    /// A line for people, and a second one with what to do.
    pub fn to_text(&self, language: Language) -> String {
        let Finding { check, outcome, found, todo } = self;
        let word = outcome.word(language);
        let mut text = format!("{word}  {check:<12} {}\n", found.in_language(language));
        if let Some(todo) = todo {
            text.push_str(&format!("{:24}→ {}\n", "", todo.in_language(language)));
        }
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let both = |said: &Said| json!({ "en": said.en, "zh": said.zh });
        json!({
            "check": self.check,
            "outcome": self.outcome.name(),
            "found": both(&self.found),
            "todo": self.todo.as_ref().map(both),
        })
    }
}
