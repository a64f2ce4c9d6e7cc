//! Closes what a schema leaves open. A model that is unsure would fill it without end.

use serde_json::{Map, Value, json};

/// White space between two parts of JSON: a space, or the end of a line and an indent. A model that
/// is unsure writes white space without end where it may.
const WHITE_SPACE: &str = r"\x20|\x0A[\x20\x09]{0,20}";

/// A narrower schema: its values are values of the given one, with a bound for white space and
/// without properties that nobody has listed. Nothing in a schema of a stranger changes how
/// `llguidance` works.
pub(crate) fn bounded(schema: Value) -> Value {
    match schema {
        Value::Object(mut schema) => {
            if !combines(&schema) {
                close(&mut schema);
            }
            schema.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITE_SPACE}));
            Value::Object(schema)
        }
        Value::Bool(true) => bounded(json!({})),
        other => other,
    }
}

/// Keywords whose value is a schema.
const ONE: [&str; 5] = ["additionalProperties", "contains", "items", "not", "propertyNames"];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["anyOf", "items", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const NAMED: [&str; 4] = ["$defs", "definitions", "patternProperties", "properties"];
/// Keywords by which several schemas describe one object. Each of them would forbid the properties
/// of the others.
const ALWAYS_COMBINE: [&str; 5] = ["allOf", "dependentSchemas", "else", "if", "then"];
/// Those that do so beside a list of properties.
const COMBINE_WITH_PROPERTIES: [&str; 4] = ["$ref", "anyOf", "not", "oneOf"];

/// Whether several schemas describe one object, anywhere in it.
fn combines(schema: &Map<String, Value>) -> bool {
    let has = |keyword: &&str| schema.contains_key(*keyword);
    ALWAYS_COMBINE.iter().any(has)
        || (has(&"properties") && COMBINE_WITH_PROPERTIES.iter().any(has))
        || inner(schema).any(combines)
}

/// Forbids the properties of objects that are not listed, unless the schema speaks of them.
///
/// Nearly everybody who lists properties means these and no others, and other engines take it so.
fn close(schema: &mut Map<String, Value>) {
    let speaks_of_others = ["additionalProperties", "patternProperties", "unevaluatedProperties"];
    if schema.contains_key("properties")
        && !speaks_of_others.iter().any(|word| schema.contains_key(*word))
    {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for (keyword, value) in schema {
        match value {
            Value::Object(one) if ONE.contains(&keyword.as_str()) => close(one),
            Value::Array(list) if LIST.contains(&keyword.as_str()) => {
                list.iter_mut().filter_map(Value::as_object_mut).for_each(close);
            }
            Value::Object(named) if NAMED.contains(&keyword.as_str()) => {
                named.values_mut().filter_map(Value::as_object_mut).for_each(close);
            }
            _ => {}
        }
    }
}

/// The schemas in a schema.
fn inner(schema: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    schema.iter().flat_map(|(keyword, value)| {
        let found: Vec<&Value> = match value {
            Value::Object(_) if ONE.contains(&keyword.as_str()) => vec![value],
            Value::Array(list) if LIST.contains(&keyword.as_str()) => list.iter().collect(),
            Value::Object(named) if NAMED.contains(&keyword.as_str()) => named.values().collect(),
            _ => Vec::new(),
        };
        found.into_iter().filter_map(Value::as_object)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema without what bounds white space.
    fn closed(schema: Value) -> Value {
        let mut closed = bounded(schema);
        closed.as_object_mut().expect("an object").remove("x-guidance");
        closed
    }

    #[test]
    fn an_object_that_lists_properties_has_no_others() {
        let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let mut narrow = object.clone();
        narrow["additionalProperties"] = json!(false);
        assert_eq!(closed(object.clone()), narrow);
        let around = |inner: &Value| {
            json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {"properties": inner, "list": {"type": "array", "items": inner}},
                "$defs": {"one": {"anyOf": [inner, {"type": "null"}]}},
            })
        };
        assert_eq!(closed(around(&object)), around(&narrow));
    }

    #[test]
    fn a_schema_that_speaks_of_other_properties_or_combines_schemas_stays() {
        let listed = json!({"a": {"type": "string"}});
        let stay = [
            json!({"type": "object"}),
            json!({"properties": listed, "additionalProperties": true}),
            json!({"properties": listed, "patternProperties": {"^x": {}}}),
            json!({"allOf": [{"properties": listed}, {"properties": {"b": {}}}]}),
            json!({"properties": listed, "anyOf": [{"properties": {"b": {}}}, {}]}),
            json!({"items": {"properties": listed, "$ref": "#/$defs/one"}, "$defs": {"one": {}}}),
        ];
        for schema in stay {
            assert_eq!(closed(schema.clone()), schema);
        }
    }
}
