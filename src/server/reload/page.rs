//! What the browser sees while no program can answer: why, and the output of the build.
//!
//! The page is served by Squall itself, from a copy of the supervisor's sockets. It asks for its own address, in `HEAD`
//! requests, and reloads when the answer has another number, or none because the program has it.

use std::io;
use std::sync::Arc;

use askama::filters::{Html, escape};
use squall_shards::{InheritedListener, Stop, Stopper};

use super::ansi;
use crate::app::views::fill;
use crate::app::{Application, Context};
use crate::error::Result;
use crate::message::{MediaType, StatusCode, header};

/// The field with the number of the page.
const NUMBER_FIELD: &str = "X-Squall-Reload";

/// Why no program answers.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) title: &'static str,
    pub(super) reason: String,
    /// What the build printed, with the colours of a terminal; empty if no build failed.
    pub(super) output: String,
}

/// Serves an application on sockets until the handle stops it.
pub(super) type Serve =
    Box<dyn Fn(Arc<dyn Fn() -> Application + Send + Sync>, Vec<InheritedListener>) -> Result<Stopper>>;

/// Where pages are served.
pub(super) struct PagePlace {
    pub(super) sockets: Vec<InheritedListener>,
    pub(super) serve: Serve,
}

/// A page that is served; dropping it ends that.
#[derive(Debug)]
pub(super) struct TroublePage(Stopper);

impl TroublePage {
    /// Serves a page.
    ///
    /// # Errors
    ///
    /// The machine lacks what a shard needs.
    pub(super) fn serve(trouble: &Trouble, number: u64, place: &PagePlace) -> Result<Self> {
        let page: Arc<str> = trouble.html(number).into();
        let factory = Arc::new(move || application(Arc::clone(&page), number));
        let sockets: io::Result<Vec<_>> = place.sockets.iter().map(copy).collect();
        (place.serve)(factory, sockets?).map(Self)
    }
}

impl Drop for TroublePage {
    fn drop(&mut self) {
        self.0.stop(Stop::Graceful);
    }
}

impl Trouble {
    fn html(&self, number: u64) -> String {
        let Ok(reason) = escape(&self.reason, Html);
        let output = ansi::html(&self.output);
        fill(
            include_str!("page.html"),
            &[
                ("title", &self.title),
                ("reason", &reason),
                ("output", &output),
                ("number", &number),
            ],
        )
    }
}

/// Answers every request with the page.
fn application(page: Arc<str>, number: u64) -> Application {
    let answer = async move |cx: &mut Context| -> Result {
        cx.set_status(StatusCode::INTERNAL_SERVER_ERROR);
        cx.set_header(NUMBER_FIELD, number.to_string().as_str())?;
        cx.set_header(header::CACHE_CONTROL, "no-store")?;
        cx.set_header(header::CONTENT_TYPE, MediaType::Html.header_value())?;
        cx.write(&*page);
        Ok(())
    };
    Application::new().fallback(answer)
}

fn copy(socket: &InheritedListener) -> io::Result<InheritedListener> {
    Ok(match socket {
        InheritedListener::Tcp(listener) => InheritedListener::Tcp(listener.try_clone()?),
        InheritedListener::Unix(listener) => InheritedListener::Unix(listener.try_clone()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_output_escaped_and_its_number() {
        let trouble = Trouble {
            title: "The build failed",
            reason: "cargo build <app>".to_owned(),
            output: "\x1b[91merror\x1b[0m: expected `{number}`, found `<b>`".to_owned(),
        };
        let html = trouble.html(7);
        assert!(html.contains("<title>The build failed</title>"), "{html}");
        assert!(html.contains("<p>cargo build &#60;app&#62;</p>"), "{html}");
        assert!(
            html.contains("<pre><span class=\"c1\">error</span>: expected `{number}`, found `&#60;b&#62;`</pre>"),
            "{html}"
        );
        assert!(html.contains("const shown = \"7\";"), "{html}");
    }
}
