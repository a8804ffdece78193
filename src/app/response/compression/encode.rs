//! Where the content of a response passes its encoder: at a flush, and when the handler has ended.
//!
//! Invariant: compressed content stands in front of the content that waits. So a flush that is dropped half-way loses
//! nothing, and the next one goes on where it stopped.

use super::compressor::Boundary;
use super::encoded_stream::EncodedStream;
use super::encoder::{ContentEncoder, State, describe};
use super::encoding::Encoding;
use crate::app::context::Context;
use crate::app::response::state::{Completion, ResponseState};
use crate::app::shared::Shared;
use crate::error::Result;
use crate::message::{Body, Method, header};

impl ResponseState {
    /// Compresses the content of the next flush, if the response has an encoder.
    pub(in crate::app) async fn encode_flush(&mut self) -> Result {
        let Some(encoder) = self.rare.as_mut().and_then(|rare| rare.encoder_mut()) else {
            return Ok(());
        };
        if !self.head_sent {
            encoder.decide(&mut self.head);
        }
        if let State::Encoding(encoding) = &mut encoder.state {
            encoding.encode(&self.written, Boundary::Flush).await?;
            self.written.clear();
        }
        Ok(())
    }

    /// Replaces the content that waits by compressed content.
    fn replace_content(&mut self, output: Vec<u8>, shared: &Shared) {
        shared.discard(core::mem::take(&mut self.whole));
        self.written = output;
    }

    /// Encodes a stream, behind the content that waits.
    async fn encode_stream(&mut self, mut encoding: Box<Encoding>, shared: &Shared) -> Result {
        encoding.encode(self.content(), Boundary::Content).await?;
        self.replace_content(encoding.take_output(), shared);
        if let Some(source) = self.take_stream() {
            self.set_stream(Box::pin(EncodedStream::new(source, *encoding)));
        }
        Ok(())
    }
}

impl Context {
    /// Leaves the response as it is, in a route with [`Compression`](crate::middleware::Compression).
    ///
    /// It has an effect until the first flush.
    pub fn skip_compression(&mut self) {
        let is_undecided = |encoder: &ContentEncoder| matches!(encoder.state, State::Undecided);
        if self.response.encoder().is_some_and(is_undecided) {
            drop(self.response.take_encoder());
        }
    }

    /// Compresses what the handler has left: whole content, the rest behind a flush, or a stream.
    pub(super) async fn encode_rest(&mut self) -> Result {
        let Self {
            response, head, shared, ..
        } = self;
        let Some(mut encoder) = response.take_encoder() else {
            return Ok(());
        };
        if response.completion != Completion::Whole || response.is_whole(head.method()) {
            return Ok(());
        }
        match core::mem::replace(&mut encoder.state, State::Undecided) {
            State::Identity => Ok(()),
            State::Encoding(encoding) if response.has_stream() => response.encode_stream(encoding, shared).await,
            State::Encoding(mut encoding) => {
                encoding.encode(response.content(), Boundary::End).await?;
                response.replace_content(encoding.finish()?, shared);
                Ok(())
            }
            State::Undecided if response.has_stream() || is_announced(response, head.method()) => {
                encoder.decide(&mut response.head);
                let State::Encoding(encoding) = encoder.state else {
                    return Ok(());
                };
                if !response.has_stream() {
                    // The length of what HEAD omits is unknown; a stream says so, and is never polled.
                    response.set_stream(Body::empty_stream());
                }
                response.encode_stream(encoding, shared).await
            }
            State::Undecided => {
                encoder.note_choice(&mut response.head);
                if let Some((coding, output)) = encoder.encode_whole(&response.head, response.content()).await? {
                    describe(&mut response.head, coding);
                    response.replace_content(output, shared);
                }
                Ok(())
            }
        }
    }
}

/// Whether a handler for HEAD has announced content that it did not write.
fn is_announced(response: &ResponseState, method: &Method) -> bool {
    *method == Method::HEAD && response.content().is_empty() && response.head.headers.contains(&header::CONTENT_LENGTH)
}
