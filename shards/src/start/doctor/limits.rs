//! Findings about the limits on locked memory and open files.

use super::finding::{Area, Finding, NeededBy};
use crate::start::preflight::refusal::{HostEnvironment, RAISE_NOFILE};
use crate::start::preflight::{Amount, Needs, PreflightError, connections_max, judge_memlock};

/// Reports both limits after the soft ones were raised.
pub(super) fn findings(environment: &HostEnvironment, needs: &Needs) -> [Finding; 2] {
    [locked_memory(environment, needs), open_files(environment.nofile, needs)]
}

fn locked_memory(environment: &HostEnvironment, needs: &Needs) -> Finding {
    let limit = environment.memlock;
    let needed_bytes = needs.locked_bytes();
    let detail = format!(
        "{} KiB may be locked, {} need about {}",
        Amount(limit.map(|bytes| bytes / 1024)),
        shards(needs),
        needed_bytes / 1024
    );
    let finding = Finding::new(Area::Limits, NeededBy::IoUring, "locked memory", detail);
    if let Some(too_low) = judge_memlock(limit) {
        return finding.missing(too_low);
    }
    match environment.memlock_too_low_for(needs) {
        Some(limit_bytes) => finding.limited(PreflightError::RingsTooLarge {
            limit_bytes,
            needed_bytes,
        }),
        None => finding,
    }
}

fn open_files(limit: Option<u64>, needs: &Needs) -> Finding {
    let about = |detail| Finding::new(Area::Limits, NeededBy::EveryDriver, "open files", detail);
    let allowed = Amount(limit);
    match connections_max(limit, needs) {
        Err(too_low) => about(format!("{allowed}, {} need {}", shards(needs), needs.descriptors())).missing(too_low),
        Ok(_) if limit.is_none() => about(allowed.to_string()),
        Ok(connections) => {
            let finding = about(format!("{allowed}, room for {connections} connections"));
            if connections < needs.connections {
                finding.limited(RAISE_NOFILE)
            } else {
                finding
            }
        }
    }
}

fn shards(needs: &Needs) -> String {
    match needs.shards.get() {
        1 => "1 shard".to_owned(),
        count => format!("{count} shards"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::driver::io_uring::RingConfig;
    use crate::start::doctor::finding::Standing;
    use crate::start::doctor::finding::Standing::{Found, Limited, Missing};

    #[test]
    fn limits_are_enough_tight_or_too_low() {
        let needs = Needs::of(&RingConfig::default(), NonZeroUsize::new(2).unwrap());
        let locked_bytes = needs.locked_bytes();
        let (wanted, least) = (needs.connections + needs.descriptors(), needs.descriptors());
        let cases: [(Option<u64>, Standing, Option<u64>, Standing); 4] = [
            (None, Found, None, Found),
            (Some(locked_bytes), Found, Some(wanted), Found),
            (Some(locked_bytes - 1), Limited, Some(wanted - 1), Limited),
            (Some(1024), Missing, Some(least), Missing),
        ];
        for (memlock, locked, nofile, open) in cases {
            let environment = HostEnvironment {
                memlock,
                nofile,
                effective_capabilities: 0,
                ..HostEnvironment::read()
            };
            let [locked_memory, open_files] = findings(&environment, &needs);
            assert_eq!(locked_memory.standing, locked, "{locked_memory:?}");
            assert_eq!(open_files.standing, open, "{open_files:?}");
            for finding in [locked_memory, open_files] {
                assert_eq!(finding.fix.is_some(), finding.standing != Found, "{finding:?}");
            }
        }
    }
}
