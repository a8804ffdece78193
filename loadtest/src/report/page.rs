//! A report as one self-contained HTML file: style and charts are inline, without scripts.

use anyhow::{Context, Result};
use askama::Template;

use super::document::Document;

/// The page; the template escapes all texts except the charts, which escape their own.
#[derive(Debug, Template)]
#[template(path = "report.html")]
struct Page<'a> {
    document: &'a Document,
}

/// Writes the report.
pub(super) fn write(document: &Document) -> Result<String> {
    Page { document }.render().context("could not write the page")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};

    /// Each text of this record is markup, which the page must escape.
    #[test]
    fn markup_in_the_record_is_escaped() {
        const EVIL: &str = "<script>alert('\"')</script>";
        let mut record = record();
        record.title = EVIL.to_owned();
        record.remarks = vec![EVIL.to_owned()];
        record.command = EVIL.to_owned();
        record.date = EVIL.to_owned();
        record.machine.cpu = EVIL.to_owned();
        record.machine.mitigations = vec![EVIL.to_owned()];
        let mut contender = record.contenders.first().cloned().unwrap();
        contender.name = EVIL.to_owned();
        contender.note = EVIL.to_owned();
        contender.version = EVIL.to_owned();
        contender.command = vec![EVIL.to_owned()];
        record.contenders.push(contender);
        record.samples.push(sample(EVIL, 1, 7.0));
        let workload = record.workloads.first_mut().unwrap();
        workload.title = EVIL.to_owned();
        workload.parameters = [(EVIL.to_owned(), EVIL.to_owned())].into();
        workload.command = Some(EVIL.to_owned());
        record.skipped.push(crate::record::SkippedContender {
            name: "absent".to_owned(),
            workload: None,
            reason: EVIL.to_owned(),
            hint: Some(EVIL.to_owned()),
        });
        record.check().unwrap();
        let page = write(&Document::of(&record)).unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.matches("&#60;script&#62;").count() > 15, "{page}");
    }

    #[test]
    fn page_loads_no_other_file() {
        let page = write(&Document::of(&record())).unwrap();
        for forbidden in ["<link", "<script", "src=", "@import", "url(", "href=\"http"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
