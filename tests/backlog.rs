//! More clients connect at once than the backlog of a suspended server holds; every client is answered in the end
//! (`docs/threats.md#backlog-overflow`).
//!
//! This many clients have a test process of their own, so that other tests keep their descriptors and their time.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use support::client::Connection;
use support::server::Server;

/// How many clients connect, if the limit on open files allows it.
const CLIENTS: usize = 20_000;

/// Clients per source address: a fraction of its 28,000 ports, so that a free port is found at once.
const CLIENTS_PER_ADDRESS: usize = 5000;

/// How long the handshake of a client may take. The kernel repeats it after 1, 3, 7, 15 and 31 s; almost all succeed
/// with the second or third.
const TIME_LIMIT: Duration = Duration::from_secs(40);

/// The kernel may reset one client in this many if the backlog had no room for it; the test then connects it again.
/// In 40 runs it reset 2 of 779,520. The kernel keeps half-open handshakes, but drops old ones once they exceed half
/// of the backlog (`reqsk_timer_handler`), and resets a client that then sends. A client that fits the backlog is
/// never reset.
const RESET_ONE_OF: usize = 1000;

/// The last request of a connection, so that the server keeps as few of them open as possible.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Begins to connect and returns at once.
fn knock(number: usize, server: SocketAddr) -> TcpStream {
    let host = u8::try_from(1 + number / CLIENTS_PER_ADDRESS).unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 2, host), 0));
    socket.bind(&own.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            panic!("client {number}: {error}")
        }
        _ => {}
    }
    socket.into()
}

/// Waits until a client is connected, and sends its request.
fn ask(client: &mut TcpStream) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_write_timeout(Some(TIME_LIMIT))?;
    client.write_all(REQUEST)
}

/// A setting of the kernel; `None` where this process cannot see it.
fn setting(path: &str) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How often the kernel found a backlog full in this network namespace; `None` if it does not report that.
fn overflows() -> Option<u64> {
    let counters = fs::read_to_string("/proc/net/netstat").ok()?;
    let mut lines = counters.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "ListenOverflows")?;
    value.parse().ok()
}

#[test]
fn every_client_that_connects_to_a_suspended_server_is_answered() {
    if setting("/proc/sys/net/ipv4/tcp_abort_on_overflow") == Some(1) {
        return support::skip::skip(
            "this kernel resets connections that its backlog has no room for (tcp_abort_on_overflow)",
        );
    }
    let count = support::descriptors::room_for(CLIENTS);
    // A connected client waits until all clients before it are connected.
    let time_limit = TIME_LIMIT.as_secs().to_string();
    let server = Server::start("conformance", &["--header-timeout", &time_limit]);
    let overflows_before = overflows();

    server.suspend();
    let mut clients: Vec<TcpStream> = (0..count).map(|number| knock(number, server.address())).collect();
    let overflows_now = overflows();
    server.signal("CONT");

    let backlog = setting("/proc/sys/net/core/somaxconn");
    if let (Some(backlog), Some(before), Some(now)) = (backlog, overflows_before, overflows_now) {
        // The kernel keeps one connection more than the configured backlog.
        let is_surplus = count > backlog + 1;
        assert!(
            !is_surplus || now > before,
            "{count} clients did not overflow a backlog of {backlog}"
        );
    }
    for (number, client) in clients.iter_mut().enumerate() {
        ask(client).unwrap_or_else(|error| panic!("client {number} of {count} was not let in: {error}"));
    }
    let (mut reset_by_kernel, known) = (0, backlog.unwrap_or(0));
    for (number, mut client) in clients.into_iter().enumerate() {
        client.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        let heard = client.peek(&mut [0]);
        if number > known && heard.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset) {
            reset_by_kernel += 1;
            client = knock(number, server.address());
            ask(&mut client).unwrap();
        }
        let answered = Connection::over(client).map_err(|error| error.to_string());
        let answered = answered.and_then(|mut connection| {
            connection.response("GET")?.expect(200, b"ok")?;
            connection.expect_closed()
        });
        answered.unwrap_or_else(|complaint| panic!("client {number} of {count}: {complaint}"));
    }
    assert!(
        reset_by_kernel <= count / RESET_ONE_OF,
        "{reset_by_kernel} of {count} clients were reset"
    );
}
