//! A workload: a load and its expected answer, as described by its TOML file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::contender::Service;
use crate::load::content::Content;
use crate::measurement::Cores;
use crate::record::Kind;
use crate::served::ServedFile;

mod described;
mod planned;
mod timing;

pub(crate) use timing::Timing;

/// The most connections of a workload; the limit on open files is checked separately.
const CONNECTIONS_MAX: usize = 100_000;

/// The most rates of a sweep; each takes one window.
const RATES_MAX: usize = 20;

/// The most windows of a slow-subscriber workload.
const WINDOWS_MAX: u32 = 100;

/// A workload, named after its file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) load: Load,
    /// The expected HTTP answer; `None` for WebSocket and fan-out workloads, which check their messages.
    pub(crate) expect: Option<Expectation>,
    /// The service that a contender needs; `None` for that of the load.
    service: Option<Service>,
    /// The most rounds in a quick comparison; 0 excludes it unless named on the command line.
    quick_rounds_max: Option<u32>,
}

/// The load of a workload; the names are those of [`Kind`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Load {
    Capacity {
        path: String,
        connections: usize,
    },
    Pipelined {
        path: String,
        connections: usize,
        /// Requests in flight on each connection.
        pipeline: usize,
    },
    Latency {
        path: String,
    },
    Rate {
        path: String,
        connections: usize,
        requests_per_second: f64,
        /// Further connections that never finish a request head.
        #[serde(default)]
        slow_heads: usize,
        /// Further clients that complete a handshake of TLS and close, again and again.
        #[serde(default)]
        handshakes: usize,
    },
    Sweep {
        path: String,
        connections: usize,
        /// Requests per second, ascending; a server that falls behind one skips the higher ones.
        rates: Vec<f64>,
    },
    Churn {
        path: String,
        /// Connections at a time.
        connections: usize,
    },
    /// A number of downloads, on connections that each have one at a time.
    Download {
        path: String,
        connections: usize,
        requests: u64,
    },
    /// A number of uploads, one after another on one connection.
    Upload {
        path: String,
        upload_bytes: u64,
        requests: u64,
    },
    Idle {
        path: String,
        connections: usize,
    },
    Echo {
        path: String,
        connections: usize,
        message_bytes: usize,
    },
    /// WebSockets that complete their handshake and then stay idle.
    WebsocketIdle {
        path: String,
        connections: usize,
        /// Whether the client requires permessage-deflate without context takeover.
        #[serde(default)]
        deflate: bool,
    },
    FanOut {
        /// How the subscribers receive.
        #[serde(default)]
        subscribe: Subscribe,
        subscribe_path: String,
        publish_path: String,
        subscribers: usize,
        /// Messages published per second.
        messages_per_second: f64,
        /// Messages published at once.
        burst: usize,
        message_bytes: usize,
    },
    Hop {
        subscribe_path: String,
        publish_path: String,
        /// Half connect from the publisher's core, half from the other core.
        subscribers: usize,
        messages_per_second: f64,
        message_bytes: usize,
    },
    Slow {
        subscribe_path: String,
        publish_path: String,
        /// Subscribers that read.
        subscribers: usize,
        /// Subscribers that do not read in the window.
        stalled: usize,
        messages_per_second: f64,
        message_bytes: usize,
        /// Its length, in windows of the comparison.
        windows: u32,
    },
}

/// The protocol of the subscribers of a fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subscribe {
    #[default]
    Websocket,
    EventStream,
}

/// The expected answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    /// Media type without parameters.
    pub(crate) content_type: String,
    /// The body; either this or `file`.
    body: Option<String>,
    /// The file of the served folder that the body is.
    file: Option<ServedFile>,
    /// The coding that the request accepts and the body must have.
    pub(crate) coding: Option<Coding>,
}

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Coding {
    Gzip,
}

impl Coding {
    /// Returns its name in fields.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
        }
    }
}

impl Expectation {
    /// Returns the content without a coding.
    pub(crate) fn content(&self) -> Content {
        match (self.file, &self.body) {
            (Some(file), _) => file.content(),
            (None, body) => Content::Bytes(body.clone().unwrap_or_default().into_bytes()),
        }
    }

    /// Returns the content that each answer must have; `None` if it is encoded, which only the verification decodes.
    pub(crate) fn answer(&self) -> Option<Content> {
        self.coding.is_none().then(|| self.content())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.body.is_some() != self.file.is_some(),
            "[expect] needs either a body or a file"
        );
        Ok(())
    }
}

impl Workload {
    /// Parses `text`; `name` is the file's name without the extension.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let file: WorkloadFile = toml::from_str(text).context("not a workload")?;
        let workload = Self {
            name: name.to_owned(),
            title: file.title,
            load: file.load,
            expect: file.expect,
            service: file.service,
            quick_rounds_max: file.quick_rounds_max,
        };
        workload.check()?;
        Ok(workload)
    }

    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("the file has no name")?;
        Self::parse(name, &std::fs::read_to_string(path)?)
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.load {
            Load::Capacity { .. } => Kind::Capacity,
            Load::Pipelined { .. } => Kind::Pipelined,
            Load::Latency { .. } => Kind::Latency,
            Load::Rate { .. } => Kind::Rate,
            Load::Sweep { .. } => Kind::Sweep,
            Load::Churn { .. } => Kind::Churn,
            Load::Download { .. } | Load::Upload { .. } => Kind::Transfer,
            Load::Idle { .. } | Load::WebsocketIdle { .. } => Kind::Idle,
            Load::Echo { .. } => Kind::Echo,
            Load::FanOut { .. } => Kind::FanOut,
            Load::Hop { .. } => Kind::Hop,
            Load::Slow { .. } => Kind::Slow,
        }
    }

    /// Returns the service that a contender needs to take part.
    pub(crate) fn service(&self) -> Service {
        self.service.unwrap_or_else(|| self.service_of_load())
    }

    /// Whether it is over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.service().is_secure()
    }

    fn service_of_load(&self) -> Service {
        match self.load {
            Load::Echo { .. } | Load::WebsocketIdle { .. } => Service::WebsocketEcho,
            Load::FanOut {
                subscribe: Subscribe::EventStream,
                ..
            } => Service::EventStreamFanOut,
            Load::FanOut { .. } | Load::Hop { .. } | Load::Slow { .. } => Service::WebsocketFanOut,
            _ => Service::Http,
        }
    }

    /// Returns its connections at one time, publisher and slow heads included.
    pub(crate) fn connections(&self) -> usize {
        match self.load {
            Load::Latency { .. } | Load::Upload { .. } => 1,
            Load::Download { connections, .. }
            | Load::Capacity { connections, .. }
            | Load::Pipelined { connections, .. }
            | Load::Sweep { connections, .. }
            | Load::Churn { connections, .. }
            | Load::Idle { connections, .. }
            | Load::Echo { connections, .. }
            | Load::WebsocketIdle { connections, .. } => connections,
            Load::Rate {
                connections,
                slow_heads,
                handshakes,
                ..
            } => connections + slow_heads + handshakes,
            // Plus the publisher.
            Load::FanOut { subscribers, .. } | Load::Hop { subscribers, .. } => subscribers + 1,
            Load::Slow {
                subscribers, stalled, ..
            } => subscribers + stalled + 1,
        }
    }

    /// Returns the served file that it requests.
    pub(crate) fn served_file(&self) -> Option<ServedFile> {
        self.expect.as_ref()?.file
    }

    /// Whether it uploads.
    pub(crate) fn is_upload(&self) -> bool {
        matches!(self.load, Load::Upload { .. })
    }

    /// Whether its answers have a content coding.
    pub(crate) fn has_coding(&self) -> bool {
        self.expect.as_ref().is_some_and(|expect| expect.coding.is_some())
    }

    /// Whether a quick comparison includes it by default.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick_rounds_max != Some(0)
    }

    /// Returns its number of rounds, at most `rounds`.
    pub(crate) fn rounds(&self, rounds: u32, is_quick: bool) -> u32 {
        match self.quick_rounds_max {
            Some(most) if is_quick => rounds.min(most.max(1)),
            _ => rounds,
        }
    }

    /// Returns the length of one run's windows, warm-ups included.
    pub(crate) fn load_length(&self, timing: Timing) -> Duration {
        match &self.load {
            Load::Sweep { rates, .. } => {
                (timing.warmup + timing.window) * u32::try_from(rates.len()).unwrap_or(u32::MAX)
            }
            Load::Slow { windows, .. } => {
                let timing = timing.slow(*windows);
                timing.warmup + timing.window
            }
            // An estimate: it ends with the last transfer.
            Load::Download { .. } | Load::Upload { .. } => timing.window,
            _ => timing.warmup + timing.window,
        }
    }

    /// Returns the path of a request or of the subscribers.
    pub(crate) fn path(&self) -> &str {
        match &self.load {
            Load::Capacity { path, .. }
            | Load::Pipelined { path, .. }
            | Load::Latency { path }
            | Load::Rate { path, .. }
            | Load::Sweep { path, .. }
            | Load::Churn { path, .. }
            | Load::Download { path, .. }
            | Load::Upload { path, .. }
            | Load::Idle { path, .. }
            | Load::Echo { path, .. }
            | Load::WebsocketIdle { path, .. } => path,
            Load::FanOut { subscribe_path, .. }
            | Load::Hop { subscribe_path, .. }
            | Load::Slow { subscribe_path, .. } => subscribe_path,
        }
    }

    fn check(&self) -> Result<()> {
        let mut paths = vec![self.path()];
        if let Load::FanOut { publish_path, .. } | Load::Hop { publish_path, .. } | Load::Slow { publish_path, .. } =
            &self.load
        {
            paths.push(publish_path);
        }
        for path in paths {
            ensure!(path.starts_with('/'), "path `{path}` does not start with a slash");
        }
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&self.connections()),
            "connections must be between 1 and {CONNECTIONS_MAX}"
        );
        match (self.service_of_load(), &self.expect) {
            (Service::Http, None) => bail!("[expect] is missing"),
            (Service::Http, Some(expect)) => expect.check()?,
            (_, None) => {}
            (_, Some(_)) => bail!("[expect] does not apply to a WebSocket workload or a fan-out; remove it"),
        }
        if let Load::Slow { windows, .. } = &self.load {
            ensure!(
                (1..=WINDOWS_MAX).contains(windows),
                "windows must be between 1 and {WINDOWS_MAX}"
            );
        }
        if let Load::Sweep { rates, .. } = &self.load {
            ensure!(
                (1..=RATES_MAX).contains(&rates.len()),
                "a sweep must have between 1 and {RATES_MAX} rates"
            );
            ensure!(rates.is_sorted_by(|low, high| low < high), "the rates must ascend");
        }
        // The generator's own bounds do not depend on the window, so check any plan.
        let nowhere = "127.0.0.1:9".parse()?;
        self.plans(nowhere, Cores::default(), Timing::NOMINAL)
            .iter()
            .try_for_each(|(_, plan)| plan.check())
    }
}

/// The schema of a workload file; an unknown key is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadFile {
    title: String,
    service: Option<Service>,
    quick_rounds_max: Option<u32>,
    load: Load,
    expect: Option<Expectation>,
}

#[cfg(test)]
pub(crate) mod tests;
