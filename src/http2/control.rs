//! The frames that carry no part of a message: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE and priorities (RFC
//! 9113 §6, RFC 9218 §7).
//!
//! Every one of them is charged, however short; content that moves pays for them (see `budget`).

use std::time::Instant;

use super::connection::{Connection, Event, Received};
use super::error::{ConnectionError, ErrorCode};
use super::frame::{self, FrameHeader, flag, kind};
use super::priority::Priority;
use super::settings::Role;
use super::stream::Step;

/// Settings that one charge pays for. 16: more than there are.
const SETTINGS_PER_CHARGE: usize = 16;

impl Connection {
    /// Handles a frame whose header was checked.
    pub(super) fn receive_control<'b>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Received<'b> {
        match header.kind {
            kind::SETTINGS => self.receive_settings(header, payload, now, out),
            kind::RST_STREAM => self.receive_reset(header.stream, payload, now),
            kind::PUSH_PROMISE => Err(ConnectionError::protocol("PUSH_PROMISE is not allowed")),
            _ => {
                self.budget.charge_control(&self.limits, now)?;
                match header.kind {
                    kind::PING if !header.has(flag::ACK) => frame::put(kind::PING, flag::ACK, 0, payload, out),
                    kind::GOAWAY => {
                        let code = frame::number(payload.get(4..).unwrap_or_default());
                        return Ok(Some(Event::GoAway {
                            last: frame::number(payload),
                            code: ErrorCode(code),
                        }));
                    }
                    kind::WINDOW_UPDATE => return self.receive_window_update(header.stream, payload, now, out),
                    kind::PRIORITY => self.receive_priority(header, payload)?,
                    kind::PRIORITY_UPDATE => self.receive_priority_update(payload)?,
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    fn receive_settings<'b>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Received<'b> {
        if header.has(flag::ACK) {
            if !self.clock.settings_acknowledged() {
                self.budget.charge_control(&self.limits, now)?;
            }
            return Ok(None);
        }
        for _ in 0..=payload.len() / 6 / SETTINGS_PER_CHARGE {
            self.budget.charge_control(&self.limits, now)?;
        }
        let before = self.peer;
        self.peer.apply(payload, self.role, &mut self.encoder)?;
        // The windows of all open streams change with it, and may become negative (RFC 9113 §6.9.2).
        let change = self.peer.initial_window - before.initial_window;
        if change != 0 {
            for stream in self.streams.iter_mut() {
                stream
                    .send_window
                    .enlarge(change)
                    .map_err(|_| ConnectionError::flow_control("a setting raises a window above its maximum"))?;
            }
        }
        frame::put(kind::SETTINGS, flag::ACK, 0, b"", out);
        Ok(None)
    }

    fn receive_reset<'b>(&mut self, id: u32, payload: &[u8], now: Instant) -> Received<'b> {
        if self.is_unopened(id) {
            return Err(ConnectionError::protocol(
                "RST_STREAM of a stream that was never opened",
            ));
        }
        // Also for streams that are closed already: their requests were answered before the reset came.
        self.budget.charge_reset(&self.limits, now)?;
        let Some(stream) = self.streams.find(id) else {
            return Ok(None);
        };
        self.step(stream, Step::Reset);
        Ok(Some(Event::Reset {
            stream,
            code: ErrorCode(frame::number(payload)),
        }))
    }

    fn receive_window_update<'b>(&mut self, id: u32, payload: &[u8], now: Instant, out: &mut Vec<u8>) -> Received<'b> {
        let increment = i64::from(frame::number(payload));
        if id == 0 {
            if increment == 0 {
                return Err(ConnectionError::protocol("WINDOW_UPDATE of 0"));
            }
            let enlarged = self.send_window.enlarge(increment);
            return enlarged
                .map(|()| None)
                .map_err(|_| ConnectionError::flow_control("the window of the connection is above its maximum"));
        }
        if self.is_unopened(id) {
            return Err(ConnectionError::protocol(
                "WINDOW_UPDATE of a stream that was never opened",
            ));
        }
        // The update of a stream that has ended may have been on its way (RFC 9113 §5.1).
        let Some(key) = self.streams.find(id) else {
            return Ok(None);
        };
        if increment == 0 {
            return self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, now, out);
        }
        match self
            .streams
            .get_mut(key)
            .map(|stream| stream.send_window.enlarge(increment))
        {
            Some(Err(_)) => self.reset_for_peer(key, ErrorCode::FLOW_CONTROL_ERROR, now, out),
            _ => Ok(None),
        }
    }

    /// Checks and forgets a priority of RFC 7540, whose scheme RFC 9113 §5.3 deprecates.
    fn receive_priority(&self, header: FrameHeader, payload: &[u8]) -> Result<(), ConnectionError> {
        if payload.len() != 5 {
            return Err(ConnectionError::frame_size("PRIORITY is not five bytes long"));
        }
        if frame::number(payload) == header.stream {
            return Err(ConnectionError::protocol("a stream depends on itself"));
        }
        Ok(())
    }

    /// Changes the priority of an open stream. None is remembered for a stream that is not open yet.
    fn receive_priority_update(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let id = frame::number(payload);
        if self.role == Role::Client || id == 0 {
            return Err(ConnectionError::protocol("PRIORITY_UPDATE is not allowed here"));
        }
        if let Some(key) = self.streams.find(id)
            && let Some(stream) = self.streams.get_mut(key)
        {
            stream.priority = Priority::parse(payload.get(4..).unwrap_or_default());
        }
        Ok(())
    }
}
