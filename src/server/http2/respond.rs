//! Responses that are complete when their handler ends at once, and those to requests that no handler gets.

use std::rc::Rc;
use std::task::Context;

use super::connection::{BROKEN_OFF, Connection};
use super::handler;
use crate::app::{Channel, Exchange, ExchangeTask, Outcome};
use crate::error::HttpError;
use crate::http2::{HEAD_BYTES_USUAL, ResponseStart, SendError, StreamKey};
use crate::message::{HeaderValue, StatusCode, header};
use crate::server::ending::Flow;

/// How much output gathers before it is sent. 64 KiB, as in HTTP/1.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Connection {
    /// Writes the response of a handler that has ended at once, if it is complete and there is room for it. Otherwise a
    /// task of its own delivers it.
    pub(super) fn respond(
        &mut self,
        stream: StreamKey,
        mut task: ExchangeTask,
        channel: Rc<Channel>,
        cx: &Context<'_>,
    ) -> Flow {
        let exchange = task.exchange_mut();
        if exchange.has_upgrade() {
            handler::open_tunnel(&self.server, task);
            self.wait_for(stream, channel, cx);
            return Ok(());
        }
        let bytes = exchange.content_bytes();
        let has_room = self.wire.output.len() + bytes <= OUTPUT_BYTES_MAX;
        if !exchange.is_whole() || exchange.has_on_finish() || !has_room || !self.machine.fits(stream, bytes) {
            handler::deliver(&self.server, task);
            self.wait_for(stream, channel, cx);
            return Ok(());
        }
        drop(channel);
        let mut exchange = task.into_exchange();
        match self.write_whole(stream, &mut exchange) {
            Ok(()) => {
                exchange.reset();
                self.exchange = Some(exchange);
                self.release(stream);
                Ok(())
            }
            Err(SendError::OutOfMemory) => {
                exchange.reset();
                self.refuse_request(
                    stream,
                    exchange,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is short of memory",
                )
            }
            Err(error) => {
                tracing::error!(%error, "could not send the response; answered 500");
                exchange.reset();
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                self.refuse_request(stream, exchange, status, "the response could not be sent")
            }
        }
    }

    /// Writes the response in an exchange.
    fn write_whole(&mut self, stream: StreamKey, exchange: &mut Exchange) -> Result<(), SendError> {
        let Outcome::Respond {
            head: Some(head),
            body,
            stream: None,
            trailers,
            ..
        } = exchange.outcome()
        else {
            return Err(SendError::HeadNotSent);
        };
        self.wire.make_room(HEAD_BYTES_USUAL + body.len())?;
        let date = self.server.date();
        let start = ResponseStart {
            head,
            length: Some(body.len() as u64),
            ends: body.is_empty() && trailers.is_empty(),
            date: &date,
        };
        self.machine.send_head(stream, start, &mut self.wire.output)?;
        self.machine
            .send_last(stream, body, Some(trailers), &mut self.wire.output)
    }

    /// Answers a request that could not be read.
    pub(super) fn refuse(&mut self, stream: StreamKey, status: StatusCode, why: &str) -> Flow {
        let peer = self.wire.peer().address.map(tracing::field::display);
        tracing::debug!(peer, error = why, "refused a request");
        let mut exchange = self.pooled_exchange()?;
        exchange.forget_request();
        self.refuse_request(stream, exchange, status, why)
    }

    /// Answers a request with the error page, or resets its stream where that fails.
    pub(super) fn refuse_request(
        &mut self,
        stream: StreamKey,
        mut exchange: Box<Exchange>,
        status: StatusCode,
        why: &str,
    ) -> Flow {
        let mut error = HttpError::new(status).with_message(why.to_owned());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            error = error.with_header(header::RETRY_AFTER, RETRY_AFTER);
        }
        let app = Rc::clone(&self.server.app);
        let is_written = app.refuse(&mut exchange, error.into())
            && self.machine.fits(stream, exchange.content_bytes())
            && self.write_whole(stream, &mut exchange).is_ok();
        exchange.reset();
        self.exchange = Some(exchange);
        if !is_written {
            self.machine.reset(stream, BROKEN_OFF, &mut self.wire.output);
        }
        self.release(stream);
        Ok(())
    }
}
