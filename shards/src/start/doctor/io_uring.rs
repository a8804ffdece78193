//! Findings about io_uring: whether this process may create a ring, and each feature the driver needs.

use std::io;

use super::finding::{Area, Finding, NeededBy, Standing};
use crate::start::preflight::features::Feature;
use crate::start::preflight::refusal::HostEnvironment;
use crate::start::preflight::{KERNEL_NEEDED, Needs, PreflightError, explain_probe};

/// Reports the result of a probe, or why no ring could be probed.
pub(super) fn findings(
    probed: &io::Result<Vec<Feature>>,
    environment: &HostEnvironment,
    needs: &Needs,
) -> Vec<Finding> {
    let finding = |name, detail: String| Finding::new(Area::IoUring, NeededBy::IoUring, name, detail);
    let release = &environment.release;
    let mut findings = vec![finding(
        "kernel",
        format!("Linux {release}; the driver needs {KERNEL_NEEDED}"),
    )];
    let permission = finding("permission", permission_detail(environment));
    match probed {
        Ok(features) => {
            findings.push(permission);
            findings.extend(features.iter().map(|feature| worded(feature, release)));
        }
        Err(error) => {
            findings.push(permission.missing(explain_probe(error, environment, needs)));
            let unknown = finding("flags and operations", "unknown without a ring".to_owned());
            findings.push(Finding {
                standing: Standing::Unknown,
                ..unknown
            });
        }
    }
    findings
}

fn worded(feature: &Feature, release: &str) -> Finding {
    let finding = Finding::new(
        Area::IoUring,
        NeededBy::IoUring,
        feature.name,
        format!("since Linux {}", feature.since),
    );
    if feature.found {
        return finding;
    }
    finding.missing(PreflightError::KernelTooOld {
        release: release.to_owned(),
        missing: feature.name,
    })
}

fn permission_detail(environment: &HostEnvironment) -> String {
    let filter = if environment.seccomp_filter {
        "under a seccomp filter"
    } else {
        "no seccomp filter"
    };
    format!(
        "kernel.io_uring_disabled is {}, {filter}",
        environment.io_uring_disabled
    )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::driver::io_uring::RingConfig;
    use crate::start::preflight::judge_ring;

    fn environment() -> HostEnvironment {
        HostEnvironment {
            memlock: Some(64 * 1024),
            ..HostEnvironment::read()
        }
    }

    /// The first missing row of the table and the sentence a server prints are the same.
    #[test]
    fn a_missing_row_has_the_sentence_of_the_preflight() {
        let needs = Needs::of(&RingConfig::default(), NonZeroUsize::MIN);
        let feature = |name, found| Feature {
            name,
            since: "6.0",
            found,
        };
        let lacking = vec![feature("a", true), feature("b", false), feature("c", false)];
        for (probed, standings) in [
            (
                Ok(lacking),
                &[
                    Standing::Found,
                    Standing::Found,
                    Standing::Found,
                    Standing::Missing,
                    Standing::Missing,
                ][..],
            ),
            (
                Err(io::Error::from_raw_os_error(libc::ENOSYS)),
                &[Standing::Found, Standing::Missing, Standing::Unknown],
            ),
            (
                Err(io::Error::from_raw_os_error(libc::ENOMEM)),
                &[Standing::Found, Standing::Missing, Standing::Unknown],
            ),
        ] {
            let findings = findings(&probed, &environment(), &needs);
            let seen: Vec<Standing> = findings.iter().map(|finding| finding.standing).collect();
            assert_eq!(seen, standings);
            let sentence = judge_ring(&probed, &environment(), &needs).map(|refusal| refusal.to_string());
            let first = findings.into_iter().find_map(|finding| finding.fix);
            assert_eq!(first, sentence);
        }
    }
}
