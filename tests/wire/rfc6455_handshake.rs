//! Opening a WebSocket (RFC 6455 §4) over the wire.

use super::rfc6455_client::{Client, frame, handshake};
use super::support::server::Server;

/// §4.2.1, §4.4: an incomplete handshake is answered with what it lacks, and the connection stays HTTP.
#[test]
fn an_incomplete_handshake_is_answered_with_what_it_lacks() {
    let server = Server::shared();
    let whole = String::from_utf8(handshake("/ws/echo", "")).unwrap();
    let without = |line: &str| whole.replace(&format!("{line}\r\n"), "");
    for (request, status) in [
        ("GET /ws/echo HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (without("Upgrade: websocket"), 400),
        (without("Connection: Upgrade"), 400),
        (without("Sec-WebSocket-Version: 13"), 426),
        (whole.replace("Version: 13", "Version: 8"), 426),
        (without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (whole.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400),
        (whole.replacen("GET", "POST", 1), 405),
    ] {
        let mut connection = server.connect();
        let response = connection.exchange(request.as_bytes(), "GET").unwrap();
        response.expect_status(status).unwrap();
        if status == 426 {
            assert_eq!(response.field("sec-websocket-version"), Some(&b"13"[..]), "{request}");
        }
        let again = connection
            .exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
            .unwrap();
        again.expect(200, b"ok").unwrap();
    }
}

/// §4.2.2: frames right behind the handshake in the same packet are kept, also one that is cut in two.
#[test]
fn frames_that_come_with_the_handshake_are_answered() {
    let server = Server::shared();
    let frames = [frame(0x81, b"one"), frame(0x82, b"two"), frame(0x81, b"three")].concat();
    for split in 0..frames.len() {
        let (early, late) = frames.split_at(split);
        let (mut client, _) = Client::open_with(server.address(), &handshake("/ws/echo", ""), early);
        client.send(late);
        client.expect(0x81, b"one");
        client.expect(0x82, b"two");
        client.expect(0x81, b"three");
    }
}

/// RFC 9112 §9.3.2: requests before the handshake on the same connection are answered first.
#[test]
fn a_request_pipelined_in_front_of_the_handshake_is_answered_first() {
    let server = Server::shared();
    let mut connection = server.connect();
    let requests = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), handshake("/ws/echo", "")].concat();
    connection.send(&requests).unwrap();
    connection.response("GET").unwrap().expect(200, b"ok").unwrap();
    connection.response("GET").unwrap().expect_status(101).unwrap();
}

/// RFC 7692 §5: compression is negotiated if it is offered, and never otherwise.
#[test]
fn compression_is_agreed_upon_when_it_is_offered() {
    let server = Server::shared();
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut client, head) = Client::open_with(server.address(), &handshake("/ws/echo", offer), &[]);
    assert!(head.contains("sec-websocket-extensions: permessage-deflate"), "{head}");
    // "Hello" deflated, from RFC 7692 §7.2.3.1.
    client.send(&frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
    client.expect(0x81, b"Hello");
    let (_, head) = Client::open_with(server.address(), &handshake("/ws/echo", ""), &[]);
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
}
