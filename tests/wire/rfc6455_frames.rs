//! Frames, messages and the end of a WebSocket (RFC 6455 §5–§7) over the wire.

use super::rfc6455_client::{Client, close, frame};
use super::support::server::Server;

/// §5.4, §5.5: a message in pieces is one message, and control frames between the pieces are answered at once.
#[test]
fn a_message_in_fragments_is_one_message_and_pings_between_them_are_answered() {
    let server = Server::shared();
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&frame(0x01, b"Hel"));
    client.send(&frame(0x89, b"ping"));
    client.expect(0x8a, b"ping");
    client.send(&frame(0x00, b"lo, "));
    client.send(&frame(0x8a, b"unasked for"));
    client.send(&frame(0x80, b"world"));
    client.expect(0x81, b"Hello, world");
}

/// §5.2: every form of the length, both ways.
#[test]
fn messages_of_every_length_come_back_whole() {
    let server = Server::shared();
    let mut client = Client::open(server.address(), "/ws/echo");
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1024 * 1024] {
        let payload: Vec<u8> = (0..251).cycle().take(length).collect();
        client.send(&frame(0x82, &payload));
        let echoed = client.frame();
        assert!(echoed.first == 0x82 && echoed.payload == payload, "{length} bytes");
    }
}

/// §7.4.1: each violation closes the connection with its code.
#[test]
fn what_breaks_the_protocol_is_answered_with_its_close_code() {
    let server = Server::shared();
    let mut unmasked = frame(0x81, b"a");
    unmasked[1] &= 0x7f;
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0xc1, b"reserved bit without an extension"), 1002),
        (frame(0x83, b"reserved opcode"), 1002),
        (frame(0x80, b"nothing to continue"), 1002),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        (frame(0x09, b"a ping in fragments"), 1002),
        (frame(0x88, b"\x03"), 1002),
        (close(1005, ""), 1002),
        (close(999, ""), 1002),
        (frame(0x81, b"\xce\xba\xed\xa0\x80"), 1007),
        (frame(0x01, b"\xff"), 1007),
        (frame(0x88, b"\x03\xe8\xff"), 1007),
    ] {
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send(&bytes);
        client.expect_close(code);
    }
}

/// §7.4.1: the header of a message that is too big is refused before any payload is kept.
#[test]
fn a_message_that_is_too_big_is_refused_by_its_header() {
    let server = Server::start("conformance", &["--max-message-bytes", "1000"]);
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&frame(0x82, &[7; 1000]));
    client.expect(0x82, &[7; 1000]);
    client.send(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    client.expect_close(1009);
}

/// §7.1.4, §7.1.5: a close frame is answered with its code, then the server closes the connection.
#[test]
fn a_close_frame_is_answered_with_its_code() {
    let server = Server::shared();
    for code in [1000, 1001, 3000, 4999] {
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send(&[frame(0x81, b"last words"), close(code, "bye")].concat());
        client.expect(0x81, b"last words");
        client.expect(0x88, &code.to_be_bytes());
        client.expect_end();
    }
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&frame(0x88, b""));
    client.expect(0x88, b"");
    client.expect_end();
}

/// §7.1.1: a half-close without a close frame ends the connection on the server's side too.
#[test]
fn a_half_close_without_a_close_frame_ends_the_connection() {
    let server = Server::shared();
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&frame(0x81, b"a"));
    client.expect(0x81, b"a");
    client.half_close();
    client.expect_end();
}

/// §7.4.1: a graceful stop sends every socket 1001, and ends when they have answered.
#[test]
fn a_graceful_stop_closes_every_socket_with_1001() {
    let server = Server::start("conformance", &[]);
    let mut clients: Vec<_> = ["/ws/echo", "/ws/sub", "/ws/pub"]
        .iter()
        .cycle()
        .take(9)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|path| Client::open(server.address(), path))
        .collect();
    server.terminate();
    clients.iter_mut().for_each(|client| client.expect_close(1001));
    assert!(server.wait().success());
}

/// Every message published reaches every subscriber of every shard, in the order in which one publisher sent them.
#[test]
fn subscribers_on_all_shards_get_every_message_in_order() {
    const MESSAGES: u32 = 500;
    let server = Server::start_with_shards("conformance", 2, &[]);
    let mut subscribers: Vec<_> = (0..16).map(|_| Client::open(server.address(), "/ws/sub")).collect();
    for subscriber in &mut subscribers {
        // A pong confirms the subscription before the first frame is read.
        subscriber.send(&frame(0x89, b""));
        subscriber.expect(0x8a, b"");
    }
    let mut publisher = Client::open(server.address(), "/ws/pub");
    for number in 0..MESSAGES {
        publisher.send(&frame(0x82, &number.to_be_bytes()));
    }
    for subscriber in &mut subscribers {
        for number in 0..MESSAGES {
            subscriber.expect(0x82, &number.to_be_bytes());
        }
    }
}
