//! Peers that are slow on purpose are cut; other clients are not affected.
//!
//! The servers here have timeouts of a fraction of a second. The only upper bound is the harness's limit on silence.
//! The tests do not sleep: they listen for a response between two bytes.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::*;
use crate::support::await_reset;

/// The value of every timeout under test, in seconds: short to wait for, and long beside the time between two calls
/// here.
const TIMEOUT_SECONDS: &str = "0.5";

/// How long a dribbling client waits between two bytes: much less than the timeout.
const DRIBBLE_INTERVAL: Duration = Duration::from_millis(50);

/// How many bytes a dribbling client sends at most: 45 s at its pace, long after every rule must have cut it.
const DRIBBLE_BYTES_MAX: usize = 900;

/// A server with short timeouts.
fn with_short_timeouts() -> Server {
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

/// Checks that the server ends the connection, with a 408 or silently.
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

/// A silent connection is closed (`docs/threats.md#slow-head`).
#[test]
fn closes_a_silent_connection() {
    let server = with_short_timeouts();
    let mut connection = server.connect();
    expect_cut(&mut connection).unwrap();
}

/// A head that stops half-way is cut (`docs/threats.md#slow-head`).
#[test]
fn cuts_a_head_that_stops() {
    let server = with_short_timeouts();
    for head in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut connection = server.connect();
        connection.send_if_open(head);
        expect_cut(&mut connection).unwrap();
    }
}

/// The time for a head is absolute: further bytes do not extend it (`docs/threats.md#slow-head`).
#[test]
fn cuts_a_head_of_one_byte_at_a_time() {
    let server = with_short_timeouts();
    let mut connection = server.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// The second head on a connection has the same time as the first (`docs/threats.md#slow-head`).
#[test]
fn cuts_a_second_head_of_one_byte_at_a_time() {
    let server = with_short_timeouts();
    let mut connection = server.connect();
    connection.send(&bytes(&[&get("/"), b"GET /"])).unwrap();
    connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// Two thousand connections that never finish a head, half silent and half dribbling, delay no other client and are
/// all cut (`docs/threats.md#slow-head`).
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
        // The last client is cut last.
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

/// A body that stops is cut (`docs/threats.md#slow-body`).
#[test]
fn cuts_a_body_that_stops() {
    let server = with_short_timeouts();
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

/// A body below 240 bytes a second is cut after at most 20 s, although it never stops. This is the slowest test of
/// the suite; it waits beside the others (`docs/threats.md#slow-body`).
#[test]
fn cuts_a_body_below_the_minimum_rate() {
    let server = with_short_timeouts();
    let mut connection = server.connect();
    connection.send(&post(b"Content-Length: 1000000\r\n", b"")).unwrap();
    dribble(&mut connection, b'x').unwrap();
}

/// A client that does not read its 16 MiB blocks neither a new connection on the same shard nor its own next request
/// (`docs/threats.md#slow-reader`).
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

/// A client that reads nothing more is reset one write timeout after its last read. Without the reset the server's
/// kernel would hold its unread bytes for minutes (`docs/threats.md#slow-reader`).
#[test]
fn resets_a_client_that_reads_nothing_for_the_write_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    /// Half of the delay that was seen when progress counted from the next check.
    const LATER_MAX: Duration = Duration::from_secs(1);
    let server = Server::start("conformance", &["--write-timeout", "2"]);
    let mut client = with_little_room(&server);
    let began = moment();
    client.write_all(&get("/big?n=16777216")).unwrap();
    await_reset(&client);
    let cut = began.elapsed();
    assert!(cut >= TIMEOUT && cut < TIMEOUT + LATER_MAX, "cut after {cut:?}");
}

/// A client that closes its half and reads nothing is reset as well, although the kernel has taken the whole
/// response. A plain close left the response in the kernel for minutes, outside of every limit
/// (`docs/threats.md#slow-reader`).
#[test]
fn resets_a_client_that_closes_its_half_and_reads_nothing() {
    let server = Server::start("conformance", &["--linger-timeout", "1"]);
    let request = get_with("/big?n=60000", b"Connection: close\r\n");
    for ends_after in [false, true] {
        let mut client = with_little_room(&server);
        client.write_all(&request).unwrap();
        if ends_after {
            // The server has finished its response by then, and waits for the client's end.
            client.peek(&mut [0]).unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        await_reset(&client);
    }
    // A client that reads gets all of it, and a normal end.
    let mut connection = server.connect();
    connection.send(&request).unwrap();
    connection.half_close().unwrap();
    let response = connection.response("GET").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 60_000));
    connection.expect_closed().unwrap();
}

/// A connection with a small receive buffer.
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

/// RFC 9112 §9.5: an idle connection is closed without a response, so that the client cannot take one for the
/// response to its next request.
#[test]
fn closes_an_idle_connection_without_a_word() {
    let server = with_short_timeouts();
    let mut connection = server.connect();
    connection.send(&get("/").repeat(2)).unwrap();
    for _ in 0..2 {
        connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    }
    connection.expect_closed().unwrap();
}
