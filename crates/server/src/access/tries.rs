//! Counts wrong keys, so that guessing is slow.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; at the limit all are forgotten, which costs a guesser more addresses than
/// it gains tries.
const MAX_ADDRESSES: usize = 4_096;

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

    pub(super) fn is_exhausted(&self, peer: IpAddr) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        wrong
            .get(&network(peer))
            .is_some_and(|count| count.since.elapsed() < WINDOW && count.tries >= self.limit)
    }

    pub(super) fn count_wrong(&self, peer: IpAddr) {
        let mut wrong = self.wrong.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if wrong.len() >= MAX_ADDRESSES {
            wrong.clear();
        }
        let now = Instant::now();
        let count = wrong.entry(network(peer)).or_insert(Count { since: now, tries: 0 });
        if now - count.since >= WINDOW {
            *count = Count { since: now, tries: 0 };
        }
        count.tries += 1;
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
        let guesser: IpAddr = "2001:db8::1".parse().expect("address");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("address");
        let other: IpAddr = "2001:db8:0:1::1".parse().expect("address");
        for _ in 0..3 {
            assert!(!tries.is_exhausted(guesser));
            tries.count_wrong(guesser);
        }
        assert!(tries.is_exhausted(guesser) && tries.is_exhausted(neighbour));
        assert!(!tries.is_exhausted(other));
        tokio::time::advance(WINDOW).await;
        assert!(!tries.is_exhausted(guesser));
    }
}
