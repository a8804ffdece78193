//! Rows B01–B03: peers that are slow on purpose are cut; peers that are merely beside them notice nothing.
//!
//! The servers here have timeouts of a fraction of a second. The only upper bound is the harness's patience with a silent
//! server; nothing sleeps, the pace of a dribble is how long the test listens for an answer between two bytes.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::*;
use crate::support::await_reset;

/// What every timeout under test is set to, in seconds: short to wait for, long beside the gap between two calls here.
const TIMEOUT_SECONDS: &str = "0.5";

/// How long a dribbling client waits between two bytes: much less than the timeout.
const DRIBBLE_INTERVAL: Duration = Duration::from_millis(50);

/// How many bytes a dribbling client sends at most; at its pace, 45 s, long after every rule must have cut it.
const DRIBBLE_BYTES_MAX: usize = 900;

/// A server that loses patience quickly.
fn impatient() -> Server {
    let flags = [
        "--header-timeout",
        TIMEOUT_SECONDS,
        "--idle-timeout",
        TIMEOUT_SECONDS,
        "--body-timeout",
        TIMEOUT_SECONDS,
    ];
    Server::start("conformance", &flags)
}

/// Checks that the server ends the connection, after a 408 that says so or without a word.
fn expect_cut(connection: &mut Connection) -> Outcome<()> {
    for response in connection.responses_until_end(&[])? {
        response.expect_status(408)?;
        ensure(response.announces_close(), || {
            format!("a 408 must say close: {response:?}")
        })?;
    }
    Ok(())
}

/// Sends a byte at a time, at a steady pace, until the server answers or closes.
fn dribble(connection: &mut Connection, byte: u8) -> Outcome<()> {
    connection.tolerate_reset();
    for _ in 0..DRIBBLE_BYTES_MAX {
        connection.send_if_open(&[byte]);
        if connection.listen_for(DRIBBLE_INTERVAL)?.is_some() {
            return expect_cut(connection);
        }
    }
    Err(format!(
        "the server put up with {DRIBBLE_BYTES_MAX} bytes, one every {DRIBBLE_INTERVAL:?}"
    ))
}

/// B01: a connection on which nothing ever comes is closed.
#[test]
fn closes_a_silent_connection() {
    let server = impatient();
    let mut connection = server.connect();
    expect_cut(&mut connection).unwrap();
}

/// B01: a head that stops half-way is cut.
#[test]
fn cuts_a_head_that_stops() {
    let server = impatient();
    for head in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut connection = server.connect();
        connection.send_if_open(head);
        expect_cut(&mut connection).unwrap();
    }
}

/// B01: the time for a head is absolute; a byte now and then does not prolong it.
#[test]
fn cuts_a_head_of_one_byte_at_a_time() {
    let server = impatient();
    let mut connection = server.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// B01: the second head on a connection has no more time than the first.
#[test]
fn cuts_a_second_head_of_one_byte_at_a_time() {
    let server = impatient();
    let mut connection = server.connect();
    connection.send(&bytes(&[&get("/"), b"GET /"])).unwrap();
    connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// B01: two thousand connections that never finish a head, half of them silent and half of them dribbling, delay nobody and are all cut.
#[test]
fn serves_others_beside_two_thousand_slow_heads_and_cuts_them_all() {
    let count = descriptors::room_for(2000);
    let server = Server::start("conformance", &["--header-timeout", "2"]);
    let mut slow: Vec<Connection> = (0..count).map(|_| server.connect()).collect();
    let dribbling = &mut slow[count / 2..];
    for connection in &mut *dribbling {
        connection.tolerate_reset();
        connection.send_if_open(b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
    }
    let mut other = server.connect();
    for _ in 0..DRIBBLE_BYTES_MAX {
        for connection in &mut *dribbling {
            connection.send_if_open(b"x");
        }
        other.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
        // Who came last is cut last.
        if dribbling[dribbling.len() - 1]
            .listen_for(DRIBBLE_INTERVAL)
            .unwrap()
            .is_some()
        {
            break;
        }
    }
    for connection in &mut slow {
        expect_cut(connection).unwrap();
    }
    still_usable(&mut other).unwrap();
}

/// B02: a body that stops is cut.
#[test]
fn cuts_a_body_that_stops() {
    let server = impatient();
    let requests = [
        post(b"Content-Length: 1000000\r\n", b""),
        post(b"Content-Length: 1000000\r\n", b"some"),
        post_chunked(b"5\r\nhello\r\n"),
        post_chunked(b"5\r\nhello\r\n0\r\nX: y\r\n"),
    ];
    for request in requests {
        let mut connection = server.connect();
        connection.send(&request).unwrap();
        expect_cut(&mut connection).unwrap();
    }
}

/// B02: a body that comes too slowly is cut although it never quite stops: below 240 bytes a second after 20 s at the
/// latest. This is the slowest test of the suite, and it waits beside the others.
#[test]
fn cuts_a_body_below_the_minimum_rate() {
    let server = impatient();
    let mut connection = server.connect();
    connection.send(&post(b"Content-Length: 1000000\r\n", b"")).unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// B03: a client that does not read its 16 MiB holds up neither a new connection on the same shard nor itself.
#[test]
fn serves_others_beside_a_client_that_does_not_read() {
    const CONTENT_BYTES: usize = 16 * 1024 * 1024;
    let server = Server::shared();
    let mut lazy = server.connect();
    lazy.send(&get(&format!("/big?n={CONTENT_BYTES}"))).unwrap();
    let mut other = server.connect();
    for _ in 0..100 {
        other.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    }
    let response = lazy.response("GET").unwrap();
    assert_eq!((response.status, response.body.len()), (200, CONTENT_BYTES));
    still_usable(&mut lazy).unwrap();
}

/// B03: a client that takes nothing more is cut when the write timeout has passed since it took the last, not later, and by a reset: until then
/// the server's system would keep what the client does not take, for minutes.
#[test]
fn resets_a_client_that_reads_nothing_for_the_write_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    /// Half of what it took where a part that was taken counted from the next look.
    const LATER_MAX: Duration = Duration::from_secs(1);
    let server = Server::start("conformance", &["--write-timeout", "2"]);
    let mut client = with_little_room(&server);
    let began = moment();
    client.write_all(&get("/big?n=16777216")).unwrap();
    await_reset(&client);
    let cut = began.elapsed();
    assert!(cut >= TIMEOUT && cut < TIMEOUT + LATER_MAX, "cut after {cut:?}");
}

/// B03: a client that closes its half and takes nothing of a response that the server's system has taken whole is reset as well. A connection that
/// was closed at once left the response in the system for minutes, and was counted by no limit.
#[test]
fn resets_a_client_that_closes_its_half_and_reads_nothing() {
    let server = Server::start("conformance", &["--linger-timeout", "1"]);
    let request = get_with("/big?n=60000", b"Connection: close\r\n");
    for ends_after in [false, true] {
        let mut client = with_little_room(&server);
        client.write_all(&request).unwrap();
        if ends_after {
            // The server is at the end of its response by then, and waits for the client's.
            client.peek(&mut [0]).unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        await_reset(&client);
    }
    // One that takes it reads all of it, and an end that is no failure.
    let mut connection = server.connect();
    connection.send(&request).unwrap();
    connection.half_close().unwrap();
    let response = connection.response("GET").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 60_000));
    connection.expect_closed().unwrap();
}

/// A connection of which the client's system keeps little.
fn with_little_room(server: &Server) -> TcpStream {
    const ROOM_BYTES: usize = 16 * 1024;
    let socket = Socket::new(Domain::for_address(server.address()), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(ROOM_BYTES).unwrap();
    socket.connect(&server.address().into()).unwrap();
    socket.into()
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock, outside the shards")]
fn moment() -> Instant {
    Instant::now()
}

/// RFC 9112 §9.5: a connection that is idle after a request is closed without a word, which no client can take for the answer
/// to its next request (Tornado replay row 26).
#[test]
fn closes_an_idle_connection_without_a_word() {
    let server = impatient();
    let mut connection = server.connect();
    connection.send(&get("/").repeat(2)).unwrap();
    for _ in 0..2 {
        connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    }
    connection.expect_closed().unwrap();
}
