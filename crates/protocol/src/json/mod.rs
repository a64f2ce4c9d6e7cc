//! Reads what clients send: JSON text becomes a [`tree`], and [`read`] makes a type out of it.
//!
//! Both steps are apart, because they find different mistakes. The first refuses bytes that two
//! readers could understand differently. The second knows the place of every value, so a mistake
//! names it: `parameters.stop[3]: expected a string of 1 to 256 bytes, found 5`. The types derive
//! `Deserialize`; a value with a range has a type or a function of its own, as in
//! [`crate::ranges`].

mod read;
#[cfg(test)]
pub(crate) mod seen;
pub(crate) mod tree;

pub(crate) use read::{Found, Mistake, null_as_default, one_of, read};
pub(crate) use tree::Value;
