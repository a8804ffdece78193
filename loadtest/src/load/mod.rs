//! The load generator: runs a planned load against one server and returns the result.
//!
//! Each thread (`worker`) runs one epoll loop over its own connections, for a plan (`plan`). A script (`script`),
//! written without sockets, decides what a connection sends; the pacing (`pacing`) decides when. The counts (`counts`)
//! become the result (`run_result`).

use anyhow::Result;

use pacing::{Pacing, Rate};
use plan::{Echo, Kind};
use target::Scheme;

use crate::interrupt::Interrupt;

mod allowance;
mod blocking;
pub(crate) mod clock;
mod connection;
pub(crate) mod content;
pub(crate) mod counts;
pub(crate) mod engine;
mod event_stream;
mod fan_out;
mod http;
pub(crate) mod latency;
pub(crate) mod pacing;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod run_result;
pub(crate) mod script;
mod session;
mod socket;
pub(crate) mod target;
mod thread_state;
pub(crate) mod websocket;
mod worker;

pub(crate) use plan::Plan;
pub(crate) use progress::Progress;
pub(crate) use run_result::RunResult;

/// Runs `plan`: checks one answer, opens the connections, loads the server, and waits for the requests in flight.
///
/// An interrupt ends it early; the result holds what was measured until then.
///
/// # Errors
///
/// The plan contradicts itself, the server is unreachable, or its first answer is wrong. Later failures are counted in
/// the result.
pub(crate) fn run(plan: &Plan, progress: &mut dyn Progress, interrupt: &Interrupt) -> Result<RunResult> {
    plan.check()?;
    let open = |rate| {
        Pacing::Open(Rate {
            per_second: rate,
            burst: 1,
            threads: plan.threads,
        })
    };
    let (pacing, pipeline) = match &plan.kind {
        Kind::ClosedLoop { pipeline } => (Pacing::Closed, *pipeline),
        Kind::OpenLoop { rate, pipeline } => (open(*rate), *pipeline),
        Kind::Churn => (Pacing::Churn, 1),
        Kind::Hold if plan.target.scheme == Scheme::WebSocket => {
            return websocket::echo::run(plan, &Echo::default(), Pacing::Hold, progress, interrupt);
        }
        Kind::Hold => (Pacing::Hold, 1),
        Kind::Upload { bytes } => return http::upload::run(plan, *bytes, progress, interrupt),
        Kind::Echo(echo) => {
            let pacing = echo.rate.map_or(Pacing::Closed, open);
            return websocket::echo::run(plan, echo, pacing, progress, interrupt);
        }
        Kind::FanOut(fan_out) => return fan_out::run(plan, fan_out, progress, interrupt),
    };
    http::run(plan, pacing, pipeline, progress, interrupt)
}
