//! A folder of files, and a server that serves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use crate::support::response::Response;
use crate::support::server::Server;

/// The 26 letters, as in Tornado's tests of static files.
pub(crate) const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// A folder with a secret beside the served one.
pub(crate) struct Folder {
    path: PathBuf,
}

/// A server of the example `conformance` and the folder that it serves at `/static`.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) folder: Folder,
}

impl Folder {
    /// Makes an empty folder, and a file outside of it.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(path.join("root")).unwrap();
        fs::write(path.join("outside.txt"), "secret").unwrap();
        Self { path }
    }

    /// The served folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Writes a file, with the folders around it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file elsewhere and moves it to its name, as careful programs do.
    pub(crate) fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.path.join("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.root().join(name)).unwrap();
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, target: impl AsRef<Path>, name: &str) {
        std::os::unix::fs::symlink(target, self.root().join(name)).unwrap();
    }

    /// Makes a FIFO without a writer.
    pub(crate) fn fifo(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.root().join(name)).status();
        assert!(made.unwrap().success());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

impl Site {
    /// Starts a server for a new folder with the letters in `az.txt`.
    pub(crate) fn start() -> Self {
        Self::with_shards(1)
    }

    /// Starts a server on a number of shards.
    pub(crate) fn with_shards(shards: usize) -> Self {
        let folder = Folder::new();
        folder.write("az.txt", LETTERS);
        let root = folder.root();
        let flags = ["--static-dir", root.to_str().unwrap()];
        let server = Server::start_with_shards("conformance", shards, &flags);
        Self { server, folder }
    }

    /// Sends a GET for a path beneath `/static/`.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.get_with(path, "")
    }

    /// Sends a GET with field lines, each ending in CRLF.
    pub(crate) fn get_with(&self, path: &str, fields: &str) -> Response {
        self.send("GET", &format!("/static/{path}"), fields)
    }

    /// Sends a HEAD with field lines.
    pub(crate) fn head_with(&self, path: &str, fields: &str) -> Response {
        self.send("HEAD", &format!("/static/{path}"), fields)
    }

    /// Sends a request for any target on a connection of its own.
    pub(crate) fn send(&self, method: &str, target: &str, fields: &str) -> Response {
        send(&self.server, method, target, fields)
    }

    /// The versioned URL of a path, as the application returns it.
    pub(crate) fn url(&self, path: &str) -> String {
        let response = self.send("GET", &format!("/static-url?path={path}"), "");
        assert_eq!(response.status, 200, "{response:?}");
        String::from_utf8(response.body).unwrap()
    }
}

/// Sends a request on a connection of its own.
pub(crate) fn send(server: &Server, method: &str, target: &str, fields: &str) -> Response {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    server.connect().exchange(request.as_bytes(), method).unwrap()
}

/// A field as text; empty if it is missing.
pub(crate) fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    std::str::from_utf8(response.field(name).unwrap_or_default()).unwrap()
}
