//! A tree of static files: where its files are, and which file a path stands for.

use core::cell::OnceCell;
use core::fmt;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::embedded::EmbeddedRoot;
use super::source::{FileRoot, FileSource, Found, OpenFile, find};
use super::static_path::StaticPath;
use crate::error::{Error, HttpError, Result};

/// The name of the file that stands for its directory: Tornado's and every other server's.
const INDEX: &str = "index.html";

/// The files of a static handler.
#[derive(Clone)]
pub(in crate::app) struct StaticTree {
    directory: Option<PathBuf>,
    /// Opened when the server starts, or at the first use.
    root: OnceCell<Rc<dyn FileRoot>>,
    /// The file that stands for its directory; `None` if none does.
    pub(super) index: Option<String>,
}

/// What a path stands for.
pub(super) enum Resolved<'p> {
    /// A regular file, with its content if it is in memory.
    File {
        name: Cow<'p, [u8]>,
        held: Option<Rc<OpenFile>>,
    },
    /// A directory that no file stands for, or whose path lacks its slash.
    Directory {
        path: StaticPath<'p>,
        has_index: bool,
    },
    Missing,
}

impl StaticTree {
    pub(super) fn of_directory(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            root: OnceCell::new(),
            index: Some(INDEX.to_owned()),
        }
    }

    pub(super) fn of_program(files: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Self {
        let root: Rc<dyn FileRoot> = Rc::new(EmbeddedRoot::new(files));
        Self {
            directory: None,
            root: OnceCell::from(root),
            index: Some(INDEX.to_owned()),
        }
    }

    /// Opens the directory, unless it is open.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened; the sentence names it. Without a source: no server runs the application.
    pub(in crate::app) fn open(&self, source: Option<&dyn FileSource>) -> Result<Rc<dyn FileRoot>> {
        if let Some(root) = self.root.get() {
            return Ok(Rc::clone(root));
        }
        let directory = self.directory.as_deref().unwrap_or_else(|| Path::new(""));
        let name = directory.display();
        let source = source.ok_or_else(|| {
            Error::new(format!(
                "could not serve {name}: the application runs without a server; run it with `Server`"
            ))
        })?;
        let opened = if directory.as_os_str().is_empty() {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty"))
        } else {
            source.open(directory)
        };
        let root = opened.map_err(|error| {
            Error::new(format!(
                "could not serve the files in \"{name}\": {error}; give StaticFiles a directory that this process may read"
            ))
        })?;
        Ok(Rc::clone(self.root.get_or_init(|| root)))
    }

    /// The name of the file that a decoded path stands for if there is one at its usual place.
    pub(super) fn likely_file<'p>(&self, decoded: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        let path = StaticPath::read(decoded)?;
        match (path.has_slash, &self.index) {
            (false, _) => Some(Cow::Borrowed(path.name)),
            (true, Some(index)) => Some(Cow::Owned(path.join(index))),
            (true, None) => None,
        }
    }

    /// Finds what a decoded path stands for.
    ///
    /// # Errors
    ///
    /// The look-up failed: 503 for lack of descriptors, memory or threads, otherwise 500.
    pub(super) async fn resolve<'p>(&self, root: &dyn FileRoot, decoded: &'p [u8]) -> Result<Resolved<'p>> {
        let Some(path) = StaticPath::read(decoded) else {
            return Ok(Resolved::Missing);
        };
        if !path.has_slash {
            match find(root, path.name).await {
                Found::File(held) => {
                    let name = Cow::Borrowed(path.name);
                    return Ok(Resolved::File { name, held });
                }
                Found::Directory => {}
                Found::Missing => return Ok(Resolved::Missing),
                Found::Failed(error) => return Err(failed(error)),
            }
        }
        if let Some(index) = &self.index {
            let name = path.join(index);
            match find(root, &name).await {
                Found::File(held) if path.has_slash => {
                    let name = Cow::Owned(name);
                    return Ok(Resolved::File { name, held });
                }
                Found::File(_) => return Ok(Resolved::Directory { path, has_index: true }),
                Found::Directory | Found::Missing => {}
                Found::Failed(error) => return Err(failed(error)),
            }
        }
        Ok(Resolved::Directory { path, has_index: false })
    }
}

impl fmt::Debug for StaticTree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StaticTree")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// The error of a file that could not be looked up, opened or listed.
pub(super) fn failed(error: io::Error) -> Error {
    // EMFILE and ENFILE have no kind; the server reports them, and a full pool, as these.
    let is_passing = matches!(
        error.kind(),
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock | io::ErrorKind::QuotaExceeded
    );
    HttpError::new(if is_passing { 503 } else { 500 })
        .with_source(error)
        .into()
}
