//! The command line: what was asked, before anything is looked up or checked.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod run;

pub(crate) use run::RunArgs;

/// Measures Squall beside its peers on the same cores, in one run, after checking that all of them answer alike.
#[derive(Debug, Parser)]
#[command(name = "squall-loadtest", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    /// Build and start contenders and check their answers, without timing anything.
    Verify(VerifyArgs),
    /// Verify contenders, then time them with wrk, interleaved over several rounds.
    Measure(MeasureArgs),
    /// Hold many idle keep-alive connections and report what each costs in memory, and what all of them cost in CPU.
    Idle(IdleArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) placement: Placement,
    /// Workloads whose answers are checked, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) workloads: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MeasureArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) placement: Placement,
    /// Core that the load generator is pinned to
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Workloads to run, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) workloads: Vec<String>,
    /// Rounds; in each one every contender is timed once per workload
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Length of one timed window, in whole seconds (`5` or `5s`)
    #[arg(long, default_value = "5s", value_parser = timed_seconds)]
    pub(crate) duration: u64,
    /// Load on a freshly started server before its timed window, in whole seconds; 0 for none
    #[arg(long, default_value = "1s", value_parser = whole_seconds)]
    pub(crate) warmup: u64,
    /// The contender that ratios are taken to
    #[arg(long, default_value = "floor-epoll")]
    pub(crate) baseline: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) placement: Placement,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Connections to open; each one sends one request and then keeps silent
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
    /// How long the idle server is watched, in whole seconds
    #[arg(long, default_value = "10s", value_parser = timed_seconds)]
    pub(crate) watch: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// Contenders, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) contenders: Vec<String>,
    /// Folder that holds `contenders/` and `workloads/` [default: the nearest `loadtest/` above the current folder]
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// Use what was built before
    #[arg(long)]
    pub(crate) no_build: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Placement {
    /// Core that the server is pinned to
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// Also write every sample and summary to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also write the tables and the JSON into this folder, which is created
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
}

/// Reads `5` or `5s`. wrk counts in whole seconds, so nothing finer is taken.
fn whole_seconds(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let seconds = digits
        .parse()
        .map_err(|_| format!("`{text}` is not a whole number of seconds such as 5s"))?;
    if seconds > 3600 {
        return Err("an hour is the longest".to_owned());
    }
    Ok(seconds)
}

fn timed_seconds(text: &str) -> Result<u64, String> {
    match whole_seconds(text)? {
        0 => Err("must be at least 1s".to_owned()),
        seconds => Ok(seconds),
    }
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
    fn seconds_are_whole_and_bounded() {
        assert_eq!(whole_seconds("5"), Ok(5));
        assert_eq!(whole_seconds("5s"), Ok(5));
        assert_eq!(whole_seconds("0"), Ok(0));
        for refused in ["", "s", "1.5s", "-1", "3601", "5m"] {
            assert!(whole_seconds(refused).is_err(), "{refused}");
        }
        assert!(timed_seconds("0s").is_err());
    }
}
