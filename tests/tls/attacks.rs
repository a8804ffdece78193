//! Peers that violate TLS, or keep it waiting.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use squall::prelude::*;

use crate::authority::Authority;
use crate::client::{Options, SILENCE_MAX};
use crate::support::running::Running;

/// A short patience, so that a test of it ends soon.
const PATIENCE: Duration = Duration::from_millis(500);

fn start(handshake_timeout: Duration) -> (Authority, Running) {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let application = || Application::new().get("/", async |_: &mut Context| "hello");
    let server = Server::new(application).shards(1).handshake_timeout(handshake_timeout);
    (authority, Running::serve(server.tls(own.tls())))
}

fn open(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until the server closes; a reset counts as an end.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    rest
}

/// The server still serves others.
#[track_caller]
fn serves(authority: &Authority, running: &Running) {
    let mut client = Options::trusting(authority).connect(running.address).unwrap();
    assert!(client.get("localhost", "/").unwrap().ends_with("hello"));
}

/// A handshake record with a hello of zeros, whose length is announced but never reached.
fn hello(bytes: usize) -> Vec<u8> {
    let message = [&[1, 0, 0xff, 0xff][..], &vec![0; bytes]].concat();
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &length, piece].concat()
    };
    message.chunks(16 * 1024).flat_map(record).collect()
}

/// One deadline for the whole handshake, whatever trickles.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test waits on a thread outside the shards")]
fn a_handshake_that_stops_or_trickles_ends_at_its_deadline() {
    let (authority, running) = start(PATIENCE);
    let silent = open(&running);
    let mut begun = open(&running);
    begun.write_all(&hello(100)).unwrap();
    let mut trickling = open(&running);
    let trickle = hello(4096);
    for byte in trickle {
        if trickling.write_all(&[byte]).is_err() {
            break;
        }
        // The pace of the trickle; the server's deadline decides.
        std::thread::sleep(Duration::from_millis(1));
    }
    for stream in [&silent, &begun, &trickling] {
        assert_eq!(rest(stream), b"");
    }
    serves(&authority, &running);
}

/// An end in the middle of a handshake ends the connection.
#[test]
fn an_end_during_the_handshake_ends_the_connection() {
    let (authority, running) = start(SILENCE_MAX);
    let mut half = open(&running);
    half.write_all(&hello(100)).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&half), b"");
    // A warning alert close_notify without encryption.
    let mut closing = open(&running);
    closing.write_all(&[22, 3, 1, 0, 4, 1, 0, 0, 100]).unwrap();
    closing.write_all(&[21, 3, 3, 0, 2, 1, 0]).unwrap();
    closing.shutdown(std::net::Shutdown::Write).unwrap();
    rest(&closing);
    serves(&authority, &running);
}

/// A hello of 64 KiB, and garbage behind a first byte that looks right.
#[test]
fn garbage_and_endless_hellos_get_an_alert() {
    let (authority, running) = start(SILENCE_MAX);
    let garbage = [&[22, 3, 1, 0xff, 0xff][..], &[0x55; 100]].concat();
    for bytes in [hello(0xffff), garbage, vec![22; 64]] {
        let mut stream = open(&running);
        // The server may close before it has read all.
        drop(stream.write_all(&bytes));
        let answer = rest(&stream);
        // A fatal alert in a record without encryption, unless a reset has overtaken it.
        assert!(answer.is_empty() || answer.starts_with(&[21, 3]), "{answer:?}");
    }
    serves(&authority, &running);
}

/// HTTP without TLS on the port of TLS.
#[test]
fn a_request_without_tls_is_answered_400() {
    let (authority, running) = start(SILENCE_MAX);
    for request in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\x80\x2e\x01", b"\0"] {
        let mut stream = open(&running);
        stream.write_all(request).unwrap();
        let answer = String::from_utf8(rest(&stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.ends_with("use an https:// URL.\n"), "{answer}");
    }
    serves(&authority, &running);
}

/// Records that carry nothing end the connection or are passed over, while others are served.
#[test]
fn a_flood_of_invalid_records_ends_its_connection_alone() {
    let (authority, running) = start(SILENCE_MAX);
    let mut flooding = Options::trusting(&authority).connect(running.address).unwrap();
    flooding.get("localhost", "/").unwrap();
    let records = [20, 3, 3, 0, 1, 1].repeat(100_000);
    drop(flooding.stream.write_all(&records));
    serves(&authority, &running);
    rest(&flooding.stream);
}

/// Two hundred handshakes on one shard, eight at a time, take their turns and complete.
#[test]
fn many_handshakes_at_once_complete() {
    let (authority, running) = start(Duration::from_secs(60));
    let options = Options::trusting(&authority);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (options, address) = (options.clone(), running.address);
            std::thread::spawn(move || {
                for _ in 0..25 {
                    let mut client = options.connect(address).unwrap();
                    assert!(client.get("localhost", "/").unwrap().ends_with("hello"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
