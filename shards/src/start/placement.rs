//! Which CPUs this process may really use, and which of them each shard and the blocking pool get.
//!
//! Why: a shard per CPU of the machine is wrong in most containers. What counts is the affinity mask, which the kernel
//! keeps within the cpuset, and the CPU quota of the control group: four shards on a quota of two CPUs are throttled for
//! half of each period, all four at once.
//!
//! Invariant: the functions that decide are pure, over the text of the kernel's files; a file that cannot be read or
//! understood counts as no limit. The CPU list is never empty.

use std::error::Error;
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;

use crate::os::cgroup;
use crate::os::cgroup::{Group, Hierarchy};

/// What the kernel lets this process use.
#[derive(Debug, Clone, PartialEq)]
pub struct AvailableCpus {
    cpus: Vec<usize>,
    quota: Option<f64>,
}

/// Which CPU each shard is pinned to, and where blocking work runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The CPU of each shard, by shard number.
    pub shards: Vec<usize>,
    /// The CPUs no shard is pinned to; every available CPU if there is none left.
    pub blocking: Vec<usize>,
}

/// Asks the kernel which CPUs the calling thread may use and how much of them the process is granted.
///
/// To be called before the calling thread is pinned, because the answer is about the thread.
#[must_use]
pub fn available() -> AvailableCpus {
    let cpus = core_affinity::get_core_ids()
        .map(|cores| cores.iter().map(|core| core.id).collect::<Vec<_>>())
        .filter(|cpus| !cpus.is_empty())
        // The mask core_affinity asks for has room for 1024 CPUs; the kernel refuses it on a larger machine.
        .or_else(|| allowed_list(&fs::read_to_string("/proc/self/status").ok()?))
        .unwrap_or_else(|| (0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get)).collect());
    let quotas = cgroup::limits("cpu", quota);
    let quota = quotas.into_iter().min_by(f64::total_cmp);
    AvailableCpus { cpus, quota }
}

impl AvailableCpus {
    /// Returns the numbers of the CPUs, ascending; at least one.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Returns the CPU time granted per unit of time, in CPUs: 1.5 is one and a half. `None` is no limit.
    #[must_use]
    pub const fn quota(&self) -> Option<f64> {
        self.quota
    }

    /// Returns how many shards to start unless told otherwise: one for each CPU, at most the quota rounded up.
    #[must_use]
    pub fn default_shards(&self) -> NonZeroUsize {
        let allowed = self.cpus.len();
        let granted = self
            .quota
            .and_then(|quota| (1..allowed).find(|shards| *shards as f64 >= quota));
        NonZeroUsize::new(granted.unwrap_or(allowed)).unwrap_or(NonZeroUsize::MIN)
    }

    /// Keeps only the CPUs the operator chose, in that order, for a placement by hand.
    ///
    /// # Errors
    ///
    /// [`CpuNotAvailable`] if one of them is not available or named twice, or if none is named.
    pub fn only(&self, chosen: &[usize]) -> Result<Self, CpuNotAvailable> {
        let refuse = |reason| {
            Err(CpuNotAvailable {
                reason,
                available: self.cpus.clone(),
            })
        };
        if chosen.is_empty() {
            return refuse("no CPU was chosen".to_owned());
        }
        for (position, cpu) in chosen.iter().enumerate() {
            if !self.cpus.contains(cpu) {
                return refuse(format!("CPU {cpu} was chosen, which this process may not use"));
            }
            if chosen.iter().take(position).any(|earlier| earlier == cpu) {
                return refuse(format!("CPU {cpu} was chosen twice"));
            }
        }
        Ok(Self {
            cpus: chosen.to_vec(),
            quota: self.quota,
        })
    }

    /// Gives each shard a CPU, in order, and the CPUs left over to the blocking pool.
    ///
    /// More shards than CPUs go round again, and more than the quota grants are throttled; either is said in the log,
    /// because each such shard makes another one wait.
    #[must_use]
    pub fn place(&self, shards: NonZeroUsize) -> Placement {
        let count = shards.get();
        let cpus = self.cpus.len();
        if count > cpus {
            tracing::warn!(
                shards = count,
                cpus,
                "more shards than CPUs: some shards share a CPU and wait for each other"
            );
        } else if count > self.default_shards().get() {
            let quota = self.quota;
            tracing::warn!(
                shards = count,
                quota,
                "more shards than the CPU quota grants: they will be throttled together"
            );
        }
        let shards = self.cpus.iter().copied().cycle().take(count).collect();
        let left_over: Vec<usize> = self.cpus.iter().copied().skip(count).collect();
        let blocking = if left_over.is_empty() {
            self.cpus.clone()
        } else {
            left_over
        };
        Placement { shards, blocking }
    }
}

/// The CPUs chosen by hand cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuNotAvailable {
    reason: String,
    available: Vec<usize>,
}

impl fmt::Display for CpuNotAvailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}; choose from {:?}, or give the process more with taskset or a cpuset",
            self.reason, self.available
        )
    }
}

impl Error for CpuNotAvailable {}

/// Finds the allowed CPUs in the text of `/proc/self/status`.
fn allowed_list(status: &str) -> Option<Vec<usize>> {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    parse_cpu_list(list)
}

/// Reads the kernel's notation for a list of CPUs, as in `0-3,8`.
///
/// Returns `None` for anything else, an empty list, or a CPU number of 65536 and more, which no kernel supports.
#[must_use]
pub fn parse_cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_cpu(first)?, parse_cpu(last)?);
        if first > last || cpus.last().is_some_and(|previous| *previous >= usize::from(first)) {
            return None;
        }
        cpus.extend((first..=last).map(usize::from));
    }
    Some(cpus)
}

/// Digits only: the integer parser would take a plus sign too.
fn parse_cpu(digits: &str) -> Option<u16> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

/// What one group grants of the CPUs, in CPUs.
fn quota(group: &Group<'_>) -> Option<f64> {
    match group.hierarchy {
        Hierarchy::V2 => {
            let text = group.read("cpu.max")?;
            let (quota, period) = text.split_once(' ')?;
            cpus_granted(quota, period)
        }
        Hierarchy::V1 => cpus_granted(&group.read("cpu.cfs_quota_us")?, &group.read("cpu.cfs_period_us")?),
    }
}

/// Divides a quota by its period, both in microseconds; `max` and `-1` mean that there is none.
fn cpus_granted(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u32, u32) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::os::cgroup::limits_in;

    fn shards(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn available_cpus(cpus: &[usize], quota: Option<f64>) -> AvailableCpus {
        AvailableCpus {
            cpus: cpus.to_vec(),
            quota,
        }
    }

    #[test]
    fn shards_follow_the_cpus_and_the_quota_rounded_up() {
        for (cpus, quota, expected) in [
            (4, None, 4),
            (4, Some(8.0), 4),
            (4, Some(4.0), 4),
            (4, Some(3.01), 4),
            (4, Some(3.0), 3),
            (4, Some(1.5), 2),
            (4, Some(0.1), 1),
            (1, Some(0.1), 1),
            (1, None, 1),
        ] {
            let available = available_cpus(&(0..cpus).collect::<Vec<_>>(), quota);
            assert_eq!(
                available.default_shards().get(),
                expected,
                "{cpus} CPUs, quota {quota:?}"
            );
        }
    }

    #[test]
    fn blocking_work_gets_what_the_shards_leave() {
        let available = available_cpus(&[2, 3, 6, 7], None);
        for (count, pinned, blocking) in [
            (1, vec![2], vec![3, 6, 7]),
            (3, vec![2, 3, 6], vec![7]),
            (4, vec![2, 3, 6, 7], vec![2, 3, 6, 7]),
            (6, vec![2, 3, 6, 7, 2, 3], vec![2, 3, 6, 7]),
        ] {
            assert_eq!(
                available.place(shards(count)),
                Placement {
                    shards: pinned,
                    blocking
                },
                "{count} shards"
            );
        }
    }

    #[test]
    fn cpus_chosen_by_hand_are_taken_in_their_order_or_refused_with_the_reason() {
        let available = available_cpus(&[0, 1, 2, 3], Some(2.0));
        assert_eq!(available.only(&[3, 1]), Ok(available_cpus(&[3, 1], Some(2.0))));
        for (chosen, reason) in [
            (&[][..], "no CPU was chosen"),
            (&[1, 4], "CPU 4 was chosen, which this process may not use"),
            (&[1, 1], "CPU 1 was chosen twice"),
        ] {
            let error = available.only(chosen).unwrap_err().to_string();
            assert!(
                error.starts_with(reason) && error.contains("choose from [0, 1, 2, 3]"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_kernels_list_of_cpus_is_read_exactly() {
        for (list, cpus) in [("0\n", vec![0]), ("\t0-3,8,10-11\n", vec![0, 1, 2, 3, 8, 10, 11])] {
            assert_eq!(parse_cpu_list(list), Some(cpus));
        }
        for nonsense in [
            "",
            ",",
            "0,",
            "3-1",
            "1,1",
            "4,2-6",
            "+1",
            "-1",
            "1-",
            "a",
            "0-99999999",
            "65536",
        ] {
            assert_eq!(parse_cpu_list(nonsense), None, "{nonsense:?}");
        }
        let status = "Name:\tserver\nCpus_allowed:\t5\nCpus_allowed_list:\t0,2\nMems_allowed:\t1\n";
        assert_eq!(allowed_list(status), Some(vec![0, 2]));
        assert_eq!(allowed_list("Name:\tserver\n"), None);
    }

    #[test]
    fn the_quota_of_a_group_is_read_as_either_hierarchy_writes_it() {
        let quota_of = |memberships: &str, mounts: &str, files: &[(&str, &str)]| {
            let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
            let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
            limits_in(memberships, mounts, &read, "cpu", quota)
        };
        let unified = "25 30 0:23 / /groups rw - cgroup2 cgroup2 rw\n";
        for (text, expected) in [
            ("max 100000\n", None),
            ("150000 100000\n", Some(1.5)),
            ("50000 100000\n", Some(0.5)),
            ("nonsense", None),
            ("100000 0\n", None),
        ] {
            let found = quota_of("0::/\n", unified, &[("/groups/cpu.max", text)]);
            assert_eq!(found, Vec::from_iter(expected), "{text:?}");
        }
        let older = "37 31 0:34 / /groups rw - cgroup cgroup rw,cpu,cpuacct\n";
        for (text, expected) in [("-1\n", None), ("250000\n", Some(2.5))] {
            let files = [
                ("/groups/cpu.cfs_quota_us", text),
                ("/groups/cpu.cfs_period_us", "100000\n"),
            ];
            let found = quota_of("4:cpu,cpuacct:/\n", older, &files);
            assert_eq!(found, Vec::from_iter(expected), "{text:?}");
        }
    }

    #[test]
    fn a_pinned_thread_may_use_its_own_cpu_only() {
        let all = available();
        for cpu in all.cpus().to_vec() {
            let pinned = std::thread::spawn(move || {
                assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
                available()
            });
            assert_eq!(pinned.join().unwrap(), available_cpus(&[cpu], all.quota()));
        }
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!(allowed_list(&status).as_deref(), Some(all.cpus()));
    }
}
