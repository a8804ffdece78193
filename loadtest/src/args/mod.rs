//! The command line, parsed and not yet checked.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::measurement::Cores;

mod run;

pub(crate) use run::RunArgs;
use run::duration;

/// Measures Squall and other servers side by side on the same cores, after checking that all of them answer correctly.
#[derive(Debug, Parser)]
#[command(name = "squall-loadtest", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    /// Build and start contenders and check their answers, without measuring them.
    Verify(VerifyArgs),
    /// Verify contenders, then measure them interleaved over several rounds.
    Compare(CompareArgs),
    /// Write the report of a recorded comparison: `report.html` with charts, and `report.md` with the same tables.
    Report(ReportArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) placement: Placement,
    /// Workloads to check, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) workloads: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) placement: Placement,
    /// Short windows and at most 3 rounds within ten minutes, for a first impression
    #[arg(long)]
    pub(crate) quick: bool,
    /// Workloads to run, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) workloads: Vec<String>,
    /// Rounds; each measures every contender once per workload [default: 5; with --quick as many as fit, at most 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: Option<u32>,
    /// Length of one timed window, such as `5s` or `500ms` [default: 5s; with --quick 700ms]
    #[arg(long, value_parser = window)]
    pub(crate) duration: Option<Duration>,
    /// Length of the load before each timed window; `0s` for none [default: 1s; with --quick 150ms]
    #[arg(long, value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    /// The contender that all others are divided by
    #[arg(long, default_value = "floor-epoll")]
    pub(crate) baseline: String,
    /// Folder for the record and the report; created if missing
    #[arg(long, value_name = "DIR", default_value = "target/compare")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The record written by `compare`
    #[arg(value_name = "RECORD.json")]
    pub(crate) record: PathBuf,
    /// Folder for the report; created if missing [default: the record's folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// Contenders, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) contenders: Vec<String>,
    /// Folder with `contenders/` and `workloads/` [default: the nearest `loadtest/` above the current folder]
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// Skip the builds and use the existing programs
    #[arg(long)]
    pub(crate) no_build: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Placement {
    /// Core to pin the server to
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// Core to pin the load generator to
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,
}

impl Placement {
    pub(crate) fn cores(&self) -> Cores {
        Cores {
            server: self.server_core,
            load: self.load_core,
        }
    }
}

/// The shortest window: the kernel counts CPU time in steps of up to 10 ms.
const WINDOW_MIN: Duration = Duration::from_millis(100);

fn window(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if length < WINDOW_MIN {
        return Err(format!("must be at least {} ms", WINDOW_MIN.as_millis()));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn window_is_at_least_ten_kernel_ticks_long() {
        assert!(window("99ms").is_err());
        assert_eq!(window("100ms"), Ok(WINDOW_MIN));
    }
}
