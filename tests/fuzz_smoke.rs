//! Runs the fuzz targets on stable Rust over their seeds and over some thousand mutations, the same in every run.

#![cfg(test)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/http1.rs"]
mod http1;

#[path = "../fuzz/http2.rs"]
mod http2;

#[path = "../fuzz/multipart.rs"]
mod multipart;

#[path = "../fuzz/websocket.rs"]
mod websocket;

#[path = "../fuzz/pubsub.rs"]
mod pubsub;

#[path = "../fuzz/files.rs"]
mod files;

#[path = "../fuzz/feed.rs"]
mod feed;

#[path = "../fuzz/proxy.rs"]
mod proxy;

#[path = "../fuzz/identity.rs"]
mod identity;

#[cfg(feature = "locale")]
#[path = "../fuzz/languages.rs"]
mod languages;

const MUTATIONS: usize = 10_000;

#[test]
fn head() {
    smoke("head", http1::head);
}

#[test]
fn chunked() {
    smoke("chunked", http1::chunked);
}

#[test]
fn connection() {
    smoke("connection", http1::connection);
}

#[test]
fn response() {
    smoke("response", http1::response);
}

#[test]
fn http2_connection() {
    smoke("http2_connection", http2::connection);
}

#[test]
fn http2_hpack() {
    smoke("http2_hpack", http2::hpack);
}

#[test]
fn client() {
    smoke("client", http1::client);
}

#[test]
fn websocket_frames() {
    smoke("websocket_frames", websocket::frames);
}

#[test]
fn websocket_deflate() {
    smoke("websocket_deflate", websocket::deflate);
}

#[test]
fn websocket_utf8() {
    smoke("websocket_utf8", websocket::utf8);
}

#[test]
fn multipart_forms() {
    smoke("multipart", multipart::forms);
}

#[test]
fn topics() {
    smoke("topics", pubsub::topics);
}

#[test]
fn feed_requests() {
    smoke("feed", feed::requests);
}

#[test]
fn conditions() {
    smoke("conditions", files::conditions);
}

#[test]
fn proxy_header() {
    smoke("proxy_header", proxy::header);
}

#[test]
fn cookies() {
    smoke("cookies", identity::cookies);
}

#[test]
fn signed_values() {
    smoke("signed_values", identity::signed_values);
}

#[cfg(feature = "locale")]
#[test]
fn languages() {
    smoke("languages", languages::languages);
}

fn smoke(target: &str, run: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        run(seed);
    }
    let mut random = Random(0x5eed);
    for _ in 0..MUTATIONS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        run(&bytes);
    }
}

/// Every seed of a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "{target} has seeds");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes, inserts, removes or doubles some bytes, or inserts some of another seed.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const MARKS: &[u8] = b"\r\n :;,\t\"0159aAfF-_#?\0\x7f\x80\xff";
    let place = random.below(bytes.len() + 1);
    let end = (place + 1 + random.below(8)).min(bytes.len());
    match random.below(5) {
        0 if place < bytes.len() => bytes[place] = MARKS[random.below(MARKS.len())],
        1 => bytes.insert(place, MARKS[random.below(MARKS.len())]),
        2 => drop(bytes.drain(place..end)),
        3 => {
            let doubled = bytes[place..end].to_vec();
            bytes.splice(place..place, doubled);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let start = random.below(other.len() + 1);
            let part = &other[start..(start + random.below(24)).min(other.len())];
            bytes.splice(place..place, part.iter().copied());
        }
    }
}

/// Deterministic pseudo-random numbers (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound
    }
}
