//! The progress of a comparison on standard error: one line for each sample.

use crate::record::{Kind, Sample};
use crate::report::time;

/// Prints the samples of run `number` of `count`.
pub(super) fn show(number: usize, count: usize, samples: &[Sample], kind: Kind) {
    for sample in samples {
        eprintln!("{number:>4}/{count} {}", line(sample, kind));
    }
}

fn line(sample: &Sample, kind: Kind) -> String {
    let mut line = format!(
        "round {} {:<17} {:<22}",
        sample.round, sample.workload, sample.contender
    );
    if let Some(held) = sample.connections {
        line += &format!(" {} connections, {:.2} KiB each", held.held, held.proportional_kib_each);
    } else {
        line += &format!(" {:>9.0} {}/s", sample.requests_per_second, kind.units());
    }
    if let Some(rate) = sample.offered_rate {
        line += &format!(" of {rate:.0}");
    }
    if let Some(cpu) = sample.cpu_per_request {
        line += &format!(", {} CPU each", time(cpu.total_us()));
    }
    if let Some(latency) = &sample.latency {
        line += &format!(", p50 {}, p99 {}", time(latency.p50_us), time(latency.p99_us));
    }
    if let Some(calls) = sample.system_calls_per_request {
        line += &format!(", {calls:.2} system calls each");
    }
    if sample.errors > 0 {
        line += &format!(", {} errors", sample.errors);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Connections, CpuPerRequest, Latency};

    #[test]
    fn line_has_only_measured_figures() {
        let sample = Sample {
            workload: "plain".to_owned(),
            contender: "squall".to_owned(),
            round: 2,
            requests_per_second: 1234.5,
            ..Sample::default()
        };
        let text = line(&sample, Kind::Churn);
        assert!(text.starts_with("round 2 plain"), "{text}");
        assert!(text.ends_with("1234 connections/s"), "{text}");
        let full = Sample {
            offered_rate: Some(2000.0),
            cpu_per_request: Some(CpuPerRequest {
                user_us: 1.0,
                system_us: 4.25,
            }),
            latency: Some(Latency {
                p50_us: 10.0,
                p99_us: 2_345.0,
                ..Latency::default()
            }),
            system_calls_per_request: Some(2.0),
            errors: 3,
            ..sample.clone()
        };
        let text = line(&full, Kind::Rate);
        let end =
            "1234 requests/s of 2000, 5.25 µs CPU each, p50 10.0 µs, p99 2.35 ms, 2.00 system calls each, 3 errors";
        assert!(text.ends_with(end), "{text}");
        let idle = Sample {
            connections: Some(Connections {
                held: 100,
                still_open: 100,
                empty_resident_kib: 1,
                proportional_kib_each: 1.5,
                private_kib_each: 1.0,
                resident_kib_each: 2.0,
            }),
            ..sample
        };
        assert!(line(&idle, Kind::Idle).ends_with("100 connections, 1.50 KiB each"));
    }
}
