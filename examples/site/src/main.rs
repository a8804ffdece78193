//! A site of several pages in two languages: templates, modules, translations, formats of a region, versioned
//! assets, compression.
//!
//! ```text
//! cargo run --release -p squall-site
//! ```
//!
//! It serves <http://127.0.0.1:8888/>. A reader sees the language of the browser, or the one chosen on the page.

mod journal;
mod modules;
mod pages;

use std::sync::Arc;

use squall::StaticFiles;
use squall::cookie::time::Duration;
use squall::middleware::Compression;
use squall::prelude::*;
use squall::routing::{Route, get};
use squall::views::locale::{Languages, content_language};

/// The cookie that keeps the language of a reader.
const LANGUAGE_COOKIE: &str = "language";

/// A reader's choice of a language, and the page to go back to.
#[derive(serde::Deserialize)]
struct Choice {
    language: String,
    next: String,
}

/// The languages, compiled in so that the program is one file.
fn languages() -> Result<Languages> {
    let mut languages = Languages::new("en")?;
    languages.add_fluent("en", include_str!("../locale/en.ftl"))?;
    languages.add_po("de", include_str!("../locale/de.po"))?;
    languages.add_fluent("de", include_str!("../locale/de.ftl"))?;
    Ok(languages)
}

/// The language that a reader has chosen.
fn chosen_language(cx: &Context) -> Option<String> {
    let code = cx.cookies().get(LANGUAGE_COOKIE).ok()??;
    Some(code.into_owned())
}

/// Remembers the choice for a year and goes back to the page.
async fn choose_language(cx: &mut Context, Form(choice): Form<Choice>) -> Result<Redirect> {
    if !cx.set_locale(&choice.language)? {
        return Err(HttpError::new(422).with_message("this site lacks the language").into());
    }
    let tag = cx.locale()?.tag().to_owned();
    let cookie = Cookie::build((LANGUAGE_COOKIE, tag)).max_age(Duration::days(365));
    cx.cookies().set(cookie)?;
    // Only a path of this site: another host would make an open redirect.
    let is_path = choice.next.starts_with('/') && !choice.next.starts_with("//") && !choice.next.contains('\\');
    Ok(Redirect::see_other(if is_path { choice.next } else { "/".to_owned() }))
}

/// Lets caches keep a page, and ask before they show it again.
async fn revalidated(cx: &mut Context, next: Next<'_>) -> Result {
    cx.set_header("Cache-Control", "no-cache")?;
    next.run(cx).await;
    Ok(())
}

/// A page: in the language of its reader, and asked for again before it is shown again.
fn page(route: Route) -> Route {
    route.middleware(content_language).middleware(revalidated)
}

fn application(languages: &Arc<Languages>) -> Application {
    let assets = squall::embed!("../static": "site.css", "card.css", "icon.svg");
    Application::new()
        .languages(Arc::clone(languages))
        .user_locale(chosen_language)
        .middleware(Compression::new())
        .route("/", page(get(pages::home)).name("home"))
        .route("/journal", page(get(pages::journal)).name("journal"))
        .route("/journal/{slug:slug}", page(get(pages::entry)).name("entry"))
        .route("/about", page(get(pages::about)).name("about"))
        .post("/language", choose_language)
        .route("/static/{*path}", StaticFiles::embedded(assets))
        .error_page(pages::error)
}

fn main() -> Result {
    let languages = Arc::new(languages()?);
    Server::from_args(move || application(&languages)).run()
}
