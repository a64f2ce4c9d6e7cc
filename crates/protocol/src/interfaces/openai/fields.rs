//! Fields that several requests have.

use super::super::fields::AS_MANY_AS_THERE_IS_ROOM_FOR;
use crate::json::{Mistake, Value as Tree, null_as_default, read};
use crate::{ranges, v1};
use banter_seam::TextInput;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::ops::RangeInclusive;

/// How many answers a request may want.
const MAX_COUNT: RangeInclusive<u64> = 1..=16;
/// Of how many tokens a request may change the likelihood. Our engine has the same limit.
const MAX_BIASED_TOKENS: usize = 1_024;

/// How a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StreamOptions {
    /// Whether its last event tells the numbers of tokens.
    #[serde(deserialize_with = "null_as_default")]
    pub include_usage: bool,
}

/// One text or a list of them, each a text or a list of tokens. At least one.
#[derive(Debug)]
pub(super) struct Texts(pub(super) Vec<TextInput>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        let wrong = || D::Error::custom("a text, a list of token ids, or a list of these");
        let tokens = |ids: &[Value]| {
            let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
            ids.iter().map(id).collect::<Option<Vec<u32>>>().map(TextInput::Tokens)
        };
        let one = |text: &Value| match text {
            Value::String(text) => Some(TextInput::Text(text.clone())),
            Value::Array(ids) => tokens(ids),
            _ => None,
        };
        let texts = match Value::deserialize(deserializer)? {
            Value::Array(list) if list.first().is_some_and(Value::is_number) => {
                tokens(&list).map(|text| vec![text])
            }
            Value::Array(list) => list.iter().map(one).collect(),
            text => one(&text).map(|text| vec![text]),
        };
        let texts = texts.ok_or_else(wrong)?;
        if texts.is_empty() { Err(wrong()) } else { Ok(Texts(texts)) }
    }
}

/// Reads the parameters that every language has.
///
/// OpenAI's seeds may be negative: such a seed is the one with the same 64 bits. LM Studio and
/// llama-server take `max_tokens: -1` for an answer that may fill the context, so programs send it.
pub(super) fn sampling(mut fields: Tree) -> Result<v1::Parameters, Mistake> {
    if let Tree::Object(fields) = &mut fields {
        if let Some(seed) = fields.get_mut("seed")
            && let Tree::Negative(number) = seed
        {
            *seed = Tree::Whole(number.cast_unsigned());
        }
        if let Some(most) = fields.get_mut("max_tokens")
            && *most == Tree::Negative(-1)
        {
            *most = Tree::Whole(AS_MANY_AS_THERE_IS_ROOM_FOR.into());
        }
    }
    read(&fields)
}

pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranges::whole_u32(from, MAX_COUNT)
}

/// Token ids as strings, each with its bias.
pub(super) fn logit_bias<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u32, f32)>, D::Error> {
    from.deserialize_option(BiasVisitor)
}

struct BiasVisitor;

impl<'de> Visitor<'de> for BiasVisitor {
    type Value = Vec<(u32, f32)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with a bias for each of at most {MAX_BIASED_TOKENS} token ids")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut biases = Vec::new();
        while let Some((id, ranges::Bias(bias))) = map.next_entry::<String, _>()? {
            if biases.len() == MAX_BIASED_TOKENS {
                return Err(A::Error::invalid_length(biases.len() + 1, &self));
            }
            let id = token_id(&id).ok_or_else(|| {
                A::Error::custom("token ids as keys, in decimal digits without zeros before them")
            })?;
            biases.push((id, bias));
        }
        Ok(biases)
    }
}

/// The token that a key names. Each has one spelling, so that no token has two biases.
fn token_id(key: &str) -> Option<u32> {
    let id: u32 = key.parse().ok()?;
    (id.to_string() == key).then_some(id)
}
