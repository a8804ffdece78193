//! The system calls the standard library does not offer.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Sets the backlog of a socket that listens already.
pub fn listen(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })
}

/// Turns Nagle's algorithm off for every connection the listener will accept.
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

/// Ends both directions of a connection. One that has ended already needs no ending.
pub fn shut_down(descriptor: i32) {
    // SAFETY: shutdown takes no pointers, and a connection's descriptor stays open as long as the connection is known.
    unsafe { libc::shutdown(descriptor, libc::SHUT_RDWR) };
}

/// Seconds since 1970 from the clock the kernel refreshes every tick, the cheapest there is to read.
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
