//! Reads text as a request of OpenAI's interface. What is accepted keeps what its reader promises.

#![no_main]

use banter_protocol::openai::ChatRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(request) = ChatRequest::parse(text) else { return };
    assert!(!request.conversation.messages.is_empty());
    assert!((1..=16).contains(&request.count));
    assert!(request.logprobs.is_none_or(|top| top <= 20));
    assert!(request.parameters.logit_bias.iter().all(|(_, bias)| bias.abs() <= 100.0));
});
