//! Who holds how many of the connections.
//!
//! Three rules keep a few clients from holding all of them:
//! - One address has a share. At its share a newcomer takes the permit of the connection of the
//!   same address that has waited longest for a request. What a proxy brings counts for its
//!   clients, from when it becomes a socket.
//! - At the limit a newcomer takes the permit of whichever connection has waited longest.
//! - If none waits, the newcomer is told that the server is full; of those who are told, there
//!   are few, and further ones are dropped unanswered.
//!
//! A connection waits when nothing was asked on it yet, or its last request is answered. So
//! silence costs others nothing; only requests and sockets hold their permits.

use crate::access::{TrustedProxies, network_of};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// At the same time.
    pub(crate) total: usize,
    /// From one address; of IPv6 from one network of 64 bits.
    pub(crate) per_address: usize,
    /// That are told that there are too many.
    pub(crate) refusals: usize,
    /// Addresses that bring the connections of many.
    pub(crate) proxies: TrustedProxies,
}

impl ConnectionLimits {
    fn share_of(&self, address: IpAddr) -> usize {
        // What a proxy brings is not its own; its sockets count for those that it brings.
        if self.proxies.contains(address) { self.total } else { self.per_address }
    }
}

/// Whether there is room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Welcome,
    /// Only to be told that there are too many.
    Full,
    /// Only to be told that its address has too many.
    AddressFull,
}

/// The permits of a server.
pub(crate) struct ConnectionPermits {
    limits: ConnectionLimits,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    welcome: usize,
    refused: usize,
    by_network: HashMap<IpAddr, usize>,
    /// Those that wait for a request, the longest waiting first.
    waiting: BTreeMap<u64, Waiting>,
    next_ticket: u64,
}

struct Waiting {
    network: IpAddr,
    evicted: CancellationToken,
}

/// A connection's permit; it goes back when this is dropped.
pub(crate) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    admission: Admission,
    /// Cancelled, while the book is locked, when the permit is taken away.
    evicted: CancellationToken,
    holder: Mutex<Holder>,
}

struct Holder {
    network: IpAddr,
    /// Its place among those that wait.
    ticket: Option<u64>,
}

impl ConnectionPermits {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<ConnectionPermits> {
        Arc::new(ConnectionPermits { limits, book: Mutex::default() })
    }

    /// A permit for a new connection; `None` if not even a refusal can be told.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        let network = network_of(peer);
        let mut book = self.lock();
        let admission = self.admit(&mut book, peer);
        let evicted = CancellationToken::new();
        let mut ticket = None;
        if admission == Admission::Welcome {
            book.add(network);
            ticket = Some(book.wait(network, evicted.clone()));
        } else if book.refused < self.limits.refusals {
            book.refused += 1;
        } else {
            return None;
        }
        drop(book);
        let holder = Mutex::new(Holder { network, ticket });
        Some(ConnectionPermit { permits: self.clone(), admission, evicted, holder })
    }

    fn admit(&self, book: &mut Book, peer: IpAddr) -> Admission {
        let network = network_of(peer);
        if book.held_by(network) >= self.limits.share_of(peer) {
            let has_room = book.evict(|waiting| waiting.network == network);
            return if has_room { Admission::Welcome } else { Admission::AddressFull };
        }
        let has_room = book.welcome < self.limits.total || book.evict(|_| true);
        if has_room { Admission::Welcome } else { Admission::Full }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Book {
    fn held_by(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    fn add(&mut self, network: IpAddr) {
        self.welcome += 1;
        *self.by_network.entry(network).or_insert(0) += 1;
    }

    fn remove(&mut self, network: IpAddr) {
        self.welcome -= 1;
        let held = self.by_network.get_mut(&network).expect("it was added");
        *held -= 1;
        if *held == 0 {
            self.by_network.remove(&network);
        }
    }

    fn wait(&mut self, network: IpAddr, evicted: CancellationToken) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, Waiting { network, evicted });
        ticket
    }

    /// Takes the permit of the longest waiting one of these; false if there is none.
    fn evict(&mut self, may_go: impl Fn(&Waiting) -> bool) -> bool {
        let found = self.waiting.iter().find(|(_, waiting)| may_go(waiting));
        let Some(ticket) = found.map(|(ticket, _)| *ticket) else { return false };
        let waiting = self.waiting.remove(&ticket).expect("just found");
        self.remove(waiting.network);
        waiting.evicted.cancel();
        true
    }
}

impl ConnectionPermit {
    /// A request has come: the permit is not taken away until [`ConnectionPermit::wait`].
    pub(crate) fn begin(&self) -> Admission {
        let mut book = self.permits.lock();
        if let Some(ticket) = self.holder().ticket.take() {
            book.waiting.remove(&ticket);
        }
        if self.evicted.is_cancelled() { Admission::Full } else { self.admission }
    }

    /// The connection waits for its next request.
    pub(crate) fn wait(&self) {
        let mut book = self.permits.lock();
        let mut holder = self.holder();
        let holds_one = self.admission == Admission::Welcome && !self.evicted.is_cancelled();
        if holds_one && holder.ticket.is_none() {
            holder.ticket = Some(book.wait(holder.network, self.evicted.clone()));
        }
    }

    /// Counts the permit, which a proxy took, to the share of the client that it was taken for.
    /// False if that client has its share already.
    pub(crate) fn assign_to(&self, client: IpAddr) -> bool {
        let network = network_of(client);
        let mut book = self.permits.lock();
        let mut holder = self.holder();
        if self.evicted.is_cancelled() || self.admission != Admission::Welcome {
            return false;
        }
        if network != holder.network {
            if book.held_by(network) >= self.permits.limits.share_of(client) {
                return false;
            }
            book.remove(holder.network);
            book.add(network);
            holder.network = network;
        }
        true
    }

    /// Whether there was room for it.
    pub(crate) fn admission(&self) -> Admission {
        self.admission
    }

    /// Ready when a newcomer has taken the permit.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut book = self.permits.lock();
        let (network, ticket) = {
            let holder = self.holder();
            (holder.network, holder.ticket)
        };
        if let Some(ticket) = ticket {
            book.waiting.remove(&ticket);
        }
        if self.admission != Admission::Welcome {
            book.refused -= 1;
        } else if !self.evicted.is_cancelled() {
            book.remove(network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "127.0.0.1";
    const HOG: &str = "203.0.113.5";
    const OTHER: &str = "203.0.113.6";

    fn limits(total: usize, per_address: usize) -> Arc<ConnectionPermits> {
        let proxies = TrustedProxies::default();
        ConnectionPermits::new(ConnectionLimits { total, per_address, refusals: 2, proxies })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// This many from one address; those that are busy answer a request.
    fn take(permits: &Arc<ConnectionPermits>, from: &str, count: usize) -> Vec<ConnectionPermit> {
        (0..count).map(|_| permits.take(address(from)).expect("a permit or a refusal")).collect()
    }

    fn busy(permits: &Arc<ConnectionPermits>, from: &str, count: usize) -> Vec<ConnectionPermit> {
        let taken = take(permits, from, count);
        for permit in &taken {
            assert_eq!(permit.begin(), Admission::Welcome);
        }
        taken
    }

    fn admission(permits: &Arc<ConnectionPermits>, from: &str) -> Option<Admission> {
        permits.take(address(from)).map(|permit| permit.admission())
    }

    #[test]
    fn one_address_has_its_share_and_leaves_the_others_theirs() {
        let permits = limits(100, 10);
        let held = busy(&permits, HOG, 10);
        assert_eq!(admission(&permits, HOG), Some(Admission::AddressFull));
        assert_eq!(admission(&permits, OTHER), Some(Admission::Welcome));
        drop(held);
        assert_eq!(admission(&permits, HOG), Some(Admission::Welcome));
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let permits = limits(100, 2);
        let _held = (busy(&permits, "2001:db8::1", 1), busy(&permits, "2001:db8::2", 1));
        assert_eq!(admission(&permits, "2001:db8::3"), Some(Admission::AddressFull));
        assert_eq!(admission(&permits, "2001:db8:0:1::3"), Some(Admission::Welcome));
    }

    #[test]
    fn a_proxy_is_not_held_to_the_share_of_one_address() {
        let permits = limits(16, 2);
        let _held = busy(&permits, PROXY, 15);
        assert_eq!(admission(&permits, PROXY), Some(Admission::Welcome));
        assert_eq!(admission(&permits, OTHER), Some(Admission::Welcome));
    }

    #[test]
    fn sockets_that_a_proxy_brings_count_for_their_clients() {
        let permits = limits(100, 2);
        let held = busy(&permits, PROXY, 4);
        assert!(held[0].assign_to(address(HOG)) && held[1].assign_to(address(HOG)));
        assert!(!held[2].assign_to(address(HOG)) && held[2].assign_to(address(OTHER)));
        drop(held);
        let book = permits.lock();
        assert_eq!((book.welcome, book.by_network.len(), book.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn silent_connections_make_room_for_newcomers_the_longest_waiting_first() {
        let permits = limits(3, 3);
        let silent = take(&permits, HOG, 2);
        let answering = busy(&permits, OTHER, 1);
        let newcomer = take(&permits, OTHER, 1).remove(0);
        assert_eq!(newcomer.admission(), Admission::Welcome);
        assert!(silent[0].evicted.is_cancelled() && !silent[1].evicted.is_cancelled());
        assert!(!answering[0].evicted.is_cancelled());
        assert_eq!(silent[0].begin(), Admission::Full, "its permit was given away");
        // An answered one waits again, behind those that wait already.
        answering[0].wait();
        let _another = take(&permits, OTHER, 1);
        assert!(silent[1].evicted.is_cancelled() && !answering[0].evicted.is_cancelled());
    }

    #[test]
    fn without_one_that_waits_a_newcomer_is_told_and_then_dropped() {
        let permits = limits(2, 2);
        let _held = (busy(&permits, HOG, 1), busy(&permits, OTHER, 1));
        let third = "203.0.113.7";
        let told = take(&permits, third, 2);
        assert!(told.iter().all(|permit| permit.begin() == Admission::Full));
        assert_eq!(admission(&permits, third), None);
        drop(told);
        assert_eq!(admission(&permits, third), Some(Admission::Full));
    }

    #[test]
    fn every_permit_comes_back_whatever_became_of_it() {
        let permits = limits(4, 2);
        for round in 0..100 {
            let mut held = Vec::new();
            for index in 0..8 {
                let from = [HOG, OTHER, PROXY][(round + index) % 3];
                let Some(permit) = permits.take(address(from)) else { continue };
                if index % 2 == 0 {
                    permit.begin();
                }
                if index % 4 == 0 {
                    permit.wait();
                }
                held.push(permit);
            }
            assert!(permits.lock().welcome <= 4);
        }
        let book = permits.lock();
        assert_eq!((book.welcome, book.refused), (0, 0));
        assert!(book.by_network.is_empty() && book.waiting.is_empty());
    }
}
