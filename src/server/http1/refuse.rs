//! The last response of a connection, to a request that no handler gets: a malformed or late one, or one without memory.
//!
//! The application's error page writes it. The page is a plain function and may not stream, so a refused connection
//! ends as soon as its peer has read the response. If the page fails, a line of text replaces it.

use std::rc::Rc;

use super::connection::{Connection, Ending};
use crate::app::{Exchange, Outcome};
use crate::error::HttpError;
use crate::http1::{BodyLength, CHUNK_FRAMING_BYTES_MAX, HEAD_BYTES_USUAL, ParseError};
use crate::memory::OutOfMemory;
use crate::message::{HeaderValue, ResponseHead, StatusCode, header};

/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Connection {
    /// Answers a malformed request and reads nothing behind it.
    pub(super) fn refuse(&mut self, error: ParseError) -> Ending {
        tracing::debug!(peer = self.peer().address.map(tracing::field::display), %error, "refused a request");
        self.send_final_error(error.status(), &error.to_string())
    }

    /// Writes one last response, unless a response has begun, and returns how the connection ends.
    ///
    /// The error page sees a request without path and fields, because the real one cannot be trusted or is with its
    /// handler.
    pub(in crate::server) fn send_final_error(&mut self, status: StatusCode, why: &str) -> Ending {
        match self.take_exchange() {
            Ok(mut exchange) => {
                exchange.forget_request();
                self.send_error_page(exchange, status, why)
            }
            Err(OutOfMemory) => self.send_bare_error(status, why),
        }
    }

    /// Writes one last response with the application's error page, unless a response has begun.
    pub(super) fn send_error_page(&mut self, mut exchange: Box<Exchange>, status: StatusCode, why: &str) -> Ending {
        // Pipelined requests behind this one are not answered.
        self.input.clear(&self.socket);
        self.machine.close_after_response();
        let is_written = !self.machine.is_head_sent() && {
            let mut error = HttpError::new(status).with_message(why.to_owned());
            if status == StatusCode::SERVICE_UNAVAILABLE {
                error = error.with_header(header::RETRY_AFTER, RETRY_AFTER);
            }
            let app = Rc::clone(&self.server.app);
            app.refuse(&mut exchange, error.into()) && self.write_error_page(&mut exchange)
        };
        exchange.reset();
        self.exchange = Some(exchange);
        match is_written {
            true => Ending::Close,
            false => self.send_bare_error(status, why),
        }
    }

    /// Writes the response in an exchange; returns whether it has been written whole.
    fn write_error_page(&mut self, exchange: &mut Exchange) -> bool {
        let Outcome::Respond {
            head: Some(head),
            body,
            stream: None,
            trailers,
        } = exchange.outcome()
        else {
            return false;
        };
        if self
            .make_room(HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + body.len())
            .is_err()
        {
            return false;
        }
        let date = self.server.date();
        let length = BodyLength::Known(body.len() as u64);
        let written = self
            .machine
            .send_head(head, length, &date, &mut self.output)
            .and_then(|()| self.machine.send_last(body, Some(trailers), &mut self.output));
        if let Err(error) = written {
            tracing::error!(%error, "could not send the error page; sent plain text");
        }
        written.is_ok()
    }

    /// Writes one last response without the application, unless a response has begun.
    fn send_bare_error(&mut self, status: StatusCode, why: &str) -> Ending {
        self.input.clear(&self.socket);
        self.machine.close_after_response();
        let mut head = ResponseHead::new(status);
        let body = format!("{}: {why}\n", status.as_u16());
        head.headers.set(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            head.headers.set(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Err(out_of_memory) = self.make_room(HEAD_BYTES_USUAL + body.len()) {
            return out_of_memory.into();
        }
        let date = self.server.date();
        let length = BodyLength::Known(body.len() as u64);
        let written = self
            .machine
            .send_head(&head, length, &date, &mut self.output)
            .and_then(|()| self.machine.send_last(body.as_bytes(), None, &mut self.output));
        match written {
            Ok(()) => Ending::Close,
            Err(_) => Ending::Abort,
        }
    }
}
