//! A workload as recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A recorded workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    /// Its file name without the extension.
    pub(crate) name: String,
    /// Its description, such as "/json, 64 connections, one request at a time on each".
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// Its parameters as text, such as `connections`: `64`. Names end with their unit.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    /// The generator command that repeats one window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

/// The kind of a workload, which decides what a "request" is, which figures are shown, and which figure ratios compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A closed loop: the capacity of one core.
    Capacity,
    /// A closed loop with several requests in flight on each connection; it has no latency.
    Pipelined,
    /// One connection, one request at a time: the latency of a single client.
    Latency,
    /// An open loop at one rate: the latency below saturation.
    Rate,
    /// An open loop at several rates, from idle to past saturation.
    Sweep,
    /// A new connection for each request.
    Churn,
    /// A number of long downloads or uploads: their cost and the server's memory.
    Transfer,
    /// Silent connections.
    Idle,
    /// WebSocket messages that the server returns.
    Echo,
    /// Messages published to many subscribers: WebSockets or event streams.
    FanOut,
    /// A slow fan-out to few subscribers on both cores: the latency between cores.
    Hop,
    /// A fan-out while some of the subscribers do not read.
    Slow,
}

impl Kind {
    /// Returns the unit that throughput counts and CPU time is divided by, in the singular.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Capacity | Self::Pipelined | Self::Latency | Self::Rate | Self::Sweep => "request",
            Self::Churn | Self::Idle => "connection",
            Self::Transfer => "transfer",
            Self::Echo => "message",
            Self::FanOut | Self::Hop | Self::Slow => "delivery",
        }
    }

    /// Returns [`Kind::unit`] in the plural.
    pub(crate) fn units(self) -> &'static str {
        match self.unit() {
            "request" => "requests",
            "connection" => "connections",
            "message" => "messages",
            "transfer" => "transfers",
            _ => "deliveries",
        }
    }
}
