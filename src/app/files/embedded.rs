//! Files that are compiled into the program.

use core::future::ready;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::source::{FileRoot, Found, ListedFile, OpenFile, Opened};
use crate::app::boxed::LocalBoxFuture;

/// Names files to be compiled into the program, for [`StaticFiles::embedded`](crate::StaticFiles::embedded).
///
/// The folder is relative to the source file that names it, as in `include_bytes!`, and the names are relative to the
/// folder.
///
/// ```
/// # use squall::StaticFiles;
/// let files = StaticFiles::embedded(squall::embed!(".": "embedded.rs", "mod.rs"));
/// ```
#[macro_export]
macro_rules! embed {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!($folder, "/", $name)).as_slice())),+]
    };
}

/// Files in the memory of the program.
pub(super) struct EmbeddedRoot {
    files: HashMap<&'static str, Rc<OpenFile>>,
}

impl EmbeddedRoot {
    pub(super) fn new(files: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Self {
        let files = files.into_iter().map(|(name, content)| {
            let file = OpenFile::held(Bytes::from_static(content), None);
            (name.trim_start_matches('/'), Rc::new(file))
        });
        Self { files: files.collect() }
    }

    fn file(&self, path: &[u8]) -> Option<&Rc<OpenFile>> {
        self.files.get(str::from_utf8(path).ok()?)
    }

    /// The names beneath a directory, relative to it.
    fn beneath<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a Rc<OpenFile>)> {
        self.files.iter().filter_map(move |(name, file)| {
            let inside = name.as_bytes().strip_prefix(path)?;
            let inside = if path.is_empty() {
                inside
            } else {
                inside.strip_prefix(b"/")?
            };
            Some((str::from_utf8(inside).ok()?, file))
        })
    }
}

impl FileRoot for EmbeddedRoot {
    fn find_now(&self, path: &[u8]) -> Option<Found> {
        Some(match self.file(path) {
            Some(file) => Found::File(Some(Rc::clone(file))),
            None if self.beneath(path).next().is_some() => Found::Directory,
            None => Found::Missing,
        })
    }

    fn find(&self, path: &[u8]) -> LocalBoxFuture<'static, Found> {
        Box::pin(ready(self.find_now(path).unwrap_or(Found::Missing)))
    }

    fn open_now(&self, path: &[u8]) -> Option<Opened> {
        Some(Ok(self.file(path).map(Rc::clone)))
    }

    fn open(&self, path: &[u8]) -> LocalBoxFuture<'static, Opened> {
        Box::pin(ready(Ok(self.file(path).map(Rc::clone))))
    }

    fn list(&self, path: &[u8], count_max: usize) -> LocalBoxFuture<'static, io::Result<Vec<ListedFile>>> {
        let mut listed: Vec<ListedFile> = Vec::new();
        for (inside, file) in self.beneath(path) {
            let (name, bytes) = match inside.split_once('/') {
                Some((folder, _)) => (folder, None),
                None => (inside, Some(file.bytes)),
            };
            if listed.len() < count_max && !listed.iter().any(|known| known.name == name.as_bytes()) {
                listed.push(ListedFile {
                    name: name.as_bytes().to_vec(),
                    bytes,
                    modified: None,
                });
            }
        }
        Box::pin(ready(Ok(listed)))
    }
}
