//! Reads text as a request of each interface that others have defined. What is accepted keeps what
//! its reader promises.

#![no_main]

use banter_protocol::interfaces::anthropic::{CountRequest, MessageRequest};
use banter_protocol::interfaces::ollama::{self, read_chat, read_embed, read_generate};
use banter_protocol::interfaces::openai::responses::Items;
use banter_protocol::interfaces::openai::{self, ChatRequest, CompletionRequest, ResponseRequest};
use banter_seam::Parameters;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(request) = ChatRequest::parse(text) {
        assert!(!request.conversation.messages.is_empty());
        assert!((1..=16).contains(&request.count));
        assert!(request.logprobs.is_none_or(|top| top <= 20));
        check(&request.parameters);
    }
    if let Ok(request) = CompletionRequest::parse(text) {
        assert!(!request.prompts.is_empty());
        assert!(request.prompts.len() * request.count as usize <= 64);
        check(&request.parameters);
    }
    if let Ok(request) = ResponseRequest::parse(text) {
        let again = Items::parse(&request.input.to_json()).expect("they were written by us");
        assert_eq!(again, request.input);
        assert!(!request.conversation(&again).messages.is_empty());
        check(&request.parameters);
    }
    if let Ok(request) = MessageRequest::parse(text) {
        assert!(!request.conversation.messages.is_empty());
        check(&request.parameters);
    }
    if let Ok(request) = CountRequest::parse(text) {
        assert!(!request.conversation.messages.is_empty());
    }
    if let Ok(request) = ResponseRequest::parse_event(text) {
        assert!(!request.input.is_empty());
        check(&request.parameters);
    }
    let embeddings = [
        openai::read_embeddings(text).map(|(request, _)| request),
        read_embed(text),
        ollama::read_embeddings(text),
    ];
    for request in embeddings.into_iter().flatten() {
        assert!((1..=2_048).contains(&request.inputs.len()));
        assert!(request.dimensions.is_none_or(|wanted| (1..=65_536).contains(&wanted)));
    }
    for read in [read_chat, read_generate] {
        if let Ok(request) = read(text) {
            assert!(request.logprobs.is_none_or(|top| top <= 20));
            check(&request.parameters);
        }
    }
});

fn check(parameters: &Parameters) {
    assert!((1..=1_000_000).contains(&parameters.max_tokens));
    assert!(parameters.logit_bias.len() <= 1_024);
    assert!(parameters.logit_bias.iter().all(|(_, bias)| bias.abs() <= 100.0));
    assert!(parameters.temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature)));
    assert!(parameters.stop_strings.len() <= 16);
}
