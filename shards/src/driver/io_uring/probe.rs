//! A trial of what the driver lives on: one connection accepted and one byte received, both by multishot operations.
//!
//! Why: the kernel answers for an operation, not for its multishot form nor for buffer rings, and a release number answers for
//! neither: distributions carry features back, and sandboxes that play the kernel leave some out. So the doctor and the preflight
//! let the kernel do it once, over a socket of their own that nobody else can reach.
//!
//! Invariant: the trial ends within [`PROBE_TIMEOUT`] for each step, and memory the kernel may still use is kept, not freed.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use libc::{EINVAL, ENOENT};
use socket2::{Domain, SockAddr, Socket, Type};

use super::buffers::{BufferMemory, Buffers, GROUP};

/// How long each step may take; on a busy machine they take microseconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The bytes of the one buffer, more than the one byte that is sent.
const BUFFER_BYTES: u32 = 64;

/// What was seen to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MultishotProbe {
    /// A ring of buffers could be registered.
    pub(crate) buffer_ring: bool,
    /// A connection was accepted, and the operation stayed for the next.
    pub(crate) multishot_accept: bool,
    /// A byte arrived in a buffer of the ring, and the operation stayed for the next.
    pub(crate) multishot_receive: bool,
}

/// Lets the kernel accept a connection and receive from it. What does not work is `false`; what comes after it is not tried.
///
/// # Errors
///
/// What is needed for the trial itself could not be had: descriptors, memory, a socket of any kind.
pub(crate) fn probe_multishot(ring: &mut IoUring) -> io::Result<MultishotProbe> {
    let mut probed = MultishotProbe::default();
    let (mut buffers, mut memory) = match Buffers::register(ring, 1, BUFFER_BYTES) {
        Ok(registered) => registered,
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
    // SAFETY: the kernel has just made this descriptor for the accept above and given it to nobody else.
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

/// A listener and a connection that waits in its backlog: over a Unix socket whose name the kernel makes up, or, where such
/// sockets are forbidden, over the loopback device.
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

/// Submits one operation and returns its first completion; `None` if none came in time.
fn complete(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<Option<cqueue::Entry>> {
    // SAFETY: the operation names an open descriptor and no memory of ours but the registered buffers; both are kept until the
    // kernel has been told to end it.
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

/// Ends what is still armed and takes the buffers back; where the kernel cannot say that it has, they are kept.
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
    fn the_kernel_that_runs_the_ring_passes_the_trial_and_gives_everything_back() {
        // Alone in a process, because the descriptors of other tests would be counted too.
        let test = "the_kernel_that_runs_the_ring_passes_the_trial_and_gives_everything_back";
        if crate::testing::child_role().is_none() {
            crate::testing::output_of(crate::testing::child(module_path!(), test, "counts descriptors"));
            return;
        }
        // Under a seccomp filter there is no ring to try; the preflight's tests say what is reported then.
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
