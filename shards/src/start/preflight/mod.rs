//! Checks before a shard starts, with a sentence and a remedy for each requirement that is missing.
//!
//! Why: a server without a ring should explain that to the operator before it opens a port. Each refusal names what is
//! missing, how much of it, and what to change. Features are probed with a real ring, not guessed from the kernel's
//! version: distributions backport features, and sandboxes remove them. [`doctor`](super::doctor) reports everything
//! found; here only the first missing requirement counts.
//!
//! The kernels each feature needs: multishot accept and provided-buffer rings 5.19; multishot receive and SINGLE_ISSUER
//! 6.0; DEFER_TASKRUN 6.1. So [`KERNEL_NEEDED`] is 6.1.
//!
//! Invariant: nothing here panics, and only soft limits are changed: they are raised to the hard ones.

pub(crate) mod features;
mod needs;
pub(crate) mod refusal;

use std::fmt;
use std::io;

use libc::ENOMEM;

use crate::os::sys::{Resource, raise_to_hard};
use features::Feature;
pub use needs::{KERNEL_NEEDED, MEMLOCK_BYTES_MIN, Needs};
pub use refusal::PreflightError;
use refusal::{HostEnvironment, refusal};

/// Checks everything the io_uring driver needs.
///
/// Raises the soft limits on open files and locked memory to the hard ones and logs that. Warns if the limits may be
/// too low for the connections or the rings.
///
/// # Errors
///
/// The first [`PreflightError`] found; the process should print it and exit with a non-zero status.
pub fn check(needs: &Needs) -> Result<(), PreflightError> {
    check_descriptors(needs)?;
    io_uring_refusal(needs).map_or(Ok(()), Err)
}

/// Checks what every driver needs: descriptors.
///
/// Raises the soft limits as [`check`] does, and warns if there is room for fewer connections than wanted.
///
/// # Errors
///
/// [`PreflightError::NofileTooLow`].
pub fn check_descriptors(needs: &Needs) -> Result<(), PreflightError> {
    raise_limits();
    let limit = HostEnvironment::read().nofile;
    let connections = connections_max(limit, needs)?;
    if connections < needs.connections {
        let wanted = needs.connections;
        tracing::warn!("the limit on open files allows {connections} connections, {wanted} are wanted");
    }
    Ok(())
}

/// Returns why the io_uring driver cannot be used here, or `None` if it can; `--driver auto` decides by it.
///
/// Raises the soft limits as [`check`] does, and warns if the rings may exceed the limit on locked memory. Creates a
/// small ring, makes it accept a connection and receive from it, and drops it.
#[must_use]
pub fn io_uring_refusal(needs: &Needs) -> Option<PreflightError> {
    raise_limits();
    let environment = HostEnvironment::read();
    let refusal = judge_ring(&features::probe(), &environment, needs);
    if let (None, Some(limit)) = (&refusal, environment.memlock_too_low_for(needs)) {
        let needed = needs.locked_bytes();
        tracing::warn!(limit, needed, "the rings may exceed the limit on locked memory");
    }
    refusal
}

/// Raises the soft limits on open files and locked memory to the hard ones, which needs no privilege.
pub(crate) fn raise_limits() {
    for (name, resource) in [("open files", Resource::Nofile), ("locked memory", Resource::Memlock)] {
        let (before, now) = raise_to_hard(resource);
        if before != now {
            let (from, to) = (Amount(before.current), Amount(now.current));
            tracing::info!(%from, %to, "raised the soft limit on {name}");
        }
    }
}

/// Judges the result of a probe and the limit on locked memory.
pub(crate) fn judge_ring(
    probed: &io::Result<Vec<Feature>>,
    environment: &HostEnvironment,
    needs: &Needs,
) -> Option<PreflightError> {
    let features = match probed {
        Ok(features) => features,
        Err(error) => return Some(explain_probe(error, environment, needs)),
    };
    let missing = features.iter().find(|feature| !feature.found);
    missing
        .map(|feature| PreflightError::KernelTooOld {
            release: environment.release.clone(),
            missing: feature.name,
        })
        .or_else(|| judge_memlock(environment.memlock))
}

/// Explains why no ring could be probed. If memory was short, a limit that is too low in any case says more than an
/// estimate. The ring was small, and whether it fits depends on what else this user has locked.
pub(crate) fn explain_probe(error: &io::Error, environment: &HostEnvironment, needs: &Needs) -> PreflightError {
    let short = error.raw_os_error() == Some(ENOMEM);
    let too_low = judge_memlock(environment.memlock).filter(|_| short);
    too_low.unwrap_or_else(|| refusal(error, environment, needs))
}

/// Judges whether the executors can start.
pub(crate) fn judge_memlock(limit: Option<u64>) -> Option<PreflightError> {
    let limit_bytes = limit.filter(|limit| *limit < MEMLOCK_BYTES_MIN)?;
    Some(PreflightError::MemlockTooLow { limit_bytes })
}

/// Returns how many connections the limit on open files allows over all shards, or an error for zero.
pub(crate) fn connections_max(limit: Option<u64>, needs: &Needs) -> Result<u64, PreflightError> {
    let needed = needs.descriptors();
    match limit {
        None => Ok(u64::MAX),
        Some(limit) if limit > needed => Ok(limit - needed),
        Some(limit) => Err(PreflightError::NofileTooLow { limit, needed }),
    }
}

/// Explains, from the kernel's error and the process's permissions, why a ring of the needed size was refused.
///
/// For the shards, whose rings are larger than the one probed here.
#[must_use]
pub fn explain_ring_refusal(error: &io::Error, needs: &Needs) -> PreflightError {
    refusal(error, &HostEnvironment::read(), needs)
}

/// A limit as displayed to the operator.
pub(crate) struct Amount(pub(crate) Option<u64>);

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
    use std::num::NonZeroUsize;
    use std::process::Command;

    use rustix::process::{Rlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    use super::*;
    use crate::testing::{child, child_role, output_of};
    use libc::{ENOSYS, EPERM};

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
        let memlock_too_low = |limit_bytes| Some(PreflightError::MemlockTooLow { limit_bytes });
        for (limit, expected) in [
            (Some(MEMLOCK_BYTES_MIN - 1), memlock_too_low(MEMLOCK_BYTES_MIN - 1)),
            (Some(MEMLOCK_BYTES_MIN), None),
            (None, None),
        ] {
            assert_eq!(judge_memlock(limit), expected);
        }
        let nofile_too_low = |limit| Err(PreflightError::NofileTooLow { limit, needed: 48 });
        for (limit, expected) in [
            (Some(10), nofile_too_low(10)),
            (Some(48), nofile_too_low(48)),
            (Some(49), Ok(1)),
            (None, Ok(u64::MAX)),
        ] {
            assert_eq!(connections_max(limit, &needs(2)), expected);
        }
    }

    /// The first missing feature is named, before the limits.
    #[test]
    fn a_missing_feature_is_a_kernel_too_old() {
        let mut environment = HostEnvironment::read();
        environment.memlock = Some(0);
        let feature = |name, found| Feature {
            name,
            since: "6.1",
            found,
        };
        let probed = vec![feature("a", true), feature("b", false), feature("c", false)];
        let release = environment.release.clone();
        assert_eq!(
            judge_ring(&Ok(probed), &environment, &needs(1)),
            Some(PreflightError::KernelTooOld { release, missing: "b" })
        );
        assert_eq!(
            judge_ring(&Ok(vec![feature("a", true)]), &environment, &needs(1)),
            Some(PreflightError::MemlockTooLow { limit_bytes: 0 })
        );
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
    fn a_real_seccomp_filter_and_real_limits_are_recognised() {
        let test = "a_real_seccomp_filter_and_real_limits_are_recognised";
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
                assert_eq!(io_uring_refusal(&needs(1)), Some(PreflightError::SeccompForbids));
                assert_eq!(check_descriptors(&needs(1)), Ok(()), "another driver may still work");
            }
            "memlock" => {
                set_limit(Resource::Memlock, 65_536, 65_536);
                let expected = PreflightError::MemlockTooLow { limit_bytes: 65_536 };
                // With every ring feature present, which the host of the test may forbid.
                assert_eq!(
                    judge_ring(&Ok(Vec::new()), &HostEnvironment::read(), &needs(1)),
                    Some(expected)
                );
            }
            "nofile" => {
                set_limit(Resource::Nofile, 32, 32);
                let expected = PreflightError::NofileTooLow { limit: 32, needed: 32 };
                assert_eq!(check(&needs(1)), Err(expected.clone()));
                assert_eq!(check_descriptors(&needs(1)), Err(expected));
            }
            "raised" => {
                set_limit(Resource::Nofile, 40, 100);
                assert_eq!(check_descriptors(&needs(2)), Ok(()));
                assert_eq!(HostEnvironment::read().nofile, Some(100));
            }
            other => panic!("unknown role: {other}"),
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
        // Kernels differ in whether a ring counts against the limit; where it does, this is the explanation.
        if let Err(error) = io_uring::IoUring::new(features::PROBE_ENTRIES) {
            let explained = explain_ring_refusal(&error, &needs(1));
            let refused = io_uring_refusal(&needs(1));
            if error.raw_os_error() == Some(ENOMEM) {
                let needed_bytes = needs(1).locked_bytes();
                assert_eq!(
                    explained,
                    PreflightError::RingsTooLarge {
                        limit_bytes: 0,
                        needed_bytes
                    }
                );
                assert_eq!(refused, Some(PreflightError::MemlockTooLow { limit_bytes: 0 }));
            } else {
                assert_eq!(refused, Some(explained), "{error}");
            }
        }
    }

    #[test]
    fn a_machine_with_a_new_kernel_and_no_filter_has_everything() {
        let release = HostEnvironment::read().release;
        let (major, rest) = release.split_once('.').unwrap();
        let minor = rest
            .split(|character: char| !character.is_ascii_digit())
            .next()
            .unwrap();
        let new = (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap()) >= (6, 1);
        match features::probe() {
            Ok(features) if new => {
                let missing: Vec<_> = features.iter().filter(|feature| !feature.found).collect();
                assert!(missing.is_empty(), "{missing:?}");
                assert_eq!(check(&needs(1)), Ok(()));
            }
            _ => assert!(io_uring_refusal(&needs(1)).is_some()),
        }
    }
}
