//! The HTTP script: repeats one request and checks each answer.

use std::collections::VecDeque;

use super::response::{CheckedResponse, ResponseCheck, ResponseReader, Step};
use crate::load::clock::Nanos;
use crate::load::run_result::Failure;
use crate::load::script::{Flow, InFlight, PeerClose, Script, ScriptContext};

/// What the HTTP connections of one thread share.
#[derive(Debug)]
pub(crate) struct Http {
    /// One whole request.
    pub(crate) request: Vec<u8>,
    pub(crate) check: ResponseCheck,
    pub(crate) expected_status: u16,
    /// The most requests in flight on one connection.
    pub(crate) pipeline: usize,
    /// Whether the request carries `Connection: close`.
    pub(crate) closes: bool,
}

/// One connection's requests and answers.
#[derive(Debug)]
pub(crate) struct HttpScript {
    reader: ResponseReader,
    /// The requests in flight, oldest first.
    in_flight: VecDeque<InFlight>,
    /// The most requests in flight; 0 after the server announced a close.
    room_max: usize,
}

impl HttpScript {
    fn check_response(&mut self, answer: CheckedResponse, context: &mut ScriptContext<'_, Http>) {
        let Some(InFlight { since, .. }) = self.in_flight.pop_front() else {
            return;
        };
        if answer.status != context.shared.expected_status {
            context.counts.failed(Failure::WrongStatus, 1);
        } else if answer.is_body_right {
            context.counts.answered(since, context.now);
        } else {
            context.counts.failed(Failure::WrongBody, 1);
        }
    }
}

impl Script for HttpScript {
    type Shared = Http;

    fn begin(_index: usize, shared: &mut Http) -> Self {
        Self {
            reader: ResponseReader::new(),
            in_flight: VecDeque::new(),
            room_max: shared.pipeline,
        }
    }

    fn open(&mut self, _context: &mut ScriptContext<'_, Http>) {}

    fn is_ready(&self) -> bool {
        true
    }

    #[inline]
    fn room(&self) -> usize {
        self.room_max.saturating_sub(self.in_flight.len())
    }

    #[inline]
    fn ask(&mut self, count: usize, since: Nanos, context: &mut ScriptContext<'_, Http>) {
        for _ in 0..count {
            self.in_flight.push_back(InFlight {
                since,
                sent: context.now,
            });
            context.out.extend_from_slice(&context.shared.request);
        }
    }

    #[inline]
    fn receive(&mut self, bytes: &[u8], context: &mut ScriptContext<'_, Http>) -> Result<Flow, Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.in_flight.is_empty() {
                // Surplus bytes would otherwise count as the next answer.
                return Err(Failure::Malformed);
            }
            let step = self.reader.read(rest, &mut context.shared.check);
            let Step::Done { consumed, answer } = step.map_err(|_| Failure::Malformed)? else {
                break;
            };
            rest = rest.get(consumed..).unwrap_or_default();
            self.check_response(answer, context);
            if answer.closes || context.shared.closes {
                // RFC 9112 section 9.6: no response follows, so requests still in flight have failed.
                self.room_max = 0;
                return match (self.in_flight.len(), rest) {
                    (0, []) => Ok(Flow::Close),
                    (0, _) => Err(Failure::Malformed),
                    _ => Err(Failure::ClosedEarly),
                };
            }
        }
        Ok(Flow::Continue)
    }

    fn end(&mut self, context: &mut ScriptContext<'_, Http>) -> Result<PeerClose, Failure> {
        let answer = self
            .reader
            .end(&context.shared.check)
            .map_err(|_| Failure::ClosedEarly)?;
        let Some(answer) = answer else {
            return if self.in_flight.is_empty() {
                Ok(PeerClose::Unexpected)
            } else {
                Err(Failure::ClosedEarly)
            };
        };
        self.check_response(answer, context);
        if self.in_flight.is_empty() {
            Ok(PeerClose::EndedResponse)
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
