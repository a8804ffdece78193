//! Refuses one allocation, the first, then the second, until none is left to refuse, and checks the response each
//! time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]
#![expect(
    clippy::disallowed_types,
    reason = "a test process has no shards; its tests take turns, because a refusal is the process's"
)]

mod application;
#[path = "../memory/request_result.rs"]
mod request_result;
#[path = "../support/mod.rs"]
mod support;

use std::alloc::System;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::{Compress, Compression, FlushCompress};
use squall::prelude::*;
use squall::testing::MemoryRefusal;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use application::{application, pieces_as_json, pieces_written};
use request_result::{COMPRESSED_TEXT, RequestResult, TEXT, send_message, send_request_in_halves, send_requests};
use support::client::Connection;
use support::running::Running;
use support::websocket::{frame, handshake};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Size of content and messages: more than a shard reserves between two checks of the memory.
const CONTENT_BYTES: usize = 600_000;

/// More allocations than one peer's request leads to.
const REFUSALS_MAX: u32 = 400;

/// How much more the process may hold after a server has ended than before it began: what threads and the logger make
/// once and keep.
const RETAINED_BYTES_MAX: usize = 64 * 1024;

/// Runs one exchange and returns its result.
type Scenario = fn(SocketAddr) -> RequestResult;

#[test]
fn content_with_a_length() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let content = content();
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {CONTENT_BYTES}\r\n\r\n");
        send_requests(address, &[(&[head.as_bytes(), &content].concat(), 0)], "POST", &content)
    });
}

#[test]
fn content_in_chunks() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let content = content();
        send_requests(address, &[(&chunked("/echo", &content), 0)], "POST", &content)
    });
}

/// The second half follows the response's head. Once the head has been sent, only the close can show the failure.
#[test]
fn content_that_is_sent_back_as_it_comes() {
    refuse_each_allocation(&[RequestResult::Refused, RequestResult::Cut], |address| {
        let content = content();
        let request = chunked("/pieces", &content);
        send_request_in_halves(address, &request, &content)
    });
}

/// The first part of the second head is kept while the peer reads the first response.
#[test]
fn a_head_in_two_pieces() {
    refuse_each_allocation(&[RequestResult::Refused, RequestResult::Cut], |address| {
        let field = format!("X: {}\r\n\r\n", "y".repeat(6000));
        let parts: [(&[u8], usize); 2] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n", 0),
            (field.as_bytes(), 1),
        ];
        send_requests(address, &parts, "GET", b"ok")
    });
}

#[test]
fn a_response_written_whole() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let request = b"GET /written?pieces=12 HTTP/1.1\r\nHost: a\r\n\r\n";
        send_requests(address, &[(request, 0)], "GET", &pieces_written(12))
    });
}

#[test]
fn a_response_of_json() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let request = b"GET /json?pieces=12 HTTP/1.1\r\nHost: a\r\n\r\n";
        send_requests(address, &[(request, 0)], "GET", &pieces_as_json(12))
    });
}

#[test]
fn a_message() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let message = content();
        let request = [handshake("/ws", ""), frame(TEXT, &message)].concat();
        send_message(address, &request, || {}, &message)
    });
}

#[test]
fn a_message_that_is_published() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let message = content();
        let request = [handshake("/room", ""), frame(TEXT, &message)].concat();
        send_message(address, &request, || {}, &message)
    });
}

#[test]
fn a_message_in_fragments() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let message = content();
        let (first, last) = message.split_at(CONTENT_BYTES / 3);
        let request = [handshake("/ws", ""), frame(0x01, first), frame(0x80, last)].concat();
        send_message(address, &request, || {}, &message)
    });
}

/// Each direction keeps its context, and the shard its compressors.
#[test]
fn a_compressed_message() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let message = content();
        let mut compressed = Vec::with_capacity(CONTENT_BYTES);
        Compress::new(Compression::fast(), false)
            .compress_vec(&message, &mut compressed, FlushCompress::Sync)
            .unwrap();
        let payload = compressed.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap();
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let request = [handshake("/ws", offer), frame(COMPRESSED_TEXT, payload)].concat();
        send_message(address, &request, || {}, &message)
    });
}

/// Both ends of the WebSocket are the server's.
#[test]
fn a_message_of_a_client() {
    refuse_each_allocation(&[RequestResult::Refused], |address| {
        let content = content();
        let head = format!("POST /relay HTTP/1.1\r\nHost: {address}\r\nContent-Length: {CONTENT_BYTES}\r\n\r\n");
        send_requests(address, &[(&[head.as_bytes(), &content].concat(), 0)], "POST", &content)
    });
}

/// The server checks its memory before it accepts the first connection.
#[test]
fn a_connection() {
    let _turn = turn();
    let server = Running::serve(Server::new(application).shards(1));
    let refusal = MemoryRefusal::after(0);
    let refused = Connection::open(server.address).response("GET").unwrap();
    assert!(refusal.has_come());
    refused.expect(503, b"503: server overloaded, retry later").unwrap();
    assert!(refused.announces_close());
    drop(refusal);
    let served = Connection::open(server.address).exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET");
    served.unwrap().expect(200, b"ok").unwrap();
}

/// Serialises the tests: a refusal, and the count of held memory, are the process's.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a scenario with each allocation refused in turn. Every expected result must occur, the next request must be
/// answered, and no memory may be kept.
fn refuse_each_allocation(expected: &[RequestResult], scenario: Scenario) {
    let _turn = turn();
    // One run without a refusal, for everything that is allocated once.
    run(scenario, 0..0);
    let before = held();
    let results = run(scenario, 0..REFUSALS_MAX);
    let kept = held().saturating_sub(before);
    assert!(kept <= RETAINED_BYTES_MAX, "{kept} bytes are kept after {results:?}");
    for result in expected {
        assert!(results.contains(result), "never {result:?}: {results:?}");
    }
}

/// Runs a scenario once for each refusal until one is not reached, then once without. Returns the results of the
/// refused runs.
fn run(scenario: Scenario, refusals: std::ops::Range<u32>) -> Vec<RequestResult> {
    let server = Running::serve(Server::new(application).shards(1));
    let mut results = Vec::new();
    for granted in refusals {
        let refusal = MemoryRefusal::after(granted);
        let result = scenario(server.address);
        let has_come = refusal.has_come();
        drop(refusal);
        let next = Connection::open(server.address).exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET");
        next.unwrap().expect(200, b"ok").unwrap();
        if !has_come {
            assert_eq!(result, RequestResult::Served, "without a refusal");
            return results;
        }
        results.push(result);
    }
    assert_eq!(scenario(server.address), RequestResult::Served, "after {results:?}");
    assert!(
        results.is_empty(),
        "a refusal still comes after {REFUSALS_MAX}: {results:?}"
    );
    results
}

/// Text that compresses, but not to nothing.
fn content() -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| number.to_string().into_bytes())
        .take(CONTENT_BYTES)
        .collect()
}

fn chunked(path: &str, content: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in content.chunks(10_000) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// How much memory the process holds.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
