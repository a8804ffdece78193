//! The server's own statistics: a JSON object at a path, with the number of messages its subscribers `missed`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::client::http1::{BlockingClient, get};
use crate::load::blocking::first_address;
use crate::load::target::Target;

#[derive(Debug, Deserialize)]
struct Statistics {
    missed: u64,
}

/// Reads the number of missed messages from `path` at the host of `publish`.
///
/// # Errors
///
/// The server is unreachable, or its response is not such an object with status 200.
pub(super) fn missed(publish: &Target, path: &str, timeout: Duration) -> Result<u64> {
    let address = first_address(publish, timeout)?;
    let answer = || -> Result<Statistics> {
        let mut connection = BlockingClient::open(address, publish.is_secure)?;
        connection.send(&get(address, path))?;
        let response = connection.receive()?;
        ensure!(response.status == 200, "expected status 200, got {}", response.status);
        Ok(serde_json::from_slice(&response.content)?)
    };
    let statistics = answer().with_context(|| format!("could not read the server's statistics at {path}"))?;
    Ok(statistics.missed)
}
