//! The files that were served lately and have no precompressed file beside them, with their paths held open.
//!
//! Why: resolving a path, and those of its three variants, costs more. A request for such a file takes a `statx` for
//! each directory of its path and one for the file.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_shards::file::Trail;

use crate::app::OpenFile;

/// The most descriptors that a shard holds for one directory's paths. 512, and at most a sixteenth of the process's limit.
const DESCRIPTORS_MAX: usize = 512;

/// How long a path is held until it is resolved again. 1 s: a file system mounted over a directory cannot be seen before.
const HELD_MAX: Duration = Duration::from_secs(1);

/// The paths that one root holds.
pub(super) struct Trails {
    descriptors_max: usize,
    held: RefCell<Held>,
    /// When the next path may be followed, after one could not be.
    retry_at: Cell<Option<Instant>>,
}

#[derive(Default)]
struct Held {
    entries: HashMap<Vec<u8>, Entry>,
    descriptors: usize,
}

struct Entry {
    trail: Trail,
    file: Rc<OpenFile>,
    until: Instant,
}

impl Trails {
    /// Makes an empty set for a process that may open this many files.
    pub(super) fn new(files_max: u64) -> Self {
        let share = usize::try_from(files_max / 16).unwrap_or(usize::MAX);
        Self {
            descriptors_max: share.min(DESCRIPTORS_MAX),
            held: RefCell::default(),
            retry_at: Cell::new(None),
        }
    }

    /// Returns the file at a path if nothing on the way has changed.
    pub(super) fn get(&self, path: &[u8], now: Instant) -> Option<Rc<OpenFile>> {
        let mut held = self.held.borrow_mut();
        let entry = held.entries.get(path)?;
        if now < entry.until && entry.trail.is_unchanged() {
            return Some(Rc::clone(&entry.file));
        }
        if let Some(entry) = held.entries.remove(path) {
            held.descriptors -= entry.trail.descriptors();
        }
        None
    }

    /// Returns whether a path may be followed now.
    pub(super) fn may_follow(&self, now: Instant) -> bool {
        self.retry_at.get().is_none_or(|at| now >= at)
    }

    /// Notes that a path could not be followed: others of this root probably cannot be either, for now.
    pub(super) fn note_failure(&self, now: Instant) {
        self.retry_at.set(Some(now + HELD_MAX));
    }

    /// Holds a path.
    pub(super) fn insert(&self, path: &[u8], trail: Trail, file: &Rc<OpenFile>, now: Instant) {
        let mut held = self.held.borrow_mut();
        if held.descriptors + trail.descriptors() > self.descriptors_max {
            *held = Held::default();
        }
        if trail.descriptors() > self.descriptors_max {
            return;
        }
        held.descriptors += trail.descriptors();
        let entry = Entry {
            trail,
            file: Rc::clone(file),
            until: now + HELD_MAX,
        };
        if let Some(before) = held.entries.insert(path.to_vec(), entry) {
            held.descriptors -= before.trail.descriptors();
        }
    }
}
