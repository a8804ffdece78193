//! Explains why a ring was refused, from the kernel's error and the process's permissions.
//!
//! Why: `EPERM` alone leaves an operator four places to look. The process's status and one sysctl tell which it is, so
//! the sentence names it.
//!
//! Invariant: [`refusal`] is pure; only [`HostEnvironment::read`] asks the kernel.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;

use libc::{EACCES, EINVAL, EMFILE, ENOMEM, ENOSYS, EPERM};
use rustix::process::getrlimit;

use super::needs::{KERNEL_NEEDED, MEMLOCK_BYTES_MIN, Needs};
use crate::driver::io_uring::SETUP_FLAGS;
use crate::os::sys::Resource;

/// Why the io_uring driver cannot start here; its text is one sentence with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreflightError {
    /// The kernel lacks a feature.
    KernelTooOld {
        /// The kernel's release.
        release: String,
        /// The first missing feature.
        missing: &'static str,
    },
    /// The kernel was built without io_uring.
    NotCompiledIn {
        /// The kernel's release.
        release: String,
    },
    /// The operator has disabled io_uring.
    IoUringDisabled {
        /// The sysctl `kernel.io_uring_disabled`: 1 disables it for unprivileged processes, 2 for all.
        value: u8,
    },
    /// A seccomp filter forbids io_uring.
    SeccompForbids,
    /// Something else forbids it: a security module, or a sandbox without a visible filter.
    SandboxForbids,
    /// The limit on locked memory is below [`MEMLOCK_BYTES_MIN`].
    MemlockTooLow {
        /// The soft limit, in bytes.
        limit_bytes: u64,
    },
    /// The rings exceed the limit on locked memory.
    RingsTooLarge {
        /// The soft limit, in bytes.
        limit_bytes: u64,
        /// The estimated need of all shards, in bytes.
        needed_bytes: u64,
    },
    /// The host or its control group has no memory left for a ring.
    OutOfMemory {
        /// The estimated need of all shards, in bytes.
        needed_bytes: u64,
    },
    /// The limit on open files leaves no room for connections.
    NofileTooLow {
        /// The soft limit.
        limit: u64,
        /// The descriptors needed before the first connection.
        needed: u64,
    },
    /// The kernel refused a ring for an unknown reason.
    RingRefused {
        /// The kernel's error.
        error: String,
    },
}

/// How to raise the limit on open files; the doctor shows it too if the limit is tight.
pub(crate) const RAISE_NOFILE: &str =
    "raise the limit with `ulimit -n`, LimitNOFILE= of the systemd unit, or `docker run --ulimit nofile=`";

impl fmt::Display for PreflightError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelTooOld { release, missing } => write!(
                formatter,
                "Linux {release} is too old for the io_uring driver (it lacks {missing}); boot Linux {KERNEL_NEEDED} or later"
            ),
            Self::NotCompiledIn { release } => {
                write!(formatter, "Linux {release} was built without io_uring; boot a kernel with CONFIG_IO_URING=y")
            }
            Self::IoUringDisabled { value: 1 } => formatter.write_str(
                "io_uring is closed to unprivileged processes (kernel.io_uring_disabled is 1); \
                 run `sysctl kernel.io_uring_disabled=0`, or join the group that kernel.io_uring_group names",
            ),
            Self::IoUringDisabled { value } => write!(
                formatter,
                "io_uring is switched off on this machine (kernel.io_uring_disabled is {value}); \
                 run `sysctl kernel.io_uring_disabled=0`"
            ),
            Self::SeccompForbids => formatter.write_str(
                "a seccomp filter forbids io_uring, as the default profiles of Docker and containerd do; run with \
                 `--security-opt seccomp=docs/seccomp.json`, the profile in Squall's repository, or with one of your own that \
                 allows io_uring_setup, io_uring_enter and io_uring_register",
            ),
            Self::SandboxForbids => formatter.write_str(
                "io_uring is forbidden here, though neither a seccomp filter nor kernel.io_uring_disabled forbids it; \
                 allow it in the security module (SELinux, AppArmor) or sandbox around this process",
            ),
            Self::MemlockTooLow { limit_bytes } => write!(
                formatter,
                "the limit on locked memory is {} KiB and at least {} KiB are needed; raise it with \
                 `ulimit -l`, LimitMEMLOCK= of the systemd unit, or `docker run --ulimit memlock=`",
                limit_bytes / 1024,
                MEMLOCK_BYTES_MIN / 1024,
            ),
            Self::RingsTooLarge { limit_bytes, needed_bytes } => write!(
                formatter,
                "the rings need about {} KiB of locked memory and {} KiB are allowed; raise the limit with `ulimit -l` \
                 or LimitMEMLOCK=, grant CAP_IPC_LOCK, or use fewer shards or smaller rings",
                needed_bytes / 1024,
                limit_bytes / 1024,
            ),
            Self::OutOfMemory { needed_bytes } => write!(
                formatter,
                "the kernel has no memory for the rings, which need about {} KiB; raise the memory limit of the control \
                 group, or use fewer shards or smaller rings",
                needed_bytes / 1024,
            ),
            Self::NofileTooLow { limit, needed } => write!(
                formatter,
                "only {limit} files may be open and the shards need {needed} before the first connection; {RAISE_NOFILE}"
            ),
            Self::RingRefused { error } => {
                write!(formatter, "the kernel refused an io_uring ({error}); look for the reason in its log with `dmesg`")
            }
        }
    }
}

impl Error for PreflightError {}

/// The facts about this host that explain a refused ring.
#[derive(Debug, Clone)]
pub(crate) struct HostEnvironment {
    pub(crate) release: String,
    /// `kernel.io_uring_disabled`, since Linux 6.6; 0 on older kernels.
    pub(crate) io_uring_disabled: u8,
    pub(crate) seccomp_filter: bool,
    pub(crate) effective_capabilities: u64,
    /// The soft limits; `None` means unlimited.
    pub(crate) memlock: Option<u64>,
    pub(crate) nofile: Option<u64>,
}

const CAP_IPC_LOCK: u64 = 1 << 14;
const CAP_SYS_ADMIN: u64 = 1 << 21;

impl HostEnvironment {
    pub(crate) fn read() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        // Filters and capabilities belong to a thread, and the rings are created on this one.
        let status = file("/proc/thread-self/status");
        Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            io_uring_disabled: file("/proc/sys/kernel/io_uring_disabled").trim().parse().unwrap_or(0),
            seccomp_filter: status_field(&status, "Seccomp:") == Some("2"),
            effective_capabilities: effective_capabilities(&status),
            memlock: getrlimit(Resource::Memlock).current,
            nofile: getrlimit(Resource::Nofile).current,
        }
    }

    const fn has(&self, capability: u64) -> bool {
        self.effective_capabilities & capability != 0
    }

    /// Returns the limit on locked memory, unless the process is exempt from it.
    fn memlock_that_counts(&self) -> Option<u64> {
        self.memlock.filter(|_| !self.has(CAP_IPC_LOCK))
    }

    /// Returns the limit on locked memory, if it applies and the rings are estimated to exceed it.
    pub(crate) fn memlock_too_low_for(&self, needs: &Needs) -> Option<u64> {
        self.memlock_that_counts().filter(|limit| *limit < needs.locked_bytes())
    }
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn effective_capabilities(status: &str) -> u64 {
    status_field(status, "CapEff:")
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

/// Derives from the kernel's error and the environment why a ring was refused.
pub(crate) fn refusal(error: &io::Error, environment: &HostEnvironment, needs: &Needs) -> PreflightError {
    let release = || environment.release.clone();
    match error.raw_os_error() {
        Some(EPERM | EACCES) => match environment.io_uring_disabled {
            1 if environment.has(CAP_SYS_ADMIN) => permission_refusal(environment),
            value @ 1.. => PreflightError::IoUringDisabled { value },
            0 => permission_refusal(environment),
        },
        Some(ENOSYS) if environment.seccomp_filter => PreflightError::SeccompForbids,
        Some(ENOSYS) => PreflightError::NotCompiledIn { release: release() },
        Some(EINVAL) => PreflightError::KernelTooOld {
            release: release(),
            missing: SETUP_FLAGS,
        },
        Some(ENOMEM) => match environment.memlock_that_counts() {
            Some(limit_bytes) => PreflightError::RingsTooLarge {
                limit_bytes,
                needed_bytes: needs.locked_bytes(),
            },
            None => PreflightError::OutOfMemory {
                needed_bytes: needs.locked_bytes(),
            },
        },
        Some(EMFILE) => PreflightError::NofileTooLow {
            limit: environment.nofile.unwrap_or(u64::MAX),
            needed: needs.descriptors(),
        },
        _ => PreflightError::RingRefused {
            error: error.to_string(),
        },
    }
}

const fn permission_refusal(environment: &HostEnvironment) -> PreflightError {
    if environment.seccomp_filter {
        PreflightError::SeccompForbids
    } else {
        PreflightError::SandboxForbids
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn needs(shards: usize) -> Needs {
        Needs {
            shards: NonZeroUsize::new(shards).unwrap(),
            submission_entries: 1024,
            completion_entries: 4096,
            connections: 10_000,
        }
    }

    fn unconfined() -> HostEnvironment {
        HostEnvironment {
            release: "6.1.0".to_owned(),
            io_uring_disabled: 0,
            seccomp_filter: false,
            effective_capabilities: 0,
            memlock: Some(8 << 20),
            nofile: Some(1024),
        }
    }

    #[test]
    fn each_refusal_is_recognised() {
        let free = unconfined();
        let with = |change: &dyn Fn(&mut HostEnvironment)| {
            let mut environment = free.clone();
            change(&mut environment);
            environment
        };
        let filtered = with(&|it| it.seccomp_filter = true);
        let reserved = with(&|it| it.io_uring_disabled = 1);
        let exempt = with(&|it| it.effective_capabilities = CAP_IPC_LOCK);
        let administrator = with(&|it| {
            (it.seccomp_filter, it.io_uring_disabled, it.effective_capabilities) = (true, 1, CAP_SYS_ADMIN);
        });
        let switched_off = with(&|it| (it.io_uring_disabled, it.effective_capabilities) = (2, CAP_SYS_ADMIN));
        let release = || "6.1.0".to_owned();
        let needed_bytes = needs(2).locked_bytes();
        for (errno, environment, expected) in [
            (EPERM, &free, PreflightError::SandboxForbids),
            (EACCES, &free, PreflightError::SandboxForbids),
            (EPERM, &filtered, PreflightError::SeccompForbids),
            (EPERM, &reserved, PreflightError::IoUringDisabled { value: 1 }),
            (EPERM, &administrator, PreflightError::SeccompForbids),
            (EPERM, &switched_off, PreflightError::IoUringDisabled { value: 2 }),
            (ENOSYS, &free, PreflightError::NotCompiledIn { release: release() }),
            (ENOSYS, &filtered, PreflightError::SeccompForbids),
            (
                EINVAL,
                &free,
                PreflightError::KernelTooOld {
                    release: release(),
                    missing: SETUP_FLAGS,
                },
            ),
            (
                ENOMEM,
                &free,
                PreflightError::RingsTooLarge {
                    limit_bytes: 8 << 20,
                    needed_bytes,
                },
            ),
            (ENOMEM, &exempt, PreflightError::OutOfMemory { needed_bytes }),
            (
                EMFILE,
                &free,
                PreflightError::NofileTooLow {
                    limit: 1024,
                    needed: 48,
                },
            ),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(
                refusal(&error, environment, &needs(2)),
                expected,
                "{error}, {environment:?}"
            );
        }
        let other = io::Error::from_raw_os_error(libc::EIO);
        assert_eq!(
            refusal(&other, &free, &needs(1)),
            PreflightError::RingRefused {
                error: other.to_string()
            }
        );
    }

    #[test]
    fn the_status_of_a_thread_is_read_as_the_kernel_writes_it() {
        let status =
            "Name:\tserver\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000204000\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(effective_capabilities(status), CAP_IPC_LOCK | CAP_SYS_ADMIN);
        assert_eq!(status_field(status, "Seccomp:"), Some("2"));
        assert_eq!((effective_capabilities(""), status_field("", "Seccomp:")), (0, None));
    }

    #[test]
    fn every_sentence_names_the_cause_the_amount_and_the_remedy() {
        let release = || "5.15.0".to_owned();
        for (error, parts) in [
            (
                PreflightError::KernelTooOld {
                    release: release(),
                    missing: "multishot receive",
                },
                &["Linux 5.15.0", "multishot receive", "Linux 6.1 or later"][..],
            ),
            (
                PreflightError::NotCompiledIn { release: release() },
                &["Linux 5.15.0", "CONFIG_IO_URING=y"],
            ),
            (
                PreflightError::IoUringDisabled { value: 1 },
                &["is 1", "io_uring_group", "sysctl"],
            ),
            (
                PreflightError::IoUringDisabled { value: 2 },
                &["is 2", "sysctl kernel.io_uring_disabled=0"],
            ),
            (
                PreflightError::SeccompForbids,
                &["seccomp filter", "io_uring_setup", "--security-opt"],
            ),
            (PreflightError::SandboxForbids, &["SELinux"]),
            (
                PreflightError::MemlockTooLow { limit_bytes: 65536 },
                &["64 KiB", "512 KiB", "LimitMEMLOCK="],
            ),
            (
                PreflightError::RingsTooLarge {
                    limit_bytes: 8 << 20,
                    needed_bytes: 9 << 20,
                },
                &["8192 KiB", "9216 KiB", "CAP_IPC_LOCK"],
            ),
            (
                PreflightError::OutOfMemory { needed_bytes: 9 << 20 },
                &["9216 KiB", "control group"],
            ),
            (
                PreflightError::NofileTooLow { limit: 20, needed: 48 },
                &["20 files", "48", "LimitNOFILE="],
            ),
            (
                PreflightError::RingRefused {
                    error: "EIO".to_owned(),
                },
                &["EIO", "dmesg"],
            ),
        ] {
            let sentence = error.to_string();
            assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
            assert!(
                !sentence.contains(['\n', '.']) || !sentence.ends_with('.'),
                "{sentence}"
            );
            assert!(!sentence.contains("  "), "{sentence}");
        }
    }
}
