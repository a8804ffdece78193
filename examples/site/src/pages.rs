//! The pages: a template each, and the handlers that fill them.

use askama::Template;
use squall::prelude::*;
use squall::views::filters;
use squall::views::locale::{DateLength, Locale};

use crate::journal::{ENTRIES, Entry};
use crate::modules::{Card, Reading, WindRose};

/// What every page has around its own part.
struct Frame {
    locale: Locale,
    path: String,
}

impl Frame {
    fn of(cx: &Context) -> Result<Self> {
        Ok(Self {
            locale: cx.locale()?.clone(),
            path: cx.path().to_owned(),
        })
    }

    /// The value of `aria-current` of a link.
    fn current(&self, start: &str) -> &'static str {
        let is_current = self.path == start || start != "/" && self.path.starts_with(start);
        if is_current { "page" } else { "false" }
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    readings: Vec<Reading>,
    wind: WindRose,
    latest: Vec<Card>,
    count: usize,
}

#[derive(Template)]
#[template(path = "journal.html")]
struct Journal {
    frame: Frame,
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    entry: &'static Entry,
    written: String,
}

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    frame: Frame,
    people: String,
    visitors: u32,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    reason: &'static str,
}

/// Cards of the newest entries.
fn cards(count: usize) -> Vec<Card> {
    ENTRIES.iter().take(count).map(|entry| Card { entry }).collect()
}

/// The measurements and the latest entries.
pub(crate) async fn home(cx: &mut Context) -> Result {
    let frame = Frame::of(cx)?;
    let readings = Reading::all(|value, digits| frame.locale.format_decimal(value, digits))?;
    cx.render(&Home {
        frame,
        readings,
        wind: WindRose,
        latest: cards(2),
        count: ENTRIES.len(),
    })
}

/// Every entry.
pub(crate) async fn journal(cx: &mut Context) -> Result {
    let frame = Frame::of(cx)?;
    cx.render(&Journal {
        frame,
        cards: cards(usize::MAX),
    })
}

/// One entry.
pub(crate) async fn entry(cx: &mut Context, Path(slug): Path<String>) -> Result {
    let entry = ENTRIES.iter().find(|entry| entry.slug == slug).or_status(404)?;
    let frame = Frame::of(cx)?;
    let written = frame.locale.format_date_time(entry.written(), DateLength::Long)?;
    cx.render(&EntryPage { frame, entry, written })
}

/// The people of the station.
pub(crate) async fn about(cx: &mut Context) -> Result {
    let frame = Frame::of(cx)?;
    let people = frame
        .locale
        .format_list(&["Alma Brandt", "Jonas Reef", "Marit Olsen"])?;
    cx.render(&About {
        frame,
        people,
        visitors: 1840,
    })
}

/// The page of an error, with nothing of the request in it.
pub(crate) fn error(cx: &mut Context, error: &Error) -> Result {
    let frame = Frame::of(cx)?;
    let status = error.status();
    cx.render(&ErrorPage {
        frame,
        status: status.as_u16(),
        reason: match status.as_u16() {
            404 => "This page does not exist.",
            _ => "The station could not answer.",
        },
    })
}
