//! System calls that the standard library lacks, and the only unsafe code of this floor.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// The most events of one epoll_wait(2): more than the connections of the largest busy workload.
const EVENTS_MAX: usize = 1024;

/// An event of the descriptor added under `key`.
pub struct Event {
    pub key: u64,
    pub peer_closed: bool,
}

pub struct Epoll {
    descriptor: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just returned this descriptor, so only this function owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self {
            descriptor,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
        })
    }

    /// Adds a listener, level-triggered.
    pub fn add_listener(&self, listener: &TcpListener, key: u64) -> io::Result<()> {
        self.add(listener, libc::EPOLLIN, key)
    }

    /// Adds a connection for its whole life: edge-triggered, so no epoll_ctl(2) follows.
    pub fn add_connection(&self, stream: &TcpStream, key: u64) -> io::Result<()> {
        self.add(
            stream,
            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
            key,
        )
    }

    /// Waits for events and returns their number.
    pub fn wait(&mut self) -> io::Result<usize> {
        loop {
            let capacity = self.events.len() as i32;
            // SAFETY: `events` is valid for writes of `capacity` entries for the length of the call.
            let ready =
                unsafe { libc::epoll_wait(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), capacity, -1) };
            match check(ready) {
                Ok(ready) => return Ok(ready as usize),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the event at `index` of the last wait.
    pub fn event(&self, index: usize) -> Event {
        let event = self.events[index];
        let closed = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        Event {
            key: event.u64,
            peer_closed: event.events & closed != 0,
        }
    }

    fn add(&self, source: &impl AsRawFd, interest: i32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest as u32,
            u64: key,
        };
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: `event` outlives the call, and the kernel copies it.
        check(unsafe { libc::epoll_ctl(descriptor, libc::EPOLL_CTL_ADD, source.as_raw_fd(), &mut event) })?;
        Ok(())
    }
}

/// Accepts a non-blocking connection in one call; returns `None` if the backlog is empty.
pub fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: accept4 permits null pointers for the peer's address.
    let accepted = unsafe { libc::accept4(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), flags) };
    match check(accepted) {
        // SAFETY: the kernel has just returned this descriptor, so only this function owns it.
        Ok(descriptor) => Ok(Some(unsafe { TcpStream::from_raw_fd(descriptor) })),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(None),
            // The client aborted while it waited; try the next one.
            Some(libc::ECONNABORTED | libc::EINTR) => accept(listener),
            _ => Err(error),
        },
    }
}

/// Sets the backlog of a listening socket.
pub fn listen(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// Returns the Unix time in seconds from the kernel's coarse clock, the cheapest to read.
pub fn coarse_seconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; the clock exists on every Linux since 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    time.tv_sec as u64
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
