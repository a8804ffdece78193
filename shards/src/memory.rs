//! How much memory this process may have, and how much of it it holds.
//!
//! A control group does not refuse memory: where it is short, the kernel kills. Whoever wants to give way before that compares the two
//! numbers here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;

use crate::control_group::{self, Group, Hierarchy};
use crate::{clock, sys};

/// How long `/proc/self/statm` can be: seven numbers of at most twenty digits.
const STATM_BYTES_MAX: usize = 7 * 21;

/// How often free memory is given back at the most: it walks through all that the allocator holds.
const GIVEN_BACK_EVERY: Duration = Duration::from_secs(1);

/// How much memory this process may have, in bytes: the least of what the machine has and what control groups grant it. `None` if the
/// kernel tells neither.
///
/// Limits that make an allocation fail (`RLIMIT_AS`) are not looked at: there, memory is refused.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| total_bytes(&text));
    let granted = control_group::limits("memory", granted_bytes);
    granted.into_iter().chain(machine).min()
}

/// Finds what the machine has in the text of `/proc/meminfo`, whose unit is the KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What one group grants, in bytes; `None` for no limit. Beyond `memory.high` it kills nobody, but holds everybody up.
fn granted_bytes(group: &Group<'_>) -> Option<u64> {
    let limit = |file| group.read(file)?.parse::<u64>().ok();
    match group.hierarchy {
        Hierarchy::Unified => limit("memory.max").into_iter().chain(limit("memory.high")).min(),
        Hierarchy::Older => limit("memory.limit_in_bytes"),
    }
}

/// Something to ask again and again how much memory this process holds.
#[derive(Debug)]
pub struct Gauge {
    statm: File,
    page_bytes: u64,
}

impl Gauge {
    /// Opens the kernel's account.
    ///
    /// # Errors
    ///
    /// There is no `/proc`, or no descriptor left.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            statm: File::open("/proc/self/statm")?,
            page_bytes: rustix::param::page_size() as u64,
        })
    }

    /// How much memory this process holds that the kernel cannot take back, in bytes: what is resident, without the pages of files.
    /// Allocates nothing, and costs about a microsecond. What the kernel itself holds for the process, as in socket buffers, is not in it.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn held_bytes(&self) -> io::Result<u64> {
        let mut text = [0; STATM_BYTES_MAX];
        let length = self.statm.read_at(&mut text, 0)?;
        let text = text.get(..length).unwrap_or_default();
        let pages = held_pages(text).ok_or(io::ErrorKind::InvalidData)?;
        Ok(pages.saturating_mul(self.page_bytes))
    }
}

/// The second number of `/proc/self/statm`, resident pages, without the third, those among them that are of files or shared.
fn held_pages(statm: &[u8]) -> Option<u64> {
    let mut numbers = str::from_utf8(statm).ok()?.split(' ').skip(1);
    let (resident, shared): (u64, u64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(resident.saturating_sub(shared))
}

/// Has glibc give whole free pages back to the kernel, which it otherwise keeps for later; at most once a second in the whole process. With
/// another allocator it does nothing worth mentioning.
///
/// Takes milliseconds for each GiB, in which other threads that allocate may wait: to be called where memory is short, off the shards
/// ([`spawn_blocking`](crate::spawn_blocking)).
pub fn give_back_free() {
    static GIVEN_BACK: AtomicCell<Option<Instant>> = AtomicCell::new(None);
    let (now, last) = (clock::now(), GIVEN_BACK.load());
    let is_due = last.is_none_or(|last| now >= last + GIVEN_BACK_EVERY);
    if is_due && GIVEN_BACK.compare_exchange(last, Some(now)).is_ok() {
        sys::trim_heap();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hint::black_box;
    use std::path::Path;

    use super::*;
    use crate::control_group::limits_in;

    #[test]
    fn the_kernels_texts_are_read_exactly() {
        let meminfo = "MemTotal:       24642512 kB\nMemFree:        100 kB\n";
        assert_eq!(total_bytes(meminfo), Some(24_642_512 * 1024));
        assert_eq!(held_pages(b"765 426 397 5 0 123 0\n"), Some(29));
        for nonsense in ["", "MemFree: 1 kB\n", "MemTotal: x kB\n", "MemTotal: 1\n"] {
            assert_eq!(total_bytes(nonsense), None, "{nonsense:?}");
        }
        for nonsense in ["", "765", "765 426", "765 x 1", "765 426 \u{e9}"] {
            assert_eq!(held_pages(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn the_limit_of_a_group_is_read_as_either_hierarchy_writes_it() {
        let granted = |memberships, mounts, files: &[(&str, &str)]| {
            let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
            let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
            limits_in(memberships, mounts, &read, "memory", granted_bytes)
        };
        let unified = "25 30 0:23 / /groups rw - cgroup2 cgroup2 rw\n";
        for (max, high, expected) in [
            ("max\n", "max\n", None),
            ("4096\n", "max\n", Some(4096)),
            ("4096\n", "2048\n", Some(2048)),
        ] {
            let files = [("/groups/memory.max", max), ("/groups/memory.high", high)];
            assert_eq!(granted("0::/\n", unified, &files), Vec::from_iter(expected));
        }
        let older = "37 31 0:34 / /groups rw - cgroup cgroup rw,memory\n";
        let files = [("/groups/memory.limit_in_bytes", "4096\n")];
        assert_eq!(granted("4:memory:/\n", older, &files), [4096]);
    }

    #[test]
    fn what_is_taken_is_held_and_what_is_given_back_is_not() {
        const BYTES: usize = 64 * 1024 * 1024;
        const PIECE_BYTES: usize = 16 * 1024;
        let gauge = Gauge::open().unwrap();
        let before = gauge.held_bytes().unwrap();
        // In pieces too small for mappings of their own, which the allocator keeps when they are freed.
        let taken: Vec<Vec<u8>> = (0..BYTES / PIECE_BYTES)
            .map(|_| black_box(vec![1_u8; PIECE_BYTES]))
            .collect();
        let last = black_box(vec![1_u8; PIECE_BYTES]);
        let during = gauge.held_bytes().unwrap();
        drop(taken);
        give_back_free();
        let after = gauge.held_bytes().unwrap();
        drop(last);
        // Other tests of this process take and give back meanwhile.
        let half = BYTES as u64 / 2;
        assert!(during >= before + half, "{before} {during}");
        assert!(after + half <= during, "{during} {after}");
        assert!(available_bytes().unwrap() >= during);
    }
}
