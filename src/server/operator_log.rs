//! Lines about the server's life for its operator: where it listens, and how a stop begins and ends.
//!
//! They follow the logging of the process. Where the command line started Squall's text log, the announcement is a bare
//! line, which scripts read. With a subscriber of the application it is an event of level info, so a log of JSON stays
//! JSON. Without any logging it goes to standard error.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use squall_shards::StandardError;
use tracing::subscriber::NoSubscriber;

/// Whether Squall's own text log prints lines; unset if the command line has not started it.
static TEXT_LOG: OnceLock<bool> = OnceLock::new();

/// Notes that the process logs with Squall's own text log, and whether it logs anything.
pub(in crate::server) fn text_log_started(prints: bool) {
    TEXT_LOG.get_or_init(|| prints);
}

/// Where a line goes.
enum Destination {
    StandardError,
    Subscriber,
    Nowhere,
}

fn destination() -> Destination {
    match TEXT_LOG.get() {
        Some(true) => Destination::StandardError,
        Some(false) => Destination::Nowhere,
        None if tracing::dispatcher::get_default(|dispatch| dispatch.is::<NoSubscriber>()) => {
            Destination::StandardError
        }
        None => Destination::Subscriber,
    }
}

/// Announces the addresses of a server that listens.
pub(super) fn listening(addresses: &str, shards: usize, driver: &str) {
    match destination() {
        Destination::StandardError => {
            let unit = if shards == 1 { "shard" } else { "shards" };
            print_line(&format!("listening on {addresses} ({shards} {unit}, {driver})"));
        }
        Destination::Subscriber => tracing::info!(shards, driver, "listening on {addresses}"),
        Destination::Nowhere => {}
    }
}

/// Warns that the kernel refuses io_uring, so epoll drives the sockets.
pub(super) fn uses_epoll(refusal: &str) {
    match destination() {
        Destination::StandardError => print_line(&format!("warning: using epoll, because {refusal}")),
        Destination::Subscriber => tracing::warn!("using epoll, because {refusal}"),
        Destination::Nowhere => {}
    }
}

/// Warns that every client sees the causes of errors.
pub(super) fn shows_errors() {
    match destination() {
        Destination::StandardError => print_line("warning: error pages show causes and requests, because of --debug"),
        Destination::Subscriber => tracing::warn!("error pages show causes and requests, because of --debug"),
        Destination::Nowhere => {}
    }
}

/// Announces the certificate for development, so that a developer can compare it with what a browser shows.
#[cfg(feature = "rustls")]
pub(super) fn self_signed(fingerprint: &str) {
    match destination() {
        Destination::StandardError => print_line(&format!("warning: self-signed certificate, SHA-256 {fingerprint}")),
        Destination::Subscriber => tracing::warn!("self-signed certificate, SHA-256 {fingerprint}"),
        Destination::Nowhere => {}
    }
}

/// Says what a supervisor does in development.
#[cfg(feature = "reload")]
pub(super) fn reload(line: &str) {
    match destination() {
        Destination::StandardError => print_line(&format!("reload: {line}")),
        Destination::Subscriber => tracing::info!("reload: {line}"),
        Destination::Nowhere => {}
    }
}

/// Logs that a graceful stop has begun.
pub(super) fn stopping(shutdown_timeout: Duration) {
    tracing::info!(?shutdown_timeout, "stopping: finishing open requests");
}

/// Logs how many connections of a shard were open at the end of the stop, if any were.
pub(super) fn aborted(shard: usize, connections: usize) {
    if connections > 0 {
        tracing::warn!(
            shard,
            connections,
            "aborted the connections that the stop found open at its end"
        );
    }
}

/// Logs that every shard has ended.
pub(super) fn stopped() {
    tracing::info!("stopped");
}

/// Prints a line on standard error in one write, so that lines of several threads do not mix.
fn print_line(line: &str) {
    StandardError
        .write_all(format!("{line}\n").as_bytes())
        .unwrap_or_default();
}
