//! The WebSocket floor: the least work a single-thread epoll server can do and still speak RFC 6455 honestly.
//!
//! An echo (`/ws/echo`): one recv(2) into a buffer all connections share, every frame in it unmasked, one send(2) of all the
//! answers. A topic (`/ws/pub` to `/ws/sub`): each published message is encoded once and sent by a bare loop over the
//! subscribers; with `--coalesce` all messages read in one turn of epoll are sent by one call per subscriber. What a server
//! needs beyond this is the price of being a server.

#![forbid(unsafe_code)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;

mod connection;
mod frame;
mod handshake;
mod topic;

use connection::{Connection, Scratch, Turn};
use topic::Topic;

/// What the listener is called among the epoll keys; every other key is a connection's descriptor.
const LISTENER: u64 = u64::MAX;

/// Events taken per epoll_wait(2).
const EVENTS_MAX: usize = 1024;

/// Ten thousand subscribers arrive at once; the kernel cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 16 * 1024;

fn main() -> io::Result<()> {
    let (listen, coalesce) = arguments();
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    // The standard library asks for a backlog of 128.
    rustix::net::listen(&listener, BACKLOG)?;
    serve(&listener, coalesce)
}

fn serve(listener: &TcpListener, coalesce: bool) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut topic = Topic::new(coalesce);
    let mut scratch = Scratch::new();
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                accept_all(listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(Some(connection)) = connections.get_mut(key as usize) else {
                continue;
            };
            let flags = event.flags;
            let peer_closed = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            match connection.turn(peer_closed, &mut topic, &mut scratch) {
                Ok(Turn::Open) => {}
                Ok(Turn::Close) | Err(_) => {
                    topic.unsubscribe(key as usize);
                    // Dropping the stream closes the descriptor, which takes it out of epoll.
                    connections[key as usize] = None;
                }
            }
            topic.deliver_singly(&mut connections);
        }
        topic.deliver_together(&mut connections);
    }
}

fn accept_all(
    listener: &TcpListener,
    epoll: &impl std::os::fd::AsFd,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    loop {
        let stream = match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(descriptor) => TcpStream::from(descriptor),
            Err(Errno::AGAIN) => return Ok(()),
            // The client gave up while it waited; the next call tells whether another one is there.
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let key = stream.as_raw_fd() as usize;
        // Edge-triggered for the connection's whole life, so that no call ever changes what is watched.
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &stream, EventData::new_u64(key as u64), interest)?;
        if connections.len() <= key {
            connections.resize_with(key + 1, || None);
        }
        connections[key] = Some(Connection::new(stream, key));
    }
}

fn arguments() -> (SocketAddr, bool) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, coalesce) = match words.as_slice() {
        ["--listen", address] => (address.parse().ok(), false),
        ["--listen", address, "--coalesce"] => (address.parse().ok(), true),
        _ => (None, false),
    };
    let address = address.unwrap_or_else(|| {
        eprintln!("usage: contender-floor-fanout --listen ADDRESS:PORT [--coalesce]");
        std::process::exit(2);
    });
    (address, coalesce)
}
