//! The floor: the least work a single-thread epoll server can do and still read HTTP/1.1 honestly.
//!
//! Per readable connection: one recv(2) into a buffer all connections share, a real parse of every head in it, one send(2) of
//! all the answers. The answers are constants but for `Date`. There is no routing, no handler and no timeout, so whatever a
//! server needs beyond this is the price of being a server. Connections are edge-triggered, which spares the kernel looking at
//! each of them again on the next epoll_wait(2).

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

/// What the listener is called among the epoll keys; every other key is a connection's descriptor.
const LISTENER: u64 = u64::MAX;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(listen_argument())?;
    listener.set_nonblocking(true)?;
    // The standard library asks for a backlog of 128, which 512 clients arriving at once overflow.
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
                // Dropping the stream closes the descriptor, which takes it out of epoll.
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
