//! Files of middle size that are asked for again: copied into memory once, and sent from there without another copy.
//!
//! Why: such a file is otherwise read and copied into the socket for each response. A socket could take the pages of the
//! file itself, as `sendfile` has it. But it refers to them until the client has their bytes, and a program that writes the
//! file meanwhile changes them. The pages of a [`Snapshot`] never change.
//!
//! The copy is made off the shard, and requests that come meanwhile read the file. It is kept among the contents of small
//! files ([`FileCache`]), by the same rules.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use squall_shards::file::{DiskWait, File, FileIdentity, Metadata, Snapshot, SnapshotWriter};
use squall_shards::{clock, spawn_blocking, spawn_detached};

use super::cache::FileCache;
use super::{reader, versions};
use crate::app::{FileVersion, OpenFile, VersionDigest};
use crate::memory::{self, Reservation};

/// The largest file that is read whole for one request, on the shard: 64 KiB, as many bytes as a connection sends at once.
/// Reading and hashing it takes 50 µs.
pub(super) const WHOLE_BYTES_MAX: u64 = 64 * 1024;

/// How many files are remembered that were asked for once. 64: a burst of other files hides none that is hot.
const ASKED_MAX: usize = 64;

/// How many files one shard copies at a time. 2: the other threads of the blocking pool are left to requests.
const COPIES_MAX: usize = 2;

/// How many bytes are copied at once: 64 KiB.
const PIECE_BYTES: usize = 64 * 1024;

/// The copies that one shard makes.
pub(super) struct Snapshots {
    cache: Rc<FileCache>,
    /// Files that were asked for once, the latest last.
    asked: RefCell<VecDeque<FileIdentity>>,
    copying: RefCell<Vec<FileIdentity>>,
    /// The kernel, or a limit of the process, allows no files in memory.
    is_refused: Cell<bool>,
}

/// A copy, and the version of its content.
type Copied = (Snapshot, FileVersion);

impl Snapshots {
    pub(super) fn new(cache: Rc<FileCache>) -> Self {
        Self {
            cache,
            asked: RefCell::default(),
            copying: RefCell::default(),
            is_refused: Cell::new(false),
        }
    }

    /// Notes a request for a file, and begins to copy the file if it is the second one.
    pub(super) fn note(self: &Rc<Self>, file: &Arc<File>, metadata: &Metadata) {
        let (identity, bytes) = (*metadata.identity(), metadata.bytes());
        let is_wanted = self.cache.takes(bytes) && !self.is_refused.get() && metadata.is_settled(clock::wall());
        if !is_wanted || !self.is_due(identity) {
            return;
        }
        let (own, file, metadata) = (Rc::clone(self), Arc::clone(file), *metadata);
        spawn_detached(async move {
            let copied = match usize::try_from(bytes) {
                Ok(length) if memory::has_headroom(length) => spawn_blocking(move || copy(&file, &metadata)).await,
                _ => Ok(Ok(None)),
            };
            own.copying.borrow_mut().retain(|copying| *copying != identity);
            match copied {
                Ok(Ok(Some((snapshot, version)))) => own.keep(&snapshot, version, &metadata),
                // It has changed, or memory is short. A later request begins again.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    own.is_refused.set(true);
                    tracing::debug!(%error, "static files beyond 64 KiB are read for each request: no files in memory");
                }
                Err(error) => tracing::debug!(%error, "could not copy a static file into memory"),
            }
        });
    }

    /// Returns whether a file was asked for before and may be copied now.
    fn is_due(&self, identity: FileIdentity) -> bool {
        let (mut asked, mut copying) = (self.asked.borrow_mut(), self.copying.borrow_mut());
        let Some(place) = asked.iter().position(|asked| *asked == identity) else {
            if asked.len() >= ASKED_MAX {
                asked.pop_front();
            }
            asked.push_back(identity);
            return false;
        };
        if copying.len() >= COPIES_MAX || copying.contains(&identity) {
            return false;
        }
        asked.remove(place);
        copying.push(identity);
        true
    }

    fn keep(&self, snapshot: &Snapshot, version: FileVersion, metadata: &Metadata) {
        let (identity, content) = (*metadata.identity(), snapshot.bytes());
        versions::remember(identity, version);
        // The pages belong to a file, so the count of the process's own memory leaves them out.
        let counted = Reservation::of(content.len());
        let tag = reader::tag(&identity);
        let file = Rc::new(OpenFile::kept(content, tag, version, metadata.modified()));
        self.cache.insert(identity, &file, metadata.bytes(), Some(counted));
    }
}

/// Copies a file; `None` if it changes meanwhile or cannot be read.
///
/// # Errors
///
/// The kernel refuses a file in memory.
fn copy(file: &File, metadata: &Metadata) -> io::Result<Option<Copied>> {
    let Ok(length) = usize::try_from(metadata.bytes()) else {
        return Ok(None);
    };
    let (mut writer, mut digest) = (SnapshotWriter::new(length)?, VersionDigest::default());
    let mut piece = vec![0; PIECE_BYTES.min(length)];
    let mut copied = 0;
    while copied < length {
        let left = piece.len().min(length - copied);
        let Some(room) = piece.get_mut(..left) else {
            return Ok(None);
        };
        let Ok(read @ 1..) = file.read_at(room, copied as u64, DiskWait::Allowed) else {
            return Ok(None);
        };
        let bytes = piece.get(..read).unwrap_or_default();
        digest.update(bytes);
        writer.write(bytes)?;
        copied += read;
    }
    let is_same = file.metadata().is_ok_and(|now| now.has_same_content(metadata));
    if !is_same {
        return Ok(None);
    }
    Ok(Some((writer.finish()?, digest.finish())))
}
