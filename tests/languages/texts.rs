//! What a locale says, in handlers and in templates.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use askama::Template;
use squall::prelude::*;
use squall::views::filters;
use squall::views::locale::{Languages, LocalTime, Locale};

use crate::support::app_client::AppClient;

const GERMAN: &str = r#"
msgid "Hello, {name}!"
msgstr "{name}, hallo & <willkommen>!"

msgctxt "menu"
msgid "Open"
msgstr "Öffnen"

msgid "{n} file"
msgid_plural "{n} files"
msgstr[0] "{n} Datei"
msgstr[1] "{n} Dateien"

msgctxt "menu"
msgid "{n} file"
msgid_plural "{n} files"
msgstr[0] "Eine"
msgstr[1] "Viele"
"#;

const ENGLISH_FLUENT: &str = "
only-english = Only in English
inbox = { $count ->
    [one] One message
   *[other] { $count } messages
} for { $name }
    .title = The inbox
";

const GERMAN_FLUENT: &str = "
-brand = Squall
inbox = { $count ->
    [one] Eine Nachricht
   *[other] { $count } Nachrichten
} von { -brand }
broken = Es fehlt { $missing }
";

fn languages() -> Arc<Languages> {
    let mut languages = Languages::new("en").unwrap();
    languages.add_po("de", GERMAN).unwrap();
    languages.add_csv("de", "school,Schule\nOpen,Auf".as_bytes()).unwrap();
    languages.add_fluent("en", ENGLISH_FLUENT).unwrap();
    languages.add_fluent("de", GERMAN_FLUENT).unwrap();
    languages.add_fluent("de", "later = Später\n").unwrap();
    Arc::new(languages)
}

/// Calls a function with the locale of a language.
fn with<T: 'static>(tag: &str, use_it: impl Fn(&Locale) -> T + 'static) -> T {
    let result = std::rc::Rc::new(std::cell::RefCell::new(None));
    let inside = std::rc::Rc::clone(&result);
    let show = async move |cx: &mut Context| {
        *inside.borrow_mut() = Some(use_it(cx.locale()?));
        Ok::<_, Error>(())
    };
    let client = AppClient::new(Application::new().languages(languages()).get("/", show)).unwrap();
    assert_eq!(
        client.get("/").header("accept-language", tag).send().unwrap().status(),
        200
    );
    let value = result.borrow_mut().take();
    value.unwrap()
}

#[test]
fn texts_are_translated_or_stay_as_they_are() {
    for (tag, expected) in [
        (
            "de",
            ["{name}, hallo & <willkommen>!", "Öffnen", "Auf", "Schule", "unknown"],
        ),
        ("en", ["Hello, {name}!", "Open", "Open", "school", "unknown"]),
    ] {
        let texts = with(tag, |locale| {
            [
                locale.translate("Hello, {name}!"),
                locale.pgettext("menu", "Open"),
                locale.pgettext("other", "Open"),
                locale.translate("school"),
                locale.translate("unknown"),
            ]
            .map(str::to_owned)
        });
        assert_eq!(texts, expected);
    }
}

#[test]
fn counts_select_plural_forms() {
    let forms = |tag| {
        with(tag, |locale| {
            [0, 1, 2].map(|count| {
                let plain = locale.translate_plural("{n} file", "{n} files", count);
                let in_menu = locale.pgettext_plural("menu", "{n} file", "{n} files", count);
                format!("{plain} / {in_menu}")
            })
        })
    };
    assert_eq!(
        forms("de"),
        ["{n} Dateien / Viele", "{n} Datei / Eine", "{n} Dateien / Viele"]
    );
    assert_eq!(
        forms("en"),
        ["{n} files / {n} files", "{n} file / {n} file", "{n} files / {n} files"]
    );
}

#[test]
fn messages_of_fluent_have_selectors_terms_attributes_and_a_default_language() {
    let message = |tag, id: &'static str| {
        let text = with(tag, move |locale| {
            locale
                .message(id, &[("count", 2.into()), ("name", "Ada".into())])
                .map_err(|error| error.to_string())
        });
        text.map(|text| text.replace(['\u{2068}', '\u{2069}'], ""))
    };
    assert_eq!(message("de", "inbox").unwrap(), "2 Nachrichten von Squall");
    assert_eq!(message("en", "inbox").unwrap(), "2 messages for Ada");
    assert_eq!(message("de", "inbox.title").unwrap(), "The inbox");
    assert_eq!(message("de", "only-english").unwrap(), "Only in English");
    assert_eq!(message("de", "later").unwrap(), "Später");
    assert_eq!(message("de", "broken").unwrap(), "Es fehlt {$missing}");
    let error = message("de", "missing").unwrap_err();
    assert_eq!(
        error,
        "could not find the message `missing` for `de`: no file has it; add it to one"
    );
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<html lang="{{ locale.tag() }}">{{ "Hello, {name}!"|translate|fill("name", name) }}
{{ "Open"|pgettext("menu") }} {{ "{n} file"|translate_plural("{n} files", files.len()) }}
{{ "inbox"|message("count", 1, "name", name) }} {{ 1234567|format_number }} {{ epoch|format_date }}"#
)]
struct Page {
    locale: Locale,
    name: &'static str,
    files: Vec<u8>,
    epoch: LocalTime,
}

#[test]
fn templates_translate_and_escape_what_they_say() {
    let show = async |cx: &mut Context| {
        let page = Page {
            locale: cx.locale()?.clone(),
            name: "<Ada>",
            files: vec![1, 2],
            epoch: LocalTime::utc(UNIX_EPOCH),
        };
        cx.render(&page)
    };
    let client = AppClient::new(Application::new().languages(languages()).get("/", show)).unwrap();
    for (tag, expected) in [
        (
            "de",
            "<html lang=\"de\">&#60;Ada&#62;, hallo &#38; &#60;willkommen&#62;!\nÖffnen 2 Dateien\n\
             Eine Nachricht von Squall 1.234.567 01.01.1970",
        ),
        (
            "en",
            "<html lang=\"en\">Hello, &#60;Ada&#62;!\nOpen 2 files\n\
             One message for &#60;Ada&#62; 1,234,567 Jan 1, 1970",
        ),
    ] {
        let response = client.get("/").header("accept-language", tag).send().unwrap();
        assert_eq!(response.text().replace(['\u{2068}', '\u{2069}'], ""), expected);
    }
}

#[derive(Template)]
#[template(ext = "html", source = "{{ \"{n} file\"|translate_plural(\"{n} files\", count) }}")]
struct Count {
    count: i32,
}

#[test]
fn a_negative_count_is_a_500() {
    let show = async |cx: &mut Context| {
        let count = cx.query_param("n")?;
        cx.render(&Count { count })
    };
    let client = AppClient::new(Application::new().languages(languages()).get("/", show)).unwrap();
    assert_eq!(client.get("/?n=3").send().unwrap().text(), "3 files");
    assert_eq!(client.get("/?n=-3").send().unwrap().status(), 500);
}
