//! Templates of askama: each writes itself into the response's buffer.

use core::any::type_name;
use core::panic::Location;

use askama::Template;
use serde::Serialize;

use super::page::PageValues;
use super::render::RenderError;
use crate::app::context::Context;
use crate::app::response::responder::Responder;
use crate::error::Result;

/// A template as the value of a handler: it renders itself into the response, as [`Context::render`] does.
///
/// Rust allows one general implementation of [`Responder`] for types of other crates, and text, bytes and tuples have
/// theirs. So a template is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Render<T>(pub T);

impl<T: Template> Responder for Render<T> {
    fn respond(self, cx: &mut Context) -> Result {
        cx.render_at(&self.0, None)
    }
}

impl Context {
    /// Appends a rendered template to the content (Tornado's `render`).
    ///
    /// Text in it is escaped for HTML where the template's extension is that of HTML or XML. The default `Content-Type`
    /// is `text/html; charset=utf-8`; set another one before, for a template of another format. The filters of
    /// [`views::filters`](crate::views::filters) read this context. [`Module`](crate::views::Module)s place their
    /// styles and scripts.
    ///
    /// # Errors
    ///
    /// 500, with nothing written, if the template or one of its filters fails. The log has the template's type, the line
    /// of this call, and the line of the output. 503 if memory is short.
    #[track_caller]
    pub fn render<T: Template>(&mut self, template: &T) -> Result {
        self.render_at(template, Some(Location::caller()))
    }

    /// Appends a rendered template, in development from its file as it is now.
    ///
    /// `file` is the template's path in the folder of templates, as in its attribute `path`. With the feature `reload` and
    /// [`Application::reload_templates`](crate::Application), the file is read for each page, and the page's fields are
    /// its variables. Otherwise this is [`render`](Self::render).
    ///
    /// Such a file has what askama and Jinja share: variables and their fields, filters, loops, conditions on values,
    /// inheritance. It calls no methods and has no `match`.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render). The log has the line of the file.
    #[track_caller]
    pub fn render_file<T: Template + Serialize>(&mut self, file: &str, template: &T) -> Result {
        let caller = Location::caller();
        #[cfg(feature = "reload")]
        if let Some(rendered) = super::reload::render(self, file, template, caller) {
            return rendered;
        }
        let _compiled = file;
        self.render_at(template, Some(caller))
    }

    fn render_at<T: Template>(&mut self, template: &T, caller: Option<&'static Location<'static>>) -> Result {
        self.write_page(|cx, modules, page| {
            let reserved = page.reserve(T::SIZE_HINT).map_err(askama::Error::from);
            let written = reserved.and_then(|()| template.render_into_with_values(page, &PageValues { cx, modules }));
            written.map_err(|error| RenderError {
                template: type_name::<T>().to_owned(),
                caller,
                line: 0,
                cause: error.into_box(),
            })
        })
    }
}
