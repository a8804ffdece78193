//! tungstenite at the other end of a wire in memory: each side reads what the other writes.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::coding::CloseCode as TheirCode;
use tungstenite::protocol::{CloseFrame as TheirFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message as Theirs, WebSocket};

use super::super::{CloseCode, Connection, Event, Limits, Payload};
use super::transcript::{Seen, run_pieces};
use super::{CONTINUATION, FIN, PING, TEXT, deflaters, epoch, masked};

/// Bytes to read, and bytes written.
#[derive(Default)]
struct Wire {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.incoming.len());
        buffer[..length].copy_from_slice(&self.incoming[..length]);
        self.incoming.drain(..length);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: Role) -> WebSocket<Wire> {
    WebSocket::from_raw_socket(Wire::default(), role, Some(WebSocketConfig::default()))
}

fn seen(message: Theirs) -> Seen {
    match message {
        Theirs::Text(text) => Seen::Text(text.as_str().to_owned()),
        Theirs::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        Theirs::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        Theirs::Pong(bytes) => Seen::Pong(bytes.to_vec()),
        Theirs::Close(frame) => Seen::Close(frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()))),
        Theirs::Frame(frame) => panic!("{frame}"),
    }
}

fn messages() -> Vec<Theirs> {
    let mut messages: Vec<_> = [0, 1, 125, 126, 65535, 65536, 200_000]
        .into_iter()
        .flat_map(|length| [Theirs::text("é".repeat(length / 2)), Theirs::binary(vec![0xfe; length])])
        .collect();
    messages.push(Theirs::Ping(vec![1; 125].into()));
    messages.push(Theirs::Pong(b"pong".to_vec().into()));
    messages
}

#[test]
fn a_server_reads_the_frames_of_tungstenites_client() {
    let mut client = theirs(Role::Client);
    for message in messages() {
        client.send(message).unwrap();
    }
    let frame = TheirFrame {
        code: TheirCode::Away,
        reason: "goodbye".into(),
    };
    client.close(Some(frame)).unwrap();
    let outcome = run_pieces(client.get_ref().outgoing.chunks(1000), &Limits::default(), None);
    let mut expected: Vec<_> = messages().into_iter().map(seen).collect();
    expected.push(Seen::Close(Some((1001, "goodbye".to_owned()))));
    assert!(outcome.events == expected);

    client.get_mut().incoming = outcome.sent;
    let echoed: Vec<_> = messages()
        .into_iter()
        .filter(|message| !message.is_ping() && !message.is_pong())
        .collect();
    for message in echoed {
        assert!(client.read().unwrap() == message);
    }
    assert_eq!(seen(client.read().unwrap()), Seen::Pong(vec![1; 125]));
    assert_eq!(seen(client.read().unwrap()), Seen::Close(Some((1001, String::new()))));
}

#[test]
fn tungstenites_server_reads_the_frames_of_a_client() {
    let mut server = theirs(Role::Server);
    let mask_keys = Box::new(|| [0xde, 0xad, 0xbe, 0xef]);
    let mut client = Connection::client(Limits::default().into(), None, mask_keys, epoch());
    let mut deflaters = deflaters();
    let mut out = Vec::new();
    for message in messages() {
        match &message {
            Theirs::Text(text) => client.send(text.as_str(), &mut deflaters, &mut out).unwrap(),
            Theirs::Binary(bytes) => client.send(&bytes[..], &mut deflaters, &mut out).unwrap(),
            Theirs::Ping(bytes) => client.ping(bytes, &mut out).unwrap(),
            _ => continue,
        }
        server.get_mut().incoming.append(&mut out);
        assert!(server.read().unwrap() == message);
    }
    client.close(CloseCode::NORMAL, "done", epoch(), &mut out).unwrap();
    server.get_mut().incoming.append(&mut out);
    assert_eq!(
        seen(server.read().unwrap()),
        Seen::Close(Some((1000, "done".to_owned())))
    );
    server.flush().unwrap_or_default();

    let answered = core::mem::take(&mut server.get_mut().outgoing);
    let mut input = answered.as_slice();
    let event = client.receive(&mut input, &mut deflaters, epoch()).unwrap();
    assert!(matches!(event, Event::Close(Some(frame)) if frame.code == CloseCode::NORMAL));
    assert_eq!(input, b"");
}

/// Squall rejects what tungstenite rejects.
#[test]
fn frames_that_tungstenite_rejects_are_rejected() {
    let transcripts = [
        masked(FIN | 3, b""),
        masked(FIN | 0x70, b""),
        masked(PING, b""),
        masked(FIN | PING, &[0; 126]),
        masked(FIN | CONTINUATION, b""),
        [masked(TEXT, b""), masked(TEXT, b"")].concat(),
        masked(FIN | TEXT, b"\xff"),
        [masked(TEXT, b"\xf4"), masked(CONTINUATION, b"\x90")].concat(),
        vec![FIN | TEXT, 0],
    ];
    for bytes in transcripts {
        let mut server = theirs(Role::Server);
        server.get_mut().incoming.clone_from(&bytes);
        let refusal = server.read().unwrap_err();
        assert!(!matches!(refusal, Error::Io(_)), "{bytes:02x?}: {refusal}");
        assert!(
            run_pieces([bytes.as_slice()], &Limits::default(), None).error.is_some(),
            "{bytes:02x?}"
        );
    }
}

#[test]
fn payloads_convert() {
    assert_eq!(Payload::from("x").as_bytes(), b"x");
    assert_eq!(Payload::from(&b"x"[..]), Payload::Binary(b"x"));
}
