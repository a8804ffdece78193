//! The doctor: everything a server uses of this host, whether it is available, and the remedy if not.
//!
//! Why: [`preflight`](super::preflight) stops at the first missing requirement. An operator who sets up a machine or a
//! container needs all of them at once, and what is tight. The operator also needs the driver that will be selected,
//! and the reason.
//!
//! Invariant: the doctor uses the probes, the judgement and the sentences of the preflight. So a server finds what the
//! doctor reports.

mod findings;

use std::fmt;

use findings::{Availability, Finding, NeededBy};

use super::placement;
use super::preflight::refusal::HostEnvironment;
use super::preflight::{Needs, PreflightError, features, judge_ring, raise_limits};
use crate::driver::Driver;
use crate::driver::io_uring::RingConfig;

/// The doctor's findings; its text is a table with one line per finding, the remedy below it, and the driver at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
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
    let needs = Needs::of(&RingConfig::default(), available.default_shards());
    let environment = HostEnvironment::read();
    let probed = features::probe();
    let mut findings = findings::ring(&probed, &environment, &needs);
    findings.extend(findings::limits(&environment, &needs));
    findings.extend(findings::sockets(available.cpus()));
    findings.extend(findings::cpus(&available));
    Report {
        io_uring_refusal: judge_ring(&probed, &environment, &needs),
        findings,
    }
}

impl Report {
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
        if self.missing(NeededBy::EveryDriver).is_some() {
            None
        } else if self.io_uring_refusal.is_none() {
            Some(Driver::IoUring)
        } else {
            self.missing(NeededBy::Epoll).is_none().then_some(Driver::Epoll)
        }
    }

    /// Returns the remedy of the first missing thing that a driver needs.
    fn missing(&self, needed_by: NeededBy) -> Option<&str> {
        let mut needed = self.findings.iter().filter(|finding| finding.needed_by == needed_by);
        needed.find_map(Finding::missing_fix)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.name.len())
            .max()
            .unwrap_or(0);
        for area in self.findings.chunk_by(|before, after| before.area == after.area) {
            writeln!(formatter, "{}", area.first().map_or("", |finding| finding.area))?;
            for finding in area {
                let (word, fix) = match &finding.availability {
                    Availability::Found => ("found", None),
                    Availability::Limited(fix) => ("limited", Some(fix)),
                    Availability::Missing(fix) => ("missing", Some(fix)),
                };
                writeln!(formatter, "  {word:8} {:width$}  {}", finding.name, finding.detail)?;
                if let Some(fix) = fix {
                    writeln!(formatter, "           → {fix}")?;
                }
            }
            writeln!(formatter)?;
        }
        match (self.driver(), &self.io_uring_refusal) {
            (Some(driver), None) => writeln!(formatter, "--driver auto takes {driver}: every requirement is met."),
            (Some(driver), Some(refusal)) => writeln!(formatter, "--driver auto takes {driver}: {refusal}."),
            (None, _) => {
                let fix = self
                    .missing(NeededBy::EveryDriver)
                    .or_else(|| self.missing(NeededBy::Epoll));
                writeln!(formatter, "no driver can serve here: {}.", fix.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start::preflight;

    fn missing(needed_by: NeededBy) -> Finding {
        Finding::new(("sockets", "socket"), needed_by, "none").missing("get one")
    }

    #[test]
    fn the_driver_is_the_best_one_that_lacks_nothing() {
        use NeededBy::{Epoll, EveryDriver, Optional};
        for (is_refused, lacking, driver) in [
            (false, &[][..], Some(Driver::IoUring)),
            (false, &[Epoll, Optional], Some(Driver::IoUring)),
            (false, &[EveryDriver], None),
            (true, &[Optional], Some(Driver::Epoll)),
            (true, &[Epoll], None),
            (true, &[EveryDriver], None),
        ] {
            let report = Report {
                findings: lacking.iter().copied().map(missing).collect(),
                io_uring_refusal: is_refused.then_some(PreflightError::SeccompForbids),
            };
            assert_eq!(report.driver(), driver, "{is_refused} {lacking:?}");
        }
    }

    /// A refusal always has a missing row and vice versa: the doctor and the preflight never disagree.
    #[test]
    fn the_doctor_judges_io_uring_as_the_preflight_does() {
        let report = examine();
        let needs = Needs::of(&RingConfig::default(), placement::available().default_shards());
        assert_eq!(report.io_uring_refusal().cloned(), preflight::io_uring_refusal(&needs));
        assert_eq!(
            report.missing(NeededBy::IoUring).is_some(),
            report.io_uring_refusal().is_some()
        );
        assert_eq!(report.missing(NeededBy::EveryDriver), None, "{report}");
    }

    #[test]
    fn a_report_is_a_table_with_the_remedy_below_each_problem() {
        let refusal = PreflightError::SeccompForbids;
        let ring = |name, detail| Finding::new(("io_uring", name), NeededBy::IoUring, detail);
        let report = Report {
            findings: vec![
                ring("kernel", "Linux 6.18.44"),
                ring("permission", "refused").missing(&refusal),
                Finding::new(("limits", "open files"), NeededBy::EveryDriver, "100").limited("raise it"),
            ],
            io_uring_refusal: Some(refusal.clone()),
        };
        let expected = format!(
            "io_uring\n  \
               found    kernel      Linux 6.18.44\n  \
               missing  permission  refused\n           \
                        → {refusal}\n\
             \nlimits\n  \
               limited  open files  100\n           \
                        → raise it\n\
             \n--driver auto takes epoll: {refusal}.\n"
        );
        assert_eq!(report.to_string(), expected);
    }
}
