//! Frames as literal bytes over a socket, and just enough of HPACK to read a status. It shares no code with the server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::server::Server;

/// How long the server may stay silent before a test fails.
const SILENCE_MAX: Duration = Duration::from_secs(20);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & 1 != 0
    }

    /// The number at the front of the payload, from a byte on.
    pub(crate) fn number(&self, from: usize) -> u32 {
        u32::from_be_bytes(self.payload[from..from + 4].try_into().unwrap())
    }

    /// The status of a response's first block: indexed, or a literal of three digits.
    pub(crate) fn status(&self) -> u16 {
        match self.payload[..] {
            [0x88, ..] => 200,
            [0x89, ..] => 204,
            [0x8a, ..] => 206,
            [0x8b, ..] => 304,
            [0x8c, ..] => 400,
            [0x8d, ..] => 404,
            [0x8e, ..] => 500,
            [0x48, 3, a, b, c, ..] => String::from_utf8(vec![a, b, c]).unwrap().parse().unwrap(),
            [0x48, 0x82, a, b, ..] => three_digits([a, b, 0]),
            [0x48, 0x83, a, b, c, ..] => three_digits([a, b, c]),
            _ => panic!("no status in {:02x?}", self.payload),
        }
    }
}

/// Reads three digits in the code of Huffman (RFC 7541, appendix B). The digits 0 to 2 have five bits; 3 to 9 have six,
/// from 0x19 on.
fn three_digits(bytes: [u8; 3]) -> u16 {
    let mut bits = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]);
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match bits >> 27 {
            digit @ 0..=2 => (digit, 5),
            _ => ((bits >> 26) - 0x19 + 3, 6),
        };
        assert!(digit < 10, "no digits in {bytes:02x?}");
        number = 10 * number + u16::try_from(digit).unwrap();
        bits <<= length;
    }
    number
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of literals that no table stores.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for string in [name, value] {
            assert!(string.len() < 127, "a longer string has a longer prefix");
            bytes.push(u8::try_from(string.len()).unwrap());
            bytes.extend(string.as_bytes());
        }
    }
    bytes
}

/// HEADERS of a request with more fields.
pub(crate) fn request(stream: u32, method: &str, path: &str, ends: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
    ];
    all.extend(fields);
    frame(HEADERS, 4 | u8::from(ends), stream, &block(&all))
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    request(stream, "GET", path, true, &[])
}

pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    request(stream, "POST", path, false, &[])
}

pub(crate) fn data(stream: u32, ends: bool, content: &[u8]) -> Vec<u8> {
    frame(DATA, u8::from(ends), stream, content)
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in entries {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The preface, settings, and the acknowledgement of the server's.
pub(crate) fn first_bytes(entries: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &settings(entries), &frame(SETTINGS, 1, 0, b"")].concat()
}

/// A response as it was received.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Vec<u8>,
}

/// A connection to the server.
pub(crate) struct Http2 {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Http2 {
    /// Opens a connection and sends the first bytes.
    pub(crate) fn open(server: &Server) -> Self {
        Self::open_with(server, &[])
    }

    pub(crate) fn open_with(server: &Server, entries: &[(u16, u32)]) -> Self {
        let mut connection = Self::connect(server);
        connection.send(&first_bytes(entries));
        connection
    }

    /// Opens a connection and sends nothing.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::connect_to(server.address())
    }

    /// Opens a connection to a server of this process, and sends the first bytes.
    pub(crate) fn open_to(address: SocketAddr) -> Self {
        let mut connection = Self::connect_to(address);
        connection.send(&first_bytes(&[]));
        connection
    }

    fn connect_to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        stream.set_write_timeout(Some(SILENCE_MAX)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes to a server that may have closed; returns whether it took them.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Ends the sending half.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Resets the connection.
    pub(crate) fn abort(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Waits for a frame; `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(header) = self.received.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                assert!(length <= 16_384, "a frame is too long");
                if self.received.len() >= 9 + length {
                    let header = *header;
                    let payload = self.received[9..9 + length].to_vec();
                    self.received.drain(..9 + length);
                    return Some(Frame {
                        kind: header[3],
                        flags: header[4],
                        stream: u32::from_be_bytes([header[5], header[6], header[7], header[8]]),
                        payload,
                    });
                }
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.received.extend(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the server is silent: {error}"),
            }
        }
    }

    /// Waits for a frame of a type, and drops those before it.
    #[track_caller]
    pub(crate) fn frame_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().expect("the connection ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Waits for the response of a stream. Window updates are sent as content comes.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        loop {
            let frame = self.frame().expect("the connection ended");
            assert!(frame.kind != GOAWAY || frame.number(4) == 0, "{frame:?}");
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS if answer.status == 0 => answer.status = frame.status(),
                DATA => answer.content.extend(&frame.payload),
                RST_STREAM => panic!("the stream was reset: {}", frame.number(0)),
                _ => {}
            }
            if frame.ends_stream() {
                return answer;
            }
            if frame.kind == DATA && !frame.payload.is_empty() {
                let length = u32::try_from(frame.payload.len()).unwrap();
                self.send(&[window_update(stream, length), window_update(0, length)].concat());
            }
        }
    }

    /// Sends a GET and waits for its response.
    #[track_caller]
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> Answer {
        self.send(&get(stream, path));
        self.answer(stream)
    }

    /// Waits for the end of the connection; returns the code of its last GOAWAY.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame() {
            if frame.kind == GOAWAY {
                code = Some(frame.number(4));
            }
        }
        code
    }
}
