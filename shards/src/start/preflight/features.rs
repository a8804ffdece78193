//! Probes what this kernel's io_uring can do, through a real ring.
//!
//! Why: the preflight, which stops at the first missing feature, and the doctor, which shows all, share one list. The
//! kernel is asked where it answers, and otherwise made to do it.
//!
//! Invariant: the operations are those the driver submits; add a new one here too.

use std::io;
use std::thread;

use io_uring::{IoUring, Probe, opcode};
use libc::EINVAL;

use crate::driver::io_uring::{SETUP_FLAGS, probe_multishot, ring_builder};

/// The entries of the probed ring. 8: the kernel returns the locked memory of a closed ring late, and the real rings
/// are created right after.
pub(crate) const PROBE_ENTRIES: u32 = 8;

/// A feature of io_uring that the driver needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Its name, in the kernel's words.
    pub(crate) name: &'static str,
    /// The first Linux release with it.
    pub(crate) since: &'static str,
    /// Whether this kernel has it.
    pub(crate) found: bool,
}

/// Creates a ring with the driver's flags, asks it for each feature, and drops it. A kernel that does not know the
/// flags is asked through a ring without them.
///
/// It runs on a thread of its own. After a ring is closed the kernel dismantles it by work on the creating thread. That
/// interrupts the thread's current system call with EINTR.
///
/// # Errors
///
/// The kernel refused any ring, or what is needed to probe one; [`refusal`](super::refusal) explains it.
pub(crate) fn probe() -> io::Result<Vec<Feature>> {
    let thread = thread::Builder::new().spawn(probe_here)?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the probe of io_uring panicked")))
}

fn probe_here() -> io::Result<Vec<Feature>> {
    let (ring, flags) = match ring_builder().build(PROBE_ENTRIES) {
        Ok(ring) => (ring, true),
        Err(error) if error.raw_os_error() == Some(EINVAL) => (IoUring::new(PROBE_ENTRIES).map_err(|_| error)?, false),
        Err(error) => return Err(error),
    };
    let mut features = vec![
        feature(SETUP_FLAGS, "6.1", flags),
        feature("no completion lost (NODROP)", "5.5", ring.params().is_feature_nodrop()),
    ];
    features.extend(operations(&ring));
    let probed = probe_multishot(ring)?;
    features.extend([
        feature("provided-buffer rings", "5.19", probed.buffer_ring),
        feature("multishot accept", "5.19", probed.multishot_accept),
        feature("multishot receive", "6.0", probed.multishot_receive),
    ]);
    Ok(features)
}

/// Returns the operations the driver submits, and whether the kernel supports each.
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
