//! Columns sorted by group.

use banter_kernels::InputOrder;

use super::super::error::Fault;

/// Sorts inputs by their group in `g_idx`. Inputs of one group keep their order. `None` if all
/// inputs are sorted already.
///
/// Errors: a group does not exist, or has more or fewer inputs than `group_len`.
pub(super) fn by_group(
    tensor: &str,
    g_idx: &[i128],
    group_len: usize,
) -> Result<Option<InputOrder>, Fault> {
    let group_count = g_idx.len() / group_len;
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); group_count];
    for (input, &group) in (0..).zip(g_idx) {
        let known = usize::try_from(group).ok().and_then(|group| members.get_mut(group));
        let Some(members) = known else {
            let expected = format!("groups from 0 to {}", group_count.saturating_sub(1));
            return Err(Fault::tensor(tensor, expected, format!("{group} for input {input}")));
        };
        members.push(input);
    }
    let odd = members.iter().enumerate().find(|(_, members)| members.len() != group_len);
    if let Some((group, members)) = odd {
        let expected = format!("{group_len} inputs in each group");
        let found = format!("{} in group {group}", members.len());
        return Err(Fault::tensor(tensor, expected, found));
    }
    let places = members.concat();
    if places.is_sorted() {
        return Ok(None);
    }
    Ok(Some(InputOrder::new(places).expect("every input is in one group")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order_of(groups: &[i128], group_len: usize) -> Result<Option<Vec<u32>>, String> {
        let order = by_group("x.g_idx", groups, group_len).map_err(|fault| fault.to_string())?;
        Ok(order.map(|order| order.places().to_vec()))
    }

    #[test]
    fn inputs_of_a_group_stand_together_in_their_order() {
        assert_eq!(order_of(&[1, 0, 1, 0], 2), Ok(Some(vec![1, 3, 0, 2])));
        assert_eq!(order_of(&[0, 0, 1, 1], 2), Ok(None));
        assert_eq!(order_of(&[], 2), Ok(None));
    }

    #[test]
    fn groups_that_do_not_exist_or_are_not_full_are_errors() {
        struct Case {
            groups: &'static [i128],
            expected: &'static str,
        }
        let cases = [
            Case {
                groups: &[0, 0, 1, 2],
                expected: "tensor x.g_idx: expected groups from 0 to 1, found 2 for input 3",
            },
            Case {
                groups: &[0, -1, 1, 1],
                expected: "tensor x.g_idx: expected groups from 0 to 1, found -1 for input 1",
            },
            Case {
                groups: &[0, 0, 0, 1],
                expected: "tensor x.g_idx: expected 2 inputs in each group, found 3 in group 0",
            },
            Case {
                groups: &[1, 1, 1, 1],
                expected: "tensor x.g_idx: expected 2 inputs in each group, found 0 in group 0",
            },
        ];
        for Case { groups, expected } in cases {
            assert_eq!(order_of(groups, 2), Err(expected.to_string()), "{groups:?}");
        }
    }

    proptest! {
        /// Whatever bytes a file holds: an error, or every input once.
        #[test]
        fn hostile_groups_are_an_error_or_an_order(
            groups in prop::collection::vec(-1..5_i128, 0..40),
            group_len in 1_usize..9,
        ) {
            if let Ok(Some(mut order)) = order_of(&groups, group_len) {
                order.sort_unstable();
                prop_assert!(order.into_iter().eq(0..groups.len() as u32));
            }
        }
    }
}
