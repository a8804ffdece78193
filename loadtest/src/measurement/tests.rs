//! Tests of samples, computed from literal readings.

use super::*;
use crate::load::run_result::Errors;

/// Makes readings of a second in which the server used 50 ms in user mode and 450 ms in the kernel.
fn usage() -> Usage {
    let core = |idle| CoreTime {
        idle: Duration::from_millis(idle),
        stolen: Duration::from_millis(20),
    };
    Usage {
        elapsed: Duration::from_secs(1),
        server: ProcessTime {
            user: Duration::from_millis(50),
            system: Duration::from_millis(450),
        },
        server_runs: RunTime {
            running: Duration::from_micros(700),
            runs: 9,
        },
        memory: memory(2200),
        peak: PeakMemory { resident_kib: 9000 },
        load: Duration::from_millis(500),
        server_core: core(80),
        load_core: core(380),
    }
}

fn memory(kib: u64) -> Memory {
    Memory {
        resident_kib: kib + 100,
        proportional_kib: kib,
        private_kib: kib / 2,
    }
}

fn outcome(requests: u64) -> RunResult {
    RunResult {
        elapsed_seconds: 1.0,
        requests,
        requests_per_second: requests as f64,
        warmup_requests: 0,
        late_requests: 0,
        unanswered: 0,
        unsent: 0,
        errors: Errors {
            reset: 2,
            ..Errors::default()
        },
        bytes_received: 0,
        bytes_sent: 0,
        connections_opened: 1000,
        latency: Some(LatencySummary {
            count: requests,
            mean_us: 15.0,
            min_us: 5.0,
            p50_us: 10.0,
            p75_us: 12.0,
            p90_us: 20.0,
            p99_us: 30.0,
            p99_9_us: 40.0,
            p99_99_us: 50.0,
            max_us: 60.0,
            curve: vec![(50.0, 10.0), (100.0, 60.0)],
        }),
        still_open: Some(999),
        fan_out: None,
        slow_heads: None,
        handshakes: None,
        interrupted: false,
    }
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn window_is_divided_by_requests_and_by_time() {
    let sample = sample(Kind::Capacity, &outcome(100_000), memory(0), &usage());
    let cpu = sample.cpu_per_request.unwrap();
    assert!(close(cpu.user_us, 0.5) && close(cpu.system_us, 4.5), "{cpu:?}");
    assert_eq!((sample.requests, sample.errors), (100_000, 2));
    assert_eq!((sample.server_busy, sample.load_busy), (Some(0.5), Some(0.5)));
    let noise = sample.noise.unwrap();
    assert!(close(noise.others_on_server_core, 0.4), "{noise:?}");
    assert!(close(noise.others_on_load_core, 0.1), "{noise:?}");
    assert!(close(noise.stolen, 0.02));
    assert_eq!(sample.resident_kib, Some(2300));
    assert_eq!((sample.connections, sample.idleness), (None, None));
}

#[test]
fn growth_of_transfers_is_the_peak_above_the_empty_process() {
    let growth = |kind| sample(kind, &outcome(3), memory(1000), &usage()).peak_growth_kib;
    assert_eq!(growth(Kind::Transfer), Some(9000 - 1100));
    assert_eq!(growth(Kind::Capacity), None);
}

#[test]
fn high_percentiles_need_enough_requests() {
    let nines = |requests| {
        let sample = sample(Kind::Latency, &outcome(requests), memory(0), &usage());
        let latency = sample.latency.unwrap();
        (latency.p999_us, latency.p9999_us)
    };
    assert_eq!(nines(999), (None, None));
    assert_eq!(nines(1000), (Some(40.0), None));
    assert_eq!(nines(10_000), (Some(40.0), Some(50.0)));
    let pipelined = sample(Kind::Pipelined, &outcome(10_000), memory(0), &usage());
    assert_eq!(pipelined.latency, None);
}

#[test]
fn memory_growth_is_divided_by_the_connections_held() {
    let sample = sample(Kind::Idle, &outcome(0), memory(1000), &usage());
    let held = sample.connections.unwrap();
    assert_eq!((held.held, held.still_open, held.empty_resident_kib), (1000, 999, 1100));
    assert!(
        close(held.proportional_kib_each, 1.2) && close(held.private_kib_each, 0.6),
        "{held:?}"
    );
    assert!(close(held.resident_kib_each, 1.2));
    let idle = sample.idleness.unwrap();
    assert!(close(idle.cpu_us, 700.0) && close(idle.watch_seconds, 1.0), "{idle:?}");
    assert_eq!(idle.wake_ups, 9);
    assert_eq!(
        (sample.requests, sample.cpu_per_request, sample.latency),
        (1000, None, None)
    );
}

#[test]
fn deliveries_and_losses_add_up() {
    let mut outcome = outcome(195);
    outcome.fan_out = Some(Deliveries {
        subscribers: 10,
        told: 0,
        quiet_latency: None,
        by_core: Vec::new(),
        stalled: None,
        published: 20,
        lost: 5,
        duplicated: 1,
        out_of_order: 2,
        publisher_lag: None,
    });
    let sample = sample(Kind::FanOut, &outcome, memory(0), &usage());
    let told = sample.fan_out.unwrap();
    assert_eq!((told.delivered, told.lost, told.disordered), (195, 5, 3));
}

#[test]
fn window_without_an_answer_is_an_error() {
    let error = ensure_answers(&outcome(0), Kind::Capacity).unwrap_err().to_string();
    assert!(error.contains("errors: 2 reset"), "{error}");
    ensure_answers(&outcome(0), Kind::Idle).unwrap();
    ensure_answers(&outcome(1), Kind::Capacity).unwrap();
}
