//! The doctor: everything a server uses of this host, whether it is available, and the remedy if not.
//!
//! Why: [`preflight`](super::preflight) stops at the first missing requirement. An operator who sets up a machine or a
//! container needs all of them at once, including what is tight, and which driver will be selected and why.
//!
//! Invariant: the doctor uses the probes, the judgement and the sentences of the preflight. So a server finds what the
//! doctor reports.

mod cpus;
mod finding;
mod io_uring;
mod limits;
mod sockets;
mod table;

use std::num::NonZeroUsize;

pub use finding::{Area, Finding, NeededBy, Standing};

use super::placement;
use super::preflight::refusal::HostEnvironment;
use super::preflight::{Needs, PreflightError, features, judge_ring, raise_limits};
use crate::driver::Driver;
use crate::driver::io_uring::RingConfig;

/// The doctor's findings; its text is a table with one line per finding, the remedy below it, and the driver at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    release: String,
    shards: NonZeroUsize,
    findings: Vec<Finding>,
    io_uring_refusal: Option<PreflightError>,
}

/// Examines the host as a server with default settings finds it.
///
/// Raises the soft limits on open files and locked memory to the hard ones, as a server does. It also creates and drops
/// a small ring, a few sockets on the loopback device, and a thread.
#[must_use]
pub fn examine() -> Report {
    raise_limits();
    let available = placement::available();
    let shards = available.default_shards();
    let needs = Needs::of(&RingConfig::default(), shards);
    let environment = HostEnvironment::read();
    let probed = features::probe();
    let mut findings = io_uring::findings(&probed, &environment, &needs);
    findings.extend(limits::findings(&environment, &needs));
    findings.extend(sockets::findings(available.cpus()));
    findings.extend(cpus::findings(&available));
    Report {
        io_uring_refusal: judge_ring(&probed, &environment, &needs),
        release: environment.release,
        shards,
        findings,
    }
}

impl Report {
    /// Returns the kernel's release, as in `6.18.44`.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Returns the default number of shards on this host.
    #[must_use]
    pub const fn shards(&self) -> NonZeroUsize {
        self.shards
    }

    /// Returns all findings, by area.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns why the io_uring driver cannot be used here, as [`preflight::io_uring_refusal`] does.
    ///
    /// [`preflight::io_uring_refusal`]: super::preflight::io_uring_refusal
    #[must_use]
    pub const fn io_uring_refusal(&self) -> Option<&PreflightError> {
        self.io_uring_refusal.as_ref()
    }

    /// Returns the driver that [`Driver::Auto`] selects here, or `None` if neither can run.
    #[must_use]
    pub fn driver(&self) -> Option<Driver> {
        if self.lacks(NeededBy::EveryDriver) {
            None
        } else if self.io_uring_refusal.is_none() {
            Some(Driver::IoUring)
        } else {
            (!self.lacks(NeededBy::Epoll)).then_some(Driver::Epoll)
        }
    }

    fn lacks(&self, needed_by: NeededBy) -> bool {
        self.missing(needed_by).next().is_some()
    }

    fn missing(&self, needed_by: NeededBy) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.standing == Standing::Missing && finding.needed_by == needed_by)
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Rlimit, setrlimit};

    use super::*;
    use crate::os::sys::Resource;
    use crate::start::preflight;
    use crate::testing::{child, child_role, output_of};

    fn report(refused: bool, missing: &[NeededBy]) -> Report {
        let finding = |needed_by| Finding::new(Area::Sockets, needed_by, "socket", "none").missing("get one");
        Report {
            release: "6.18.44".to_owned(),
            shards: NonZeroUsize::MIN,
            findings: missing.iter().copied().map(finding).collect(),
            io_uring_refusal: refused.then_some(PreflightError::SeccompForbids),
        }
    }

    #[test]
    fn the_driver_is_the_best_one_that_lacks_nothing() {
        use NeededBy::{Epoll, EveryDriver, Optional};
        for (refused, missing, driver) in [
            (false, &[][..], Some(Driver::IoUring)),
            (false, &[Epoll, Optional], Some(Driver::IoUring)),
            (false, &[EveryDriver], None),
            (true, &[Optional], Some(Driver::Epoll)),
            (true, &[Epoll], None),
            (true, &[EveryDriver], None),
        ] {
            assert_eq!(report(refused, missing).driver(), driver, "{refused} {missing:?}");
        }
    }

    /// A refusal always has a missing row and vice versa: the doctor and the preflight never disagree.
    #[test]
    fn the_doctor_judges_io_uring_as_the_preflight_does() {
        let report = examine();
        let needs = Needs::of(&RingConfig::default(), report.shards());
        assert_eq!(report.io_uring_refusal().cloned(), preflight::io_uring_refusal(&needs));
        assert_eq!(report.lacks(NeededBy::IoUring), report.io_uring_refusal().is_some());
        assert!(!report.lacks(NeededBy::EveryDriver), "{report}");
    }

    #[test]
    fn a_process_without_descriptors_cannot_run_any_driver() {
        let test = "a_process_without_descriptors_cannot_run_any_driver";
        if child_role().is_none() {
            output_of(child(module_path!(), test, "few descriptors"));
            return;
        }
        let few = Rlimit {
            current: Some(20),
            maximum: Some(20),
        };
        setrlimit(Resource::Nofile, few).unwrap();
        let report = examine();
        assert_eq!(report.driver(), None, "{report}");
        assert!(
            report
                .to_string()
                .contains("no driver can serve here: only 20 files may be open"),
            "{report}"
        );
    }
}
