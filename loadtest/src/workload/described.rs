//! A workload as the record tells it: its parameters in words, and the generator's command that repeats it.

use std::collections::BTreeMap;

use crate::contender::{LISTEN_PLACEHOLDER, Service};
use crate::record;
use crate::shell;

use super::{Load, Timing, Workload};

impl Workload {
    /// How a record names it, when its windows were made like this by a generator pinned to `core`.
    pub(crate) fn recorded(&self, core: usize, timing: Timing) -> record::Workload {
        let parameters: BTreeMap<String, String> = self
            .parameters()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        record::Workload {
            name: self.name.clone(),
            title: self.title.clone(),
            kind: self.kind(),
            parameters,
            command: Some(shell::typed(&self.command(core, timing))),
        }
    }

    /// The generator's command that loads a server at `{listen}` in the same way; of a sweep, at its lowest rate.
    fn command(&self, core: usize, timing: Timing) -> Vec<String> {
        let scheme = match self.service() {
            Service::Http => "http",
            Service::WebsocketEcho | Service::WebsocketFanOut => "ws",
        };
        let mut words = ["squall-loadtest", "run"].map(str::to_owned).to_vec();
        words.push(format!("{scheme}://{LISTEN_PLACEHOLDER}{}", self.path()));
        let mut flag = |name: &str, value: &dyn ToString| words.extend([format!("--{name}"), value.to_string()]);
        flag("cores", &core);
        flag("connections", &self.subscribers_or_connections());
        flag("warmup", &format!("{}s", timing.warmup.as_secs_f64()));
        flag("duration", &format!("{}s", timing.window.as_secs_f64()));
        if let Some(expect) = &self.expect {
            flag("expect-status", &expect.status);
            flag("expect-body", &expect.body);
        }
        match &self.load {
            Load::Capacity { .. } | Load::Latency { .. } => {}
            Load::Pipelined { pipeline, .. } => flag("pipeline", pipeline),
            Load::Rate {
                requests_per_second, ..
            } => flag("rate", requests_per_second),
            Load::Sweep { rates, .. } => flag("rate", &rates.first().copied().unwrap_or_default()),
            Load::Churn { .. } => words.push("--churn".to_owned()),
            Load::Idle { .. } => words.push("--hold".to_owned()),
            Load::Echo { message_bytes, .. } => flag("message-bytes", message_bytes),
            Load::FanOut {
                publish_path,
                messages_per_second,
                burst,
                message_bytes,
                ..
            } => {
                flag("publish", &format!("ws://{LISTEN_PLACEHOLDER}{publish_path}"));
                flag("rate", messages_per_second);
                flag("burst", burst);
                flag("message-bytes", message_bytes);
            }
        }
        words
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let connections = || ("connections", self.connections().to_string());
        let path = || ("path", self.path().to_owned());
        match &self.load {
            Load::Capacity { .. } | Load::Latency { .. } | Load::Churn { .. } | Load::Idle { .. } => {
                vec![path(), connections()]
            }
            Load::Pipelined { pipeline, .. } => vec![path(), connections(), ("pipeline", pipeline.to_string())],
            Load::Rate {
                requests_per_second, ..
            } => {
                vec![
                    path(),
                    connections(),
                    ("requests_per_second", requests_per_second.to_string()),
                ]
            }
            Load::Sweep { rates, .. } => {
                let rates: Vec<String> = rates.iter().map(f64::to_string).collect();
                vec![path(), connections(), ("requests_per_second", rates.join(", "))]
            }
            Load::Echo { message_bytes, .. } => {
                vec![path(), connections(), ("message_bytes", message_bytes.to_string())]
            }
            Load::FanOut {
                subscribe_path,
                publish_path,
                subscribers,
                messages_per_second,
                burst,
                message_bytes,
            } => vec![
                ("subscribe_path", subscribe_path.clone()),
                ("publish_path", publish_path.clone()),
                ("subscribers", subscribers.to_string()),
                ("messages_per_second", messages_per_second.to_string()),
                ("burst", burst.to_string()),
                ("message_bytes", message_bytes.to_string()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::catalogue::Catalogue;

    /// The command a record shows is one this program takes, with the load the workload asks for.
    #[test]
    fn command_of_every_committed_workload_is_understood() {
        let catalogue = Catalogue::read(Some(Path::new(env!("CARGO_MANIFEST_DIR")))).unwrap();
        for workload in catalogue.workloads(&[]).unwrap() {
            let words = workload.command(3, Timing::NOMINAL);
            let words = words
                .iter()
                .map(|word| word.replace(LISTEN_PLACEHOLDER, "127.0.0.1:8888"));
            let args = Args::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", workload.name));
            let Command::Run(args) = args.command else {
                panic!("{args:?}")
            };
            let address = "127.0.0.1:8888".parse().unwrap();
            let (rate, plan) = workload.plans(address, 3, Timing::NOMINAL).remove(0);
            assert_eq!(
                (args.url, args.connections),
                (plan.target, plan.connections),
                "{}",
                workload.name
            );
            assert_eq!(
                (args.duration, args.warmup),
                (plan.duration, plan.warmup),
                "{}",
                workload.name
            );
            assert_eq!(args.cores, plan.cores);
            assert!(rate.is_none() || args.rate == rate, "{}", workload.name);
            assert_eq!(args.expect_body.map(String::into_bytes), plan.expect.body);
        }
    }
}
