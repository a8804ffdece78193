//! A request's content takes at most its limit and 64 KiB of memory, in whatever pieces it arrives
//! (`docs/threats.md#endless-body`).
//!
//! This is a test binary of its own with one test, because the counting allocator counts for the whole process. A
//! block that is moved counts as its growth: the system's allocator remaps large blocks and does not hold both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

use core::pin::pin;
use core::task::{Context as Task, Waker};
use std::alloc::System;

use squall::app::{App, BodyLength, Exchange, Outcome};
use squall::message::TargetForm;
use squall::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes the limit may be exceeded by.
const SPARE_BYTES: usize = 64 * 1024;

/// Sizes of pieces: from one byte to more than a shard's receive buffer of 4 KiB.
const PIECES: [usize; 5] = [1, 7, 1000, 4096, 48 * 1024];

/// Limits: below, at and above what an exchange keeps for the next request, and the default.
const LIMITS: [usize; 5] = [1000, 64 * 1024, 64 * 1024 + 1, 100_000, 1024 * 1024];

/// How many bytes are allocated now.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Sends content until the server stops reading, or all of it has been sent. Returns the status and the peak of
/// allocated bytes.
fn send(app: &App, exchange: &mut Exchange, target: &str, piece: &[u8], content_bytes: usize) -> (u16, usize) {
    let media_type = match target {
        "/json" => "application/json",
        _ => "application/x-www-form-urlencoded",
    };
    let bytes = [target, "content-type", media_type].concat();
    let name = target.len()..target.len() + "content-type".len();
    let value = name.end..bytes.len();
    let mut head = exchange.head_mut().rewrite();
    head.bytes(bytes.as_bytes())
        .method(Method::POST)
        .target(TargetForm::Origin, target)
        .path(0..target.len(), None)
        .field(name, value);
    let channel = exchange.channel();
    channel.begin(BodyLength::Unknown);
    let before = live_bytes();
    let mut most = before;
    let mut task = Task::from_waker(Waker::noop());
    {
        let mut response = pin!(app.respond(exchange));
        assert!(response.as_mut().poll(&mut task).is_pending());
        let mut left = content_bytes;
        while left > 0 && channel.wants_body() {
            let piece = piece.get(..left).unwrap_or(piece);
            channel.push_data(piece);
            left -= piece.len();
            most = most.max(live_bytes());
        }
        if left == 0 {
            channel.end_body();
        }
        assert!(response.as_mut().poll(&mut task).is_ready());
        most = most.max(live_bytes());
    }
    let Outcome::Respond { head: Some(head), .. } = exchange.outcome() else {
        panic!("aborted")
    };
    let status = head.status.as_u16();
    exchange.reset();
    (status, most - before)
}

#[test]
fn content_takes_no_more_memory_than_its_limit() {
    async fn body(cx: &mut Context) -> Result {
        cx.body().await.map(drop)
    }
    async fn json(cx: &mut Context) -> Result {
        cx.json::<serde_json::Value>().await.map(drop)
    }
    async fn form(cx: &mut Context) -> Result {
        cx.form::<Vec<(String, String)>>().await.map(drop)
    }
    for limit in LIMITS {
        let app = Application::new()
            .max_body_bytes(limit as u64)
            .post("/body", body)
            .post("/json", json)
            .post("/form", form)
            .build()
            .unwrap();
        for piece_bytes in PIECES {
            let piece = vec![b'['; piece_bytes];
            let mut exchange = Exchange::new(app.shared());
            for (target, content_bytes, expected) in [
                ("/body", usize::MAX, 413),
                ("/json", usize::MAX, 413),
                ("/form", usize::MAX, 413),
                ("/body", limit + 1, 413),
                ("/body", limit, 200),
                ("/body", limit - 1, 200),
            ] {
                let (status, bytes) = send(&app, &mut exchange, target, &piece, content_bytes);
                assert_eq!(status, expected, "{target} {limit} {piece_bytes}");
                assert!(
                    bytes <= limit + SPARE_BYTES,
                    "{target} took {bytes} bytes of {limit} in pieces of {piece_bytes}"
                );
            }
        }
    }
}
