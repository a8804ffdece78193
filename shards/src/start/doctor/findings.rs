//! What the doctor examines: io_uring, limits, sockets and CPUs, by the probes and the sentences of the preflight.
//!
//! Sockets and CPUs are not asked for but tried, on a free port of the loopback device and on a thread.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::thread;

use rustix::event::epoll;

use crate::balance::bpf;
use crate::net::tcp_socket;
use crate::os::sys;
use crate::start::placement::{AvailableCpus, parse_cpu_list};
use crate::start::preflight::features::Feature;
use crate::start::preflight::refusal::{HostEnvironment, RAISE_NOFILE};
use crate::start::preflight::{
    Amount, KERNEL_NEEDED, Needs, PreflightError, connections_max, explain_probe, judge_memlock,
};

/// What needs a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NeededBy {
    EveryDriver,
    IoUring,
    Epoll,
    /// An option, or better performance.
    Optional,
}

/// Whether a thing is available; if it is less than a busy server needs, or missing, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Availability {
    Found,
    Limited(String),
    Missing(String),
}

/// One thing a server uses of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) area: &'static str,
    pub(super) name: &'static str,
    pub(super) needed_by: NeededBy,
    pub(super) availability: Availability,
    /// The amount available, the first kernel with it, or the error of the attempt.
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(
        (area, name): (&'static str, &'static str),
        needed_by: NeededBy,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            area,
            name,
            needed_by,
            availability: Availability::Found,
            detail: detail.into(),
        }
    }

    pub(super) fn limited(self, fix: impl ToString) -> Self {
        let availability = Availability::Limited(fix.to_string());
        Self { availability, ..self }
    }

    pub(super) fn missing(self, fix: impl ToString) -> Self {
        let availability = Availability::Missing(fix.to_string());
        Self { availability, ..self }
    }

    /// Makes it missing if the attempt failed.
    fn tried<T>(self, attempt: io::Result<T>, fix: &str) -> Self {
        match attempt {
            Ok(_) => self,
            Err(error) => Self {
                detail: error.to_string(),
                ..self
            }
            .missing(fix),
        }
    }

    /// Returns the remedy of a thing that is missing.
    pub(super) fn missing_fix(&self) -> Option<&str> {
        match &self.availability {
            Availability::Missing(fix) => Some(fix),
            Availability::Found | Availability::Limited(_) => None,
        }
    }
}

/// Reports each feature of io_uring, or why no ring could be probed.
pub(super) fn ring(probed: &io::Result<Vec<Feature>>, environment: &HostEnvironment, needs: &Needs) -> Vec<Finding> {
    let finding = |name, detail| Finding::new(("io_uring", name), NeededBy::IoUring, detail);
    let release = &environment.release;
    let filter = if environment.seccomp_filter {
        "under a"
    } else {
        "without a"
    };
    let disabled = environment.io_uring_disabled;
    let permission = finding(
        "permission",
        format!("kernel.io_uring_disabled is {disabled}, {filter} seccomp filter"),
    );
    let kernel = finding("kernel", format!("Linux {release}; the driver needs {KERNEL_NEEDED}"));
    let features = match probed {
        Ok(features) => features,
        Err(error) => return vec![kernel, permission.missing(explain_probe(error, environment, needs))],
    };
    let mut findings = vec![kernel, permission];
    findings.extend(features.iter().map(|feature| {
        let about = finding(feature.name, format!("since Linux {}", feature.since));
        if feature.found {
            return about;
        }
        about.missing(PreflightError::KernelTooOld {
            release: release.clone(),
            missing: feature.name,
        })
    }));
    findings
}

/// Reports the limits on locked memory and open files, after the soft ones were raised.
pub(super) fn limits(environment: &HostEnvironment, needs: &Needs) -> [Finding; 2] {
    let (limit, needed_bytes) = (environment.memlock, needs.locked_bytes());
    let detail = format!(
        "{} KiB may be locked, {} shards need about {}",
        Amount(limit.map(|bytes| bytes / 1024)),
        needs.shards,
        needed_bytes / 1024
    );
    let memory = Finding::new(("limits", "locked memory"), NeededBy::IoUring, detail);
    let memory = match (judge_memlock(limit), environment.memlock_too_low_for(needs)) {
        (Some(too_low), _) => memory.missing(too_low),
        (None, Some(limit_bytes)) => memory.limited(PreflightError::RingsTooLarge {
            limit_bytes,
            needed_bytes,
        }),
        (None, None) => memory,
    };
    let detail = format!(
        "{}, {} needed before the first connection",
        Amount(environment.nofile),
        needs.descriptors()
    );
    let files = Finding::new(("limits", "open files"), NeededBy::EveryDriver, detail);
    let files = match connections_max(environment.nofile, needs) {
        Err(too_low) => files.missing(too_low),
        Ok(connections) if connections < needs.connections => files.limited(RAISE_NOFILE),
        Ok(_) => files,
    };
    [memory, files]
}

/// Tries what listeners do, with one shard on each of these CPUs.
pub(super) fn sockets(cpus: &[usize]) -> [Finding; 4] {
    let finding = |name, needed_by, detail| Finding::new(("sockets", name), needed_by, detail);
    let shared_port = finding(
        "SO_REUSEPORT",
        NeededBy::EveryDriver,
        "each shard listens on the same port by itself",
    );
    let steering = finding(
        "steering by CPU",
        NeededBy::Optional,
        "SO_ATTACH_REUSEPORT_CBPF, for --steer-by-cpu",
    );
    let epoll = finding("epoll", NeededBy::Epoll, "for the epoll driver");
    [
        shared_port.tried(
            share_port(),
            "two sockets could not share a TCP port of 127.0.0.1; bring the loopback device up with `ip link set lo up`, and \
             allow socket, setsockopt and bind in the sandbox around this process",
        ),
        steering.tried(
            steer(cpus),
            "the kernel refused the SO_ATTACH_REUSEPORT_CBPF program (Linux 4.5 or later); leave --steer-by-cpu off, and \
             the kernel's hash distributes connections over the shards",
        ),
        backlog(sys::listen_backlog()),
        epoll.tried(
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from),
            "the kernel refused an epoll instance; allow epoll_create1 in the sandbox around this process",
        ),
    ]
}

/// Binds two sockets to one port, as two shards do.
fn share_port() -> io::Result<()> {
    let first = tcp_socket((Ipv4Addr::LOCALHOST, 0).into(), true)?;
    let address = first.local_addr()?.as_socket();
    tcp_socket(address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into()), true).map(drop)
}

fn steer(cpus: &[usize]) -> io::Result<()> {
    let socket = tcp_socket((Ipv4Addr::LOCALHOST, 0).into(), true)?;
    bpf::attach_reuseport_program(socket.as_fd(), &vec![false; cpus.len()], Some(cpus))
}

fn backlog(connections_max: i32) -> Finding {
    let detail = format!("{connections_max} connections may wait per shard (net.core.somaxconn)");
    let finding = Finding::new(("sockets", "listen backlog"), NeededBy::Optional, detail);
    let usual = sys::LISTEN_BACKLOG_FALLBACK;
    if connections_max >= usual {
        return finding;
    }
    finding.limited(format!(
        "bursts of connections overflow it; run `sysctl net.core.somaxconn={usual}`, or \
         `docker run --sysctl net.core.somaxconn={usual}`"
    ))
}

/// Reports the CPUs that placement uses, and tries to pin a thread to each.
pub(super) fn cpus(available: &AvailableCpus) -> [Finding; 3] {
    let finding = |name, detail| Finding::new(("CPUs", name), NeededBy::Optional, detail);
    let cpus = available.cpus().to_vec();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let online = online
        .and_then(|list| parse_cpu_list(&list))
        .map_or(cpus.len(), |online| online.len());
    let allowed = finding(
        "CPUs allowed",
        format!("{} of {online} (affinity mask and cpuset)", cpus.len()),
    );
    let allowed = if online > cpus.len() {
        allowed.limited(
            "the machine has more; widen the mask with `taskset`, CPUAffinity= or AllowedCPUs= of the systemd unit, or \
             `docker run --cpuset-cpus`",
        )
    } else {
        allowed
    };
    let quota = match available.quota() {
        None => finding("CPU quota", "all of the CPUs allowed".to_owned()),
        Some(quota) => finding("CPU quota", format!("{quota} CPUs, so {quota} of the CPUs get a shard")).limited(
            "the kernel pauses all shards when the quota of a period is used up; raise it with `docker run --cpus`, CPUQuota= of \
             the systemd unit, or cpu.max of the control group",
        ),
    };
    let pin = move || {
        let mut ids = cpus.into_iter();
        ids.all(|id| core_affinity::set_for_current(core_affinity::CoreId { id }))
    };
    let pinned = thread::Builder::new().spawn(pin).map(thread::JoinHandle::join);
    let pinning = finding("pinning", "threads stay on their CPUs".to_owned());
    let pinning = match pinned {
        Ok(Ok(true)) => pinning,
        _ => pinning.missing(
            "the kernel moves shards between CPUs; allow sched_setaffinity in the sandbox around this process",
        ),
    };
    [allowed, quota, pinning]
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::driver::io_uring::RingConfig;
    use crate::start::placement;
    use crate::start::preflight::judge_ring;

    /// The first missing feature and the sentence a server prints are the same.
    #[test]
    fn a_missing_feature_has_the_sentence_of_the_preflight() {
        let needs = Needs::of(&RingConfig::default(), NonZeroUsize::MIN);
        let environment = HostEnvironment {
            memlock: Some(64 * 1024),
            ..HostEnvironment::read()
        };
        let feature = |name, found| Feature {
            name,
            since: "6.0",
            found,
        };
        for probed in [
            Ok(vec![feature("a", true), feature("b", false), feature("c", false)]),
            Err(io::Error::from_raw_os_error(libc::ENOSYS)),
            Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        ] {
            let findings = ring(&probed, &environment, &needs);
            let sentence = judge_ring(&probed, &environment, &needs).map(|refusal| refusal.to_string());
            assert_eq!(findings.iter().find_map(Finding::missing_fix), sentence.as_deref());
        }
    }

    #[test]
    fn limits_are_enough_tight_or_too_low() {
        let needs = Needs::of(&RingConfig::default(), NonZeroUsize::new(2).unwrap());
        let locked_bytes = needs.locked_bytes();
        let (wanted, least) = (needs.connections + needs.descriptors(), needs.descriptors());
        for (memlock, nofile, kind) in [
            (None, None, "Found"),
            (Some(locked_bytes), Some(wanted), "Found"),
            (Some(locked_bytes - 1), Some(wanted - 1), "Limited"),
            (Some(1024), Some(least), "Missing"),
        ] {
            let environment = HostEnvironment {
                memlock,
                nofile,
                effective_capabilities: 0,
                ..HostEnvironment::read()
            };
            for finding in limits(&environment, &needs) {
                assert!(format!("{:?}", finding.availability).starts_with(kind), "{finding:?}");
            }
        }
    }

    #[test]
    fn this_machine_shares_ports_steers_and_pins() {
        let tried = sockets(&[0, 1]).into_iter().chain(cpus(&placement::available()));
        let missing: Vec<Finding> = tried.filter(|finding| finding.missing_fix().is_some()).collect();
        assert_eq!(missing, []);
        assert!(steer(&[0, 0]).is_err(), "two shards on one CPU");
    }

    #[test]
    fn a_failed_attempt_is_missing_and_has_its_error_and_a_remedy() {
        let finding = Finding::new(("sockets", "epoll"), NeededBy::Epoll, "for the epoll driver");
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(libc::EPERM));
        let failed = finding.tried(refused, "allow it");
        assert_eq!(failed.missing_fix(), Some("allow it"));
        assert!(failed.detail.contains("os error 1"), "{failed:?}");
    }

    #[test]
    fn a_backlog_below_the_kernels_own_default_is_limited() {
        for (connections_max, is_found) in [(128, false), (4095, false), (4096, true), (65_535, true)] {
            assert_eq!(
                backlog(connections_max).availability == Availability::Found,
                is_found,
                "{connections_max}"
            );
        }
    }
}
