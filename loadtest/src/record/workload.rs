//! What a server was asked to do: a workload as it was run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Figure;

/// One kind of load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    /// The name of its file, without the extension.
    pub(crate) name: String,
    /// What it is, in a phrase: "/json, 64 connections, one request at a time on each".
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// What it was run with, for a person to read: `connections` is `64`, `path` is `/json`. Names carry their unit last.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    /// The load generator's command that would repeat one window of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

/// What a workload is about, which decides what a "request" is, what figures are shown, and of which one the ratio is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// As many requests as the server answers, in a closed loop: how much work a core does.
    Capacity,
    /// The same with several requests in flight on each connection, where a latency would say nothing.
    Pipelined,
    /// One connection, one request at a time: how soon a single client has its answer.
    Latency,
    /// Requests at one rate in an open loop: how soon everybody has an answer below saturation.
    Rate,
    /// The same at several rates, from idle to past saturation.
    Sweep,
    /// A new connection for each request.
    Churn,
    /// Connections that keep silent.
    Idle,
    /// WebSocket messages that come back.
    Echo,
    /// WebSocket messages published to many subscribers.
    FanOut,
    /// The same now and then, to few subscribers on either core: what the way between cores takes.
    Hop,
    /// The same while some of the subscribers do not read.
    Slow,
}

impl Kind {
    /// What is counted, in the singular: what CPU time is divided by and throughput counts.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Capacity | Self::Pipelined | Self::Latency | Self::Rate | Self::Sweep => "request",
            Self::Churn | Self::Idle => "connection",
            Self::Echo => "message",
            Self::FanOut | Self::Hop | Self::Slow => "delivery",
        }
    }

    /// [`Kind::unit`] in the plural.
    pub(crate) fn units(self) -> &'static str {
        match self.unit() {
            "request" => "requests",
            "connection" => "connections",
            "message" => "messages",
            _ => "deliveries",
        }
    }

    /// The figure that contenders are ranked and compared by; less of it is better in every kind.
    pub(crate) fn main_figure(self) -> Figure {
        match self {
            Self::Capacity | Self::Pipelined | Self::Churn | Self::Echo | Self::FanOut => Figure::Cpu,
            Self::Latency => Figure::P50,
            Self::Hop => Figure::FarP50,
            Self::Rate | Self::Sweep | Self::Slow => Figure::P99,
            Self::Idle => Figure::ConnectionMemory,
        }
    }
}
