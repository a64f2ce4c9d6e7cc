//! Counts wrong keys, so that guessing keys is slow.
//!
//! A wrong key uses up a try. Tries come back one by one, so nobody stays locked out after an
//! attack has ended. Three counts are kept, and no key is checked while one of them is used up:
//!
//! ```text
//! the client's address          20 a minute  of IPv6 its network of 64 bits
//! its site, IPv6 only          160 a minute  its network of 48 bits
//! the proxy that brings it   1,000 a minute  not for clients that had a right key lately
//! ```

use super::network::{TrustedProxies, network_of, site_of};
use axum::http::HeaderMap;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);
/// A site of IPv6 has this many times the tries of one address. It is few enough that one site
/// cannot use up the tries of a proxy.
const NETWORKS_OF_A_SITE: u32 = 8;
/// All clients of one proxy together have this many times the tries of one address: a tunnel that
/// passes headers on may bring made-up clients.
const CLIENTS_OF_A_PROXY: u32 = 50;
/// Counts that are kept. At the limit all are forgotten: to get there an attacker needs more
/// addresses than it gains tries.
const MAX_COUNTS: usize = 4_096;
/// Clients that are remembered for a right key. At the limit all are forgotten.
const MAX_KNOWN: usize = 4_096;
/// How long a client is remembered for a right key.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// The client whose tries a wrong key uses up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateKey {
    peer: IpAddr,
    /// The client that a trusted proxy names.
    client: Option<IpAddr>,
}

impl RateKey {
    /// The sender of a request. `X-Forwarded-For` counts only from a trusted proxy, and only the
    /// address that this proxy has added.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> RateKey {
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        let client = forwarded.filter(|_| proxies.contains(peer)).map(|list| {
            let nearest = list.to_str().ok().and_then(|list| list.rsplit(',').next());
            // An unreadable address must not use up the tries of the proxy itself.
            nearest.and_then(address_in).unwrap_or(Ipv4Addr::UNSPECIFIED.into())
        });
        RateKey { peer, client }
    }

    /// The address of the client, as far as it is known.
    pub(crate) fn address(self) -> IpAddr {
        self.client.unwrap_or(self.peer)
    }

    /// The counts that a wrong key adds to, each with how many times the tries of one address it
    /// has.
    fn counts(self) -> impl Iterator<Item = (Count, u32)> {
        let address = self.address();
        let site = site_of(address).map(|site| (Count::Site(site), NETWORKS_OF_A_SITE));
        let proxy = self.client.map(|_| (Count::Proxy(self.peer), CLIENTS_OF_A_PROXY));
        [Some((Count::Address(network_of(address)), 1)), site, proxy].into_iter().flatten()
    }
}

/// Reads `192.0.2.7`, `192.0.2.7:1234`, `2001:db8::7` and `[2001:db8::7]:1234`.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// What wrong keys are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Count {
    Address(IpAddr),
    Site(IpAddr),
    /// All clients of one proxy.
    Proxy(IpAddr),
}

/// The wrong keys of the last minute.
pub(super) struct Tries {
    limit: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When all tries of a count are back.
    whole_at: HashMap<Count, Instant>,
    /// Clients of proxies that had a right key, and until when they are remembered.
    known_until: HashMap<IpAddr, Instant>,
}

impl Tries {
    pub(super) fn new(limit: u32) -> Tries {
        Tries { limit, state: Mutex::default() }
    }

    pub(super) fn is_exhausted(&self, rate_key: RateKey) -> bool {
        let state = self.lock();
        let now = Instant::now();
        let known_until = state.known_until.get(&network_of(rate_key.address()));
        let is_known = known_until.is_some_and(|until| now < *until);
        rate_key.counts().any(|(count, times)| {
            if is_known && matches!(count, Count::Proxy(_)) {
                return false;
            }
            let missing = state.whole_at.get(&count).map_or(Duration::ZERO, |at| *at - now);
            missing + self.interval(times) > WINDOW
        })
    }

    pub(super) fn count_wrong(&self, rate_key: RateKey) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.whole_at.len() >= MAX_COUNTS {
            state.whole_at.retain(|_, at| now < *at);
        }
        if state.whole_at.len() >= MAX_COUNTS {
            state.whole_at.clear();
        }
        for (count, times) in rate_key.counts() {
            let whole_at = state.whole_at.entry(count).or_insert(now);
            *whole_at = (*whole_at).max(now) + self.interval(times);
        }
    }

    /// Remembers a client of a proxy, so that the other clients of the proxy cannot lock it out.
    pub(super) fn count_right(&self, rate_key: RateKey) {
        let Some(client) = rate_key.client else { return };
        let mut state = self.lock();
        let now = Instant::now();
        if state.known_until.len() >= MAX_KNOWN {
            state.known_until.retain(|_, until| now < *until);
        }
        if state.known_until.len() >= MAX_KNOWN {
            state.known_until.clear();
        }
        state.known_until.insert(network_of(client), now + KNOWN_FOR);
    }

    /// How long it takes until one try is back.
    fn interval(&self, times: u32) -> Duration {
        match self.limit.saturating_mul(times) {
            0 => WINDOW + Duration::from_secs(1),
            tries => WINDOW / tries,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 3;

    fn direct(address: &str) -> RateKey {
        let peer = address.parse().expect("an address");
        RateKey::of(peer, &HeaderMap::new(), &TrustedProxies::default())
    }

    fn forwarded(peer: &str, list: &str) -> RateKey {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", list.parse().expect("a header"));
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().expect("a network")]);
        RateKey::of(peer.parse().expect("an address"), &headers, &proxies)
    }

    /// Tries wrong keys until they are refused, and says how many were looked at.
    fn guess(tries: &Tries, rate_key: RateKey, at_most: u32) -> u32 {
        for tried in 0..at_most {
            if tries.is_exhausted(rate_key) {
                return tried;
            }
            tries.count_wrong(rate_key);
        }
        at_most
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_cut_off_per_address_and_tries_come_back_one_by_one() {
        let tries = Tries::new(LIMIT);
        let guesser = direct("2001:db8::1");
        assert_eq!(guess(&tries, guesser, 100), LIMIT);
        assert!(tries.is_exhausted(direct("2001:db8::2")), "of the same network");
        assert!(!tries.is_exhausted(direct("2001:db8:0:1::1")));
        tokio::time::advance(WINDOW / LIMIT).await;
        assert_eq!(guess(&tries, guesser, 100), 1);
        tokio::time::advance(WINDOW).await;
        assert_eq!(guess(&tries, guesser, 100), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_of_a_proxy_are_told_apart() {
        for proxy in ["127.0.0.1", "::1", "10.1.2.3"] {
            let tries = Tries::new(LIMIT);
            for made_up in ["198.51.100.1", "198.51.100.2", "nonsense"] {
                let guesser = forwarded(proxy, &format!("{made_up}, 203.0.113.5"));
                assert_eq!(guess(&tries, guesser, 1), 1, "{proxy} {made_up}");
            }
            for same in ["203.0.113.5", "203.0.113.5:4711", "[::ffff:203.0.113.5]:4711"] {
                assert!(tries.is_exhausted(forwarded(proxy, same)), "{proxy} {same}");
            }
            assert!(!tries.is_exhausted(forwarded(proxy, "203.0.113.6")));
            assert!(!tries.is_exhausted(direct(proxy)), "nor what comes without a name");
            // Nobody else is believed.
            assert!(!tries.is_exhausted(forwarded("203.0.113.9", "203.0.113.5")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_clients_are_cut_off_together_and_let_others_in_again_soon() {
        let tries = Tries::new(LIMIT);
        let of_all = LIMIT * CLIENTS_OF_A_PROXY;
        for number in 0..of_all {
            let guesser = forwarded("127.0.0.1", &format!("10.0.0.{number}"));
            assert_eq!(guess(&tries, guesser, 1), 1, "{number}");
        }
        let other = forwarded("127.0.0.1", "203.0.113.7");
        assert!(tries.is_exhausted(other));
        assert!(!tries.is_exhausted(forwarded("10.9.9.9", "203.0.113.7")), "by another proxy");
        tokio::time::advance(WINDOW / of_all).await;
        assert!(!tries.is_exhausted(other));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_a_right_key_is_not_locked_out_by_other_clients_of_its_proxy() {
        let tries = Tries::new(LIMIT);
        let friend = forwarded("127.0.0.1", "203.0.113.7");
        tries.count_right(friend);
        for number in 0..1_000 {
            let made_up = format!("10.0.{}.{}", number / 250, number % 250);
            tries.count_wrong(forwarded("127.0.0.1", &made_up));
        }
        assert!(tries.is_exhausted(forwarded("127.0.0.1", "203.0.113.8")));
        assert!(!tries.is_exhausted(friend));
        // Its own tries are counted as everybody's are.
        assert_eq!(guess(&tries, friend, 100), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_proxy_says_cannot_be_read_has_the_tries_of_one_client() {
        let tries = Tries::new(LIMIT);
        let looked_at: u32 = ["", "nonsense", "10.0.0.300", "unknown", "a, b", "_hidden"]
            .iter()
            .map(|list| guess(&tries, forwarded("127.0.0.1", list), 100))
            .sum();
        assert_eq!(looked_at, LIMIT);
        assert!(!tries.is_exhausted(direct("127.0.0.1")));
        assert!(!tries.is_exhausted(forwarded("127.0.0.1", "203.0.113.7")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_of_ipv6_cannot_use_up_what_others_have_behind_its_proxy() {
        let tries = Tries::new(LIMIT);
        let mut looked_at = 0;
        for number in 0..1_000 {
            let guesser = forwarded("127.0.0.1", &format!("2001:db8:0:{number:x}::1"));
            looked_at += guess(&tries, guesser, LIMIT);
        }
        assert_eq!(looked_at, LIMIT * NETWORKS_OF_A_SITE);
        assert!(!tries.is_exhausted(forwarded("127.0.0.1", "203.0.113.7")));
    }

    #[tokio::test(start_paused = true)]
    async fn without_tries_no_key_is_looked_at() {
        assert!(Tries::new(0).is_exhausted(direct("203.0.113.7")));
    }
}
