//! `verify`: builds and starts one contender after the other and checks its answers.

use anyhow::{Result, ensure};

use crate::args::VerifyArgs;
use crate::catalogue::Catalogue;
use crate::contenders::Contenders;
use crate::interrupt::Interrupt;
use crate::proc;

/// Checks each contender against each workload.
///
/// # Errors
///
/// Wrong answers, each with its contender, workload and reason. A contender that cannot start is skipped instead.
pub(crate) fn run(args: &VerifyArgs, interrupt: &Interrupt) -> Result<()> {
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let workloads = catalogue.workloads(&args.workloads)?;
    let cores = args.placement.cores();
    proc::check_core_allowed(cores.server)?;
    proc::check_core_allowed(cores.load)?;
    let contenders = catalogue.contenders(&args.selection.contenders)?;
    let mut contenders = Contenders::prepare(contenders, &workloads, args.selection.no_build, interrupt)?;
    contenders.verify(&workloads, cores, interrupt)?;
    let wrong = contenders.skipped.iter().filter(|skipped| skipped.workload.is_some());
    let wrong: Vec<String> = wrong
        .map(|skipped| {
            let workload = skipped.workload.as_deref().unwrap_or_default();
            format!("{} under {workload}: {}", skipped.name, skipped.reason)
        })
        .collect();
    ensure!(wrong.is_empty(), "wrong answers\n  {}", wrong.join("\n  "));
    Ok(())
}
