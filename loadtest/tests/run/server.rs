//! Test servers with one behaviour each, and runs against them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::command::{self, RunningCommand};
use crate::support::serve_streams;

pub(crate) const RIGHT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello";

/// The server's side of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Its number in the order of accepts, from 0.
    pub(crate) number: usize,
    received: Vec<u8>,
}

impl Peer {
    /// Reads the next whole request; returns `None` once the client has closed.
    pub(crate) fn request(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some(head) = text.find("\r\n\r\n").map(|end| end + 4) {
                let length = text[..head]
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "));
                let end = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
                if text.len() >= end {
                    self.received.drain(..end);
                    return Some(text[..end].to_owned());
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend(&buffer[..count]),
            }
        }
    }

    /// Sends `text`; ignores a closed connection.
    pub(crate) fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).ok();
    }
}

/// Sends an endless response as fast as it can.
pub(crate) fn endless(mut peer: Peer) {
    peer.request();
    peer.say("HTTP/1.1 200 OK\r\n\r\n");
    while peer.stream.write_all(&[b'a'; 65536]).is_ok() {}
}

/// Starts a server that runs `behaviour` on a thread for each connection.
pub(crate) fn server(behaviour: impl Fn(Peer) + Send + Sync + 'static) -> SocketAddr {
    serve_streams(move |number, stream| {
        behaviour(Peer {
            stream,
            number,
            received: Vec::new(),
        });
    })
}

/// Starts a server that answers each request with `answer` and honours `Connection: close`.
pub(crate) fn responder(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    server(move |mut peer| {
        while let Some(request) = peer.request() {
            peer.say(&answer(&request));
            if request.contains("Connection: close") {
                return;
            }
        }
    })
}

/// Returns the URL of a test server.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}/hello")
}

/// Starts `run` with space-separated `arguments`.
pub(crate) fn start(url: &str, arguments: &str) -> RunningCommand {
    let arguments: Vec<&str> = arguments.split_ascii_whitespace().collect();
    command::start(&[&[url], arguments.as_slice()].concat())
}

/// Runs to the end; returns the exit code, standard output and standard error.
pub(crate) fn run(url: &str, arguments: &str) -> (Option<i32>, String, String) {
    let ended = start(url, arguments).end();
    (ended.status.code(), ended.stdout, ended.stderr)
}

/// Runs to the end with `--json`; returns the exit code and the result.
pub(crate) fn measure(url: &str, arguments: &str) -> (Option<i32>, Value) {
    let (code, result, said) = run(url, &format!("--json {arguments}"));
    let parsed = serde_json::from_str(&result);
    (
        code,
        parsed.unwrap_or_else(|_| panic!("no JSON on standard output, but `{result}` and `{said}`")),
    )
}

/// Returns an integer of a result.
pub(crate) fn count(result: &Value, path: &str) -> u64 {
    let found = result.pointer(path).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no {path} in {result}"))
}

/// Returns a figure of a result.
pub(crate) fn figure(result: &Value, path: &str) -> f64 {
    let found = result.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no {path} in {result}"))
}
