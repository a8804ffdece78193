//! The folder of uploaded files. Every access to the disk runs off the shard's thread.
//!
//! A file is written under a hidden name, and gets its own name once it is whole. So the list never shows half a file,
//! and a broken upload leaves nothing.

use std::fs::{File, create_dir_all, hard_link, read_dir, remove_file};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use squall::prelude::*;
use squall::shards::{Shard, spawn_blocking};

/// The longest name of a stored file, in bytes: room for a number in the 255 bytes of a filesystem.
const NAME_BYTES_MAX: usize = 200;

/// How many numbers are tried for a name that is taken.
const NUMBERS_MAX: u32 = 1000;

/// How many files the list shows.
const LISTED_MAX: usize = 1000;

/// Numbers the unfinished files of this process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// The folder.
pub(crate) struct Folder {
    path: PathBuf,
}

/// A file of the folder.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    name: String,
    bytes: u64,
}

/// A file that is being written; its drop removes it.
pub(crate) struct Unfinished {
    folder: PathBuf,
    hidden: PathBuf,
    name: String,
    file: Arc<File>,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The files, by name.
    pub(crate) async fn list(&self) -> Result<Vec<Stored>> {
        let path = self.path.clone();
        spawn_blocking(move || {
            let mut files = Vec::new();
            let entries = match read_dir(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if let Ok(metadata) = entry.metadata()
                    && metadata.is_file()
                    && !name.starts_with('.')
                    && files.len() < LISTED_MAX
                {
                    let bytes = metadata.len();
                    files.push(Stored { name, bytes });
                }
            }
            files.sort_by(|one: &Stored, other| one.name.cmp(&other.name));
            Ok(files)
        })
        .await?
    }

    /// Creates a file that will get a name like the client's.
    pub(crate) async fn create(&self, name: &str) -> Result<Unfinished> {
        let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
        let folder = self.path.clone();
        let hidden = folder.join(format!(".upload-{}-{number}", process::id()));
        let name = safe_name(name);
        spawn_blocking(move || {
            create_dir_all(&folder)?;
            let file = Arc::new(File::create(&hidden)?);
            Ok(Unfinished {
                folder,
                hidden,
                name,
                file,
            })
        })
        .await?
    }
}

impl Unfinished {
    /// Appends to the file.
    pub(crate) async fn write(&self, chunk: Bytes) -> Result {
        let file = Arc::clone(&self.file);
        spawn_blocking(move || Ok((&*file).write_all(&chunk)?)).await?
    }

    /// Gives the file its name.
    pub(crate) async fn keep(self) -> Result<Stored> {
        spawn_blocking(move || {
            let bytes = self.file.metadata()?.len();
            for number in 0..NUMBERS_MAX {
                let name = numbered(&self.name, number);
                // A link never replaces a file, as a rename would.
                match hard_link(&self.hidden, self.folder.join(&name)) {
                    Ok(()) => return Ok(Stored { name, bytes }),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(HttpError::new(409).with_message("the name is taken").into())
        })
        .await?
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        let remove = move || drop(remove_file(hidden));
        // A file that was kept is dropped on a thread for blocking work.
        match Shard::try_current() {
            Some(_) => drop(spawn_blocking(remove)),
            None => remove(),
        }
    }
}

/// Turns the client's name into one that is safe in any folder. It is the last part of a path, without control
/// characters and signs with a meaning for a shell, and not hidden.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe = String::new();
    for letter in last.chars() {
        let letter = if letter.is_alphanumeric() || " .-_()".contains(letter) {
            letter
        } else {
            '_'
        };
        if safe.len() + letter.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        safe.push(letter);
    }
    let safe = safe.trim().trim_start_matches('.');
    if safe.is_empty() {
        "file".to_owned()
    } else {
        safe.to_owned()
    }
}

/// Puts a number before the extension of a name, from the second file of a name on.
fn numbered(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let path = Path::new(name);
    match (path.file_stem(), path.extension()) {
        (Some(stem), Some(extension)) => {
            format!("{} ({number}).{}", stem.to_string_lossy(), extension.to_string_lossy())
        }
        _ => format!("{name} ({number})"),
    }
}
