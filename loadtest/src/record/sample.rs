//! A sample: the figures of one timed window, of one contender under one workload in one round.

use serde::{Deserialize, Serialize};

/// One timed window. The workload's [`Kind`](super::Kind) defines a "request"; shares are fractions of one core over
/// the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    pub(crate) workload: String,
    pub(crate) contender: String,
    /// Counted from 1.
    pub(crate) round: u32,
    /// Requests per second that the open loop offered; `None` in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offered_rate: Option<f64>,
    /// Requests with a correct answer.
    pub(crate) requests: u64,
    /// Requests with a wrong answer or without one.
    pub(crate) errors: u64,
    /// Correct answers per second.
    pub(crate) requests_per_second: f64,
    /// `None` with pipelining, where it would be the latency of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_per_request: Option<CpuPerRequest>,
    /// CPU time of the server's processes, as a share of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_busy: Option<f64>,
    /// CPU time of the load generator, as a share of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load_busy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) noise: Option<Noise>,
    /// Counted in a separate window, because counting slows the server down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) system_calls_per_request: Option<f64>,
    /// The server's resident memory at the end of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resident_kib: Option<u64>,
    /// The peak of the server's resident memory above that of the empty process; only for transfers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peak_growth_kib: Option<u64>,
    /// Bytes received for each answer, head included; only with a content coding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) received_bytes_each: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<Connections>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idleness: Option<Idleness>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fan_out: Option<FanOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hop: Option<Hop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<Slow>,
    /// How often the server closed a slow head, warm-up included; `None` without slow heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slow_heads_cut: Option<u64>,
}

/// Latencies in µs: from the due time in an open loop, from the send in a closed loop, from publishing to delivery in a
/// fan-out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    /// `None` below 1,000 requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p999_us: Option<f64>,
    /// `None` below 10,000 requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p9999_us: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_us: Option<f64>,
    /// The whole distribution, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) curve: Vec<Point>,
}

/// A percentile from 0 to 100 and its latency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    pub(crate) percentile: f64,
    pub(crate) us: f64,
}

/// The server's CPU time in the window, divided by the correct answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CpuPerRequest {
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
}

impl CpuPerRequest {
    pub(crate) fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }
}

/// The share of both cores that other processes and the hypervisor took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Noise {
    pub(crate) others_on_server_core: f64,
    pub(crate) others_on_load_core: f64,
    /// The share that the hypervisor took, the larger of the two cores.
    pub(crate) stolen: f64,
}

impl Noise {
    /// The disturbance above which a run is repeated and a record warns: 10 % of a core.
    pub(crate) const DISTURBANCE_MAX: f64 = 0.1;

    /// The share that disturbs the server's figures.
    ///
    /// The load's core does not count, because the server's CPU time is judged. The kernel's own work on a core that
    /// often sleeps counts as that of others.
    pub(crate) fn disturbance(self) -> f64 {
        self.others_on_server_core.max(self.stolen)
    }
}

/// The server's memory for idle connections, without the kernel's socket buffers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// Opened connections, each after one HTTP request or one WebSocket handshake.
    pub(crate) held: u64,
    /// Connections still open at the end.
    pub(crate) still_open: u64,
    /// Resident memory before the first connection.
    pub(crate) empty_resident_kib: u64,
    /// Growth of the proportional memory, divided by the connections.
    pub(crate) proportional_kib_each: f64,
    pub(crate) private_kib_each: f64,
    pub(crate) resident_kib_each: f64,
}

/// The server's activity while all connections were silent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Idleness {
    pub(crate) watch_seconds: f64,
    pub(crate) cpu_us: f64,
    /// How often one of its threads was scheduled on a core.
    pub(crate) wake_ups: u64,
}

/// Latencies of deliveries to subscribers on the publisher's core (near) and on the other core (far).
///
/// A server of two shards that steers connections by core has them on the publisher's shard and on the other one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hop {
    pub(crate) near_p50_us: f64,
    pub(crate) far_p50_us: f64,
    pub(crate) near_p99_us: f64,
    pub(crate) far_p99_us: f64,
}

/// Stalled subscribers, which did not read in the window and read the backlog after it.
///
/// The sample's other figures cover only the subscribers that read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slow {
    pub(crate) stalled: u64,
    /// The largest growth of the server's memory in the window, divided by the stalled subscribers.
    pub(crate) memory_kib_each: f64,
    /// The p99 in the latter half of the warm-up, while all subscribers read.
    pub(crate) quiet_p99_us: f64,
    /// Messages the stalled subscribers received in the end.
    pub(crate) received: u64,
    /// Messages the server announced to them as missed.
    pub(crate) told: u64,
    /// Stalled subscribers whose connection the server closed.
    pub(crate) closed: u64,
    /// Messages neither received nor announced as missed, over the stalled subscribers still connected.
    pub(crate) unaccounted: u64,
    /// Missed messages by the server's own count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted_by_server: Option<u64>,
}

/// Deliveries of a fan-out; the sample's `requests` count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FanOut {
    pub(crate) subscribers: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// Deliveries that never arrived.
    pub(crate) lost: u64,
    /// Deliveries that were repeated or out of order.
    #[serde(default)]
    pub(crate) disordered: u64,
}
