//! Reads text as an event of a client of `banter.v1`, as an event of the server, and as bodies of
//! the conversation routes.

#![no_main]

use banter_protocol::conversations::{
    ContextRequest, ConversationPatch, DeletionQuery, ListQuery, NewContextRequest,
    NewConversation, read_body, read_query,
};
use banter_protocol::v1::{Tagged, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(event) => assert_eq!(parse(&event.to_json()), Ok(event)),
        Err(error) => {
            let reply = error.map(banter_protocol::v1::ServerEvent::from);
            let read = Tagged::parse(&reply.to_json()).expect("the server's own event");
            assert_eq!(read, reply);
        }
    }
    if let Ok(event) = Tagged::parse(text) {
        let written = event.to_json();
        let read = Tagged::parse(&written).expect("an event that was read before");
        assert_eq!(read.to_json(), written);
    }
    let _ = read_body::<NewConversation>(text);
    let _ = read_body::<ConversationPatch>(text);
    let _ = read_body::<ContextRequest>(text);
    let _ = read_body::<NewContextRequest>(text);
    let pairs = ["after", "limit", "archived", "q"].map(|name| (name.to_owned(), text.to_owned()));
    let _ = read_query::<ListQuery>(pairs);
    let _ = read_query::<DeletionQuery>([("following".to_owned(), text.to_owned())]);
});
