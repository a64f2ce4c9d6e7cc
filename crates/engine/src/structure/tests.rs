use super::testing::{structures, wander};
use super::*;
use crate::text::TokenId;

#[test]
fn what_comes_of_a_form_has_the_form() {
    let (text, structures) = structures();
    let schema = r#"{"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2}
    }, "required": ["name", "age"], "additionalProperties": false}"#;
    for seed in 0..6 {
        let structure = Structure::JsonSchema(schema.to_owned());
        let mut guide = structures.guide(&structure).expect("a schema");
        let answer = wander(&text, &mut guide, seed);
        let value: serde_json::Value = serde_json::from_str(&answer).expect(&answer);
        assert!(value["name"].is_string() && value["age"].is_u64(), "{answer}");

        let structure = Structure::Regex("(yes|no), [0-9]{2,3}".to_owned());
        let mut guide = structures.guide(&structure).expect("an expression");
        let answer = wander(&text, &mut guide, seed);
        let (word, number) = answer.split_once(", ").expect(&answer);
        assert!(["yes", "no"].contains(&word), "{answer}");
        assert!(
            (10..1000).contains(&number.parse().unwrap_or(0)) || number.starts_with('0'),
            "{answer}"
        );

        let grammar = "start: \"(\" start \")\" | \"x\"".to_owned();
        let mut guide = structures.guide(&Structure::Grammar(grammar)).expect("a grammar");
        let answer = wander(&text, &mut guide, 2 * seed + 1);
        let depth = answer.find('x').expect(&answer);
        assert_eq!(answer, "(".repeat(depth) + "x" + &")".repeat(depth));
    }
}

#[test]
fn masks_along_guesses_are_those_that_come_when_they_are_taken() {
    let (text, structures) = structures();
    let structure = Structure::Regex("one two three four".to_owned());
    let guesses = text.encode("one two five");
    let mut along = structures.guide(&structure).expect("an expression");
    let masks = along.masks(&guesses).expect("a small form");
    assert!(masks.len() > 1 && masks.len() <= guesses.len(), "it ends where a guess may not come");
    let mut taken = structures.guide(&structure).expect("an expression");
    let every = || (0..text.token_count() as u32).map(TokenId);
    for (mask, guess) in masks.iter().zip(&guesses) {
        let then = taken.masks(&[]).expect("a small form").remove(0);
        assert!(every().all(|id| then.allows(id) == mask.allows(id)));
        if mask.allows(*guess) {
            assert!(!taken.take(*guess).expect("it may come"));
        }
    }
    let again = along.masks(&guesses).expect("nothing was taken");
    assert_eq!(again.len(), masks.len());
}

#[test]
fn what_a_form_demands_is_known_ahead() {
    let (text, structures) = structures();
    let structure = Structure::Regex("the answer is (yes|no)".to_owned());
    let mut guide = structures.guide(&structure).expect("an expression");
    let forced = guide.forced(15);
    let bytes: Vec<u8> = forced.iter().flat_map(|id| text.token_bytes(*id).to_vec()).collect();
    let forced_text = String::from_utf8(bytes).expect("ASCII");
    assert!("the answer is ".starts_with(&forced_text) && forced_text.len() > 5, "{forced_text:?}");
    assert_eq!(guide.forced(2), forced[..2]);
}

#[test]
fn an_error_says_what_is_wrong() {
    let (_, structures) = structures();
    let message =
        |form: Structure| structures.guide(&form).map(drop).expect_err("wrong").to_string();
    let long = message(Structure::Regex("x".repeat(MAX_STRUCTURE_BYTES + 1)));
    assert_eq!(long, "structure: expected at most 65536 bytes, found 65537");
    let deep = message(Structure::Regex("(".repeat(200)));
    assert_eq!(deep, "structure: expected at most 128 nested brackets, found 200");
    assert!(message(Structure::JsonSchema("{".to_owned())).starts_with("structure: EOF"));
}
