//! One request before all others, whose answer must be the right one; what is wrong with it is said in full.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::response::{CheckedResponse, ResponseCheck, ResponseReader, Step};
use crate::interrupt::Interrupt;
use crate::load::plan::{Expectation, Kind, Plan};

/// How much of a wrong answer is shown.
const SHOWN_BYTES_MAX: usize = 300;

/// How soon an interrupt is noticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Makes `request` once. Returns the first address of the target that took the connection.
///
/// # Errors
///
/// Nobody answers, or not what the plan expects.
pub(crate) fn check(plan: &Plan, request: &[u8], interrupt: &Interrupt) -> Result<SocketAddr> {
    let deadline = Instant::now() + plan.timeout;
    let (address, stream) = connect(&plan.target.resolve(plan.timeout)?, deadline)?;
    let mut exchange = Exchange {
        stream,
        reader: ResponseReader::new(),
        check: super::response_check(plan),
        beginning: Vec::new(),
        deadline,
        interrupt,
    };
    let checked = exchange.make(request).and_then(|answer| {
        check_response(answer, &plan.expect)?;
        if plan.kind == Kind::Churn {
            exchange.expect_close()
        } else {
            Ok(())
        }
    });
    checked.with_context(|| {
        let shown = String::from_utf8_lossy(&exchange.beginning);
        let came = if shown.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{}`", shown.escape_debug())
        };
        format!("the check before the load: {} answered with {came}", plan.target)
    })?;
    Ok(address)
}

fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<(SocketAddr, TcpStream)> {
    let mut failure = None;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(PATIENCE);
        match TcpStream::connect_timeout(address, left) {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => failure = Some((address, error)),
        }
    }
    let (address, error) = failure.context("the host has no address")?;
    Err(error).with_context(|| format!("cannot connect to {address}"))
}

fn check_response(answer: CheckedResponse, expect: &Expectation) -> Result<()> {
    ensure!(
        answer.status == expect.status,
        "expected status {}, got {} (see --expect-status)",
        expect.status,
        answer.status
    );
    ensure!(
        answer.is_body_right,
        "the body is not the expected one (see --expect-body)"
    );
    Ok(())
}

/// One request, and the bytes that answer it.
struct Exchange<'run> {
    stream: TcpStream,
    reader: ResponseReader,
    check: ResponseCheck,
    /// The first bytes that came, for a message.
    beginning: Vec<u8>,
    deadline: Instant,
    interrupt: &'run Interrupt,
}

impl Exchange<'_> {
    fn make(&mut self, request: &[u8]) -> Result<CheckedResponse> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(PATIENCE))?;
        self.stream.set_write_timeout(Some(self.left()?))?;
        // A server that refuses early may close before it took everything; its answer is worth more than that.
        let sent = self.stream.write_all(request);
        let mut buffer = [0; 16 * 1024];
        loop {
            let received = match self.receive(&mut buffer)? {
                0 => {
                    let ended = self.reader.end(&self.check).map_err(anyhow::Error::msg)?;
                    sent.context("the request could not be sent")?;
                    return ended.context("the server closed the connection before it answered");
                }
                received => buffer.get(..received).unwrap_or_default(),
            };
            if let Step::Done { consumed, answer } = self
                .reader
                .read(received, &mut self.check)
                .map_err(anyhow::Error::msg)?
            {
                ensure!(consumed == received.len(), "more came than one answer");
                return Ok(answer);
            }
        }
    }

    /// Waits for the server to close the connection, as it was asked to.
    fn expect_close(&mut self) -> Result<()> {
        match self.receive(&mut [0; 1])? {
            0 => Ok(()),
            _ => bail!("more came than one answer"),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            self.left()?;
            match self.stream.read(buffer) {
                Ok(received) => {
                    let room = SHOWN_BYTES_MAX.saturating_sub(self.beginning.len());
                    self.beginning.extend(buffer.iter().take(received.min(room)));
                    return Ok(received);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    self.interrupt.check()?;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    bail!("the server reset the connection before it answered")
                }
                Err(error) => return Err(error).context("cannot read the answer"),
            }
        }
    }

    /// The time left; an error when there is none.
    fn left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "no whole answer, or no close that was asked for, in time (see --timeout)"
        );
        Ok(left)
    }
}
