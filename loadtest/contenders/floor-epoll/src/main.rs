//! The epoll floor: the least work of a single-thread epoll server that parses HTTP/1.1 correctly.
//!
//! Each readable connection costs one recv(2) into a shared buffer, a full parse of each head, and one send(2) of all
//! responses. Responses are constant except for `Date`. It has no routing, handlers or timeouts; a server's cost above
//! this floor is the cost of its features. Connections are edge-triggered, so the kernel does not check each of them
//! again in the next epoll_wait(2).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

mod answer;
mod connection;
mod epoll;
mod request;

use answer::Answers;
use connection::{Connection, Scratch, Turn};
use epoll::Epoll;

/// The listener's epoll key; all other keys are connection descriptors.
const LISTENER: u64 = u64::MAX;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(listen_argument())?;
    listener.set_nonblocking(true)?;
    // The standard library sets a backlog of 128, which 512 simultaneous clients overflow.
    epoll::listen(&listener, 4096)?;
    serve(&listener)
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut epoll = Epoll::new()?;
    epoll.add_listener(listener, LISTENER)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut scratch = Scratch::new();
    let mut answers = Answers::new();
    loop {
        let ready = epoll.wait()?;
        answers.refresh(epoll::coarse_seconds());
        for index in 0..ready {
            let event = epoll.event(index);
            if event.key == LISTENER {
                accept_all(listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(slot) = connections.get_mut(event.key as usize) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            match connection.turn(event.peer_closed, &answers, &mut scratch) {
                Ok(Turn::Open) => {}
                // Dropping the stream closes the descriptor, which removes it from epoll.
                Ok(Turn::Close) | Err(_) => *slot = None,
            }
        }
    }
}

fn accept_all(listener: &TcpListener, epoll: &Epoll, connections: &mut Vec<Option<Connection>>) -> io::Result<()> {
    while let Some(stream) = epoll::accept(listener)? {
        stream.set_nodelay(true)?;
        let descriptor = stream.as_raw_fd() as usize;
        epoll.add_connection(&stream, descriptor as u64)?;
        if connections.len() <= descriptor {
            connections.resize_with(descriptor + 1, || None);
        }
        connections[descriptor] = Some(Connection::new(stream));
    }
    Ok(())
}

fn listen_argument() -> SocketAddr {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => address.parse().ok(),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-floor-epoll --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
