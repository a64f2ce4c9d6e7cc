//! The order in which some weights want their inputs.
//!
//! Weights that were quantised most important input first have groups whose inputs lie anywhere.
//! Their columns are sorted by group when they are loaded, so that a group is a run again, and the
//! activations are taken in the same order when they are prepared.

use std::sync::Arc;

/// Which input stands at each place of a row: every input once.
#[derive(Clone, Debug)]
pub struct InputOrder(Arc<[u32]>);

impl InputOrder {
    /// `places[i]` is the input at place i; `None` unless every input is there exactly once.
    pub fn new(places: Vec<u32>) -> Option<InputOrder> {
        let mut is_there = vec![false; places.len()];
        for &input in &places {
            let seen = is_there.get_mut(usize::try_from(input).ok()?)?;
            if std::mem::replace(seen, true) {
                return None;
            }
        }
        Some(InputOrder(places.into()))
    }

    /// The input at each place.
    pub fn places(&self) -> &[u32] {
        &self.0
    }
}

impl PartialEq for InputOrder {
    fn eq(&self, other: &InputOrder) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for InputOrder {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_input_once() {
        struct Case {
            places: &'static [u32],
            is_order: bool,
        }
        let cases = [
            Case { places: &[], is_order: true },
            Case { places: &[2, 0, 1], is_order: true },
            Case { places: &[0, 0, 1], is_order: false },
            Case { places: &[0, 3, 1], is_order: false },
            Case { places: &[0, u32::MAX], is_order: false },
        ];
        for Case { places, is_order } in cases {
            assert_eq!(InputOrder::new(places.to_vec()).is_some(), is_order, "{places:?}");
        }
    }
}
