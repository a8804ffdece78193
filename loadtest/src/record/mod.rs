//! The record of one comparison: everything that was asked and measured, as one JSON document that says which version of the format it is.
//!
//! The record holds samples and nothing that can be computed from them, so that it cannot disagree with itself about a median; what can
//! still contradict itself (a sample of a contender that took no part, the same window twice) is refused in `check`. What a machine
//! may be unable to measure is optional, and absent means "not measured", never zero.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

mod check;
mod figure;
mod participant;
mod sample;
mod statement;
mod view;
mod workload;

pub(crate) use figure::Figure;
pub(crate) use participant::{Participant, Role, SkippedContender};
pub(crate) use sample::{Connections, CpuPerRequest, FanOut, Hop, Idleness, Latency, Noise, Point, Sample, Slow};
pub(crate) use statement::{APART_MAX, NoStatement};
pub(crate) use view::{Comparison, SUSTAINED_SHARE, View};
pub(crate) use workload::{Kind, Workload};

use crate::machine::Machine;

/// The version of the format this program writes, and the only one it reads. It rises when a reader of the old one would be misled.
pub(crate) const VERSION: u32 = 1;

/// The largest record that is read, in bytes. A record of thirty contenders, twelve workloads and twenty rounds with 100-point curves has some 40 MB.
const RECORD_BYTES_MAX: u64 = 128 << 20;

/// One comparison, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// See [`VERSION`].
    pub(crate) version: u32,
    pub(crate) title: String,
    /// What a reader should know before believing a figure, in sentences: that the run was interrupted, that it is an example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remarks: Vec<String>,
    /// The command line, so that the run can be repeated.
    pub(crate) command: String,
    /// When the run ended, as an HTTP date.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) cores: Cores,
    /// Rounds that were asked for; an interrupted run has fewer samples than this promises.
    pub(crate) rounds: u32,
    /// Length of one timed window.
    pub(crate) window_seconds: f64,
    /// Load on a freshly started server before its timed window.
    pub(crate) warmup_seconds: f64,
    /// Name of the contender that ratios are taken to.
    pub(crate) baseline: String,
    pub(crate) workloads: Vec<Workload>,
    /// Who took part, in the order they are shown.
    pub(crate) contenders: Vec<Participant>,
    /// Who did not, and why.
    pub(crate) skipped: Vec<SkippedContender>,
    /// One for each workload, contender, round and offered rate, in the order they were measured.
    pub(crate) samples: Vec<Sample>,
}

/// Where the two sides of a measurement run: the numbers of the cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cores {
    pub(crate) server: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Record {
    /// Reads and checks the record in `path`.
    ///
    /// # Errors
    /// Fails with a sentence if the file cannot be read, is not a record of this version, or contradicts itself.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let length = file.metadata()?.len();
        ensure!(
            length <= RECORD_BYTES_MAX,
            "{} has {length} bytes; a record has {RECORD_BYTES_MAX} at most",
            path.display()
        );
        Self::parse(BufReader::new(file.take(RECORD_BYTES_MAX))).with_context(|| path.display().to_string())
    }

    /// Reads and checks the record that `reader` holds.
    pub(crate) fn parse(reader: impl Read) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_reader(reader).context("not JSON")?;
        // The version is looked at first: a record of another one fails for that reason and not for a field it does not have.
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        let version = version.context("not a record of a comparison: it has no `version`")?;
        ensure!(
            version == u64::from(VERSION),
            "it is a record of version {version}; this program reads version {VERSION}"
        );
        let record: Self = serde_json::from_value(value).context("not a record of a comparison")?;
        record.check()?;
        Ok(record)
    }

    /// Writes the record as JSON, then checks it: a mistake of the judge must not cost what a long run measured.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if what was written contradicts itself.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut writer = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut writer, self).context("cannot write the record")?;
        writer.write_all(b"\n")?;
        writer
            .flush()
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.check()
            .with_context(|| format!("{} was written, but contradicts itself", path.display()))
    }

    /// Who took part under this name.
    pub(crate) fn participant(&self, name: &str) -> Option<&Participant> {
        self.contenders.iter().find(|contender| contender.name == name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
