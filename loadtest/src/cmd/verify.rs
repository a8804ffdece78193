//! `verify`: builds and starts contenders and checks their answers, one contender at a time.

use anyhow::{Context, Result, bail};

use crate::args::VerifyArgs;
use crate::catalogue::Catalogue;
use crate::contender::Contender;
use crate::interrupt::Interrupt;
use crate::server::Server;
use crate::workload::Workload;
use crate::{proc, verification};

pub(crate) fn run(args: &VerifyArgs, interrupt: &Interrupt) -> Result<()> {
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let workloads = catalogue.workloads(&args.workloads)?;
    proc::check_core_allowed(args.placement.server_core)?;
    let field = super::build(&catalogue, &args.selection, interrupt)?;
    verify_all(&field.built, &workloads, args.placement.server_core, interrupt)
}

/// Checks every contender against every workload before it says anything about one that failed.
///
/// # Errors
///
/// Names each contender that answered wrongly, under which workload, and what was wrong.
pub(super) fn verify_all(
    contenders: &[Contender],
    workloads: &[Workload],
    core: usize,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut failures = Vec::new();
    for contender in contenders {
        interrupt.check()?;
        match verify_one(contender, workloads, core, interrupt) {
            Ok(()) => eprintln!("verified {}", contender.name),
            Err(error) => failures.push(format!("{}: {error:#}", contender.name)),
        }
    }
    if !failures.is_empty() {
        bail!("verification failed\n  {}", failures.join("\n  "));
    }
    Ok(())
}

fn verify_one(contender: &Contender, workloads: &[Workload], core: usize, interrupt: &Interrupt) -> Result<()> {
    let mut server = Server::start(contender, core, interrupt)?;
    for workload in workloads {
        verification::verify(server.address, workload).with_context(|| format!("workload {}", workload.name))?;
    }
    server.check_running()
}
