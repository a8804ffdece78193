//! System calls that the standard library lacks.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Sets the backlog of a listening socket.
pub fn listen(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })
}

/// Disables Nagle's algorithm for all connections that the listener will accept.
pub fn disable_nagle(listener: &TcpListener) -> io::Result<()> {
    let on: libc::c_int = 1;
    let bytes = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the value outlives the call and `bytes` is its size.
    check(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            bytes,
        )
    })
}

/// Shuts down both directions of a connection; ignores one that has ended already.
pub fn shut_down(descriptor: i32) {
    // SAFETY: shutdown takes no pointers, and a connection's descriptor stays open as long as the connection is known.
    unsafe { libc::shutdown(descriptor, libc::SHUT_RDWR) };
}

/// Returns the Unix time in seconds from the kernel's coarse clock, the cheapest to read.
pub fn coarse_seconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; the clock exists on every Linux since 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    time.tv_sec as u64
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
