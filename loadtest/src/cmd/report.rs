//! `report`: writes the report of a recorded comparison, as one HTML file and as Markdown.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::args::ReportArgs;
use crate::record::Record;
use crate::report;

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let record = Record::read(&args.record)?;
    let beside = args.record.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = args.output.as_deref().or(beside).unwrap_or_else(|| Path::new("."));
    let mut screen = std::io::stdout();
    for path in report::write(&record, directory)? {
        writeln!(screen, "{}", path.display()).context("could not write to standard output")?;
    }
    Ok(())
}
