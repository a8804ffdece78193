//! The record of one comparison: its settings and samples, as one JSON document with a format version.
//!
//! The record holds samples and no derived figures, so a median cannot contradict it. `check` rejects the remaining
//! contradictions, such as a sample of an unknown contender or a repeated window. Optional values are absent if not
//! measured, never zero.

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

/// The format version that this program writes and reads; it rises when an old reader would misread the record.
pub(crate) const VERSION: u32 = 1;

/// The largest record in bytes; 30 contenders, 12 workloads and 20 rounds with 100-point curves take about 40 MB.
const RECORD_BYTES_MAX: u64 = 128 << 20;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// See [`VERSION`].
    pub(crate) version: u32,
    pub(crate) title: String,
    /// Caveats as sentences, such as an interrupt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remarks: Vec<String>,
    /// The command line that repeats the run.
    pub(crate) command: String,
    /// When the run ended, as an HTTP date.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) cores: Cores,
    /// Planned rounds; an interrupted run has fewer samples.
    pub(crate) rounds: u32,
    /// Length of one timed window.
    pub(crate) window_seconds: f64,
    /// Length of the load before each timed window.
    pub(crate) warmup_seconds: f64,
    /// The contender that all others are divided by.
    pub(crate) baseline: String,
    pub(crate) workloads: Vec<Workload>,
    /// The contenders that took part, in display order.
    pub(crate) contenders: Vec<Participant>,
    /// The contenders that did not, each with its reason.
    pub(crate) skipped: Vec<SkippedContender>,
    /// One sample for each workload, contender, round and offered rate, in the order of measurement.
    pub(crate) samples: Vec<Sample>,
}

/// The core numbers of server and load.
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
    ///
    /// The file is unreadable, not a record of this version, or contradicts itself.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("could not read {}", path.display()))?;
        let length = file.metadata()?.len();
        ensure!(
            length <= RECORD_BYTES_MAX,
            "{} has {length} bytes; a record has at most {RECORD_BYTES_MAX}",
            path.display()
        );
        Self::parse(BufReader::new(file.take(RECORD_BYTES_MAX))).with_context(|| path.display().to_string())
    }

    /// Reads and checks a record.
    pub(crate) fn parse(reader: impl Read) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_reader(reader).context("not JSON")?;
        // The version comes first, so that a record of another version does not fail for a missing field.
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

    /// Writes the record as JSON, then checks it, so that a bug of this program does not lose a long run.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the record contradicts itself.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        let mut writer = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut writer, self).context("could not write the record")?;
        writer.write_all(b"\n")?;
        writer
            .flush()
            .with_context(|| format!("could not write {}", path.display()))?;
        // The check comes after the file is complete, so its failure loses no sample.
        self.check()
            .with_context(|| format!("{} was written, but contradicts itself", path.display()))
    }

    /// Returns the participant of this name.
    pub(crate) fn participant(&self, name: &str) -> Option<&Participant> {
        self.contenders.iter().find(|contender| contender.name == name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
