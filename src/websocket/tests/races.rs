//! Two connected machines under every order of a few steps: messages, closing, bytes in flight, transports that end, a
//! protocol error, time.
//!
//! Some invariants hold in every order.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{CloseCode, Payload, ProtocolError};
use super::pair::{End, Pair};
use super::transcript::Seen;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// An end sends a message.
    Send(Side),
    /// An end closes.
    Close(Side),
    /// Everything in flight to an end arrives.
    Arrive(Side),
    /// Half of it arrives.
    ArriveInPart(Side),
    /// An end's transport ends, behind the bytes in flight.
    End(Side),
    /// The client sends an invalid frame.
    Break,
    /// The clock moves to the next deadline.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

use Side::{Client, Server};

/// The steps that concern closing alone.
const CLOSING: [Step; 8] = [
    Step::Send(Server),
    Step::Close(Server),
    Step::Close(Client),
    Step::Arrive(Server),
    Step::Arrive(Client),
    Step::ArriveInPart(Server),
    Step::ArriveInPart(Client),
    Step::Break,
];

/// All steps.
const STEPS: [Step; 12] = [
    Step::Send(Server),
    Step::Send(Client),
    Step::Close(Server),
    Step::Close(Client),
    Step::Arrive(Server),
    Step::Arrive(Client),
    Step::ArriveInPart(Server),
    Step::ArriveInPart(Client),
    Step::End(Server),
    Step::End(Client),
    Step::Break,
    Step::Wait,
];

/// The output of an end, and its part in flight.
#[derive(Default)]
struct Outgoing {
    under_way: Vec<u8>,
    /// Every byte written.
    log: Vec<u8>,
    /// The messages that were accepted for sending.
    messages: Vec<Seen>,
    has_closed: bool,
    /// Whether the transport has ended in this direction, and whether the other end knows.
    has_ended: bool,
    end_has_arrived: bool,
}

struct Race {
    pair: Pair,
    server: Outgoing,
    client: Outgoing,
    has_broken: bool,
    /// Whether a deadline passed or a transport ended by itself.
    is_unclean: bool,
}

impl Race {
    fn new() -> Self {
        Self {
            pair: Pair::new(None),
            server: Outgoing::default(),
            client: Outgoing::default(),
            has_broken: false,
            is_unclean: false,
        }
    }

    fn parts(&mut self, side: Side) -> (&mut End, &mut Outgoing) {
        match side {
            Server => (&mut self.pair.server, &mut self.server),
            Client => (&mut self.pair.client, &mut self.client),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(side) => {
                let (end, outgoing) = self.parts(side);
                let text = format!("message {}", outgoing.messages.len());
                let was_open = end.connection.is_open();
                let sent = end.send(Payload::Text(&text));
                assert_eq!(sent.is_ok(), was_open);
                if sent.is_ok() && !outgoing.has_ended {
                    outgoing.messages.push(Seen::Text(text));
                }
            }
            Step::Close(side) => {
                let now = self.pair.now;
                let (end, outgoing) = self.parts(side);
                let was_open = end.connection.is_open();
                let closed = end.connection.close(side.code(), "", now, &mut end.wire);
                assert_eq!(closed.is_ok(), was_open);
                outgoing.has_closed |= was_open;
            }
            Step::Arrive(side) => self.arrive(side, usize::MAX),
            Step::ArriveInPart(side) => {
                let (_, outgoing) = self.parts(side.other());
                let half = outgoing.under_way.len().div_ceil(2);
                self.arrive(side, half);
            }
            Step::End(side) => {
                self.is_unclean = true;
                self.parts(side).1.has_ended = true;
            }
            Step::Break => {
                if self.pair.client.connection.is_open() && !self.client.has_ended {
                    self.has_broken = true;
                    self.pair.client.wire.extend(b"\x83\x80\0\0\0\0");
                }
            }
            Step::Wait => self.wait(),
        }
        self.flush();
    }

    /// Delivers at most this many bytes to an end; behind the last byte, also the end of the transport.
    fn arrive(&mut self, side: Side, bytes_max: usize) {
        let now = self.pair.now;
        let (_, outgoing) = self.parts(side.other());
        let count = bytes_max.min(outgoing.under_way.len());
        let arriving: Vec<u8> = outgoing.under_way.drain(..count).collect();
        let ends = outgoing.has_ended && outgoing.under_way.is_empty() && !outgoing.end_has_arrived;
        outgoing.end_has_arrived |= ends;
        let (end, outgoing) = self.parts(side);
        end.receive(&arriving, now);
        if ends {
            let is_over = end.connection.is_over();
            let told = end.connection.receive_eof();
            assert_eq!(told.is_ok(), is_over);
            // An end that sees the end closes the transport.
            end.connection.send_pending_control(&mut end.wire);
            outgoing.take(&mut end.wire);
            outgoing.has_ended = true;
        }
    }

    /// Moves the clock to the next deadline and handles it.
    fn wait(&mut self) {
        let ends = [&self.pair.server, &self.pair.client];
        let Some(due) = ends.iter().filter_map(|end| end.connection.poll_deadline()).min() else {
            return;
        };
        self.pair.now = due.max(self.pair.now);
        for side in [Server, Client] {
            let now = self.pair.now;
            let (end, outgoing) = self.parts(side);
            let has_expired = end.connection.handle_deadline(now).is_some();
            end.connection.send_pending_control(&mut end.wire);
            if has_expired {
                assert!(end.connection.is_over());
                outgoing.take(&mut end.wire);
                outgoing.has_ended = true;
            }
            self.is_unclean |= has_expired;
        }
    }

    /// Sends the written bytes. A server that is over ends the transport.
    fn flush(&mut self) {
        for side in [Server, Client] {
            let (end, outgoing) = self.parts(side);
            outgoing.take(&mut end.wire);
            outgoing.has_ended |= side == Server && end.connection.is_over();
        }
    }

    /// Delivers everything and moves the clock until nothing is awaited.
    fn settle(&mut self) {
        for _ in 0..20 {
            for _ in 0..3 {
                self.step(Step::Arrive(Server));
                self.step(Step::Arrive(Client));
            }
            if self.pair.server.connection.is_over() && self.pair.client.connection.is_over() {
                break;
            }
            self.step(Step::Wait);
        }
    }

    fn check(mut self, steps: &[Step]) {
        self.settle();
        let (is_clean, has_broken) = (!self.is_unclean, self.has_broken);
        let is_over = self.server.has_closed || self.client.has_closed || has_broken || !is_clean;
        let error = has_broken.then_some(ProtocolError::ReservedOpcode);
        let server_error = self.pair.server.error;
        assert_eq!(self.pair.client.error, None, "{steps:?}");
        assert!(
            server_error == error || server_error.is_none() && !is_clean,
            "{steps:?}: {server_error:?}"
        );
        for side in [Server, Client] {
            let peer = self.parts(side.other()).1;
            let (peer_messages, peer_has_closed) = (peer.messages.clone(), peer.has_closed);
            let (end, outgoing) = self.parts(side);
            assert_eq!(
                end.connection.is_over(),
                is_over,
                "{steps:?}: {side:?} ends if anything was ended"
            );
            assert!(
                !is_over || end.connection.poll_deadline().is_none(),
                "{steps:?}: {side:?} waits for nothing"
            );
            assert!(
                !end.connection.has_pending_control(),
                "{steps:?}: {side:?} owes nothing"
            );
            outgoing.check_log(steps);

            let mut events = end.events.clone();
            events.retain(|event| !matches!(event, Seen::Ping(_) | Seen::Pong(_)));
            let told = events.pop_if(|event| matches!(event, Seen::Close(_)));
            assert!(
                peer_messages.starts_with(&events),
                "{steps:?}: {side:?} gets {events:?} before {told:?}"
            );
            if is_clean && is_over {
                // The peer's own code, or the code it received, comes back.
                let code = match (side, peer_has_closed, has_broken) {
                    (Server, _, true) => None,
                    (Client, false, true) => Some(1002),
                    (side, true, _) => Some(side.other().code().number()),
                    (side, false, false) => Some(side.code().number()),
                };
                let told = told.map(|event| match event {
                    Seen::Close(frame) => frame.map(|(code, _)| code),
                    event => panic!("{event:?}"),
                });
                assert_eq!(told, code.map(Some), "{steps:?}: the end that {side:?} sees");
            }
            if is_clean && !has_broken && !outgoing.has_closed {
                assert_eq!(
                    events, peer_messages,
                    "{steps:?}: {side:?} gets all, as it has not closed"
                );
            }
        }
    }
}

impl Outgoing {
    /// Takes an end's output; bytes behind the end of its transport are lost.
    fn take(&mut self, wire: &mut Vec<u8>) {
        self.log.extend_from_slice(wire);
        if !self.has_ended {
            self.under_way.extend_from_slice(wire);
        }
        wire.clear();
    }

    /// Checks that the close frame is the last output.
    fn check_log(&self, steps: &[Step]) {
        let mut log = self.log.as_slice();
        let mut is_closed = false;
        while let [first, length, ..] = *log {
            assert!(!is_closed, "{steps:?}: behind a close frame {log:02x?}");
            is_closed = first == 0x88;
            let mask_bytes = if length < 0x80 { 0 } else { 4 };
            log = &log[2 + mask_bytes + usize::from(length & 0x7f)..];
        }
    }
}

impl Side {
    /// The code this end closes with.
    fn code(self) -> CloseCode {
        match self {
            Server => CloseCode::GOING_AWAY,
            Client => CloseCode::NORMAL,
        }
    }

    fn other(self) -> Self {
        match self {
            Server => Client,
            Client => Server,
        }
    }
}

fn run(steps: &[Step]) {
    let mut race = Race::new();
    steps.iter().for_each(|step| race.step(*step));
    race.check(steps);
}

/// Runs every sequence of this length.
fn run_all(alphabet: &[Step], length: usize) {
    let mut steps = vec![alphabet[0]; length];
    for number in 0..alphabet.len().pow(u32::try_from(length).unwrap()) {
        let mut rest = number;
        for step in &mut steps {
            *step = alphabet[rest % alphabet.len()];
            rest /= alphabet.len();
        }
        run(&steps);
    }
}

#[test]
fn every_order_of_closing_ends_cleanly() {
    run_all(&CLOSING, 5);
}

#[test]
fn every_order_of_steps_ends_cleanly() {
    run_all(&STEPS, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn long_runs_of_steps_end_cleanly(steps in vec(select(&STEPS[..]), 4..30)) {
        run(&steps);
    }
}
