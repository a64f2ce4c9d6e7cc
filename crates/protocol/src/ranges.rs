//! The ranges of numbers, above all of sampling parameters, and the functions that read a value
//! within them.
//!
//! Every language uses these. A whole number may be written as `5.0`, because some languages have
//! no whole numbers, and may stand where a number with a fraction is expected. `null` is as
//! missing.

use crate::text::Text;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use std::fmt;
use std::ops::{Bound, RangeInclusive};

/// Every parameter that a request may have.
pub const PARAMETERS: [&str; 10] = [
    "max_tokens",
    "temperature",
    "top_p",
    "repetition_penalty",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
];

/// How many tokens an answer may have if the client does not say it.
pub const DEFAULT_MAX_TOKENS: u32 = 2_048;

/// No answer is longer.
pub(crate) const MAX_TOKENS: RangeInclusive<u64> = 1..=1_000_000;
/// 0 switches the filter off. No vocabulary is larger than the upper limit.
pub(crate) const TOP_K: RangeInclusive<u64> = 0..=1_000_000;
pub(crate) const TEMPERATURE: Floats = Floats::from(0.0, 2.0);
pub(crate) const TOP_P: Floats = Floats::above(0.0, 1.0);
/// The plain language promises that smaller values are refused.
pub(crate) const PLAIN_TOP_P: Floats = Floats::from(0.1, 1.0);
pub(crate) const MIN_P: Floats = Floats::from(0.0, 1.0);
pub(crate) const REPETITION_PENALTY: Floats = Floats::from(0.5, 2.0);
pub(crate) const PRESENCE_PENALTY: Floats = Floats::from(-2.0, 2.0);
pub(crate) const FREQUENCY_PENALTY: Floats = Floats::from(-2.0, 2.0);
pub(crate) const BIAS: Floats = Floats::from(-100.0, 100.0);
/// The limits of `stop` as strings; beyond them the request is refused. Each string costs a
/// comparison for each character of the answer.
pub(crate) const MAX_STOP_STRINGS: usize = 16;
/// Of how many of the likeliest tokens a request may want log-probabilities.
pub(crate) const TOP_LOGPROBS: RangeInclusive<u64> = 0..=20;
/// How many entries one page of a list may have.
pub(crate) const PAGE_LIMIT: RangeInclusive<u64> = 1..=200;
/// One string of `stop`.
pub(crate) type StopString = Text<1, 256>;

/// A range of numbers with a fraction.
#[derive(Clone, Copy)]
pub(crate) struct Floats {
    least: Bound<f64>,
    pub(crate) most: f64,
}

impl Floats {
    const fn from(least: f64, most: f64) -> Floats {
        Floats { least: Bound::Included(least), most }
    }

    const fn above(least: f64, most: f64) -> Floats {
        Floats { least: Bound::Excluded(least), most }
    }

    /// The lower end, for the JSON Schema.
    #[cfg(test)]
    pub(crate) fn least(self) -> f64 {
        match self.least {
            Bound::Included(least) | Bound::Excluded(least) => least,
            Bound::Unbounded => f64::MIN,
        }
    }

    /// The number, if it is in the range.
    fn take(self, number: f64) -> Option<f32> {
        let rounded = number as f32;
        let is_large_enough = match self.least {
            Bound::Included(least) => number >= least,
            // A tiny number is above 0 and is rounded to 0.
            Bound::Excluded(least) => f64::from(rounded) > least,
            Bound::Unbounded => true,
        };
        (is_large_enough && number <= self.most).then_some(rounded)
    }
}

impl fmt::Display for Floats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least {
            Bound::Included(least) => write!(formatter, "a number from {least:?} to ")?,
            Bound::Excluded(least) => write!(formatter, "a number above {least:?}, at most ")?,
            Bound::Unbounded => write!(formatter, "a number of at most ")?,
        }
        write!(formatter, "{:?}", self.most)
    }
}

pub(crate) fn max_tokens<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole_u32(from, MAX_TOKENS)
}

pub(crate) fn top_k<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole_u32(from, TOP_K)
}

pub(crate) fn seed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_option(WholeVisitor(0..=u64::MAX))
}

pub(crate) fn temperature<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    from.deserialize_option(FloatVisitor(TEMPERATURE))
}

pub(crate) fn top_p<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    from.deserialize_option(FloatVisitor(TOP_P))
}

pub(crate) fn plain_top_p<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    from.deserialize_option(FloatVisitor(PLAIN_TOP_P))
}

pub(crate) fn min_p<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    from.deserialize_option(FloatVisitor(MIN_P))
}

pub(crate) fn repetition_penalty<'de, D>(from: D) -> Result<Option<f32>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_option(FloatVisitor(REPETITION_PENALTY))
}

pub(crate) fn presence_penalty<'de, D>(from: D) -> Result<Option<f32>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_option(FloatVisitor(PRESENCE_PENALTY))
}

pub(crate) fn frequency_penalty<'de, D>(from: D) -> Result<Option<f32>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_option(FloatVisitor(FREQUENCY_PENALTY))
}

/// What is added to the logit of a token.
pub(crate) struct Bias(pub(crate) f32);

impl<'de> Deserialize<'de> for Bias {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Bias, D::Error> {
        let read = from.deserialize_any(FloatVisitor(BIAS))?;
        read.map(Bias).ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &FloatVisitor(BIAS)))
    }
}

/// `stop`: a string, or a list of strings.
pub(crate) fn stop<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_option(StopVisitor(StopForm::Strings))
}

/// `stop` of the plain language, in which `true` is a command and `false` is as missing.
pub(crate) fn plain_stop<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_option(StopVisitor(StopForm::StringsOrCommand))
}

/// How many entries of a list are wanted.
pub(crate) fn page_limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole_u32(from, PAGE_LIMIT)
}

/// Of how many of the likeliest tokens log-probabilities are wanted.
pub(crate) fn top_logprobs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole_u32(from, TOP_LOGPROBS)
}

/// A byte offset in a text. It has to be there.
pub(crate) fn offset<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let range = WholeVisitor(0..=u64::MAX);
    optional_offset(from)?.ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &range))
}

/// A byte offset in a text, if it is there.
pub(crate) fn optional_offset<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_option(WholeVisitor(0..=u64::MAX))
}

pub(crate) fn whole_u32<'de, D>(
    from: D,
    range: RangeInclusive<u64>,
) -> Result<Option<u32>, D::Error>
where
    D: Deserializer<'de>,
{
    let fits = |number| u32::try_from(number).expect("the range lies within u32");
    Ok(from.deserialize_option(WholeVisitor(range))?.map(fits))
}

struct WholeVisitor(RangeInclusive<u64>);

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Option<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn visit_unit<E: Error>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u64>, E> {
        if self.0.contains(&number) {
            return Ok(Some(number));
        }
        Err(E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<u64>, E> {
        match whole_of(number) {
            Some(whole) => self.visit_u64(whole),
            None => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }
}

/// The whole number that a client has written as `5.0`. From 2⁵³ on, an `f64` stands for several
/// whole numbers, so there it is refused.
fn whole_of(number: f64) -> Option<u64> {
    const FIRST_AMBIGUOUS: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && (0.0..FIRST_AMBIGUOUS).contains(&number);
    is_whole.then_some(number as u64)
}

struct FloatVisitor(Floats);

impl<'de> Visitor<'de> for FloatVisitor {
    type Value = Option<f32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<f32>, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Option<f32>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f32>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<f32>, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<f32>, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<f32>, E> {
        match self.0.take(number) {
            Some(number) => Ok(Some(number)),
            None => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }
}

/// What `stop` may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopForm {
    Strings,
    StringsOrCommand,
}

struct StopVisitor(StopForm);

impl<'de> Visitor<'de> for StopVisitor {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = match self.0 {
            StopForm::Strings => "a string",
            StopForm::StringsOrCommand => "true, a string,",
        };
        write!(formatter, "{command} or at most {MAX_STOP_STRINGS} strings")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<String>, E> {
        if self.0 == StopForm::StringsOrCommand && !value {
            return Ok(Vec::new());
        }
        Err(E::invalid_type(Unexpected::Bool(value), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![StopString::check(text)?.into_string()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        if let Some(too_long) = list.size_hint().filter(|length| *length > MAX_STOP_STRINGS) {
            return Err(A::Error::invalid_length(too_long, &self));
        }
        let mut strings = Vec::new();
        while let Some(string) = list.next_element::<StopString>()? {
            if strings.len() == MAX_STOP_STRINGS {
                return Err(A::Error::invalid_length(strings.len() + 1, &self));
            }
            strings.push(string.into_string());
        }
        Ok(strings)
    }
}
