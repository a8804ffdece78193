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
use std::path::{Path, PathBuf};

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
    let control_groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let quota = quota(&control_groups, &mounts, &|path| fs::read_to_string(path).ok());
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

/// Finds the smallest CPU quota on the way from this process's control groups up to their mounts, in CPUs.
///
/// `control_groups` and `mounts` are the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`; `read` reads a file.
fn quota(control_groups: &str, mounts: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    let quotas = control_groups
        .lines()
        .filter_map(Membership::parse)
        .flat_map(|membership| {
            let mount = mounts.lines().find_map(|line| Mount::parse(line, membership.unified));
            let quotas: Vec<f64> = mount.iter().flat_map(|mount| mount.quotas(&membership, read)).collect();
            quotas
        });
    quotas.min_by(f64::total_cmp)
}

/// One line of `/proc/self/cgroup` that says something about CPU time: `0::/path` in the unified hierarchy (version 2),
/// `4:cpu,cpuacct:/path` in the older one.
struct Membership<'a> {
    unified: bool,
    path: &'a Path,
}

impl<'a> Membership<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let unified = number == "0" && controllers.is_empty();
        let concerns_cpu = unified || controllers.split(',').any(|controller| controller == "cpu");
        concerns_cpu.then(|| Self {
            unified,
            path: Path::new(path),
        })
    }
}

/// Where a hierarchy of control groups is mounted, and which group of it is the root of what is to be seen there.
struct Mount {
    unified: bool,
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Reads one line of `/proc/self/mountinfo`, if it mounts the hierarchy wanted.
    fn parse(line: &str, unified: bool) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = after.split(' ');
        let wanted = if unified {
            fields.next()? == "cgroup2"
        } else {
            fields.next()? == "cgroup" && fields.nth(1)?.split(',').any(|option| option == "cpu")
        };
        wanted.then(|| Self {
            unified,
            root: unescaped(root),
            point: unescaped(point),
        })
    }

    /// Reads the quotas of a group and of the groups above it, as far as they can be seen.
    fn quotas(&self, membership: &Membership<'_>, read: &dyn Fn(&Path) -> Option<String>) -> Vec<f64> {
        // A path outside the root belongs to another namespace: all that can be seen of it is the root.
        let below = membership.path.strip_prefix(&self.root).ok();
        let below = below.filter(|path| !path.components().any(|part| part.as_os_str() == ".."));
        let group = below.map_or_else(|| self.point.clone(), |path| self.point.join(path));
        let levels = group.ancestors().take_while(|level| level.starts_with(&self.point));
        levels.filter_map(|level| self.quota_at(level, read)).collect()
    }

    fn quota_at(&self, group: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
        if self.unified {
            let text = read(&group.join("cpu.max"))?;
            let (quota, period) = text.trim().split_once(' ')?;
            cpus_granted(quota, period)
        } else {
            let quota = read(&group.join("cpu.cfs_quota_us"))?;
            let period = read(&group.join("cpu.cfs_period_us"))?;
            cpus_granted(quota.trim(), period.trim())
        }
    }
}

/// Divides a quota by its period, both in microseconds; `max` and `-1` mean that there is none.
fn cpus_granted(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u32, u32) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

/// Undoes the octal escapes of mountinfo, where a space in a path is written `\040`.
fn unescaped(field: &str) -> PathBuf {
    let mut parts = field.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part
            .get(..3)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok())
            .filter(u8::is_ascii);
        match (escaped, part.get(3..)) {
            (Some(byte), Some(rest)) => {
                path.push(char::from(byte));
                path.push_str(rest);
            }
            _ => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

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

    const UNIFIED: &str = "25 30 0:23 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n";
    const SEPARATE: &str = "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
        36 31 0:33 / /sys/fs/cgroup/cpuset rw shared:14 - cgroup cgroup rw,cpuset\n\
        37 31 0:34 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 master:2 - cgroup cgroup rw,cpu,cpuacct\n";

    /// Finds the quota where only the given files exist.
    fn quota_of(control_groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<f64> {
        let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
        quota(control_groups, mounts, &|path| {
            files.get(path).map(|text| (*text).to_owned())
        })
    }

    #[test]
    fn a_quota_of_the_unified_hierarchy_is_the_smallest_up_to_the_root() {
        let control_groups = "0::/kubepods.slice/pod7/container\n";
        let inner = "/sys/fs/cgroup/kubepods.slice/pod7/container/cpu.max";
        let outer = "/sys/fs/cgroup/kubepods.slice/cpu.max";
        for (inner_text, outer_text, expected) in [
            ("max 100000\n", "max 100000\n", None),
            ("150000 100000\n", "max 100000\n", Some(1.5)),
            ("max 100000\n", "50000 100000\n", Some(0.5)),
            ("400000 100000\n", "200000 100000\n", Some(2.0)),
            ("nonsense", "100000 0\n", None),
        ] {
            let files = [
                (inner, inner_text),
                (outer, outer_text),
                ("/sys/fs/cpu.max", "1000 100000"),
            ];
            assert_eq!(
                quota_of(control_groups, UNIFIED, &files),
                expected,
                "{inner_text:?} in {outer_text:?}"
            );
        }
    }

    #[test]
    fn a_quota_of_the_older_hierarchy_is_found_beside_the_unified_one() {
        let control_groups = "9:name=systemd:/init\n4:cpu,cpuacct:/docker/ab12\n3:cpuset:/docker/ab12\n0::/\n";
        let group = "/sys/fs/cgroup/cpu,cpuacct/docker/ab12";
        let (quota_file, period_file) = (
            format!("{group}/cpu.cfs_quota_us"),
            format!("{group}/cpu.cfs_period_us"),
        );
        for (quota_text, expected) in [("-1\n", None), ("250000\n", Some(2.5))] {
            let files = [(quota_file.as_str(), quota_text), (period_file.as_str(), "100000\n")];
            let mounts = [
                SEPARATE,
                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            ]
            .concat();
            assert_eq!(quota_of(control_groups, &mounts, &files), expected);
        }
    }

    #[test]
    fn a_group_seen_from_inside_a_container_is_found_at_the_mount() {
        let at_the_mount = [("/sys/fs/cgroup/cpu.max", "50000 100000\n")];
        // The mount shows the container's own group as its root, or the path leads out of the namespace.
        let bind_mounted = UNIFIED.replace(" / /sys", " /docker/ab12 /sys");
        assert_eq!(quota_of("0::/docker/ab12\n", &bind_mounted, &at_the_mount), Some(0.5));
        assert_eq!(quota_of("0::/elsewhere\n", &bind_mounted, &at_the_mount), Some(0.5));
        assert_eq!(quota_of("0::/../..\n", UNIFIED, &at_the_mount), Some(0.5));
        assert_eq!(quota_of("0::/\n", UNIFIED, &at_the_mount), Some(0.5));
        let spaced = UNIFIED.replace("/sys/fs/cgroup", r"/odd\040place\134x");
        assert_eq!(
            quota_of("0::/\n", &spaced, &[(r"/odd place\x/cpu.max", "50000 100000\n")]),
            Some(0.5)
        );
    }

    #[test]
    fn without_control_groups_there_is_no_quota() {
        for (control_groups, mounts) in [
            ("", ""),
            ("0::/\n", ""),
            ("", UNIFIED),
            ("nonsense\n0:x", "a - b\n - \n"),
        ] {
            assert_eq!(
                quota_of(control_groups, mounts, &[("/sys/fs/cgroup/cpu.max", "1 1")]),
                None
            );
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
