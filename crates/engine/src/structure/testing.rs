//! Structures of the demo model's tokens, for tests.

use std::sync::Arc;

use super::{Guide, Structures};
use crate::model_file::{ModelFile, ModelSource};
use crate::sampler::random::uniform;
use crate::text::{Text, TokenId};

/// The demo model's tokens: real ones, of several bytes.
pub(crate) fn structures() -> (Arc<Text>, Structures) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    let file = ModelFile::open(&ModelSource::Path(path.into())).expect("the demo model");
    let text = Arc::new(file.text().expect("its text"));
    (text.clone(), Structures::new(text).expect("its tokens can be used"))
}

/// The answer of a structure if each token is drawn from those that may come, and the end is
/// taken as soon as it may.
pub(crate) fn wander(text: &Text, guide: &mut Guide, seed: u64) -> String {
    let mut bytes = Vec::new();
    for step in 0..400 {
        let mask = guide.masks(&[]).expect("a small form").remove(0);
        let ids = (0..text.token_count() as u32).map(TokenId);
        let allowed: Vec<TokenId> = ids.filter(|id| mask.allows(*id)).collect();
        assert!(!allowed.is_empty(), "nothing may come after {bytes:?}");
        if allowed.iter().any(|id| text.is_end(*id)) {
            break;
        }
        // Short tokens first, so that it comes to an end.
        let shortest = allowed.iter().map(|id| text.token_bytes(*id).len()).min();
        let short: Vec<&TokenId> = allowed
            .iter()
            .filter(|id| Some(text.token_bytes(**id).len()) == shortest || seed.is_multiple_of(2))
            .collect();
        let token = *short[(uniform(seed, step) * short.len() as f64) as usize];
        bytes.extend_from_slice(text.token_bytes(token));
        if guide.take(token).expect("it was allowed") {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
