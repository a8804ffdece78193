//! The WebSocket floor: the least work of a single-thread epoll server that speaks RFC 6455 correctly.
//!
//! An echo (`/ws/echo`) costs one recv(2) into a shared buffer, the unmasking of each frame, and one send(2) of all
//! echoes. A topic (`/ws/pub` to `/ws/sub`) encodes each published message once and sends it in a loop over the
//! subscribers. With `--coalesce`, one call per subscriber sends all messages of one epoll turn. A server's cost above
//! this floor is the cost of its features.

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

/// The listener's epoll key; all other keys are connection descriptors.
const LISTENER: u64 = u64::MAX;

/// The most events of one epoll_wait(2).
const EVENTS_MAX: usize = 1024;

/// The listen backlog for 10,000 simultaneous subscribers; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 16 * 1024;

fn main() -> io::Result<()> {
    let (listen, coalesce) = arguments();
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    // The standard library sets a backlog of 128.
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
                    // Dropping the stream closes the descriptor, which removes it from epoll.
                    connections[key as usize] = None;
                }
            }
            topic.deliver_singly(|key, frames| deliver(&mut connections, key, frames));
        }
        topic.deliver_together(|key, frames| deliver(&mut connections, key, frames));
    }
}

fn deliver(connections: &mut [Option<Connection>], key: usize, frames: &[u8]) {
    if let Some(Some(subscriber)) = connections.get_mut(key) {
        subscriber.deliver(frames);
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
            // The client aborted while it waited; try the next one.
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let key = stream.as_raw_fd() as usize;
        // Edge-triggered for the connection's whole life, so no epoll_ctl(2) follows.
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
