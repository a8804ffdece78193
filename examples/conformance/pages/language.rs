//! Greetings in three languages, by `Accept-Language`, with a plural.

use std::sync::Arc;

use squall::prelude::*;
use squall::routing::get;
use squall::views::fill;
use squall::views::locale::{Languages, content_language};

/// The translations of each language.
const FILES: [(&str, &str); 2] = [
    ("de", include_str!("language/de.po")),
    ("es_LA", include_str!("language/es_LA.po")),
];

fn languages() -> Result<Languages> {
    let mut languages = Languages::new("en")?;
    for (tag, file) in FILES {
        languages.add_po(tag, file)?;
    }
    Ok(languages)
}

async fn hello(cx: &mut Context) -> Result<String> {
    let count: Option<u64> = cx.optional_query_param("n")?;
    let locale = cx.locale()?;
    Ok(match count {
        Some(count) => {
            let text = locale.translate_plural("Hello, {n} message", "Hello, {n} messages", count);
            fill(text, &[("n", &count)])
        }
        None => locale.translate("Hello").to_owned(),
    })
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    let application = application.route("/locale", get(hello).middleware(content_language));
    match languages() {
        Ok(languages) => application.languages(Arc::new(languages)),
        Err(error) => {
            tracing::error!("{error}");
            application
        }
    }
}
