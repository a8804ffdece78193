//! The report of a comparison: one self-contained HTML file with charts, and the same tables as Markdown, both from its
//! record.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

mod chart;
mod document;
mod figures;
mod finding;
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
pub(crate) use number::time;

/// Renders the report as one HTML file.
///
/// # Errors
///
/// The template fails to render, which does not depend on the record.
pub(crate) fn html(record: &Record) -> Result<String> {
    page::write(&Document::of(record))
}

/// Renders the report as Markdown: the findings and the tables.
pub(crate) fn markdown(record: &Record) -> String {
    markdown::write(&Document::of(record))
}

/// Writes `report.html` and `report.md` into `directory`, creates it if missing, and returns both paths.
///
/// # Errors
///
/// The directory cannot be created, or a file cannot be written.
pub(crate) fn write(record: &Record, directory: &Path) -> Result<[PathBuf; 2]> {
    std::fs::create_dir_all(directory).with_context(|| format!("could not create {}", directory.display()))?;
    let page = directory.join("report.html");
    let tables = directory.join("report.md");
    for (path, text) in [(&page, html(record)?), (&tables, markdown(record))] {
        std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok([page, tables])
}
