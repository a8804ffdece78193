//! Which locale a request gets: the one that the application chose, else that of its user, else the client's best.

use core::cell::OnceCell;
use core::fmt;
use std::sync::Arc;

use super::handle::Locale;
use super::languages::Languages;
use crate::app::application::Application;
use crate::app::context::Context;
use crate::app::handler::middleware::Next;
use crate::app::response::vary;
use crate::error::{Error, Result};
use crate::message::header;

/// Returns the code of the language that a user has chosen.
type UserLocale = dyn Fn(&Context) -> Option<String>;

/// The locales of a shard, made as requests need them.
struct Locales {
    languages: Arc<Languages>,
    made: Box<[OnceCell<Option<Locale>>]>,
}

/// The application's hook for the language of a user.
struct UserHook(Box<UserLocale>);

impl Locales {
    fn get(&self, index: usize) -> Option<Locale> {
        let made = self.made.get(index)?.get_or_init(|| {
            let default = if index == 0 { None } else { self.get(0) };
            Locale::new(&self.languages, index, default)
        });
        made.clone()
    }
}

impl Application {
    /// Gives handlers and templates the languages that [`Context::locale`] selects from.
    ///
    /// The value is read once before the server starts, and every shard shares it:
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use squall::prelude::*;
    /// use squall::views::locale::{Languages, content_language};
    ///
    /// async fn hello(cx: &mut Context) -> Result<String> {
    ///     Ok(cx.locale()?.translate("Hello").to_owned())
    /// }
    ///
    /// fn main() -> Result {
    ///     let languages = Arc::new(Languages::load("en", "locale")?);
    ///     let application = move || {
    ///         Application::new().languages(Arc::clone(&languages)).middleware(content_language).get("/", hello)
    ///     };
    ///     Server::from_args(application).run()
    /// }
    /// ```
    pub fn languages(self, languages: Arc<Languages>) -> Self {
        let made = (0..languages.count()).map(|_| OnceCell::new()).collect();
        self.state(Locales { languages, made })
    }

    /// Sets how the language of a user is found, before that of the client counts (Tornado's `get_user_locale`).
    ///
    /// The hook returns a code such as `pt-BR`. `None`, and a language that the application lacks, leave the choice to
    /// `Accept-Language`. It runs at most once for a request, and must not ask for the locale itself.
    pub fn user_locale(self, hook: impl Fn(&Context) -> Option<String> + 'static) -> Self {
        self.state(UserHook(Box::new(hook)))
    }
}

impl Context {
    /// Returns the locale of this request (Tornado's `locale`).
    ///
    /// It is that of [`set_locale`](Self::set_locale), else that of the hook
    /// [`Application::user_locale`], else the one that fits `Accept-Language` best, else the default.
    ///
    /// # Errors
    ///
    /// 500 if the application has no [`languages`](Application::languages).
    pub fn locale(&self) -> Result<&Locale> {
        let chosen_before = &self.on_demand().locale;
        if let Some(known) = chosen_before.get() {
            return Ok(known);
        }
        let locales = self.locales()?;
        let code = self.state::<UserHook>().ok().and_then(|hook| (hook.0)(self));
        let chosen = code.and_then(|code| locales.languages.lookup(&code));
        let index = chosen.unwrap_or_else(|| locales.languages.best(self.headers().get_all("accept-language")));
        let locale = locales.get(index).ok_or_else(|| Error::new("a locale is missing"))?;
        Ok(chosen_before.get_or_init(|| locale))
    }

    /// Selects the locale of this request, and returns whether the application has it.
    ///
    /// `de-AT` selects `de` if the application lacks the longer one. A `Content-Language` that is set already changes with it.
    ///
    /// # Errors
    ///
    /// As [`locale`](Self::locale), or the head has been sent.
    pub fn set_locale(&mut self, code: &str) -> Result<bool> {
        let locales = self.locales()?;
        let found = locales.languages.lookup(code).and_then(|index| locales.get(index));
        let is_found = found.is_some();
        if let Some(locale) = found {
            let tag = locale.tag().to_owned();
            self.change_on_demand(|on_demand| on_demand.locale = OnceCell::from(locale));
            if self.response_headers().contains(&header::CONTENT_LANGUAGE) {
                self.set_header(header::CONTENT_LANGUAGE, tag)?;
            }
        }
        Ok(is_found)
    }

    fn locales(&self) -> Result<std::rc::Rc<Locales>> {
        self.state().map_err(|_| {
            Error::new(
                "could not select a locale: the application has no languages; add them with Application::languages",
            )
        })
    }
}

/// Middleware that sets `Content-Language` and says in `Vary` what the language depends on.
///
/// `Vary` has `Accept-Language`, and `Cookie` if the application has a hook for users, because the choice of a user is
/// kept in one.
///
/// # Errors
///
/// As [`Context::locale`].
///
/// # Cancel safety
///
/// As [`Next::run`].
pub async fn content_language(cx: &mut Context, next: Next<'_>) -> Result {
    let tag = cx.locale()?.tag().to_owned();
    let has_hook = cx.state::<UserHook>().is_ok();
    // Before the handler, so that error pages and flushed responses have them too.
    cx.set_header(header::CONTENT_LANGUAGE, tag)?;
    let headers = &mut cx.response.head.headers;
    vary::add(headers, "Accept-Language");
    if has_hook {
        vary::add(headers, "Cookie");
    }
    next.run(cx).await;
    Ok(())
}

impl fmt::Debug for Locales {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.languages, formatter)
    }
}
