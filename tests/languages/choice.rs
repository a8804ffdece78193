//! Which locale a request gets.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use squall::prelude::*;
use squall::views::locale::{Languages, content_language};

use crate::support::app_client::AppClient;

fn languages() -> Arc<Languages> {
    let mut languages = Languages::new("en").unwrap();
    languages.add("de").unwrap();
    languages.add("pt_BR").unwrap();
    Arc::new(languages)
}

async fn tag(cx: &mut Context) -> Result<String> {
    Ok(cx.locale()?.tag().to_owned())
}

fn answer(client: &AppClient, target: &str, fields: &[(&str, &str)]) -> (String, Option<String>, Option<String>) {
    let request = client.get(target);
    let request = fields
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    let response = request.send().unwrap();
    let field = |name| response.header(name).map(str::to_owned);
    (response.text(), field("content-language"), field("vary"))
}

#[test]
fn the_lines_of_the_field_select_the_locale_of_each_request() {
    let client = AppClient::new(Application::new().languages(languages()).get("/", tag)).unwrap();
    // One exchange serves all requests, so a locale must not stay for the next one.
    for (fields, expected) in [
        (&[][..], "en"),
        (&[("accept-language", "de")], "de"),
        (&[], "en"),
        (
            &[("accept-language", "fr"), ("accept-language", "pt-br;q=0.1")],
            "pt-BR",
        ),
        (&[("accept-language", "pt")], "en"),
    ] {
        assert_eq!(answer(&client, "/", fields), (expected.to_owned(), None, None));
    }
}

#[test]
fn the_choice_of_a_user_comes_first_and_is_asked_once() {
    let asked = Rc::new(Cell::new(0));
    let in_hook = Rc::clone(&asked);
    let hook = move |cx: &Context| {
        in_hook.set(in_hook.get() + 1);
        cx.cookies()
            .get("language")
            .ok()
            .flatten()
            .map(|code| code.into_owned())
    };
    let application = Application::new().languages(languages()).user_locale(hook);
    let application = application
        .middleware(content_language)
        .get("/", async |cx: &mut Context| {
            let first = cx.locale()?.tag().to_owned();
            Ok::<_, Error>(format!("{first} {}", cx.locale()?.tag()))
        });
    let client = AppClient::new(application).unwrap();
    for (cookie, expected) in [
        ("language=pt-BR", "pt-BR"),
        ("language=pt-BR-x-old", "pt-BR"),
        ("language=fr", "de"),
        ("language=", "de"),
        ("other=en", "de"),
    ] {
        asked.set(0);
        let fields = [("accept-language", "de"), ("cookie", cookie)];
        let (text, language, vary) = answer(&client, "/", &fields);
        assert_eq!(text, format!("{expected} {expected}"), "{cookie}");
        assert_eq!(language.as_deref(), Some(expected));
        assert_eq!(vary.as_deref(), Some("Accept-Language, Cookie"));
        assert_eq!(asked.get(), 1);
    }
}

#[test]
fn a_handler_selects_a_locale_and_the_field_follows() {
    let select = async |cx: &mut Context| {
        let code: String = cx.query_param("code")?;
        let found = cx.set_locale(&code)?;
        Ok::<_, Error>(format!("{found} {}", cx.locale()?.tag()))
    };
    let with_field = Routes::new().middleware(content_language).get("/", select);
    let application = Application::new()
        .languages(languages())
        .nest("/field", with_field)
        .get("/", select);
    let client = AppClient::new(application).unwrap();
    let field = [("accept-language", "de")];
    assert_eq!(answer(&client, "/?code=pt_BR", &field).0, "true pt-BR");
    assert_eq!(answer(&client, "/?code=fr", &field).0, "false de");
    assert_eq!(
        answer(&client, "/?code=en-GB", &field),
        ("true en".to_owned(), None, None)
    );
    let (text, language, _) = answer(&client, "/field/?code=pt-BR", &field);
    assert_eq!((text.as_str(), language.as_deref()), ("true pt-BR", Some("pt-BR")));
}

#[test]
fn an_application_without_languages_says_so() {
    for application in [
        Application::new().get("/", tag),
        Application::new()
            .middleware(content_language)
            .get("/", async |_: &mut Context| ()),
        Application::new().get("/", async |cx: &mut Context| cx.set_locale("de").map(drop)),
    ] {
        let seen = async |cx: &mut Context, next: Next<'_>| {
            next.run(cx).await;
            let error = cx.error().map(ToString::to_string).unwrap_or_default();
            cx.write(&error);
            Ok(())
        };
        let response = AppClient::new(application.middleware(seen))
            .unwrap()
            .get("/")
            .send()
            .unwrap();
        assert_eq!(response.status(), 500);
    }
}
