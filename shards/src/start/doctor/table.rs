//! The report as a table for a terminal: a line per finding, its remedy below it, and the selected driver at the end.

use std::fmt;

use super::Report;
use super::finding::{Area, Finding, NeededBy, Standing};
use crate::driver::Driver;

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.name.len())
            .max()
            .unwrap_or(0);
        let mut area = None;
        for finding in &self.findings {
            if area.replace(finding.area) != Some(finding.area) {
                let gap = if area_is_first(self, finding) { "" } else { "\n" };
                writeln!(formatter, "{gap}{}", finding.area)?;
            }
            writeln!(
                formatter,
                "  {:8} {:width$}  {}",
                finding.standing.word(),
                finding.name,
                finding.detail
            )?;
            if let Some(fix) = &finding.fix {
                writeln!(formatter, "           → {fix}")?;
            }
        }
        writeln!(formatter)?;
        self.write_verdict(formatter)
    }
}

fn area_is_first(report: &Report, finding: &Finding) -> bool {
    report.findings.first().is_some_and(|first| first.area == finding.area)
}

impl Report {
    fn write_verdict(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.driver(), &self.io_uring_refusal) {
            (Some(Driver::IoUring), _) => {
                writeln!(formatter, "--driver auto takes io_uring: every requirement is met.")
            }
            (Some(driver), Some(refusal)) => writeln!(formatter, "--driver auto takes {driver}: {refusal}."),
            (Some(driver), None) => writeln!(formatter, "--driver auto takes {driver}."),
            (None, _) => {
                let lacking = self.missing(NeededBy::EveryDriver).chain(self.missing(NeededBy::Epoll));
                let reason = lacking.filter_map(|finding| finding.fix.as_deref()).next();
                writeln!(
                    formatter,
                    "no driver can serve here: {}.",
                    reason.unwrap_or("see above")
                )
            }
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IoUring => "io_uring",
            Self::Limits => "limits",
            Self::Sockets => "sockets",
            Self::Cpus => "CPUs",
        })
    }
}

impl Standing {
    const fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Limited => "limited",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::start::preflight::PreflightError;

    #[test]
    fn a_report_is_a_table_with_the_remedy_below_each_problem() {
        let finding = Finding::new;
        let report = Report {
            release: "6.18.44".to_owned(),
            shards: NonZeroUsize::MIN,
            findings: vec![
                finding(Area::IoUring, NeededBy::IoUring, "kernel", "Linux 6.18.44"),
                finding(Area::IoUring, NeededBy::IoUring, "permission", "refused")
                    .missing(PreflightError::SeccompForbids),
                finding(Area::Limits, NeededBy::EveryDriver, "open files", "100").limited("raise it"),
            ],
            io_uring_refusal: Some(PreflightError::SeccompForbids),
        };
        let refusal = PreflightError::SeccompForbids;
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
