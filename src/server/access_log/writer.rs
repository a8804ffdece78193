//! The thread that writes the access log, and the bounded queue to it.
//!
//! A disk or a reader may be slow, and a shard's thread never waits for either. So shards hand over batches of lines
//! without waiting, and a batch that finds no room is dropped and counted. The thread says how many lines were lost.

use std::fs::{File, OpenOptions, metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use squall_shards::clock;

use crate::error::{Error, Result};

/// Batches that wait for the thread, of all shards together. 64: 4 MiB of lines.
const QUEUED_BATCHES_MAX: usize = 64;

/// How often the thread looks whether the file was renamed, and says how many lines were dropped.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a stop waits until the last lines are written.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the end waits before it looks for room in the queue again.
const ROOM_INTERVAL: Duration = Duration::from_millis(1);

/// The permissions of a new file: addresses of clients are for the operator's group.
const FILE_MODE: u32 = 0o640;

/// The access log of a process, before its shards start and after they have ended.
#[derive(Debug)]
pub(in crate::server) struct AccessLogWriter {
    sender: LineSender,
    ended: Receiver<()>,
}

/// A shard's way to the thread.
#[derive(Debug, Clone)]
pub(in crate::server) struct LineSender {
    batches: SyncSender<Vec<u8>>,
    dropped_lines: Arc<AtomicU64>,
}

impl AccessLogWriter {
    /// Opens the file and starts the thread; `-` is standard output.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the thread cannot be started.
    pub(in crate::server) fn start(path: &Path) -> Result<Self> {
        let mut output = Output::open(path)?;
        let (batches, queue) = sync_channel::<Vec<u8>>(QUEUED_BATCHES_MAX);
        let (end, ended) = sync_channel(1);
        let dropped_lines = Arc::new(AtomicU64::new(0));
        let dropped = Arc::clone(&dropped_lines);
        let write = move || {
            // An empty batch is the last.
            while let Ok(lines) = queue.recv()
                && !lines.is_empty()
            {
                output.write(&lines, &dropped);
            }
            output.say_dropped(&dropped);
            end.send(()).unwrap_or_default();
        };
        let thread = thread::Builder::new().name("squall-access".to_owned());
        thread.spawn(write).map_err(|error| {
            Error::new(format!(
                "could not start the thread of the access log: {error}; raise the limit of threads"
            ))
        })?;
        Ok(Self {
            sender: LineSender { batches, dropped_lines },
            ended,
        })
    }

    pub(in crate::server) fn sender(&self) -> LineSender {
        self.sender.clone()
    }

    /// Waits until the lines so far are written, or gives them up after two seconds.
    pub(in crate::server) fn end(self) {
        let until = clock::now() + END_TIMEOUT;
        while let Err(TrySendError::Full(_)) = self.sender.batches.try_send(Vec::new())
            && clock::now() < until
        {
            thread::park_timeout(ROOM_INTERVAL);
        }
        let rest = until.saturating_duration_since(clock::now());
        if self.ended.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("could not write the end of the access log: it takes nothing; its last lines are lost");
        }
    }
}

impl LineSender {
    /// Hands over a batch, or drops it and counts its lines; returns a buffer for the next one.
    pub(super) fn send(&self, batch: Vec<u8>, lines: u64) -> Vec<u8> {
        match self.batches.try_send(batch) {
            Ok(()) => Vec::new(),
            Err(TrySendError::Full(mut batch) | TrySendError::Disconnected(mut batch)) => {
                self.count_dropped(lines);
                batch.clear();
                batch
            }
        }
    }

    pub(super) fn count_dropped(&self, lines: u64) {
        self.dropped_lines.fetch_add(lines, Ordering::Relaxed);
    }
}

/// What the thread writes to.
struct Output {
    path: PathBuf,
    /// `None` for standard output.
    file: Option<File>,
    looked_at: Option<Instant>,
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let is_standard = path == Path::new("-");
        let file = (!is_standard).then(|| open(path)).transpose().map_err(|error| {
            Error::new(format!(
                "could not open the access log {}: {error}; give --access-log a file that this user may append to",
                path.display()
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            looked_at: None,
        })
    }

    /// Writes lines; those that cannot be written are counted.
    fn write(&mut self, lines: &[u8], dropped: &AtomicU64) {
        let now = clock::now();
        let is_due = self.looked_at.is_none_or(|looked_at| now >= looked_at + LOOK_INTERVAL);
        if is_due {
            self.looked_at = Some(now);
            self.follow_rotation();
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(lines),
            None => {
                let mut output = io::stdout().lock();
                output.write_all(lines).and_then(|()| output.flush())
            }
        };
        if written.is_err() {
            let lost = lines.iter().filter(|byte| **byte == b'\n').count();
            dropped.fetch_add(lost as u64, Ordering::Relaxed);
        }
        if is_due {
            self.say_dropped(dropped);
        }
    }

    /// Opens the path anew if another file, or none, is there now: a rotation has renamed ours.
    fn follow_rotation(&mut self) {
        let Some(file) = &mut self.file else { return };
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        if metadata(&self.path).map(id).ok() == file.metadata().map(id).ok() {
            return;
        }
        match open(&self.path) {
            Ok(new) => *file = new,
            Err(error) => tracing::warn!(%error, "could not open the access log anew; the lines go to the old file"),
        }
    }

    fn say_dropped(&self, dropped: &AtomicU64) {
        let lines = dropped.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let path = self.path.display();
            tracing::warn!(
                lines,
                "dropped lines of the access log {path}: requests came faster than it takes them"
            );
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(FILE_MODE).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, read_to_string, remove_dir_all, rename};

    use super::*;

    #[test]
    fn a_rotated_file_is_left_and_a_new_one_begun() {
        let folder = std::env::temp_dir().join(format!("squall-access-{}", std::process::id()));
        create_dir(&folder).unwrap();
        let (path, rotated) = (folder.join("log"), folder.join("log.1"));
        let dropped = AtomicU64::new(0);
        let mut output = Output::open(&path).unwrap();
        output.write(b"one\n", &dropped);
        rename(&path, &rotated).unwrap();
        output.looked_at = None;
        output.write(b"two\n", &dropped);
        assert_eq!(read_to_string(&rotated).unwrap(), "one\n");
        assert_eq!(read_to_string(&path).unwrap(), "two\n");
        remove_dir_all(&folder).unwrap();
        assert_eq!(dropped.into_inner(), 0);
    }

    #[test]
    fn a_queue_without_room_drops_whole_batches_and_counts_their_lines() {
        let (batches, queue) = sync_channel(1);
        let sender = LineSender {
            batches,
            dropped_lines: Arc::default(),
        };
        assert_eq!(sender.send(b"a\n".to_vec(), 1).capacity(), 0);
        let returned = sender.send(b"b\nc\n".to_vec(), 2);
        assert!(returned.is_empty() && returned.capacity() > 0);
        assert_eq!(sender.dropped_lines.load(Ordering::Relaxed), 2);
        assert_eq!(queue.recv().unwrap(), b"a\n");
    }

    #[test]
    fn the_error_of_a_file_that_cannot_be_opened_names_it() {
        let error = AccessLogWriter::start(Path::new("/proc/none/log"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("could not open the access log /proc/none/log: "),
            "{error}"
        );
    }
}
