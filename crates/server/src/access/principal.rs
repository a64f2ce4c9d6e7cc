//! Who a client is: whose conversations, computed text and limits it uses.

use super::cookie::SessionCookie;
use super::keys::KeyHash;
use super::request::PageOrigin;
use super::token::{is_random, random_token};
use axum::http::HeaderMap;
use banter_seam::{Asker, ShareId, Tenant};
use banter_store::{NewUser, SecretHash, UserKind};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// A person or program as the server tells it from others. Clients with the same key are one
/// principal. Text that was computed for one principal is not used for another, because the speed
/// of the answer would tell what the first one had asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Whose computed text may be used.
    tenant: Tenant,
    /// Whose part of the limits is used. A stranger can become any number of tenants, so all
    /// strangers of one address have one share together.
    share: ShareId,
    /// By which its user is found in the store.
    anchor: Anchor,
}

/// What tells a user from all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Anchor {
    #[default]
    Operator,
    /// The hash of a key.
    Key([u8; 32]),
    /// The hash of what a browser keeps, or of what a client without a cookie has for one socket.
    Browser([u8; 32]),
    /// The hash of a visitor's secret and of the key of the site, and the hash of that key.
    Visitor { hash: [u8; 32], key: [u8; 32] },
}

/// An admitted client, and how it is recognised next time.
pub(crate) struct Identity {
    pub(crate) principal: Principal,
    /// The value of `Set-Cookie` for a browser that has no cookie yet.
    pub(crate) cookie: Option<String>,
}

impl Principal {
    /// The operator: every client on this machine, and everybody who opens a printed link.
    pub const OPERATOR: Principal =
        Principal { tenant: Tenant(0), share: ShareId(0), anchor: Anchor::Operator };

    /// The principal of a key.
    pub(crate) fn of_key(key: &str) -> Principal {
        Principal::of_key_hash(KeyHash::of(key))
    }

    /// The principal of a stored user.
    pub(super) fn of_user(kind: UserKind, anchor: [u8; 32]) -> Principal {
        match kind {
            UserKind::Operator => Principal::OPERATOR,
            UserKind::Key => Principal::of_key_hash(KeyHash::from_bytes(anchor)),
            UserKind::Browser => {
                let number = first_number(&anchor);
                let (tenant, share) = (Tenant(number), ShareId(number));
                Principal { tenant, share, anchor: Anchor::Browser(anchor) }
            }
        }
    }

    /// Its key; `None` for the operator, strangers and visitors.
    pub(super) fn key(self) -> Option<KeyHash> {
        match self.anchor {
            Anchor::Key(hash) => Some(KeyHash::from_bytes(hash)),
            Anchor::Operator | Anchor::Browser(_) | Anchor::Visitor { .. } => None,
        }
    }

    /// Whether it is the principal of this key.
    pub(super) fn is_of_key(self, key: KeyHash) -> bool {
        self.anchor == Anchor::Key(key.bytes())
    }

    pub(super) fn of_key_hash(hash: KeyHash) -> Principal {
        let (tenant, share) = (Tenant(hash.number()), ShareId(hash.number()));
        Principal { tenant, share, anchor: Anchor::Key(hash.bytes()) }
    }

    /// A visitor of a page that has a key for its visitors, with the limits of the key. The same
    /// secret with another key is somebody else.
    pub(super) fn visitor(key: KeyHash, secret: &str) -> Principal {
        let of_key = HEXLOWER.encode(&key.bytes());
        let hash = hash_of("visitor", &format!("{of_key} {secret}"));
        let (tenant, share) = (Tenant(first_number(&hash)), ShareId(key.number()));
        Principal { tenant, share, anchor: Anchor::Visitor { hash, key: key.bytes() } }
    }

    /// The key of a visitor; `None` for everybody else.
    pub(crate) fn visits_with(self) -> Option<SecretHash> {
        match self.anchor {
            Anchor::Visitor { key, .. } => Some(SecretHash(key)),
            Anchor::Operator | Anchor::Key(_) | Anchor::Browser(_) => None,
        }
    }

    /// A client that is known by a random text, and by nothing else.
    fn stranger(kind: &str, token: &str, share: ShareId) -> Principal {
        let hash = hash_of(kind, token);
        Principal { tenant: Tenant(first_number(&hash)), share, anchor: Anchor::Browser(hash) }
    }

    /// Its user in the store.
    pub(crate) fn user(self) -> NewUser {
        let (kind, anchor) = match self.anchor {
            Anchor::Operator => (UserKind::Operator, hash_of("operator", "")),
            Anchor::Key(hash) => (UserKind::Key, hash),
            Anchor::Browser(hash) | Anchor::Visitor { hash, .. } => (UserKind::Browser, hash),
        };
        NewUser { kind, anchor: SecretHash(anchor), name: self.short_name() }
    }

    /// A name that browsers keep: long enough to tell apart the people who use one browser, and too
    /// short to help somebody who guesses keys.
    pub(crate) fn short_name(self) -> String {
        const NAMED_BITS: u64 = 0xff_ffff;
        format!("{:06x}", self.tenant.0 & NAMED_BITS)
    }

    /// The same, as far as a backend must know it. 64 bits of a hash: two principals never meet by
    /// chance.
    pub(crate) fn asker(self) -> Asker {
        Asker { tenant: self.tenant, share: self.share }
    }

    /// Whose share of the limits is used.
    pub(crate) fn share(self) -> ShareId {
        self.share
    }
}

impl Identity {
    pub(super) fn known(principal: Principal) -> Identity {
        Identity { principal, cookie: None }
    }

    /// A stranger, with our page or a program. A browser is recognised by a cookie; a client that
    /// keeps no cookie is another principal on each socket.
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
        Identity { principal: Principal::stranger("browser", &token, share), cookie }
    }

    /// A page of another origin, or one opened from disk. It cannot keep our cookie, so it is
    /// another principal on each socket. A session of its browser does not count, because the
    /// session was opened for our page and not for this one.
    pub(super) fn foreign_page(page: &PageOrigin, network: IpAddr) -> Identity {
        let share = share_of(page, network);
        Identity::known(Principal::stranger("page", &random_token(), share))
    }
}

fn share_of(page: &PageOrigin, network: IpAddr) -> ShareId {
    let page = match page {
        PageOrigin::Own => "",
        PageOrigin::Allowed(origin) => origin,
        PageOrigin::File => "null",
    };
    ShareId(first_number(&hash_of("share", &format!("{network} {page}"))))
}

fn hash_of(kind: &str, text: &str) -> [u8; 32] {
    Sha256::new().chain_update(kind).chain_update([0]).chain_update(text).finalize().into()
}

fn first_number(hash: &[u8; 32]) -> u64 {
    let (first, _) = hash.split_first_chunk().expect("a hash is longer");
    u64::from_le_bytes(*first)
}
