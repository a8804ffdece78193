//! The echo script: the server must return each message unchanged and in order.
//!
//! Each message carries its number, so the script also detects swapped, repeated and missing echoes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http::{HeaderName, HeaderValue};

use super::frame::{Opcode, Violation, write_masked};
use super::handshake::Handshake;
use super::message::{Message, MessageReader};
use super::payload::Payloads;
use super::socket::WebSocket;
use crate::interrupt::Interrupt;
use crate::load::blocking::first_address;
use crate::load::clock::Nanos;
use crate::load::counts::Counts;
use crate::load::engine::{self, Job};
use crate::load::pacing::Pacing;
use crate::load::plan::{Echo, Plan};
use crate::load::progress::{Phase, Progress};
use crate::load::run_result::{Failure, RunResult};
use crate::load::script::{Flow, InFlight, PeerClose, Script, ScriptContext};
use crate::load::socket::SocketOptions;
use crate::load::target::Target;

/// Runs a plan for an echo.
///
/// # Errors
///
/// The server is unreachable, rejects the handshake or returns a wrong echo, or a connection cannot be opened.
pub(crate) fn run(
    plan: &Plan,
    echo: &Echo,
    pacing: Pacing,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<RunResult> {
    progress.phase(Phase::Checking);
    let address = first_address(&plan.target, plan.timeout)?;
    check(plan, echo, address).with_context(|| format!("the check before the load failed for {}", plan.target))?;
    let job = Job {
        plan,
        address,
        connections: plan.connections,
        pacing,
    };
    let shared = || Shared {
        target: plan.target.clone(),
        headers: plan.request.headers.clone(),
        payloads: Payloads::new(echo.message_bytes),
        pipeline: echo.pipeline,
    };
    engine::run::<EchoScript>(job, shared, progress, interrupt)
}

/// Opens one connection and checks one echo on it.
fn check(plan: &Plan, echo: &Echo, address: SocketAddr) -> Result<()> {
    let options = SocketOptions {
        headers: &plan.request.headers,
        message_bytes_max: echo.message_bytes,
        timeout: plan.timeout,
    };
    let mut socket = WebSocket::open(0, address, &plan.target, &options)?;
    let mut payloads = Payloads::new(echo.message_bytes);
    let mut frame = Vec::new();
    let number = 1_u64.to_le_bytes();
    payloads.write(&number, &mut frame);
    socket.send(&frame, plan.timeout)?;
    let answer = socket
        .receive(plan.timeout)?
        .with_context(|| format!("no echo within {:?}", plan.timeout))?;
    let stamp = payloads.stamp(&answer, number.len());
    ensure!(
        stamp.is_some_and(|stamp| number.starts_with(stamp)),
        "a message of {} bytes came back changed, {} bytes long; give the URL of an echo",
        echo.message_bytes,
        answer.len()
    );
    Ok(())
}

/// What the echo connections of one thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    payloads: Payloads,
    /// The most messages in flight on one connection.
    pipeline: usize,
}

/// The script of one echo connection.
#[derive(Debug)]
pub(crate) struct EchoScript {
    state: State,
    /// The most messages in flight.
    pipeline: usize,
    /// The messages in flight, oldest first.
    in_flight: VecDeque<InFlight>,
    asked: u64,
    answered: u64,
}

#[derive(Debug)]
enum State {
    Opening(Handshake),
    Open(MessageReader),
}

impl EchoScript {
    fn receive_messages(&mut self, bytes: &[u8], context: &mut ScriptContext<'_, Shared>) -> Result<(), Stop> {
        let State::Open(reader) = &mut self.state else {
            return Ok(());
        };
        let mut answers = Answers {
            in_flight: &mut self.in_flight,
            answered: &mut self.answered,
            payloads: &context.shared.payloads,
            counts: context.counts,
        };
        reader.receive(bytes, |message| match message {
            Message::Data { is_text: true, .. } => Err(Stop::Failed(Failure::WrongBody)),
            Message::Data { payload, .. } => answers.take(payload, context.now).map_err(Stop::Failed),
            Message::Ping(payload) => {
                write_masked(Opcode::Pong, payload, [0; 4], context.out);
                Ok(())
            }
            Message::Pong => Ok(()),
            Message::Close(_) => Err(Stop::Closed),
        })
    }
}

impl Script for EchoScript {
    type Shared = Shared;

    fn begin(_index: usize, shared: &mut Shared) -> Self {
        Self {
            state: State::Opening(Handshake::new(&shared.headers)),
            pipeline: shared.pipeline,
            in_flight: VecDeque::with_capacity(shared.pipeline),
            asked: 0,
            answered: 0,
        }
    }

    fn open(&mut self, context: &mut ScriptContext<'_, Shared>) {
        if let State::Opening(handshake) = &self.state {
            let target = &context.shared.target;
            context
                .out
                .extend_from_slice(&handshake.request(&target.authority, &target.path, &context.shared.headers));
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    fn room(&self) -> usize {
        if self.is_ready() {
            self.pipeline.saturating_sub(self.in_flight.len())
        } else {
            0
        }
    }

    fn ask(&mut self, count: usize, since: Nanos, context: &mut ScriptContext<'_, Shared>) {
        for _ in 0..count {
            self.asked += 1;
            context.shared.payloads.write(&self.asked.to_le_bytes(), context.out);
            self.in_flight.push_back(InFlight {
                since,
                sent: context.now,
            });
        }
    }

    fn receive(&mut self, bytes: &[u8], context: &mut ScriptContext<'_, Shared>) -> Result<Flow, Failure> {
        let received = match &mut self.state {
            State::Open(_) => self.receive_messages(bytes, context),
            State::Opening(handshake) => match handshake.receive(bytes) {
                Ok(None) => return Ok(Flow::Continue),
                Ok(Some(surplus)) => {
                    let reader = MessageReader::new(context.shared.payloads.message_bytes());
                    self.state = State::Open(reader.inflating(handshake.is_deflated()));
                    self.receive_messages(&surplus, context)
                }
                Err(_) => return Err(Failure::Malformed),
            },
        };
        match received {
            Ok(()) => Ok(Flow::Continue),
            Err(Stop::Closed) if self.in_flight.is_empty() => Ok(Flow::Close),
            Err(Stop::Closed) => Err(Failure::ClosedEarly),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    fn end(&mut self, _context: &mut ScriptContext<'_, Shared>) -> Result<PeerClose, Failure> {
        // Closing without a close frame violates RFC 6455 section 7.1.1, but each echo has arrived.
        if self.is_ready() && self.in_flight.is_empty() {
            Ok(PeerClose::Unexpected)
        } else {
            Err(Failure::ClosedEarly)
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn oldest(&self) -> Option<Nanos> {
        self.in_flight.front().map(|asked| asked.sent)
    }

    fn each_in_flight(&self, each: &mut dyn FnMut(Nanos)) {
        self.in_flight.iter().for_each(|asked| each(asked.since));
    }
}

/// What an echo is compared with and counted in.
struct Answers<'call> {
    in_flight: &'call mut VecDeque<InFlight>,
    answered: &'call mut u64,
    payloads: &'call Payloads,
    counts: &'call mut Counts,
}

impl Answers<'_> {
    fn take(&mut self, payload: &[u8], now: Nanos) -> Result<(), Failure> {
        let number = (*self.answered + 1).to_le_bytes();
        let stamp = self.payloads.stamp(payload, number.len());
        let is_next = stamp.is_some_and(|stamp| number.starts_with(stamp));
        if !is_next {
            return Err(Failure::WrongBody);
        }
        // An echo of a message never sent counts as a wrong one.
        let InFlight { since, .. } = self.in_flight.pop_front().ok_or(Failure::WrongBody)?;
        *self.answered += 1;
        self.counts.answered(since, now);
        Ok(())
    }
}

/// Why reading from a connection ends.
enum Stop {
    Closed,
    Failed(Failure),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Failed(match violation {
            // A longer echo is a wrong answer in a valid frame.
            Violation::TooLong { .. } => Failure::WrongBody,
            _ => Failure::Malformed,
        })
    }
}
