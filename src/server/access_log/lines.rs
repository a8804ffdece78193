//! The lines of one shard on their way to the thread that writes them: gathered, capped, handed over in batches.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_shards::{sleep, spawn_detached};

use super::entry::Entry;
use super::settings::{AccessLogFormat, AccessLogSettings};
use super::writer::LineSender;

/// The size at which a batch is handed over at once. 32 KiB: some hundred lines.
const BATCH_BYTES: usize = 32 * 1024;

/// How long a line waits for others. A batch then costs one wake-up of the thread, not one for each line.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// The access log of one shard.
pub(super) struct ShardLines {
    format: AccessLogFormat,
    sender: LineSender,
    batch: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    is_scheduled: Cell<bool>,
    rate: RateCap,
}

impl ShardLines {
    pub(super) fn new(settings: &AccessLogSettings, sender: LineSender) -> Rc<Self> {
        Rc::new(Self {
            format: settings.access_log_format,
            sender,
            batch: RefCell::default(),
            lines: Cell::new(0),
            is_scheduled: Cell::new(false),
            rate: RateCap::new(settings.max_access_log_rate),
        })
    }

    /// Adds a line, which is handed over within [`GATHER_TIME`].
    pub(super) fn add(self: &Rc<Self>, entry: &Entry<'_>, now: Instant) {
        if !self.rate.admits(now) {
            self.sender.count_dropped(1);
            return;
        }
        let mut batch = self.batch.borrow_mut();
        entry.write(self.format, &mut batch);
        self.lines.set(self.lines.get() + 1);
        let is_full = batch.len() >= BATCH_BYTES;
        drop(batch);
        if is_full {
            self.hand_over();
        } else if !self.is_scheduled.replace(true) {
            let lines = Rc::clone(self);
            spawn_detached(async move {
                sleep(GATHER_TIME).await;
                lines.is_scheduled.set(false);
                lines.hand_over();
            });
        }
    }

    /// Hands the lines so far to the thread, or drops them if it is too slow.
    pub(super) fn hand_over(&self) {
        let lines = self.lines.take();
        if lines > 0 {
            let batch = self.batch.take();
            let next = self.sender.send(batch, lines);
            self.batch.replace(next);
        }
    }
}

/// Admits a fixed number of lines a second.
struct RateCap {
    /// 0 for no limit.
    lines_max: u32,
    lines: Cell<u32>,
    since: Cell<Option<Instant>>,
}

impl RateCap {
    fn new(lines_max: u32) -> Self {
        Self {
            lines_max,
            lines: Cell::new(0),
            since: Cell::new(None),
        }
    }

    fn admits(&self, now: Instant) -> bool {
        if self.lines_max == 0 {
            return true;
        }
        let is_over = |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.get().is_none_or(is_over) {
            self.since.set(Some(now));
            self.lines.set(0);
        }
        let lines = self.lines.get();
        let admits = lines < self.lines_max;
        if admits {
            self.lines.set(lines + 1);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_admits_its_number_of_lines_a_second() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do as the origin of a test")]
        let start = Instant::now();
        let cap = RateCap::new(2);
        let admitted = |at: Duration| (0..5).filter(|_| cap.admits(start + at)).count();
        assert_eq!(admitted(Duration::ZERO), 2);
        assert_eq!(admitted(Duration::from_millis(999)), 0);
        assert_eq!(admitted(Duration::from_secs(1)), 2);
        let unlimited = RateCap::new(0);
        assert!((0..1000).all(|_| unlimited.admits(start)));
    }
}
