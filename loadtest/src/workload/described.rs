//! A workload as the record tells it: its parameters in words, and the generator's command that repeats it.

use std::collections::BTreeMap;

use crate::record;

use super::{Load, Workload};

impl Workload {
    /// How a record names it.
    pub(crate) fn recorded(&self) -> record::Workload {
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
            command: None,
        }
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
