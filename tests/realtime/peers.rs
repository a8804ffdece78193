//! Peers that ping without reading, that do not close, and that vanish.
//!
//! The servers here have deadlines of a fraction of a second. The tests wait for the action; only the harness's limit
//! on silence bounds its time.

use std::io::Write;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use squall::shards::Stop;
use squall::websocket::Limits;

use crate::command_handler::{End, serve};
use crate::support::running::{Running, SILENCE_MAX};
use crate::support::server::Server;
use crate::support::websocket::{Client, close, frame};

/// How much is published at most to a peer that the server must cut: at least ten seconds of publishing.
const PUBLISHED_MAX: u32 = 10_000;

/// The value of every deadline under test.
const SOON: Duration = Duration::from_millis(150);

/// More than any deadline under test.
const LATE: Duration = Duration::from_secs(600);

/// The end of the only socket of a server. The server is stopped, so that a second end would show.
#[track_caller]
fn only_end(server: Running, ends: &Receiver<End>) -> End {
    let end = ends.recv_timeout(SILENCE_MAX).expect("on_close runs");
    drop(server);
    assert_eq!(ends.iter().count(), 0, "on_close runs once");
    end
}

/// As CVE-2019-9512: a peer that pings without end and never reads is closed with 1008 once its kernel takes no more
/// pongs.
#[test]
fn closes_a_peer_that_pings_and_does_not_read() {
    let (server, ends) = serve(Limits::default(), |server| server);
    let mut client = Client::open_with_little_room(server.address, "/");
    let mut writer = client.writer();
    let pings = frame(0x89, &[b'p'; 125]).repeat(1000);
    let sending = std::thread::spawn(move || while writer.write_all(&pings).is_ok() {});
    // The client reads no pong before the server closes.
    let end = ends.recv_timeout(SILENCE_MAX).expect("the server has had enough");
    assert_eq!(end, (Some(1008), "too many pings".to_owned()));
    let mut pongs = 0;
    let last = loop {
        let frame = client.frame();
        if frame.first != 0x8a {
            break frame;
        }
        assert_eq!(frame.payload, [b'p'; 125]);
        pongs += 1;
    };
    assert_eq!(last.close_code(), Some(1008));
    assert!(pongs > 0, "a ping is answered until then");
    client.shut();
    sending.join().unwrap();
}

/// RFC 6455 §7.1.1: a peer that does not answer a close frame is cut.
#[test]
fn cuts_a_peer_that_does_not_answer_a_close_frame() {
    let limits = Limits::default().close_timeout(SOON).ping_interval(Duration::ZERO);
    let (server, ends) = serve(limits, |server| server.linger_timeout(LATE));
    let mut client = Client::open(server.address, "/");
    client.send(&frame(0x81, b"close 4000"));
    client.expect(0x88, &4000_u16.to_be_bytes());
    client.expect_end();
    assert_eq!(only_end(server, &ends), (None, String::new()));
}

/// RFC 6455 §7.1.1: a peer that sends on after a close frame is cut, and gets no response.
#[test]
fn cuts_a_peer_that_sends_on_after_a_close_frame() {
    let limits = Limits::default().close_timeout(SOON).ping_interval(Duration::ZERO);
    let (server, ends) = serve(limits, |server| server.linger_timeout(LATE));
    let mut client = Client::open(server.address, "/");
    client.send(&frame(0x81, b"close 4000"));
    let mut writer = client.writer();
    let block = [frame(0x81, b"echo me"), frame(0x89, b"ping")].concat().repeat(100);
    let sending = std::thread::spawn(move || while writer.write_all(&block).is_ok() {});
    client.expect(0x88, &4000_u16.to_be_bytes());
    client.expect_end();
    // The thread ends when the server takes no more.
    sending.join().unwrap();
    assert_eq!(only_end(server, &ends), (None, String::new()));
}

/// RFC 6455 §5.5.1, §7.1.1: after both close frames the server closes the transport. A peer that keeps its half open
/// is cut after the linger timeout.
#[test]
fn closes_a_connection_whose_peer_keeps_its_half_open() {
    let (server, ends) = serve(Limits::default(), |server| server.linger_timeout(SOON));
    let mut client = Client::open(server.address, "/");
    client.send(&close(1000, "bye"));
    client.expect(0x88, &1000_u16.to_be_bytes());
    client.expect_end();
    // Once the server has closed its socket, its kernel answers further bytes with a reset.
    while client.send_if_open(&[0]) {
        client.expect_end();
    }
    assert_eq!(only_end(server, &ends), (Some(1000), "bye".to_owned()));
}

/// RFC 6455 §7.4: legal codes are echoed; other codes, and one byte of a code, are answered with 1002.
#[test]
fn answers_only_legal_close_codes() {
    let server = Server::shared();
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send(&close(code, "why not"));
        client.expect(0x88, &code.to_be_bytes());
        client.expect_end();
    }
    let illegal = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(|code| close(code, ""));
    for bytes in illegal.into_iter().chain([frame(0x88, b"\x03")]) {
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send(&bytes);
        client.expect_close(1002);
    }
}

/// RFC 6455 §5.5.2: a peer that vanishes without a FIN is pinged and then closed; `on_close` runs once.
#[test]
fn closes_a_peer_that_answers_no_ping() {
    let limits = Limits::default().ping_interval(SOON).ping_timeout(SOON);
    let (server, ends) = serve(limits, |server| server.linger_timeout(SOON));
    let mut client = Client::open(server.address, "/");
    client.expect(0x89, b"");
    client.expect(0x88, &[&1011_u16.to_be_bytes()[..], b"ping timed out"].concat());
    client.expect_end();
    assert_eq!(only_end(server, &ends), (None, String::new()));
}

/// A peer that only answers pings stays connected; one that stops answering is cut.
#[test]
fn keeps_a_peer_that_answers_pings() {
    let limits = Limits::default()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(LATE);
    let (server, ends) = serve(limits, |server| server);
    let mut client = Client::open(server.address, "/");
    for _ in 0..10 {
        client.expect(0x89, b"");
        client.send(&frame(0x8a, b""));
    }
    client.send(&frame(0x81, b"still here"));
    // Another ping may have gone out before the echo.
    let echo = loop {
        let frame = client.frame();
        if frame.first != 0x89 {
            break frame;
        }
    };
    assert_eq!(echo.payload, b"still here");
    client.send(&close(1000, ""));
    assert_eq!(ends.recv_timeout(SILENCE_MAX).unwrap(), (Some(1000), String::new()));
}

/// RFC 6455 §7.4.1: a peer that sends without pause still gets 1001 at a graceful stop.
#[test]
fn a_peer_that_sends_without_pause_gets_1001_at_a_stop() {
    let (server, _ends) = serve(Limits::default(), |server| server.shutdown_timeout(LATE));
    let mut client = Client::open(server.address, "/");
    let sending = never_pause(&client);
    server.stopper.stop(Stop::Graceful);
    client.expect_close(1001);
    client.shut();
    sending.join().unwrap();
}

/// Sending without a pause does not keep a peer connected that reads nothing.
#[test]
fn cuts_a_peer_that_sends_without_pause_and_reads_nothing_more() {
    let (server, ends) = serve(Limits::default(), |server| server.write_timeout(SOON));
    let mut client = Client::open_with_little_room(server.address, "/");
    client.send(&frame(0x81, b"join t"));
    client.expect(0x81, b"joined");
    let sending = never_pause(&client);
    // Later messages replace earlier ones; in the end the kernels of both ends are full.
    let mut published = 0;
    let end = loop {
        server.publisher.publish("t", vec![7; 64 * 1024]).blocking().unwrap();
        published += 1;
        match ends.recv_timeout(Duration::from_millis(1)) {
            Ok(end) => break end,
            Err(_) => assert!(published < PUBLISHED_MAX, "on_close runs"),
        }
    };
    assert_eq!(end, (None, String::new()));
    sending.join().unwrap();
}

/// Sends pongs, which need no answer, until the server takes no more.
fn never_pause(client: &Client) -> JoinHandle<()> {
    let mut writer = client.writer();
    let pongs = frame(0x8a, b"").repeat(10_000);
    std::thread::spawn(move || while writer.write_all(&pongs).is_ok() {})
}

/// A peer that vanishes while the server sends to it, so that even pings do not get through, is cut after the write
/// timeout.
#[test]
fn cuts_a_peer_that_reads_nothing_more() {
    let (server, ends) = serve(Limits::default(), |server| server.write_timeout(SOON));
    let mut client = Client::open_with_little_room(server.address, "/");
    client.send(&frame(0x81, b"flood"));
    // The server drops the unsent bytes.
    client.await_reset();
    assert_eq!(only_end(server, &ends), (None, String::new()));
}
