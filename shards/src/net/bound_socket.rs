//! A socket that this process has bound, and the file of a Unix socket, which a stop removes.
//!
//! Why: the kernel leaves the file when the socket closes. A file without a listener looks like a server that does not
//! answer.
//!
//! Invariant: the file is removed before the last socket closes, and only if it still is the file of this socket. An open
//! socket keeps its inode, so no other file has the same number meanwhile.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A listening socket that no shard has opened yet.
#[derive(Debug)]
pub(super) struct BoundSocket {
    /// Dropped first: the file is removed while the socket is open. `None` if the process has bound no file.
    pub(super) file: Option<Arc<SocketFile>>,
    pub(super) socket: OwnedFd,
}

/// The file of a bound socket; dropping it removes the file if it is still that of the socket.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Notes the file of a socket that has just been bound.
    ///
    /// # Errors
    ///
    /// The file has gone.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            // The process may change its directory before the stop.
            path: std::path::absolute(path)?,
            device: found.dev(),
            inode: found.ino(),
        })
    }

    fn is_ours(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::debug!(%error, %path, "could not remove the file of a Unix socket; the next start replaces it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use crate::net::Listeners;

    /// A folder of one test, removed when it is dropped.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("squall-socket-file-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap_or_default();
        }
    }

    #[test]
    fn the_file_of_a_socket_is_removed_with_its_last_descriptor() {
        let folder = Folder::new("last");
        let path = folder.0.join("socket");
        let listeners = Listeners::bind_unix(&path, 0o600, 2).unwrap();
        let copy = listeners.clone();
        drop(listeners);
        assert!(path.exists(), "a copy has the socket");
        drop(copy);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_has_replaced_that_of_the_socket_stays() {
        let folder = Folder::new("replaced");
        let (path, new) = (folder.0.join("socket"), folder.0.join("new"));
        let listeners = Listeners::bind_unix(&path, 0o600, 1).unwrap();
        let _next = UnixListener::bind(&new).unwrap();
        std::fs::rename(&new, &path).unwrap();
        drop(listeners);
        assert!(path.exists(), "it belongs to another socket");
    }

    #[test]
    fn the_file_of_an_inherited_socket_stays() {
        let folder = Folder::new("inherited");
        let path = folder.0.join("socket");
        let manager = UnixListener::bind(&path).unwrap();
        drop(Listeners::inherit_unix(manager.try_clone().unwrap(), 2).unwrap());
        assert!(path.exists(), "it belongs to the manager");
    }
}
