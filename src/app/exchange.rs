//! An exchange: one request and its response, as the driver of a connection handles them.
//!
//! The driver works in this order:
//!
//! - It fills [`head_mut`](Exchange::head_mut) and announces the content to the [`Channel`] ([`Channel::begin`]).
//! - It polls [`App::respond`](super::App::respond). Meanwhile, it feeds content that the channel wants and sends
//!   what it flushes.
//! - It sends the [`Outcome`] and runs the future of [`App::finished`](super::App::finished).
//! - It resets the exchange for the next request, which reuses the memory up to named bounds.
//!
//! A connection with many exchanges at once runs each as an [`ExchangeTask`](super::ExchangeTask).

use std::rc::Rc;

use bytes::Bytes;

use super::body_channel::Channel;
use super::context::Context;
use super::request::client_address::Peer;
use super::response::state::Completion;
use super::shared::Shared;
use super::websocket::Upgrade;
#[cfg(feature = "rustls")]
use crate::message::TlsInfo;
use crate::message::{BodyStream, Headers, RequestHead, ResponseHead};

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    pub(super) context: Context,
}

/// The rest of a response that the driver must send.
///
/// A flush that the handler did not await may still be in the channel; it is sent first.
pub enum Outcome<'a> {
    /// A response, or the rest of it.
    Respond {
        /// The head; `None` if it was flushed.
        head: Option<&'a ResponseHead>,
        /// Content, possibly empty. Without a stream and an earlier flush, it is all of the content.
        body: &'a [u8],
        /// `body` again if it is one shared piece, which needs no copy.
        whole: Option<&'a Bytes>,
        /// More content after `body`, read with [`Shared::poll_stream`](super::Shared::poll_stream).
        ///
        /// For HEAD, the driver drops it with [`Shared::discard`](super::Shared::discard).
        stream: Option<BodyStream>,
        /// Trailer fields of a chunked response.
        trailers: &'a Headers,
    },
    /// An incomplete response: close the connection, so the peer can tell that content is missing.
    Abort,
}

impl Exchange {
    /// Makes an exchange for requests to an application.
    #[must_use]
    pub fn new(shared: &Rc<Shared>) -> Self {
        Self {
            context: Context::new(shared),
        }
    }

    /// Returns the head of the request.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.context.head
    }

    /// Returns the request and the response so far, for the log.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the head of the request, to be filled.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.context.head
    }

    /// Returns the channel to the handler, which stays the same for the life of the exchange.
    #[must_use]
    pub fn channel(&self) -> Rc<Channel> {
        Rc::clone(&self.context.channel)
    }

    /// Clears the head of a request that could not be read: no application sees half of a head.
    pub fn forget_request(&mut self) {
        // An unfilled head is a GET without a path and without fields.
        let _unfilled = self.context.head.rewrite();
    }

    /// Sets the sender of all later requests.
    pub fn set_peer(&mut self, peer: Peer) {
        self.context.peer = peer;
    }

    /// Sets the TLS connection of all later requests.
    #[cfg(feature = "rustls")]
    pub(crate) fn set_tls(&mut self, tls: Option<Rc<TlsInfo>>) {
        self.context.tls = tls;
    }

    /// Returns what to send, once [`App::respond`](super::App::respond) is ready.
    pub fn outcome(&mut self) -> Outcome<'_> {
        let response = &mut self.context.response;
        if response.completion != Completion::Whole {
            return Outcome::Abort;
        }
        response.complete();
        let stream = response.take_stream();
        Outcome::Respond {
            head: (!response.head_sent).then_some(&response.head),
            body: response.content(),
            whole: response.whole(),
            stream,
            trailers: response.trailers(),
        }
    }

    /// Returns whether the response is in memory as a whole: nothing of it was flushed, and no stream is part of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let response = &self.context.response;
        response.completion == Completion::Whole && !response.head_sent && !response.has_stream()
    }

    /// Returns how many bytes of content wait to be sent, apart from a stream.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.context.response.content().len()
    }

    /// Returns whether the called handler has an `on_finish`.
    #[must_use]
    pub fn has_on_finish(&self) -> bool {
        self.context.wants_on_finish
    }

    /// Records how the response ended, unless the application gave it up before.
    pub fn conclude(&mut self, completion: Completion) {
        let known = &mut self.context.response.completion;
        if *known == Completion::Whole {
            *known = completion;
        }
    }

    /// Lets go of the channel if a driver, or a future of the application, still holds it.
    pub(super) fn leave_channel(&mut self) {
        let channel = &mut self.context.channel;
        if Rc::strong_count(channel) > 1 {
            *channel = Rc::default();
        }
    }

    /// Returns whether the response opens a WebSocket.
    #[must_use]
    pub fn has_upgrade(&self) -> bool {
        self.context.response.has_upgrade()
    }

    /// Takes the protocol that follows the 101, if one was sent.
    pub fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        self.context.response.take_upgrade()
    }

    /// Clears the request and its response and retains memory up to named bounds.
    ///
    /// The peer stays, and so does the head until the next request overwrites it.
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
