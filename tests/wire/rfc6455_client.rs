//! A WebSocket client in literal bytes: it writes the handshake and frames by hand and reads the server's frames strictly, so that nothing
//! of Squall, nor of another library, decides what is right.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the server may stay silent before a test fails.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The key of RFC 6455 §1.3, and the answer it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n";

/// The masking key of every frame.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as it came: the first byte, and the payload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// An open WebSocket.
pub(crate) struct Client {
    stream: TcpStream,
}

/// The request that opens a WebSocket, with some field lines more.
pub(crate) fn handshake(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// A masked frame; `first` is FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A close frame.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

impl Client {
    /// Opens a WebSocket.
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, &handshake(path, ""), &[]).0
    }

    /// Opens one with a handshake of the test's own and bytes right behind it, and gives the head of the answer.
    pub(crate) fn open_with(address: SocketAddr, handshake: &[u8], early: &[u8]) -> (Self, String) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        let mut client = Self { stream };
        client.send(&[handshake, early].concat());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(client.read(1));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        (client, head)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let head = self.read(2);
        assert!(head[1] < 0x80, "a server's frame is masked: {head:?}");
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.read(2).try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.read(8).try_into().unwrap())).unwrap(),
            length => usize::from(length),
        };
        Frame {
            first: head[0],
            payload: self.read(length),
        }
    }

    /// Expects a frame.
    pub(crate) fn expect(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame();
        assert_eq!((frame.first, frame.payload.as_slice()), (first, payload));
    }

    /// Expects a close frame with a code, answers it, and expects the end of the connection.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let frame = self.frame();
        assert_eq!(frame.first, 0x88, "{frame:?}");
        assert_eq!(frame.payload.get(..2), Some(&code.to_be_bytes()[..]), "{frame:?}");
        self.stream.write_all(&close(code, "")).unwrap_or_default();
        self.expect_end();
    }

    /// Expects the end of the connection, orderly or not.
    pub(crate) fn expect_end(&mut self) {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not the end of the connection: {other:?}, {byte:?}"),
        }
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}
