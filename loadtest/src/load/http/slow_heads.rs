//! Slow heads (Slowloris): connections beside the load that never finish a request head.
//!
//! Half of them stay silent; half send one byte of a field every 9 s. A connection that the server closes is reopened,
//! at most 500 a second: a burst of connects would raise the latencies measured beside it. They run on their own
//! thread, on the first core of the load.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::super::plan::Plan;
use super::super::run_result::SlowHeads;
use crate::proc::pin;

/// Time between two bytes of a sending connection: just below 10 s, a common timeout for a head.
const BYTE_INTERVAL: Duration = Duration::from_secs(9);

/// Length of a tick. The thread shares a core with the load and delays its requests, so it does little work often.
const TICK: Duration = Duration::from_millis(2);

/// Connections reopened in one tick: 500 a second.
const REOPENED_PER_TICK: usize = 1;

/// Events handled in one tick: 4,000 a second.
const EVENTS_MAX: usize = 8;

/// What a sending connection sends first.
const BEGINNING: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ";

/// The thread of the slow heads; stopping or dropping it closes them.
#[derive(Debug)]
pub(super) struct SlowHeadThread {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<SlowHeads>>>,
}

impl SlowHeadThread {
    /// Opens all slow heads of a plan and starts their thread; returns `None` if the plan has none.
    ///
    /// # Errors
    ///
    /// A connection cannot be opened.
    pub(super) fn start(plan: &Plan, address: SocketAddr) -> Result<Option<Self>> {
        if plan.slow_heads == 0 {
            return Ok(None);
        }
        let mut connections = Connections::open(plan.slow_heads, address)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_over_too, core) = (Arc::clone(&is_over), plan.cores.first().copied());
        let thread = thread::Builder::new().name("slow-heads".to_owned()).spawn(move || {
            core.map_or(Ok(()), pin)?;
            connections.run(&is_over_too)?;
            Ok(connections.seen)
        });
        Ok(Some(Self {
            is_over,
            thread: Some(thread.context("could not start a thread")?),
        }))
    }

    /// Stops the thread and returns its counts.
    pub(super) fn stop(mut self) -> Result<SlowHeads> {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the slow heads have already ended")?;
        thread
            .join()
            .map_err(|_| anyhow!("the thread of the slow heads panicked"))?
    }
}

impl Drop for SlowHeadThread {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A drop without `stop` follows another error, which is the one to report.
        self.thread.take().map(JoinHandle::join);
    }
}

/// The slow connections and their counts.
struct Connections {
    address: SocketAddr,
    epoll: OwnedFd,
    sockets: Vec<Option<TcpStream>>,
    closed: VecDeque<usize>,
    seen: SlowHeads,
}

impl Connections {
    fn open(count: usize, address: SocketAddr) -> Result<Self> {
        let mut connections = Self {
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC).context("could not create an epoll instance")?,
            sockets: Vec::with_capacity(count),
            closed: VecDeque::new(),
            seen: SlowHeads {
                held: count as u64,
                cut: 0,
            },
        };
        for number in 0..count {
            let socket = connections.connect(number);
            let socket = socket.with_context(|| format!("could not open slow head {} of {count}", number + 1))?;
            connections.sockets.push(Some(socket));
        }
        Ok(connections)
    }

    fn connect(&self, number: usize) -> std::io::Result<TcpStream> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        if sends_bytes(number) {
            socket.write_all(BEGINNING)?;
        }
        socket.set_nonblocking(true)?;
        let data = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::RDHUP)?;
        Ok(socket)
    }

    /// Keeps the connections open until `is_over`.
    fn run(&mut self, is_over: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        let mut sent = 0;
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            self.notice_closed()?;
            for _ in 0..REOPENED_PER_TICK.min(self.closed.len()) {
                self.reopen();
            }
            // Spread over the interval, so that each connection sends one byte per interval.
            let due = start.elapsed().as_secs_f64() / BYTE_INTERVAL.as_secs_f64() * self.sockets.len() as f64;
            while (sent as f64) < due {
                self.send_byte(sent % self.sockets.len());
                sent += 1;
            }
        }
        Ok(())
    }

    fn notice_closed(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&Timespec::default()))
            .context("could not wait for events")?;
        for event in events {
            let number = usize::try_from(event.data.u64())?;
            let socket = self.sockets.get_mut(number);
            // A response such as 408 precedes the close; level-triggered epoll then reports the socket again.
            if let Some(socket) = socket
                && socket.as_mut().is_some_and(has_ended)
            {
                *socket = None;
                self.seen.cut += 1;
                self.closed.push_back(number);
            }
        }
        Ok(())
    }

    /// Reopens the connection that was closed first; a refused one goes to the end of the queue.
    fn reopen(&mut self) {
        let Some(number) = self.closed.pop_front() else { return };
        let opened = self.connect(number);
        if opened.is_err() {
            self.closed.push_back(number);
        }
        if let (Ok(socket), Some(place)) = (opened, self.sockets.get_mut(number)) {
            *place = Some(socket);
        }
    }

    fn send_byte(&mut self, number: usize) {
        if let Some(Some(socket)) = self.sockets.get_mut(number)
            && sends_bytes(number)
        {
            // A failure means the server closed it, which `notice_closed` counts.
            socket.write_all(b"x").ok();
        }
    }
}

fn sends_bytes(number: usize) -> bool {
    number % 2 == 1
}

fn has_ended(socket: &mut TcpStream) -> bool {
    let mut answer = [0; 1024];
    match socket.read(&mut answer) {
        Ok(received) => received == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
