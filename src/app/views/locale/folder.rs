//! Languages from a folder, in the layouts of Tornado and of gettext.
//!
//! It reads files and waits for the disk, so it belongs before the start of the server.

use std::fs::{File, read_dir};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::languages::Languages;
use crate::error::{Error, Result};

/// Largest file of translations: 16 MiB. Those of large applications have 1 to 5 MiB.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The folder of gettext's layout inside the folder of a language.
const MESSAGES_FOLDER: &str = "LC_MESSAGES";

impl Languages {
    /// Reads the translations in a folder.
    ///
    /// | file | layout |
    /// |---|---|
    /// | `de.csv`, `de.po`, `de.mo`, `de.ftl` | Tornado's: the file is named as the language |
    /// | `de/LC_MESSAGES/site.mo` | gettext's: any name, in the folder of the language |
    /// | `de/site.ftl` | Fluent's: the same without `LC_MESSAGES` |
    ///
    /// Those in CSV and Fluent count with the feature `locale`. A `.po` file beside a `.mo` file of the same name is left out. Files with other endings, and names that begin with a
    /// dot, do not count. Call it before the server starts, because it waits for the disk.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is malformed or larger than 16 MiB, or a name is not that of a language.
    pub fn load(default: &str, folder: impl AsRef<Path>) -> Result<Self> {
        let mut languages = Self::new(default)?;
        for path in entries(folder.as_ref())? {
            if path.is_dir() {
                let tag = name(path.file_name())?;
                let messages = path.join(MESSAGES_FOLDER);
                let mut files = entries(&path)?;
                if messages.is_dir() {
                    files.extend(entries(&messages)?);
                }
                for file in &files {
                    add_file(&mut languages, tag, file, &files)?;
                }
            } else {
                let files = entries(folder.as_ref())?;
                add_file(&mut languages, name(path.file_stem())?, &path, &files)?;
            }
        }
        Ok(languages)
    }
}

/// Adds one file, by its ending.
fn add_file(languages: &mut Languages, tag: &str, path: &Path, beside: &[PathBuf]) -> Result {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let added = match ending {
        "po" if beside.contains(&path.with_extension("mo")) => Ok(()),
        "po" => text(path).and_then(|text| languages.add_po(tag, &text)),
        "mo" => bytes(path).and_then(|bytes| languages.add_mo(tag, &bytes)),
        #[cfg(feature = "locale")]
        "csv" => bytes(path).and_then(|bytes| languages.add_csv(tag, &bytes)),
        #[cfg(feature = "locale")]
        "ftl" => text(path).and_then(|text| languages.add_fluent(tag, &text)),
        _ => Ok(()),
    };
    added.map_err(|error| Error::new(format!("{}: {error}", path.display())))
}

/// The paths in a folder, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |error| Error::new(format!("could not read the folder {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in read_dir(folder).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn name(name: Option<&std::ffi::OsStr>) -> Result<&str> {
    let name = name.and_then(|name| name.to_str());
    name.ok_or_else(|| Error::new("could not read the name of a language: it is not UTF-8"))
}

fn text(path: &Path) -> Result<String> {
    String::from_utf8(bytes(path)?).map_err(|_| Error::new("it is not UTF-8"))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new("it is larger than 16 MiB"));
    }
    Ok(bytes)
}
