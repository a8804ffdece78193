//! Uploads: POST requests with a long content, one after another on one connection.
//!
//! The content is a filling that is made while it is sent, so the generator holds one piece of it. The latency of an
//! upload counts from its first byte to the whole answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::request;
use super::response::{CheckedResponse, ResponseCheck, ResponseReader, Step};
use crate::interrupt::Interrupt;
use crate::load::blocking::{BlockingStream, READ_BYTES, first_address};
use crate::load::clock::{Clock, nanos};
use crate::load::content::{PIECE_BYTES, piece};
use crate::load::counts::Counts;
use crate::load::plan::Plan;
use crate::load::progress::{Phase, Progress, Snapshot};
use crate::load::run_result::{Failure, RunResult};

/// Uploads `bytes` for each request of `plan`, until its number of requests or its duration.
///
/// # Errors
///
/// The server is unreachable. Later failures are counted in the result, and the first one ends the run.
pub(crate) fn run(plan: &Plan, bytes: u64, progress: &mut dyn Progress, interrupt: &Interrupt) -> Result<RunResult> {
    progress.phase(Phase::Connecting);
    let address = first_address(&plan.target, plan.timeout)?;
    let mut connection = Connection::open(plan, address)?;
    let head = request::encode(plan)?;
    progress.phase(Phase::Timing);
    let clock = Clock::start();
    let start = clock.now();
    let mut counts = Counts {
        window: start..start + nanos(plan.duration),
        connections_opened: 1,
        ..Counts::new()
    };
    let mut reported = start;
    while counts.requests < plan.requests.unwrap_or(u64::MAX) && clock.now() < counts.window.end {
        if interrupt.is_raised() {
            break;
        }
        let since = clock.now();
        let answer = connection.upload(&head, bytes, plan.timeout, interrupt);
        let now = clock.now();
        match answer {
            Ok(None) => break,
            Ok(Some(answer)) if answer.status != plan.expect.status => counts.failed(Failure::WrongStatus, 1),
            Ok(Some(answer)) if !answer.is_body_right => counts.failed(Failure::WrongBody, 1),
            Ok(Some(_)) => {
                counts.answered(since, now);
                counts.sent(usize::try_from(bytes).unwrap_or(usize::MAX), since);
            }
            Err(failure) => counts.failed(failure, 1),
        }
        if counts.errors.total() > 0 {
            break;
        }
        if now - reported >= nanos(Duration::from_secs(1)) {
            progress.tick(&Snapshot {
                phase: Phase::Timing,
                elapsed: Duration::from_nanos(now - start),
                length: plan.duration,
                answers: counts.requests,
                answers_per_second: 1e9 / (now - since).max(1) as f64,
                errors: 0,
                connections: 1,
            });
            reported = now;
        }
    }
    let end = clock.now().min(counts.window.end);
    progress.phase(Phase::Finishing);
    let elapsed = Duration::from_nanos(end.saturating_sub(start)).as_secs_f64();
    Ok(counts.into_result(elapsed, interrupt.is_raised()))
}

/// The connection of all uploads.
struct Connection {
    stream: BlockingStream,
    check: ResponseCheck,
}

impl Connection {
    fn open(plan: &Plan, address: SocketAddr) -> Result<Self> {
        Ok(Self {
            stream: BlockingStream::connect(0, address, plan.timeout)?,
            check: ResponseCheck::of(plan),
        })
    }

    /// Sends one request; each piece and the answer may take up to `timeout`. Returns `None` after an interrupt.
    fn upload(
        &mut self,
        head: &[u8],
        bytes: u64,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Option<CheckedResponse>, Failure> {
        let deadline = || Instant::now() + timeout;
        let mut send = |bytes: &[u8]| self.stream.write(bytes, deadline());
        let mut sent = send(head);
        let mut position = 0;
        while position < bytes && sent.is_ok() {
            if interrupt.is_raised() {
                return Ok(None);
            }
            let length = (bytes - position).min(PIECE_BYTES as u64);
            let piece = piece(position);
            let piece = usize::try_from(length).ok().and_then(|length| piece.get(..length));
            sent = send(piece.unwrap_or_default());
            position += length;
        }
        // A server may reject and close before it has read the whole content; its answer tells more than the failed
        // write.
        self.receive(deadline()).map(Some)
    }

    fn receive(&mut self, deadline: Instant) -> Result<CheckedResponse, Failure> {
        let mut reader = ResponseReader::new();
        let mut buffer = [0; READ_BYTES];
        loop {
            let read = self.stream.read(&mut buffer, deadline).map_err(|_| Failure::Reset)?;
            let received = read.ok_or(Failure::Timeout)?;
            if received.is_empty() {
                let ended = reader.end(&self.check).map_err(|_| Failure::ClosedEarly)?;
                return ended.ok_or(Failure::ClosedEarly);
            }
            let step = reader.read(received, &mut self.check).map_err(|_| Failure::Malformed)?;
            if let Step::Done { consumed, answer } = step {
                return match consumed == received.len() {
                    true => Ok(answer),
                    false => Err(Failure::Malformed),
                };
            }
        }
    }
}
