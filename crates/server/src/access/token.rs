//! Random texts that stand for somebody or something.

/// 128 random bits as 26 letters and digits that can be read aloud.
pub(crate) fn random_token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// Whether a token looks like one that we have made. A shorter one could be guessed.
pub(super) fn is_random(token: &str) -> bool {
    token.len() == 26 && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
