use super::*;
use banter_seam::Failure;
use proptest::prelude::*;

fn query(text: &str) -> Result<ListQuery, Fault> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    read_query(pairs.map(|pair| {
        let (name, value) = pair.split_once('=').expect("a name and a value");
        (name.to_owned(), value.to_owned())
    }))
}

fn message_of(fault: &Fault) -> String {
    fault.to_string()
}

#[test]
fn a_query_without_values_is_empty() {
    let empty = ListQuery { after: None, limit: None, archived: None, q: None };
    for text in ["", "after=&limit=&archived=&q=", "unknown=5"] {
        assert_eq!(query(text), Ok(empty.clone()), "{text}");
    }
}

#[test]
fn a_query_is_read_with_its_types() {
    let found = query("after=p12&limit=200&archived=true&q=12").expect("valid");
    assert_eq!(found.after.expect("a place").as_str(), "p12");
    assert_eq!((found.limit, found.archived), (Some(200), Some(true)));
    assert_eq!(found.q.expect("a text").as_str(), "12");
}

#[test]
fn a_wrong_parameter_of_a_query_is_named() {
    struct Case {
        query: &'static str,
        message: &'static str,
    }
    let cases = [
        Case { query: "limit=0", message: "limit: expected a whole number from 1 to 200, found 0" },
        Case {
            query: "limit=-1",
            message: "limit: expected a whole number from 1 to 200, found \"-1\"",
        },
        Case { query: "archived=yes", message: "archived: expected true or false, found \"yes\"" },
        Case { query: "q=a&q=b", message: "q: expected one value, found a list of 2" },
    ];
    for case in cases {
        let fault = query(case.query).expect_err(case.query);
        assert_eq!(message_of(&fault), case.message);
        assert_eq!(fault.code(), "invalid_parameter");
    }
    let pairs = [("format".to_owned(), "pdf".to_owned())];
    let fault = read_query::<ExportQuery>(pairs).expect_err("no such format");
    assert_eq!(message_of(&fault), "format: expected markdown or json, found \"pdf\"");
}

#[test]
fn an_export_is_json_unless_it_says_otherwise() {
    let format = |value: &str| read_query([("format".to_owned(), value.to_owned())]);
    assert_eq!(format(""), Ok(ExportQuery { format: ExportFormat::Json }));
    assert_eq!(format("markdown"), Ok(ExportQuery { format: ExportFormat::Markdown }));
}

#[test]
fn a_deletion_takes_what_follows_unless_it_says_otherwise() {
    let read =
        |value: &str| read_query::<DeletionQuery>([("following".to_owned(), value.to_owned())]);
    assert_eq!(read_query([]), Ok(DeletionQuery { following: Following::Delete }));
    assert_eq!(read(""), Ok(DeletionQuery { following: Following::Delete }));
    assert_eq!(read("delete"), Ok(DeletionQuery { following: Following::Delete }));
    assert_eq!(read("keep"), Ok(DeletionQuery { following: Following::Keep }));
    let fault = read("both").expect_err("no such value");
    assert_eq!(message_of(&fault), "following: expected delete or keep, found \"both\"");
}

#[test]
fn a_context_request_tells_a_first_message_from_one_at_the_end() {
    let at_the_end: ContextRequest = read_body("{}").expect("valid");
    assert_eq!(at_the_end, ContextRequest::default());
    let first: ContextRequest = read_body(r#"{"parent":null,"text":null}"#).expect("valid");
    assert_eq!(first, ContextRequest { parent: Settable::Null, text: None });
    let after = r#"{"parent":"aaaaaaaaaaaaaaaaaaaaaaaaaa","text":"t"}"#;
    let read: ContextRequest = read_body(after).expect("valid");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), after);
    let wrong = read_body::<ContextRequest>(r#"{"parent":5}"#).expect_err("no id");
    let expected = "parent: expected an id of 26 characters of a-z and 2-7, found 5";
    assert_eq!(message_of(&wrong), expected);
}

#[test]
fn the_context_of_a_new_conversation_is_asked_for_with_what_it_will_have() {
    let nothing: NewContextRequest = read_body("{}").expect("valid");
    assert_eq!(nothing, NewContextRequest::default());
    let all = r#"{"system":"s","parameters":{"max_tokens":5},"text":"t"}"#;
    let read: NewContextRequest = read_body(all).expect("valid");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), all);
}

#[test]
fn a_patch_tells_null_from_missing() {
    let nothing: ConversationPatch = read_body("{}").expect("valid");
    assert_eq!(nothing, ConversationPatch::default());
    let nulls = r#"{"title":null,"pinned":null,"archived":null,"system":null,"parameters":null,"leaf":null}"#;
    let nulls: ConversationPatch = read_body(nulls).expect("valid");
    let expected = ConversationPatch {
        title: Settable::Null,
        system: Settable::Null,
        parameters: Settable::Null,
        ..ConversationPatch::default()
    };
    assert_eq!(nulls, expected);
    let values = r#"{"title":"t","pinned":true,"archived":false,"system":"","parameters":{"seed":1},"leaf":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let patch: ConversationPatch = read_body(values).expect("valid");
    assert_eq!(patch.system, Settable::Value(String::new()));
    assert_eq!(serde_json::to_string(&patch).expect("JSON"), values);
}

#[test]
fn a_wrong_body_is_named_with_its_path() {
    struct Case {
        body: &'static str,
        code: &'static str,
        message: &'static str,
    }
    let cases = [
        Case {
            body: "[]",
            code: "bad_json",
            message: "not a JSON request: expected an object, found a list of 0",
        },
        Case {
            body: r#"{"title":""}"#,
            code: "invalid_parameter",
            message: r#"title: expected a string of 1 to 512 bytes, found """#,
        },
        Case {
            body: r#"{"system":5}"#,
            code: "invalid_parameter",
            message: "system: expected a string, found 5",
        },
        Case {
            body: r#"{"parameters":{"stop":["a",5]}}"#,
            code: "invalid_parameter",
            message: "parameters.stop[1]: expected a string of 1 to 256 bytes, found 5",
        },
        Case {
            body: r#"{"parameters":[]}"#,
            code: "invalid_parameter",
            message: "parameters: expected an object of parameters, found a list of 0",
        },
    ];
    for case in cases {
        let patched = read_body::<ConversationPatch>(case.body).expect_err(case.body);
        let made = read_body::<NewConversation>(case.body).expect_err(case.body);
        assert_eq!(patched, made, "{}", case.body);
        assert_eq!((patched.code(), message_of(&patched).as_str()), (case.code, case.message));
    }
    let leaf = read_body::<ConversationPatch>(r#"{"leaf":"x"}"#).expect_err("no id");
    let Fault::Failure(Failure::InvalidParameter { field, .. }) = leaf else { panic!("{leaf}") };
    assert_eq!(field, "leaf");
}

#[test]
fn an_error_without_details_has_the_words_of_its_code() {
    let error = HttpError::from(ErrorCode::UnknownConversation);
    let expected =
        r#"{"error":{"code":"unknown_conversation","message":"you have no such conversation"}}"#;
    assert_eq!(error.to_json(), expected);
}

proptest! {
    #[test]
    fn no_body_and_no_query_panics(text in "\\PC{0,60}") {
        let _ = read_body::<ConversationPatch>(&text);
        let _ = read_body::<ContextRequest>(&text);
        let _ = read_body::<NewContextRequest>(&text);
        let _ = read_query::<DeletionQuery>([("following".to_owned(), text.clone())]);
        let pairs = ["after", "limit", "archived", "q"].map(|name| (name.into(), text.clone()));
        let _ = read_query::<ListQuery>(pairs);
    }
}
