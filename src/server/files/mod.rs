//! Files for the application's static handlers: looked up and read on the shard where no disk is waited for, else on the
//! blocking pool.
//!
//! A shard keeps the contents of small files ([`cache`]), also of those of middle size that are asked for again
//! ([`snapshots`]). It keeps the paths that lead to them ([`trails`]) and the versions of large ones ([`versions`]).
//! Each request asks the kernel for the file's identity again, so it sees every change.

mod cache;
mod reader;
mod root;
mod snapshots;
mod trails;
mod versions;

use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::SystemTime;

use squall_shards::clock;
use squall_shards::file::Directory;

use super::shard::ShardServer;
use crate::app::{FileRoot, FileSource};
use cache::FileCache;
use root::DirectoryRoot;
use snapshots::Snapshots;

/// The file system, as one shard offers it to its application.
pub(super) struct ShardFiles {
    server: Weak<ShardServer>,
    cache: Rc<FileCache>,
    snapshots: Rc<Snapshots>,
}

impl ShardFiles {
    pub(super) fn new(server: &Rc<ShardServer>) -> Self {
        let own = &server.config.own;
        let cache = Rc::new(FileCache::new(own.max_file_cache_bytes, own.max_cached_file_bytes));
        Self {
            server: Rc::downgrade(server),
            snapshots: Rc::new(Snapshots::new(Rc::clone(&cache))),
            cache,
        }
    }
}

impl FileSource for ShardFiles {
    fn open(&self, directory: &Path) -> io::Result<Rc<dyn FileRoot>> {
        // It runs once for each directory, before the shard serves, so this wait for the disk delays no client.
        let directory = Directory::open(directory)?;
        let (cache, snapshots) = (Rc::clone(&self.cache), Rc::clone(&self.snapshots));
        Ok(Rc::new(DirectoryRoot::new(directory, cache, snapshots)))
    }

    fn now(&self) -> SystemTime {
        let server = self.server.upgrade();
        server.map_or_else(clock::wall, |server| server.date_time())
    }
}
