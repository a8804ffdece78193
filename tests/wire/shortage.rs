//! Memory watermarks: a server near its memory limit sheds load step by step, and recovers once there is enough.
//!
//! Uploads that stop one byte before their end hold as much memory as a test needs. A flag limits the server's
//! memory, so the machine's never runs short.

use std::time::{Duration, Instant};

use crate::harness::*;
use crate::support::eventually;
use crate::support::server::PATIENT;

/// The memory limit of a server here.
const MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The content of an upload.
const UPLOAD_BYTES: usize = 1024 * 1024;

/// How many uploads exceed the limit.
const UPLOADS_MAX: usize = MEMORY_BYTES / UPLOAD_BYTES;

/// Starts a server of one shard with [`MEMORY_BYTES`].
fn start(watermarks: &str, flags: &[&str]) -> Server {
    start_with_shards(1, watermarks, flags)
}

/// Starts a server of this many shards with [`MEMORY_BYTES`] in all.
fn start_with_shards(shards: usize, watermarks: &str, flags: &[&str]) -> Server {
    let memory = MEMORY_BYTES.to_string();
    let mut all = vec!["--max-memory-bytes", &memory, "--memory-watermarks", watermarks];
    all.extend(["--max-body-bytes", &memory]);
    // An upload holds its last byte back for as long as the test takes.
    all.extend(PATIENT);
    all.extend(flags);
    Server::start_with_shards("conformance", shards, &all)
}

/// Begins an upload and holds its last byte back.
fn begin_upload(connection: &mut Connection, content_bytes: usize) -> Outcome<()> {
    connection.send(&post(format!("Content-Length: {content_bytes}\r\n").as_bytes(), b""))?;
    connection.send(&vec![b'u'; content_bytes - 1])
}

/// Idle connections after a response.
fn idle(server: &Server, count: usize) -> Vec<Connection> {
    let idle = (0..count).map(|_| {
        let mut connection = server.connect();
        connection
            .exchange(&get("/"), "GET")
            .unwrap()
            .expect(200, b"ok")
            .unwrap();
        connection
    });
    idle.collect()
}

/// Waits until a server has recovered. An early request is refused or waits for the next check of memory.
fn recovers(server: &Server) {
    eventually("the server has memory again", || {
        let answer = server.connect().exchange(&get("/"), "GET").unwrap();
        answer.status == 200 && !answer.announces_close()
    });
}

#[test]
fn near_its_limit_a_server_closes_after_responses_then_refuses_and_then_recovers() {
    let server = start("30,30,60,100", &["--idle-timeout", "600"]);
    let mut probes = idle(&server, UPLOADS_MAX);
    let mut uploads = Vec::new();
    let mut closed_after = 0;
    let refusal = loop {
        let mut upload = server.connect();
        begin_upload(&mut upload, UPLOAD_BYTES).unwrap();
        uploads.push(upload);
        let mut probe = probes
            .pop()
            .expect("the server refuses before it holds twice its limit");
        let request = get_with("/", b"Accept: application/json\r\n");
        let answer = probe.exchange(&request, "GET").unwrap();
        if answer.status != 200 {
            break answer;
        }
        closed_after += usize::from(answer.announces_close());
    };
    refusal.expect_status(503).unwrap();
    assert!(refusal.announces_close(), "{refusal:?}");
    // The head was read whole, so the page is in the type that the client accepts.
    assert_eq!(
        refusal.field("content-type"),
        Some(&b"application/json"[..]),
        "{refusal:?}"
    );
    assert_eq!(refusal.field("retry-after"), Some(&b"1"[..]), "{refusal:?}");
    assert!(closed_after > 0, "no response said Connection: close");
    // The server accepts no connection; a waiting one is served once there is memory. The allocator may have returned
    // memory since the refusal, so that some more uploads fit.
    let mut waiting = (0..UPLOADS_MAX).find_map(|_| {
        let mut waiting = server.connect();
        waiting.send(&get("/")).unwrap();
        let has_waited = waiting.listen_for(Duration::from_millis(500)).unwrap().is_none();
        if has_waited {
            return Some(waiting);
        }
        let mut upload = server.connect();
        begin_upload(&mut upload, UPLOAD_BYTES).unwrap();
        uploads.push(upload);
        None
    });
    let waiting = waiting.as_mut().expect("a server that lets no more in");
    drop(uploads);
    let answer = waiting.response("GET").unwrap();
    answer.expect(200, b"ok").unwrap();
    recovers(&server);
    assert!(server.log().contains("memory is short"), "{}", server.log());
}

#[test]
fn near_its_limit_a_server_closes_idle_connections_after_a_quarter_of_the_time() {
    const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test process has no shard to ask for the time"
    )]
    let now = Instant::now;
    let server = start("30,100,100,100", &["--idle-timeout", "20"]);
    let begin = now();
    let mut idle = idle(&server, 3);
    // This shard has slept since before memory was short.
    let _uploads: Vec<Connection> = (0..UPLOADS_MAX / 2)
        .map(|_| {
            let mut upload = server.connect();
            begin_upload(&mut upload, UPLOAD_BYTES).unwrap();
            upload
        })
        .collect();
    for connection in &mut idle {
        connection.expect_closed().unwrap();
    }
    let took = begin.elapsed();
    assert!(IDLE_TIMEOUT / 4 <= took && took < IDLE_TIMEOUT, "{took:?}");
    let mut last = server.connect();
    let answer = last.exchange(&get("/"), "GET").unwrap();
    assert!(!answer.announces_close(), "{answer:?}");
}

/// Memory belongs to the process: an idle shard is notified by the others that it is short.
#[test]
fn near_its_limit_a_server_closes_the_idle_connections_of_shards_that_have_no_requests() {
    let server = start_with_shards(2, "20,100,100,100", &["--idle-timeout", "20"]);
    let mut idle = idle(&server, 32);
    // All on one shard. The server checks when the buffer grows, and then holds its content: two thirds of this at
    // the last time. There must be room for a copy of all of it.
    let mut upload = server.connect();
    begin_upload(&mut upload, MEMORY_BYTES / 8 * 3).unwrap();
    // Within the harness's limit on silence, which is half of the idle timeout.
    for connection in &mut idle {
        connection.expect_closed().unwrap();
    }
}

#[test]
fn at_its_limit_a_server_refuses_memory_to_requests_under_way() {
    let server = start("60,60,60,60", &[]);
    let mut uploads: Vec<Connection> = (0..UPLOADS_MAX).map(|_| server.connect()).collect();
    for upload in &mut uploads {
        upload.tolerate_reset();
        let head = format!("Content-Length: {UPLOAD_BYTES}\r\nExpect: 100-continue\r\n");
        upload.send(&post(head.as_bytes(), b"")).unwrap();
        upload.response("POST").unwrap().expect_status(100).unwrap();
    }
    for upload in &mut uploads {
        upload.send_if_open(&vec![b'u'; UPLOAD_BYTES - 1]);
    }
    // The kernel has taken the content; the server refuses it when it reads it.
    let mut refused = None;
    eventually("one request is refused", || {
        refused = uploads.iter_mut().rev().find_map(|upload| {
            let has_answer = upload.listen_for(Duration::from_millis(1)).unwrap() == Some(false);
            has_answer.then(|| upload.response("POST").unwrap())
        });
        refused.is_some()
    });
    refused.unwrap().expect_status(503).unwrap();
    let resident = server.resident_bytes();
    assert!(resident < MEMORY_BYTES as u64, "{resident}");
    drop(uploads);
    recovers(&server);
}
