//! HTTP/1.1 as a load: requests prepared once, answers judged one by one (RFC 9112).

use anyhow::Result;
use http::Method;

mod preflight;
mod request;
mod response;
mod script;
mod slow_heads;

use response::ResponseCheck;
use script::{Http, HttpScript};
use slow_heads::Crowd;

use super::engine::{self, Job};
use super::pacing::Pacing;
use super::plan::Plan;
use super::progress::{Phase, Progress};
use super::run_result::RunResult;
use crate::interrupt::Interrupt;

/// Carries out a plan for HTTP, with `pipeline` requests in flight on a connection at most.
///
/// # Errors
///
/// The server cannot be reached, its first answer is not the right one, or not all connections can be opened.
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
        check: response_check(plan),
        expected_status: plan.expect.status,
        pipeline,
        closes: pacing == Pacing::Churn,
    };
    let crowd = Crowd::gather(plan, address)?;
    let outcome = engine::run::<HttpScript>(job, shared, progress, interrupt)?;
    Ok(RunResult {
        slow_heads: crowd.map(Crowd::disperse).transpose()?,
        ..outcome
    })
}

fn response_check(plan: &Plan) -> ResponseCheck {
    ResponseCheck::new(plan.expect.body.clone(), plan.request.method == Method::HEAD)
}
