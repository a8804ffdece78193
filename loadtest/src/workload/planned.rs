//! A workload as the load generator's plans: one, or one for each rate of a sweep.

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::plan::{Echo, Expectation, FanOut, Kind, Plan};
use crate::load::target::{Scheme, Target};

use super::{Load, Workload};
use crate::load::websocket::deflate;
use crate::measurement::Cores;

/// Open loop: requests in flight on one connection. More than one would be pipelining, which browsers and proxies do not do.
const OPEN_LOOP_PIPELINE: usize = 1;

/// How long a request may go unanswered. A server past its capacity in an open loop answers late, and that is no failure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a window is, and what comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) warmup: Duration,
    pub(crate) window: Duration,
}

impl Timing {
    /// A timing for questions whose answer does not depend on it.
    pub(crate) const NOMINAL: Self = Self {
        warmup: Duration::ZERO,
        window: Duration::from_secs(1),
    };

    /// That of a window in which subscribers stall: as long as so many, behind a warm-up in whose latter half everybody reads as quietly as they
    /// will ever do.
    pub(super) fn slow(self, windows: u32) -> Self {
        let window = self.window * windows;
        Self {
            warmup: self.warmup.max(window / 4),
            window,
        }
    }
}

impl Workload {
    /// What the generator, pinned to one of the `cores`, is to do with the server at `address`, and the offered rate if there is one.
    pub(crate) fn plans(&self, address: SocketAddr, cores: Cores, timing: Timing) -> Vec<(Option<f64>, Plan)> {
        let plan = |scheme, kind, timing: Timing| Plan {
            connections: self.subscribers_or_connections(),
            warmup: timing.warmup,
            duration: timing.window,
            timeout: ANSWER_TIMEOUT,
            cores: vec![cores.load],
            expect: Expectation {
                status: self.expect.as_ref().map_or(200, |expect| expect.status),
                body: self.expect.as_ref().map(|expect| expect.body.clone().into_bytes()),
            },
            slow_heads: self.slow_heads(),
            ..Plan::new(Target::at(scheme, address, self.path()), kind)
        };
        let http = |kind| plan(Scheme::Http, kind, timing);
        let open = |rate| {
            let kind = Kind::OpenLoop {
                rate,
                pipeline: OPEN_LOOP_PIPELINE,
            };
            (Some(rate), http(kind))
        };
        let fan_out = |burst, stalled| self.fan_out(address, cores, burst, stalled);
        match &self.load {
            Load::Capacity { .. } | Load::Latency { .. } => vec![(None, http(Kind::ClosedLoop { pipeline: 1 }))],
            Load::Pipelined { pipeline, .. } => vec![(None, http(Kind::ClosedLoop { pipeline: *pipeline }))],
            Load::Rate {
                requests_per_second, ..
            } => vec![open(*requests_per_second)],
            Load::Sweep { rates, .. } => rates.iter().copied().map(open).collect(),
            Load::Churn { .. } => vec![(None, http(Kind::Churn))],
            Load::Idle { .. } => {
                // There is nothing to warm up: each connection says one thing.
                let silent = Timing {
                    warmup: Duration::ZERO,
                    ..timing
                };
                vec![(None, plan(Scheme::Http, Kind::Hold, silent))]
            }
            Load::Echo { message_bytes, .. } => {
                let echo = Echo {
                    message_bytes: *message_bytes,
                    pipeline: 1,
                    rate: None,
                };
                vec![(None, plan(Scheme::WebSocket, Kind::Echo(echo), timing))]
            }
            Load::WebsocketIdle { deflate, .. } => {
                let silent = Timing {
                    warmup: Duration::ZERO,
                    ..timing
                };
                let mut hold = plan(Scheme::WebSocket, Kind::Hold, silent);
                hold.request.headers.extend(deflate.then(deflate::offer));
                vec![(None, hold)]
            }
            Load::FanOut { burst, .. } => vec![(None, plan(Scheme::WebSocket, fan_out(*burst, 0), timing))],
            Load::Hop { .. } => vec![(None, plan(Scheme::WebSocket, fan_out(1, 0), timing))],
            Load::Slow { stalled, windows, .. } => {
                let slow = timing.slow(*windows);
                vec![(None, plan(Scheme::WebSocket, fan_out(1, *stalled), slow))]
            }
        }
    }

    fn fan_out(&self, address: SocketAddr, cores: Cores, burst: usize, stalled: usize) -> Kind {
        let (publish_path, rate, message_bytes) = self.publishing().unwrap_or_default();
        Kind::FanOut(FanOut {
            publish: Target::at(Scheme::WebSocket, address, publish_path),
            message_bytes,
            rate: Some(rate),
            burst,
            stalled,
            statistics: None,
            connect_cores: vec![cores.server, cores.load],
        })
    }

    /// Where messages are published, how many a second, and how long they are; nothing where none are.
    pub(super) fn publishing(&self) -> Option<(&str, f64, usize)> {
        match &self.load {
            Load::FanOut {
                publish_path,
                messages_per_second,
                message_bytes,
                ..
            }
            | Load::Hop {
                publish_path,
                messages_per_second,
                message_bytes,
                ..
            }
            | Load::Slow {
                publish_path,
                messages_per_second,
                message_bytes,
                ..
            } => Some((publish_path, *messages_per_second, *message_bytes)),
            _ => None,
        }
    }

    /// Connections beside the load whose heads never become whole.
    pub(super) fn slow_heads(&self) -> usize {
        match self.load {
            Load::Rate { slow_heads, .. } => slow_heads,
            _ => 0,
        }
    }

    /// Connections as a plan counts them, which leaves a publisher and slow heads out.
    pub(super) fn subscribers_or_connections(&self) -> usize {
        match self.load {
            Load::FanOut { subscribers, .. } | Load::Hop { subscribers, .. } | Load::Slow { subscribers, .. } => {
                subscribers
            }
            Load::Rate { connections, .. } => connections,
            _ => self.connections(),
        }
    }
}
