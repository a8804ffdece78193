//! HTTP/1.1 as a load: the request is encoded once, and each answer is checked (RFC 9112).

use anyhow::Result;

mod handshakes;
mod preflight;
mod request;
mod response;
mod script;
mod slow_heads;
pub(crate) mod upload;

use handshakes::HandshakeThreads;
use response::ResponseCheck;
use script::{Http, HttpScript};
use slow_heads::SlowHeadThread;

use super::engine::{self, Job};
use super::pacing::Pacing;
use super::plan::Plan;
use super::progress::{Phase, Progress};
use super::run_result::RunResult;
use crate::interrupt::Interrupt;

/// Runs a plan for HTTP, with at most `pipeline` requests in flight on a connection.
///
/// # Errors
///
/// The server is unreachable, its first answer is wrong, or a connection cannot be opened.
pub(crate) fn run(
    plan: &Plan,
    pacing: Pacing,
    pipeline: usize,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<RunResult> {
    let request = request::encode(plan)?;
    progress.phase(Phase::Checking);
    let address = preflight::check(plan, &request, interrupt)?;
    let job = Job {
        plan,
        address,
        connections: plan.connections,
        pacing,
    };
    let shared = || Http {
        request: request.clone(),
        check: ResponseCheck::of(plan),
        expected_status: plan.expect.status,
        pipeline,
        closes: pacing == Pacing::Churn,
    };
    let slow_heads = SlowHeadThread::start(plan, address)?;
    let handshakes = HandshakeThreads::start(plan, address)?;
    let outcome = engine::run::<HttpScript>(job, shared, progress, interrupt)?;
    Ok(RunResult {
        slow_heads: slow_heads.map(SlowHeadThread::stop).transpose()?,
        handshakes: handshakes.map(HandshakeThreads::stop).transpose()?,
        ..outcome
    })
}
