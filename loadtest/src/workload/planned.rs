//! The generator plans of a workload: one, or one for each rate of a sweep.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};

use crate::contender::Service;
use crate::load::plan::{Echo, Expectation, FanOut, Kind, Plan, Request};
use crate::load::target::{Scheme, Target};

use super::timing::Timing;
use super::{Load, Workload};
use crate::load::websocket::deflate;
use crate::measurement::Cores;

/// Open loop: requests in flight on one connection; more would be pipelining, which browsers and proxies avoid.
const OPEN_LOOP_PIPELINE: usize = 1;

/// The longest time for an answer; long, because a saturated server in an open loop answers late without failing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for a transfer: 100 downloads of 100 MiB share the bandwidth of one core.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(120);

impl Workload {
    /// Returns the plans against the server at `address`, each with its offered rate in an open loop.
    pub(crate) fn plans(&self, address: SocketAddr, cores: Cores, timing: Timing) -> Vec<(Option<f64>, Plan)> {
        let plan = |scheme, kind, timing: Timing| Plan {
            connections: self.subscribers_or_connections(),
            warmup: timing.warmup,
            duration: timing.window,
            timeout: self.timeout(),
            cores: vec![cores.load],
            expect: Expectation {
                status: self.expect.as_ref().map_or(200, |expect| expect.status),
                body: self.expect.as_ref().and_then(super::Expectation::answer),
            },
            slow_heads: self.slow_heads(),
            handshakes: self.handshakes(),
            request: self.request(),
            ..Plan::new(
                Target::at(scheme, address, self.path()).over_tls(self.is_secure()),
                kind,
            )
        };
        let transfers = |kind, requests| Plan {
            requests: Some(requests),
            ..plan(Scheme::Http, kind, Timing::transfers())
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
            Load::Download { requests, .. } => vec![(None, transfers(Kind::ClosedLoop { pipeline: 1 }, *requests))],
            Load::Upload {
                upload_bytes, requests, ..
            } => vec![(None, transfers(Kind::Upload { bytes: *upload_bytes }, *requests))],
            // Each connection sends one request, so a warm-up has no effect.
            Load::Idle { .. } => vec![(None, plan(Scheme::Http, Kind::Hold, timing.without_warmup()))],
            Load::Echo { message_bytes, .. } => {
                let echo = Echo {
                    message_bytes: *message_bytes,
                    pipeline: 1,
                    rate: None,
                };
                vec![(None, plan(Scheme::WebSocket, Kind::Echo(echo), timing))]
            }
            Load::WebsocketIdle { deflate, .. } => {
                let mut hold = plan(Scheme::WebSocket, Kind::Hold, timing.without_warmup());
                hold.request.headers.extend(deflate.then(deflate::offer));
                vec![(None, hold)]
            }
            Load::FanOut { burst, .. } => vec![(None, plan(self.scheme(), fan_out(*burst, 0), timing))],
            Load::Hop { .. } => vec![(None, plan(Scheme::WebSocket, fan_out(1, 0), timing))],
            Load::Slow { stalled, windows, .. } => {
                let slow = timing.slow(*windows);
                vec![(None, plan(Scheme::WebSocket, fan_out(1, *stalled), slow))]
            }
        }
    }

    fn request(&self) -> Request {
        Request {
            method: match self.load {
                Load::Upload { .. } => Method::POST,
                _ => Method::GET,
            },
            headers: self.accept_encoding().into_iter().collect(),
            body: Vec::new(),
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

    /// Returns the longest time for an answer.
    pub(super) fn timeout(&self) -> Duration {
        match self.load {
            Load::Download { .. } | Load::Upload { .. } => TRANSFER_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        }
    }

    /// Returns the request field that accepts the coding of the answer, if it has one.
    pub(crate) fn accept_encoding(&self) -> Option<(HeaderName, HeaderValue)> {
        let coding = self.expect.as_ref()?.coding?;
        Some((header::ACCEPT_ENCODING, HeaderValue::from_static(coding.name())))
    }

    /// Returns the scheme of the URL of a request or of the subscribers.
    pub(super) fn scheme(&self) -> Scheme {
        match self.service_of_load() {
            Service::WebsocketEcho | Service::WebsocketFanOut => Scheme::WebSocket,
            _ => Scheme::Http,
        }
    }

    /// Returns the publish path, the messages per second and their length; `None` without a publisher.
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

    /// Returns the number of further connections that never finish a request head.
    pub(super) fn slow_heads(&self) -> usize {
        match self.load {
            Load::Rate { slow_heads, .. } => slow_heads,
            _ => 0,
        }
    }

    /// Returns the number of further clients that complete handshakes.
    pub(super) fn handshakes(&self) -> usize {
        match self.load {
            Load::Rate { handshakes, .. } => handshakes,
            _ => 0,
        }
    }

    /// Returns the connections of a plan, without the publisher, slow heads and handshakes.
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
