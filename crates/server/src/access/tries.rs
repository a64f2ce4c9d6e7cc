//! Counts wrong keys, so that guessing is slow.

use axum::http::HeaderMap;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; at the limit all are forgotten, which costs a guesser more addresses than
/// it gains tries.
const MAX_ADDRESSES: usize = 4_096;
/// What a proxy says of its clients may be made up, if it is a tunnel that passes on what it gets:
/// all of one proxy's clients together have so many times the tries of one.
const CLIENTS_OF_A_PROXY: u32 = 50;

/// Whom a wrong key is put down to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    peer: IpAddr,
    /// For whom a proxy on this machine says it asks.
    client: Option<IpAddr>,
}

impl Caller {
    /// The caller of a request; of `X-Forwarded-For` only what the nearest proxy added counts.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap) -> Caller {
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        let nearest = forwarded.and_then(|list| list.to_str().ok()?.rsplit(',').next());
        let client = nearest.and_then(|address| address.trim().parse().ok());
        Caller { peer, client: client.filter(|_| peer.is_loopback()) }
    }
}

/// Wrong keys per address in the current minute.
pub(super) struct Tries {
    limit: u32,
    wrong: Mutex<HashMap<IpAddr, Count>>,
}

struct Count {
    since: Instant,
    tries: u32,
}

impl Tries {
    pub(super) fn new(limit: u32) -> Tries {
        Tries { limit, wrong: Mutex::default() }
    }

    pub(super) fn is_exhausted(&self, caller: Caller) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let reaches = |address, limit| {
            wrong
                .get(&network(address))
                .is_some_and(|count| count.since.elapsed() < WINDOW && count.tries >= limit)
        };
        match caller.client {
            None => reaches(caller.peer, self.limit),
            Some(client) => {
                reaches(client, self.limit)
                    || reaches(caller.peer, self.limit.saturating_mul(CLIENTS_OF_A_PROXY))
            }
        }
    }

    pub(super) fn count_wrong(&self, caller: Caller) {
        let mut wrong = self.wrong.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if wrong.len() >= MAX_ADDRESSES {
            wrong.clear();
        }
        let now = Instant::now();
        for address in [Some(caller.peer), caller.client].into_iter().flatten() {
            let count = wrong.entry(network(address)).or_insert(Count { since: now, tries: 0 });
            if now - count.since >= WINDOW {
                *count = Count { since: now, tries: 0 };
            }
            count.tries += 1;
        }
    }
}

/// One subscriber of IPv6 has a whole /64 to guess from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let high = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn guessing_is_cut_off_per_address_and_minute() {
        let tries = Tries::new(3);
        let caller =
            |address: &str| Caller::of(address.parse().expect("address"), &HeaderMap::new());
        let guesser = caller("2001:db8::1");
        let neighbour = caller("2001:db8::2");
        let other = caller("2001:db8:0:1::1");
        for _ in 0..3 {
            assert!(!tries.is_exhausted(guesser));
            tries.count_wrong(guesser);
        }
        assert!(tries.is_exhausted(guesser) && tries.is_exhausted(neighbour));
        assert!(!tries.is_exhausted(other));
        tokio::time::advance(WINDOW).await;
        assert!(!tries.is_exhausted(guesser));
    }

    fn forwarded(peer: &str, list: &str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", list.parse().expect("a header"));
        Caller::of(peer.parse().expect("address"), &headers)
    }

    #[tokio::test(start_paused = true)]
    async fn clients_of_a_proxy_on_this_machine_are_told_apart() {
        let tries = Tries::new(3);
        for made_up in ["198.51.100.1", "198.51.100.2", "nonsense"] {
            let guesser = forwarded("127.0.0.1", &format!("{made_up}, 203.0.113.5"));
            assert!(!tries.is_exhausted(guesser));
            tries.count_wrong(guesser);
        }
        assert!(tries.is_exhausted(forwarded("127.0.0.1", "203.0.113.5")));
        assert!(!tries.is_exhausted(forwarded("127.0.0.1", "203.0.113.6")));
        // Nobody else is believed.
        assert!(!tries.is_exhausted(forwarded("203.0.113.9", "203.0.113.5")));
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_clients_are_cut_off_together() {
        let tries = Tries::new(3);
        for number in 0..150 {
            let guesser = forwarded("127.0.0.1", &format!("10.0.0.{number}"));
            assert!(!tries.is_exhausted(guesser), "{number}");
            tries.count_wrong(guesser);
        }
        assert!(tries.is_exhausted(forwarded("127.0.0.1", "10.0.1.1")));
    }
}
