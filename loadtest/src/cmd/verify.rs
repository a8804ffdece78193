//! `verify`: builds and starts contenders and checks their answers, one contender at a time.

use anyhow::{Result, ensure};

use crate::args::VerifyArgs;
use crate::catalogue::Catalogue;
use crate::contenders::Contenders;
use crate::interrupt::Interrupt;
use crate::proc;

/// Checks every contender against every workload before it says anything about one that failed.
///
/// # Errors
///
/// Names each contender that answered wrongly, under which workload, and what was wrong. A contender that is missing is no error.
pub(crate) fn run(args: &VerifyArgs, interrupt: &Interrupt) -> Result<()> {
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let workloads = catalogue.workloads(&args.workloads)?;
    let cores = args.placement.cores();
    proc::check_core_allowed(cores.server)?;
    proc::check_core_allowed(cores.load)?;
    let contenders = catalogue.contenders(&args.selection.contenders)?;
    let mut contenders = Contenders::prepare(contenders, &workloads, args.selection.no_build, interrupt)?;
    contenders.verify(&workloads, cores, interrupt)?;
    let wrong = contenders.skipped.iter().filter(|absentee| absentee.workload.is_some());
    let wrong: Vec<String> = wrong
        .map(|absentee| {
            let workload = absentee.workload.as_deref().unwrap_or_default();
            format!("{} under {workload}: {}", absentee.name, absentee.reason)
        })
        .collect();
    ensure!(wrong.is_empty(), "wrong answers\n  {}", wrong.join("\n  "));
    Ok(())
}
