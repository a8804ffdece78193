//! The middleware that turns compression on.

use super::encoder::ContentEncoder;
use super::settings::Compression;
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::app::response::accept_encoding::AcceptedCodings;
use crate::error::Result;

impl Middleware for Compression {
    /// # Errors
    ///
    /// 500 if content cannot be compressed; 503 if memory is short.
    ///
    /// # Cancel safety
    ///
    /// As [`Next::run`].
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        let accepted = AcceptedCodings::read(cx.head.fields());
        let (pool, bytes_max) = (&cx.shared.compressors, cx.shared.limits().max_compressor_bytes);
        let encoder = ContentEncoder::new(self, accepted, pool, bytes_max);
        cx.response.set_encoder(Box::new(encoder));
        let guard = EncoderGuard { cx };
        next.run(guard.cx).await;
        guard.cx.encode_rest().await
    }
}

/// Removes the encoder if the middleware is dropped: the response is then replaced, and nothing encodes its head.
struct EncoderGuard<'c> {
    cx: &'c mut Context,
}

impl Drop for EncoderGuard<'_> {
    fn drop(&mut self) {
        drop(self.cx.response.take_encoder());
    }
}
