//! A multipart form as a stream of its parts, none of which is held whole.

use core::fmt;

use bytes::Bytes;

use super::content::ContentReader;
use super::multipart::{Event, Parser, PartHead};
use crate::app::context::Context;
use crate::error::{HttpError, Result, bad_request};

/// A multipart form that is read part by part, as it arrives.
///
/// At most one piece of the content is in memory. A handler that reads no further stops the client.
///
/// ```
/// use squall::prelude::*;
/// # use squall::testing::TestClient;
///
/// async fn count(mut form: Multipart) -> Result<String> {
///     let mut bytes = 0;
///     while let Some(mut part) = form.next_part().await? {
///         while let Some(chunk) = part.chunk().await? {
///             bytes += chunk.len();
///         }
///     }
///     Ok(format!("{bytes} bytes"))
/// }
///
/// # let client = TestClient::new(|| Application::new().post("/", count))?;
/// # let request = client.post("/").form_file("a", "b", "text/plain", "hello");
/// # assert_eq!(request.send()?.text(), "5 bytes");
/// # Ok::<(), Error>(())
/// ```
pub struct Multipart {
    content: ContentReader,
    parser: Parser,
    input: Bytes,
    /// Whether a part has begun and not ended.
    is_in_part: bool,
    field_bytes_max: usize,
}

/// One part of a [`Multipart`]: a field or a file.
pub struct Part<'m> {
    form: &'m mut Multipart,
    head: PartHead,
}

impl Context {
    /// Reads the content as a multipart form, part by part; its type must be `multipart/form-data`.
    ///
    /// The form takes the content, so that [`body`](Self::body) and its like fail from here on.
    ///
    /// # Errors
    ///
    /// 415 for another type, and for a `Content-Encoding` that the route does not undo. 400 if the type has no valid
    /// boundary; 500 if the content was taken before.
    pub fn multipart(&mut self) -> Result<Multipart> {
        let boundary = self.boundary()?;
        self.check_coding()?;
        let limits = self.shared.limits();
        Ok(Multipart {
            content: ContentReader::take(self)?,
            parser: Parser::new(&boundary, limits),
            input: Bytes::new(),
            is_in_part: false,
            field_bytes_max: limits.max_field_bytes,
        })
    }
}

impl Multipart {
    /// Waits for the next part, and skips the rest of the one before; `None` at the end of the form.
    ///
    /// # Errors
    ///
    /// 400 for a malformed form; 413 for more than [`max_parts`](crate::Application::max_parts) parts, and for a field of
    /// more than [`max_field_bytes`](crate::Application::max_field_bytes); otherwise as
    /// [`next_chunk`](Context::next_chunk).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        loop {
            match self.next_event().await? {
                Some(Event::Part(head)) => {
                    self.is_in_part = true;
                    return Ok(Some(Part { form: self, head }));
                }
                Some(Event::Data(_) | Event::PartEnd | Event::End) => {}
                None => return Ok(None),
            }
        }
    }

    /// Waits for the next event of the form; `None` at the end of the content.
    async fn next_event(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.receive(&mut self.input)? {
                self.is_in_part &= event != Event::PartEnd;
                return Ok(Some(event));
            }
            match self.content.next().await? {
                Some(piece) => self.input = piece,
                None => {
                    self.parser.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}

impl Part<'_> {
    /// Returns the name of the field.
    #[must_use]
    pub fn name(&self) -> &str {
        self.head.name()
    }

    /// Returns the file name as the client sent it; `None` for a field without a file.
    ///
    /// It may have directories, such as `../a`: never use it as a path.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name()
    }

    /// Returns the `Content-Type` of the part, which the client chose.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// Returns whether the part is a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.head.is_file()
    }

    /// The fields above the part.
    pub(super) fn head(&self) -> &PartHead {
        &self.head
    }

    /// Waits for the next piece of the part, as large as it arrived; `None` at its end.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next_part`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.form.is_in_part {
            return Ok(None);
        }
        match self.form.next_event().await? {
            Some(Event::Data(data)) => Ok(Some(data)),
            Some(Event::Part(_) | Event::PartEnd | Event::End) | None => Ok(None),
        }
    }

    /// Reads the rest of the part as text.
    ///
    /// # Errors
    ///
    /// 400, naming the field, if the text is not UTF-8. 413 if it is longer than
    /// [`max_field_bytes`](crate::Application::max_field_bytes), also if the part is a file. Otherwise as
    /// [`chunk`](Self::chunk).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the text read so far.
    pub async fn text(&mut self) -> Result<String> {
        let bytes_max = self.form.field_bytes_max;
        let mut text = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if text.len() + piece.len() > bytes_max {
                return Err(HttpError::new(413)
                    .with_message(format!("the field `{}` is too long", self.name()))
                    .into());
            }
            crate::memory::append(&mut text, &piece)?;
        }
        String::from_utf8(text).map_err(|_| bad_request(format!("the field `{}` is not UTF-8", self.name())))
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Multipart")
            .field("is_in_part", &self.is_in_part)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.head, formatter)
    }
}
