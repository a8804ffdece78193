//! One contender under one workload in one round: what a timed window saw.

use serde::{Deserialize, Serialize};

/// One timed window. What a "request" is, the workload's [`Kind`](super::Kind) says. Shares are parts of one core over the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    pub(crate) workload: String,
    pub(crate) contender: String,
    /// Counted from 1.
    pub(crate) round: u32,
    /// Requests per second that the open loop asked for; `None` in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offered_rate: Option<f64>,
    /// Requests that got the right answer.
    pub(crate) requests: u64,
    /// Requests that got a wrong one or none.
    pub(crate) errors: u64,
    /// Right answers per second.
    pub(crate) requests_per_second: f64,
    /// `None` where a latency says nothing, as with pipelining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_per_request: Option<CpuPerRequest>,
    /// CPU time of the server's process over the window, all threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_busy: Option<f64>,
    /// CPU time of the load generator over the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load_busy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) noise: Option<Noise>,
    /// Counted in a window of its own, because counting slows a server down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) system_calls_per_request: Option<f64>,
    /// The server's resident memory at the end of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resident_kib: Option<u64>,
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
    /// How often the server cut one of the slow heads beside the requests, from before the warm-up on; `None` without such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slow_heads_cut: Option<u64>,
}

/// Latencies in µs: from the intended send time in an open loop, from the send otherwise; for fan-out from publishing to delivery.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    /// `None` if the window saw too few requests to tell, as in the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p999_us: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p9999_us: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_us: Option<f64>,
    /// The whole distribution, ascending, for a curve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) curve: Vec<Point>,
}

/// A share of the requests, 0 to 100, and the latency that this share stayed within.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    pub(crate) percentile: f64,
    pub(crate) us: f64,
}

/// The server's CPU time over the window, divided by the right answers.
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

/// What anything but the two sides took of their cores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Noise {
    pub(crate) others_on_server_core: f64,
    pub(crate) others_on_load_core: f64,
    /// What the hypervisor kept, the larger share of the two cores.
    pub(crate) stolen: f64,
}

/// What held connections cost the server's process in memory; what the kernel keeps for its sockets is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// Connections that were opened; each of them made one request.
    pub(crate) held: u64,
    /// Those that the server had not closed at the end.
    pub(crate) still_open: u64,
    /// Resident memory before the first connection.
    pub(crate) empty_resident_kib: u64,
    /// How far the process's proportional share of memory grew, divided by the connections.
    pub(crate) proportional_kib_each: f64,
    pub(crate) private_kib_each: f64,
    pub(crate) resident_kib_each: f64,
}

/// What the server did while nobody said anything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Idleness {
    pub(crate) watch_seconds: f64,
    pub(crate) cpu_us: f64,
    /// How often one of its threads was put on a core.
    pub(crate) wake_ups: u64,
}

/// Deliveries to subscribers that connected from the publisher's core, and from the other one. A server of two shards that steers by
/// core has them on the publisher's shard and on the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hop {
    pub(crate) near_p50_us: f64,
    pub(crate) far_p50_us: f64,
    pub(crate) near_p99_us: f64,
    pub(crate) far_p99_us: f64,
}

/// Subscribers that did not read while the window was open, and read all that waited for them after it. The sample's other figures are
/// those of the subscribers that went on reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slow {
    pub(crate) stalled: u64,
    /// The most that the server's memory grew in the window, divided by them.
    pub(crate) memory_kib_each: f64,
    /// What everybody's p99 was before the window, while all read.
    pub(crate) quiet_p99_us: f64,
    /// Messages that reached the stalled ones in the end.
    pub(crate) received: u64,
    /// Messages that the server told them they missed.
    pub(crate) told: u64,
    /// Those whose connection the server ended.
    pub(crate) closed: u64,
    /// Messages that neither came nor were told to be missing, to those whose connection was not ended.
    pub(crate) unaccounted: u64,
    /// How many messages the server counted as missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted_by_server: Option<u64>,
}

/// Messages published to many. A sample's `requests` are the deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FanOut {
    pub(crate) subscribers: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// Deliveries that never came.
    pub(crate) lost: u64,
    /// Deliveries that came twice or out of order.
    #[serde(default)]
    pub(crate) disordered: u64,
}
