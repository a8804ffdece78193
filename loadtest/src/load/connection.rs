//! One connection of the load: its socket, its TLS, its script, and its unsent bytes.
//!
//! Invariant: a failed connection has no socket and no request in flight. It is reopened at the next tick (100 ms), so
//! a server that refuses connections does not receive them in a busy loop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::clock::Nanos;
use super::pacing::Pacing;
use super::run_result::Failure;
use super::script::{Flow, PeerClose, Script, ScriptContext};
use super::session::Session;
use super::thread_state::ThreadState;

/// Connections from one loopback address: it has about 28,000 ephemeral ports, and finding a free one slows down as
/// they fill.
const CONNECTIONS_PER_SOURCE: usize = 10_000;

/// SO_LINGER for connections from a bound address: they close with a reset.
///
/// A bound port in TIME-WAIT is unusable for a minute with every address, so a few runs of 15,000 connections would use
/// up all ports.
pub(crate) const RESET_ON_CLOSE: Option<Duration> = Some(Duration::ZERO);

/// Full reads in one turn (1 MiB) before other connections get their turn.
const READS_MAX: usize = 16;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No socket; the next tick opens one if the run needs it.
    Closed,
    Connecting,
    /// The handshake of TLS.
    Shaking,
    Open,
    /// All answers arrived and the server will close. The side that closes first keeps its port in TIME-WAIT (RFC 9293
    /// section 3.6).
    Leaving,
}

/// What the worker does with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    Nothing,
    /// The server closed it as announced: reopen it now.
    Reopen,
    /// Unread input remains, which edge-triggered epoll reports no second time.
    Resume,
}

/// One connection of the load.
#[derive(Debug)]
pub(crate) struct LoadConnection<C> {
    /// Its number over all threads.
    index: usize,
    key: u64,
    pub(crate) state: State,
    socket: Option<OwnedFd>,
    /// `None` on a plain connection. Boxed, because it has 1 KiB.
    tls: Option<Box<Session>>,
    pub(crate) script: C,
    unsent: Vec<u8>,
    /// When it started to connect, with the handshake of TLS, or entered [`State::Leaving`].
    since: Nanos,
    /// Whether it is in the worker's queue of connections with room.
    pub(crate) is_queued: bool,
}

impl<C: Script> LoadConnection<C> {
    pub(crate) fn new(index: usize, thread: &mut ThreadState<C::Shared>) -> Self {
        Self {
            index,
            key: 0,
            state: State::Closed,
            socket: None,
            tls: None,
            script: C::begin(index, &mut thread.shared),
            unsent: Vec::new(),
            since: 0,
            is_queued: false,
        }
    }

    /// Returns its epoll key; events with another key belong to an earlier socket.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Starts to connect; its events carry `key`. An immediate failure is counted and returned.
    pub(crate) fn connect(&mut self, key: u64, thread: &mut ThreadState<C::Shared>) -> Result<(), Errno> {
        self.script = C::begin(self.index, &mut thread.shared);
        self.key = key;
        self.since = thread.clock.now();
        let begun = begin_to_connect(self.index, thread.address).and_then(|socket| {
            thread.watch(&socket, key)?;
            Ok(socket)
        });
        match begun {
            Ok(socket) => {
                self.socket = Some(socket);
                self.state = State::Connecting;
                Ok(())
            }
            Err(error) => {
                self.fail(Failure::Connect, thread);
                Err(error)
            }
        }
    }

    /// Handles an event.
    #[inline]
    pub(crate) fn turn(&mut self, ready: EventFlags, thread: &mut ThreadState<C::Shared>) -> NextStep {
        let turned = match self.state {
            State::Closed => return NextStep::Nothing,
            State::Connecting => self.finish_connecting(thread),
            State::Shaking => self.shake(thread),
            State::Leaving => self.discard(thread),
            State::Open => {
                // Edge-triggered: EPOLLOUT is reported with each event, so flush only if bytes are left.
                if ready.contains(EventFlags::OUT) && !self.unsent.is_empty() {
                    self.flush(thread)
                } else {
                    Ok(NextStep::Nothing)
                }
            }
        };
        let is_readable = ready.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let turned = match turned {
            Ok(NextStep::Nothing) if self.state == State::Open && is_readable => self.receive(ready, thread),
            turned => turned,
        };
        turned.unwrap_or_else(|failure| {
            self.fail(failure, thread);
            NextStep::Nothing
        })
    }

    /// Returns how many requests it can send now.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        if self.state == State::Open {
            self.script.room()
        } else {
            0
        }
    }

    /// Sends the first requests of a connection opened before the load.
    pub(crate) fn start(&mut self, now: Nanos, thread: &mut ThreadState<C::Shared>) {
        if self.state != State::Open {
            return;
        }
        self.append_first_requests(now, thread);
        if let Err(failure) = self.send(now, thread) {
            self.fail(failure, thread);
        }
    }

    /// Sends `count` requests whose latency counts from `since`.
    #[inline]
    pub(crate) fn ask(&mut self, count: usize, since: Nanos, now: Nanos, thread: &mut ThreadState<C::Shared>) {
        thread.allowance.take(count);
        self.script.ask(count, since, &mut thread.script_context(now));
        if let Err(failure) = self.send(now, thread) {
            self.fail(failure, thread);
        }
    }

    /// Returns how many requests it has begun and not finished; with churn, connecting begins one.
    pub(crate) fn unfinished(&self, pacing: Pacing) -> usize {
        let is_connecting = pacing == Pacing::Churn && self.is_opening();
        self.script.in_flight() + usize::from(is_connecting)
    }

    /// Whether the end of the run waits for this connection.
    pub(crate) fn is_busy(&self, pacing: Pacing) -> bool {
        self.unfinished(pacing) > 0
    }

    /// Counts its unanswered requests when the run ends at `now`.
    pub(crate) fn give_up(&self, now: Nanos, thread: &mut ThreadState<C::Shared>) {
        self.script
            .each_in_flight(&mut |since| thread.counts.unanswered(since, now));
        if thread.pacing == Pacing::Churn && self.is_opening() {
            thread.counts.unanswered(self.since, now);
        }
    }

    /// Fails it if it is past its timeout at `now`; returns whether it may be reopened.
    pub(crate) fn check(&mut self, now: Nanos, timeout: Nanos, thread: &mut ThreadState<C::Shared>) -> bool {
        let is_late = |since: Nanos| now.saturating_sub(since) > timeout;
        match self.state {
            State::Closed => return true,
            State::Connecting | State::Shaking if is_late(self.since) => self.fail(Failure::Timeout, thread),
            State::Open if self.script.oldest().is_some_and(is_late) => self.fail(Failure::Timeout, thread),
            State::Open if !self.script.is_ready() && is_late(self.since) => self.fail(Failure::Timeout, thread),
            // The answer was correct and complete; a server that closes late has not failed.
            State::Leaving => {
                self.close();
                return true;
            }
            State::Connecting | State::Shaking | State::Open => {}
        }
        false
    }

    fn finish_connecting(&mut self, thread: &mut ThreadState<C::Shared>) -> Result<NextStep, Failure> {
        let Some(socket) = &self.socket else {
            return Ok(NextStep::Nothing);
        };
        match sockopt::socket_error(socket) {
            Ok(Ok(())) => {}
            Ok(Err(Errno::TIMEDOUT)) => return Err(Failure::Timeout),
            Ok(Err(_)) | Err(_) => return Err(Failure::Connect),
        }
        let now = thread.clock.now();
        if thread.is_secure {
            self.tls = Some(Box::new(Session::begin()?));
            self.state = State::Shaking;
            // The hello.
            self.send(now, thread)?;
            return Ok(NextStep::Nothing);
        }
        self.begin_script(now, thread)?;
        Ok(NextStep::Nothing)
    }

    /// Continues the handshake of TLS; the first requests follow it.
    fn shake(&mut self, thread: &mut ThreadState<C::Shared>) -> Result<NextStep, Failure> {
        loop {
            let (Some(socket), Some(tls)) = (&self.socket, &mut self.tls) else {
                return Ok(NextStep::Nothing);
            };
            let received = match net::recv(socket, &mut *thread.input, RecvFlags::empty()) {
                Ok((0, _)) => return Err(Failure::ClosedEarly),
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(NextStep::Nothing),
                Err(Errno::INTR) => continue,
                Err(_) => return Err(Failure::Reset),
            };
            let now = thread.clock.now();
            thread.counts.received(received, now);
            thread.plaintext.clear();
            let records = thread.input.get(..received).unwrap_or_default();
            tls.receive(records, &mut thread.plaintext)?;
            if tls.is_handshaking() {
                self.send(now, thread)?;
                continue;
            }
            self.begin_script(now, thread)?;
            // Tickets may wait in the socket.
            return Ok(NextStep::Resume);
        }
    }

    /// Begins the protocol on an open connection.
    fn begin_script(&mut self, now: Nanos, thread: &mut ThreadState<C::Shared>) -> Result<(), Failure> {
        self.state = State::Open;
        thread.counts.connections_opened += 1;
        self.script.open(&mut thread.script_context(now));
        self.append_first_requests(now, thread);
        self.send(now, thread)
    }

    /// Whether it connects, or completes the handshake of TLS.
    fn is_opening(&self) -> bool {
        matches!(self.state, State::Connecting | State::Shaking)
    }

    /// Appends the first requests of a connection, unless a schedule sends them.
    fn append_first_requests(&mut self, now: Nanos, thread: &mut ThreadState<C::Shared>) {
        let (is_due, since) = match thread.pacing {
            Pacing::Closed | Pacing::Hold => (thread.is_sending, now),
            // Churn only connects while requests may be sent.
            Pacing::Churn => (true, self.since),
            Pacing::Open(_) => return,
        };
        if is_due {
            self.fill(since, now, thread);
        }
    }

    /// Appends requests until the pipeline is full or the allowance is used up.
    #[inline]
    fn fill(&mut self, since: Nanos, now: Nanos, thread: &mut ThreadState<C::Shared>) {
        let room = self.script.room();
        // With churn, the worker took the request from the allowance before it connected.
        let count = match thread.pacing {
            Pacing::Churn => room,
            _ => thread.allowance.of(room),
        };
        if count == 0 {
            return;
        }
        if thread.pacing != Pacing::Churn {
            thread.allowance.take(count);
        }
        self.script.ask(count, since, &mut thread.script_context(now));
    }

    /// Reads until the socket is empty or the turn is over.
    ///
    /// A short read has emptied the socket, unless the peer closed it too: then only a further read returns the end of
    /// stream.
    #[inline]
    fn receive(&mut self, ready: EventFlags, thread: &mut ThreadState<C::Shared>) -> Result<NextStep, Failure> {
        let is_closing = ready.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        for _ in 0..READS_MAX {
            let Some(socket) = &self.socket else {
                return Ok(NextStep::Nothing);
            };
            let received = match net::recv(socket, &mut *thread.input, RecvFlags::empty()) {
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(NextStep::Nothing),
                Err(Errno::INTR) => continue,
                Err(_) => return Err(Failure::Reset),
            };
            let now = thread.clock.now();
            if received == 0 {
                let ending = self.script.end(&mut thread.script_context(now))?;
                self.close();
                return Ok(if ending == PeerClose::EndedResponse {
                    NextStep::Reopen
                } else {
                    NextStep::Nothing
                });
            }
            thread.counts.received(received, now);
            let flow = match self.decrypt(received, thread)? {
                true => self.take(received, now, thread)?,
                // Tickets, or a part of a record.
                false => Flow::Continue,
            };
            if flow == Flow::Close {
                // Wait for the server's close instead of closing first, which would leave this port in TIME-WAIT.
                self.state = State::Leaving;
                self.since = now;
                return self.discard(thread);
            }
            if thread.pacing == Pacing::Closed && thread.is_sending {
                self.fill(now, now, thread);
            }
            self.send(now, thread)?;
            if received < thread.input.len() && !is_closing {
                return Ok(NextStep::Nothing);
            }
        }
        Ok(NextStep::Resume)
    }

    /// Decrypts the first `received` bytes of the input buffer; returns whether there is anything for the script.
    #[inline]
    fn decrypt(&mut self, received: usize, thread: &mut ThreadState<C::Shared>) -> Result<bool, Failure> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        thread.plaintext.clear();
        let records = thread.input.get(..received).unwrap_or_default();
        tls.receive(records, &mut thread.plaintext)?;
        Ok(!thread.plaintext.is_empty())
    }

    /// Passes the first `received` bytes of the input buffer, or what was decrypted of them, to the script.
    #[inline]
    fn take(&mut self, received: usize, now: Nanos, thread: &mut ThreadState<C::Shared>) -> Result<Flow, Failure> {
        let ThreadState {
            input,
            plaintext,
            shared,
            output,
            counts,
            ..
        } = thread;
        let bytes = match self.tls {
            Some(_) => plaintext.as_slice(),
            None => input.get(..received).unwrap_or_default(),
        };
        let mut context = ScriptContext {
            shared,
            now,
            out: output,
            counts,
        };
        self.script.receive(bytes, &mut context)
    }

    /// Waits for the server's close after the last answer.
    fn discard(&mut self, thread: &mut ThreadState<C::Shared>) -> Result<NextStep, Failure> {
        loop {
            let Some(socket) = &self.socket else {
                return Ok(NextStep::Nothing);
            };
            match net::recv(socket, &mut *thread.input, RecvFlags::empty()) {
                Ok((0, _)) => break,
                // The server's close_notify.
                Ok(_) if self.tls.is_some() => {}
                Ok(_) => return Err(Failure::Malformed),
                Err(Errno::AGAIN) => return Ok(NextStep::Nothing),
                Err(Errno::INTR) => {}
                // A reset after the last answer also closes it.
                Err(_) => break,
            }
        }
        self.close();
        Ok(NextStep::Reopen)
    }

    /// Sends the output buffer after the unsent bytes, and keeps what the socket does not accept.
    #[inline]
    fn send(&mut self, now: Nanos, thread: &mut ThreadState<C::Shared>) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            tls.seal(&mut thread.output)?;
        }
        if thread.output.is_empty() {
            return Ok(());
        }
        // The socket buffer is full; EPOLLOUT will flush in order.
        if !self.unsent.is_empty() {
            self.unsent.append(&mut thread.output);
            return Ok(());
        }
        let sent = self.send_some(&thread.output)?;
        thread.counts.sent(sent, now);
        if sent < thread.output.len() {
            self.unsent.extend(thread.output.iter().skip(sent));
        }
        thread.output.clear();
        Ok(())
    }

    fn flush(&mut self, thread: &mut ThreadState<C::Shared>) -> Result<NextStep, Failure> {
        let sent = self.send_some(&self.unsent)?;
        thread.counts.sent(sent, thread.clock.now());
        self.unsent.drain(..sent);
        Ok(NextStep::Nothing)
    }

    #[inline]
    fn send_some(&self, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(socket) = &self.socket else { return Ok(0) };
        match net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN) => Ok(0),
            Err(_) => Err(Failure::Reset),
        }
    }

    fn fail(&mut self, failure: Failure, thread: &mut ThreadState<C::Shared>) {
        thread.output.clear();
        let in_flight = self.script.in_flight();
        if in_flight == 0 && thread.pacing != Pacing::Churn {
            // Without this, a server that refuses every connection would never use up the allowance.
            thread.allowance.take(1);
        }
        thread.counts.failed(failure, (in_flight as u64).max(1));
        self.script = C::begin(self.index, &mut thread.shared);
        self.close();
    }

    fn close(&mut self) {
        self.socket = None;
        self.tls = None;
        self.unsent.clear();
        self.state = State::Closed;
    }
}

fn begin_to_connect(index: usize, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source(index, address) {
        net::bind(&socket, &SocketAddr::new(source, 0))?;
        sockopt::set_socket_linger(&socket, RESET_ON_CLOSE)?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Returns the loopback address that connection `index` binds to, from the 10,001st on: 127.0.1.1, 127.0.1.2 and so on.
pub(crate) fn source(index: usize, address: SocketAddr) -> Option<IpAddr> {
    let group = u32::try_from(index / CONNECTIONS_PER_SOURCE).ok()?;
    if group == 0 || !matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
        return None;
    }
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 1));
    Some(IpAddr::V4(Ipv4Addr::from(first + group - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_sources_change_before_their_ports_run_out() {
        let loopback: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(source(CONNECTIONS_PER_SOURCE - 1, loopback), None);
        let of = |index| source(index, loopback).unwrap().to_string();
        assert_eq!(of(CONNECTIONS_PER_SOURCE), "127.0.1.1");
        assert_eq!(of(CONNECTIONS_PER_SOURCE * 255 + 1), "127.0.1.255");
        assert_eq!(of(CONNECTIONS_PER_SOURCE * 256), "127.0.2.0");
        assert_eq!(source(1_000_000, "192.0.2.1:80".parse().unwrap()), None);
        assert_eq!(source(1_000_000, "[::1]:80".parse().unwrap()), None);
    }
}
