//! What static handlers need of a file system.
//!
//! The server implements it, because this layer does no I/O. Each question has two forms: the first answers at once and
//! never waits for a disk, the second is a future for the rest.

use core::fmt;
use core::ops::Range;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;

use super::version::FileVersion;
use crate::app::boxed::LocalBoxFuture;
use crate::message::BodyStream;

/// The file system as the server offers it to a shard.
pub trait FileSource {
    /// Opens the directory that a static handler serves.
    ///
    /// # Errors
    ///
    /// The path names something else, or the kernel lacks what safe look-ups take.
    fn open(&self, directory: &Path) -> io::Result<Rc<dyn FileRoot>>;

    /// Returns the time of the next response's `Date`.
    fn now(&self) -> SystemTime;
}

/// The files beneath one directory.
///
/// A path is relative, without leading slash and without dot segments. Nothing outside the directory is found,
/// whatever symbolic links say.
pub trait FileRoot {
    /// Returns a file in memory that is known to be at this path now, with nothing at the paths noted with it.
    fn find_alone(&self, path: &[u8]) -> Option<Rc<OpenFile>> {
        let _ = path;
        None
    }

    /// Notes that a path leads to this file, and that the paths `beside` it lead nowhere.
    fn note_alone(&self, path: &[u8], beside: &[Vec<u8>], file: &Rc<OpenFile>) {
        let _ = (path, beside, file);
    }

    /// Finds what a path names; `None` if that takes a wait for the disk.
    fn find_now(&self, path: &[u8]) -> Option<Found>;

    /// Finds what a path names.
    fn find(&self, path: &[u8]) -> LocalBoxFuture<'static, Found>;

    /// Opens a regular file; `None` if that takes a wait for the disk.
    fn open_now(&self, path: &[u8]) -> Option<Opened>;

    /// Opens a regular file.
    fn open(&self, path: &[u8]) -> LocalBoxFuture<'static, Opened>;

    /// Lists a directory, at most `count_max` entries.
    fn list(&self, path: &[u8], count_max: usize) -> LocalBoxFuture<'static, io::Result<Vec<ListedFile>>>;
}

/// What a path names.
pub enum Found {
    /// A regular file; its content too, if it is in memory.
    File(Option<Rc<OpenFile>>),
    /// A directory.
    Directory,
    /// Nothing that is served.
    Missing,
    /// The look-up failed, such as for lack of descriptors.
    Failed(io::Error),
}

/// A file that was opened; `None` for anything but a regular file, and where nothing is left.
pub type Opened = io::Result<Option<Rc<OpenFile>>>;

/// A regular file with one content, whatever happens to its name meanwhile.
pub struct OpenFile {
    /// The opaque part of its entity tag.
    pub(in crate::app) tag: FileVersion,
    /// When it was last modified, as far as is known.
    pub(in crate::app) modified: Option<SystemTime>,
    pub(in crate::app) bytes: u64,
    pub(in crate::app) content: FileContent,
    /// The version of the content, if it is known.
    version: Option<FileVersion>,
}

/// The content of a file.
#[derive(Clone)]
pub(in crate::app) enum FileContent {
    /// In memory.
    Held(Bytes),
    /// Read piece by piece.
    Large(Rc<dyn FileReader>),
}

/// Reads a file that is too large to be held in memory.
pub trait FileReader {
    /// Returns these bytes as a stream, which fails if they change or end early.
    fn read(self: Rc<Self>, range: Range<u64>) -> BodyStream;

    /// Returns the version of the content, if it is known.
    fn version_now(&self) -> Option<FileVersion>;

    /// Computes the version of the content, once however many requests ask; `None` if the file changes meanwhile.
    fn version(self: Rc<Self>) -> LocalBoxFuture<'static, Option<FileVersion>>;
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name; not every name is UTF-8.
    pub name: Vec<u8>,
    /// Its size in bytes; `None` for a directory.
    pub bytes: Option<u64>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
}

impl OpenFile {
    /// Makes a file whose content is in memory.
    #[must_use]
    pub fn held(content: Bytes, modified: Option<SystemTime>) -> Self {
        let version = FileVersion::of(&content);
        Self::kept(content, version, version, modified)
    }

    /// Makes a file whose content is in memory, with a tag and a version that are known.
    #[must_use]
    pub fn kept(content: Bytes, tag: FileVersion, version: FileVersion, modified: Option<SystemTime>) -> Self {
        Self {
            tag,
            modified,
            bytes: content.len() as u64,
            content: FileContent::Held(content),
            version: Some(version),
        }
    }

    /// Makes a file of this many bytes that a reader reads; `tag` changes with every change of the content.
    #[must_use]
    pub fn large(reader: Rc<dyn FileReader>, bytes: u64, tag: FileVersion, modified: Option<SystemTime>) -> Self {
        Self {
            tag,
            modified,
            bytes,
            content: FileContent::Large(reader),
            version: None,
        }
    }

    /// Returns the content's version; `None` if the file changes meanwhile.
    pub(in crate::app) async fn version(&self) -> Option<FileVersion> {
        match &self.content {
            FileContent::Held(_) => self.version,
            FileContent::Large(reader) => match reader.version_now() {
                None => Rc::clone(reader).version().await,
                known => known,
            },
        }
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenFile")
            .field("tag", &self.tag)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(held) => formatter.debug_tuple("File").field(held).finish(),
            Self::Directory => formatter.write_str("Directory"),
            Self::Missing => formatter.write_str("Missing"),
            Self::Failed(error) => formatter.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// Finds what a path names, at once if possible.
pub(in crate::app) async fn find(root: &dyn FileRoot, path: &[u8]) -> Found {
    match root.find_now(path) {
        Some(found) => found,
        None => root.find(path).await,
    }
}

/// Opens a regular file, at once if possible.
pub(in crate::app) async fn open(root: &dyn FileRoot, path: &[u8]) -> Opened {
    match root.open_now(path) {
        Some(opened) => opened,
        None => root.open(path).await,
    }
}
