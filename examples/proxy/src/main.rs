//! A reverse proxy: streams both ways, WebSockets too, forwarded fields, health checks.
//!
//! ```text
//! cargo run --release -p squall-proxy -- --upstream http://127.0.0.1:9001 --upstream http://127.0.0.1:9002
//! ```
//!
//! It serves <http://127.0.0.1:8888/> from the upstreams in turn. Requests below `--websockets` open WebSockets. An upstream
//! may speak TLS: `--upstream https://app.internal --upstream-ca authority.pem`.

mod forward;
mod relay;
mod upstreams;

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use squall::client::{Client, ClientTls};
use squall::prelude::*;

use upstreams::Upstreams;

/// The command line.
#[derive(Debug, Parser)]
struct Arguments {
    /// Forwards to this server, as http://host:port or https://host:port; repeat it for more
    #[arg(long, required = true, value_name = "URL")]
    upstream: Vec<String>,
    /// Trusts the authority in this PEM file, beside those of the system, for upstreams with https
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Opens WebSockets below this path; repeat it for more
    #[arg(long, value_name = "PATH")]
    websockets: Vec<String>,
    /// Asks each upstream for this path, and forwards to those that answer with a status below 400
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Time between two health checks, in ms
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    health_interval: u64,
    #[command(flatten)]
    squall: squall::Options,
}

fn main() -> Result {
    let Arguments {
        upstream,
        upstream_ca,
        websockets,
        health_path,
        health_interval,
        squall,
    } = Arguments::parse();
    let interval = Duration::from_millis(health_interval);
    // One for all shards, which then resume the sessions of one another.
    let tls = trusting(upstream_ca.as_deref())?;
    let application = move || {
        let client = client(&tls);
        let upstreams = Rc::new(Upstreams::new(&upstream));
        if let Some(path) = &health_path {
            squall::shards::spawn_detached(upstreams::watch(
                Rc::clone(&upstreams),
                client.clone(),
                path.clone(),
                interval,
            ));
        }
        let mut application = Application::new()
            .state(client)
            .state(tls.clone())
            .state(upstreams)
            .max_body_bytes(u64::MAX)
            .automatic_options(false)
            .fallback(forward::forward);
        for path in &websockets {
            application = application.websocket(&format!("{}/{{*path}}", path.trim_end_matches('/')), relay::open);
        }
        application
    };
    Server::from_options(squall, application).run()
}

/// The client passes on what it receives: compressed content and redirects stay as they are.
fn client(tls: &ClientTls) -> Client {
    let client = Client::builder().decompress(false).max_redirects(0).tls(tls.clone());
    client.build().unwrap_or_default()
}

/// Trusts the roots of the system, and the authority in this file.
fn trusting(authority: Option<&Path>) -> Result<ClientTls> {
    let Some(file) = authority else {
        return Ok(ClientTls::new());
    };
    let pem = fs::read(file).map_err(|error| {
        Error::new(format!(
            "could not read the authority in {}: {error}; check --upstream-ca",
            file.display()
        ))
    })?;
    Ok(ClientTls::new().root(pem)?)
}
