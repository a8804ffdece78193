//! `/inflate`: decompression of a request's content, with a bound on what comes out.

use std::io::Write as _;

use data_encoding::BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::*;

/// What the compressed contents of these tests decompress to.
fn text() -> Vec<u8> {
    let lines = (0..20).flat_map(|number| format!("line {number}\n").into_bytes());
    lines.chain([b'x'; 100_000]).collect()
}

/// [`text`] as another program compressed it: `brotli -q 11 -w 18` and `zstd -19`, in base64.
const BROTLI: &str = "UzWHAcxIbZVTuLAYodLdYOz7lpSRCiB4FMMDuQeVvEBGDgtNJxYQj/mrC0BiMdb5w2RhTLk0bfez/ALeAQ==";
const ZSTD: &str = "KLUv/aQ2hwEA5QEA4GxpbmUgMAoxMjM0NTY3ODkxMTIzNDU2Nzg5CngUqBDosRygw1oDEBqv1////8+chujdan2KFFxEulsGT7X6\
    HA==";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The text in each coding.
fn coded() -> [(&'static str, Vec<u8>); 3] {
    let decode = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
    [("gzip", gzip(&text())), ("br", decode(BROTLI)), ("zstd", decode(ZSTD))]
}

fn inflate(coding: &str, content: &[u8]) -> Vec<u8> {
    post_with("/inflate", "", &format!("Content-Encoding: {coding}\r\n"), content)
}

fn summed(content: &[u8]) -> String {
    format!("{{\"bytes\":{},\"sha256\":\"{}\"}}", content.len(), sha256(content))
}

#[test]
fn one_coding_is_undone() {
    let server = Server::shared();
    for (coding, content) in coded() {
        expect_json(&server, &inflate(coding, &content), &summed(&text()));
        expect_json(&server, &inflate(&coding.to_uppercase(), &content), &summed(&text()));
    }
    expect_json(&server, &inflate("x-gzip", &gzip(b"")), &summed(b""));
    expect_json(&server, &post("/inflate", "", b"plain"), &summed(b"plain"));
    expect_json(&server, &post("/inflate", "", b""), &summed(b""));
}

#[test]
fn content_that_is_corrupt_or_cut_is_400() {
    let server = Server::shared();
    for (coding, content) in coded() {
        for length in [0, 1, 5, content.len() / 2, content.len() - 1] {
            expect_status(&server, &inflate(coding, &content[..length]), 400);
        }
        expect_status(&server, &inflate(coding, &[&content[..], b"x"].concat()), 400);
        expect_status(&server, &inflate(coding, &[&content[..], &content[..]].concat()), 400);
        expect_status(&server, &inflate(coding, &text()), 400);
    }
    let (_, mut flipped) = coded()[0].clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    expect_status(&server, &inflate("gzip", &flipped), 400);
}

#[test]
fn another_coding_and_several_are_415_and_name_those_that_are_understood() {
    let server = Server::shared();
    for coding in [
        "deflate",
        "compress",
        "identity",
        "x",
        "gzip, gzip",
        "gzip, br",
        "gzip\r\nContent-Encoding: gzip",
    ] {
        let response = expect_status(&server, &inflate(coding, &gzip(&gzip(b"a"))), 415);
        assert_eq!(response.list("accept-encoding"), ["gzip", "br", "zstd"], "{coding}");
    }
}

#[test]
fn what_decompresses_to_more_than_the_limit_is_413() {
    let length = text().len();
    for (limit, status) in [(length, 200), (length - 1, 413)] {
        let server = Server::start("conformance", &["--max-inflated-bytes", &limit.to_string()]);
        for (coding, content) in coded() {
            expect_status(&server, &inflate(coding, &content), status);
        }
    }
}

#[test]
fn the_default_is_1_mib_and_a_bomb_costs_little_memory() {
    let server = Server::shared();
    expect_status(&server, &inflate("gzip", &gzip(&vec![b'x'; 1024 * 1024])), 200);
    expect_status(&server, &inflate("gzip", &gzip(&vec![b'x'; 1024 * 1024 + 1])), 413);
    let bomb = gzip(&vec![0; 128 * 1024 * 1024]);
    let before = server.peak_bytes();
    expect_status(&server, &inflate("gzip", &bomb), 413);
    let grown = server.peak_bytes() - before;
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
}

/// The limit on content counts what arrives.
#[test]
fn compressed_content_is_limited_as_it_arrives() {
    let server = Server::start("conformance", &["--max-body-bytes", "100"]);
    expect_status(&server, &inflate("gzip", &gzip(&[0; 20_000])), 200);
    expect_status(&server, &inflate("gzip", &gzip(&noise(200))), 413);
}
