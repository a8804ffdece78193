//! Slow heads (Slowloris): connections beside the load whose requests never become whole, kept open as well as the server lets them.
//!
//! Half of them say nothing, half say a byte of a field now and then. One that the server has cut is opened again, but not all at once: a burst of
//! connecting would be the generator's own noise in the latencies beside it. They have a thread of their own on the first core of the load.

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
use super::super::worker::pin;

/// How long a connection that says something waits between two bytes: less than the 10 s a server may give a whole head.
const BYTE_INTERVAL: Duration = Duration::from_secs(9);

/// How often the thread looks up. It shares a core with the load, whose requests are late by what it does at one look: so it does little, often.
const TICK: Duration = Duration::from_millis(2);

/// Connections opened again in one tick: 500 a second.
const REOPENED_PER_TICK: usize = 1;

/// Events taken at once, 4,000 a second; the others wait for the next tick.
const EVENTS_MAX: usize = 8;

/// What one that says something begins with.
const BEGINNING: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ";

/// Slow heads at work; they end when they are asked what they saw, or are dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<SlowHeads>>>,
}

impl Crowd {
    /// Opens all the slow heads of a plan; `None` if it has none.
    ///
    /// # Errors
    ///
    /// One of them cannot be opened.
    pub(super) fn gather(plan: &Plan, address: SocketAddr) -> Result<Option<Self>> {
        if plan.slow_heads == 0 {
            return Ok(None);
        }
        let mut members = Members::open(plan.slow_heads, address)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_over_too, core) = (Arc::clone(&is_over), plan.cores.first().copied());
        let thread = thread::Builder::new().name("slow-heads".to_owned()).spawn(move || {
            core.map_or(Ok(()), pin)?;
            members.work(&is_over_too)?;
            Ok(members.seen)
        });
        Ok(Some(Self {
            is_over,
            thread: Some(thread.context("cannot start a thread")?),
        }))
    }

    /// Ends them, and gives what they saw.
    pub(super) fn disperse(mut self) -> Result<SlowHeads> {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("they have ended before")?;
        thread.join().map_err(|_| anyhow!("the slow heads panicked"))?
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Whoever drops them unasked has an error of its own to tell.
        self.thread.take().map(JoinHandle::join);
    }
}

/// The connections, and what became of them.
struct Members {
    address: SocketAddr,
    epoll: OwnedFd,
    sockets: Vec<Option<TcpStream>>,
    closed: VecDeque<usize>,
    seen: SlowHeads,
}

impl Members {
    fn open(count: usize, address: SocketAddr) -> Result<Self> {
        let mut members = Self {
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC).context("cannot create an epoll")?,
            sockets: Vec::with_capacity(count),
            closed: VecDeque::new(),
            seen: SlowHeads {
                held: count as u64,
                cut: 0,
            },
        };
        for number in 0..count {
            let socket = members.connect(number);
            let socket = socket.with_context(|| format!("cannot open slow head {} of {count}", number + 1))?;
            members.sockets.push(Some(socket));
        }
        Ok(members)
    }

    fn connect(&self, number: usize) -> std::io::Result<TcpStream> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        if speaks(number) {
            socket.write_all(BEGINNING)?;
        }
        socket.set_nonblocking(true)?;
        let data = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::RDHUP)?;
        Ok(socket)
    }

    /// Holds on until it is over.
    fn work(&mut self, is_over: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        let mut spoken = 0;
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            self.notice_the_cut()?;
            for _ in 0..REOPENED_PER_TICK.min(self.closed.len()) {
                self.reopen();
            }
            // Each has its turn once in an interval.
            let turns = start.elapsed().as_secs_f64() / BYTE_INTERVAL.as_secs_f64() * self.sockets.len() as f64;
            while (spoken as f64) < turns {
                self.speak(spoken % self.sockets.len());
                spoken += 1;
            }
        }
        Ok(())
    }

    fn notice_the_cut(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&Timespec::default()))
            .context("cannot wait for events")?;
        for event in events {
            let number = usize::try_from(event.data.u64())?;
            let socket = self.sockets.get_mut(number);
            // An answer, such as 408, comes before the end; there is more of the same event then.
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

    /// Opens the one again that was cut first. A server that lets nobody in is asked again later.
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

    fn speak(&mut self, number: usize) {
        if let Some(Some(socket)) = self.sockets.get_mut(number)
            && speaks(number)
        {
            // One that was cut is noticed as such.
            socket.write_all(b"x").ok();
        }
    }
}

fn speaks(number: usize) -> bool {
    number % 2 == 1
}

fn has_ended(socket: &mut TcpStream) -> bool {
    let mut answer = [0; 1024];
    match socket.read(&mut answer) {
        Ok(received) => received == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
