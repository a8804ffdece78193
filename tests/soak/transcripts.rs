//! Valid requests, and their mutations: bytes changed, removed, doubled and joined anew.

use std::fs;
use std::path::Path;

use crate::random::Random;

/// Own transcripts, beside the fuzzer's seeds.
const TRANSCRIPTS: [&[u8]; 12] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /part/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /part/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /part/3 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n context\r\n0\r\nX-Trailer: t\r\n\r\n",
    b"POST /count HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
    b"GET /stream?pieces=3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nowhere?x=%00&y=%zz HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
];

/// Tokens that parsers have failed on.
const TOKENS: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"HTTP/1.1",
    b"\xff",
];

/// The folders of seeds that are requests as on the wire.
const SEEDS: [&str; 2] = ["fuzz/seeds/head", "fuzz/seeds/chunked"];

/// The transcripts to mutate.
pub(crate) struct Transcripts {
    all: Vec<Vec<u8>>,
}

impl Transcripts {
    pub(crate) fn load() -> Self {
        let mut all: Vec<Vec<u8>> = TRANSCRIPTS.iter().map(|bytes| bytes.to_vec()).collect();
        for folder in SEEDS {
            let mut paths: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            // Sorted, because the order of a folder depends on the file system.
            paths.sort();
            for path in paths {
                let bytes = fs::read(path).unwrap();
                all.push(match folder.ends_with("chunked") {
                    true => [
                        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                        &bytes[..],
                    ]
                    .concat(),
                    false => bytes,
                });
            }
        }
        Self { all }
    }

    /// One transcript, unchanged.
    pub(crate) fn whole(&self, random: &mut Random) -> Vec<u8> {
        random.pick(&self.all).clone()
    }

    /// One transcript after up to four changes.
    pub(crate) fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.whole(random);
        for _ in 0..random.below(5) {
            self.change(&mut bytes, random);
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = at + random.below((bytes.len() - at).min(32) + 1);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.bytes(1)[0],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let span = bytes[at..end].to_vec();
                bytes.splice(at..at, span);
            }
            4 => {
                let token = random.pick(&TOKENS).iter().copied();
                bytes.splice(at..at, token);
            }
            5 => bytes.truncate(at),
            _ => {
                let other = random.pick(&self.all);
                let from = random.below(other.len().max(1));
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
}
