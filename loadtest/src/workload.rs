//! A workload: one kind of load, and the answer it must get, as its TOML file says it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::contender::Service;
use crate::record::Kind;

mod described;
mod planned;

pub(crate) use planned::Timing;

/// Connections that one process is asked to hold at most; the limit on open files is looked at before a run as well.
const CONNECTIONS_MAX: usize = 100_000;

/// Rates of one sweep; each is a window of its own.
const RATES_MAX: usize = 20;

/// One kind of load. Its name is the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) load: Load,
    /// The answer to an HTTP request; WebSocket workloads know their answers themselves.
    pub(crate) expect: Option<Expectation>,
    /// Rounds of it in a quick comparison, if that is fewer than of the others; 0 leaves it out.
    quick_rounds_max: Option<u32>,
}

/// What the server is asked to do. The names are those of [`Kind`].
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
    },
    Sweep {
        path: String,
        connections: usize,
        /// Requests per second, ascending. A server that falls behind one of them is spared the higher ones.
        rates: Vec<f64>,
    },
    Churn {
        path: String,
        /// Connections at a time.
        connections: usize,
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
    FanOut {
        subscribe_path: String,
        publish_path: String,
        subscribers: usize,
        /// Messages published per second.
        messages_per_second: f64,
        /// Messages published at once.
        burst: usize,
        message_bytes: usize,
    },
}

/// The one right answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    /// Media type without parameters.
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Workload {
    /// Reads the form in `text`; `name` is the name of its file.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let form: Form = toml::from_str(text).context("not a workload")?;
        let workload = Self {
            name: name.to_owned(),
            title: form.title,
            load: form.load,
            expect: form.expect,
            quick_rounds_max: form.quick_rounds_max,
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
            Load::Idle { .. } => Kind::Idle,
            Load::Echo { .. } => Kind::Echo,
            Load::FanOut { .. } => Kind::FanOut,
        }
    }

    /// What a contender must be able to do to take part.
    pub(crate) fn service(&self) -> Service {
        match self.load {
            Load::Echo { .. } => Service::WebsocketEcho,
            Load::FanOut { .. } => Service::WebsocketFanOut,
            _ => Service::Http,
        }
    }

    /// Connections it holds at a time.
    pub(crate) fn connections(&self) -> usize {
        match self.load {
            Load::Latency { .. } => 1,
            Load::Capacity { connections, .. }
            | Load::Pipelined { connections, .. }
            | Load::Rate { connections, .. }
            | Load::Sweep { connections, .. }
            | Load::Churn { connections, .. }
            | Load::Idle { connections, .. }
            | Load::Echo { connections, .. } => connections,
            // The publisher is one more.
            Load::FanOut { subscribers, .. } => subscribers + 1,
        }
    }

    /// How many of `rounds` it takes part in.
    pub(crate) fn rounds(&self, rounds: u32, is_quick: bool) -> u32 {
        match self.quick_rounds_max {
            Some(most) if is_quick => rounds.min(most),
            _ => rounds,
        }
    }

    /// Timed windows of one turn.
    pub(crate) fn window_count(&self) -> usize {
        match &self.load {
            Load::Sweep { rates, .. } => rates.len(),
            _ => 1,
        }
    }

    /// Path of a request.
    pub(crate) fn path(&self) -> &str {
        match &self.load {
            Load::Capacity { path, .. }
            | Load::Pipelined { path, .. }
            | Load::Latency { path }
            | Load::Rate { path, .. }
            | Load::Sweep { path, .. }
            | Load::Churn { path, .. }
            | Load::Idle { path, .. }
            | Load::Echo { path, .. } => path,
            Load::FanOut { subscribe_path, .. } => subscribe_path,
        }
    }

    fn check(&self) -> Result<()> {
        let mut paths = vec![self.path()];
        if let Load::FanOut { publish_path, .. } = &self.load {
            paths.push(publish_path);
        }
        for path in paths {
            ensure!(path.starts_with('/'), "path `{path}` does not start with a slash");
        }
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&self.connections()),
            "connections must be between 1 and {CONNECTIONS_MAX}"
        );
        match (self.service(), &self.expect) {
            (Service::Http, None) => bail!("[expect] is missing"),
            (Service::WebsocketEcho | Service::WebsocketFanOut, Some(_)) => {
                bail!("[expect] has no meaning for a WebSocket")
            }
            _ => {}
        }
        if let Load::Sweep { rates, .. } = &self.load {
            ensure!(
                (1..=RATES_MAX).contains(&rates.len()),
                "a sweep has between 1 and {RATES_MAX} rates"
            );
            ensure!(rates.is_sorted_by(|low, high| low < high), "the rates do not ascend");
        }
        // The generator has bounds of its own, which a window of any length shows.
        let nowhere = "127.0.0.1:9".parse()?;
        self.plans(nowhere, 0, Timing::NOMINAL)
            .iter()
            .try_for_each(|(_, plan)| plan.check())
    }
}

/// The file, word for word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    title: String,
    quick_rounds_max: Option<u32>,
    load: Load,
    expect: Option<Expectation>,
}

#[cfg(test)]
pub(crate) mod tests;
