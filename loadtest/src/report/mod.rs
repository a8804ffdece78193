//! The report of a comparison: one self-contained HTML file with charts, and the same as Markdown tables, both computed from its record.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

mod chart;
mod document;
mod figures;
mod findings;
mod markdown;
mod number;
mod page;
mod palette;
mod ranking;
mod section;
mod table;
mod warnings;

use crate::record::Record;
use document::Document;

/// The report as one HTML file.
///
/// # Errors
/// Fails if the page cannot be put together, which no record can bring about.
pub(crate) fn html(record: &Record) -> Result<String> {
    page::write(&Document::of(record))
}

/// The report as Markdown: the sentences and the tables.
pub(crate) fn markdown(record: &Record) -> String {
    markdown::write(&Document::of(record))
}

/// Writes `report.html` and `report.md` into `directory`, which is created, and returns where they are.
///
/// # Errors
/// Fails if the directory cannot be created or a file cannot be written.
pub(crate) fn write(record: &Record, directory: &Path) -> Result<[PathBuf; 2]> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let page = directory.join("report.html");
    let tables = directory.join("report.md");
    for (path, text) in [(&page, html(record)?), (&tables, markdown(record))] {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok([page, tables])
}
