//! Counts the allocations of the whole server for one plaintext request, socket to socket: at most one.
//!
//! A server with one shard runs in this process. A client that allocates nothing sends requests one at a time, and
//! every allocation of the process counts. `cargo bench -p squall-benches --bench allocations` prints the number and
//! fails above one.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot run says so and ends"
)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use squall::prelude::*;
use squall::shards::Stop;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests before counting: pools fill and buffers reach their usual size.
const WARM_UP: usize = 1_000;
/// Counted requests. The date is formatted once a second meanwhile, so the result may exceed one by 0.001.
const COUNTED: usize = 20_000;
const PER_REQUEST_MAX: f64 = 1.001;

async fn plaintext(cx: &mut Context) -> Result {
    cx.set_header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))?;
    cx.write("Hello, World!");
    Ok(())
}

fn main() {
    let server = Server::new(|| Application::new().get("/plaintext", plaintext))
        .listen("127.0.0.1:0")
        .shards(1)
        .bind()
        .expect("a free port");
    let address = server.addresses().next().expect("an address");
    let stopper = server.stopper();
    let (sender, receiver): (Sender<usize>, Receiver<usize>) = channel();
    let client = std::thread::spawn(move || {
        let counted = count(address);
        stopper.stop(Stop::Graceful);
        sender.send(counted).expect("the main thread receives");
    });
    server.run().expect("the server runs");
    client.join().expect("the client ends");
    let counted = receiver.recv().expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "both are small")]
    let each = counted as f64 / COUNTED as f64;
    println!("{each:.3} allocations per plaintext request ({counted} in {COUNTED})");
    assert!(each <= PER_REQUEST_MAX, "at most one allocation a request");
}

/// Counts the allocations of the process while it serves; the client makes none.
fn count(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    exchange(&mut stream, WARM_UP);
    let region = Region::new(ALLOCATOR);
    exchange(&mut stream, COUNTED);
    let change = region.change();
    change.allocations + change.reallocations
}

fn exchange(stream: &mut TcpStream, requests: usize) {
    let mut answer = [0; 1024];
    for _ in 0..requests {
        stream
            .write_all(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let length = stream.read(&mut answer).expect("answered");
        let answer = answer.get(..length).unwrap_or_default();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\nHello, World!"));
    }
}
