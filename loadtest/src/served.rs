//! The files that contenders serve: the same folder for all of them, with contents known to the load generator.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use tempfile::TempDir;

use crate::load::content::{Content, PIECE_BYTES, piece};

/// Length of the page. 16 KiB: of a list with a hundred rows.
const PAGE_BYTES: usize = 16 * 1024;

/// A file of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum ServedFile {
    #[serde(rename = "1k.bin")]
    Kibibyte,
    #[serde(rename = "1m.bin")]
    Mebibyte,
    #[serde(rename = "100m.bin")]
    HundredMebibytes,
    /// HTML that compresses as real pages do.
    #[serde(rename = "page.html")]
    Page,
}

impl ServedFile {
    const ALL: [Self; 4] = [Self::Kibibyte, Self::Mebibyte, Self::HundredMebibytes, Self::Page];

    /// Returns its name in the folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kibibyte => "1k.bin",
            Self::Mebibyte => "1m.bin",
            Self::HundredMebibytes => "100m.bin",
            Self::Page => "page.html",
        }
    }

    pub(crate) fn content(self) -> Content {
        match self {
            Self::Kibibyte => Content::Filling(1 << 10),
            Self::Mebibyte => Content::Filling(1 << 20),
            Self::HundredMebibytes => Content::Filling(100 << 20),
            Self::Page => Content::Bytes(page().into_bytes()),
        }
    }

    fn write(self, folder: &Path) -> std::io::Result<()> {
        let mut file = std::fs::File::create(folder.join(self.name()))?;
        match self.content() {
            Content::Bytes(bytes) => file.write_all(&bytes),
            Content::Filling(length) => {
                let mut position = 0;
                while position < length {
                    let piece = piece(position);
                    let bytes = usize::try_from(length - position)
                        .unwrap_or(usize::MAX)
                        .min(PIECE_BYTES);
                    file.write_all(piece.get(..bytes).unwrap_or_default())?;
                    position += bytes as u64;
                }
                Ok(())
            }
        }
    }
}

/// The folder, deleted when dropped.
#[derive(Debug)]
pub(crate) struct ServedFolder {
    folder: TempDir,
}

impl ServedFolder {
    /// Writes the files that are small, or among `needed`.
    pub(crate) fn make(needed: &[ServedFile]) -> Result<Self> {
        let folder = tempfile::tempdir().context("could not create a temporary folder")?;
        for file in ServedFile::ALL {
            if file != ServedFile::HundredMebibytes || needed.contains(&file) {
                file.write(folder.path())
                    .with_context(|| format!("could not write {}", file.name()))?;
            }
        }
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Returns the page: a table of invented orders, the same each time.
fn page() -> String {
    const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Orders</title></head>\n\
                        <body>\n<h1>Orders</h1>\n<table>\n";
    const END: &str = "</table>\n</body>\n</html>\n";
    const NAMES: [&str; 8] = [
        "Aalto", "Brandt", "Castillo", "Dubois", "Eriksen", "Fontaine", "Garcia", "Haugen",
    ];
    const GOODS: [&str; 6] = ["lamp", "chair", "kettle", "notebook", "umbrella", "bicycle bell"];
    let mut text = HEAD.to_owned();
    // A linear congruential generator, as in ISO C: equal on all machines.
    let mut state: u32 = 1;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 16) % below
    };
    let mut number = 1;
    loop {
        let mut pick = |words: &[&'static str]| {
            let index = next(u32::try_from(words.len()).unwrap_or(1));
            words.get(index as usize).copied().unwrap_or_default()
        };
        let (name, good) = (pick(&NAMES), pick(&GOODS));
        let (count, price) = (next(9) + 1, next(20_000));
        let row = format!(
            "<tr><td>{number}</td><td>{name}</td><td>{good}</td><td>{count}</td><td>{}.{:02}</td></tr>\n",
            price / 100,
            price % 100
        );
        if text.len() + row.len() + END.len() > PAGE_BYTES {
            break;
        }
        text += &row;
        number += 1;
    }
    // A comment makes up the length.
    let missing = PAGE_BYTES - text.len() - END.len();
    if missing >= 8 {
        text += &format!("<!--{}-->\n", ".".repeat(missing - 8));
    } else {
        text += &"\n".repeat(missing);
    }
    text + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_its_length_and_is_whole() {
        let page = page();
        assert_eq!(page.len(), PAGE_BYTES);
        assert!(page.is_ascii() && page.ends_with("</html>\n") && page.matches("<tr>").count() > 100);
    }

    #[test]
    fn folder_has_the_files_with_their_contents() {
        let folder = ServedFolder::make(&[]).unwrap();
        for file in [ServedFile::Kibibyte, ServedFile::Mebibyte, ServedFile::Page] {
            let written = std::fs::read(folder.path().join(file.name())).unwrap();
            let content = file.content();
            assert!(
                content.length() == written.len() as u64 && content.has(0, &written),
                "{file:?}"
            );
        }
        assert!(!folder.path().join("100m.bin").exists(), "no workload needs it");
    }
}
