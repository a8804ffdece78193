//! A server in a control group whose limit kills, and peers that ask for more memory than that: the server refuses,
//! and recovers.

#![expect(
    clippy::disallowed_types,
    reason = "a test process has no shards; its tests take turns"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::control_group::ControlGroup;
use crate::request_result::{RequestResult, SILENCE_MAX, TEXT, send_message_over, send_slow_request_over};
use crate::support::client::Connection;
use crate::support::descriptors::room_for;
use crate::support::eventually;
use crate::support::server::{PATIENT, Server};
use crate::support::skip::skip;
use crate::support::websocket::{Client, frame, handshake};

const MIB: u64 = 1024 * 1024;

/// How many peers send at the same time.
const PEERS: u64 = 150;

/// The least memory of an idle connection, kernel and process together (Linux 6.18: 1.6 KiB and 1.1 KiB).
const CONNECTION_BYTES: u64 = 2 * 1024;

/// After how many refusals a publisher gives up.
const REFUSALS_MAX: usize = 10;

/// How long a connection may wait before the test concludes that the server accepts no more.
const TIME_LIMIT: Duration = Duration::from_millis(300);

/// The documented minimum of memory for this number of shards.
const fn least_bytes(shards: usize) -> u64 {
    (8 + 14 * shards as u64) * MIB
}

/// Held by the running test: several loads at once would measure the machine.
static TURN: Mutex<()> = Mutex::new(());

/// A server in a group of its own.
struct ConfinedServer {
    server: Server,
    group: ControlGroup,
    _turn: MutexGuard<'static, ()>,
}

impl ConfinedServer {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Expects that the kernel has killed nothing.
    fn expect_alive(&self) {
        assert_eq!(
            self.group.kills(),
            0,
            "the server was killed; it said:\n{}",
            self.server.log()
        );
    }

    /// Expects that the server lives and answers a request with this content once there is memory.
    fn expect_serving(&self, content: &[u8]) {
        self.expect_alive();
        let request = upload(content);
        eventually("the server has memory again", || {
            let mut connection = self.server.connect();
            connection.tolerate_reset();
            connection.send_if_open(&request);
            let answer = connection.response("POST");
            answer.is_ok_and(|answer| answer.status == 200 && answer.body == content)
        });
    }
}

/// The limit of a group in bytes, and the shards of its server.
#[derive(Debug, Clone, Copy)]
struct MemoryCase {
    limit_bytes: u64,
    shards: usize,
}

impl MemoryCase {
    /// A group of this number of MiB.
    const fn new(limit: u64, shards: usize) -> Self {
        Self {
            limit_bytes: limit * MIB,
            shards,
        }
    }

    /// How much each peer sends: together one and a half times the group's limit.
    fn content_bytes(self) -> usize {
        usize::try_from(self.limit_bytes * 3 / 2 / PEERS).unwrap()
    }

    fn content(self) -> Vec<u8> {
        vec![b'x'; self.content_bytes()]
    }

    /// Starts a server that accepts what each peer sends. Skips if this machine cannot limit one.
    fn start(self) -> Option<ConfinedServer> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let group = group(self.limit_bytes)?;
        let bytes = self.content_bytes().to_string();
        let sizes = ["--max-body-bytes", &bytes, "--max-message-bytes", &bytes];
        let flags = [&PATIENT[..], &["--idle-timeout", "600"], &sizes].concat();
        let server = Server::start_by(group.command("conformance"), self.shards, &flags);
        Some(ConfinedServer {
            server,
            group,
            _turn: turn,
        })
    }

    /// Uploads that all send all but their last byte before any is complete.
    fn uploads(self) {
        let Some(confined) = self.start() else { return };
        let content = self.content();
        let request = upload(&content);
        let address = confined.address();
        let results = all_at_once(move |barrier| upload_with(barrier, address, &request, &content));
        expect_refusals(&results);
        confined.expect_serving(&self.content());
    }

    /// WebSocket messages that all send all but their last byte before any is complete.
    fn messages(self) {
        let Some(confined) = self.start() else { return };
        let message = self.content();
        let request = frame(TEXT, &message);
        let address = confined.address();
        let results = all_at_once(move |barrier| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
            stream.write_all(&handshake("/ws/echo", "")).unwrap();
            // It opens before memory is short; otherwise it would wait to be accepted.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
            barrier.wait();
            let pause = move || {
                barrier.wait();
            };
            send_message_over(stream, &request, pause, &message)
        });
        expect_refusals(&results);
        confined.expect_serving(&self.content());
    }

    /// Idle connections after a response, until the server accepts no more; then all of them send at once.
    fn idle_connections(self) {
        let Some(confined) = self.start() else { return };
        let wanted = room_for(usize::try_from(self.limit_bytes / CONNECTION_BYTES).unwrap());
        let mut served = Vec::new();
        for _ in 0..wanted {
            let mut connection = confined.server.connect();
            connection.tolerate_reset();
            connection.send_if_open(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            // It waits in the backlog for memory.
            if connection.listen_for(TIME_LIMIT).is_ok_and(|heard| heard.is_none()) {
                break;
            }
            let is_served = connection.response("GET").is_ok_and(|answer| answer.status == 200);
            served.extend(is_served.then_some(connection));
        }
        assert!(!served.is_empty(), "{self:?}: no connection was served");
        confined.expect_alive();
        // A request that fits the kernel's buffers, so that all of it has arrived when the server continues.
        let request = upload(&[b'x'; 6000]);
        let (first, last) = request.split_at(request.len() / 2);
        for part in [first, last] {
            confined.server.suspend();
            served.iter_mut().for_each(|connection| connection.send_if_open(part));
            confined.server.signal("CONT");
        }
        for connection in &mut served {
            // Served, refused or cut.
            if let Ok(answer) = connection.response("POST") {
                answer
                    .expect_status(200)
                    .or_else(|_| answer.expect_status(503))
                    .unwrap();
            }
        }
        confined.expect_alive();
        drop(served);
        confined.expect_serving(&self.content());
    }

    /// Peers that upload and read nothing of the response.
    fn unread_responses(self) {
        let Some(confined) = self.start() else { return };
        let request = upload(&self.content());
        let address = confined.address();
        let readers = all_at_once(move |barrier| {
            let mut reader = connect_with_little_room(address);
            reader.set_read_timeout(Some(SILENCE_MAX)).unwrap();
            reader.set_write_timeout(Some(SILENCE_MAX)).unwrap();
            reader
                .write_all(b"GET /status/204 HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                reader.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            barrier.wait();
            // The server may refuse it before it is complete; the response shows that.
            reader.write_all(&request).unwrap_or_default();
            // The first byte of the answer, or the end.
            let heard = reader.read(&mut [0]).is_ok_and(|count| count > 0);
            barrier.wait();
            heard.then_some(reader)
        });
        assert!(readers.iter().any(Option::is_some), "{self:?}: no upload was answered");
        confined.expect_alive();
        drop(readers);
        confined.expect_serving(&self.content());
    }

    /// Publishes twice the group's limit to two topics: one whose subscribers read nothing, and one with a history.
    fn history(self) {
        let Some(confined) = self.start() else { return };
        let _subscribers: Vec<Client> = (0..16)
            .map(|_| Client::open_with_little_room(confined.address(), "/ws/sub"))
            .collect();
        let message = frame(0x82, &self.content());
        for path in ["/ws/keep", "/ws/pub"] {
            // A publisher may be closed or refused for lack of memory; the next one may succeed. A bounded number of
            // refusals suffices.
            let (mut publisher, mut refusals) = (None, 0);
            for _ in 0..PEERS * 4 / 3 {
                let open = publisher.take().or_else(|| open_websocket(confined.address(), path));
                publisher = open.filter(|mut publisher: &TcpStream| publisher.write_all(&message).is_ok());
                refusals += usize::from(publisher.is_none());
                if refusals == REFUSALS_MAX {
                    break;
                }
            }
            confined.expect_alive();
        }
        confined.expect_serving(&self.content());
    }
}

/// More was sent than fits, so at least one must be refused. Which others are served depends on timing.
fn expect_refusals(results: &[RequestResult]) {
    assert!(
        results.contains(&RequestResult::Refused),
        "none was refused: {results:?}"
    );
}

/// A group with a limit in bytes, or `None`, and skipped, if this machine cannot make one.
fn group(limit_bytes: u64) -> Option<ControlGroup> {
    ControlGroup::make(limit_bytes).inspect_err(|lack| skip(lack)).ok()
}

fn upload(content: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    [head.as_bytes(), content].concat()
}

fn connect_with_little_room(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// Opens a WebSocket; `None` if the server answers 503 for lack of memory or lets it wait.
fn open_websocket(address: SocketAddr, path: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    stream.set_write_timeout(Some(SILENCE_MAX)).unwrap();
    stream.write_all(&handshake(path, "")).ok()?;
    let mut head = [0; 13];
    stream.read_exact(&mut head).ok()?;
    assert!(head.starts_with(b"HTTP/1.1 101 ") || head.starts_with(b"HTTP/1.1 503 "));
    head.starts_with(b"HTTP/1.1 101 ").then_some(stream)
}

/// Uploads over a connection that opens before memory is short. The last byte waits for all peers.
fn upload_with(barrier: Arc<Barrier>, address: SocketAddr, request: &[u8], content: &[u8]) -> RequestResult {
    let mut connection = Connection::open(address);
    let answer = connection.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET");
    answer.unwrap().expect_status(200).unwrap();
    barrier.wait();
    let pause = move || {
        barrier.wait();
    };
    send_slow_request_over(connection, request, pause, content)
}

/// Lets all peers do the same at once, synchronized by a barrier.
fn all_at_once<T: Send + 'static>(act: impl Fn(Arc<Barrier>) -> T + Send + Sync + 'static) -> Vec<T> {
    let peers = usize::try_from(PEERS).unwrap();
    let (act, barrier) = (Arc::new(act), Arc::new(Barrier::new(peers)));
    let peers: Vec<_> = (0..peers)
        .map(|_| {
            let (act, barrier) = (Arc::clone(&act), Arc::clone(&barrier));
            thread::spawn(move || act(barrier))
        })
        .collect();
    peers.into_iter().map(|peer| peer.join().unwrap()).collect()
}

#[test]
fn uploads_beyond_the_group_limit_are_refused() {
    MemoryCase::new(128, 1).uploads();
    MemoryCase::new(64, 2).uploads();
}

#[test]
fn messages_beyond_the_group_limit_close_their_sockets() {
    MemoryCase::new(128, 1).messages();
    MemoryCase::new(64, 2).messages();
}

#[test]
fn idle_connections_beyond_the_group_limit_wait_and_the_others_may_all_send() {
    MemoryCase::new(24, 1).idle_connections();
    MemoryCase::new(40, 2).idle_connections();
}

#[test]
fn unread_responses_stay_within_the_group_limit() {
    MemoryCase::new(96, 1).unread_responses();
    MemoryCase::new(64, 2).unread_responses();
}

#[test]
fn publications_stay_within_the_group_limit() {
    MemoryCase::new(64, 1).history();
    MemoryCase::new(64, 2).history();
}

#[test]
fn a_server_starts_with_the_documented_minimum_and_refuses_less() {
    for shards in [1, 2] {
        let least = least_bytes(shards);
        let setting = |limit_bytes| MemoryCase { limit_bytes, shards };
        if let Some(confined) = setting(least).start() {
            confined.expect_serving(b"ok");
        }
        let Some(group) = group(least - MIB) else { return };
        let arguments = ["--listen", "127.0.0.1:0", "--shards", &shards.to_string()].map(str::to_owned);
        let refused = group
            .command("conformance")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{said}");
        for number in [least, least - MIB].map(|bytes| format!("{} MiB", bytes / MIB)) {
            assert!(said.contains(&number), "{number}: {said}");
        }
    }
}

/// A limit set by a flag holds like a group's.
#[test]
fn a_server_stays_near_max_memory_bytes() {
    const LIMIT_BYTES: u64 = 100 * MIB;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = LIMIT_BYTES.to_string();
    let server = Server::start_with_shards("conformance", 1, &["--max-memory-bytes", &limit]);
    let content = vec![b'x'; 1024 * 1024];
    let request = upload(&content);
    let address = server.address();
    let results = all_at_once(move |barrier| upload_with(barrier, address, &request, &content));
    assert!(results.contains(&RequestResult::Refused), "{results:?}");
    // Without the pages of the program file, which the kernel can drop.
    let peak = server.peak_bytes() - server.file_bytes();
    assert!(peak < LIMIT_BYTES * 110 / 100, "{peak}");
}

/// Every load in groups from the minimum to 4 GiB.
#[test]
#[ignore = "takes some minutes and 16 GiB of memory; `.ci/long` runs it"]
fn every_load_stays_within_every_group_limit() {
    for shards in [1, 2] {
        let sizes = [least_bytes(shards) / MIB, 64, 128, 256, 512, 1024, 2048, 4096];
        for setting in sizes.map(|size| MemoryCase::new(size, shards)) {
            eprintln!("{setting:?}");
            setting.uploads();
            setting.messages();
            setting.unread_responses();
            setting.history();
            setting.idle_connections();
        }
    }
}
