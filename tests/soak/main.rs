//! A soak test. Clients mutate requests, leave early, reset, read slowly and break uploads off, over TCP and Unix
//! sockets. The server is stopped under this load and started again. After each phase it must hold as many
//! descriptors, tasks and sockets as at its start, and no more memory. Each response must be whole or visibly break
//! off. Each stop must end in time and with status 0.
//!
//! `cargo test` runs it for some twenty seconds. `SQUALL_SOAK_SECONDS` sets another duration, `SQUALL_SOAK_SEED` the
//! seed. `SQUALL_SOAK_RECORD` names a file that gets one line per soak; `.ci/long` sets them.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a failed test panics, and the clients are threads outside the shards"
)]

#[path = "../support/mod.rs"]
mod support;

mod counts;
mod peer;
mod random;
mod scenarios;
mod server_under_test;
mod transcripts;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use counts::Counts;
use random::Random;
use scenarios::{PromisedResponse, SoakClient, SoakContext};
use server_under_test::ServerUnderTest;
use support::server::driver_under_test;
use transcripts::Transcripts;

/// The duration without `SQUALL_SOAK_SECONDS`.
const SECONDS: u64 = 20;

/// The seed without `SQUALL_SOAK_SEED`.
const SEED: u64 = 11;

/// How many clients run at once.
const CLIENTS: usize = 8;

/// How many responses the clients have had when the server gets its SIGTERM.
const RESPONSES_BEFORE_STOP: u64 = 100;

/// The duration of a phase, and the phases of one server: a short soak must stop and start servers too.
struct Schedule {
    phase: Duration,
    phases: usize,
}

impl Schedule {
    fn of(seconds: u64) -> Self {
        match seconds {
            0..120 => Self {
                phase: Duration::from_millis(900),
                phases: 3,
            },
            120..600 => Self {
                phase: Duration::from_secs(4),
                phases: 8,
            },
            _ => Self {
                phase: Duration::from_secs(10),
                phases: 12,
            },
        }
    }
}

/// The results of a soak.
#[derive(Default)]
struct Results {
    rounds: usize,
    slowest_stop: Duration,
    grown_bytes_max: u64,
    held: String,
}

#[test]
fn a_server_returns_to_its_start_resources_and_stops_in_time() {
    let seconds = number("SQUALL_SOAK_SECONDS", SECONDS);
    let seed = number("SQUALL_SOAK_SEED", SEED);
    let schedule = Schedule::of(seconds);
    let began = Instant::now();
    let mut random = Random::new(seed);
    let mut results = Results::default();
    let mut counts = Counts::default();
    // At least one round on one shard and one on two.
    while results.rounds < 2 || began.elapsed() < Duration::from_secs(seconds) {
        let shards = 1 + results.rounds % 2;
        let round = round(shards, &schedule, &mut random, &mut results, counts);
        counts =
            round.unwrap_or_else(|wrong| panic!("seed {seed}, round {} on {shards} shards: {wrong}", results.rounds));
        results.rounds += 1;
    }
    let line = format!(
        "| {} | {} s | {seed} | {} | {:.1} s | {} KiB | {} | {counts} |",
        driver_under_test().as_deref().unwrap_or("io_uring"),
        began.elapsed().as_secs(),
        results.rounds,
        results.slowest_stop.as_secs_f64(),
        results.grown_bytes_max / 1024,
        results.held,
    );
    eprintln!("{line}");
    if let Ok(path) = std::env::var("SQUALL_SOAK_RECORD") {
        let mut record = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(record, "{line}").unwrap();
    }
}

/// The run of one server: phases of clients, each followed by a check of its resources, and a stop during the last.
fn round(
    shards: usize,
    schedule: &Schedule,
    random: &mut Random,
    results: &mut Results,
    counts: Counts,
) -> Result<Counts, String> {
    let mut watch = ServerUnderTest::start(shards);
    let context = SoakContext {
        addresses: watch.addresses(),
        transcripts: Transcripts::load(),
        counts,
        is_stopping: AtomicBool::new(false),
    };
    for phase in 0..schedule.phases {
        let until = Instant::now() + schedule.phase;
        visit(&context, random, || Instant::now() >= until, || {}).map_err(|wrong| said(&watch, &wrong))?;
        watch
            .wait_for_start_resources()
            .map_err(|wrong| said(&watch, &format!("phase {phase}: {wrong}")))?;
    }
    let before = context.counts.whole.get();
    let mut asked = None;
    let mut promised = Ok(());
    visit(
        &context,
        random,
        || false,
        || {
            // The signal comes under load; then each client goes on until the server refuses it.
            while context.counts.whole.get() < before + RESPONSES_BEFORE_STOP {
                thread::yield_now();
            }
            let asking = context
                .addresses
                .iter()
                .map(PromisedResponse::ask)
                .collect::<Result<Vec<_>, _>>();
            context.is_stopping.store(true, Ordering::Relaxed);
            asked = Some(Instant::now());
            watch.server.terminate();
            promised = asking.and_then(|asking| asking.into_iter().try_for_each(PromisedResponse::kept));
        },
    )
    .and(promised)
    .map_err(|wrong| said(&watch, &format!("while the server stopped: {wrong}")))?;
    let took = watch.ended(asked.unwrap_or_else(Instant::now))?;
    results.slowest_stop = results.slowest_stop.max(took);
    results.grown_bytes_max = results.grown_bytes_max.max(watch.grown_bytes_max);
    let start = watch.start_resources();
    results.held = format!("{} descriptors, {} tasks", start.descriptors, start.tasks);
    Ok(context.counts)
}

/// Runs clients until `is_enough`, or until the server refuses them; meanwhile runs something else.
fn visit(
    context: &SoakContext,
    random: &mut Random,
    is_enough: impl Fn() -> bool + Sync,
    meanwhile: impl FnOnce(),
) -> Result<(), String> {
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = SoakClient {
                    context,
                    random: random.split(),
                };
                let (is_enough, failed) = (&is_enough, &failed);
                scope.spawn(move || {
                    while !is_enough() && !failed.load(Ordering::Relaxed) {
                        match client.visit() {
                            Ok(true) => {}
                            Ok(false) => return Ok(()),
                            Err(wrong) => {
                                failed.store(true, Ordering::Relaxed);
                                return Err(wrong);
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        meanwhile();
        let ended = clients
            .into_iter()
            .map(|client| client.join().expect("a client judges without a panic"));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// The error, with the last lines of the server's log.
fn said(watch: &ServerUnderTest, wrong: &str) -> String {
    let log = watch.server.log();
    let lines: Vec<_> = log.lines().collect();
    format!(
        "{wrong}\nthe server said last:\n{}",
        lines[lines.len().saturating_sub(20)..].join("\n")
    )
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, but is {text:?}")),
        Err(_) => otherwise,
    }
}
