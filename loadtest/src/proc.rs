//! CPU time and memory of processes, and CPU time of cores, from `/proc`.
//!
//! `utime` and `stime` count clock ticks, usually 10 ms. Their sum follows the scheduler's exact run time. Their split
//! may be sampled at the timer interrupt, so it needs windows of several seconds.

use std::fs;
use std::ops::Add;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

/// The largest rounding of CPU time in ticks: 10 ms each for user and system time, plus a tick of the scheduler.
const ROUNDING_MAX: Duration = Duration::from_millis(25);

/// Returns the processes of a group, such as a server and its workers; reads the status of each process on the machine.
pub(crate) fn group_members(group: Pid) -> Result<Vec<Pid>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").context("could not read /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // The process may have ended since it was listed.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if group_of(&text) == Some(group) {
            members.push(pid);
        }
    }
    ensure!(!members.is_empty(), "process group {group} has ended");
    Ok(members)
}

/// Parses the group in a line of `/proc/PID/stat`.
fn group_of(text: &str) -> Option<Pid> {
    // `pgrp` is field 5 of proc_pid_stat(5), the third after the name.
    let (_, after_name) = text.rsplit_once(')')?;
    Pid::from_raw(after_name.split_ascii_whitespace().nth(2)?.parse().ok()?)
}

/// Sums `read` over the processes.
pub(crate) fn sum<T: Add<Output = T> + Default>(pids: &[Pid], read: fn(Pid) -> Result<T>) -> Result<T> {
    pids.iter().try_fold(T::default(), |total, pid| Ok(total + read(*pid)?))
}

/// CPU time of a process over all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProcessTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl ProcessTime {
    /// Reads `/proc/PID/stat`, which exists until the process is reaped.
    pub(crate) fn read(pid: Pid) -> Result<Self> {
        let text = read(&format!("/proc/{}/stat", pid.as_raw_pid()))?;
        Self::parse(&text, rustix::param::clock_ticks_per_second())
    }

    fn parse(text: &str, ticks_per_second: u64) -> Result<Self> {
        // The second field, the program's name in parentheses, may contain spaces and parentheses.
        let (_, after_name) = text.rsplit_once(')').context("no program name in /proc/PID/stat")?;
        // In proc_pid_stat(5), field 3 is the first after the name; `utime` is 14 and `stime` 15.
        let mut fields = after_name.split_ascii_whitespace().skip(11);
        let mut ticks = || -> Result<Duration> {
            let ticks: u64 = fields.next().context("/proc/PID/stat is too short")?.parse()?;
            Ok(duration_of(ticks, ticks_per_second))
        };
        Ok(Self {
            user: ticks()?,
            system: ticks()?,
        })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// Returns the same split of `running`, the scheduler's exact run time.
    ///
    /// Ignores a `running` that differs by more than rounding: it then lacks threads that have ended.
    pub(crate) fn refined_by(self, running: Duration) -> Self {
        let total = self.total();
        if running < total / 2 || running.abs_diff(total) > ROUNDING_MAX {
            return self;
        }
        // Below one tick the split is unknown; system time dominates in all servers.
        let user = match total.is_zero() {
            true => Duration::ZERO,
            false => running.mul_f64(self.user.as_secs_f64() / total.as_secs_f64()),
        };
        Self {
            user,
            system: running.saturating_sub(user),
        }
    }
}

impl Add for ProcessTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

/// CPU time of one core since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreTime {
    /// Idle time. The kernel measures it exactly but samples busy time at its ticks, which misses short bursts.
    pub(crate) idle: Duration,
    /// Time the hypervisor gave to other machines while this core had work.
    pub(crate) stolen: Duration,
}

impl CoreTime {
    /// Reads the line of `core` in `/proc/stat`.
    pub(crate) fn read(core: usize) -> Result<Self> {
        Self::parse(&read("/proc/stat")?, core, rustix::param::clock_ticks_per_second())
    }

    fn parse(text: &str, core: usize, ticks_per_second: u64) -> Result<Self> {
        let label = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&label));
        let line = line.with_context(|| format!("/proc/stat has no core {core}"))?;
        let ticks: Vec<u64> = line
            .split_ascii_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // proc_stat(5)
        let [_user, _nice, _system, idle, iowait, _irq, _softirq, steal, ..] = ticks.as_slice() else {
            anyhow::bail!("/proc/stat is too short");
        };
        Ok(Self {
            idle: duration_of(idle + iowait, ticks_per_second),
            stolen: duration_of(*steal, ticks_per_second),
        })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            idle: self.idle.saturating_sub(earlier.idle),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }
}

/// Run time and number of runs of a process's threads, in nanoseconds instead of ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunTime {
    pub(crate) running: Duration,
    /// How often a thread was scheduled on a core; a sleeping process adds 0.
    pub(crate) runs: u64,
}

impl RunTime {
    /// Sums `/proc/PID/task/*/schedstat`.
    pub(crate) fn read(pid: Pid) -> Result<Self> {
        let folder = format!("/proc/{}/task", pid.as_raw_pid());
        let mut total = Self::default();
        for task in fs::read_dir(&folder).with_context(|| format!("could not read {folder}"))? {
            // The thread may have ended since it was listed.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let task = Self::parse(&text)?;
            total.running += task.running;
            total.runs += task.runs;
        }
        Ok(total)
    }

    fn parse(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [nanoseconds, _waiting, runs] = fields.as_slice() else {
            anyhow::bail!("schedstat does not have three fields");
        };
        Ok(Self {
            running: Duration::from_nanos(nanoseconds.parse()?),
            runs: runs.parse()?,
        })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            running: self.running.saturating_sub(earlier.running),
            runs: self.runs.saturating_sub(earlier.runs),
        }
    }
}

impl Add for RunTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            running: self.running + other.running,
            runs: self.runs + other.runs,
        }
    }
}

/// Memory of a process in KiB, without the kernel's socket buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Resident pages; shared pages count fully.
    pub(crate) resident_kib: u64,
    /// Resident pages; shared pages are divided by the processes that share them.
    pub(crate) proportional_kib: u64,
    /// Resident pages of this process alone.
    pub(crate) private_kib: u64,
}

impl Memory {
    /// Reads `/proc/PID/smaps_rollup`.
    pub(crate) fn read(pid: Pid) -> Result<Self> {
        Self::parse(&read(&format!("/proc/{}/smaps_rollup", pid.as_raw_pid()))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let amount = |label: &str| -> Result<u64> {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(label)?.strip_prefix(':'));
            let value = line.with_context(|| format!("smaps_rollup has no {label}"))?.trim();
            let value = value
                .strip_suffix(" kB")
                .with_context(|| format!("{label} is not in kB"))?;
            Ok(value.parse()?)
        };
        Ok(Self {
            resident_kib: amount("Rss")?,
            proportional_kib: amount("Pss")?,
            private_kib: amount("Private_Clean")? + amount("Private_Dirty")?,
        })
    }
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib + other.resident_kib,
            proportional_kib: self.proportional_kib + other.proportional_kib,
            private_kib: self.private_kib + other.private_kib,
        }
    }
}

/// The highest resident memory of a process since its start or [`PeakMemory::reset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PeakMemory {
    pub(crate) resident_kib: u64,
}

impl PeakMemory {
    /// Makes the present resident memory of the process its peak.
    pub(crate) fn reset(pid: Pid) {
        // proc_pid_clear_refs(5). Without the right to it, the peak includes the start of the process.
        fs::write(format!("/proc/{}/clear_refs", pid.as_raw_pid()), "5").ok();
    }

    /// Reads `VmHWM` of `/proc/PID/status`.
    pub(crate) fn read(pid: Pid) -> Result<Self> {
        Self::parse(&read(&format!("/proc/{}/status", pid.as_raw_pid()))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let value = line.context("the status has no VmHWM")?.trim();
        let value = value.strip_suffix(" kB").context("VmHWM is not in kB")?;
        Ok(Self {
            resident_kib: value.trim().parse()?,
        })
    }
}

impl Add for PeakMemory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib + other.resident_kib,
        }
    }
}

/// Pins the calling thread to `core`.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("could not pin a thread to core {core}"))
}

/// Fails if this process must not run on `core`.
pub(crate) fn check_core_allowed(core: usize) -> Result<()> {
    let allowed = rustix::thread::sched_getaffinity(None).context("could not read the allowed cores")?;
    let is_allowed = |core: usize| core < rustix::thread::CpuSet::MAX_CPU && allowed.is_set(core);
    let cores: Vec<String> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|core| is_allowed(*core))
        .map(|core| core.to_string())
        .collect();
    ensure!(
        is_allowed(core),
        "this process may not run on core {core}; choose from {}",
        cores.join(", ")
    );
    Ok(())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {path}"))
}

fn duration_of(ticks: u64, ticks_per_second: u64) -> Duration {
    // 100 or 1000 ticks per second; both divide a million.
    Duration::from_micros(ticks.saturating_mul(1_000_000 / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_time_is_found_behind_any_program_name() {
        for name in ["server", "tricky) S 1 2 (name", "with space"] {
            let text =
                format!("4242 ({name}) S 1 1 1 0 -1 4194304 230 7 1 9 123 4567 8 9 20 0 1 0 160331 3047424 499 1");
            let time = ProcessTime::parse(&text, 100).unwrap();
            assert_eq!(time.user, Duration::from_millis(1230), "{name}");
            assert_eq!(time.system, Duration::from_millis(45_670), "{name}");
            assert_eq!(time.total(), Duration::from_millis(46_900));
        }
        assert!(ProcessTime::parse("4242 (cut) S 1 1 1", 100).is_err());
        assert!(ProcessTime::parse("nothing", 100).is_err());
    }

    #[test]
    fn exact_run_time_is_split_as_the_ticks_are() {
        let time = |user, system| ProcessTime {
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
        };
        let refined = time(100, 300).refined_by(Duration::from_millis(408));
        assert_eq!(refined, time(102, 306));
        assert_eq!(time(100, 300).refined_by(Duration::from_millis(200)), time(100, 300));
        assert_eq!(time(0, 20).refined_by(Duration::from_millis(1)), time(0, 20));
        assert_eq!(time(0, 0).refined_by(Duration::from_millis(5)), time(0, 5));
    }

    #[test]
    fn core_time_is_taken_from_the_right_line() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 100 20 300 9000 50 4 16 7 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
        let time = CoreTime::parse(text, 1, 100).unwrap();
        assert_eq!(time.idle, Duration::from_millis(90_500));
        assert_eq!(time.stolen, Duration::from_millis(70));
        assert!(CoreTime::parse(text, 0, 100).is_err());
    }

    #[test]
    fn run_time_is_in_nanoseconds() {
        let time = RunTime::parse("433211 17 2\n").unwrap();
        assert_eq!(
            time,
            RunTime {
                running: Duration::from_nanos(433_211),
                runs: 2
            }
        );
        assert!(RunTime::parse("433211 17").is_err());
    }

    #[test]
    fn memory_tells_similar_labels_apart() {
        let text = "5609dfb19000-7ffe892e9000 ---p 00000000 00:00 0    [rollup]\nRss:      1688 kB\nPss:       391 kB\n\
                    Pss_Dirty:           112 kB\nPrivate_Clean:        40 kB\nPrivate_Dirty:       112 kB\n";
        let memory = Memory::parse(text).unwrap();
        assert_eq!(
            memory,
            Memory {
                resident_kib: 1688,
                proportional_kib: 391,
                private_kib: 152
            }
        );
        assert!(Memory::parse("Rss: 1688 kB\n").is_err());
    }

    #[test]
    fn peak_is_read_and_follows_a_large_allocation() {
        let peak = PeakMemory::parse("VmPeak:\t   9000 kB\nVmHWM:\t    1688 kB\nVmRSS:\t    1000 kB\n").unwrap();
        assert_eq!(peak.resident_kib, 1688);
        assert!(PeakMemory::parse("VmRSS: 1 kB\n").is_err());
        let own = rustix::process::getpid();
        PeakMemory::reset(own);
        let before = Memory::read(own).unwrap().resident_kib;
        drop(std::hint::black_box(vec![1_u8; 32 << 20]));
        assert!(PeakMemory::read(own).unwrap().resident_kib > before + (16 << 10));
    }

    #[test]
    fn group_is_found_behind_any_program_name() {
        let text = "4242 (tricky) S 1 2 (name) S 7 4200 1 0 -1 4194304 230";
        assert_eq!(group_of(text), Pid::from_raw(4200));
        assert_eq!(group_of("4242 (cut) S 7"), None);
    }

    #[test]
    fn own_group_has_this_process_in_it() {
        let members = group_members(rustix::process::getpgrp()).unwrap();
        assert!(members.contains(&rustix::process::getpid()), "{members:?}");
    }

    #[test]
    fn figures_of_several_processes_add_up() {
        let one = |_| {
            Ok(ProcessTime {
                user: Duration::from_millis(1),
                system: Duration::from_millis(20),
            })
        };
        let pids = [rustix::process::getpid(); 3];
        assert_eq!(sum(&pids, one).unwrap().total(), Duration::from_millis(63));
    }

    #[test]
    fn own_figures_can_be_read() {
        let own = rustix::process::getpid();
        ProcessTime::read(own).unwrap();
        assert!(RunTime::read(own).unwrap().running > Duration::ZERO);
        assert!(Memory::read(own).unwrap().resident_kib > 0);
    }
}
