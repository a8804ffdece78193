//! A workload in the record: its parameters as text, and the generator command that repeats it.

use std::collections::BTreeMap;

use crate::contender::LISTEN_PLACEHOLDER;
use crate::load::content::Content;
use crate::load::target::Scheme;
use crate::measurement::Cores;
use crate::record;
use crate::shell;

use super::{Load, Subscribe, Timing, Workload};

impl Workload {
    /// Returns its entry in a record of these cores and windows.
    pub(crate) fn recorded(&self, cores: Cores, timing: Timing) -> record::Workload {
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
            command: Some(shell::typed(&self.command(cores, timing))),
        }
    }

    /// Returns the generator command for a server at `{listen}`; for a sweep, at its lowest rate.
    fn command(&self, cores: Cores, timing: Timing) -> Vec<String> {
        let timing = match &self.load {
            Load::Slow { windows, .. } => timing.slow(*windows),
            Load::Download { .. } | Load::Upload { .. } => Timing::transfers(),
            _ => timing,
        };
        let scheme = match self.scheme() {
            Scheme::Http if self.is_secure() => "https",
            Scheme::Http => "http",
            Scheme::WebSocket => "ws",
        };
        let mut words = ["squall-loadtest", "run"].map(str::to_owned).to_vec();
        words.push(format!("{scheme}://{LISTEN_PLACEHOLDER}{}", self.path()));
        let mut switch = |name: &str, value: Option<&dyn ToString>| {
            words.push(format!("--{name}"));
            words.extend(value.map(ToString::to_string));
        };
        switch("cores", Some(&cores.load));
        switch("connections", Some(&self.subscribers_or_connections()));
        switch("warmup", Some(&format!("{}s", timing.warmup.as_secs_f64())));
        switch("duration", Some(&format!("{}s", timing.window.as_secs_f64())));
        switch("timeout", Some(&format!("{}s", self.timeout().as_secs())));
        for (name, value) in self.expected() {
            switch(name, Some(&value));
        }
        match &self.load {
            Load::Capacity { .. } | Load::Latency { .. } => {}
            Load::Pipelined { pipeline, .. } => switch("pipeline", Some(pipeline)),
            Load::Rate {
                requests_per_second,
                slow_heads,
                handshakes,
                ..
            } => {
                switch("rate", Some(requests_per_second));
                if *slow_heads > 0 {
                    switch("slow-heads", Some(slow_heads));
                }
                if *handshakes > 0 {
                    switch("handshakes", Some(handshakes));
                }
            }
            Load::Sweep { rates, .. } => switch("rate", Some(&rates.first().copied().unwrap_or_default())),
            Load::Churn { .. } => switch("churn", None),
            Load::Download { requests, .. } => switch("requests", Some(requests)),
            Load::Upload {
                upload_bytes, requests, ..
            } => {
                switch("upload", Some(upload_bytes));
                switch("requests", Some(requests));
            }
            Load::Idle { .. } | Load::WebsocketIdle { deflate: false, .. } => switch("hold", None),
            Load::WebsocketIdle { deflate: true, .. } => {
                switch("hold", None);
                switch("deflate", None);
            }
            Load::Echo { message_bytes, .. } => switch("message-bytes", Some(message_bytes)),
            Load::FanOut { burst, .. } => switch("burst", Some(burst)),
            Load::Slow { stalled, .. } => switch("stalled", Some(stalled)),
            Load::Hop { .. } => {}
        }
        if let Some((publish_path, rate, message_bytes)) = self.publishing() {
            switch("publish", Some(&format!("ws://{LISTEN_PLACEHOLDER}{publish_path}")));
            switch("rate", Some(&rate));
            switch("message-bytes", Some(&message_bytes));
            switch("connect-cores", Some(&format!("{},{}", cores.server, cores.load)));
        }
        words
    }

    /// Returns the switches of the expected answer, and of the request field that asks for it.
    fn expected(&self) -> Vec<(&'static str, String)> {
        let mut switches = Vec::new();
        if let Some(expect) = &self.expect {
            switches.push(("expect-status", expect.status.to_string()));
            switches.extend(expect.answer().map(|content| match content {
                Content::Bytes(body) => ("expect-body", String::from_utf8_lossy(&body).into_owned()),
                Content::Filling(length) => ("expect-filling", length.to_string()),
            }));
        }
        if let Some((name, value)) = self.accept_encoding() {
            let value = value.to_str().unwrap_or_default();
            switches.push(("header", format!("{name}: {value}")));
        }
        switches
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let connections = || ("connections", self.connections().to_string());
        let path = || ("path", self.path().to_owned());
        match &self.load {
            Load::Capacity { .. } | Load::Latency { .. } | Load::Churn { .. } | Load::Idle { .. } => {
                vec![path(), connections()]
            }
            Load::WebsocketIdle { deflate, .. } => {
                let compression = if *deflate { "permessage-deflate" } else { "none" };
                vec![path(), connections(), ("compression", compression.to_owned())]
            }
            Load::Pipelined { pipeline, .. } => vec![path(), connections(), ("pipeline", pipeline.to_string())],
            Load::Download { requests, .. } => vec![path(), connections(), ("downloads", requests.to_string())],
            Load::Upload {
                upload_bytes, requests, ..
            } => vec![
                path(),
                ("upload_bytes", upload_bytes.to_string()),
                ("uploads", requests.to_string()),
            ],
            Load::Rate {
                connections,
                requests_per_second,
                slow_heads,
                handshakes,
                ..
            } => {
                vec![
                    path(),
                    ("connections", connections.to_string()),
                    ("requests_per_second", requests_per_second.to_string()),
                    ("slow_heads", slow_heads.to_string()),
                    ("handshakes", handshakes.to_string()),
                ]
            }
            Load::Sweep { rates, .. } => {
                let rates: Vec<String> = rates.iter().map(f64::to_string).collect();
                vec![path(), connections(), ("requests_per_second", rates.join(", "))]
            }
            Load::Echo { message_bytes, .. } => {
                vec![path(), connections(), ("message_bytes", message_bytes.to_string())]
            }
            Load::FanOut { burst, subscribe, .. } => {
                let receive = match subscribe {
                    Subscribe::Websocket => "WebSocket",
                    Subscribe::EventStream => "event stream",
                };
                self.fan_out_parameters([("burst", burst.to_string()), ("receive_by", receive.to_owned())])
            }
            Load::Hop { .. } => self.fan_out_parameters([]),
            Load::Slow { stalled, windows, .. } => {
                self.fan_out_parameters([("stalled", stalled.to_string()), ("windows", windows.to_string())])
            }
        }
    }

    fn fan_out_parameters<const N: usize>(&self, further: [(&'static str, String); N]) -> Vec<(&'static str, String)> {
        let (publish_path, rate, message_bytes) = self.publishing().unwrap_or_default();
        let common = [
            ("subscribe_path", self.path().to_owned()),
            ("publish_path", publish_path.to_owned()),
            ("subscribers", self.subscribers_or_connections().to_string()),
            ("messages_per_second", rate.to_string()),
            ("message_bytes", message_bytes.to_string()),
        ];
        common.into_iter().chain(further).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::catalogue::Catalogue;

    const CORES: Cores = Cores { server: 2, load: 3 };

    /// The recorded command parses and makes the workload's plan.
    #[test]
    fn command_of_every_committed_workload_is_understood() {
        let catalogue = Catalogue::read(Some(Path::new(env!("CARGO_MANIFEST_DIR")))).unwrap();
        for workload in catalogue.workloads(&[]).unwrap() {
            let words = workload.command(CORES, Timing::NOMINAL);
            let words = words
                .iter()
                .map(|word| word.replace(LISTEN_PLACEHOLDER, "127.0.0.1:8888"));
            let args = Args::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", workload.name));
            let Command::Run(args) = args.command else {
                panic!("{args:?}")
            };
            let address = "127.0.0.1:8888".parse().unwrap();
            let (rate, plan) = workload.plans(address, CORES, Timing::NOMINAL).remove(0);
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
            assert_eq!((args.cores, args.slow_heads), (plan.cores, plan.slow_heads));
            assert_eq!(args.handshakes, plan.handshakes);
            assert!(rate.is_none() || args.rate == rate, "{}", workload.name);
            let body = args.expect_body.map(|body| Content::Bytes(body.into_bytes()));
            let body = body.or_else(|| args.expect_filling.map(Content::Filling));
            assert_eq!(body, plan.expect.body);
            assert_eq!(
                (args.requests, args.timeout),
                (plan.requests, plan.timeout),
                "{}",
                workload.name
            );
            assert_eq!(args.method, plan.request.method);
            assert_eq!(args.headers, workload.accept_encoding().into_iter().collect::<Vec<_>>());
        }
    }
}
