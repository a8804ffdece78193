//! The server behind the proxies under test: one thread on the load's core, which answers each request with a constant.
//!
//! It reads heads without content, as proxies pass them on for the workloads here. It counts as the load's time, so it
//! does as little as a server can.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::proc::pin;

/// How soon the thread notices that it must end.
const TICK: Duration = Duration::from_millis(100);

/// Events of one wait.
const EVENTS_MAX: usize = 256;

/// The longest head; those of the proxies here have some hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The epoll key of the listener; connections have the others.
const LISTENER: u64 = u64::MAX;

/// The end of a head without content.
const END: &[u8] = b"\r\n\r\n";

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Upstream {
    /// Starts the server on a free port, pinned to a core.
    ///
    /// # Errors
    ///
    /// No port is free, or the thread cannot be started.
    pub(crate) fn start(core: usize) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let address = listener.local_addr()?;
        let mut serving = Serving::new(listener)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let is_over_too = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("upstream".to_owned()).spawn(move || {
            pin(core)?;
            while !is_over_too.load(Ordering::Relaxed) {
                serving.turn()?;
            }
            Ok(())
        });
        Ok(Self {
            address,
            is_over,
            thread: Some(thread.context("could not start a thread")?),
        })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A failure shows in the answers of the proxy.
        self.thread.take().map(JoinHandle::join);
    }
}

/// The listener, and the connections with what they have received of a head.
struct Serving {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: Vec<Option<(TcpStream, Vec<u8>)>>,
    found: Vec<u8>,
    missing: Vec<u8>,
}

impl Serving {
    fn new(listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("could not create an epoll instance")?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let answer = |status: &str, content: &str| {
            let length = content.len();
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nDate: {date}\r\n\r\n{content}"
            )
        };
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            found: answer("200 OK", "Hello, World!").into_bytes(),
            missing: answer("404 Not Found", "").into_bytes(),
        })
    }

    /// Serves what is ready, or waits for a tick.
    fn turn(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let tick = Timespec::try_from(TICK)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("could not wait for events"),
        }
        for event in events {
            match event.data.u64() {
                LISTENER => self.accept()?,
                number => self.serve(usize::try_from(number)?),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let free = self.connections.iter().position(Option::is_none);
            let number = free.unwrap_or(self.connections.len());
            epoll::add(
                &self.epoll,
                &stream,
                EventData::new_u64(number as u64),
                EventFlags::IN | EventFlags::RDHUP,
            )?;
            let connection = Some((stream, Vec::new()));
            match self.connections.get_mut(number) {
                Some(place) => *place = connection,
                None => self.connections.push(connection),
            }
        }
        Ok(())
    }

    /// Answers the requests that have arrived on a connection, and closes it at its end.
    fn serve(&mut self, number: usize) {
        let Some(place) = self.connections.get_mut(number) else {
            return;
        };
        let Some((stream, received)) = place else { return };
        let mut buffer = [0; HEAD_BYTES_MAX];
        let is_open = match stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                received.extend_from_slice(buffer.get(..count).unwrap_or_default());
                let mut output = Vec::new();
                while let Some(end) = received.windows(END.len()).position(|window| window == END) {
                    let is_known = received.starts_with(b"GET /plaintext ");
                    output.extend_from_slice(if is_known { &self.found } else { &self.missing });
                    received.drain(..end + END.len());
                }
                // Some hundred bytes fit into the buffer of a socket whose peer reads.
                received.len() < HEAD_BYTES_MAX && stream.write_all(&output).is_ok()
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !is_open {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::http1::{BlockingClient, get};

    #[test]
    fn requests_are_answered_also_in_pieces_and_pipelined() {
        let is_allowed = |core: &usize| crate::proc::check_core_allowed(*core).is_ok();
        let core = (0..1024).find(is_allowed).unwrap();
        let upstream = Upstream::start(core).unwrap();
        let mut client = BlockingClient::open(upstream.address, false).unwrap();
        let request = get(upstream.address, "/plaintext");
        let (first, second) = request.split_at(20);
        client.send(first).unwrap();
        client
            .send(&format!("{second}{request}{}", get(upstream.address, "/other")))
            .unwrap();
        for status in [200, 200, 404] {
            let response = client.receive().unwrap();
            assert_eq!(response.status, status);
            assert!(response.field("date").is_some());
        }
    }
}
