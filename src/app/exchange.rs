//! An exchange: one request and its response, as the driver of a connection sees them.
//!
//! The driver fills [`head_mut`](Exchange::head_mut), tells the [`Channel`] what content comes ([`Channel::begin`]), and polls
//! [`App::respond`](super::App::respond). While that is pending it feeds content the channel wants and sends what the channel
//! flushes. Then it sends the [`Outcome`], runs what [`App::finished`](super::App::finished) gives it, and resets the exchange for the next
//! request: its memory is used again, up to named bounds.

use std::rc::Rc;

use super::channel::Channel;
use super::client_address::Peer;
use super::context::Context;
use super::dispatch::App;
use super::websocket::Upgrade;
use super::write::Completion;
use crate::message::{BodyStream, Headers, RequestHead, ResponseHead};

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    pub(super) context: Context,
}

/// What is left to send when a response has been made. A flush that the handler did not wait for may still lie in the channel:
/// it goes first.
pub enum Outcome<'a> {
    /// A response, or the rest of it.
    Respond {
        /// The head; `None` if it has been flushed.
        head: Option<&'a ResponseHead>,
        /// Content; maybe empty. Without a stream, and if nothing was flushed, it is all there is.
        body: &'a [u8],
        /// More content, after `body`; draw from it with [`App::poll_stream`](super::App::poll_stream). In answer to HEAD it is
        /// dropped with [`App::discard`](super::App::discard) instead.
        stream: Option<BodyStream>,
        /// Trailer fields, for a response sent chunked.
        trailers: &'a Headers,
    },
    /// Nothing: cut the connection, so that the peer cannot take what was flushed for the whole.
    Abort,
}

impl Exchange {
    /// Makes an exchange for requests to `app`.
    #[must_use]
    pub fn new(app: &Rc<App>) -> Self {
        Self {
            context: Context::new(app),
        }
    }

    /// The head of the request.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.context.head
    }

    /// The head of the request, to be filled.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.context.head
    }

    /// The channel to this exchange's handler; the same one for as long as the exchange lives.
    #[must_use]
    pub fn channel(&self) -> Rc<Channel> {
        Rc::clone(&self.context.channel)
    }

    /// Says who sends the requests from now on.
    pub fn set_peer(&mut self, peer: Peer) {
        self.context.peer = peer;
    }

    /// What is to be sent, once [`App::respond`](super::App::respond) is ready.
    pub fn outcome(&mut self) -> Outcome<'_> {
        let response = &mut self.context.response;
        if response.completion != Completion::Whole {
            return Outcome::Abort;
        }
        let stream = response.stream.take();
        Outcome::Respond {
            head: (!response.head_sent).then_some(&response.head),
            body: response.content(),
            stream,
            trailers: &response.trailers,
        }
    }

    /// Whether the handler that was called has an `on_finish`.
    #[must_use]
    pub fn has_on_finish(&self) -> bool {
        self.context.wants_on_finish
    }

    /// Says how the response ended, unless the application gave it up before.
    pub fn conclude(&mut self, completion: Completion) {
        let known = &mut self.context.response.completion;
        if *known == Completion::Whole {
            *known = completion;
        }
    }

    /// What is to become of the connection after the 101 that was sent.
    pub fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        self.context.response.upgrade.take()
    }

    /// Forgets the request and its response; keeps memory up to named bounds. What it was told of the peer stays, and so does the
    /// head, until the next one is written over it.
    pub fn reset(&mut self) {
        self.context.reset();
    }
}

impl core::fmt::Debug for Outcome<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Respond { head, body, stream, .. } => formatter
                .debug_struct("Respond")
                .field("head", head)
                .field("body_bytes", &body.len())
                .field("has_stream", &stream.is_some())
                .finish(),
            Self::Abort => formatter.write_str("Abort"),
        }
    }
}
