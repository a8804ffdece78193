//! A report as Markdown: the findings and the tables, without the charts.

use super::document::Document;
use super::finding::Finding;
use super::table::{Table, escaped};

/// Writes the report.
pub(super) fn write(document: &Document) -> String {
    let mut text = format!(
        "# {}\n\n{}. {}.\n\n{}\n",
        escaped(&document.title),
        escaped(&document.date),
        escaped(&document.setting),
        list(&document.findings)
    );
    for section in &document.sections {
        text += &format!("## {}: {}\n\n", escaped(&section.name), escaped(&section.title));
        text += &list(&section.findings);
        text += &format!("\n{}\n", section.table.markdown());
        if !section.note.is_empty() {
            text += &format!("{}\n\n", escaped(&section.note));
        }
    }
    text += "## How it was measured\n\n";
    for (name, value) in &document.facts {
        text += &format!("- {name}: {}\n", escaped(value));
    }
    text += &format!("\n{}", document.contenders.markdown());
    for (title, table) in [("Skipped", &document.skipped), ("Noise", &document.noise)] {
        text += &table.as_ref().map(|table| titled(title, table)).unwrap_or_default();
    }
    text += "\n### Commands\n\n";
    for (what, command) in &document.commands {
        text += &format!("{}:\n\n{}\n", escaped(what), block(command));
    }
    text
}

fn titled(title: &str, table: &Table) -> String {
    format!("\n### {title}\n\n{}", table.markdown())
}

fn list(findings: &[Finding]) -> String {
    let items = findings
        .iter()
        .map(|finding| format!("- **{}** {}\n", escaped(&finding.lead), escaped(&finding.text)));
    items.collect()
}

/// Renders a command as an indented code block, which needs no escaping.
fn block(command: &str) -> String {
    let lines = command.lines().map(|line| format!("    {line}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn markdown_has_sentences_tables_and_commands() {
        let mut record = record();
        record.remarks.push("Cut <short>.".to_owned());
        let text = write(&Document::of(&record));
        for part in [
            "# Side by side\n",
            "- **Note:** Cut &lt;short&gt;.\n",
            "## plaintext-64: The title\n",
            "| squall      | 1.19× [1.12..1.25×] |",
            "    squall-loadtest compare\n",
            "    floor-epoll {listen}\n",
        ] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
}
