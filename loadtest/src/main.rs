//! The orchestrator: starts Squall and other servers as separate processes, checks their answers, and measures them
//! side by side.
//!
//! It links no code of Squall and has its own parsers. `METHODOLOGY.md` defines the figures.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod args;
mod catalogue;
mod certificates;
mod child;
mod client;
mod cmd;
mod comparison;
mod contender;
mod contenders;
mod descriptors;
mod interrupt;
mod load;
mod machine;
mod measurement;
mod proc;
mod record;
mod report;
mod served;
mod server;
mod shell;
mod statistics;
mod syscalls;
mod tls;
mod upstream;
mod verification;
mod workload;

use args::{Args, Command};
use interrupt::Interrupt;

fn main() -> ExitCode {
    let args = Args::parse();
    let interrupt = Interrupt::default();
    let outcome = run(&args, &interrupt);
    if let Err(error) = &outcome {
        eprintln!("error: {error:#}");
    }
    match outcome {
        _ if interrupt.is_raised() => ExitCode::from(INTERRUPTED),
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The exit code of a command ended by Ctrl-C: 128 plus SIGINT.
const INTERRUPTED: u8 = 130;

fn run(args: &Args, interrupt: &Interrupt) -> Result<()> {
    interrupt.raise_on_signals()?;
    descriptors::raise_limit()?;
    match &args.command {
        Command::Run(args) => cmd::run::run(args, interrupt),
        Command::Verify(args) => cmd::verify::run(args, interrupt),
        Command::Compare(args) => cmd::compare::run(args, interrupt),
        Command::Report(args) => cmd::report::run(args),
    }
}
