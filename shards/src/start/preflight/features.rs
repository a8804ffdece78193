//! What the io_uring of this kernel can do, asked of a real ring.
//!
//! Why: one list for the preflight, which stops at the first thing that is missing, and for the doctor, which shows all of it.
//! What the kernel answers for is asked, and what it does not answer for is tried.
//!
//! Invariant: the operations are those the driver submits; one that is added there is added here.

use std::io;
use std::thread;

use io_uring::{IoUring, Probe, opcode};
use libc::EINVAL;

use crate::driver::io_uring::{probe_multishot, ring_builder};

/// The flags of the driver's rings in the kernel's words, less TASKRUN_FLAG, which is older than either.
pub(crate) const SETUP_FLAGS: &str = "SINGLE_ISSUER and DEFER_TASKRUN";

/// The entries of the ring that is made to see whether one can be made: few, because the kernel gives the locked memory
/// of a closed ring back late, and the real ones are made right after.
pub(crate) const PROBE_ENTRIES: u32 = 8;

/// One thing the driver needs of io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// What it is, in the kernel's words.
    pub(crate) name: &'static str,
    /// The first release that had it.
    pub(crate) since: &'static str,
    /// Whether it is here.
    pub(crate) found: bool,
}

/// Makes a ring with the flags of the driver's own, asks it, and drops it. A kernel that does not know the flags is asked through a ring
/// without them.
///
/// On a thread of its own: the kernel takes a ring apart after it is closed, by work on the thread that made it, which ends whatever system
/// call the thread waits in by then with EINTR.
///
/// # Errors
///
/// The kernel gave no ring at all, or nothing to try it with; [`refusal`](super::refusal) explains which.
pub(crate) fn probe() -> io::Result<Vec<Feature>> {
    let thread = thread::Builder::new().spawn(probe_here)?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the probe of io_uring panicked")))
}

fn probe_here() -> io::Result<Vec<Feature>> {
    let (mut ring, flags) = match ring_builder().build(PROBE_ENTRIES) {
        Ok(ring) => (ring, true),
        Err(error) if error.raw_os_error() == Some(EINVAL) => (IoUring::new(PROBE_ENTRIES).map_err(|_| error)?, false),
        Err(error) => return Err(error),
    };
    let mut features = vec![
        feature(SETUP_FLAGS, "6.1", flags),
        feature("no completion lost (NODROP)", "5.5", ring.params().is_feature_nodrop()),
    ];
    features.extend(operations(&ring));
    let probed = probe_multishot(&mut ring)?;
    features.extend([
        feature("provided-buffer rings", "5.19", probed.buffer_ring),
        feature("multishot accept", "5.19", probed.multishot_accept),
        feature("multishot receive", "6.0", probed.multishot_receive),
    ]);
    Ok(features)
}

/// The operations the driver submits, each as the kernel answers for it.
fn operations(ring: &IoUring) -> impl Iterator<Item = Feature> {
    let mut probe = Probe::new();
    let probed = ring.submitter().register_probe(&mut probe).is_ok();
    let operations = [
        ("operation POLL_ADD", "5.1", opcode::PollAdd::CODE),
        ("operation SENDMSG", "5.3", opcode::SendMsg::CODE),
        ("operation TIMEOUT", "5.4", opcode::Timeout::CODE),
        ("operation TIMEOUT_REMOVE", "5.5", opcode::TimeoutUpdate::CODE),
        ("operation ACCEPT", "5.5", opcode::AcceptMulti::CODE),
        ("operation CONNECT", "5.5", opcode::Connect::CODE),
        ("operation ASYNC_CANCEL", "5.5", opcode::AsyncCancel::CODE),
        ("operation READ", "5.6", opcode::Read::CODE),
        ("operation RECV", "5.6", opcode::RecvMulti::CODE),
        ("operation SEND", "5.6", opcode::Send::CODE),
        ("operation CLOSE", "5.6", opcode::Close::CODE),
    ];
    operations
        .into_iter()
        .map(move |(name, since, code)| feature(name, since, probed && probe.is_supported(code)))
}

const fn feature(name: &'static str, since: &'static str, found: bool) -> Feature {
    Feature { name, since, found }
}
