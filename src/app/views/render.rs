//! How an engine appends a page to the response: the buffer, and the error of a page that fails.
//!
//! For the time of the rendering the buffer is out of the context, so that filters can borrow the context. Whatever
//! the engine writes is allocated fallibly. A page that fails leaves the content as it was.

use core::error::Error as StdError;
use core::fmt::{self, Write};
use core::mem::take;
use core::panic::Location;

use memchr::memchr_iter;

use super::module::ModuleAssets;
use crate::app::context::Context;
use crate::error::Result;
use crate::memory::{OutOfMemory, append_to_answer, make_room_to_answer};
use crate::message::MediaType;

impl Context {
    /// Lets an engine append a page, and places the assets of the modules in it.
    pub(super) fn write_page(
        &mut self,
        render: impl FnOnce(&Self, &ModuleAssets, &mut PageWriter<'_>) -> Result<(), RenderError>,
    ) -> Result {
        if !self.response.begin_content(MediaType::Html) {
            // The misuse is recorded and turns the response into a 500.
            return Ok(());
        }
        let mut content = take(self.response.buffer()?);
        let start = content.len();
        let modules = ModuleAssets::default();
        let mut page = PageWriter {
            content: &mut content,
            is_refused: false,
        };
        let rendered = render(self, &modules, &mut page);
        let is_refused = page.is_refused;
        let rendered = match rendered {
            _ if is_refused => Err(OutOfMemory.into()),
            Ok(()) => modules.place(&mut content, start, self),
            Err(error) => {
                let output = content.get(start..).unwrap_or_default();
                let line = memchr_iter(b'\n', output).count() + 1;
                Err(RenderError { line, ..error }.into())
            }
        };
        if rendered.is_err() {
            content.truncate(start);
        }
        *self.response.buffer()? = content;
        rendered
    }
}

/// The response's buffer, as a template writes into it.
pub(super) struct PageWriter<'b> {
    content: &'b mut Vec<u8>,
    is_refused: bool,
}

impl PageWriter<'_> {
    /// Makes room for a page, so that the buffer grows once.
    pub(super) fn reserve(&mut self, bytes: usize) -> fmt::Result {
        let reserved = make_room_to_answer(self.content, bytes);
        self.note(reserved)
    }

    fn note(&mut self, written: Result<(), OutOfMemory>) -> fmt::Result {
        self.is_refused |= written.is_err();
        written.map_err(|OutOfMemory| fmt::Error)
    }
}

impl Write for PageWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = append_to_answer(self.content, text.as_bytes());
        self.note(written)
    }
}

/// Why a template could not be rendered, and where.
#[derive(Debug)]
pub(super) struct RenderError {
    /// The template's type, or its file.
    pub(super) template: String,
    /// The line of the application that renders the template.
    pub(super) caller: Option<&'static Location<'static>>,
    /// The line of the output.
    pub(super) line: usize,
    pub(super) cause: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            template, line, cause, ..
        } = self;
        write!(formatter, "could not render the template `{template}`")?;
        if let Some(caller) = self.caller {
            write!(formatter, " at {}:{}", caller.file(), caller.line())?;
        }
        write!(formatter, ": line {line} of its output: {cause}")
    }
}

impl StdError for RenderError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}
