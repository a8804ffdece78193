//! `measure`: verifies the contenders, then times them with wrk, interleaved, and reports medians and ratios.
//!
//! Within a round each workload visits every contender before the next workload begins, and each round starts with another
//! contender, so that what drifts (clock, temperature, neighbours) falls on all alike. Every window has a freshly started server.

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::verify::verify_all;
use crate::args::MeasureArgs;
use crate::catalogue::Catalogue;
use crate::contender::Contender;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::measurement::{Cores, Sample, Summary, Usage, Window};
use crate::proc;
use crate::report::{Report, Sinks};
use crate::server::Server;
use crate::table::workload_section;
use crate::workload::Workload;
use crate::wrk::{self, Wrk};

/// What `measure` reports as JSON.
#[derive(Debug, Serialize)]
struct Findings {
    cores: Cores,
    baseline: String,
    rounds: u32,
    seconds: u64,
    workloads: Vec<Workload>,
    summaries: Vec<Summary>,
    samples: Vec<Sample>,
}

pub(crate) fn run(args: &MeasureArgs, interrupt: &Interrupt) -> Result<()> {
    wrk::version()?;
    let cores = Cores {
        server: args.placement.server_core,
        load: args.load_core,
    };
    proc::check_core_allowed(cores.server)?;
    proc::check_core_allowed(cores.load)?;
    if cores.server == cores.load {
        eprintln!(
            "warning: server and load share core {}; only CPU per request can be compared",
            cores.server
        );
    }
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let workloads = catalogue.workloads(&args.workloads)?;
    catalogue
        .contenders(std::slice::from_ref(&args.baseline))
        .context("--baseline")?;
    let sinks = Sinks::open(&args.output, "measure")?;
    let field = super::build(&catalogue, &args.selection, interrupt)?;
    verify_all(&field.built, &workloads, cores.server, interrupt)?;

    let session = Session {
        args,
        cores,
        catalogue: &catalogue,
        interrupt,
    };
    let mut samples = Vec::new();
    let outcome = session.measure_all(&field.built, &workloads, &mut samples);
    if samples.is_empty() {
        return outcome;
    }

    let names: Vec<String> = field.built.iter().map(|contender| contender.name.clone()).collect();
    let sections: Vec<String> = workloads
        .iter()
        .map(|workload| workload_section(workload, &samples, &names, &args.baseline))
        .collect();
    let summaries = workloads.iter().flat_map(|workload| {
        names
            .iter()
            .filter_map(|name| Summary::of(&samples, workload, name, &args.baseline))
            .collect::<Vec<_>>()
    });
    let findings = Findings {
        cores,
        baseline: args.baseline.clone(),
        rounds: args.rounds,
        seconds: args.duration,
        summaries: summaries.collect(),
        workloads: workloads.clone(),
        samples,
    };
    let failed: u64 = findings.samples.iter().map(|sample| sample.wrk.errors).sum();
    let machine = Machine::inspect(catalogue.directory());
    let report = Report::new("Side by side under load", machine, field.built, field.skipped, findings);
    sinks.write(&mut std::io::stdout(), &report, &sections.join("\n"))?;
    outcome.context("the report stops where this happened")?;
    ensure!(failed == 0, "{failed} requests failed; see the report");
    Ok(())
}

/// What stays the same from window to window.
struct Session<'a> {
    args: &'a MeasureArgs,
    cores: Cores,
    catalogue: &'a Catalogue,
    interrupt: &'a Interrupt,
}

impl Session<'_> {
    /// Measures everything, or until something fails or the user interrupts; what was measured until then is in `samples`.
    fn measure_all(&self, contenders: &[Contender], workloads: &[Workload], samples: &mut Vec<Sample>) -> Result<()> {
        for round in 1..=self.args.rounds {
            let first = (round as usize - 1) % contenders.len();
            for workload in workloads {
                for contender in contenders.iter().cycle().skip(first).take(contenders.len()) {
                    let usage = self.measure_one(contender, workload);
                    if self.interrupt.is_raised() {
                        return Ok(());
                    }
                    let usage = usage.with_context(|| format!("{} under {}", contender.name, workload.name))?;
                    let Some(usage) = usage else { return Ok(()) };
                    let sample = usage.into_sample(&workload.name, &contender.name, round);
                    self.show_progress(&sample);
                    samples.push(sample);
                }
            }
        }
        Ok(())
    }

    /// One window on a fresh server. `None` says that the user interrupted it.
    fn measure_one(&self, contender: &Contender, workload: &Workload) -> Result<Option<Usage>> {
        let mut server = Server::start(contender, self.cores.server, self.interrupt)?;
        let scripts = self.catalogue.scripts();
        let load = |seconds| Wrk {
            workload,
            address: server.address,
            seconds,
            core: self.cores.load,
            scripts: &scripts,
        };
        if self.args.warmup > 0 && load(self.args.warmup).run(self.interrupt)?.is_none() {
            return Ok(None);
        }
        let window = Window::open(server.pid(), self.cores)?;
        let Some((report, wrk_time)) = load(self.args.duration).run(self.interrupt)? else {
            return Ok(None);
        };
        let usage = window.close(report, wrk_time)?;
        server.check_running()?;
        Ok(Some(usage))
    }

    fn show_progress(&self, sample: &Sample) {
        eprintln!(
            "round {}/{} {:<13} {:<12} {:>8.0} requests/s {:>6.2} µs CPU each{}",
            sample.round,
            self.args.rounds,
            sample.workload,
            sample.contender,
            sample.wrk.requests_per_second,
            sample.cpu_us_per_request(),
            sample
                .wrk
                .latency
                .map(|latency| format!(", p50 {:.0} µs", latency.p50_us))
                .unwrap_or_default(),
        );
    }
}
