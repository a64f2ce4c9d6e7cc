//! Listening sockets, and what to say if the port is taken.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::config::Listen;
use crate::invocation;

/// Opens the sockets: at the named address, or at loopback with IPv4 and, if the machine has it,
/// IPv6.
///
/// Errors: the port is taken (the message says by what, and has the command with a free one), it
/// needs rights that we do not have, or the address is not one of this machine.
pub fn bind(listen: &Listen) -> anyhow::Result<Vec<TcpListener>> {
    let taken = match try_bind(listen.host, listen.port)? {
        Bound::All(listeners) => return Ok(listeners),
        Bound::Taken(address) => address,
    };
    // A port that the system has chosen for IPv4 may be taken for IPv6. Then the system chooses
    // again.
    for _ in 0..CHOICES * u32::from(listen.port == 0) {
        if let Bound::All(listeners) = try_bind(listen.host, 0)? {
            return Ok(listeners);
        }
    }
    bail!(busy(taken, listen.host))
}

/// How often the system is asked for another free port.
const CHOICES: u32 = 10;

enum Bound {
    All(Vec<TcpListener>),
    /// The first address at which another program listens.
    Taken(SocketAddr),
}

fn try_bind(host: Option<IpAddr>, port: u16) -> anyhow::Result<Bound> {
    let first = SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), port);
    let Some(listener) = bind_address(first)? else { return Ok(Bound::Taken(first)) };
    if host.is_some() {
        return Ok(Bound::All(vec![listener]));
    }
    // With port 0 the system has chosen one, which IPv6 then uses too.
    let port = listener.local_addr().context("read the chosen port")?.port();
    let second = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    Ok(both(listener, second, TcpListener::bind(second)))
}

/// The sockets of loopback, where IPv4 is `first`.
fn both(first: TcpListener, second: SocketAddr, bound: io::Result<TcpListener>) -> Bound {
    match bound {
        Ok(second) => Bound::All(vec![first, second]),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Bound::Taken(second),
        // This machine has no IPv6, so loopback is IPv4 alone.
        Err(_) => Bound::All(vec![first]),
    }
}

/// `None` if another program listens there.
fn bind_address(address: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(refused(address, &error)),
    }
}

/// The error for an address at which this process cannot listen.
fn refused(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow!(
            "port {}: this user may not listen there; use one from 1024 upwards, as `{}`",
            address.port(),
            invocation::on_port("7860")
        ),
        ErrorKind::AddrNotAvailable => anyhow!(
            "--host {}: expected an address of this machine, and it has no such address",
            address.ip()
        ),
        _ => anyhow!(
            "cannot listen on {address}: {error}; name another address with --host and --port"
        ),
    }
}

fn busy(address: SocketAddr, host: Option<IpAddr>) -> String {
    let what = who_answers(address).unwrap_or_else(|| "a program that is not a web server".into());
    let advice = match free_port(address.port(), host) {
        Some(port) => format!("port {port} is free: `{}`", invocation::on_port(&port.to_string())),
        None => format!("use a free one: `{}`", invocation::on_port("PORT")),
    };
    format!("port {} is taken: {what} answers there; {advice}", address.port())
}

/// How long the program at a taken port has to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

pub fn who_answers(address: SocketAddr) -> Option<String> {
    let target = if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    };
    let mut stream = TcpStream::connect_timeout(&target, ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).ok()?;
    let port = address.port();
    let request =
        format!("GET /health HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0_u8; 2048];
    let length = stream.read(&mut answer).ok()?;
    describe(&String::from_utf8_lossy(&answer[..length]))
}

fn describe(answer: &str) -> Option<String> {
    if !answer.starts_with("HTTP/1.") {
        return None;
    }
    let server = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server").then(|| value.trim())
    });
    Some(match server {
        Some(name) if name.starts_with("banter") => "another banter".to_string(),
        Some(name) => {
            let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            format!("a web server ({name})")
        }
        None => "a web server".to_string(),
    })
}

fn free_port(after: u16, host: Option<IpAddr>) -> Option<u16> {
    (after.saturating_add(1)..=after.saturating_add(100))
        .find(|&port| port > after && matches!(try_bind(host, port), Ok(Bound::All(_))))
}

/// The addresses at which other machines reach a server that listens at all addresses: for IPv4 and
/// IPv6 the address that this machine uses for connections to others.
pub fn addresses_in_the_network(bound: SocketAddr) -> Vec<SocketAddr> {
    // These addresses are reserved for documentation. Nothing is sent; the system only chooses a
    // route.
    let elsewhere: [SocketAddr; 2] = [
        (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
    ];
    // A socket that listens at all IPv6 addresses also accepts IPv4 connections.
    let families = elsewhere.into_iter().filter(|elsewhere| elsewhere.is_ipv4() || bound.is_ipv6());
    let addresses = families.filter_map(|elsewhere| {
        let any: IpAddr = match elsewhere {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(elsewhere).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then(|| SocketAddr::new(ip, bound.port()))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_port(answer: &'static str) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the question comes");
            let mut request = [0; 512];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        });
        (port, server)
    }

    #[test]
    fn a_taken_port_is_named_with_what_answers_there_and_a_free_one() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nserver: banter/0.1.0\r\n\r\n{}", "another banter"),
            ("HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\n", "a web server (nginx)"),
            ("HTTP/1.0 200 OK\r\n\r\n", "a web server"),
            ("SSH-2.0-OpenSSH\r\n", "a program that is not a web server"),
        ];
        for (answer, who) in cases {
            let (port, server) = taken_port(answer);
            let listen = Listen { host: Some(Ipv4Addr::LOCALHOST.into()), port };
            let message = bind(&listen).expect_err("the port is taken").to_string();
            assert!(message.contains(&format!("port {port} is taken: {who} answers")), "{message}");
            assert!(message.contains("--port "), "{message}");
            server.join().expect("the other server ends");
        }
    }

    #[test]
    fn both_loopback_families_share_a_chosen_port() {
        let listeners = bind(&Listen { host: None, port: 0 }).expect("a free port");
        let ports: Vec<u16> =
            listeners.iter().map(|l| l.local_addr().expect("bound").port()).collect();
        assert!(ports.iter().all(|&port| port != 0 && port == ports[0]), "{ports:?}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused_by_name() {
        let host = "192.0.2.1".parse().expect("an address for documentation");
        let message =
            bind(&Listen { host: Some(host), port: 0 }).expect_err("not ours").to_string();
        assert!(message.contains("--host 192.0.2.1"), "{message}");
    }

    #[test]
    fn k5_each_reason_not_to_listen_is_told_with_what_to_do() {
        let address: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let cases = [
            (libc::EACCES, "port 80: this user may not listen there; use one from 1024 upwards"),
            (libc::EADDRNOTAVAIL, "--host 127.0.0.1: expected an address of this machine"),
            (libc::EAFNOSUPPORT, "cannot listen on 127.0.0.1:80: "),
        ];
        for (code, expected) in cases {
            let error = refused(address, &io::Error::from_raw_os_error(code));
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn k5_without_ipv6_loopback_is_ipv4_alone_but_a_taken_port_is_told() {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let second = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
        for code in [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT] {
            let bound = both(free(), second, Err(io::Error::from_raw_os_error(code)));
            let Bound::All(listeners) = bound else { panic!("{code}: taken") };
            assert_eq!(listeners.len(), 1, "{code}");
        }
        let taken = both(free(), second, Err(io::Error::from_raw_os_error(libc::EADDRINUSE)));
        assert!(matches!(taken, Bound::Taken(address) if address == second));
    }

    #[test]
    fn k5_a_port_that_is_taken_on_one_of_both_families_is_named() {
        for taken in [Ipv6Addr::LOCALHOST.into(), IpAddr::from(Ipv4Addr::LOCALHOST)] {
            // A machine without IPv6 has nobody to take the port there.
            let Ok(listener) = TcpListener::bind((taken, 0)) else { continue };
            let port = listener.local_addr().expect("its address").port();
            let error = bind(&Listen { host: None, port }).expect_err("it is taken").to_string();
            assert!(error.contains(&format!("port {port} is taken")), "{error}");
        }
    }

    #[test]
    fn addresses_that_are_named_for_others_are_of_this_machine() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let bound = listener.local_addr().expect("its address");
        for address in addresses_in_the_network(bound) {
            assert!(address.is_ipv4() && address.port() == bound.port(), "{address}");
            let stream = TcpStream::connect(address).expect("it leads here");
            assert_eq!(stream.peer_addr().expect("connected"), address);
        }
    }
}
