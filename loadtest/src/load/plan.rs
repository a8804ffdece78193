//! The plan of one run: the target, the kind of load, its length, and the expected answer.
//!
//! A plan is plain data; the command line and `compare` both make one. [`Plan::check`] rejects contradictions before
//! the run starts.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::{HeaderName, HeaderValue, Method};

use super::content::Content;
use super::target::{Scheme, Target};

/// The most connections of one run.
const CONNECTIONS_MAX: usize = 1_000_000;

/// The most handshakes at a time beside a load; each has a thread.
const HANDSHAKES_MAX: usize = 256;

/// The most requests in flight on one connection.
const PIPELINE_MAX: usize = 1024;

/// The longest duration, warm-up or timeout.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The highest rate per second; beyond it, distances in the schedule approach the clock's nanosecond.
const RATE_MAX: f64 = 100e6;

/// The longest WebSocket message; each thread keeps one in memory.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Length of the stamp at the start of a published message: its number and its due time, 64 bits each.
pub(crate) const STAMP_BYTES: usize = 16;

/// Length of the same stamp in hexadecimal digits, for event streams, which carry only text.
pub(crate) const TEXT_STAMP_BYTES: usize = 2 * STAMP_BYTES;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    /// Connections, all threads together.
    pub(crate) connections: usize,
    /// Length of the timed window, at most.
    pub(crate) duration: Duration,
    /// The requests after which the window ends earlier, failed ones included; `None` for no such end.
    pub(crate) requests: Option<u64>,
    /// Load before the window; no figure includes it.
    pub(crate) warmup: Duration,
    /// The longest time for a connection to open, and for an answer.
    pub(crate) timeout: Duration,
    pub(crate) threads: usize,
    /// Cores the threads are pinned to, round-robin; empty leaves them unpinned.
    pub(crate) cores: Vec<usize>,
    pub(crate) request: Request,
    pub(crate) expect: Expectation,
    /// HTTP: further connections that never finish a request head, opened before the warm-up; request figures exclude
    /// them.
    pub(crate) slow_heads: usize,
    /// HTTP over TLS: further connections that complete a handshake and close, again and again, beside the load.
    pub(crate) handshakes: usize,
}

/// The kind of load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// HTTP: each connection keeps `pipeline` requests in flight and sends the next when an answer arrives.
    ClosedLoop { pipeline: usize },
    /// HTTP: `rate` requests per second are due over all connections, whether or not the server keeps up. Latency
    /// counts from when a request was due. At most `pipeline` are in flight on one connection.
    OpenLoop { rate: f64, pipeline: usize },
    /// HTTP: a new connection for each request; latency counts from the start of connecting.
    Churn,
    /// HTTP or WebSocket: one request or one opening handshake on each connection, which then stays open and silent for
    /// the duration.
    Hold,
    /// HTTP: one connection sends requests with a content of this many bytes, one after another.
    Upload { bytes: u64 },
    /// WebSocket: the server returns each message; closed loop, or a rate per second over all connections.
    Echo(Echo),
    /// One WebSocket publishes, and all other connections receive each message: WebSockets or event streams, by the
    /// scheme of [`Plan::target`].
    FanOut(FanOut),
}

/// WebSocket echo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Echo {
    pub(crate) message_bytes: usize,
    /// Messages in flight on one connection.
    pub(crate) pipeline: usize,
    /// Messages per second over all connections; `None` for a closed loop.
    pub(crate) rate: Option<f64>,
}

impl Default for Echo {
    /// One message of 64 bytes at a time.
    fn default() -> Self {
        Self {
            message_bytes: 64,
            pipeline: 1,
            rate: None,
        }
    }
}

/// A fan-out; `Plan::connections` subscribe at `Plan::target`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FanOut {
    /// The URL the publisher connects to, at the same server.
    pub(crate) publish: Target,
    /// Length of a message; at least [`STAMP_BYTES`], or [`TEXT_STAMP_BYTES`] for event streams.
    pub(crate) message_bytes: usize,
    /// Messages published per second; `None` publishes the next burst when all subscribers have received the last one.
    pub(crate) rate: Option<f64>,
    /// Messages published at once; the rate stays the same.
    pub(crate) burst: usize,
    /// Subscribers beyond `Plan::connections` that do not read in the timed window and read the backlog after it.
    pub(crate) stalled: usize,
    /// A path on the publisher's server that returns JSON with the number of messages its subscribers `missed`.
    pub(crate) statistics: Option<String>,
    /// Cores to connect from, round-robin, the publisher from the first: a server that steers connections by core then
    /// has them on different shards. Empty leaves the connecting thread where it is.
    pub(crate) connect_cores: Vec<usize>,
}

/// The request, besides its target.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

/// The expected answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    /// The whole content; `None` accepts any content with correct framing.
    pub(crate) body: Option<Content>,
}

impl Plan {
    /// Returns the same plan that also reads the server's statistics at `path`, if it stalls subscribers.
    pub(crate) fn with_statistics(mut self, path: Option<&str>) -> Self {
        if let Kind::FanOut(fan_out) = &mut self.kind
            && fan_out.stalled > 0
        {
            fan_out.statistics = path.map(str::to_owned);
        }
        self
    }

    /// Returns a plan of `kind` against `target` with the command line's defaults.
    pub(crate) fn new(target: Target, kind: Kind) -> Self {
        Self {
            target,
            kind,
            connections: 64,
            duration: Duration::from_secs(10),
            requests: None,
            warmup: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            threads: 1,
            cores: Vec::new(),
            request: Request {
                method: Method::GET,
                headers: Vec::new(),
                body: Vec::new(),
            },
            expect: Expectation {
                status: 200,
                body: None,
            },
            slow_heads: 0,
            handshakes: 0,
        }
    }

    /// Checks that the parts agree and that each number is within its bounds.
    ///
    /// # Errors
    ///
    /// The first contradiction, in words for the user.
    pub(crate) fn check(&self) -> Result<()> {
        let connections = self.connections;
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&connections),
            "the number of connections must be between 1 and {CONNECTIONS_MAX}, not {connections}"
        );
        ensure!(
            (1..=connections).contains(&self.threads),
            "{} threads cannot share {connections} connections: each thread needs at least one",
            self.threads
        );
        for (name, length) in [("duration", self.duration), ("timeout", self.timeout)] {
            ensure!(!length.is_zero(), "the {name} must be longer than 0");
        }
        for (name, length) in [
            ("duration", self.duration),
            ("warm-up", self.warmup),
            ("timeout", self.timeout),
        ] {
            ensure!(length <= DURATION_MAX, "the {name} must be at most 24 hours");
        }
        ensure!(
            self.slow_heads <= CONNECTIONS_MAX,
            "the number of slow heads must be at most {CONNECTIONS_MAX}, not {}",
            self.slow_heads
        );
        ensure!(
            self.handshakes <= HANDSHAKES_MAX,
            "the number of handshakes must be at most {HANDSHAKES_MAX}, not {}",
            self.handshakes
        );
        ensure!(self.requests != Some(0), "the number of requests must be at least 1");
        ensure!(
            self.requests.is_none() || !matches!(self.kind, Kind::Hold | Kind::FanOut(_)),
            "an idle hold and a fan-out do not end after a number of requests; remove --requests"
        );
        let is_upload = matches!(self.kind, Kind::Upload { .. });
        ensure!(
            !is_upload || (connections == 1 && self.warmup.is_zero() && self.slow_heads == 0),
            "an upload has one connection, no warm-up and no slow heads; set --connections 1 and --warmup 0"
        );
        ensure!(
            !is_upload || self.request.body.is_empty(),
            "an upload has a content of its own; remove --body"
        );
        self.check_scheme()?;
        self.kind.check()
    }

    /// Checks that the target's scheme fits the kind of load and the request.
    fn check_scheme(&self) -> Result<()> {
        let scheme = self.target.scheme;
        let (is_right, needed) = match self.kind {
            Kind::Echo(_) => (scheme == Scheme::WebSocket, "ws://"),
            Kind::Hold | Kind::FanOut(_) => (true, "http:// or ws://"),
            Kind::ClosedLoop { .. } | Kind::OpenLoop { .. } | Kind::Churn | Kind::Upload { .. } => {
                (scheme == Scheme::Http, "http://")
            }
        };
        ensure!(
            is_right,
            "{} must start with {needed} for this kind of load",
            self.target
        );
        let is_secure = self.target.is_secure;
        let plain_alone = matches!(self.kind, Kind::Upload { .. } | Kind::Echo(_) | Kind::FanOut(_));
        ensure!(
            !is_secure || !(plain_alone || self.slow_heads > 0),
            "{}: this kind of load has no TLS; use http://",
            self.target
        );
        ensure!(
            is_secure || self.handshakes == 0,
            "{}: --handshakes needs an https:// target",
            self.target
        );
        let has_requests = scheme == Scheme::Http && !matches!(self.kind, Kind::FanOut(_));
        ensure!(
            has_requests || self.slow_heads == 0,
            "{}: --slow-heads needs an http:// target without --publish",
            self.target
        );
        let is_plain = self.request.method == Method::GET && self.request.body.is_empty() && self.expect.body.is_none();
        ensure!(
            has_requests || is_plain,
            "{}: a WebSocket or an event stream is opened by a GET without a body; remove --method, --body and \
             --expect-body",
            self.target
        );
        if let Kind::FanOut(FanOut { message_bytes, .. }) = &self.kind {
            let stamp_bytes = match scheme {
                Scheme::WebSocket => STAMP_BYTES,
                Scheme::Http => TEXT_STAMP_BYTES,
            };
            ensure!(
                *message_bytes >= stamp_bytes,
                "a published message carries a number and a time: it needs {stamp_bytes} bytes or more, not \
                 {message_bytes}"
            );
        }
        Ok(())
    }
}

impl Kind {
    /// Returns what the results count, in the plural.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::ClosedLoop { .. } | Self::OpenLoop { .. } | Self::Churn | Self::Hold | Self::Upload { .. } => {
                "requests"
            }
            Self::Echo(_) => "messages",
            Self::FanOut(_) => "deliveries",
        }
    }

    fn check(&self) -> Result<()> {
        let (rate, pipeline) = match self {
            Self::ClosedLoop { pipeline } => (None, *pipeline),
            Self::OpenLoop { rate, pipeline } => (Some(*rate), *pipeline),
            Self::Churn | Self::Hold | Self::Upload { .. } => (None, 1),
            Self::Echo(echo) => (echo.rate, echo.pipeline),
            Self::FanOut(fan_out) => (fan_out.rate, fan_out.burst),
        };
        let message_bytes = match self {
            Self::Echo(echo) => echo.message_bytes,
            Self::FanOut(fan_out) => fan_out.message_bytes,
            _ => 0,
        };
        ensure!(
            message_bytes <= MESSAGE_BYTES_MAX,
            "a message must have at most {MESSAGE_BYTES_MAX} bytes, not {message_bytes}"
        );
        if let Self::FanOut(fan_out) = self {
            ensure!(
                fan_out.publish.scheme == Scheme::WebSocket,
                "{} must start with ws:// for this kind of load",
                fan_out.publish
            );
        }
        ensure!(
            (1..=PIPELINE_MAX).contains(&pipeline),
            "requests in flight on a connection must be between 1 and {PIPELINE_MAX}, not {pipeline}"
        );
        if let Some(rate) = rate {
            ensure!(
                rate > 0.0 && rate <= RATE_MAX,
                "the rate must be more than 0 and at most {RATE_MAX:e} per second, not {rate}"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: Kind) -> Plan {
        Plan::new("http://localhost/".parse().unwrap(), kind)
    }

    fn fan_out(message_bytes: usize, burst: usize) -> Plan {
        let target: Target = "ws://localhost/".parse().unwrap();
        let kind = Kind::FanOut(FanOut {
            publish: target.clone(),
            message_bytes,
            rate: None,
            burst,
            stalled: 0,
            statistics: None,
            connect_cores: Vec::new(),
        });
        Plan::new(target, kind)
    }

    #[test]
    fn default_plans_are_consistent() {
        plan(Kind::ClosedLoop { pipeline: 1 }).check().unwrap();
        fan_out(16, 1).check().unwrap();
        let events = Plan {
            target: "http://localhost/".parse().unwrap(),
            ..fan_out(32, 1)
        };
        events.check().unwrap();
    }

    fn assert_rejected(plan: &Plan, mistake: &str) {
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(mistake), "{error}");
    }

    #[test]
    fn contradictions_are_named() {
        let closed = || plan(Kind::ClosedLoop { pipeline: 1 });
        for (plan, mistake) in [
            (
                Plan {
                    connections: 0,
                    ..closed()
                },
                "number of connections",
            ),
            (
                Plan {
                    connections: 2,
                    threads: 3,
                    ..closed()
                },
                "3 threads cannot share 2",
            ),
            (Plan { threads: 0, ..closed() }, "0 threads"),
            (
                Plan {
                    duration: Duration::ZERO,
                    ..closed()
                },
                "the duration must be longer",
            ),
            (
                Plan {
                    timeout: Duration::ZERO,
                    ..closed()
                },
                "the timeout must be longer",
            ),
            (
                Plan {
                    warmup: Duration::from_secs(100_000),
                    ..closed()
                },
                "the warm-up must be at most 24 hours",
            ),
            (
                Plan {
                    requests: Some(0),
                    ..closed()
                },
                "the number of requests must be at least 1",
            ),
            (
                Plan {
                    requests: Some(1),
                    ..plan(Kind::Hold)
                },
                "remove --requests",
            ),
        ] {
            assert_rejected(&plan, mistake);
        }
    }

    #[test]
    fn contradictions_of_a_kind_are_named() {
        let closed = || plan(Kind::ClosedLoop { pipeline: 1 });
        let open = |rate| plan(Kind::OpenLoop { rate, pipeline: 1 });
        for (plan, mistake) in [
            (plan(Kind::Upload { bytes: 1 }), "an upload has one connection"),
            (plan(Kind::ClosedLoop { pipeline: 0 }), "in flight"),
            (open(0.0), "the rate must be"),
            (open(-1.0), "the rate must be"),
            (open(f64::NAN), "the rate must be"),
            (open(f64::INFINITY), "the rate must be"),
            (
                plan(Kind::Echo(Echo {
                    message_bytes: 1,
                    pipeline: 1,
                    rate: None,
                })),
                "must start with ws://",
            ),
            (fan_out(15, 1), "16 bytes or more, not 15"),
            (
                Plan {
                    target: "http://localhost/".parse().unwrap(),
                    ..fan_out(31, 1)
                },
                "32 bytes or more, not 31",
            ),
            (fan_out(MESSAGE_BYTES_MAX + 1, 1), "bytes, not 16777217"),
            (fan_out(64, 0), "in flight"),
            (
                Plan {
                    request: Request {
                        body: b"body".to_vec(),
                        ..closed().request
                    },
                    ..fan_out(64, 1)
                },
                "a GET without a body",
            ),
        ] {
            assert_rejected(&plan, mistake);
        }
    }
}
