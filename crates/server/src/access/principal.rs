//! Whose conversations someone's are.

use super::keys::KeyHash;
use super::sessions::random_token;
use super::{PageOrigin, SessionCookie};
use crate::shares::ShareId;
use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Whoever has the same key has the same conversations: of what was computed for others, nothing is
/// used, because its speed would tell what they had asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Tells apart what was computed.
    tenant: u64,
    /// Tells apart what is held of limits. Strangers could have as many tenants as they like, so those
    /// of one address have one share together.
    share: u64,
}

/// Someone who was admitted without a key or a session, as they are to be known from now on.
pub(crate) struct Identity {
    pub(crate) principal: Principal,
    /// A cookie for their browser to keep.
    pub(crate) cookie: Option<String>,
}

impl Principal {
    /// Who runs this server: everyone who is plainly on its machine, and the links it prints.
    pub const OPERATOR: Principal = Principal { tenant: 0, share: 0 };

    /// Whoever has this key.
    pub(crate) fn of_key(key: &str) -> Principal {
        let number = KeyHash::of(key).number();
        Principal { tenant: number, share: number }
    }

    /// A name for browsers, which keep it: long enough to tell apart the people of one browser, and too
    /// short to help anyone who guesses keys.
    pub(crate) fn short_name(self) -> String {
        const NAMED_BITS: u64 = 0xff_ffff;
        format!("{:06x}", self.tenant & NAMED_BITS)
    }

    /// Which computed prefixes may be used: a number of its own, as far as 64 bits of a hash can tell.
    pub(crate) fn tenant(self) -> u64 {
        self.tenant
    }

    /// Whose limits count.
    pub(crate) fn share(self) -> ShareId {
        ShareId(self.share)
    }
}

impl Identity {
    pub(super) fn known(principal: Principal) -> Identity {
        Identity { principal, cookie: None }
    }

    /// A stranger with a page of ours, or a program of theirs. Browsers are known again by a cookie;
    /// whoever keeps none is somebody else on each socket.
    pub(super) fn stranger(
        headers: &HeaderMap,
        network: IpAddr,
        session_cookie: &SessionCookie,
    ) -> Identity {
        let share = share_of(&PageOrigin::Own, network);
        let kept = session_cookie.of_strangers();
        let known = kept.tokens(headers).find(|token| is_random(token)).map(str::to_owned);
        let (token, cookie) = match known {
            Some(token) => (token, None),
            None => {
                let token = random_token();
                let cookie = kept.keeping(&token);
                (token, Some(cookie))
            }
        };
        Identity { principal: Principal { tenant: number_of("browser", &token), share }, cookie }
    }

    /// A page of another origin or from disk, which can neither keep a cookie of ours nor be told from
    /// the next one: somebody else on each socket. That its browser has a session changes nothing,
    /// because the page is not the one that the session was opened for.
    pub(super) fn foreign_page(page: &PageOrigin, network: IpAddr) -> Identity {
        let tenant = number_of("page", &random_token());
        Identity::known(Principal { tenant, share: share_of(page, network) })
    }
}

fn share_of(page: &PageOrigin, network: IpAddr) -> u64 {
    let page = match page {
        PageOrigin::Own => "",
        PageOrigin::Allowed(origin) => origin,
        PageOrigin::File => "null",
    };
    number_of("share", &format!("{network} {page}"))
}

fn number_of(kind: &str, text: &str) -> u64 {
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(text).finalize();
    let (first, _) = hash.split_first_chunk().expect("a hash is longer");
    u64::from_le_bytes(*first)
}

/// Whether a token may be one that we made: a shorter one could be guessed.
fn is_random(token: &str) -> bool {
    token.len() == 26 && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
