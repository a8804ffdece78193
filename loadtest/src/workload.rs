//! A workload: one kind of load and the answer it must get, as its TOML file says it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Connections that one wrk thread is asked to drive at most.
const CONNECTIONS_MAX: u32 = 10_000;

/// Requests that are pipelined in one send at most.
const PIPELINE_MAX: u32 = 1_000;

/// One kind of load. Its name is the name of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    #[serde(skip_deserializing)]
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) measures: Measures,
    /// Path of the GET request, without a query.
    pub(crate) path: String,
    pub(crate) connections: u32,
    /// Requests sent together on a connection before their answers are awaited.
    pub(crate) pipeline: u32,
    pub(crate) expect: Expectation,
}

/// What a workload is about, which decides the columns of its table and the figure that ratios are taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measures {
    /// How much work a core does: requests per second and CPU time per request.
    Capacity,
    /// How soon a single client has its answer.
    Latency,
}

/// The one right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        let mut workload: Self = toml::from_str(text).context("not a workload")?;
        name.clone_into(&mut workload.name);
        ensure!(
            workload.path.starts_with('/'),
            "path `{}` does not start with a slash",
            workload.path
        );
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&workload.connections),
            "connections must be between 1 and {CONNECTIONS_MAX}"
        );
        ensure!(
            (1..=PIPELINE_MAX).contains(&workload.pipeline),
            "pipeline must be between 1 and {PIPELINE_MAX}"
        );
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = r#"
        title = "Plain"
        measures = "capacity"
        path = "/plaintext"
        connections = 64
        pipeline = 1
        [expect]
        status = 200
        content_type = "text/plain"
        body = "Hello"
    "#;

    #[test]
    fn form_is_read_whole() {
        let workload = Workload::parse("plain-64", FORM).unwrap();
        assert_eq!(workload.name, "plain-64");
        assert_eq!(workload.measures, Measures::Capacity);
        assert_eq!((workload.connections, workload.pipeline), (64, 1));
        assert_eq!(workload.expect.content_type, "text/plain");
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, mistake) in [
            ("connections = 64", "connections = 0", "connections must be between"),
            ("connections = 64", "conections = 64", "conections"),
            ("pipeline = 1", "pipeline = 1001", "pipeline must be between"),
            ("\"/plaintext\"", "\"plaintext\"", "does not start with a slash"),
            ("capacity", "speed", "speed"),
        ] {
            let error = Workload::parse("plain", &FORM.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{error:#}");
        }
    }
}
