//! `run`: loads one server, and prints the progress and the result.

use std::fs;
use std::io::Write;

use anyhow::{Context, Result, ensure};

use crate::args::RunArgs;
use crate::descriptors;
use crate::interrupt::Interrupt;
use crate::load::content::Content;
use crate::load::plan::{Echo, Expectation, FanOut, Kind, Request};
use crate::load::run_result::Deliveries;
use crate::load::target::Scheme;
use crate::load::websocket::deflate;
use crate::load::{self, Plan, RunResult};
use crate::proc;

mod progress;
mod summary;

use progress::Reporter;

pub(crate) fn run(args: &RunArgs, interrupt: &Interrupt) -> Result<()> {
    let plan = plan(args)?;
    for core in &plan.cores {
        proc::check_core_allowed(*core)?;
    }
    descriptors::check_room(u32::try_from(plan.connections + plan.slow_heads + plan.handshakes).unwrap_or(u32::MAX))?;
    let outcome = load::run(&plan, &mut Reporter::new(&plan), interrupt)?;
    let text = if args.json {
        serde_json::to_string_pretty(&outcome)? + "\n"
    } else {
        summary::render(&plan, &outcome)
    };
    // Print before the check: the figures of a failed run are needed too.
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("could not write the result")?;
    check(&plan, &outcome)
}

/// Returns the plan of the command line.
fn plan(args: &RunArgs) -> Result<Plan> {
    let kind = kind(args);
    let body = match (&args.body, &args.body_file) {
        (Some(body), _) => body.clone().into_bytes(),
        (None, Some(file)) => fs::read(file).with_context(|| format!("could not read {}", file.display()))?,
        (None, None) => Vec::new(),
    };
    Ok(Plan {
        connections: args.connections,
        duration: args.duration,
        requests: args.requests,
        warmup: args.warmup,
        timeout: args.timeout,
        threads: args.threads.unwrap_or_else(|| args.cores.len().max(1)),
        cores: args.cores.clone(),
        request: Request {
            method: args.method.clone(),
            headers: args
                .headers
                .iter()
                .cloned()
                .chain(args.deflate.then(deflate::offer))
                .collect(),
            body,
        },
        expect: Expectation {
            status: args.expect_status,
            body: match (&args.expect_body, args.expect_filling) {
                (Some(body), _) => Some(Content::Bytes(body.clone().into_bytes())),
                (None, length) => length.map(Content::Filling),
            },
        },
        slow_heads: args.slow_heads,
        handshakes: args.handshakes,
        ..Plan::new(args.url.clone(), kind)
    })
}

fn kind(args: &RunArgs) -> Kind {
    if let Some(publish) = &args.publish {
        return Kind::FanOut(FanOut {
            publish: publish.clone(),
            message_bytes: args.message_bytes,
            rate: args.rate,
            burst: args.burst,
            stalled: args.stalled,
            statistics: args.statistics.clone(),
            connect_cores: args.connect_cores.clone(),
        });
    }
    if let Some(bytes) = args.upload {
        return Kind::Upload { bytes };
    }
    match args.rate {
        _ if args.churn => Kind::Churn,
        _ if args.hold => Kind::Hold,
        rate if args.url.scheme == Scheme::WebSocket => Kind::Echo(Echo {
            message_bytes: args.message_bytes,
            pipeline: args.pipeline,
            rate,
        }),
        Some(rate) => Kind::OpenLoop {
            rate,
            pipeline: args.pipeline,
        },
        None => Kind::ClosedLoop {
            pipeline: args.pipeline,
        },
    }
}

/// Fails after any error or loss, so that a shell script sees the exit code.
fn check(plan: &Plan, outcome: &RunResult) -> Result<()> {
    if outcome.interrupted {
        return Ok(());
    }
    let failed = outcome.errors.total();
    let what = match plan.kind {
        // In a fan-out, deliveries are lost and connections fail.
        Kind::FanOut(_) => "connections",
        _ => plan.kind.noun(),
    };
    ensure!(failed == 0, "{failed} {what} failed: {}", outcome.errors);
    if let Some(deliveries) = &outcome.fan_out {
        let Deliveries {
            lost,
            duplicated,
            out_of_order,
            ..
        } = deliveries;
        ensure!(
            (*lost, *duplicated, *out_of_order) == (0, 0, 0),
            "deliveries went wrong: {lost} lost, {duplicated} duplicated, {out_of_order} out of order"
        );
    }
    if let Some(still_open) = outcome.still_open {
        let lost = (plan.connections as u64).saturating_sub(still_open);
        ensure!(
            lost == 0,
            "the server closed {lost} of {} idle connections",
            plan.connections
        );
    } else {
        ensure!(outcome.requests > 0, "no answer arrived in the timed window");
    }
    Ok(())
}
