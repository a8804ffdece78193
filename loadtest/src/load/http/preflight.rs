//! The preflight: one request before the load, whose answer must be correct; its error names the reason first, then the
//! response.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::response::{CheckedResponse, ResponseCheck, ResponseReader, Step};
use crate::interrupt::Interrupt;
use crate::load::plan::{Expectation, Kind, Plan};
use crate::tls::Stream;

/// Bytes of a wrong response in the error.
const EXCERPT_BYTES_MAX: usize = 300;

/// How often a wait checks for an interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Sends `request` once; returns the first address of the target that accepted the connection.
///
/// # Errors
///
/// The connection fails, or the response is not the one that the plan expects.
pub(crate) fn check(plan: &Plan, request: &[u8], interrupt: &Interrupt) -> Result<SocketAddr> {
    let deadline = Instant::now() + plan.timeout;
    let (address, stream) = connect(&plan.target.resolve(plan.timeout)?, deadline)?;
    let mut exchange = Exchange {
        stream: Stream::over(stream, plan.target.is_secure)?,
        reader: ResponseReader::new(),
        check: ResponseCheck::of(plan),
        beginning: Vec::new(),
        received_bytes: 0,
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
    match checked {
        Ok(()) => Ok(address),
        // The reason first: an excerpt of 300 bytes would push it off the line.
        Err(reason) => bail!(
            "the check before the load failed for {}: {reason:#}; {}",
            plan.target,
            excerpt(&exchange.beginning, exchange.received_bytes)
        ),
    }
}

/// Describes the response by its first [`EXCERPT_BYTES_MAX`] bytes.
fn excerpt(beginning: &[u8], received_bytes: u64) -> String {
    if beginning.is_empty() {
        return "the server sent nothing".to_owned();
    }
    let text = String::from_utf8_lossy(beginning);
    let text = text.escape_debug();
    if received_bytes > beginning.len() as u64 {
        return format!("the response begins with `{text}`");
    }
    format!("the response is `{text}`")
}

fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<(SocketAddr, TcpStream)> {
    let mut failure = None;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(POLL_INTERVAL);
        match TcpStream::connect_timeout(address, left) {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => failure = Some((address, error)),
        }
    }
    let (address, error) = failure.context("the host has no address")?;
    Err(error).with_context(|| format!("could not connect to {address}"))
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

/// One request and the response to it.
struct Exchange<'run> {
    stream: Stream,
    reader: ResponseReader,
    check: ResponseCheck,
    /// The first bytes received, for the error.
    beginning: Vec<u8>,
    received_bytes: u64,
    deadline: Instant,
    interrupt: &'run Interrupt,
}

impl Exchange<'_> {
    fn make(&mut self, request: &[u8]) -> Result<CheckedResponse> {
        let tcp = self.stream.tcp();
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(self.left()?))?;
        tcp.set_write_timeout(Some(self.left()?))?;
        // Completes the handshake of TLS.
        self.stream.flush().context("the handshake failed")?;
        self.stream.tcp().set_read_timeout(Some(POLL_INTERVAL))?;
        // A server may reject and close before it has read the whole request; its response tells more than the failed
        // write.
        let sent = self.stream.write_all(request);
        let mut buffer = [0; 16 * 1024];
        loop {
            let received = match self.receive(&mut buffer)? {
                0 => {
                    let ended = self.reader.end(&self.check).map_err(anyhow::Error::msg)?;
                    sent.context("could not send the request")?;
                    return ended.context("the server closed the connection before it answered");
                }
                received => buffer.get(..received).unwrap_or_default(),
            };
            if let Step::Done { consumed, answer } = self
                .reader
                .read(received, &mut self.check)
                .map_err(anyhow::Error::msg)?
            {
                ensure!(consumed == received.len(), "the server sent more than one response");
                return Ok(answer);
            }
        }
    }

    /// Waits for the server to close the connection after `Connection: close`.
    fn expect_close(&mut self) -> Result<()> {
        match self.receive(&mut [0; 1])? {
            0 => Ok(()),
            _ => bail!("the server sent more than one response"),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            self.left()?;
            match self.stream.read(buffer) {
                Ok(received) => {
                    let room = EXCERPT_BYTES_MAX.saturating_sub(self.beginning.len());
                    self.beginning.extend(buffer.iter().take(received.min(room)));
                    self.received_bytes += received as u64;
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
                // An end without a close_notify.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    bail!("the server reset the connection before it answered")
                }
                Err(error) => return Err(error).context("could not read the response"),
            }
        }
    }

    /// Returns the time left.
    ///
    /// # Errors
    ///
    /// The deadline has passed.
    fn left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "no complete response, or no requested close, within --timeout"
        );
        Ok(left)
    }
}
