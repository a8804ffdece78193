//! Frames that are malformed, too large, too many, or compressed bombs.

use std::io::Write;

use flate2::{Compress, Compression, FlushCompress};

use crate::support::server::Server;
use crate::support::websocket::{Client, close, frame, handshake};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// How much the server may grow while it refuses: room for buffers, allocator slack and a debug build.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The default limit on a message.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Checks that these bytes close the connection with this code, and that another connection is still served.
fn refused(server: &Server, bytes: &[u8], code: u16) {
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send_if_open(bytes);
    client.expect_close(code);
    let mut other = Client::open(server.address(), "/ws/echo");
    other.send(&frame(0x81, b"still there?"));
    other.expect(0x81, b"still there?");
}

/// RFC 6455 §5.2: the header decides about a length; the server waits for nothing and keeps nothing.
#[test]
fn refuses_a_declared_length_by_its_header() {
    let server = Server::start("conformance", &[]);
    let header = |length: u64| [&[0x82, 0xff], &length.to_be_bytes()[..], &MASK].concat();
    for (length, code) in [
        (1 << 63 | 1, 1002),
        (u64::MAX, 1002),
        (1 << 62, 1009),
        (1 << 30, 1009),
        (MESSAGE_BYTES_MAX as u64 + 1, 1009),
    ] {
        refused(&server, &header(length), code);
    }
    let before = server.resident_bytes();
    let waiting: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = Client::open(server.address(), "/ws/echo");
            client.send(&header(MESSAGE_BYTES_MAX as u64));
            client.send(&[0]);
            client
        })
        .collect();
    refused(&server, &header(1 << 30), 1009);
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth < GROWTH_BYTES_MAX,
        "{growth} bytes for {} headers",
        waiting.len()
    );
}

/// RFC 6455 §5: each malformed frame closes the connection with 1002.
#[test]
fn refuses_malformed_frames_with_1002() {
    let server = Server::shared();
    let mut unmasked = frame(0x81, b"Hello");
    unmasked[1] &= 0x7f;
    let mut cases = vec![
        unmasked,
        frame(0x89, &[0; 126]),
        frame(0x8a, &[0; 126]),
        frame(0x09, b"a ping in fragments"),
        frame(0x08, b""),
        frame(0x80, b"nothing to continue"),
        [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
        [&[0x82, 0xfe, 0, 125], &MASK[..]].concat(),
        [&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &MASK[..]].concat(),
    ];
    cases.extend((1..8).map(|bits| frame(0x81 | bits << 4, b"reserved bits")));
    cases.extend([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|opcode| frame(0x80 | opcode, b"reserved opcode")));
    for case in cases {
        refused(&server, &case, 1002);
    }
}

/// CVE-2026-42786: endless fragments of one byte, or of none, are refused at the 1025th with 1008.
#[test]
fn refuses_more_than_1024_fragments_with_1008() {
    let server = Server::start("conformance", &[]);
    for piece in [&b""[..], b"x"] {
        let before = server.resident_bytes();
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send(&frame(0x02, piece));
        let mut writer = client.writer();
        let block = frame(0x00, piece).repeat(1000);
        let sending = std::thread::spawn(move || while writer.write_all(&block).is_ok() {});
        client.expect_close(1008);
        client.shut();
        sending.join().unwrap();
        let growth = server.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes");
    }
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&[frame(0x02, b""), frame(0x00, b"x").repeat(1022), frame(0x80, b"")].concat());
    client.expect(0x82, &[b'x'; 1022]);
}

/// RFC 6455 §7.4.1: the limit applies to the message, over all its fragments.
#[test]
fn refuses_fragments_that_add_up_beyond_the_limit_with_1009() {
    let server = Server::shared();
    let piece = [7; 16 * 1024];
    let full = [frame(0x02, &piece), frame(0x00, &piece).repeat(63)].concat();
    refused(&server, &[full.as_slice(), &frame(0x80, &piece)].concat(), 1009);
    refused(&server, &[full.as_slice(), &frame(0x80, b"x")].concat(), 1009);
    let mut client = Client::open(server.address(), "/ws/echo");
    client.send(&[full.as_slice(), &frame(0x80, b"")].concat());
    let echoed = client.frame();
    assert_eq!((echoed.first, echoed.payload.len()), (0x82, MESSAGE_BYTES_MAX));
}

/// RFC 6455 §8.1: invalid UTF-8 is refused at its first bad byte, wherever frames are cut, before the message ends.
#[test]
fn refuses_invalid_utf_8_at_the_first_bad_byte() {
    let server = Server::shared();
    for bytes in [
        &b"\xed\xa0\x80"[..],
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf4\x90\x80\x80",
        b"\xf0\x82\x82\xac",
        b"\xff",
    ] {
        let text = [b"text ", bytes].concat();
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            refused(&server, &[frame(0x01, first), frame(0x00, second)].concat(), 1007);
        }
        // An incomplete frame.
        let mut long = frame(0x81, &[text.as_slice(), &[b'x'; 100]].concat());
        long.truncate(long.len() - 100);
        refused(&server, &long, 1007);
        refused(&server, &frame(0x88, &[&1000_u16.to_be_bytes(), bytes].concat()), 1007);
    }
}

/// CVE-2026-27571: a megabyte that inflates to nearly a gigabyte is refused at the limit, whole and in fragments.
#[test]
fn stops_inflating_at_the_limit() {
    let server = Server::start("conformance", &[]);
    let mut compressor = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(16 * 1024);
    compressor
        .compress_vec(&[0; MESSAGE_BYTES_MAX], &mut block, FlushCompress::Sync)
        .unwrap();
    // One block can be repeated, since it refers only to zeros.
    let bomb = [
        block.repeat(899).as_slice(),
        block.strip_suffix(b"\x00\x00\xff\xff").unwrap(),
    ]
    .concat();
    assert!(
        bomb.len() < MESSAGE_BYTES_MAX,
        "{} bytes are refused by their header",
        bomb.len()
    );
    let (first, rest) = bomb.split_at(1000);
    let fragments: Vec<_> = rest.chunks(1100).map(|piece| frame(0x00, piece)).collect();
    let in_fragments = [frame(0x42, first), fragments.concat(), frame(0x80, b"")].concat();
    let offer = handshake("/ws/echo", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let before = server.resident_bytes();
    for bytes in [frame(0xc2, &bomb), in_fragments].iter().cycle().take(10) {
        let (mut client, _) = Client::open_with(server.address(), &offer, &[]);
        client.send(bytes);
        client.expect_close(1009);
    }
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes");
    let (mut client, _) = Client::open_with(server.address(), &offer, &[]);
    client.send(&close(1000, ""));
    client.expect(0x88, &1000_u16.to_be_bytes());
}
