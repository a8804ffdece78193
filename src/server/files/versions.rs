//! The versions of large files: hashed off the shards, and once however many requests ask.
//!
//! Why: hashing 100 MiB takes a tenth of a second. The first shard keeps the queue of the process, so requests to other
//! shards for the same file wait for one computation. One file is hashed at a time, which leaves the other threads of the
//! blocking pool to requests.
//!
//! Invariant: a version is remembered only for a settled identity that was the same before and after the content was
//! read.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use futures_channel::oneshot::{self, Sender};
use squall_shards::file::{DiskWait, File, FileIdentity, Metadata};
use squall_shards::{ShardId, clock, invoke_on, spawn_blocking, spawn_detached};

use crate::app::{FileVersion, VersionDigest};

/// The most versions that a shard remembers: 4096, which take less than 1 MiB. Beyond, it forgets all.
const VERSIONS_KNOWN_MAX: usize = 4096;

/// The most files that wait to be hashed. 256: each holds a descriptor. Further ones have no version meanwhile.
const FILES_QUEUED_MAX: usize = 256;

/// The most requests that wait for files to be hashed. 4096: a few hundred bytes each. Further ones get no version.
const REQUESTS_WAITING_MAX: usize = 4096;

/// How many bytes are read at once while a file is hashed: 256 KiB.
const PIECE_BYTES: usize = 256 * 1024;

thread_local! {
    /// The versions that this shard has learned.
    static KNOWN: RefCell<HashMap<FileIdentity, FileVersion>> = RefCell::default();
    /// The files to be hashed; used on the first shard only.
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// A version, and whether its identity stands for it from now on.
type Hashed = Option<(FileVersion, bool)>;

#[derive(Default)]
struct Queue {
    files: VecDeque<(Arc<File>, Metadata)>,
    /// Who waits for which file, those being hashed included.
    waiting: HashMap<FileIdentity, Vec<Sender<Hashed>>>,
    is_running: bool,
}

/// Returns the version of a file, if this shard knows it.
pub(super) fn known(identity: &FileIdentity) -> Option<FileVersion> {
    KNOWN.with_borrow(|known| known.get(identity).copied())
}

/// Computes the version of a file, or waits for a computation under way; `None` if the file changes meanwhile.
pub(super) async fn compute(file: Arc<File>, metadata: Metadata) -> Option<FileVersion> {
    let hashed = invoke_on(ShardId::FIRST, move || hash_once(file, metadata)).await;
    let (version, is_settled) = hashed.ok()??;
    if is_settled {
        remember(*metadata.identity(), version);
    }
    Some(version)
}

/// Remembers the version of a file whose identity is settled.
pub(super) fn remember(identity: FileIdentity, version: FileVersion) {
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= VERSIONS_KNOWN_MAX {
            known.clear();
        }
        known.insert(identity, version);
    });
}

/// Queues a file on the first shard, and waits for its version.
async fn hash_once(file: Arc<File>, metadata: Metadata) -> Hashed {
    let identity = *metadata.identity();
    if let Some(version) = known(&identity) {
        return Some((version, true));
    }
    let (sender, version) = oneshot::channel();
    let is_queued = QUEUE.with_borrow_mut(|queue| queue.add(file, metadata, sender));
    if !is_queued {
        return None;
    }
    if QUEUE.with_borrow_mut(|queue| !std::mem::replace(&mut queue.is_running, true)) {
        spawn_detached(hash_all());
    }
    version.await.ok()?
}

impl Queue {
    /// Adds one that waits for a file; returns false if too many files or requests wait.
    fn add(&mut self, file: Arc<File>, metadata: Metadata, sender: Sender<Hashed>) -> bool {
        let identity = *metadata.identity();
        if self.requests() >= REQUESTS_WAITING_MAX {
            // Requests that have ended leave their places.
            for waiting in self.waiting.values_mut() {
                waiting.retain(|sender| !sender.is_canceled());
            }
            if self.requests() >= REQUESTS_WAITING_MAX {
                return false;
            }
        }
        if let Some(waiting) = self.waiting.get_mut(&identity) {
            waiting.push(sender);
            return true;
        }
        if self.files.len() >= FILES_QUEUED_MAX {
            return false;
        }
        self.files.push_back((file, metadata));
        self.waiting.insert(identity, vec![sender]);
        true
    }

    /// How many requests wait.
    fn requests(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    fn next(&mut self) -> Option<(Arc<File>, Metadata)> {
        let next = self.files.pop_front();
        self.is_running = next.is_some();
        next
    }
}

/// Hashes the queued files one after another.
async fn hash_all() {
    while let Some((file, metadata)) = QUEUE.with_borrow_mut(Queue::next) {
        let identity = *metadata.identity();
        let hashed = match spawn_blocking(move || hash(&file, &metadata)).await {
            Ok(Ok(hashed)) => hashed,
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not compute the version of a static file");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "could not compute the version of a static file");
                None
            }
        };
        if let Some((version, true)) = hashed {
            remember(identity, version);
        }
        let waiting = QUEUE.with_borrow_mut(|queue| queue.waiting.remove(&identity));
        for sender in waiting.into_iter().flatten() {
            // Fails if the request has ended.
            sender.send(hashed).unwrap_or_default();
        }
    }
}

/// Reads and hashes a whole file; `None` if it changes meanwhile.
fn hash(file: &File, metadata: &Metadata) -> io::Result<Hashed> {
    let is_settled = metadata.is_settled(clock::wall());
    let mut digest = VersionDigest::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut piece, offset, DiskWait::Allowed)?;
        if read == 0 {
            break;
        }
        digest.update(piece.get(..read).unwrap_or_default());
        offset += read as u64;
        if offset > metadata.bytes() {
            return Ok(None);
        }
    }
    let is_same = offset == metadata.bytes() && file.metadata()?.has_same_content(metadata);
    Ok(is_same.then(|| (digest.finish(), is_settled)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use squall_shards::file::Directory;

    use super::*;

    /// A folder with files, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: usize) -> Self {
            let folder = std::env::temp_dir().join(format!("squall-versions-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            for number in 0..files {
                fs::write(folder.join(number.to_string()), "text").unwrap();
            }
            Self(folder)
        }

        fn open(&self, number: usize) -> (Arc<File>, Metadata) {
            let directory = Directory::open(&self.0).unwrap();
            let opened = directory.open_file(number.to_string().as_bytes(), DiskWait::Allowed);
            let (file, metadata) = opened.unwrap().unwrap();
            (Arc::new(file), metadata)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn at_most_256_files_wait_and_one_that_waits_takes_more_requests() {
        let folder = Folder::new("files", FILES_QUEUED_MAX + 1);
        let (mut queue, mut receivers) = (Queue::default(), Vec::new());
        for number in 0..=FILES_QUEUED_MAX {
            let (file, metadata) = folder.open(number);
            let (sender, receiver) = oneshot::channel();
            assert_eq!(queue.add(file, metadata, sender), number < FILES_QUEUED_MAX);
            receivers.push(receiver);
        }
        let (file, metadata) = folder.open(0);
        assert!(queue.add(file, metadata, oneshot::channel().0));
        assert_eq!(
            (queue.files.len(), queue.requests()),
            (FILES_QUEUED_MAX, FILES_QUEUED_MAX + 1)
        );
    }

    #[test]
    fn at_most_4096_requests_wait_and_those_that_have_ended_leave_their_places() {
        let folder = Folder::new("requests", 1);
        let (mut queue, mut receivers) = (Queue::default(), Vec::new());
        let (file, metadata) = folder.open(0);
        let mut add = |queue: &mut Queue| {
            let (sender, receiver) = oneshot::channel();
            receivers.push(receiver);
            queue.add(Arc::clone(&file), metadata, sender)
        };
        for _ in 0..REQUESTS_WAITING_MAX {
            assert!(add(&mut queue));
        }
        assert!(!add(&mut queue));
        receivers.clear();
        let (sender, _receiver) = oneshot::channel();
        assert!(queue.add(file, metadata, sender));
        assert_eq!((queue.files.len(), queue.requests()), (1, 1));
    }
}
