//! The uploads: files of any size reach the folder with a progress bar, and refused or cancelled ones leave nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::support::browser::{Browser, Page};
use super::support::server::Server;
use super::{SHARDS, expect_to_look_well, keep_picture};

/// The size of a large file: 64 MiB.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// Makes a file in the page and gives it to the picker, as a visitor's choice does. Each four bytes are different.
const PICK: &str = "
    globalThis.pick = (name, bytes) => {
        const numbers = new Uint32Array(Math.ceil(bytes / 4));
        for (let at = 0; at < numbers.length; at += 1) numbers[at] = Math.imul(at, 2654435761);
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(numbers.buffer, 0, bytes)], name));
        picker.files = data.files;
        picker.dispatchEvent(new Event('change'));
    };
    globalThis.states = new Set();
    const look = () => document.querySelectorAll('.state').forEach(({ textContent }) => states.add(textContent));
    new MutationObserver(look).observe(uploads, { childList: true, subtree: true, characterData: true });
    0";

/// The bytes of such a file.
fn picked(length: usize) -> Vec<u8> {
    let numbers = (0..).flat_map(|at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes());
    numbers.take(length).collect()
}

/// A folder for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    /// The names in the folder, hidden ones included.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn start(folder: &Folder, flags: &[&str]) -> Server {
    let dir = folder.0.display().to_string();
    Server::start_with_shards("uploads", SHARDS, &[&["--dir", dir.as_str()], flags].concat())
}

fn open<'b>(browser: &'b Browser, server: &Server) -> Page<'b> {
    let page = browser.open(&format!("http://{}/", server.address()));
    page.wait_until("find('limit').textContent.startsWith('at most')");
    page.evaluate(PICK);
    page
}

/// The names that the page lists.
const LISTED: &str = "[...document.querySelectorAll('#stored .name')].map((name) => name.textContent)";

#[test]
fn a_large_file_reaches_the_folder_with_a_progress_bar() {
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new("large");
    let server = start(&folder, &[]);
    let page = open(&browser, &server);
    page.evaluate(&format!("pick('holiday.mov', {LARGE_BYTES})"));
    page.wait_until("document.querySelector('[data-state]')?.dataset.state == 'done'");
    page.wait_until(&format!("{LISTED}.join() == 'holiday.mov'"));
    assert!(
        fs::read(folder.0.join("holiday.mov")).unwrap() == picked(LARGE_BYTES),
        "the bytes are the file's"
    );
    assert_eq!(folder.names(), ["holiday.mov"]);
    let states = page.evaluate("[...states]");
    let moved = states
        .as_array()
        .unwrap()
        .iter()
        .filter(|state| state.as_str().unwrap().contains(" %"));
    assert!(moved.count() > 1, "{states}");
    assert_eq!(page.evaluate("document.querySelector('progress').value"), 1);

    page.evaluate("pick('holiday.mov', 10); pick('Stra\u{df}e (1).txt', 2000); pick('../<b>.html', 5)");
    page.wait_until("document.querySelectorAll('[data-state=done]').length == 4");
    let names = json!(["_b_.html", "holiday (1).mov", "holiday.mov", "Stra\u{df}e (1).txt"]);
    page.wait_until(&format!("{LISTED}.length == 4"));
    let mut listed = page.evaluate(LISTED).as_array().unwrap().clone();
    listed.sort_by_key(|name| name.as_str().unwrap().to_lowercase());
    assert_eq!(json!(listed), names);
    for width in [390, 1280] {
        for scheme in ["light", "dark"] {
            page.resize(width, 900);
            page.prefer(scheme);
            keep_picture(&page, &format!("uploads-{width}-{scheme}"));
        }
    }
    expect_to_look_well(&page);
}

#[test]
fn a_file_beyond_the_limit_is_refused_and_the_page_says_so() {
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new("limit");
    let server = start(&folder, &["--max-upload-bytes", "10000"]);
    let page = open(&browser, &server);
    assert_eq!(
        page.evaluate("find('limit').textContent"),
        "at most 9.8 KiB in one upload"
    );
    page.evaluate("pick('large', 20000)");
    page.wait_until("document.querySelector('[data-state=failed] .state')?.textContent == 'larger than 9.8 KiB'");
    // Without the page's own check, the server refuses.
    page.evaluate("limit = Infinity; pick('large', 20000)");
    page.wait_until("document.querySelector('[data-state=failed] .state')?.textContent == 'too large for the server'");
    page.evaluate("pick('small', 5000)");
    page.wait_until("document.querySelector('[data-state=done]')");
    assert_eq!(folder.names(), ["small"]);
}

#[test]
fn a_cancelled_upload_leaves_nothing() {
    let Some(browser) = Browser::start() else { return };
    let folder = Folder::new("cancel");
    let server = start(&folder, &[]);
    let page = open(&browser, &server);
    page.evaluate(&format!("pick('large', {LARGE_BYTES})"));
    page.wait_until("document.querySelector('progress')?.value > 0");
    page.evaluate("document.querySelector('#uploads button').click()");
    page.wait_until("document.querySelector('[data-state]')?.textContent.includes('cancelled')");
    page.evaluate("pick('small', 5)");
    page.wait_until("document.querySelector('[data-state=done]')");
    // The server learns of the end of the connection after the browser.
    while folder.names() != ["small"] {
        std::thread::yield_now();
    }
}
