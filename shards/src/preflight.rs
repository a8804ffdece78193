//! What must be true before a shard starts, and a sentence with the fix for each thing that is not.
//!
//! Why: a server that cannot have its ring should say so in words an operator can act on, before it opens a port. Each
//! refusal names what is missing, how much of it, and what to change. What can be probed is probed with a real ring, not
//! guessed from the kernel's version: distributions carry features back, and sandboxes take them away.
//!
//! What each feature needs: MSG_RING 5.18; multishot accept and provided-buffer rings 5.19; multishot recv and
//! SINGLE_ISSUER 6.0; DEFER_TASKRUN 6.1. So [`KERNEL_NEEDED`] is 6.1.
//!
//! Invariant: nothing here panics, and [`inspect`] changes nothing; [`check`] raises soft limits and nothing else.

mod refusal;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;

use io_uring::{IoUring, Probe, opcode};
use libc::{EINVAL, ENOENT};

pub use self::refusal::PreflightError;
use self::refusal::{Circumstances, refusal};
use crate::sys::{Resource, raise_to_hard};

/// The oldest kernel with every feature of the io_uring driver.
pub const KERNEL_NEEDED: &str = "6.1";

/// The locked memory without which glommio, the executor, refuses to start, whatever privileges the process has.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// The locked memory of one executor: its three rings at a depth of 128 and 64 KiB of buffers registered with each took
/// 205 KiB where it was measured (Linux 6.18), rounded up here.
const EXECUTOR_LOCKED_BYTES: u64 = 256 * 1024;

/// The descriptors of one shard without any connection: four rings, wake-ups, listeners, and one held in reserve.
const DESCRIPTORS_PER_SHARD: u64 = 16;

/// The descriptors of the process beside its shards: standard streams, signals, a log and an open file or two.
const DESCRIPTORS_OF_PROCESS: u64 = 16;

/// The entries of the ring that is made to see whether one can be made: few, because the kernel gives the locked memory
/// of a closed ring back late, and the real ones are made right after.
const PROBE_ENTRIES: u32 = 8;

/// What the server is going to ask of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The number of shards, each with a ring of its own.
    pub shards: NonZeroUsize,
    /// The submission entries of each ring.
    pub submission_entries: u32,
    /// The completion entries of each ring.
    pub completion_entries: u32,
    /// The connections hoped for; fewer are a warning, not an error.
    pub connections: u64,
}

/// What was found, for a log line and for `doctor`; printed, it is one line for each item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The kernel's release, as in `6.18.44`.
    pub kernel: String,
    /// Every feature and limit looked at, in a fixed order.
    pub list: Vec<Capability>,
    /// How many connections the limit on open files leaves room for, over all shards.
    pub connections_max: u64,
    /// Every reason not to start; none is a machine that will do.
    pub problems: Vec<PreflightError>,
}

/// One feature or limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// What it is, in the kernel's words.
    pub name: &'static str,
    /// Whether it is there, or enough.
    pub found: bool,
    /// Since which kernel it exists, or how much there is.
    pub detail: String,
}

/// Raises the soft limits on open files and locked memory to the hard ones, then inspects the machine.
///
/// Logs what was raised, and warns if the limits may be too low for the connections or the rings needed.
///
/// # Errors
///
/// The first [`PreflightError`] found. The process should print it and end with a non-zero status.
pub fn check(needs: &Needs) -> Result<Capabilities, PreflightError> {
    raise_limits();
    let capabilities = inspect(needs);
    if let Some(problem) = capabilities.problems.first() {
        return Err(problem.clone());
    }
    let connections = capabilities.connections_max;
    if connections < needs.connections {
        let wanted = needs.connections;
        tracing::warn!("the limit on open files leaves room for {connections} connections, {wanted} are wanted");
    }
    let circumstances = Circumstances::read();
    let needed = needs.locked_bytes();
    if let Some(limit) = circumstances.memlock_that_counts().filter(|limit| *limit < needed) {
        tracing::warn!(limit, needed, "the rings may not fit into the limit on locked memory");
    }
    Ok(capabilities)
}

/// Raises the soft limits on open files and locked memory to the hard ones, and logs what was raised.
pub(crate) fn raise_limits() {
    for (name, resource) in [("open files", Resource::Nofile), ("locked memory", Resource::Memlock)] {
        let (before, now) = raise_to_hard(resource);
        if before != now {
            let (from, to) = (Amount(before.current), Amount(now.current));
            tracing::info!(%from, %to, "raised the soft limit on {name}");
        }
    }
}

/// Looks at everything the io_uring driver needs and changes nothing.
///
/// Makes one or two small rings on the calling thread and drops them.
#[must_use]
pub fn inspect(needs: &Needs) -> Capabilities {
    let circumstances = Circumstances::read();
    let mut capabilities = Capabilities {
        kernel: circumstances.release.clone(),
        list: Vec::new(),
        connections_max: 0,
        problems: Vec::new(),
    };
    capabilities.inspect_ring(&circumstances, needs);
    capabilities.judge_memlock(circumstances.memlock);
    capabilities.judge_nofile(circumstances.nofile, needs);
    capabilities
}

/// Explains why the kernel refused a ring of the size needed, from the error and from what the process may do.
///
/// For the shards, whose own rings are larger than the one [`check`] makes.
#[must_use]
pub fn explain_ring_refusal(error: &io::Error, needs: &Needs) -> PreflightError {
    refusal(error, &Circumstances::read(), needs)
}

impl Needs {
    /// Estimates the locked memory of all shards: an entry takes 68 bytes of submission queue or 16 of completion queue,
    /// in whole pages, and the executors have rings of their own. (A ring of 1024 and 4096 entries was made at a limit of
    /// 136 KiB on Linux 6.18, which is what this gives for it, and not at 132.)
    fn locked_bytes(&self) -> u64 {
        let pages = |bytes: u64| bytes.next_multiple_of(4096);
        let submission = pages(u64::from(self.submission_entries) * 64);
        let rest = pages(512 + u64::from(self.submission_entries) * 4 + u64::from(self.completion_entries) * 16);
        (submission + rest + EXECUTOR_LOCKED_BYTES).saturating_mul(self.shards.get() as u64)
    }

    /// Counts the descriptors needed before the first connection.
    const fn descriptors(&self) -> u64 {
        (self.shards.get() as u64)
            .saturating_mul(DESCRIPTORS_PER_SHARD)
            .saturating_add(DESCRIPTORS_OF_PROCESS)
    }
}

impl Capabilities {
    /// Returns whether everything needed was found.
    #[must_use]
    pub const fn is_sufficient(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, name: &'static str, found: bool, detail: impl Into<String>) {
        self.list.push(Capability {
            name,
            found,
            detail: detail.into(),
        });
    }

    fn inspect_ring(&mut self, circumstances: &Circumstances, needs: &Needs) {
        match driver_ring() {
            Ok(ring) => {
                self.add("io_uring", true, "permitted");
                self.list_features(&ring, true, circumstances);
            }
            Err(error) if error.raw_os_error() == Some(EINVAL) && IoUring::new(PROBE_ENTRIES).is_ok() => {
                self.add("io_uring", true, "permitted");
                if let Ok(ring) = IoUring::new(PROBE_ENTRIES) {
                    self.list_features(&ring, false, circumstances);
                }
            }
            Err(error) => {
                let problem = refusal(&error, circumstances, needs);
                self.add("io_uring", false, error.to_string());
                self.problems.push(problem);
            }
        }
    }

    fn list_features(&mut self, ring: &IoUring, driver_flags: bool, circumstances: &Circumstances) {
        let mut probe = Probe::new();
        let probed = ring.submitter().register_probe(&mut probe).is_ok();
        let supported = |code: u8| probed && probe.is_supported(code);
        let features = [
            ("SINGLE_ISSUER and DEFER_TASKRUN", driver_flags, "6.1"),
            ("no completion lost (NODROP)", ring.params().is_feature_nodrop(), "5.5"),
            ("accept", supported(opcode::Accept::CODE), "5.5"),
            ("recv", supported(opcode::Recv::CODE), "5.6"),
            ("send", supported(opcode::Send::CODE), "5.6"),
            ("sendmsg", supported(opcode::SendMsg::CODE), "5.3"),
            ("shutdown", supported(opcode::Shutdown::CODE), "5.11"),
            ("close", supported(opcode::Close::CODE), "5.6"),
            ("cancel", supported(opcode::AsyncCancel::CODE), "5.5"),
            ("timeout", supported(opcode::Timeout::CODE), "5.4"),
            ("poll", supported(opcode::PollAdd::CODE), "5.1"),
            ("read", supported(opcode::Read::CODE), "5.6"),
            ("MSG_RING", supported(opcode::MsgRingData::CODE), "5.18"),
            (
                "provided-buffer rings, multishot accept",
                has_buffer_rings(ring),
                "5.19",
            ),
            // No kernel answers for it directly: it came in the same release as this operation.
            ("multishot recv", supported(opcode::SendZc::CODE), "6.0"),
        ];
        for (name, found, since) in features {
            self.add(name, found, format!("Linux {since}"));
        }
        if let Some((missing, _, _)) = features.iter().find(|(_, found, _)| !found) {
            let release = circumstances.release.clone();
            self.problems.push(PreflightError::KernelTooOld { release, missing });
        }
    }

    fn judge_memlock(&mut self, limit: Option<u64>) {
        let enough = limit.is_none_or(|limit| limit >= MEMLOCK_BYTES_MIN);
        self.add("locked memory", enough, format!("{} bytes", Amount(limit)));
        if let Some(limit) = limit.filter(|_| !enough) {
            self.problems.push(PreflightError::MemlockTooLow { limit_bytes: limit });
        }
    }

    fn judge_nofile(&mut self, limit: Option<u64>, needs: &Needs) {
        let needed = needs.descriptors();
        self.connections_max = limit.unwrap_or(u64::MAX).saturating_sub(needed);
        let enough = self.connections_max > 0;
        self.add("open files", enough, Amount(limit).to_string());
        if let Some(limit) = limit.filter(|_| !enough) {
            self.problems.push(PreflightError::NofileTooLow { limit, needed });
        }
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "Linux {}", self.kernel)?;
        for Capability { name, found, detail } in &self.list {
            writeln!(
                formatter,
                "{}  {name} ({detail})",
                if *found { "found  " } else { "missing" }
            )?;
        }
        for problem in &self.problems {
            writeln!(formatter, "problem: {problem}")?;
        }
        Ok(())
    }
}

/// Makes a small ring with the flags of the driver's own.
fn driver_ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(PROBE_ENTRIES)
}

/// Asks for the removal of a buffer ring that does not exist: a kernel that knows such rings finds none, an older one
/// does not know the request.
fn has_buffer_rings(ring: &IoUring) -> bool {
    ring.submitter()
        .unregister_buf_ring(0)
        .is_err_and(|error| error.raw_os_error() == Some(ENOENT))
}

/// A limit as an operator writes it.
struct Amount(Option<u64>);

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(amount) => amount.fmt(formatter),
            None => formatter.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use rustix::process::{Rlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    use super::*;
    use crate::testing::{child, child_role, output_of};
    use libc::{ENOMEM, ENOSYS, EPERM};

    fn needs(shards: usize) -> Needs {
        Needs {
            shards: NonZeroUsize::new(shards).unwrap(),
            submission_entries: 1024,
            completion_entries: 4096,
            connections: 10_000,
        }
    }

    #[test]
    fn limits_are_judged_at_their_edges() {
        for (limit, problems) in [
            (
                Some(MEMLOCK_BYTES_MIN - 1),
                vec![PreflightError::MemlockTooLow {
                    limit_bytes: MEMLOCK_BYTES_MIN - 1,
                }],
            ),
            (Some(MEMLOCK_BYTES_MIN), vec![]),
            (None, vec![]),
        ] {
            let mut capabilities = inspect(&needs(1));
            (capabilities.list, capabilities.problems) = (vec![], vec![]);
            capabilities.judge_memlock(limit);
            assert_eq!(capabilities.is_sufficient(), capabilities.list[0].found);
            assert_eq!(capabilities.problems, problems);
        }
        for (limit, connections, problems) in [
            (
                Some(10),
                0,
                vec![PreflightError::NofileTooLow { limit: 10, needed: 48 }],
            ),
            (
                Some(48),
                0,
                vec![PreflightError::NofileTooLow { limit: 48, needed: 48 }],
            ),
            (Some(49), 1, vec![]),
            (None, u64::MAX - 48, vec![]),
        ] {
            let mut capabilities = inspect(&needs(2));
            (capabilities.list, capabilities.problems) = (vec![], vec![]);
            capabilities.judge_nofile(limit, &needs(2));
            assert_eq!(capabilities.connections_max, connections);
            assert_eq!(capabilities.is_sufficient(), capabilities.list[0].found);
            assert_eq!(capabilities.problems, problems);
        }
    }

    #[test]
    fn the_memory_of_the_rings_grows_with_each_dimension() {
        assert_eq!(needs(1).locked_bytes(), 64 * 1024 + 72 * 1024 + 256 * 1024);
        assert_eq!(needs(4).locked_bytes(), 4 * needs(1).locked_bytes());
        let largest = Needs {
            shards: NonZeroUsize::MAX,
            submission_entries: u32::MAX,
            completion_entries: u32::MAX,
            connections: 0,
        };
        assert_eq!(largest.locked_bytes(), u64::MAX);
        assert_eq!(largest.descriptors(), u64::MAX);
    }

    /// Makes io_uring_setup fail with this error for the rest of the thread's life.
    fn forbid_io_uring(errno: i32) {
        let rules = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
        let action = SeccompAction::Errno(errno.cast_unsigned());
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        apply_filter(&program).unwrap();
    }

    fn set_limit(resource: Resource, soft: u64, hard: u64) {
        setrlimit(
            resource,
            Rlimit {
                current: Some(soft),
                maximum: Some(hard),
            },
        )
        .unwrap();
    }

    fn run(test: &str, role: &str) -> Command {
        child(module_path!(), test, role)
    }

    #[test]
    fn a_real_seccomp_filter_and_real_limits_are_found_out() {
        let test = "a_real_seccomp_filter_and_real_limits_are_found_out";
        let Some(role) = child_role() else {
            for role in ["EPERM", "ENOSYS", "memlock", "nofile", "raised"] {
                output_of(run(test, role));
            }
            return;
        };
        match role.as_str() {
            "EPERM" | "ENOSYS" => {
                forbid_io_uring(if role == "EPERM" { EPERM } else { ENOSYS });
                assert_eq!(check(&needs(1)), Err(PreflightError::SeccompForbids));
                let report = inspect(&needs(1)).to_string();
                assert!(
                    report.contains("missing  io_uring (") && report.contains("problem: a seccomp filter"),
                    "{report}"
                );
            }
            "memlock" => {
                set_limit(Resource::Memlock, 65_536, 65_536);
                let problems = inspect(&needs(1)).problems;
                assert!(
                    problems.contains(&PreflightError::MemlockTooLow { limit_bytes: 65_536 }),
                    "{problems:?}"
                );
            }
            "nofile" => {
                set_limit(Resource::Nofile, 32, 32);
                let problems = inspect(&needs(1)).problems;
                assert!(
                    problems.contains(&PreflightError::NofileTooLow { limit: 32, needed: 32 }),
                    "{problems:?}"
                );
            }
            "raised" => {
                set_limit(Resource::Nofile, 40, 100);
                let before = inspect(&needs(1)).connections_max;
                let _outcome = check(&needs(1));
                assert_eq!((before, inspect(&needs(1)).connections_max), (8, 68));
            }
            other => panic!("no such role: {other}"),
        }
    }

    #[test]
    fn a_ring_that_does_not_fit_into_locked_memory_is_explained() {
        let test = "a_ring_that_does_not_fit_into_locked_memory_is_explained";
        if child_role().is_none() {
            output_of(run(test, "without CAP_IPC_LOCK"));
            return;
        }
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::IPC_LOCK);
        set_capabilities(None, sets).unwrap();
        set_limit(Resource::Memlock, 0, 0);
        // Kernels differ in whether they count a ring's memory against the limit; where they do, this is how it is told.
        if let Err(error) = IoUring::new(PROBE_ENTRIES) {
            let explained = explain_ring_refusal(&error, &needs(1));
            let inspected = inspect(&needs(1)).problems;
            assert!(inspected.contains(&explained), "{error}: {inspected:?}");
            if error.raw_os_error() == Some(ENOMEM) {
                let needed_bytes = needs(1).locked_bytes();
                assert_eq!(
                    explained,
                    PreflightError::RingsTooLarge {
                        limit_bytes: 0,
                        needed_bytes
                    }
                );
            }
        }
    }

    #[test]
    fn a_machine_with_a_new_kernel_and_no_filter_has_everything() {
        let capabilities = inspect(&needs(1));
        let (major, rest) = capabilities.kernel.split_once('.').unwrap();
        let minor = rest
            .split(|character: char| !character.is_ascii_digit())
            .next()
            .unwrap();
        let new = (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap()) >= (6, 1);
        let permitted = capabilities.list[0].found;
        let missing: Vec<_> = capabilities
            .list
            .iter()
            .filter(|capability| !capability.found)
            .collect();
        if new && permitted {
            assert!(missing.is_empty(), "{missing:?}");
            assert_eq!(check(&needs(1)).map(|found| found.list), Ok(inspect(&needs(1)).list));
        } else {
            assert_eq!(check(&needs(1)), Err(capabilities.problems[0].clone()));
        }
    }
}
