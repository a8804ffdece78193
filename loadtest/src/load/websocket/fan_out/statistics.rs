//! What the server itself counts: a JSON object at a path of its own, with the number of messages that subscribers `missed`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::client::http1::{BlockingClient, get};
use crate::load::target::Target;
use crate::load::websocket::socket::first_address;

#[derive(Debug, Deserialize)]
struct Statistics {
    missed: u64,
}

/// How many messages the subscribers of the server that `publish` names have missed so far, as `path` tells.
///
/// # Errors
///
/// The server cannot be asked, or answers something else.
pub(super) fn missed(publish: &Target, path: &str, patience: Duration) -> Result<u64> {
    let address = first_address(publish, patience)?;
    let answer = || -> Result<Statistics> {
        let mut connection = BlockingClient::open(address)?;
        connection.send(&get(address, path))?;
        let response = connection.receive()?;
        ensure!(response.status == 200, "the status is {}, not 200", response.status);
        Ok(serde_json::from_slice(&response.content)?)
    };
    let statistics = answer().with_context(|| format!("what the server counts, at {path}"))?;
    Ok(statistics.missed)
}
