//! Describes the words on the wire for other programs: JSON Schema in `docs/http.schema.json` and
//! `docs/v1.schema.json`, TypeScript for the page in `web/src/wire.ts`. With `BANTER_WRITE=1` the
//! test writes the files.

mod v1;

use crate::admin::{AnswerView, Doing, Figure, ServerView};
use crate::http::{
    Defaults, DetokenizeRequest, DetokenizedText, DeviceLink, HttpError, HttpMessage, HttpRole,
    Info, JobFailure, JobState, Limits, ModelEntry, ModelInfo, ModelList, ModelState, PullOrder,
    PullPhase, PullReport, QrImage, SessionRequest, Status, SwitchOrder, SwitchReport,
    TokenizeRequest, TokenizedConversation, TokenizedText, WrittenPrompt,
};
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use std::path::Path;
use ts_rs::{Config, TS};

/// A type on the wire, for both files.
struct WireType {
    add_schema: fn(&mut SchemaGenerator),
    declaration: fn(&Config) -> String,
}

fn wire_type<T: JsonSchema + TS>() -> WireType {
    WireType {
        add_schema: |generator| drop(generator.subschema_for::<T>()),
        declaration: |config| {
            let docs = T::docs().unwrap_or_default();
            format!("{docs}export {}\n", T::decl(config))
        },
    }
}

/// Types of one file, by who writes them.
struct WireTypes {
    /// What the server sends.
    sent: Vec<WireType>,
    /// What the server reads.
    read: Vec<WireType>,
}

/// The HTTP bodies.
fn http() -> WireTypes {
    WireTypes { sent: sent(), read: read() }
}

fn sent() -> Vec<WireType> {
    vec![
        wire_type::<Info>(),
        wire_type::<ModelInfo>(),
        wire_type::<Limits>(),
        wire_type::<Defaults>(),
        wire_type::<ModelList>(),
        wire_type::<ModelEntry>(),
        wire_type::<ModelState>(),
        wire_type::<PullReport>(),
        wire_type::<PullPhase>(),
        wire_type::<SwitchReport>(),
        wire_type::<JobState>(),
        wire_type::<JobFailure>(),
        wire_type::<Status>(),
        wire_type::<TokenizedText>(),
        wire_type::<DetokenizeRequest>(),
        wire_type::<DetokenizedText>(),
        wire_type::<WrittenPrompt>(),
        wire_type::<TokenizedConversation>(),
        wire_type::<HttpError>(),
        wire_type::<ServerView>(),
        wire_type::<AnswerView>(),
        wire_type::<Doing>(),
        wire_type::<Figure>(),
    ]
}

fn read() -> Vec<WireType> {
    vec![
        wire_type::<TokenizeRequest>(),
        wire_type::<HttpMessage>(),
        wire_type::<HttpRole>(),
        wire_type::<SessionRequest>(),
        wire_type::<DeviceLink>(),
        wire_type::<QrImage>(),
        wire_type::<PullOrder>(),
        wire_type::<SwitchOrder>(),
    ]
}

fn json_schema(title: &str, types: &WireTypes) -> String {
    let settings = SchemaSettings::draft2020_12();
    let mut definitions = Map::new();
    for (types, settings) in
        [(&types.sent, settings.clone().for_serialize()), (&types.read, settings.for_deserialize())]
    {
        let mut generator = settings.into_generator();
        types.iter().for_each(|wire_type| (wire_type.add_schema)(&mut generator));
        definitions.extend(generator.take_definitions(true));
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$defs": Value::Object(definitions),
    });
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

fn type_script(all_types: &[WireTypes]) -> String {
    // No number that the server makes is so large that JavaScript could not hold it.
    let config = Config::new().with_large_int("number");
    let types = all_types.iter().flat_map(|types| types.sent.iter().chain(&types.read));
    let declarations = types.map(|wire_type| (wire_type.declaration)(&config));
    let head = "/** The words on the wire, made from the server's types: see `crates/protocol/src/schema.rs`. */";
    let all: Vec<String> = [head.to_owned()].into_iter().chain(declarations).collect();
    let lines: Vec<&str> = all.iter().flat_map(|part| part.lines().map(str::trim_end)).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_files_made_from_the_types_are_those_of_the_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (name, expected) in [
        ("docs/http.schema.json", json_schema("The HTTP bodies of banter", &http())),
        (
            "docs/v1.schema.json",
            json_schema("The events of banter.v1, and conversations", &v1::all()),
        ),
        ("web/src/wire.ts", type_script(&[http(), v1::all()])),
    ] {
        let path = root.join(name);
        if std::env::var_os("BANTER_WRITE").is_some() {
            std::fs::write(&path, &expected).expect("the file can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name}: run this test with BANTER_WRITE=1");
    }
}
