//! Languages: the translations of an application, and the locale of each request (Tornado's `tornado.locale`).
//!
//! [`Languages`] are read before the server starts, from gettext (`.mo` and `.po`), and with the feature `locale` also from
//! Tornado's CSV and Fluent. [`Context::locale`](crate::Context::locale) selects the [`Locale`] of a request. It translates, and
//! with that feature it formats dates, numbers and lists with the data of ICU4X.
//!
//! ```
//! use std::sync::Arc;
//! use squall::prelude::*;
//! use squall::testing::TestClient;
//! use squall::views::locale::Languages;
//!
//! async fn inbox(cx: &mut Context) -> Result<String> {
//!     let count = cx.query_param("n")?;
//!     let text = cx.locale()?.translate_plural("{n} message", "{n} messages", count);
//!     Ok(squall::views::fill(text, &[("n", &count)]))
//! }
//!
//! let mut languages = Languages::new("en")?;
//! languages.add_po(
//!     "de",
//!     "msgid \"{n} message\"\nmsgid_plural \"{n} messages\"\nmsgstr[0] \"{n} Nachricht\"\nmsgstr[1] \"{n} Nachrichten\"\n",
//! )?;
//! let languages = Arc::new(languages);
//! let client = TestClient::new(move || Application::new().languages(Arc::clone(&languages)).get("/", inbox))?;
//! let inbox = client.get("/?n=2").header("accept-language", "de-AT, en;q=0.5").send()?;
//! assert_eq!(inbox.text(), "2 Nachrichten");
//! # Ok::<(), Error>(())
//! ```

mod accept;
mod catalogue;
mod choice;
#[cfg(feature = "locale")]
mod csv;
#[cfg(feature = "locale")]
mod fluent;
mod folder;
#[cfg(feature = "locale")]
mod format;
#[cfg(feature = "locale")]
mod formatting;
mod handle;
mod header;
mod languages;
#[cfg(feature = "locale")]
mod message;
mod mo;
mod plural;
mod po;
mod problem;
#[cfg(feature = "locale")]
mod region;
mod tag;
#[cfg(feature = "locale")]
mod time;

pub use choice::content_language;
#[cfg(feature = "locale")]
pub use fluent_bundle::FluentValue;
#[cfg(feature = "locale")]
pub use format::DateLength;
pub use handle::Locale;
pub use languages::Languages;
#[cfg(feature = "locale")]
pub use time::LocalTime;
