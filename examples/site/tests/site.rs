//! The site in a real browser: the reader changes the language, and caches learn what a page depends on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::process::Command;

use support::browser::{Browser, Page};
use support::response::Response;
use support::server::{Server, driver_under_test};

/// The pages, for a look at each.
const PAGES: [(&str, &str); 5] = [
    ("home", "/"),
    ("journal", "/journal"),
    ("entry", "/journal/first-squall"),
    ("about", "/about"),
    ("missing", "/nowhere"),
];

/// What lies outside the window of a page.
const OUTSIDE: &str = "[...document.querySelectorAll('header *, main *')]
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML)";

fn site() -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_site"));
    if let Some(driver) = driver_under_test() {
        command.args(["--driver", &driver]);
    }
    Server::start_by(command, 1, &[])
}

fn get(server: &Server, target: &str, fields: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    server.connect().exchange(request.as_bytes(), "GET").unwrap()
}

fn text(response: &Response) -> &str {
    core::str::from_utf8(&response.body).unwrap()
}

#[test]
fn each_page_is_in_the_language_of_its_reader() {
    let server = site();
    for (path, status, english, german) in [
        ("/", 200, "<h1>The wind is southwest", "<h1>Der Wind kommt aus Südwest"),
        ("/journal", 200, "4 entries in the journal", "4 Einträge im Tagebuch"),
        ("/journal/first-squall", 200, "November 17", "17. November"),
        ("/about", 200, "1,840", "1.840"),
        (
            "/journal/nothing",
            404,
            "This page does not exist.",
            "Diese Seite gibt es nicht.",
        ),
    ] {
        for (fields, language, expected) in [
            ("", "en", english),
            ("Accept-Language: de-AT, en;q=0.5\r\n", "de", german),
            ("Accept-Language: de\r\nCookie: language=en\r\n", "en", english),
            ("Cookie: language=de\r\n", "de", german),
            ("Accept-Language: de\r\nCookie: language=<tlh>\r\n", "de", german),
        ] {
            let response = get(&server, path, fields);
            assert_eq!(response.status, status, "{path} {fields}");
            let body = text(&response);
            assert!(body.contains(expected), "{path} {fields}: {expected} is not in {body}");
            assert!(
                body.contains(&format!("<html lang=\"{language}\" dir=\"ltr\">")),
                "{path} {fields}"
            );
            assert_eq!(
                response.field("content-language"),
                Some(language.as_bytes()),
                "{path} {fields}"
            );
            let vary = response.list("vary");
            assert!(
                vary.contains(&"accept-language".to_owned()) && vary.contains(&"cookie".to_owned()),
                "{vary:?}"
            );
            assert_eq!(response.field("cache-control"), Some(&b"no-cache"[..]));
        }
    }
}

#[test]
fn assets_have_versions_and_are_stored_for_a_year() {
    let server = site();
    let page = get(&server, "/", "");
    for name in ["site.css", "card.css", "icon.svg"] {
        let start = format!("href=\"/static/{name}?v=");
        let (_, after) = text(&page)
            .split_once(&start)
            .unwrap_or_else(|| panic!("{name} is not in {page:?}"));
        let version = after.split('"').next().unwrap();
        let asset = get(&server, &format!("/static/{name}?v={version}"), "");
        assert_eq!(asset.status, 200, "{name}");
        let stored = asset.list("cache-control");
        assert!(stored.contains(&"immutable".to_owned()), "{name}: {stored:?}");
        assert_eq!(asset.field("content-language"), None, "{name}");
        // The style of the cards belongs to a module: each page with cards links it once.
        assert_eq!(text(&page).matches(&start).count(), 1, "{name}");
    }
}

#[test]
fn pages_and_styles_are_compressed_for_clients_that_ask() {
    let server = site();
    for path in ["/", "/static/site.css"] {
        let plain = get(&server, path, "");
        let small = get(&server, path, "Accept-Encoding: gzip\r\n");
        assert_eq!(plain.field("content-encoding"), None, "{path}");
        assert_eq!(small.field("content-encoding"), Some(&b"gzip"[..]), "{path}");
        assert!(
            small.body.len() * 4 < plain.body.len() * 3,
            "{path}: {} of {}",
            small.body.len(),
            plain.body.len()
        );
        assert!(small.list("vary").contains(&"accept-encoding".to_owned()), "{path}");
    }
}

#[test]
fn a_choice_of_a_language_leads_back_to_the_page_and_to_no_other_host() {
    let server = site();
    for (form, status, location) in [
        ("language=de&next=/about", 303, Some("/about")),
        ("language=de&next=//evil.example", 303, Some("/")),
        ("language=de&next=/%5Cevil.example", 303, Some("/")),
        ("language=de&next=https://evil.example", 303, Some("/")),
        ("language=tlh&next=/", 422, None),
        ("next=/", 400, None),
    ] {
        let fields = "Content-Type: application/x-www-form-urlencoded";
        let request = format!(
            "POST /language HTTP/1.1\r\nHost: a\r\n{fields}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let response = server.connect().exchange(request.as_bytes(), "POST").unwrap();
        assert_eq!(response.status, status, "{form}");
        assert_eq!(response.field("location"), location.map(str::as_bytes), "{form}");
        let is_set = response
            .field("set-cookie")
            .is_some_and(|cookie| cookie.starts_with(b"language=de;"));
        assert_eq!(is_set, status == 303, "{form}");
    }
}

/// Writes a picture of a page into the folder that `SQUALL_TEST_PICTURES` names, for the eyes of a developer.
fn keep_picture(page: &Page<'_>, name: &str) {
    let picture = page.picture();
    // The picture of an empty page takes less than 10 kB.
    assert!(picture.len() > 12_000, "{name}: {} bytes", picture.len());
    if let Ok(folder) = std::env::var("SQUALL_TEST_PICTURES") {
        std::fs::write(format!("{folder}/site-{name}.png"), picture).unwrap();
    }
}

#[test]
fn every_page_fits_a_phone_and_a_desktop() {
    let Some(browser) = Browser::start() else { return };
    let server = site();
    for (name, path) in PAGES {
        let page = browser.open(&format!("http://{}{path}", server.address()));
        for (width, height) in [(390, 844), (1280, 900)] {
            page.resize(width, height);
            assert_eq!(
                page.evaluate(OUTSIDE),
                serde_json::json!([]),
                "{name} at {width} pixels"
            );
            assert_eq!(
                page.evaluate("document.documentElement.scrollWidth > innerWidth"),
                false,
                "{name} at {width}"
            );
            for scheme in ["light", "dark"] {
                page.prefer(scheme);
                keep_picture(&page, &format!("{name}-{width}-{scheme}"));
            }
        }
        assert_eq!(page.exceptions(), Vec::<String>::new());
    }
}

#[test]
fn a_reader_changes_the_language_on_the_page() {
    let Some(browser) = Browser::start() else { return };
    let server = site();
    let page = browser.open(&format!("http://{}/journal/first-squall", server.address()));
    // The page goes into a frame: the outer page stays, so it can wait while the frame goes from page to page.
    page.evaluate("document.body.innerHTML = '<iframe></iframe>'; frames[0].location = location.href; 0");
    let choose = |language: &str, title: &str| {
        page.wait_until("frames[0].document.querySelector('button[value=de]')");
        page.evaluate(&format!(
            "frames[0].document.querySelector('button[value={language}]').click()"
        ));
        page.wait_until(&format!(
            "frames[0].document.querySelector('h1')?.textContent === '{title}'"
        ));
        page.wait_until(&format!("frames[0].document.documentElement.lang === '{language}'"));
        let pressed = format!("frames[0].document.querySelector('button[value={language}]').ariaPressed");
        assert_eq!(page.evaluate(&pressed), "true");
        assert_eq!(page.evaluate("frames[0].location.pathname"), "/journal/first-squall");
    };
    choose("de", "Die erste Bö des Herbstes");
    choose("en", "The first squall of the season");
    choose("de", "Die erste Bö des Herbstes");
    // The choice stays on the other pages.
    page.load(&format!("http://{}/about", server.address()));
    assert_eq!(page.evaluate("document.querySelector('h1').textContent"), "Die Station");
    let headers = page.evaluate(
        "fetch('/about').then(({ headers }) => [headers.get('content-language'), headers.get('vary'), headers.get('cache-control')])",
    );
    assert_eq!((&headers[0], &headers[2]), (&"de".into(), &"no-cache".into()));
    let vary = headers[1].as_str().unwrap().to_lowercase();
    for field in ["accept-language", "cookie", "accept-encoding"] {
        assert!(vary.contains(field), "{vary}");
    }
    assert_eq!(page.exceptions(), Vec::<String>::new());
}
