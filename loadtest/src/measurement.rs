//! One timed window as a record, and what the windows of all rounds together say.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Pid;
use serde::Serialize;

use crate::proc::{CoreTime, ProcessTime};
use crate::statistics::{InRound, Spread, ratios};
use crate::workload::Workload;
use crate::wrk::WrkReport;

/// Where the two sides of a measurement run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

/// One contender under one workload in one round. Shares are parts of one core over the window, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) workload: String,
    pub(crate) contender: String,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) wrk: WrkReport,
    pub(crate) user_us_per_request: f64,
    pub(crate) system_us_per_request: f64,
    pub(crate) server_busy: f64,
    pub(crate) load_busy: f64,
    /// What anything else took of the two cores.
    pub(crate) others_on_server_core: f64,
    pub(crate) others_on_load_core: f64,
    /// What the hypervisor kept from the two cores, the larger share of the two.
    pub(crate) stolen: f64,
}

impl Sample {
    pub(crate) fn cpu_us_per_request(&self) -> f64 {
        self.user_us_per_request + self.system_us_per_request
    }
}

/// A window in which a server is under load: opened before wrk starts, closed after it ended.
///
/// It takes in wrk's connecting and disconnecting, some 30 µs a connection once, which is under 1 % of a window of seconds.
#[derive(Debug)]
pub(crate) struct Window {
    pid: Pid,
    cores: Cores,
    opened: Instant,
    server: ProcessTime,
    server_core: CoreTime,
    load_core: CoreTime,
}

impl Window {
    pub(crate) fn open(pid: Pid, cores: Cores) -> Result<Self> {
        Ok(Self {
            pid,
            cores,
            opened: Instant::now(),
            server: ProcessTime::read(pid)?,
            server_core: CoreTime::read(cores.server)?,
            load_core: CoreTime::read(cores.load)?,
        })
    }

    /// Closes the window over what wrk did in it and how much CPU time wrk took.
    pub(crate) fn close(self, wrk: WrkReport, load: ProcessTime) -> Result<Usage> {
        let server = ProcessTime::read(self.pid)?.since(self.server);
        let server_core = CoreTime::read(self.cores.server)?.since(self.server_core);
        let load_core = CoreTime::read(self.cores.load)?.since(self.load_core);
        let elapsed = self.opened.elapsed();
        Ok(Usage {
            wrk,
            elapsed,
            server,
            load: load.total(),
            server_core,
            load_core,
        })
    }
}

/// What a window saw, before it is divided by anything.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    pub(crate) wrk: WrkReport,
    elapsed: Duration,
    server: ProcessTime,
    load: Duration,
    server_core: CoreTime,
    load_core: CoreTime,
}

impl Usage {
    pub(crate) fn into_sample(self, workload: &str, contender: &str, round: u32) -> Sample {
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / self.wrk.requests.max(1) as f64;
        let share = |time: Duration| time.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::EPSILON);
        let others = |core: CoreTime, own: Duration| share(core.busy.saturating_sub(own));
        Sample {
            workload: workload.to_owned(),
            contender: contender.to_owned(),
            round,
            user_us_per_request: per_request(self.server.user),
            system_us_per_request: per_request(self.server.system),
            server_busy: share(self.server.total()),
            load_busy: share(self.load),
            others_on_server_core: others(self.server_core, self.server.total()),
            others_on_load_core: others(self.load_core, self.load),
            stolen: share(self.server_core.stolen.max(self.load_core.stolen)),
            wrk: self.wrk,
        }
    }
}

/// What all rounds of one contender under one workload say. Ratios are to the baseline, taken within each round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) workload: String,
    pub(crate) contender: String,
    pub(crate) rounds: usize,
    pub(crate) errors: u64,
    pub(crate) requests_per_second: Spread,
    pub(crate) cpu_us_per_request: Spread,
    pub(crate) user_us_per_request: Spread,
    pub(crate) system_us_per_request: Spread,
    /// `None` when requests were pipelined, as in every latency below.
    pub(crate) latency_p50_us: Option<Spread>,
    pub(crate) latency_p99_us: Option<Spread>,
    pub(crate) server_busy: Spread,
    pub(crate) cpu_ratio: Option<Spread>,
    pub(crate) latency_p50_ratio: Option<Spread>,
}

impl Summary {
    /// Sums up the samples of `contender` under `workload`; `None` if it has none.
    pub(crate) fn of(samples: &[Sample], workload: &Workload, contender: &str, baseline: &str) -> Option<Self> {
        let of = |name: &str| -> Vec<&Sample> {
            samples
                .iter()
                .filter(|sample| sample.workload == workload.name && sample.contender == name)
                .collect()
        };
        let (own, base) = (of(contender), of(baseline));
        let spread = |figure: Figure| Spread::of(own.iter().filter_map(|sample| figure(sample)));
        let ratio = |figure: Figure| ratios(&in_rounds(&own, figure), &in_rounds(&base, figure));
        Some(Self {
            workload: workload.name.clone(),
            contender: contender.to_owned(),
            rounds: own.len(),
            errors: own.iter().map(|sample| sample.wrk.errors).sum(),
            requests_per_second: spread(|sample| Some(sample.wrk.requests_per_second))?,
            cpu_us_per_request: spread(|sample| Some(sample.cpu_us_per_request()))?,
            user_us_per_request: spread(|sample| Some(sample.user_us_per_request))?,
            system_us_per_request: spread(|sample| Some(sample.system_us_per_request))?,
            latency_p50_us: spread(|sample| Some(sample.wrk.latency?.p50_us)),
            latency_p99_us: spread(|sample| Some(sample.wrk.latency?.p99_us)),
            server_busy: spread(|sample| Some(sample.server_busy))?,
            cpu_ratio: ratio(|sample| Some(sample.cpu_us_per_request())),
            latency_p50_ratio: ratio(|sample| Some(sample.wrk.latency?.p50_us)),
        })
    }
}

/// A figure of a sample, if it has that figure.
type Figure = fn(&Sample) -> Option<f64>;

fn in_rounds(samples: &[&Sample], figure: Figure) -> Vec<InRound> {
    let figures = samples.iter().filter_map(|sample| {
        Some(InRound {
            round: sample.round,
            figure: figure(sample)?,
        })
    });
    figures.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wrk::Latency;

    pub(crate) fn workload(measures: &str) -> Workload {
        let form = format!(
            "title = 'The title'\nmeasures = '{measures}'\npath = '/'\nconnections = 1\npipeline = 1\n\
             [expect]\nstatus = 200\ncontent_type = ''\nbody = ''"
        );
        Workload::parse("work", &form).unwrap()
    }

    /// A second in which `requests` were answered with `user` and `system` milliseconds of CPU time.
    pub(crate) fn sample(contender: &str, round: u32, requests: u32, user: u64, system: u64) -> Sample {
        let wrk = WrkReport {
            requests: u64::from(requests),
            requests_per_second: f64::from(requests),
            latency: Some(Latency {
                p50_us: f64::from(round) * 10.0,
                p90_us: 50.0,
                p99_us: 99.0,
            }),
            errors: 0,
        };
        let core = |busy| CoreTime {
            busy: Duration::from_millis(busy),
            stolen: Duration::from_millis(20),
        };
        let usage = Usage {
            wrk,
            elapsed: Duration::from_secs(1),
            server: ProcessTime {
                user: Duration::from_millis(user),
                system: Duration::from_millis(system),
            },
            load: Duration::from_millis(500),
            server_core: core(900),
            load_core: core(600),
        };
        usage.into_sample("work", contender, round)
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn window_is_divided_by_requests_and_by_time() {
        let sample = sample("fast", 1, 100_000, 50, 450);
        assert!(close(sample.user_us_per_request, 0.5));
        assert!(close(sample.system_us_per_request, 4.5));
        assert!(close(sample.cpu_us_per_request(), 5.0));
        assert!(close(sample.server_busy, 0.5));
        assert!(close(sample.others_on_server_core, 0.4), "{sample:?}");
        assert!(close(sample.others_on_load_core, 0.1), "{sample:?}");
        assert!(close(sample.stolen, 0.02));
    }

    #[test]
    fn summary_takes_medians_and_ratios_of_its_own_samples_only() {
        let samples = [
            sample("floor", 1, 100_000, 0, 400),
            sample("fast", 1, 100_000, 100, 400),
            sample("floor", 2, 100_000, 0, 800),
            sample("fast", 2, 50_000, 100, 300),
        ];
        let summary = Summary::of(&samples, &workload("capacity"), "fast", "floor").unwrap();
        assert_eq!(summary.rounds, 2);
        assert!(close(summary.requests_per_second.median, 75_000.0));
        assert!(close(summary.cpu_us_per_request.max, 8.0));
        let ratio = summary.cpu_ratio.unwrap();
        assert!(close(ratio.min, 1.0) && close(ratio.max, 1.25), "{ratio:?}");
        let alone = Summary::of(&samples, &workload("capacity"), "fast", "absent").unwrap();
        assert_eq!(alone.cpu_ratio, None);
        assert_eq!(Summary::of(&samples, &workload("capacity"), "absent", "floor"), None);
    }
}
