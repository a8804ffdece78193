//! A comparison: measures each contender under its workloads, interleaved over rounds, with a fresh server process for
//! each run.
//!
//! A failed run drops its contender from that workload only. An interrupt or the deadline ends the comparison, and what
//! was measured until then is recorded.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::contender::Contender;
use crate::contenders::Contenders;
use crate::interrupt::Interrupt;
use crate::load::Plan;
use crate::measurement::{Cores, Subject};
use crate::record::{Kind, Noise, Sample};
use crate::server::Server;
use crate::workload::{Timing, Workload};

mod progress;
pub(crate) mod schedule;

use schedule::{ScheduledRun, WorkloadSchedule};

/// The window in which system calls are counted; their number per request is stable, so a short one suffices.
const COUNTING: Timing = Timing {
    warmup: Duration::from_millis(50),
    window: Duration::from_millis(250),
};

/// How often a disturbed run is repeated: twice. A disturbance of a second or two is over then; a machine that is busy
/// all the time does not make a comparison endless.
const REPEATS_MAX: u32 = 2;

/// The share of an offered rate below which a server is past saturation, and a sweep skips the higher rates.
const KEPT_UP: f64 = 0.95;

/// The settings of a comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) cores: Cores,
    pub(crate) timing: Timing,
    pub(crate) rounds: u32,
    pub(crate) is_quick: bool,
    /// No run starts after this moment.
    pub(crate) deadline: Option<Instant>,
    pub(crate) counts_system_calls: bool,
}

/// A running comparison.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    settings: Settings,
    workloads: &'a [Workload],
    contenders: &'a mut Contenders,
    interrupt: &'a Interrupt,
    samples: Vec<Sample>,
    remarks: Vec<String>,
    /// Runs that were repeated because others disturbed them.
    repeats: u32,
    /// Dropped pairs: an index into `workloads` and one into `contenders.ready`.
    given_up: Vec<(usize, usize)>,
}

/// The results of a comparison.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) samples: Vec<Sample>,
    /// Caveats for the reader.
    pub(crate) remarks: Vec<String>,
}

/// How a run ended.
enum RunEnd {
    Measured(Vec<Sample>),
    Interrupted,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(
        settings: Settings,
        workloads: &'a [Workload],
        contenders: &'a mut Contenders,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            settings,
            workloads,
            contenders,
            interrupt,
            samples: Vec::new(),
            remarks: Vec::new(),
            repeats: 0,
            given_up: Vec::new(),
        }
    }

    /// Executes all runs, until the deadline or an interrupt.
    pub(crate) fn run(mut self) -> Findings {
        let runs = schedule::interleave(&entries(self.contenders, self.workloads, &self.settings));
        for (index, run) in runs.iter().enumerate() {
            if self.given_up.contains(&(run.workload, run.contender)) {
                continue;
            }
            if self.is_over_time() {
                let left = runs.len() - index;
                self.remark(format!(
                    "the time ran out in round {}: {left} runs were skipped",
                    run.round
                ));
                break;
            }
            let Some(workload) = self.workloads.get(run.workload) else {
                continue;
            };
            let Some(contender) = self.contenders.ready.get(run.contender).cloned() else {
                continue;
            };
            match self.take(*run, workload, &contender) {
                Ok(RunEnd::Measured(samples)) => {
                    progress::show(index + 1, runs.len(), &samples, workload.kind());
                    self.samples.extend(samples);
                }
                Ok(RunEnd::Interrupted) => return self.interrupted(*run),
                Err(_) if self.interrupt.is_raised() => return self.interrupted(*run),
                Err(error) => self.give_up(*run, workload, &contender, &error),
            }
        }
        self.into_findings()
    }

    /// Executes one run, and again while others disturb it; returns the quietest attempt.
    fn take(&mut self, run: ScheduledRun, workload: &Workload, contender: &Contender) -> Result<RunEnd> {
        let RunEnd::Measured(mut quietest) = self.attempt(run, workload, contender)? else {
            return Ok(RunEnd::Interrupted);
        };
        for _ in 0..REPEATS_MAX {
            if disturbance(&quietest) <= Noise::DISTURBANCE_MAX || self.is_over_time() {
                break;
            }
            self.repeats += 1;
            let RunEnd::Measured(again) = self.attempt(run, workload, contender)? else {
                return Ok(RunEnd::Interrupted);
            };
            if disturbance(&again) < disturbance(&quietest) {
                quietest = again;
            }
        }
        Ok(RunEnd::Measured(quietest))
    }

    fn is_over_time(&self) -> bool {
        self.settings
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Executes one attempt of a run on a fresh server: the timed windows, and in the first round the one that counts system calls.
    fn attempt(&mut self, run: ScheduledRun, workload: &Workload, contender: &Contender) -> Result<RunEnd> {
        let Settings {
            cores,
            timing,
            counts_system_calls,
            ..
        } = self.settings;
        let mut server = Server::start(contender, &self.contenders.files.path(), cores, self.interrupt)?;
        // Before the first connection: this reads the memory of the empty process.
        let subject = Subject::new(server.pids()?, cores, contender.spans_cores)?;
        let mut samples = Vec::new();
        for (offered_rate, plan) in workload.plans(server.address, cores, timing) {
            let plan = plan.with_statistics(contender.statistics_path.as_deref());
            let sample = subject.sample(workload.kind(), &plan, self.interrupt);
            let sample = match sample {
                Ok(Some(sample)) => sample,
                Ok(None) => return Ok(RunEnd::Interrupted),
                Err(error) => {
                    // If the server died, its own message is the better reason.
                    server.check_running()?;
                    if samples.is_empty() {
                        return Err(error);
                    }
                    // The lower rates of a sweep remain valid.
                    self.remark(format!(
                        "{} under {} stopped early in round {}: {error:#}",
                        contender.name, workload.name, run.round
                    ));
                    return Ok(RunEnd::Measured(samples));
                }
            };
            let keeps_up = offered_rate.is_none_or(|rate| sample.requests_per_second >= rate * KEPT_UP);
            samples.push(Sample {
                workload: workload.name.clone(),
                contender: contender.name.clone(),
                round: run.round,
                offered_rate,
                received_bytes_each: sample.received_bytes_each.filter(|_| workload.has_coding()),
                ..sample
            });
            if !keeps_up {
                break;
            }
        }
        // After the timed windows, because counting slows the server down.
        if counts_system_calls && run.round == 1 && counts_calls_of(workload.kind()) {
            match self.count_system_calls(&subject, &server, workload) {
                Ok(Some(calls)) => samples
                    .iter_mut()
                    .for_each(|sample| sample.system_calls_per_request = Some(calls)),
                Ok(None) => return Ok(RunEnd::Interrupted),
                // The timed windows remain valid.
                Err(error) => self.remark(format!(
                    "system calls of {} under {} were not counted: {error:#}",
                    contender.name, workload.name
                )),
            }
        }
        server.check_running()?;
        Ok(RunEnd::Measured(samples))
    }

    fn count_system_calls(&self, subject: &Subject, server: &Server, workload: &Workload) -> Result<Option<f64>> {
        let plans = workload.plans(server.address, self.settings.cores, COUNTING);
        let (_, plan): &(_, Plan) = plans.first().context("the workload has no plan")?;
        subject.count_system_calls(plan, self.interrupt)
    }

    /// Drops a contender from a workload; its samples of earlier rounds stay.
    fn give_up(&mut self, run: ScheduledRun, workload: &Workload, contender: &Contender, error: &anyhow::Error) {
        self.given_up.push((run.workload, run.contender));
        let has_samples = self
            .samples
            .iter()
            .any(|sample| sample.workload == workload.name && sample.contender == contender.name);
        if has_samples {
            self.remark(format!(
                "{} under {} ended in round {}: {error:#}",
                contender.name, workload.name, run.round
            ));
        } else {
            self.contenders.skip(contender, Some(workload), error);
        }
    }

    fn interrupted(mut self, run: ScheduledRun) -> Findings {
        self.remark(format!("the run was interrupted in round {}", run.round));
        self.into_findings()
    }

    fn remark(&mut self, remark: String) {
        eprintln!("note: {remark}");
        self.remarks.push(remark);
    }

    fn into_findings(mut self) -> Findings {
        if self.repeats > 0 {
            self.remark(format!(
                "{} runs were repeated, because others took more than {:.0} % of the server's core; the quietest attempt counts",
                self.repeats,
                Noise::DISTURBANCE_MAX * 100.0
            ));
        }
        Findings {
            samples: self.samples,
            remarks: self.remarks,
        }
    }
}

/// The worst disturbance of a run's windows.
fn disturbance(samples: &[Sample]) -> f64 {
    let noises = samples.iter().filter_map(|sample| sample.noise);
    noises.map(Noise::disturbance).fold(0.0, f64::max)
}

/// Whether a further window in which system calls are counted makes sense.
fn counts_calls_of(kind: Kind) -> bool {
    !matches!(kind, Kind::Idle | Kind::Sweep | Kind::Slow | Kind::Transfer)
}

/// Estimates the length of the whole comparison.
pub(crate) fn length(contenders: &Contenders, workloads: &[Workload], settings: &Settings) -> Duration {
    (1..=settings.rounds)
        .map(|round| round_length(contenders, workloads, settings, round))
        .sum()
}

/// Estimates the length of one round.
pub(crate) fn round_length(
    contenders: &Contenders,
    workloads: &[Workload],
    settings: &Settings,
    round: u32,
) -> Duration {
    let entries = entries(contenders, workloads, settings);
    let lengths = workloads
        .iter()
        .zip(&entries)
        .filter(|(_, entry)| round <= entry.rounds);
    let lengths = lengths.map(|(workload, entry)| {
        let counting = if settings.counts_system_calls && round == 1 {
            COUNTING.warmup + COUNTING.window
        } else {
            Duration::ZERO
        };
        let run = schedule::length(workload, settings.timing) + counting;
        run * u32::try_from(entry.contenders.len()).unwrap_or(u32::MAX)
    });
    lengths.sum()
}

fn entries(contenders: &Contenders, workloads: &[Workload], settings: &Settings) -> Vec<WorkloadSchedule> {
    let entry = |workload: &Workload| {
        let takes_part = contenders
            .ready
            .iter()
            .map(|contender| contenders.takes_part(contender, workload));
        WorkloadSchedule {
            rounds: workload.rounds(settings.rounds, settings.is_quick),
            contenders: takes_part
                .enumerate()
                .filter(|(_, takes_part)| *takes_part)
                .map(|(place, _)| place)
                .collect(),
        }
    };
    workloads.iter().map(entry).collect()
}
