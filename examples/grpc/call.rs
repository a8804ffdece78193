//! One call of gRPC over an exchange of HTTP/2: frames of messages both ways, and the status behind them.

use squall::Bytes;
use squall::prelude::*;

use crate::messages::Text;

/// A frame's prefix: whether the message is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Most bytes of a message that a client may send. 4 MiB, as elsewhere in gRPC.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most bytes that a call may send in all, so that a conversation may last.
const CALL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How a call ends.
pub(crate) struct Status {
    code: u8,
    message: &'static str,
}

impl Status {
    pub(crate) const OK: Self = Self { code: 0, message: "" };

    pub(crate) const fn invalid_argument(message: &'static str) -> Self {
        Self { code: 3, message }
    }

    const fn resource_exhausted(message: &'static str) -> Self {
        Self { code: 8, message }
    }

    const fn unimplemented(message: &'static str) -> Self {
        Self { code: 12, message }
    }
}

/// A call that has begun.
pub(crate) struct Call<'c> {
    cx: &'c mut Context,
    /// Content that is not read as a message yet.
    received: Vec<u8>,
}

impl<'c> Call<'c> {
    /// Begins the reply.
    ///
    /// # Errors
    ///
    /// 415: the request has another media type.
    pub(crate) fn begin(cx: &'c mut Context) -> Result<Self> {
        let is_grpc = cx
            .header("content-type")
            .is_some_and(|value| value.starts_with("application/grpc"));
        if !is_grpc {
            return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
        }
        cx.set_body_limit(CALL_BYTES_MAX);
        cx.set_header("content-type", "application/grpc")?;
        Ok(Self {
            cx,
            received: Vec::new(),
        })
    }

    /// Waits for the next message; `None` behind the last, and a status for what cannot be read.
    pub(crate) async fn next_message(&mut self) -> Result<Result<Option<Text>, Status>> {
        loop {
            if let Some(&[is_compressed, a, b, c, d]) = self.received.first_chunk::<PREFIX_BYTES>() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if is_compressed != 0 {
                    return Ok(Err(Status::unimplemented("messages must not be compressed")));
                }
                if length > MESSAGE_BYTES_MAX {
                    return Ok(Err(Status::resource_exhausted("the message is larger than 4 MiB")));
                }
                if let Some(message) = self.received.get(PREFIX_BYTES..PREFIX_BYTES + length) {
                    let read = Text::read(message);
                    self.received.drain(..PREFIX_BYTES + length);
                    return Ok(read
                        .map(Some)
                        .ok_or(Status::invalid_argument("the message is malformed")));
                }
            }
            let chunk: Option<Bytes> = self.cx.next_chunk().await?;
            match chunk {
                Some(chunk) => self.received.extend_from_slice(&chunk),
                None if self.received.is_empty() => return Ok(Ok(None)),
                None => return Ok(Err(Status::invalid_argument("the last message is cut off"))),
            }
        }
    }

    /// Waits for the message of a call that has one; a status if it has another number of them.
    pub(crate) async fn only_message(&mut self) -> Result<Result<Text, Status>> {
        let first = match self.next_message().await? {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Err(Status::invalid_argument("the request has no message"))),
            Err(status) => return Ok(Err(status)),
        };
        Ok(match self.next_message().await? {
            Ok(None) => Ok(first),
            Ok(Some(_)) => Err(Status::invalid_argument("the request has several messages")),
            Err(status) => Err(status),
        })
    }

    /// Writes a reply.
    pub(crate) fn reply(&mut self, message: &Text) {
        let message = message.to_bytes();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.cx.write([&[0][..], &length.to_be_bytes()].concat());
        self.cx.write(message);
    }

    /// Sends the replies so far.
    pub(crate) async fn flush(&mut self) -> Result {
        self.cx.flush().await
    }

    /// Ends the call with its status, in the trailers.
    pub(crate) fn end(self, status: &Status) -> Result {
        self.cx.add_trailer("grpc-status", status.code.to_string())?;
        if !status.message.is_empty() {
            self.cx.add_trailer("grpc-message", status.message)?;
        }
        Ok(())
    }
}
