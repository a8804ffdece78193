//! The pages of the examples in a real browser: messages of others, moving prices, uploads, and broken connections.
//!
//! Without Chromium the tests are skipped.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod chat;
mod relay;
mod ticker;
mod uploads;

use support::browser::Page;

/// The shards of an example: two, so that a broadcast crosses from one to another.
const SHARDS: usize = 3;

/// Returns what lies outside the window of a page, and what the page loaded from other origins.
const LOOK: &str = r#"({
    tooWide: document.documentElement.scrollWidth > innerWidth,
    outside: [...document.querySelectorAll("header *, h2, main button, main input, main textarea, main select")]
        .filter((element) => element.checkVisibility() && !element.closest(".hidden, #people"))
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => element.outerHTML),
    foreign: performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => !name.startsWith(location.origin)),
})"#;

/// Writes a picture of a page into the folder that `SQUALL_TEST_PICTURES` names, for the eyes of a developer.
fn keep_picture(page: &Page<'_>, name: &str) {
    if let Ok(folder) = std::env::var("SQUALL_TEST_PICTURES") {
        std::fs::write(format!("{folder}/{name}.png"), page.picture()).unwrap();
    }
}

/// Checks a page at the width of a phone and of a desktop, in both colour schemes.
#[track_caller]
fn expect_to_look_well(page: &Page<'_>) {
    for width in [400, 1200] {
        page.resize(width, 800);
        let seen = page.evaluate(LOOK);
        assert_eq!(seen["tooWide"], false, "at {width} pixels: {seen}");
        assert_eq!(seen["outside"], serde_json::json!([]), "at {width} pixels");
        assert_eq!(seen["foreign"], serde_json::json!([]));
    }
    let mut papers = ["light", "dark"].map(|scheme| {
        page.prefer(scheme);
        // The picture of an empty page takes less than 10 kB.
        let picture = page.picture();
        assert!(picture.len() > 20_000, "{} bytes", picture.len());
        page.evaluate("getComputedStyle(document.body).backgroundColor")
    });
    papers.sort_by_key(ToString::to_string);
    assert_ne!(papers[0], papers[1], "a page is not light and dark in the same colour");
    assert_eq!(page.exceptions(), Vec::<String>::new());
}
