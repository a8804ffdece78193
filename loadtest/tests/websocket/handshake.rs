//! Servers that fail the WebSocket handshake.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use tungstenite::handshake::derive_accept_key;

use crate::server::{answering, echoing, read_head};
use crate::support::command::run;
use crate::support::serve_streams;

/// Asserts that `run` fails with `reason` against a server, both as an echo and as a topic.
fn assert_refused(address: SocketAddr, reason: &str) {
    assert_refused_after(address, "10s", reason);
}

fn assert_refused_after(address: SocketAddr, timeout: &str, reason: &str) {
    let echo = format!("ws://{address}/ws/echo");
    run(&[&echo, "--timeout", timeout]).assert_failed_because(reason);
    let (subscribe, publish) = (format!("ws://{address}/ws/sub"), format!("ws://{address}/ws/pub"));
    run(&[&subscribe, "--publish", &publish, "--timeout", timeout]).assert_failed_because(reason);
}

#[test]
fn answer_other_than_101_is_named() {
    let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_refused(answering(answer), "answered 404 Not Found, not 101 Switching Protocols");
}

#[test]
fn wrong_accept_key_is_named() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_refused(
        answering(answer),
        "Sec-WebSocket-Accept is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`, but",
    );
}

#[test]
fn declined_compression_is_named() {
    let echo = format!("ws://{}/ws/echo", echoing(|_, message| Some(vec![message])));
    run(&[&echo, "--hold", "--deflate"]).assert_failed_because("declines permessage-deflate");
}

#[test]
fn compressed_echo_is_read() {
    let address = serve_streams(|_, mut stream| {
        let head = read_head(&mut stream);
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let mut frame = [0; 2 + 4 + 64];
        while stream.read_exact(&mut frame).is_ok() {
            let (mask, payload) = frame[2..].split_at(4);
            let payload: Vec<u8> = payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            // A stored block (RFC 1951 section 3.2.4), then the empty block without its last four bytes (RFC 7692
            // section 7.2.1).
            let stored = [&[0xC2, 70, 0, 64, 0, !64, 0xFF], payload.as_slice(), &[0]].concat();
            if stream.write_all(&stored).is_err() {
                return;
            }
        }
    });
    let echo = format!("ws://{address}/ws/echo");
    let ended = run(&[&echo, "--hold", "--deflate", "-c", "3", "--duration", "100ms", "--json"]);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.outcome()["still_open"], 3);
}

#[test]
fn garbage_is_named() {
    assert_refused(answering("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "is not HTTP");
}

#[test]
fn server_that_closes_at_once_is_named() {
    assert_refused(answering(""), "closed the connection during the handshake");
}

#[test]
fn silent_server_fails_after_the_timeout() {
    let address = serve_streams(|_, mut stream| {
        read_head(&mut stream);
        thread::park();
    });
    assert_refused_after(address, "200ms", "did not answer within --timeout");
}

#[test]
fn refused_port_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_refused(address, "refused");
}

#[test]
fn flags_that_contradict_the_url_are_named() {
    for (arguments, reason) in [
        (
            &[
                "http://127.0.0.1:1/events",
                "--publish",
                "ws://127.0.0.1:1/ws/pub",
                "--slow-heads",
                "1",
            ][..],
            "--slow-heads needs an http:// target without --publish",
        ),
        (
            &["ws://127.0.0.1:1/ws/sub", "--publish", "http://127.0.0.1:1/ws/pub"],
            "must start with ws://",
        ),
        (
            &[
                "ws://127.0.0.1:1/",
                "--publish",
                "ws://127.0.0.1:1/",
                "--message-bytes",
                "15",
            ],
            "16 bytes or more, not 15",
        ),
    ] {
        run(arguments).assert_failed_because(reason);
    }
}
