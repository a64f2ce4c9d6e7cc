//! What requests of several interfaces have in common.

use crate::Fault;
use crate::json::{Mistake, Value as Tree, tree};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tree::Object;

/// Without a limit of its own, an answer may fill the context.
pub(super) const AS_MANY_AS_THERE_IS_ROOM_FOR: u32 = 1_000_000;
/// The schema of any JSON object.
pub(super) const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// Something that this server does not do.
#[derive(Debug)]
pub(super) struct Unsupported;

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Unsupported, D::Error> {
        Err(D::Error::custom("nothing: this server does not do that"))
    }
}

/// The body of a request in two parts: the fields of these names, and the others.
pub(super) fn split(body: &str, names: &[&str]) -> Result<(Tree, Tree), Fault> {
    Ok(split_object(object(body)?, names))
}

/// The same for an object that has been read.
pub(super) fn split_object(object: Object, names: &[&str]) -> (Tree, Tree) {
    let (named, others): (Object, Object) =
        object.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    (Tree::Object(Box::new(named)), Tree::Object(Box::new(others)))
}

/// The object that a body is.
pub(super) fn object(body: &str) -> Result<Object, Fault> {
    match tree::read(body) {
        Ok(Tree::Object(object)) => Ok(*object),
        Ok(value) => {
            let reason = format!("expected an object, found {}", tree::show(&value));
            Err(Fault::BadJson { reason })
        }
        Err(error) => Err(Fault::BadJson { reason: error.to_string() }),
    }
}

/// A field that does not fit the other fields.
pub(super) struct Unfit {
    pub(super) field: &'static str,
    pub(super) expected: &'static str,
}

impl Unfit {
    /// The mistake in a request with these fields.
    pub(super) fn in_request(self, fields: &Tree) -> Mistake {
        Mistake::new(self.field, self.expected, fields.field(self.field).unwrap_or(&Tree::Null))
    }
}
