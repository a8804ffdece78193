//! `compare`: builds the contenders, checks their answers, measures them side by side, and writes a record and a
//! report.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::args::CompareArgs;
use crate::catalogue::Catalogue;
use crate::comparison::{self, Comparison, Findings, Settings, schedule};
use crate::contenders::Contenders;
use crate::descriptors;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::measurement::Cores;
use crate::proc;
use crate::record::{self, Record};
use crate::report;
use crate::shell;
use crate::syscalls;
use crate::workload::{Timing, Workload};

/// The longest time from the first server to the last in a quick comparison: ten minutes minus the report.
const QUICK_BUDGET: Duration = Duration::from_secs(540);

/// The most rounds of a quick comparison; its short windows make further rounds pointless.
const QUICK_ROUNDS_MAX: u32 = 3;

const QUICK_TIMING: Timing = Timing {
    warmup: Duration::from_millis(150),
    window: Duration::from_millis(700),
};

const FULL_TIMING: Timing = Timing {
    warmup: Duration::from_secs(1),
    window: Duration::from_secs(5),
};

const FULL_ROUNDS: u32 = 5;

/// The record's file name in the output folder.
const RECORD_FILE: &str = "record.json";

pub(crate) fn run(args: &CompareArgs, interrupt: &Interrupt) -> Result<()> {
    let cores = args.placement.cores();
    proc::check_core_allowed(cores.server)?;
    proc::check_core_allowed(cores.load)?;
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let mut workloads = catalogue.workloads(&args.workloads)?;
    if args.quick && args.workloads.is_empty() {
        workloads.retain(Workload::is_quick);
    }
    for workload in &workloads {
        let connections = u32::try_from(workload.connections())?;
        descriptors::check_room(connections).with_context(|| format!("workload {}", workload.name))?;
    }
    catalogue
        .contenders(std::slice::from_ref(&args.baseline))
        .context("--baseline")?;
    let output = Output::prepare(&args.output)?;

    // The builds do not count against the time of a quick comparison.
    let contenders = catalogue.contenders(&args.selection.contenders)?;
    let mut contenders = Contenders::prepare(contenders, &workloads, args.selection.no_build, interrupt)?;
    let started = Instant::now();
    contenders.verify(&workloads, cores, interrupt)?;
    let mut remarks = opening_remarks(args, cores);
    let counts_system_calls = can_count_system_calls(&mut remarks);
    let settings = settings(args, started, counts_system_calls, &contenders, &workloads);
    let minutes = comparison::length(&contenders, &workloads, &settings)
        .as_secs()
        .div_ceil(60);
    eprintln!("rounds: {}; estimated length: {minutes} min", settings.rounds);
    let findings = Comparison::new(settings, &workloads, &mut contenders, interrupt).run();
    ensure!(!findings.samples.is_empty(), "the comparison measured no window");
    remarks.extend(findings.remarks.iter().cloned());
    let record = Record {
        remarks,
        baseline: args.baseline.clone(),
        machine: Machine::inspect(catalogue.directory()),
        ..recorded(&settings, &workloads, contenders, findings)
    };
    output.write(&record)
}

/// Returns the caveats that follow from the command line.
fn opening_remarks(args: &CompareArgs, cores: Cores) -> Vec<String> {
    let mut remarks = Vec::new();
    if args.quick {
        remarks.push(
            "a quick comparison: short windows and few rounds; differences of a few per cent are noise".to_owned(),
        );
    }
    if cores.server == cores.load {
        let core = cores.server;
        remarks.push(format!(
            "server and load shared core {core}: only CPU per request is comparable"
        ));
    }
    remarks.iter().for_each(|remark| eprintln!("note: {remark}"));
    remarks
}

fn can_count_system_calls(remarks: &mut Vec<String>) -> bool {
    let Err(reason) = syscalls::check() else {
        return true;
    };
    let remark = format!("system calls were not counted: {reason:#}");
    eprintln!("note: {remark}");
    remarks.push(remark);
    false
}

/// Returns the settings; a quick comparison gets as many rounds as fit into its time.
fn settings(
    args: &CompareArgs,
    started: Instant,
    counts_system_calls: bool,
    contenders: &Contenders,
    workloads: &[Workload],
) -> Settings {
    let timing = if args.quick { QUICK_TIMING } else { FULL_TIMING };
    let settings = Settings {
        cores: args.placement.cores(),
        timing: Timing {
            warmup: args.warmup.unwrap_or(timing.warmup),
            window: args.duration.unwrap_or(timing.window),
        },
        rounds: args.rounds.unwrap_or(FULL_ROUNDS),
        is_quick: args.quick,
        deadline: args.quick.then_some(started + QUICK_BUDGET),
        counts_system_calls,
    };
    if !args.quick || args.rounds.is_some() {
        return settings;
    }
    let budget = QUICK_BUDGET.saturating_sub(started.elapsed());
    let rounds = schedule::rounds_within(budget, QUICK_ROUNDS_MAX, |round| {
        let all = Settings {
            rounds: QUICK_ROUNDS_MAX,
            ..settings
        };
        comparison::round_length(contenders, workloads, &all, round)
    });
    Settings { rounds, ..settings }
}

fn recorded(settings: &Settings, workloads: &[Workload], contenders: Contenders, findings: Findings) -> Record {
    let has_samples = |workload: &&Workload| findings.samples.iter().any(|sample| sample.workload == workload.name);
    let is_named = |workload: &&Workload| {
        contenders
            .skipped
            .iter()
            .any(|skipped| skipped.workload.as_ref() == Some(&workload.name))
    };
    Record {
        version: record::VERSION,
        title: "Side by side".to_owned(),
        remarks: Vec::new(),
        command: own_command(),
        date: httpdate::fmt_http_date(SystemTime::now()),
        machine: Machine::default(),
        cores: record::Cores {
            server: vec![settings.cores.server],
            load: vec![settings.cores.load],
        },
        rounds: settings.rounds,
        window_seconds: settings.timing.window.as_secs_f64(),
        warmup_seconds: settings.timing.warmup.as_secs_f64(),
        baseline: String::new(),
        workloads: workloads
            .iter()
            .filter(|workload| has_samples(workload) || is_named(workload))
            .map(|workload| workload.recorded(settings.cores, settings.timing))
            .collect(),
        contenders: contenders
            .ready
            .iter()
            .map(crate::contender::Contender::participant)
            .collect(),
        skipped: contenders.skipped,
        samples: findings.samples,
    }
}

/// The output folder, created before the measurement so that a wrong path fails in seconds.
struct Output {
    folder: PathBuf,
}

impl Output {
    fn prepare(folder: &Path) -> Result<Self> {
        let writable = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            tempfile::tempfile_in(folder)?;
            Ok(())
        };
        writable().with_context(|| format!("could not write into {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes the record and the report, and prints the tables.
    fn write(&self, record: &Record) -> Result<()> {
        let path = self.folder.join(RECORD_FILE);
        record.write(&path)?;
        let written = report::write(record, &self.folder)?;
        let tables = report::markdown(record);
        std::io::stdout()
            .write_all(tables.as_bytes())
            .context("could not write to standard output")?;
        for path in std::iter::once(path).chain(written) {
            eprintln!("wrote {}", path.display());
        }
        Ok(())
    }
}

/// Returns the command line without the program's path, which may hold a user name.
fn own_command() -> String {
    let name = std::iter::once(env!("CARGO_PKG_NAME").to_owned());
    let words: Vec<String> = name.chain(std::env::args().skip(1)).collect();
    shell::typed(&words)
}
