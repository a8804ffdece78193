//! How much memory this process holds against its limits: one account for the process, one per control group with a
//! limit.
//!
//! A control group does not refuse memory: at its limit the kernel kills. So a server compares the two numbers of each
//! account and sheds load before that. An account has three parts:
//!
//! - *touched*: pages of the process that the kernel cannot reclaim, from `/proc/self/statm`;
//! - *reserved*: memory promised whose pages were not written yet, counted by the caller of [`Ledger::check`];
//! - *held by the kernel*, for a group only: the rest of the group's usage. It contains sockets, io_uring's rings and other
//!   processes of the group. Version 2 counts socket buffers there. Version 1 counts them apart (`memory.kmem.tcp.*`), under a
//!   limit that does not kill.
//!
//! A group's usage also contains file pages, which the kernel reclaims when needed. They are subtracted, by
//! `memory.stat`.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;

use super::cgroup;
use super::cgroup::{Group, Hierarchy};
use crate::clock;

/// The part of a group's limit kept free for the process: hot program pages, stacks, pool threads. 2 MiB.
const RESERVE_BYTES: u64 = 2 * 1024 * 1024;

/// The part of a group's limit kept free per shard, because it is taken without a check. 8 MiB. A burst may touch 4 MiB
/// of receive buffers at once. The 1024 connections io_uring accepts ahead of the shard take 1.6 KiB each (Linux 6.18),
/// 3 MiB rounded up. 1 MiB is reserved between two checks.
const SHARD_RESERVE_BYTES: u64 = 8 * 1024 * 1024;

/// The least memory of a process without its shards. 8 MiB: the 2 MiB kept free, and 6 MiB of program data.
const LEAST_BYTES: u64 = 8 * 1024 * 1024;

/// The least memory of a shard. 14 MiB: the 8 MiB kept free, 5 MiB on io_uring before the first connection, 1 MiB to
/// serve with. The 5 MiB were measured on Linux 6.18, in a debug build that touches all receive buffers.
const SHARD_LEAST_BYTES: u64 = 14 * 1024 * 1024;

/// The maximum age of a group's file-page count. 10 ms: the kernel sums it in up to 100 µs, so at most 1 % of a core.
const FILE_PAGES_AGE_MAX: Duration = Duration::from_millis(10);

/// The maximum length of `/proc/self/statm`: seven numbers of at most 20 digits.
const STATM_BYTES_MAX: usize = 7 * 21;

/// The maximum length of a file with one number: 20 digits and a newline.
const NUMBER_BYTES_MAX: usize = 21;

/// How much of `memory.stat` is read. 8 KiB: four times what Linux 6.18 writes.
const STAT_BYTES_MAX: usize = 8 * 1024;

/// Returns how many bytes of memory this process may have: the least of the machine's memory and its cgroup limits.
///
/// `None` if the kernel reports neither. `RLIMIT_AS` is left out: it makes allocations fail instead of killing.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let granted = cgroup::limits("memory", granted_bytes);
    granted.into_iter().chain(machine_bytes()).min()
}

/// Returns the least memory, in bytes, that a process with this number of shards starts with.
#[must_use]
pub fn least_bytes(shards: NonZeroUsize) -> u64 {
    LEAST_BYTES + SHARD_LEAST_BYTES.saturating_mul(shards.get() as u64)
}

/// Returns how many shards fit into this memory, at least 1.
#[must_use]
pub fn shards_max(available: u64) -> NonZeroUsize {
    let most = available.saturating_sub(LEAST_BYTES) / SHARD_LEAST_BYTES;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN)
}

fn machine_bytes() -> Option<u64> {
    total_bytes(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Finds the machine's memory in the text of `/proc/meminfo`, whose unit is the KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the limit of one group in bytes. Beyond `memory.high` the kernel kills no process, but throttles all of them.
fn granted_bytes(group: &Group<'_>) -> Option<u64> {
    let limit = |file| group.read(file)?.parse::<u64>().ok();
    match group.hierarchy {
        Hierarchy::V2 => limit("memory.max").into_iter().chain(limit("memory.high")).min(),
        Hierarchy::V1 => limit("memory.limit_in_bytes"),
    }
}

/// The account of a [`Ledger`] with the least headroom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Memory held, in bytes.
    pub held: u64,
    /// The limit, in bytes.
    pub limit: u64,
}

impl Balance {
    /// Returns whether this account has a larger share in use than `other`.
    fn is_tighter_than(self, other: Self) -> bool {
        u128::from(self.held) * u128::from(other.limit) > u128::from(other.held) * u128::from(self.limit)
    }
}

/// The memory accounts of this process, shared by all its threads.
#[derive(Debug)]
pub struct Ledger {
    statm: File,
    page_bytes: u64,
    /// The limit of the process itself.
    limit: Option<u64>,
    groups: Vec<GroupAccount>,
}

impl Ledger {
    /// Opens the accounts of a process with this number of shards.
    ///
    /// `limit` is the process's own limit in bytes; by default the machine's memory. Cgroup limits always apply, minus
    /// 2 MiB and 8 MiB per shard, which stay free for memory taken without a check. Holds three descriptors, and two
    /// per group with a limit.
    ///
    /// # Errors
    ///
    /// `/proc` is not mounted, or the process is out of descriptors.
    pub fn open(limit: Option<u64>, shards: NonZeroUsize) -> io::Result<Self> {
        let machine = machine_bytes();
        let reserve = RESERVE_BYTES + SHARD_RESERVE_BYTES.saturating_mul(shards.get() as u64);
        let groups = cgroup::limits("memory", |group| {
            let granted = granted_bytes(group)?;
            // Version 1 writes a huge number for "no limit".
            let is_limit = machine.is_none_or(|machine| granted < machine);
            is_limit.then(|| GroupAccount::open(group, granted.saturating_sub(reserve).max(1)))
        });
        Ok(Self {
            statm: File::open("/proc/self/statm")?,
            page_bytes: rustix::param::page_size() as u64,
            limit: limit.or(machine),
            groups: groups.into_iter().collect::<io::Result<_>>()?,
        })
    }

    /// Measures, and returns the account with the largest share in use; `None` if the kernel reports nothing.
    ///
    /// `promised` is the number of bytes reserved but not touched yet. Allocates nothing. Takes about 1 µs for the
    /// process and for each group, and up to 100 µs more once in 10 ms.
    #[must_use]
    pub fn check(&self, promised: u64) -> Option<Balance> {
        let touched = self.touched_bytes().ok()?;
        let own = self.limit.map(|limit| Balance {
            held: touched.saturating_add(promised),
            limit,
        });
        let groups = self.groups.iter().filter_map(|group| {
            Some(Balance {
                held: group.held_bytes(touched).ok()?.saturating_add(promised),
                limit: group.limit,
            })
        });
        own.into_iter()
            .chain(groups)
            .reduce(|one, other| if other.is_tighter_than(one) { other } else { one })
    }

    /// Returns the bytes this process has touched and the kernel cannot reclaim: resident pages without file pages.
    fn touched_bytes(&self) -> io::Result<u64> {
        let mut text = [0; STATM_BYTES_MAX];
        let pages = touched_pages(read(&self.statm, &mut text)?).ok_or(io::ErrorKind::InvalidData)?;
        Ok(pages.saturating_mul(self.page_bytes))
    }
}

/// The account of a control group.
#[derive(Debug)]
struct GroupAccount {
    hierarchy: Hierarchy,
    usage: File,
    stat: File,
    limit: u64,
    /// When `memory.stat` was last read.
    seen_at: AtomicCell<Option<Instant>>,
    /// The file pages at that time, in bytes.
    file_bytes: AtomicU64,
    /// What the group held at that time beyond file pages and this process: kernel memory and other processes.
    beyond_bytes: AtomicU64,
}

impl GroupAccount {
    fn open(group: &Group<'_>, limit: u64) -> io::Result<Self> {
        let usage = match group.hierarchy {
            Hierarchy::V2 => "memory.current",
            Hierarchy::V1 => "memory.usage_in_bytes",
        };
        Ok(Self {
            hierarchy: group.hierarchy,
            usage: File::open(group.file(usage))?,
            stat: File::open(group.file("memory.stat"))?,
            limit,
            seen_at: AtomicCell::new(None),
            file_bytes: AtomicU64::new(0),
            beyond_bytes: AtomicU64::new(0),
        })
    }

    /// Returns the bytes of the group that the kernel cannot reclaim; this process has touched `touched` of them.
    ///
    /// The count of file pages may be old: the kernel may have reclaimed some for this process since. So "touched now,
    /// plus the rest of then" is a lower bound, and the larger of the two estimates counts.
    fn held_bytes(&self, touched: u64) -> io::Result<u64> {
        let mut text = [0; NUMBER_BYTES_MAX];
        let usage = number(read(&self.usage, &mut text)?).ok_or(io::ErrorKind::InvalidData)?;
        let (now, seen_at) = (clock::now(), self.seen_at.load());
        let is_due = seen_at.is_none_or(|seen_at| now >= seen_at + FILE_PAGES_AGE_MAX);
        // One thread at a time reads the long file; the others use its last result.
        if is_due && self.seen_at.compare_exchange(seen_at, Some(now)).is_ok() {
            let mut text = [0; STAT_BYTES_MAX];
            let file = file_bytes(read(&self.stat, &mut text)?, self.hierarchy).min(usage);
            self.file_bytes.store(file, Ordering::Relaxed);
            let beyond = (usage - file).saturating_sub(touched);
            self.beyond_bytes.store(beyond, Ordering::Relaxed);
        }
        // Two estimates, each too low after different changes: the larger is the better bound.
        let by_usage = usage.saturating_sub(self.file_bytes.load(Ordering::Relaxed));
        let by_touch = touched.saturating_add(self.beyond_bytes.load(Ordering::Relaxed));
        Ok(by_usage.max(by_touch))
    }
}

/// Reads a kernel file from its beginning, up to the size of `text`.
fn read<'t>(file: &File, text: &'t mut [u8]) -> io::Result<&'t [u8]> {
    let length = file.read_at(text, 0)?;
    Ok(text.get(..length).unwrap_or_default())
}

/// Subtracts the third number of `/proc/self/statm` (file and shared pages) from the second (resident pages).
fn touched_pages(statm: &[u8]) -> Option<u64> {
    let mut numbers = str::from_utf8(statm).ok()?.split(' ').skip(1);
    let (resident, shared): (u64, u64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(resident.saturating_sub(shared))
}

fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Returns the bytes of file pages in a group and its descendants, from its `memory.stat`. Pages of a memory file
/// system are on other lists, because the kernel cannot reclaim them.
fn file_bytes(stat: &[u8], hierarchy: Hierarchy) -> u64 {
    let names = match hierarchy {
        Hierarchy::V2 => ["active_file", "inactive_file"],
        Hierarchy::V1 => ["total_active_file", "total_inactive_file"],
    };
    let text = str::from_utf8(stat).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| names.contains(name))
        .filter_map(|(_, bytes)| bytes.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::os::cgroup::limits_in;

    /// The beginning of `memory.stat` of a version 2 group (Linux 6.8, systemd).
    const STAT_V2: &str = "anon 23138304\nfile 19927040\nkernel 2609152\nkernel_stack 81920\npagetables 245760\n\
        sec_pagetables 0\npercpu 0\nsock 1835008\nvmalloc 0\nshmem 1048576\nzswap 0\nzswapped 0\nfile_mapped 9109504\n\
        file_dirty 4096\nfile_writeback 0\nswapcached 0\nanon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon 24182784\n\
        active_anon 4096\ninactive_file 11489280\nactive_file 7389184\nunevictable 0\nslab_reclaimable 589824\n\
        slab_unreclaimable 1048576\nslab 1638400\nworkingset_refault_anon 0\nworkingset_refault_file 0\n";
    const CURRENT_V2: &str = "47575040\n";

    /// The same of a version 1 group (Linux 6.18).
    const STAT_V1: &str = "cache 459816960\nrss 571580416\nrss_huge 0\nshmem 0\nmapped_file 25620480\ninactive_file 354492416\n\
        active_file 105324544\nunevictable 0\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 460210176\n\
        total_rss 571580416\ntotal_inactive_anon 571543552\ntotal_active_anon 20480\ntotal_inactive_file 354758656\n\
        total_active_file 105451520\ntotal_unevictable 0\n";
    const USAGE_V1: &str = "1046462464\n";

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_kernels_texts_are_read_exactly() {
        let meminfo = "MemTotal:       24642512 kB\nMemFree:        100 kB\n";
        assert_eq!(total_bytes(meminfo), Some(24_642_512 * 1024));
        assert_eq!(touched_pages(b"765 426 397 5 0 123 0\n"), Some(29));
        assert_eq!(number(CURRENT_V2.as_bytes()), Some(47_575_040));
        for nonsense in ["", "MemFree: 1 kB\n", "MemTotal: x kB\n", "MemTotal: 1\n"] {
            assert_eq!(total_bytes(nonsense), None, "{nonsense:?}");
        }
        for nonsense in ["", "765", "765 426", "765 x 1", "765 426 \u{e9}"] {
            assert_eq!(touched_pages(nonsense.as_bytes()), None, "{nonsense:?}");
        }
        for nonsense in ["", "max\n", "-1\n"] {
            assert_eq!(number(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn the_file_pages_are_found_in_the_text_of_either_version() {
        let version_2 = file_bytes(STAT_V2.as_bytes(), Hierarchy::V2);
        assert_eq!(version_2, 11_489_280 + 7_389_184);
        let version_1 = file_bytes(STAT_V1.as_bytes(), Hierarchy::V1);
        assert_eq!(version_1, 354_758_656 + 105_451_520);
        for nonsense in ["", "active_file", "active_file x\n", "active_file  7\n"] {
            assert_eq!(file_bytes(nonsense.as_bytes(), Hierarchy::V2), 0, "{nonsense:?}");
        }
    }

    #[test]
    fn the_limit_of_a_group_is_read_as_either_version_writes_it() {
        let granted = |memberships, mounts, files: &[(&str, &str)]| {
            let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
            let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
            limits_in(memberships, mounts, &read, "memory", granted_bytes)
        };
        let version_2 = "25 30 0:23 / /groups rw - cgroup2 cgroup2 rw\n";
        for (max, high, expected) in [
            ("max\n", "max\n", None),
            ("4096\n", "max\n", Some(4096)),
            ("4096\n", "2048\n", Some(2048)),
        ] {
            let files = [("/groups/memory.max", max), ("/groups/memory.high", high)];
            assert_eq!(granted("0::/\n", version_2, &files), Vec::from_iter(expected));
        }
        let version_1 = "37 31 0:34 / /groups rw - cgroup cgroup rw,memory\n";
        let files = [("/groups/memory.limit_in_bytes", "4096\n")];
        assert_eq!(granted("4:memory:/\n", version_1, &files), [4096]);
    }

    /// A directory with the files of a group, removed on drop.
    struct Captured(PathBuf);

    impl Captured {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let folder = std::env::temp_dir().join(format!("squall-ledger-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let captured = Self(folder);
            files.iter().for_each(|(file, text)| captured.write(file, text));
            captured
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.0.join(file), text).unwrap();
        }

        fn account(&self, hierarchy: Hierarchy, limit: u64) -> GroupAccount {
            let read = |path: &Path| fs::read_to_string(path).ok();
            GroupAccount::open(&Group::of(hierarchy, &self.0, &read), limit).unwrap()
        }
    }

    impl Drop for Captured {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_group_holds_its_usage_minus_the_file_pages() {
        for (name, hierarchy, files, expected) in [
            (
                "unified",
                Hierarchy::V2,
                [("memory.current", CURRENT_V2), ("memory.stat", STAT_V2)],
                47_575_040 - (11_489_280 + 7_389_184),
            ),
            (
                "older",
                Hierarchy::V1,
                [("memory.usage_in_bytes", USAGE_V1), ("memory.stat", STAT_V1)],
                1_046_462_464 - (354_758_656 + 105_451_520),
            ),
        ] {
            let captured = Captured::new(name, &files);
            let account = captured.account(hierarchy, 64 * MIB);
            assert_eq!(account.held_bytes(0).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn touched_memory_counts_even_while_the_number_of_file_pages_is_old() {
        let stat = |file: u64| format!("inactive_file {}\nactive_file 0\n", file * MIB);
        let number = |number: u64| format!("{}\n", number * MIB);
        let files = [("memory.current", number(60)), ("memory.stat", stat(20))];
        let captured = Captured::new("old", &files.each_ref().map(|(file, text)| (*file, text.as_str())));
        let account = captured.account(Hierarchy::V2, 64 * MIB);
        // 30 MiB of the process, 20 MiB of files, 10 MiB of the kernel.
        assert_eq!(account.held_bytes(30 * MIB).unwrap(), 40 * MIB);
        // As if read at this very moment, however slow this machine is.
        account.seen_at.store(Some(clock::now() + Duration::from_secs(3600)));
        // The kernel has reclaimed the file pages for the process.
        assert_eq!(account.held_bytes(45 * MIB).unwrap(), 55 * MIB);
        // The kernel's own memory has grown.
        captured.write("memory.current", &number(75));
        assert_eq!(account.held_bytes(30 * MIB).unwrap(), 55 * MIB);
        captured.write("memory.stat", &stat(5));
        account.seen_at.store(None);
        assert_eq!(account.held_bytes(30 * MIB).unwrap(), 70 * MIB);
    }

    #[test]
    fn the_account_with_the_least_headroom_is_returned_and_promised_bytes_count() {
        let files = [("memory.current", "80000000000\n"), ("memory.stat", "")];
        let captured = Captured::new("tight", &files);
        let mut ledger = Ledger::open(Some(1 << 50), NonZeroUsize::MIN).unwrap();
        ledger.groups = vec![captured.account(Hierarchy::V2, 100_000_000_000)];
        // Other tests of this process allocate meanwhile.
        for promised in [0, 10_000_000_000] {
            let balance = ledger.check(promised).unwrap();
            assert_eq!(balance.limit, 100_000_000_000);
            let held = 80_000_000_000 + promised;
            assert!((held..held + 1_000_000_000).contains(&balance.held), "{balance:?}");
        }
        ledger.limit = Some(1);
        assert_eq!(ledger.check(0).unwrap().limit, 1);
    }

    #[test]
    fn the_number_of_shards_is_what_the_memory_suffices_for() {
        for count in [1, 2, 64] {
            let count = NonZeroUsize::new(count).unwrap();
            let least = least_bytes(count);
            assert_eq!(shards_max(least), count);
            assert!(shards_max(least - 1) < count || count == NonZeroUsize::MIN);
        }
        assert_eq!(shards_max(0), NonZeroUsize::MIN);
        assert!(shards_max(u64::MAX).get() > 1_000_000);
    }
}
