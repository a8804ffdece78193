//! Shared by the tests of `run`: the command as a child process, and servers with a thread for each connection.

#![allow(dead_code, reason = "each test binary uses its own part of these helpers")]

pub(crate) mod command;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Starts a server that passes each connection, numbered from 0, to `serve` on a thread of its own. Returns its
/// address; it runs until the test process ends.
pub(crate) fn serve_streams(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let serve = Arc::clone(&serve);
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}
