//! A killed server with open connections restarts at once on its address. A start on the address of a living process
//! fails, with an error that names the process.
//!
//! The kernel closes the sockets of an io_uring after the process has ended. So the address stays in use for a while
//! without an owner.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use squall::shards::hand_over;
use support::client::Connection;
use support::server::{Server, command, run_to_end};

/// How often a server is killed and started again.
const RESTARTS: usize = 12;

/// The connections of a killed server, some in the middle of a request.
const CONNECTIONS: usize = 40;

/// How long a server may stay silent before a test fails.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Starts a server on this address and on one of its own, which it announces.
fn start(shards: usize, address: &str, flags: &[&str]) -> Server {
    let flags: Vec<&str> = ["--listen", address].iter().chain(flags).copied().collect();
    Server::start_by(command("conformance"), shards, &flags)
}

/// Kills a server repeatedly while clients are connected, and starts the next at once.
fn kill_and_restart(shards: usize, address: &str, flags: &[&str], connect: impl Fn() -> Client) {
    let mut server = start(shards, address, flags);
    for _ in 0..RESTARTS {
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            // The killed server's listener accepted none of them.
            client.exchange();
            if number % 2 == 0 {
                client.write(b"GET / HTTP/1.1\r\nHost: ");
            }
        }
        server.kill();
        let next = start(shards, address, flags);
        server.wait();
        server = next;
    }
}

enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
        .unwrap();
    }

    /// Sends a request and expects its response.
    fn exchange(&mut self) {
        self.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut answer = [0; 4096];
        let length = match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
                stream.read(&mut answer)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
                stream.read(&mut answer)
            }
        };
        let answer = &answer[..length.unwrap()];
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", support::show(answer));
    }
}

/// A free port outside the kernel's automatic range (`ip_local_port_range` begins at 32,768), so that it stays free
/// between two servers.
fn free_port(host: &str) -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap() + 15_000;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    let free = ports.find_map(|port| TcpListener::bind((host, port)).ok()).unwrap();
    free.local_addr().unwrap().to_string()
}

fn tcp(address: &str) -> impl Fn() -> Client {
    move || Client::Tcp(TcpStream::connect(address).unwrap())
}

#[test]
fn a_killed_server_is_started_again_at_once_on_its_port() {
    let address = free_port("127.0.0.1");
    kill_and_restart(2, &address, &[], tcp(&address));
}

#[test]
fn a_killed_server_is_started_again_at_once_on_a_port_it_may_share() {
    let address = free_port("127.0.0.1");
    kill_and_restart(2, &address, &["--share-port"], tcp(&address));
}

#[test]
fn a_killed_server_is_started_again_at_once_on_its_port_of_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return support::skip::skip("this machine has no IPv6 on its loopback device");
    }
    let address = free_port("::1");
    kill_and_restart(1, &address, &[], tcp(&address));
}

#[test]
fn a_killed_server_is_started_again_at_once_on_its_unix_socket() {
    let folder = Folder::new("restarts");
    let path = folder.0.join("socket");
    let connect = || Client::Unix(UnixStream::connect(&path).unwrap());
    kill_and_restart(2, &unix(&path), &[], connect);
}

#[test]
fn a_stop_removes_the_file_of_a_unix_socket_that_the_server_has_bound() {
    let folder = Folder::new("removed");
    let path = folder.0.join("socket");
    let server = start(2, &unix(&path), &[]);
    let mut client = Client::Unix(UnixStream::connect(&path).unwrap());
    client.exchange();
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    assert!(!path.exists());
}

#[test]
fn a_stop_leaves_the_file_of_a_unix_socket_that_was_handed_over() {
    let folder = Folder::new("handed-over");
    let path = folder.0.join("socket");
    // As systemd does, which keeps the socket for the next start.
    let manager = UnixListener::bind(&path).unwrap();
    let mut command = command("conformance");
    let handed_over = hand_over(&mut command, &[manager.as_fd()]).unwrap();
    let server = Server::start_by(command, 2, &["--listen", "systemd"]);
    drop(handed_over);
    let mut client = Client::Unix(UnixStream::connect(&path).unwrap());
    client.exchange();
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    assert!(path.exists());
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A folder of this process, removed when it is dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_start_on_an_address_of_another_server_names_its_process() {
    let folder = Folder::new("named");
    let path = folder.0.join("socket");
    let server = start(1, &unix(&path), &[]);
    let tcp = server.address();
    for (listen, shown) in [
        (tcp.to_string(), tcp.to_string()),
        (format!("0.0.0.0:{}", tcp.port()), format!("0.0.0.0:{}", tcp.port())),
        (unix(&path), path.display().to_string()),
    ] {
        let output = run_to_end("conformance", &["--listen", &listen, "--shards", "1"]);
        let said = String::from_utf8(output.stderr).unwrap();
        let sentence = format!(
            "could not listen on {shown}: the address is in use by process {} (conformance); stop it or choose another address\n",
            server.id()
        );
        assert!(said.contains(&sentence), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
    // The first server still serves.
    let mut connection = Connection::open(tcp);
    assert_eq!(
        connection
            .exchange(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET")
            .unwrap()
            .status,
        200
    );
}

/// Runs a second server on the address of the first, which must refuse it with this reason, and still serve.
fn is_refused(first: &Server, flags: &[&str], reason: &str) {
    let address = first.address().to_string();
    let arguments: Vec<&str> = ["--listen", &address, "--shards", "2"]
        .iter()
        .chain(flags)
        .copied()
        .collect();
    let output = run_to_end("conformance", &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    let holder = format!("the address is in use by process {} (conformance)", first.id());
    assert!(said.contains(&format!("{holder}{reason}\n")), "{said}");
    assert_eq!(output.status.code(), Some(1));
    for _ in 0..20 {
        tcp(&address)().exchange();
    }
}

const NOT_SHARED: &str = ", which does not share it; start both with --share-port or choose another address";

#[test]
fn a_server_that_shares_its_port_is_refused_beside_one_that_does_not() {
    let first = start(2, "127.0.0.1:0", &[]);
    is_refused(&first, &["--share-port"], NOT_SHARED);
    // Nor does it take the connections of one address from a server on all of them.
    let address = free_port("0.0.0.0");
    let _everywhere = start(1, &address, &[]);
    let address = address.replace("0.0.0.0", "127.0.0.1");
    let output = run_to_end("conformance", &["--listen", &address, "--shards", "1", "--share-port"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(NOT_SHARED), "{said}");
}

#[test]
fn a_server_that_does_not_share_its_port_is_refused_beside_one_that_does() {
    let first = start(2, "127.0.0.1:0", &["--share-port"]);
    is_refused(&first, &[], "; stop it or choose another address");
}

#[test]
fn two_servers_that_share_a_port_both_listen_and_the_second_serves_alone_once_the_first_has_ended() {
    let address = free_port("127.0.0.1");
    let first = start(1, &address, &["--share-port"]);
    let second = start(1, &address, &["--share-port"]);
    first.terminate();
    first.wait();
    for _ in 0..20 {
        tcp(&address)().exchange();
    }
    drop(second);
}

#[test]
fn the_lock_of_a_port_ends_with_a_killed_server() {
    let address = free_port("127.0.0.1");
    let first = start(2, &address, &[]);
    first.kill();
    let next = start(2, &address, &["--share-port"]);
    first.wait();
    // The address is now shared.
    let beside = start(2, &address, &["--share-port"]);
    next.terminate();
    next.wait();
    tcp(&address)().exchange();
    drop(beside);
}
