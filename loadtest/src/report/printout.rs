//! What `measure` and `idle` say at its end: the same facts as Markdown and as JSON, each with the machine and the command that made them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::Output;
use crate::contender::{Contender, Skipped};
use crate::machine::Machine;

/// A whole report. `findings` is what the subcommand measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report<F> {
    pub(crate) title: String,
    /// The command line, so that the run can be repeated.
    command: String,
    /// When the run ended, as an HTTP date.
    date: String,
    machine: Machine,
    contenders: Vec<Contender>,
    skipped: Vec<Skipped>,
    findings: F,
}

impl<F: Serialize> Report<F> {
    pub(crate) fn new(
        title: &str,
        machine: Machine,
        contenders: Vec<Contender>,
        skipped: Vec<Skipped>,
        findings: F,
    ) -> Self {
        Self {
            title: title.to_owned(),
            command: own_command(),
            date: httpdate::fmt_http_date(SystemTime::now()),
            machine,
            contenders,
            skipped,
            findings,
        }
    }

    /// The report around `body`, which holds the tables.
    pub(crate) fn markdown(&self, body: &str) -> String {
        let Self {
            title,
            command,
            date,
            machine,
            ..
        } = self;
        let mut text = format!("## {title}\n\n{date}. {}.\n\n    {command}\n\n", machine.describe());
        for Contender {
            name, version, note, ..
        } in &self.contenders
        {
            text += &format!("- **{name}** {version}: {note}\n");
        }
        for Skipped { name, reason, hint } in &self.skipped {
            let hint = hint.as_ref().map(|hint| format!(" Hint: {hint}.")).unwrap_or_default();
            text += &format!("- {name} was skipped: {reason}.{hint}\n");
        }
        format!("{text}\n{body}")
    }
}

/// Where a report goes, opened before anything is measured, so that a wrong path costs seconds and not the run.
#[derive(Debug)]
pub(crate) struct Sinks {
    json: Vec<File>,
    markdown: Vec<File>,
}

impl Sinks {
    /// Opens what `output` asks for; `name` is what the files of `--record` are called.
    pub(crate) fn open(output: &Output, name: &str) -> Result<Self> {
        let create = |path: PathBuf| {
            // An older report stays whole until there is a new one to replace it.
            let file = File::options().write(true).create(true).truncate(false).open(&path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let mut sinks = Self {
            json: Vec::new(),
            markdown: Vec::new(),
        };
        if let Some(path) = &output.json {
            sinks.json.push(create(path.clone())?);
        }
        if let Some(folder) = &output.record {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            sinks.json.push(create(folder.join(format!("{name}.json")))?);
            sinks.markdown.push(create(folder.join(format!("{name}.md")))?);
        }
        Ok(sinks)
    }

    /// Writes the report to `screen`, which is standard output, and to every file.
    pub(crate) fn write<F: Serialize>(mut self, screen: &mut impl Write, report: &Report<F>, body: &str) -> Result<()> {
        let markdown = report.markdown(body);
        screen
            .write_all(markdown.as_bytes())
            .context("cannot write to standard output")?;
        for file in &mut self.markdown {
            empty(file)?;
            file.write_all(markdown.as_bytes())
                .context("cannot write the Markdown record")?;
        }
        for file in &mut self.json {
            empty(file)?;
            serde_json::to_writer_pretty(&mut *file, report).context("cannot write the JSON record")?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Drops what a file held before; a pipe or a terminal holds nothing.
fn empty(file: &File) -> Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(())
}

/// The command line without the path of the program, which is nobody else's business.
fn own_command() -> String {
    let arguments = std::env::args().skip(1);
    std::iter::once(env!("CARGO_PKG_NAME").to_owned())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn record_holds_both_forms_with_machine_command_and_skips() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output {
            json: Some(folder.path().join("own.json")),
            record: Some(folder.path().join("deep/record")),
        };
        let skipped = Skipped {
            name: "nginx".to_owned(),
            reason: "not installed".to_owned(),
            hint: Some("apt".to_owned()),
        };
        let machine = Machine::inspect(Path::new("."));
        std::fs::write(folder.path().join("own.json"), "x".repeat(10_000)).unwrap();
        let report = Report::new("Title", machine.clone(), Vec::new(), vec![skipped], [1, 2]);
        Sinks::open(&output, "measure")
            .unwrap()
            .write(&mut std::io::sink(), &report, "THE TABLE\n")
            .unwrap();

        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let markdown = read("deep/record/measure.md");
        for part in [
            "## Title",
            &machine.kernel,
            "    squall-loadtest",
            "- nginx was skipped: not installed. Hint: apt.",
            "THE TABLE",
        ] {
            assert!(markdown.contains(part), "{part} is missing: {markdown}");
        }
        let json: serde_json::Value = serde_json::from_str(&read("own.json")).unwrap();
        assert_eq!(json["findings"], serde_json::json!([1, 2]));
        assert_eq!(json["machine"]["kernel"], machine.kernel.as_str());
        assert_eq!(json["skipped"][0]["name"], "nginx");
        assert_eq!(read("own.json"), read("deep/record/measure.json"));
    }

    #[test]
    fn unwritable_path_is_found_before_measuring() {
        let output = Output {
            json: Some("no/such/folder/out.json".into()),
            record: None,
        };
        let error = Sinks::open(&output, "measure").unwrap_err();
        assert!(format!("{error:#}").contains("no/such/folder/out.json"), "{error:#}");
    }
}
