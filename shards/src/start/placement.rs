//! Which CPUs this process may use, and which of them each shard and the blocking pool get.
//!
//! Why: one shard per CPU of the machine is wrong in most containers. The affinity mask counts, which the kernel keeps
//! within the cpuset. So does the cgroup's CPU quota: four shards on a quota of two CPUs are all throttled for half of
//! each period. Rust's library reads the quota, in either version of control groups.
//!
//! Invariant: the deciding functions are pure. The CPU list is never empty.

use std::error::Error;
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// The CPUs and the CPU quota this process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableCpus {
    cpus: Vec<usize>,
    quota: Option<NonZeroUsize>,
}

/// Which CPU each shard is pinned to, and where blocking work runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The CPU of each shard, by shard number.
    pub shards: Vec<usize>,
    /// The CPUs without a shard, for blocking work; all available CPUs if every one has a shard.
    pub blocking: Vec<usize>,
}

/// Asks the kernel which CPUs the calling thread may use, and for the CPU quota of the process.
///
/// Call it before the calling thread is pinned: the kernel answers for the thread.
#[must_use]
pub fn available() -> AvailableCpus {
    let parallelism = available_parallelism().ok();
    let cpus = core_affinity::get_core_ids()
        .map(|cores| cores.iter().map(|core| core.id).collect::<Vec<_>>())
        .filter(|cpus| !cpus.is_empty())
        // core_affinity's mask has room for 1024 CPUs; the kernel rejects it on a larger machine.
        .or_else(|| allowed_list(&fs::read_to_string("/proc/self/status").ok()?))
        .unwrap_or_else(|| (0..parallelism.map_or(1, NonZeroUsize::get)).collect());
    // std returns the smaller of the quota and the number of CPUs in the affinity mask.
    let quota = parallelism.filter(|quota| quota.get() < cpus.len());
    AvailableCpus { cpus, quota }
}

impl AvailableCpus {
    /// Returns the numbers of the CPUs, ascending, at least one.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Returns the CPU quota in whole CPUs, rounded down and at least 1, or `None` if it allows all of the CPUs.
    #[must_use]
    pub const fn quota(&self) -> Option<NonZeroUsize> {
        self.quota
    }

    /// Returns the default number of shards: one per CPU, at most the quota.
    #[must_use]
    pub fn default_shards(&self) -> NonZeroUsize {
        let cpus = NonZeroUsize::new(self.cpus.len()).unwrap_or(NonZeroUsize::MIN);
        self.quota.map_or(cpus, |quota| quota.min(cpus))
    }

    /// Returns only the chosen CPUs, in the chosen order.
    ///
    /// # Errors
    ///
    /// [`CpuNotAvailable`] if a chosen CPU is not available or named twice, or if the list is empty.
    pub fn only(&self, chosen: &[usize]) -> Result<Self, CpuNotAvailable> {
        let refuse = |reason| {
            Err(CpuNotAvailable {
                reason,
                available: self.cpus.clone(),
            })
        };
        if chosen.is_empty() {
            return refuse("the list of CPUs is empty".to_owned());
        }
        for (position, cpu) in chosen.iter().enumerate() {
            if !self.cpus.contains(cpu) {
                return refuse(format!("CPU {cpu} is not available to this process"));
            }
            if chosen.iter().take(position).any(|earlier| earlier == cpu) {
                return refuse(format!("CPU {cpu} is listed twice"));
            }
        }
        Ok(Self {
            cpus: chosen.to_vec(),
            quota: self.quota,
        })
    }

    /// Assigns a CPU to each shard in order, and the remaining CPUs to the blocking pool.
    ///
    /// More shards than CPUs wrap around. Both that and more shards than the quota allows are logged as a warning,
    /// because such shards wait for each other.
    #[must_use]
    pub fn place(&self, shards: NonZeroUsize) -> Placement {
        let count = shards.get();
        let cpus = self.cpus.len();
        if count > cpus {
            tracing::warn!(
                shards = count,
                cpus,
                "more shards than CPUs: shards share CPUs and wait for each other"
            );
        } else if count > self.default_shards().get() {
            let quota = self.quota;
            tracing::warn!(
                shards = count,
                quota,
                "more shards than the CPU quota allows: the kernel will throttle all of them"
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

/// A list of chosen CPUs is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuNotAvailable {
    reason: String,
    available: Vec<usize>,
}

impl fmt::Display for CpuNotAvailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}; choose from {:?}, or allow more with taskset or a cpuset",
            self.reason, self.available
        )
    }
}

impl Error for CpuNotAvailable {}

/// Finds the available CPUs in the text of `/proc/self/status`.
fn allowed_list(status: &str) -> Option<Vec<usize>> {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    parse_cpu_list(list)
}

/// Parses the kernel's list format for CPUs, such as `0-3,8`.
///
/// Returns `None` for any other text, an empty list, or a CPU number above 65535.
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

/// Accepts digits only; the integer parser would accept a plus sign too.
fn parse_cpu(digits: &str) -> Option<u16> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn available_cpus(cpus: &[usize], quota: Option<usize>) -> AvailableCpus {
        AvailableCpus {
            cpus: cpus.to_vec(),
            quota: quota.map(shards),
        }
    }

    #[test]
    fn shards_follow_the_cpus_and_the_quota() {
        for (cpus, quota, expected) in [
            (4, None, 4),
            (4, Some(8), 4),
            (4, Some(3), 3),
            (4, Some(1), 1),
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
        let available = available_cpus(&[0, 1, 2, 3], Some(2));
        assert_eq!(available.only(&[3, 1]), Ok(available_cpus(&[3, 1], Some(2))));
        for (chosen, reason) in [
            (&[][..], "the list of CPUs is empty"),
            (&[1, 4], "CPU 4 is not available to this process"),
            (&[1, 1], "CPU 1 is listed twice"),
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
    fn a_pinned_thread_may_use_its_own_cpu_only() {
        let all = available();
        for cpu in all.cpus().to_vec() {
            let pinned = std::thread::spawn(move || {
                assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
                available()
            });
            assert_eq!(pinned.join().unwrap(), available_cpus(&[cpu], None));
        }
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!(allowed_list(&status).as_deref(), Some(all.cpus()));
    }
}
