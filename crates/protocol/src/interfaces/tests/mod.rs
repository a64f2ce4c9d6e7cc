//! Every field of every request takes a value or refuses it by its own name.
//!
//! - `examples`: a request of each interface with every field that may say something.
//! - `numbers`: which numbers each field takes.
//!
//! What fields there are is asked of the readers, so a new one cannot be forgotten: it must be in
//! the example, and if it takes a number, it needs a row in `numbers`.

mod examples;
mod numbers;

use crate::Fault;
use crate::json::seen::structs_read_by;
use banter_seam::Failure;
use examples::{INTERFACES, Interface};
use std::collections::BTreeSet;

/// What is tried in each field.
const VALUES: [&str; 13] = [
    "-1",
    "0",
    "2147483648",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "\"NaN\"",
    "\"x\"",
    "[]",
    "{}",
    "true",
    "false",
    "null",
];
/// If a field takes one of these, it is a number, or it takes anything.
const SOME_NUMBERS: [&str; 5] = ["0", "1", "5", "0.5", "-1"];
const NOT_DONE: &str = "nothing: this server does not do that";
const NOT_KNOWN: &str = "nothing: this server does not know the field";

/// Values that no field has a use for except one that takes any.
fn long_values() -> [String; 2] {
    [format!("\"{}\"", "x".repeat(100_000)), "9".repeat(300)]
}

/// What is wrong with a field, by its path.
fn mistake(fault: &Fault) -> (&str, &str) {
    match fault {
        Fault::Failure(Failure::InvalidParameter { field, expected, .. }) => (field, expected),
        other => panic!("expected a mistake in a field, found {other:?}"),
    }
}

/// The paths of all fields that the reader of an interface knows.
fn known_fields(interface: &Interface) -> BTreeSet<String> {
    let read = structs_read_by(|| {
        (interface.read)(&(interface.example)().to_string()).expect(interface.name);
    });
    let fields = |place: &str, names: &[&str]| -> Vec<String> {
        let joint = if place.is_empty() { "" } else { "." };
        names.iter().map(|name| format!("{place}{joint}{name}")).collect()
    };
    read.iter().flat_map(|read| fields(&read.place, read.fields)).collect()
}

/// Whether one of the paths is in the other, or both are the same.
fn is_about(path: &str, other: &str) -> bool {
    let is_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    is_in(path, other) || is_in(other, path)
}

#[test]
fn r8_whatever_a_field_says_it_is_taken_or_refused_by_its_name() {
    let long = long_values();
    let values: Vec<&str> = VALUES.into_iter().chain(long.iter().map(String::as_str)).collect();
    for interface in INTERFACES {
        for field in known_fields(interface) {
            for value in &values {
                if let Err(fault) = interface.read_with(&field, value) {
                    let (found, _) = mistake(&fault);
                    let name = interface.name;
                    assert!(is_about(found, &field), "{name}: {field} = {value:.40}: {fault}");
                }
            }
        }
    }
}

#[test]
fn r8_a_number_is_in_its_range_or_its_field_is_named() {
    let long = long_values();
    for interface in INTERFACES {
        for row in (interface.numbers)() {
            let of_values = |value: &&str| row.of_values.contains(value);
            let (taken, refused): (Vec<&str>, Vec<&str>) = VALUES.into_iter().partition(of_values);
            assert_eq!(taken.len(), row.of_values.len(), "{}: a value is not tried", row.field);
            for value in taken.iter().chain(row.inside) {
                let read = interface.read_with(row.field, value);
                assert!(read.is_ok(), "{}: {} = {value}: {read:?}", interface.name, row.field);
            }
            let long = long.iter().map(String::as_str);
            for value in refused.into_iter().chain(row.outside.iter().copied()).chain(long) {
                let what = format!("{}: {} = {value:.40}", interface.name, row.field);
                let fault = interface.read_with(row.field, value).expect_err(&what);
                assert_eq!(mistake(&fault).0, row.field, "{what}");
            }
        }
    }
}

#[test]
fn r8_every_field_that_takes_a_number_has_its_range_tested() {
    for interface in INTERFACES {
        let (name, numbers) = (interface.name, (interface.numbers)());
        let known = known_fields(interface);
        let kinds: BTreeSet<String> = known.iter().map(|field| without_indices(field)).collect();
        for ignored in interface.ignored {
            assert!(kinds.contains(*ignored), "{name}: {ignored} is no field any more");
        }
        for field in &known {
            let kind = without_indices(field);
            let takes = |value: &&str| interface.read_with(field, value).is_ok();
            if interface.ignored.contains(&kind.as_str()) {
                check_is_ignored(interface, field);
            } else if SOME_NUMBERS.iter().any(takes) {
                let has_row = numbers.iter().any(|row| row.field == field);
                assert!(has_row, "{name}: {field} takes numbers and has no row");
            } else if !interface.has_in_example(&kind) {
                let fault = interface.read_with(field, "0").expect_err("it takes no number");
                let expected = mistake(&fault).1;
                let is_never_taken = [NOT_DONE, NOT_KNOWN].contains(&expected);
                assert!(is_never_taken, "{name}: {field} is not in the example: {expected}");
            }
        }
    }
}

/// The field may have any value, and the request stays the same.
fn check_is_ignored(interface: &Interface, field: &str) {
    let without = interface.read_with(field, "null").expect("null is as missing");
    for value in VALUES {
        let read = interface.read_with(field, value);
        assert_eq!(read.as_ref(), Ok(&without), "{}: {field} = {value}", interface.name);
    }
}

/// `messages[].role` for `messages[3].role`.
fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kind, part| {
        format!("{kind}[{}", part.trim_start_matches(|character: char| character.is_ascii_digit()))
    })
}

#[test]
fn r8_what_is_no_number_in_json_is_refused_as_a_whole() {
    let digits = "9".repeat(400);
    for interface in INTERFACES {
        for value in ["NaN", "Infinity", "-Infinity", "1e400", "0x10", "+1", "01", &digits] {
            let read = interface.read_with("model", value);
            assert!(matches!(read, Err(Fault::BadJson { .. })), "{}: {value}", interface.name);
        }
    }
}

#[test]
fn r8_tokens_are_named_by_their_numbers() {
    let tokens = ["[0]", "[4294967295]", "[[1, 2], [3]]", "[\"a\", [1]]"];
    let no_tokens = [
        "[-1]",
        "[4294967296]",
        "[1.5]",
        "[1, \"a\"]",
        "[1, null]",
        "[1, [2]]",
        "[[[1]]]",
        "[true]",
        "[]",
        "[[-1]]",
        "[1e308]",
        "5",
        "{}",
    ];
    for (interface, field) in [(&INTERFACES[1], "prompt"), (&INTERFACES[4], "input")] {
        for value in tokens {
            let read = interface.read_with(field, value);
            assert!(read.is_ok(), "{}: {value}: {read:?}", interface.name);
        }
        for value in no_tokens {
            let fault = interface.read_with(field, value).expect_err(value);
            assert_eq!(mistake(&fault).0, field, "{}: {value}", interface.name);
        }
    }
}

#[test]
fn r8_biases_are_those_of_few_tokens_with_one_spelling_each() {
    const MOST: usize = 1_024;
    let of_tokens = |count: usize| {
        let biases: Vec<String> = (0..count).map(|id| format!("\"{id}\":1")).collect();
        format!("{{{}}}", biases.join(","))
    };
    for interface in &INTERFACES[..2] {
        for taken in ["null", "{}", "{\"0\":1,\"4294967295\":-1}", &of_tokens(MOST)] {
            let read = interface.read_with("logit_bias", taken);
            assert!(read.is_ok(), "{}: {taken:.40}: {read:?}", interface.name);
        }
        let too_many = of_tokens(MOST + 1);
        let keys = ["", "x", "-1", "+1", "01", "1.0", "1e3", "4294967296", " 1"];
        let with_key = |key: &str| format!("{{\"{key}\":1}}");
        for refused in keys.map(with_key).iter().chain([&too_many]) {
            let fault = interface.read_with("logit_bias", refused).expect_err(refused);
            assert_eq!(mistake(&fault).0, "logit_bias", "{}: {refused:.40}", interface.name);
        }
    }
}
