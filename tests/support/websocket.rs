//! A WebSocket client in literal bytes. It writes handshake and frames by hand and parses the server's frames
//! strictly, without code of Squall or of another library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long the server may stay silent before a test fails.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;

/// The receive buffer of a peer with little room. The server's kernel holds up to 4 MiB for it as well.
const ROOM_BYTES: usize = 16 * 1024;

/// The key of RFC 6455 §1.3, and the value it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n";

/// The masking key of every frame.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A received frame: the first byte, and the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// An open WebSocket, and the received bytes that were not read.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    consumed: usize,
}

/// The request that opens a WebSocket, with additional field lines.
pub(crate) fn handshake(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// A masked frame; `first` is FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(first);
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

impl Frame {
    pub(crate) fn new(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            first,
            payload: payload.into(),
        }
    }

    /// The code of a close frame; `None` for any other frame and for a close frame without a code.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().filter(|_| self.first == 0x88);
        code.map(|code| u16::from_be_bytes(*code))
    }

    /// Reads the frame at the front of `bytes` and returns its length; `None` while it is incomplete.
    ///
    /// # Panics
    ///
    /// When it is masked, or its length is not written in the fewest bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, length, ..] = *bytes else { return None };
        assert!(length < 0x80, "a server's frame is masked: {first:02x} {length:02x}");
        let (length, least, start) = match length {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 126, 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 65_536, 10),
            length => (u64::from(length), 0, 2),
        };
        assert!(length >= least, "a length of {length} takes fewer bytes");
        let end = start + usize::try_from(length).unwrap();
        let payload = bytes.get(start..end)?;
        Some((Self::new(first, payload), end))
    }
}

impl Client {
    /// Opens a WebSocket.
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, &handshake(path, ""), &[]).0
    }

    /// Opens one with the test's own handshake and bytes right behind it, and returns the head of the response.
    pub(crate) fn open_with(address: SocketAddr, handshake: &[u8], early: &[u8]) -> (Self, String) {
        let mut client = Self::connect(address);
        client.send(&[handshake, early].concat());
        let head = client.expect_open();
        (client, head)
    }

    /// Opens a WebSocket with a small receive buffer, so that a server soon has to wait.
    pub(crate) fn open_with_little_room(address: SocketAddr, path: &str) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(ROOM_BYTES).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = Self::over(socket.into());
        client.send(&handshake(path, ""));
        client.expect_open();
        client
    }

    /// Waits until the server has reset the connection, and reads nothing.
    #[track_caller]
    pub(crate) fn await_reset(&self) {
        super::await_reset(&self.stream);
    }

    /// Connects without a handshake.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        Self {
            stream,
            received: Vec::new(),
            consumed: 0,
        }
    }

    /// Expects the response that opens the WebSocket, and returns its head.
    pub(crate) fn expect_open(&mut self) -> String {
        let length = loop {
            let end = self.pending().windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.fill(),
            }
        };
        let head = String::from_utf8(self.take(length)).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        head
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends to a server that may have closed already; returns whether it took the bytes.
    pub(crate) fn send_if_open(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Another handle of the socket, to write to while this one reads.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        loop {
            if let Some((frame, length)) = Frame::read(self.pending()) {
                self.consumed += length;
                return frame;
            }
            self.fill();
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
        assert_eq!(frame.close_code(), Some(code), "{frame:?}");
        self.stream.write_all(&close(code, "")).unwrap_or_default();
        self.expect_end();
    }

    /// Expects the end of the connection, orderly or not.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.pending(), b"", "not the end of the connection");
        let mut byte = [0];
        match self.receive(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not the end of the connection: {other:?}, {byte:?}"),
        }
    }

    /// Shuts both halves of the connection, also for other handles of the socket.
    pub(crate) fn shut(&self) {
        self.stream.shutdown(Shutdown::Both).unwrap_or_default();
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn pending(&self) -> &[u8] {
        self.received.get(self.consumed..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.pending().get(..length).unwrap_or_default().to_vec();
        self.consumed += length;
        taken
    }

    fn fill(&mut self) {
        self.received.drain(..self.consumed);
        self.consumed = 0;
        let mut piece = [0; READ_BYTES];
        let count = self.receive(&mut piece).unwrap();
        self.received.extend_from_slice(piece.get(..count).unwrap_or_default());
        assert!(count > 0, "the server closed after {:?}", super::show(&self.received));
    }

    /// Receives once. A signal to this process may interrupt the wait, since servers run in it.
    fn receive(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
