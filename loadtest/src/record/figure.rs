//! The figures of a sample, each with its heading and unit; tables and charts are lists of figures.

use super::{Kind, Sample};

/// A figure that a sample may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Throughput,
    /// User and system together.
    Cpu,
    User,
    System,
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
    SystemCalls,
    ServerBusy,
    /// Proportional memory, so that shared pages do not count once per process.
    ConnectionMemory,
    EmptyMemory,
    IdleCpu,
    WakeUps,
    Lost,
    /// Of deliveries to subscribers on the publisher's core.
    NearP50,
    /// Of deliveries to subscribers on the other core.
    FarP50,
    QuietP99,
    /// Memory growth per stalled subscriber.
    SlowMemory,
    Unaccounted,
    Closed,
    /// How often the server closed a slow head.
    SlowHeadsCut,
    /// The peak of resident memory above that of the empty process.
    PeakGrowth,
    /// Head included.
    AnswerBytes,
}

impl Figure {
    /// Returns the figure in `sample`; `None` if not measured.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        let latency = sample.latency.as_ref();
        match self {
            Self::Throughput => Some(sample.requests_per_second),
            Self::Cpu => sample.cpu_per_request.map(super::CpuPerRequest::total_us),
            Self::User => sample.cpu_per_request.map(|cpu| cpu.user_us),
            Self::System => sample.cpu_per_request.map(|cpu| cpu.system_us),
            Self::P50 => latency.map(|latency| latency.p50_us),
            Self::P90 => latency.map(|latency| latency.p90_us),
            Self::P99 => latency.map(|latency| latency.p99_us),
            Self::P999 => latency.and_then(|latency| latency.p999_us),
            Self::P9999 => latency.and_then(|latency| latency.p9999_us),
            Self::Max => latency.and_then(|latency| latency.max_us),
            Self::SystemCalls => sample.system_calls_per_request,
            Self::ServerBusy => sample.server_busy.map(|share| share * 100.0),
            Self::ConnectionMemory => sample.connections.map(|held| held.proportional_kib_each),
            Self::EmptyMemory => sample.connections.map(|held| held.empty_resident_kib as f64 / 1024.0),
            Self::IdleCpu => sample.idleness.map(|idle| idle.cpu_us / idle.watch_seconds),
            Self::WakeUps => sample.idleness.map(|idle| idle.wake_ups as f64 / idle.watch_seconds),
            Self::Lost => sample.fan_out.map(|fan_out| fan_out.lost as f64),
            Self::NearP50 => sample.hop.map(|hop| hop.near_p50_us),
            Self::FarP50 => sample.hop.map(|hop| hop.far_p50_us),
            Self::QuietP99 => sample.slow.map(|slow| slow.quiet_p99_us),
            Self::SlowMemory => sample.slow.map(|slow| slow.memory_kib_each),
            Self::Unaccounted => sample.slow.map(|slow| slow.unaccounted as f64),
            Self::Closed => sample.slow.map(|slow| slow.closed as f64),
            Self::SlowHeadsCut => sample.slow_heads_cut.map(|cut| cut as f64),
            Self::PeakGrowth => sample.peak_growth_kib.map(|kib| kib as f64 / 1024.0),
            Self::AnswerBytes => sample.received_bytes_each,
        }
    }

    /// Whether it is a time in µs, or a time per second.
    pub(crate) fn is_time(self) -> bool {
        match self {
            Self::Cpu
            | Self::User
            | Self::System
            | Self::P50
            | Self::P90
            | Self::P99
            | Self::P999
            | Self::P9999
            | Self::Max
            | Self::IdleCpu
            | Self::NearP50
            | Self::FarP50
            | Self::QuietP99 => true,
            Self::Throughput
            | Self::SystemCalls
            | Self::ServerBusy
            | Self::ConnectionMemory
            | Self::EmptyMemory
            | Self::WakeUps
            | Self::Lost
            | Self::SlowMemory
            | Self::Unaccounted
            | Self::Closed
            | Self::SlowHeadsCut
            | Self::PeakGrowth
            | Self::AnswerBytes => false,
        }
    }

    /// Returns its column heading, with the unit; times carry their units in the cells.
    pub(crate) fn heading(self, kind: Kind) -> String {
        match self {
            Self::Throughput => format!("{}/s", kind.units()),
            Self::Cpu => format!("CPU/{}", kind.unit()),
            Self::User => "user".to_owned(),
            Self::System => "system".to_owned(),
            Self::P50 => "p50".to_owned(),
            Self::P90 => "p90".to_owned(),
            Self::P99 => "p99".to_owned(),
            Self::P999 => "p99.9".to_owned(),
            Self::P9999 => "p99.99".to_owned(),
            Self::Max => "max".to_owned(),
            Self::SystemCalls => format!("system calls/{}", kind.unit()),
            Self::ServerBusy => "busy %".to_owned(),
            Self::ConnectionMemory => "KiB/connection".to_owned(),
            Self::EmptyMemory => "empty process MiB".to_owned(),
            Self::IdleCpu => "idle CPU/s".to_owned(),
            Self::WakeUps => "wake-ups/s".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::NearP50 => "p50, same core".to_owned(),
            Self::FarP50 => "p50, other core".to_owned(),
            Self::QuietP99 => "p99 while all read".to_owned(),
            Self::SlowMemory => "KiB/stalled subscriber".to_owned(),
            Self::Unaccounted => "unaccounted for".to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::SlowHeadsCut => "slow heads cut".to_owned(),
            Self::PeakGrowth => "peak growth MiB".to_owned(),
            Self::AnswerBytes => "bytes/answer".to_owned(),
        }
    }

    /// Returns its name inside a sentence.
    pub(crate) fn phrase(self, kind: Kind) -> String {
        match self {
            Self::Throughput => "throughput".to_owned(),
            Self::Cpu => format!("CPU per {}", kind.unit()),
            Self::User => format!("user time per {}", kind.unit()),
            Self::System => format!("system time per {}", kind.unit()),
            Self::P50 => "median latency".to_owned(),
            Self::P90 | Self::P99 | Self::P999 | Self::P9999 | Self::Max => {
                format!("{} latency", self.heading(kind))
            }
            Self::SystemCalls => format!("system calls per {}", kind.unit()),
            Self::ServerBusy => "server load".to_owned(),
            Self::ConnectionMemory => "memory per connection".to_owned(),
            Self::EmptyMemory => "memory of the empty process".to_owned(),
            Self::IdleCpu => "CPU while idle".to_owned(),
            Self::WakeUps => "wake-ups while idle".to_owned(),
            Self::Lost => "lost deliveries".to_owned(),
            Self::NearP50 => "median latency on the same core".to_owned(),
            Self::FarP50 => "median latency to the other core".to_owned(),
            Self::QuietP99 => "p99 latency while all read".to_owned(),
            Self::SlowMemory => "memory per stalled subscriber".to_owned(),
            Self::Unaccounted => "deliveries unaccounted for".to_owned(),
            Self::Closed => "closed subscribers".to_owned(),
            Self::SlowHeadsCut => "slow heads cut".to_owned(),
            Self::PeakGrowth => "growth of resident memory".to_owned(),
            Self::AnswerBytes => "length of an answer".to_owned(),
        }
    }
}

impl Kind {
    /// Returns the figure that ranks contenders; lower is better for all kinds.
    pub(crate) fn main_figure(self) -> Figure {
        match self {
            Self::Capacity | Self::Pipelined | Self::Churn | Self::Transfer | Self::Echo | Self::FanOut => Figure::Cpu,
            Self::Latency => Figure::P50,
            Self::Hop => Figure::FarP50,
            Self::Rate | Self::Sweep | Self::Slow => Figure::P99,
            Self::Idle => Figure::ConnectionMemory,
        }
    }
}
