//! The files beneath one directory, as a static handler asks for them.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use squall_shards::file::{
    Directory, DiskWait, File, FileKind, Metadata, is_missing, is_out_of_descriptors, open_files_max,
};
use squall_shards::{BlockingError, Shard, clock, spawn_blocking};

use super::cache::FileCache;
use super::reader::LargeFile;
use super::snapshots::{Snapshots, WHOLE_BYTES_MAX};
use super::trails::Trails;
use crate::app::{FileRoot, Found, ListedFile, OpenFile, Opened};
use crate::memory;

/// How often a small file is read again because it changed meanwhile. 8: a file that never stands still is an error.
const TRIES_MAX: usize = 8;

type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A directory, and the contents that the shard keeps.
pub(super) struct DirectoryRoot {
    directory: Directory,
    cache: Rc<FileCache>,
    snapshots: Rc<Snapshots>,
    trails: Trails,
}

/// A file as it was read, on any thread.
enum Content {
    /// The whole content, and whether the identity stands for it from now on.
    Whole {
        bytes: Vec<u8>,
        is_settled: bool,
    },
    Large(File),
}

impl DirectoryRoot {
    pub(super) fn new(directory: Directory, cache: Rc<FileCache>, snapshots: Rc<Snapshots>) -> Self {
        Self {
            directory,
            cache,
            snapshots,
            trails: Trails::new(open_files_max()),
        }
    }
}

impl DirectoryRoot {
    /// Returns the size up to which a file is read whole for one request.
    fn whole_bytes_max(&self) -> u64 {
        self.cache.file_bytes_max().min(WHOLE_BYTES_MAX)
    }
}

impl FileRoot for DirectoryRoot {
    fn find_alone(&self, path: &[u8]) -> Option<Rc<OpenFile>> {
        self.trails.get(path, Shard::current().now())
    }

    fn note_alone(&self, path: &[u8], beside: &[Vec<u8>], file: &Rc<OpenFile>) {
        let now = Shard::current().now();
        if !self.trails.may_follow(now) {
            return;
        }
        let trail = self.directory.follow(path, clock::wall());
        let same = trail.filter(|trail| {
            let cached = trail.file().and_then(|identity| self.cache.get(identity));
            cached.is_some_and(|cached| Rc::ptr_eq(&cached, file))
        });
        // Looked for once more, now that the directory's times are known.
        let is_missing = |name: &Vec<u8>| {
            let found = self.directory.look_up(name, DiskWait::Refused);
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        match same.filter(|_| beside.iter().all(is_missing)) {
            Some(trail) => self.trails.insert(path, trail, file, now),
            None => self.trails.note_failure(now),
        }
    }

    fn find_now(&self, path: &[u8]) -> Option<Found> {
        now(self.directory.look_up(path, DiskWait::Refused)).map(|metadata| found(metadata, &self.cache))
    }

    fn find(&self, path: &[u8]) -> LocalBoxFuture<Found> {
        let (directory, path, cache) = (self.directory.clone(), path.to_vec(), Rc::clone(&self.cache));
        let looked_up = spawn_blocking(move || directory.look_up(&path, DiskWait::Allowed));
        Box::pin(async move { found(on_pool(looked_up.await), &cache) })
    }

    fn open_now(&self, path: &[u8]) -> Option<Opened> {
        let read = read(&self.directory, path, self.whole_bytes_max(), DiskWait::Refused);
        now(read).map(|read| opened(read, &self.cache, &self.snapshots))
    }

    fn open(&self, path: &[u8]) -> LocalBoxFuture<Opened> {
        let (directory, path, whole_bytes_max) = (self.directory.clone(), path.to_vec(), self.whole_bytes_max());
        let read = spawn_blocking(move || read(&directory, &path, whole_bytes_max, DiskWait::Allowed));
        let (cache, snapshots) = (Rc::clone(&self.cache), Rc::clone(&self.snapshots));
        Box::pin(async move { opened(on_pool(read.await), &cache, &snapshots) })
    }

    fn list(&self, path: &[u8], count_max: usize) -> LocalBoxFuture<io::Result<Vec<ListedFile>>> {
        let (directory, path) = (self.directory.clone(), path.to_vec());
        let listed = spawn_blocking(move || directory.list(&path, count_max));
        Box::pin(async move {
            let entries = on_pool(listed.await).map_err(reported)?;
            let served = entries
                .into_iter()
                .filter(|entry| entry.metadata.kind() != FileKind::Other);
            let listed = served.map(|entry| ListedFile {
                name: entry.name,
                bytes: (entry.metadata.kind() == FileKind::Regular).then(|| entry.metadata.bytes()),
                modified: entry.metadata.modified(),
            });
            Ok(listed.collect())
        })
    }
}

/// The answer that needed no wait; `None` if one is needed.
fn now<T>(answer: io::Result<T>) -> Option<io::Result<T>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        answer => Some(answer),
    }
}

/// The answer of the blocking pool. A full pool, and one that stops, count as a shortage.
fn on_pool<T>(answer: Result<io::Result<T>, BlockingError>) -> io::Result<T> {
    answer.unwrap_or_else(|error| match error {
        BlockingError::Panicked(_) => Err(io::Error::other(error)),
        shortage => Err(io::Error::new(io::ErrorKind::WouldBlock, shortage)),
    })
}

fn found(metadata: io::Result<Metadata>, cache: &FileCache) -> Found {
    match metadata.map(|metadata| (metadata.kind(), metadata)) {
        Ok((FileKind::Regular, metadata)) => Found::File(cache.get(metadata.identity())),
        Ok((FileKind::Directory, _)) => Found::Directory,
        Ok((FileKind::Other, _)) => Found::Missing,
        Err(error) if is_missing(&error) => Found::Missing,
        Err(error) => Found::Failed(reported(error)),
    }
}

/// Opens a file, and reads it whole if it is small.
fn read(
    directory: &Directory,
    path: &[u8],
    whole_bytes_max: u64,
    wait: DiskWait,
) -> io::Result<Option<(Metadata, Content)>> {
    let Some((file, mut metadata)) = directory.open_file(path, wait)? else {
        return Ok(None);
    };
    for _ in 0..TRIES_MAX {
        if metadata.bytes() > whole_bytes_max {
            return Ok(Some((metadata, Content::Large(file))));
        }
        let is_settled = metadata.is_settled(clock::wall());
        let bytes = read_whole(&file, &metadata, wait)?;
        let after = file.metadata()?;
        if bytes.len() as u64 == metadata.bytes() && after.identity() == metadata.identity() {
            return Ok(Some((metadata, Content::Whole { bytes, is_settled })));
        }
        metadata = after;
    }
    Err(io::Error::other("the file changes faster than it can be read"))
}

/// Reads as many bytes as the file had; fewer if it has become shorter.
fn read_whole(file: &File, metadata: &Metadata, wait: DiskWait) -> io::Result<Vec<u8>> {
    let length = usize::try_from(metadata.bytes()).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    memory::make_room(&mut bytes, length)?;
    bytes.resize(length, 0);
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64, wait)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Makes what the application gets, and keeps small contents.
fn opened(read: io::Result<Option<(Metadata, Content)>>, cache: &FileCache, snapshots: &Rc<Snapshots>) -> Opened {
    let (metadata, content) = match read {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(None),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(reported(error)),
    };
    Ok(Some(match content {
        Content::Whole { bytes, is_settled } => {
            let file = Rc::new(OpenFile::held(Bytes::from(bytes), metadata.modified()));
            if is_settled {
                cache.insert(*metadata.identity(), &file, metadata.bytes(), None);
            }
            file
        }
        Content::Large(file) => {
            let file = Arc::new(file);
            snapshots.note(&file, &metadata);
            Rc::new(LargeFile::open(file, metadata))
        }
    }))
}

/// Gives a shortage of descriptors a kind, by which the application answers 503.
fn reported(error: io::Error) -> io::Error {
    if is_out_of_descriptors(&error) {
        io::Error::new(io::ErrorKind::QuotaExceeded, error)
    } else {
        error
    }
}
