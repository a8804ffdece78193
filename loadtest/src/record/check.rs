//! The checks of a record: each contradiction is an error that names it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{Kind, Latency, Record, Sample, Workload};

impl Record {
    /// Fails with the first contradiction in the record.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.version == super::VERSION,
            "the version is {}, not {}",
            self.version,
            super::VERSION
        );
        ensure!(self.rounds > 0, "the number of rounds is 0");
        ensure_figure("window_seconds", self.window_seconds)?;
        ensure_figure("warmup_seconds", self.warmup_seconds)?;
        ensure!(self.window_seconds > 0.0, "window_seconds is 0");
        each_once("workload", self.workloads.iter().map(|workload| &workload.name))?;
        each_once("contender", self.contenders.iter().map(|contender| &contender.name))?;
        self.check_skipped()?;
        self.check_baseline()?;
        let mut windows = BTreeSet::new();
        for sample in &self.samples {
            let Sample {
                workload,
                contender,
                round,
                ..
            } = sample;
            self.check_sample(sample)
                .with_context(|| format!("{contender} under {workload}, round {round}"))?;
            let rate = sample.offered_rate.map(f64::to_bits);
            ensure!(
                windows.insert((workload, contender, round, rate)),
                "{contender} under {workload}, round {round}, was measured twice"
            );
        }
        Ok(())
    }

    fn check_skipped(&self) -> Result<()> {
        for skipped in &self.skipped {
            let name = &skipped.name;
            match &skipped.workload {
                None => ensure!(
                    self.participant(name).is_none(),
                    "{name} both took part and was skipped"
                ),
                Some(workload) => ensure!(
                    self.workload(workload).is_some(),
                    "{name} was skipped under the unknown workload `{workload}`"
                ),
            }
        }
        Ok(())
    }

    fn check_baseline(&self) -> Result<()> {
        let is_known = self.participant(&self.baseline).is_some()
            || self.skipped.iter().any(|skipped| skipped.name == self.baseline);
        ensure!(is_known, "the baseline `{}` is not among the contenders", self.baseline);
        Ok(())
    }

    fn check_sample(&self, sample: &Sample) -> Result<()> {
        ensure!(
            self.participant(&sample.contender).is_some(),
            "the contender did not take part"
        );
        let workload = self.workload(&sample.workload).context("the workload is unknown")?;
        ensure!(
            (1..=self.rounds).contains(&sample.round),
            "the record has only {} rounds",
            self.rounds
        );
        check_figures(sample)?;
        check_kind(sample, workload)?;
        sample.latency.as_ref().map_or(Ok(()), check_latency)
    }

    fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.name == name)
    }
}

fn each_once<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        ensure!(!name.is_empty(), "a {what} has an empty name");
        ensure!(seen.insert(name), "the {what} `{name}` is listed twice");
    }
    Ok(())
}

/// Fails if a measured figure is negative or not finite.
fn check_figures(sample: &Sample) -> Result<()> {
    let cpu = sample.cpu_per_request;
    let noise = sample.noise;
    let connections = sample.connections;
    let figures = [
        ("offered_rate", sample.offered_rate),
        ("requests_per_second", Some(sample.requests_per_second)),
        ("user_us", cpu.map(|cpu| cpu.user_us)),
        ("system_us", cpu.map(|cpu| cpu.system_us)),
        ("server_busy", sample.server_busy),
        ("load_busy", sample.load_busy),
        ("others_on_server_core", noise.map(|noise| noise.others_on_server_core)),
        ("others_on_load_core", noise.map(|noise| noise.others_on_load_core)),
        ("stolen", noise.map(|noise| noise.stolen)),
        ("system_calls_per_request", sample.system_calls_per_request),
        ("received_bytes_each", sample.received_bytes_each),
        (
            "proportional_kib_each",
            connections.map(|held| held.proportional_kib_each),
        ),
        ("private_kib_each", connections.map(|held| held.private_kib_each)),
        ("resident_kib_each", connections.map(|held| held.resident_kib_each)),
        ("near_p50_us", sample.hop.map(|hop| hop.near_p50_us)),
        ("far_p50_us", sample.hop.map(|hop| hop.far_p50_us)),
        ("memory_kib_each", sample.slow.map(|slow| slow.memory_kib_each)),
        ("quiet_p99_us", sample.slow.map(|slow| slow.quiet_p99_us)),
        ("cpu_us", sample.idleness.map(|idle| idle.cpu_us)),
        ("watch_seconds", sample.idleness.map(|idle| idle.watch_seconds)),
    ];
    for (name, figure) in figures {
        figure.map_or(Ok(()), |figure| ensure_figure(name, figure))?;
    }
    if let Some(idle) = sample.idleness {
        ensure!(idle.watch_seconds > 0.0, "watch_seconds is 0");
    }
    Ok(())
}

fn ensure_figure(name: &str, figure: f64) -> Result<()> {
    ensure!(figure.is_finite() && figure >= 0.0, "{name} is {figure}");
    Ok(())
}

fn check_kind(sample: &Sample, workload: &Workload) -> Result<()> {
    let is_open_loop = matches!(workload.kind, Kind::Sweep | Kind::Rate);
    ensure!(
        !is_open_loop || sample.offered_rate.is_some_and(|rate| rate > 0.0),
        "an open loop needs an offered rate"
    );
    ensure!(
        workload.kind != Kind::Pipelined || sample.latency.is_none(),
        "a pipelined workload must not have a latency"
    );
    if let Some(fan_out) = sample.fan_out {
        let is_fan_out = matches!(workload.kind, Kind::FanOut | Kind::Hop | Kind::Slow);
        ensure!(is_fan_out, "only a fan-out can have deliveries");
        let due = u128::from(fan_out.subscribers) * u128::from(fan_out.published);
        let accounted = u128::from(fan_out.delivered) + u128::from(fan_out.lost);
        ensure!(
            accounted <= due,
            "{accounted} deliveries arrived or were lost, but only {due} were due"
        );
    }
    if let Some(held) = sample.connections {
        ensure!(
            held.still_open <= held.held,
            "{} connections are still open out of {}",
            held.still_open,
            held.held
        );
    }
    Ok(())
}

fn check_latency(latency: &Latency) -> Result<()> {
    let known = [
        Some(latency.p50_us),
        Some(latency.p90_us),
        Some(latency.p99_us),
        latency.p999_us,
        latency.p9999_us,
        latency.max_us,
    ];
    let mut before = 0.0;
    for us in known.into_iter().flatten() {
        ensure_figure("a latency", us)?;
        ensure!(
            us >= before,
            "a higher percentile of latency is lower: {us} µs after {before} µs"
        );
        before = us;
    }
    let (mut percentile, mut before) = (0.0, 0.0);
    for point in &latency.curve {
        ensure_figure("a latency", point.us)?;
        ensure!(
            (0.0..=100.0).contains(&point.percentile),
            "a percentile must be between 0 and 100, not {}",
            point.percentile
        );
        ensure!(
            point.percentile >= percentile && point.us >= before,
            "the latency curve falls at percentile {}",
            point.percentile
        );
        (percentile, before) = (point.percentile, point.us);
    }
    Ok(())
}
