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

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use libc::{EINVAL, ENOENT};
use socket2::{Domain, SockAddr, Socket, Type};

use super::buffers::{BufferMemory, Buffers, GROUP};

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
pub(crate) fn probe_multishot(ring: &mut IoUring) -> io::Result<MultishotProbe> {
    let mut probed = MultishotProbe::default();
    let (mut buffers, mut memory) = match Buffers::register(ring, 1, BUFFER_BYTES) {
        Ok(registered) => registered,
        // `EINVAL` is an old kernel; any other error concerns this host or process.
        Err(error) if error.raw_os_error() == Some(EINVAL) => return Ok(probed),
        Err(error) => return Err(error),
    };
    probed.buffer_ring = true;
    let tried = accept_and_receive(ring, &mut probed);
    end(ring, &mut buffers, &mut memory);
    tried.map(|()| probed)
}

fn accept_and_receive(ring: &mut IoUring, probed: &mut MultishotProbe) -> io::Result<()> {
    let (listener, mut client) = connected()?;
    let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd()));
    let accepted = complete(ring, &accept.flags(libc::SOCK_CLOEXEC).build())?;
    let Some(descriptor) = accepted.filter(|entry| entry.result() >= 0) else {
        return Ok(());
    };
    // SAFETY: the kernel has just made this descriptor for the accept above; no other owner exists.
    let connection = unsafe { OwnedFd::from_raw_fd(descriptor.result()) };
    probed.multishot_accept = cqueue::more(descriptor.flags());
    client.write_all(b"!")?;
    let receive = opcode::RecvMulti::new(Fd(connection.as_raw_fd()), GROUP);
    let received = complete(ring, &receive.build())?;
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
fn complete(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<Option<cqueue::Entry>> {
    // SAFETY: the operation names an open descriptor and no memory of ours except the registered buffers; both are kept
    // until the operation has been cancelled.
    unsafe { ring.submission().push(entry) }.map_err(io::Error::other)?;
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

/// Ends armed operations and takes the buffers back; if the kernel does not confirm that, they are leaked.
fn end(ring: &IoUring, buffers: &mut Buffers, memory: &mut BufferMemory) {
    let submitter = ring.submitter();
    let cancelled = submitter.register_sync_cancel(Some(PROBE_TIMEOUT.into()), CancelBuilder::any().all());
    let nothing_left = match cancelled {
        Ok(()) => true,
        Err(error) => error.raw_os_error() == Some(ENOENT),
    };
    if buffers.unregister(&submitter).is_err() || !nothing_left {
        buffers.keep_entries();
        memory.keep();
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
        // Alone in a process, because the descriptors of other tests would be counted too.
        let test = "the_kernel_that_runs_the_ring_passes_the_probe_and_returns_everything";
        if crate::testing::child_role().is_none() {
            crate::testing::output_of(crate::testing::child(module_path!(), test, "counts descriptors"));
            return;
        }
        // Under a seccomp filter the ring cannot be created; the preflight's tests cover that case.
        if ring_builder()
            .build(8)
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        {
            return;
        }
        let before = open_descriptors();
        for _ in 0..3 {
            let mut ring = ring_builder().build(8).unwrap();
            let everything = MultishotProbe {
                buffer_ring: true,
                multishot_accept: true,
                multishot_receive: true,
            };
            assert_eq!(probe_multishot(&mut ring).unwrap(), everything);
        }
        assert_eq!(open_descriptors(), before);
    }
}
