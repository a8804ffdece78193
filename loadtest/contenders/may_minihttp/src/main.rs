//! may_minihttp with one worker thread of stackful coroutines, one coroutine per connection.
//!
//! Its crate leaves Nagle's algorithm on without an option to disable it; each response is one write, so none waits for
//! an acknowledgement. The library does not pin its workers, because the orchestrator pins the process.

use std::io;
use std::net::SocketAddr;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

#[derive(Clone)]
struct Contender;

impl HttpService for Contender {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        match (request.method(), request.path()) {
            ("GET", "/plaintext") => {
                response.header("Content-Type: text/plain").body("Hello, World!");
            }
            ("GET", "/json") => {
                response.header("Content-Type: application/json");
                let body = serde_json::to_vec(&Message {
                    message: "Hello, World!",
                })?;
                response.body_vec(body);
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let listen = listen_argument();
    may::config().set_workers(1).set_worker_pin(false);
    let server = HttpServer(Contender).start(listen)?;
    server.join().map_err(|_| io::Error::other("the accepting coroutine panicked"))
}

fn listen_argument() -> SocketAddr {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => address.parse().ok(),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-may-minihttp --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
