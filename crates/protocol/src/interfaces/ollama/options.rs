//! `options`: how answers are sampled.

use super::super::fields::AS_MANY_AS_THERE_IS_ROOM_FOR;
use crate::ranges;
use banter_seam::Parameters;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::Number;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(deserialize_with = "unless_negative")]
    num_predict: Option<u64>,
    #[serde(deserialize_with = "ranges::temperature")]
    temperature: Option<f32>,
    #[serde(deserialize_with = "ranges::top_p")]
    top_p: Option<f32>,
    #[serde(deserialize_with = "unless_negative")]
    top_k: Option<u64>,
    #[serde(deserialize_with = "ranges::min_p")]
    min_p: Option<f32>,
    #[serde(deserialize_with = "ranges::repetition_penalty")]
    repeat_penalty: Option<f32>,
    #[serde(deserialize_with = "ranges::presence_penalty")]
    presence_penalty: Option<f32>,
    #[serde(deserialize_with = "ranges::frequency_penalty")]
    frequency_penalty: Option<f32>,
    #[serde(deserialize_with = "unless_negative")]
    seed: Option<u64>,
    #[serde(deserialize_with = "ranges::stop")]
    stop: Vec<String>,
    /// Ways of sampling that this server does not have. Their values for "off" are taken.
    #[serde(rename = "mirostat")]
    _mirostat: Option<Only<0>>,
    #[serde(rename = "repeat_last_n")]
    _repeat_last_n: Option<Only<-1>>,
    #[serde(rename = "tfs_z")]
    _tfs_z: Option<Only<1>>,
    #[serde(rename = "typical_p")]
    _typical_p: Option<Only<1>>,
    /// They change nothing without `mirostat`.
    #[serde(rename = "mirostat_eta")]
    _mirostat_eta: IgnoredAny,
    #[serde(rename = "mirostat_tau")]
    _mirostat_tau: IgnoredAny,
    /// How a model is to be loaded: it is loaded already.
    #[serde(rename = "f16_kv")]
    _f16_kv: IgnoredAny,
    #[serde(rename = "low_vram")]
    _low_vram: IgnoredAny,
    #[serde(rename = "main_gpu")]
    _main_gpu: IgnoredAny,
    #[serde(rename = "num_batch")]
    _num_batch: IgnoredAny,
    #[serde(rename = "num_ctx")]
    _num_ctx: IgnoredAny,
    #[serde(rename = "num_gpu")]
    _num_gpu: IgnoredAny,
    #[serde(rename = "num_thread")]
    _num_thread: IgnoredAny,
    #[serde(rename = "numa")]
    _numa: IgnoredAny,
    #[serde(rename = "use_mlock")]
    _use_mlock: IgnoredAny,
    #[serde(rename = "use_mmap")]
    _use_mmap: IgnoredAny,
    /// Which part of a prompt that is too long stays: no prompt is cut.
    #[serde(rename = "num_keep")]
    _num_keep: IgnoredAny,
}

impl Options {
    pub(super) fn into_seam(self) -> Parameters {
        let most = self.num_predict.filter(|&most| most > 0);
        let fitting = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Parameters {
            max_tokens: most.map_or(AS_MANY_AS_THERE_IS_ROOM_FOR, |most| {
                fitting(most).min(AS_MANY_AS_THERE_IS_ROOM_FOR)
            }),
            temperature: self.temperature,
            top_p: self.top_p,
            repetition_penalty: self.repeat_penalty,
            top_k: self.top_k.map(fitting),
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias: Vec::new(),
            seed: self.seed,
            stop_strings: self.stop,
        }
    }
}

/// A whole number. A negative one is as if nothing were said.
fn unless_negative<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    if let Some(whole) = number.as_u64() {
        return Ok(Some(whole));
    }
    match number.as_f64() {
        Some(number) if number < 0.0 && number.fract() == 0.0 => Ok(None),
        Some(number) if number.fract() == 0.0 && number < 9.0e15 => Ok(Some(number as u64)),
        _ => Err(D::Error::custom("a whole number")),
    }
}

/// The one value of an option that this server can have.
struct Only<const VALUE: i32>;

impl<'de, const VALUE: i32> Deserialize<'de> for Only<VALUE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer).ok().and_then(|number| number.as_f64());
        if number == Some(f64::from(VALUE)) {
            return Ok(Only);
        }
        Err(D::Error::custom(format_args!("{VALUE}: this server has no other way")))
    }
}
