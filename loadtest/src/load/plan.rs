//! What a run is asked to do: whom to load, how, for how long, and which answer is right.
//!
//! A plan is plain data, so that the command line and `compare` make the same thing. It is checked as a whole before anything starts.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::{HeaderName, HeaderValue, Method};

use super::target::{Scheme, Target};

/// Connections one run may hold: an address has 28,000 ports to give, and loopback has some 250 sources that are used here.
const CONNECTIONS_MAX: usize = 1_000_000;

/// Requests in flight on one connection.
const PIPELINE_MAX: usize = 1024;

/// The longest run, warm-up and timeout included each.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests or messages per second that can be asked for; beyond it the schedule is finer than a nanosecond clock can tell.
const RATE_MAX: f64 = 100e6;

/// The longest WebSocket message; each thread holds one.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a published message begins with: its number and when it was due, 64 bits each.
pub(crate) const STAMP_BYTES: usize = 16;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    /// Connections, all threads together.
    pub(crate) connections: usize,
    /// Length of the timed window.
    pub(crate) duration: Duration,
    /// Load before the window, which no figure takes in.
    pub(crate) warmup: Duration,
    /// How long a connection may take to open and a request to be answered.
    pub(crate) timeout: Duration,
    pub(crate) threads: usize,
    /// Cores the threads are pinned to, in turn; empty leaves them to the scheduler.
    pub(crate) cores: Vec<usize>,
    pub(crate) request: Request,
    pub(crate) expect: Expectation,
    /// HTTP: further connections whose heads never become whole, from before the warm-up on; no figure of requests takes them in.
    pub(crate) slow_heads: usize,
}

/// In which way the server is loaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// HTTP: each connection keeps `pipeline` requests in flight, and sends the next when one is answered.
    ClosedLoop { pipeline: usize },
    /// HTTP: requests are due at a rate (per second, all connections together), whether or not the server keeps up; latency counts
    /// from the moment a request was due. At most `pipeline` of them are in flight on one connection.
    OpenLoop { rate: f64, pipeline: usize },
    /// HTTP: every request has a connection of its own; latency counts from the start of connecting.
    Churn,
    /// HTTP or WebSocket: one request or handshake on each connection, which is then held in silence for the duration.
    Hold,
    /// WebSocket: messages that come back; as fast as the answers come, or at a rate per second over all connections.
    Echo(Echo),
    /// WebSocket: what one connection publishes, all the others receive.
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

/// WebSocket fan-out; `Plan::connections` subscribe at `Plan::target`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FanOut {
    /// Where the one publisher connects to, at the same server.
    pub(crate) publish: Target,
    /// Length of a message, which has a number and a time in it.
    pub(crate) message_bytes: usize,
    /// Messages published per second; `None` publishes the next burst when everybody has received the last one.
    pub(crate) rate: Option<f64>,
    /// Messages published at once; the rate stays the same.
    pub(crate) burst: usize,
    /// Subscribers, beyond `Plan::connections`, that read nothing in the timed window, and all that waits for them after it.
    pub(crate) stalled: usize,
    /// Where the server tells, as JSON, how many messages subscribers `missed`; a path at the publisher's server.
    pub(crate) statistics: Option<String>,
    /// Cores that connections are made from, in turn, the publisher's from the first: a server that steers connections by the core they
    /// come from has them on different shards. Empty leaves it to the scheduler.
    pub(crate) connect_cores: Vec<usize>,
}

/// What is sent besides the target.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

/// Which answer is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    /// The whole content; `None` accepts any that is framed correctly.
    pub(crate) body: Option<Vec<u8>>,
}

impl Plan {
    /// The same run, which asks the server at `path` what it counts, if it stalls subscribers.
    pub(crate) fn with_statistics(mut self, path: Option<&str>) -> Self {
        if let Kind::FanOut(fan_out) = &mut self.kind
            && fan_out.stalled > 0
        {
            fan_out.statistics = path.map(str::to_owned);
        }
        self
    }

    /// A run of `kind` against `target` with everything else as the command line has it by default.
    pub(crate) fn new(target: Target, kind: Kind) -> Self {
        Self {
            target,
            kind,
            connections: 64,
            duration: Duration::from_secs(10),
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
        }
    }

    /// Fails if the parts contradict each other or a figure is out of bounds, and says which.
    pub(crate) fn check(&self) -> Result<()> {
        let connections = self.connections;
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&connections),
            "the number of connections must be between 1 and {CONNECTIONS_MAX}, not {connections}"
        );
        ensure!(
            (1..=connections).contains(&self.threads),
            "{} threads cannot share {connections} connections: each needs one",
            self.threads
        );
        for (name, length) in [("duration", self.duration), ("timeout", self.timeout)] {
            ensure!(!length.is_zero(), "the {name} must be longer than nothing");
        }
        for (name, length) in [
            ("duration", self.duration),
            ("warm-up", self.warmup),
            ("timeout", self.timeout),
        ] {
            ensure!(length <= DURATION_MAX, "the {name} must be a day at most");
        }
        ensure!(
            self.slow_heads <= CONNECTIONS_MAX,
            "there can be {CONNECTIONS_MAX} slow heads at most, not {}",
            self.slow_heads
        );
        self.check_scheme()?;
        self.kind.check()
    }

    /// Fails if the target does not speak what the kind of load needs, or cannot be sent what is to be sent.
    fn check_scheme(&self) -> Result<()> {
        let scheme = self.target.scheme;
        let (is_right, needed) = match self.kind {
            Kind::Echo(_) | Kind::FanOut(_) => (scheme == Scheme::WebSocket, "ws://"),
            Kind::Hold => (true, "http:// or ws://"),
            Kind::ClosedLoop { .. } | Kind::OpenLoop { .. } | Kind::Churn => (scheme == Scheme::Http, "http://"),
        };
        ensure!(is_right, "{} must start with {needed} here", self.target);
        ensure!(
            scheme == Scheme::Http || self.slow_heads == 0,
            "{}: slow heads are beside HTTP requests only",
            self.target
        );
        let is_plain = self.request.method == Method::GET && self.request.body.is_empty() && self.expect.body.is_none();
        ensure!(
            scheme == Scheme::Http || is_plain,
            "{}: a WebSocket is opened by a GET without a body, and its messages are not chosen",
            self.target
        );
        Ok(())
    }
}

impl Kind {
    /// What is counted.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::ClosedLoop { .. } | Self::OpenLoop { .. } | Self::Churn | Self::Hold => "requests",
            Self::Echo(_) => "messages",
            Self::FanOut(_) => "deliveries",
        }
    }

    fn check(&self) -> Result<()> {
        let (rate, pipeline) = match self {
            Self::ClosedLoop { pipeline } => (None, *pipeline),
            Self::OpenLoop { rate, pipeline } => (Some(*rate), *pipeline),
            Self::Churn | Self::Hold => (None, 1),
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
            "a message can have {MESSAGE_BYTES_MAX} bytes at most, not {message_bytes}"
        );
        if let Self::FanOut(fan_out) = self {
            ensure!(
                fan_out.publish.scheme == Scheme::WebSocket,
                "{} must start with ws:// here",
                fan_out.publish
            );
            ensure!(
                message_bytes >= STAMP_BYTES,
                "a published message has a number and a time in it: it needs {STAMP_BYTES} bytes or more, not {message_bytes}"
            );
        }
        ensure!(
            (1..=PIPELINE_MAX).contains(&pipeline),
            "between 1 and {PIPELINE_MAX} requests can be in flight on a connection, not {pipeline}"
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
    fn default_plan_holds_together() {
        plan(Kind::ClosedLoop { pipeline: 1 }).check().unwrap();
        fan_out(16, 1).check().unwrap();
    }

    #[test]
    fn contradictions_are_named() {
        let closed = || plan(Kind::ClosedLoop { pipeline: 1 });
        let open = |rate| plan(Kind::OpenLoop { rate, pipeline: 1 });
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
                "the warm-up must be a day",
            ),
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
            (fan_out(MESSAGE_BYTES_MAX + 1, 1), "at most, not 16777217"),
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
            let error = plan.check().unwrap_err().to_string();
            assert!(error.contains(mistake), "{error}");
        }
    }
}
