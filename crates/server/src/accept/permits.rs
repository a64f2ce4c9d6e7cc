//! Which connections are open, and who holds how many of them.
//!
//! These rules keep a few clients from holding all connections:
//! - One address has a share. When it holds its share, a newcomer takes the permit of the
//!   connection of the same address that has waited longest for a request. A trusted proxy has no
//!   share of its own: each WebSocket that it brings counts for the client that it brings it for.
//! - This machine, with everything that it brings for others, leaves an eighth of all connections
//!   to those who connect from elsewhere. A program on this machine may name any client, so its
//!   connections are also counted by where they come from.
//! - When all permits are taken, a newcomer takes the permit of the connection that has waited
//!   longest.
//! - If no connection waits, the newcomer is told that the server is full. Only a few are told at
//!   the same time; further ones are dropped unanswered.
//!
//! A connection waits while no request has come on it yet, or after its last request is answered.
//! So a silent connection takes nothing from others: only requests and WebSockets keep their
//! permits.

use crate::access::{TrustedProxies, network_of};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// This machine leaves this part of all connections to others.
const LEFT_TO_OTHERS: usize = 8;

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// Open connections in all.
    pub(crate) total: usize,
    /// Open connections from one address; of IPv6 from one network of 64 bits.
    pub(crate) per_address: usize,
    /// Connections beyond the limit that are open only to be told so.
    pub(crate) refusals: usize,
    /// Addresses that bring the connections of many clients.
    pub(crate) proxies: TrustedProxies,
}

impl ConnectionLimits {
    fn share_of(&self, address: IpAddr) -> usize {
        // What a proxy brings is not its own: its WebSockets count for its clients.
        if self.proxies.contains(address) { self.total } else { self.per_address }
    }

    /// How many connections this machine may hold, for whomever.
    pub(crate) fn of_this_machine(&self) -> usize {
        (self.total - self.total / LEFT_TO_OTHERS).max(self.per_address)
    }
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A program on this machine, by a loopback address or by an address of the machine itself.
    ThisMachine(IpAddr),
    /// Any other machine.
    Elsewhere(IpAddr),
}

impl Peer {
    /// Whoever connects from `peer` to our address `local`.
    pub(crate) fn new(peer: IpAddr, local: IpAddr) -> Peer {
        if peer.is_loopback() || peer == local {
            Peer::ThisMachine(peer)
        } else {
            Peer::Elsewhere(peer)
        }
    }

    fn address(self) -> IpAddr {
        match self {
            Peer::ThisMachine(address) | Peer::Elsewhere(address) => address,
        }
    }

    fn is_this_machine(self) -> bool {
        matches!(self, Peer::ThisMachine(_))
    }
}

/// What may be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Its requests are answered.
    Welcome,
    /// It is only told that there are too many connections.
    Full,
    /// It is only told that there are too many connections from its address.
    AddressFull,
}

/// The permits of a server.
pub(crate) struct ConnectionPermits {
    limits: ConnectionLimits,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Connections with [`Admission::Welcome`].
    welcome: usize,
    /// Those of them that this machine has opened.
    from_this_machine: usize,
    /// Connections that are only told that there are too many.
    refused: usize,
    /// How many of the welcome ones each network has.
    by_network: HashMap<IpAddr, usize>,
    /// Connections that wait for a request, the longest waiting first.
    waiting: BTreeMap<u64, Waiting>,
    next_ticket: u64,
}

struct Waiting {
    peer: Peer,
    /// The network that it counts for.
    network: IpAddr,
    evicted: CancellationToken,
}

/// A connection's permit. Dropping it gives it back.
pub(crate) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    peer: Peer,
    admission: Admission,
    /// Cancelled when a newcomer takes the permit, while the book is locked.
    evicted: CancellationToken,
    holder: Mutex<Holder>,
}

struct Holder {
    /// The network that the connection counts for.
    network: IpAddr,
    /// Its key among the connections that wait, while it waits.
    ticket: Option<u64>,
}

impl ConnectionPermits {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<ConnectionPermits> {
        Arc::new(ConnectionPermits { limits, book: Mutex::default() })
    }

    pub(crate) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// A permit for a new connection; `None` if it cannot even be told that there are too many.
    pub(crate) fn take(self: &Arc<Self>, peer: Peer) -> Option<ConnectionPermit> {
        let network = network_of(peer.address());
        let mut book = self.lock();
        let admission = self.admit(&mut book, peer);
        let evicted = CancellationToken::new();
        let mut ticket = None;
        if admission == Admission::Welcome {
            book.add(peer, network);
            ticket = Some(book.wait(Waiting { peer, network, evicted: evicted.clone() }));
        } else if book.refused < self.limits.refusals {
            book.refused += 1;
        } else {
            return None;
        }
        drop(book);
        let holder = Mutex::new(Holder { network, ticket });
        Some(ConnectionPermit { permits: self.clone(), peer, admission, evicted, holder })
    }

    fn admit(&self, book: &mut Book, peer: Peer) -> Admission {
        let network = network_of(peer.address());
        if book.held_by(network) >= self.limits.share_of(peer.address()) {
            let has_room = book.evict(|waiting| waiting.network == network);
            return if has_room { Admission::Welcome } else { Admission::AddressFull };
        }
        if peer.is_this_machine() && book.from_this_machine >= self.limits.of_this_machine() {
            let has_room = book.evict(|waiting| waiting.peer.is_this_machine());
            return if has_room { Admission::Welcome } else { Admission::Full };
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

    fn add(&mut self, peer: Peer, network: IpAddr) {
        self.welcome += 1;
        self.from_this_machine += usize::from(peer.is_this_machine());
        *self.by_network.entry(network).or_insert(0) += 1;
    }

    fn remove(&mut self, peer: Peer, network: IpAddr) {
        self.welcome -= 1;
        self.from_this_machine -= usize::from(peer.is_this_machine());
        let held = self.by_network.get_mut(&network).expect("it was added");
        *held -= 1;
        if *held == 0 {
            self.by_network.remove(&network);
        }
    }

    fn wait(&mut self, waiting: Waiting) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Takes the permit of the connection that has waited longest, of those that `may_go`; false if
    /// none of them waits.
    fn evict(&mut self, may_go: impl Fn(&Waiting) -> bool) -> bool {
        let found = self.waiting.iter().find(|(_, waiting)| may_go(waiting));
        let Some(ticket) = found.map(|(ticket, _)| *ticket) else { return false };
        let waiting = self.waiting.remove(&ticket).expect("just found");
        self.remove(waiting.peer, waiting.network);
        waiting.evicted.cancel();
        true
    }
}

impl ConnectionPermit {
    /// A request has come: nobody takes the permit until [`ConnectionPermit::wait`].
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
            let (peer, network, evicted) = (self.peer, holder.network, self.evicted.clone());
            holder.ticket = Some(book.wait(Waiting { peer, network, evicted }));
        }
    }

    /// Counts the permit, which a proxy has taken, for the client that the proxy has taken it for.
    /// False if that client holds its share already.
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
            book.remove(self.peer, holder.network);
            book.add(self.peer, network);
            holder.network = network;
        }
        true
    }

    /// What may be done with the connection.
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
            book.remove(self.peer, network);
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

    fn peer(text: &str) -> Peer {
        Peer::new(address(text), address("192.0.2.1"))
    }

    /// This many from one address; those that are busy answer a request.
    fn take(permits: &Arc<ConnectionPermits>, from: &str, count: usize) -> Vec<ConnectionPermit> {
        (0..count).map(|_| permits.take(peer(from)).expect("a permit or a refusal")).collect()
    }

    fn busy(permits: &Arc<ConnectionPermits>, from: &str, count: usize) -> Vec<ConnectionPermit> {
        let taken = take(permits, from, count);
        for permit in &taken {
            assert_eq!(permit.begin(), Admission::Welcome);
        }
        taken
    }

    fn admission(permits: &Arc<ConnectionPermits>, from: &str) -> Option<Admission> {
        permits.take(peer(from)).map(|permit| permit.admission())
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
        let _held = busy(&permits, PROXY, 13);
        assert_eq!(admission(&permits, PROXY), Some(Admission::Welcome));
        assert_eq!(admission(&permits, OTHER), Some(Admission::Welcome));
    }

    #[test]
    fn this_machine_leaves_some_to_others_whatever_address_it_takes_and_whomever_it_names() {
        let permits = limits(16, 2);
        let mut held = Vec::new();
        for index in 0..12 {
            held.extend(busy(&permits, &format!("127.0.0.{}", index + 1), 1));
            assert!(held[index].assign_to(address(&format!("203.0.113.{}", 100 + index))));
        }
        // The address of its own that it connects to, too.
        held.extend(busy(&permits, "192.0.2.1", 2));
        for from in [PROXY, "127.0.0.99", "::1"] {
            assert_eq!(admission(&permits, from), Some(Admission::Full), "{from}");
        }
        let _others = (busy(&permits, HOG, 1), busy(&permits, OTHER, 1));
        assert_eq!(admission(&permits, HOG), Some(Admission::Full), "now all are taken");
        // One that waits makes room for a newcomer of this machine, one of somebody else does not.
        held[0].wait();
        assert_eq!(admission(&permits, PROXY), Some(Admission::Welcome));
        assert!(held[0].evicted.is_cancelled());
        drop(held);
        assert_eq!(permits.lock().from_this_machine, 0);
    }

    #[test]
    fn where_one_address_may_have_all_this_machine_may_too() {
        let permits = limits(16, 16);
        let _held = busy(&permits, PROXY, 16);
        assert_eq!(admission(&permits, PROXY), Some(Admission::AddressFull));
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
                let Some(permit) = permits.take(peer(from)) else { continue };
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
        assert_eq!((book.welcome, book.from_this_machine, book.refused), (0, 0, 0));
        assert!(book.by_network.is_empty() && book.waiting.is_empty());
    }
}
