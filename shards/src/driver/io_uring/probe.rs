//! Probes what the driver depends on: one connection accepted and one byte received, both by multishot operations.
//!
//! Why: the kernel reports whether it knows an operation, not its multishot form or buffer rings. A release number
//! tells neither: distributions backport features, and sandboxes that emulate the kernel leave some out. So the doctor
//! and the preflight run the operations once, over a private socket.
//!
//! Invariant: each step takes at most [`PROBE_TIMEOUT`], and memory the kernel may still use is kept, not freed.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue};
use libc::EINVAL;
use socket2::{Domain, SockAddr, Socket, Type};

use super::operation::{Operation, SlotKey, Token};
use super::request::Request;
use super::uring::Uring;

/// How long each step may take; on a busy machine a step takes microseconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The size of the single buffer; the probe receives one byte.
const BUFFER_BYTES: u32 = 64;

/// What worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MultishotProbe {
    /// A ring of buffers could be registered.
    pub(crate) buffer_ring: bool,
    /// A connection was accepted, and the operation stayed armed.
    pub(crate) multishot_accept: bool,
    /// A byte arrived in a buffer of the ring, and the operation stayed armed.
    pub(crate) multishot_receive: bool,
}

/// Makes the kernel accept a connection and receive from it; the first failed step ends the probe, and later fields
/// stay `false`.
///
/// # Errors
///
/// The probe could not run, for lack of descriptors, memory, or any kind of socket.
pub(crate) fn probe_multishot(ring: IoUring) -> io::Result<MultishotProbe> {
    let mut probed = MultishotProbe::default();
    // Its drop ends the operations armed below, also while a panic passes.
    let mut uring = match Uring::new(ring, 1, BUFFER_BYTES, PROBE_TIMEOUT) {
        Ok(uring) => uring,
        // `EINVAL` is an old kernel; any other error concerns this host or process.
        Err(error) if error.raw_os_error() == Some(EINVAL) => return Ok(probed),
        Err(error) => return Err(error),
    };
    probed.buffer_ring = true;
    accept_and_receive(uring.ring.get_mut(), &mut probed)?;
    Ok(probed)
}

fn accept_and_receive(ring: &mut IoUring, probed: &mut MultishotProbe) -> io::Result<()> {
    let (listener, mut client) = connected()?;
    let accept = Token::new(Operation::Accept, SlotKey::NONE);
    let accepted = complete(ring, &Request::accept(&listener, accept))?;
    let Some(descriptor) = accepted.filter(|entry| entry.result() >= 0) else {
        return Ok(());
    };
    // SAFETY: the kernel has just made this descriptor for the accept above; no other owner exists.
    let connection = unsafe { OwnedFd::from_raw_fd(descriptor.result()) };
    probed.multishot_accept = cqueue::more(descriptor.flags());
    client.write_all(b"!")?;
    let receive = Token::new(Operation::Receive, SlotKey::NONE);
    let received = complete(ring, &Request::receive(connection.as_raw_fd(), receive))?;
    probed.multishot_receive = received.is_some_and(|entry| {
        entry.result() == 1 && cqueue::buffer_select(entry.flags()).is_some() && cqueue::more(entry.flags())
    });
    Ok(())
}

/// Returns a listener and a connection waiting in its backlog: over an unnamed Unix socket, or where those are
/// forbidden over the loopback device.
fn connected() -> io::Result<(Socket, Socket)> {
    let over = |domain, address: &SockAddr| {
        let listener = Socket::new(domain, Type::STREAM.cloexec(), None)?;
        listener.bind(address)?;
        listener.listen(1)?;
        let client = Socket::new(domain, Type::STREAM.cloexec(), None)?;
        client.connect(&listener.local_addr()?)?;
        Ok((listener, client))
    };
    let unnamed = SockAddr::unix("")?;
    let loopback = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    over(Domain::UNIX, &unnamed).or_else(|_| over(Domain::IPV4, &loopback))
}

/// Submits one operation and returns its first completion, or `None` after [`PROBE_TIMEOUT`].
///
/// The operation may stay armed after the caller has closed its socket: the kernel holds the file until it is cancelled.
fn complete(ring: &mut IoUring, request: &Request) -> io::Result<Option<cqueue::Entry>> {
    if !request.push_to(&mut ring.submission()) {
        return Err(io::Error::other("the submission queue is full"));
    }
    let patience = Timespec::from(PROBE_TIMEOUT);
    let wait = SubmitArgs::new().timespec(&patience);
    loop {
        match ring.submitter().submit_with_args(1, &wait) {
            Ok(_) => return Ok(ring.completion().next()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => return Ok(ring.completion().next()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::io_uring::ring_builder;

    fn open_descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn the_kernel_that_runs_the_ring_passes_the_probe_and_returns_everything() {
        // Under a seccomp filter the ring cannot be created; the preflight's tests cover that case.
        if ring_builder()
            .build(8)
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        {
            return crate::testing::skip::skip("io_uring is forbidden here");
        }
        // Alone in a process, because the descriptors of other tests would be counted too.
        let test = "the_kernel_that_runs_the_ring_passes_the_probe_and_returns_everything";
        if crate::testing::child_role().is_none() {
            crate::testing::output_of(crate::testing::child(module_path!(), test, "counts descriptors"));
            return;
        }
        let before = open_descriptors();
        for _ in 0..3 {
            let ring = ring_builder().build(8).unwrap();
            let everything = MultishotProbe {
                buffer_ring: true,
                multishot_accept: true,
                multishot_receive: true,
            };
            assert_eq!(probe_multishot(ring).unwrap(), everything);
        }
        assert_eq!(open_descriptors(), before);
    }
}
