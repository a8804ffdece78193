//! Findings about CPUs: how many this process may use, the CPU quota, and whether threads can be pinned.

use std::fs;
use std::thread;

use super::finding::{Area, Finding, NeededBy};
use crate::start::placement::{AvailableCpus, parse_cpu_list};

/// Reports the CPUs that placement uses, and tries to pin a thread.
pub(super) fn findings(available: &AvailableCpus) -> [Finding; 3] {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let online = online.and_then(|list| parse_cpu_list(&list)).map(|cpus| cpus.len());
    [
        allowed(available.cpus(), online),
        quota(available),
        pinning(available.cpus()),
    ]
}

fn allowed(cpus: &[usize], online: Option<usize>) -> Finding {
    let of_all = online.map_or_else(String::new, |count| format!(" of {count}"));
    let detail = format!("{}{of_all}: {} (affinity mask and cpuset)", cpus.len(), ranges(cpus));
    let finding = Finding::new(Area::Cpus, NeededBy::Optional, "CPUs allowed", detail);
    if online.is_some_and(|count| count > cpus.len()) {
        finding.limited(
            "the machine has more; widen the mask with `taskset`, CPUAffinity= or AllowedCPUs= of the systemd unit, or \
             `docker run --cpuset-cpus`",
        )
    } else {
        finding
    }
}

fn quota(available: &AvailableCpus) -> Finding {
    let about = |detail| Finding::new(Area::Cpus, NeededBy::Optional, "CPU quota", detail);
    match available.quota() {
        None => about("all of the CPUs allowed".to_owned()),
        Some(quota) => about(format!("{quota} CPUs, so {quota} of the CPUs get a shard")).limited(
            "the kernel pauses all shards when the quota of a period is used up; raise it with `docker run --cpus`, CPUQuota= of \
             the systemd unit, or cpu.max of the control group",
        ),
    }
}

/// Pins a new thread to each CPU in turn.
fn pinning(cpus: &[usize]) -> Finding {
    let cpus = cpus.to_vec();
    let pin = move || {
        cpus.iter()
            .all(|&id| core_affinity::set_for_current(core_affinity::CoreId { id }))
    };
    let pinned = thread::Builder::new().spawn(pin).map(thread::JoinHandle::join);
    let finding = Finding::new(Area::Cpus, NeededBy::Optional, "pinning", "threads stay on their CPUs");
    if matches!(pinned, Ok(Ok(true))) {
        finding
    } else {
        finding.missing(
            "the kernel moves shards between CPUs; allow sched_setaffinity in the sandbox around this \
             process",
        )
    }
}

/// Formats ascending numbers as the kernel does, as in `0-3,8`.
fn ranges(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|left, right| left + 1 == *right);
    let runs = runs.filter_map(|run| Some((run.first()?, run.last()?)));
    let words = runs.map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start::doctor::finding::Standing::{Found, Limited};
    use crate::start::placement;

    #[test]
    fn cpus_are_written_as_the_kernel_writes_them() {
        for list in ["0", "0-3", "0-3,8", "1,3,5-6"] {
            assert_eq!(ranges(&parse_cpu_list(list).unwrap()), list);
        }
    }

    #[test]
    fn fewer_cpus_than_the_machine_has_are_limited() {
        for (online, standing) in [(Some(2), Found), (Some(4), Limited), (None, Found)] {
            let finding = allowed(&[0, 1], online);
            assert_eq!(finding.standing, standing, "{finding:?}");
            assert!(finding.detail.contains("0-1"), "{finding:?}");
        }
    }

    #[test]
    fn this_process_may_pin_its_threads() {
        let available = placement::available();
        assert_eq!(pinning(available.cpus()).standing, Found);
        assert_eq!(quota(&available).standing == Limited, available.quota().is_some());
    }
}
