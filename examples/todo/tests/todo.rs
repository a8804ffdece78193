//! The example in real browsers: two people sign up, share a list, and see each other's changes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use support::browser::{Browser, Page};
use support::response::Response;
use support::server::{Server, driver_under_test};

/// What lies outside the window of a page.
const OUTSIDE: &str = "[...document.querySelectorAll('header *, main *')]
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML)";

/// How many shards serve: two, so that news cross from one to another.
const SHARDS: usize = 2;

/// The example with a database of its own, which is removed at the end.
struct Todo {
    server: Server,
    database: PathBuf,
}

impl Todo {
    fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "todo-{}-{}.sqlite",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let database = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let server = Self::serve(&database);
        Self { server, database }
    }

    fn serve(database: &Path) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_todo"));
        if let Some(driver) = driver_under_test() {
            command.args(["--driver", &driver]);
        }
        // Hashing takes the time that no other thread wants, which is little beside other tests.
        command.args(["--password-memory-kib", "8"]);
        command.arg("--database").arg(database);
        Server::start_by(command, SHARDS, &[])
    }

    /// Starts the program again with the same database.
    fn restart(&mut self) {
        self.server.terminate();
        assert!(self.server.wait().success(), "{}", self.server.log());
        self.server = Self::serve(&self.database);
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Sends a form with cookies, and returns the response.
    fn post(&self, path: &str, cookies: &str, form: &str) -> Response {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        self.server.connect().exchange(request.as_bytes(), "POST").unwrap()
    }

    fn get(&self, path: &str, cookies: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\n\r\n");
        self.server.connect().exchange(request.as_bytes(), "GET").unwrap()
    }

    /// Signs up without a browser, and returns the cookies and the XSRF token.
    fn sign_up(&self, name: &str) -> (String, String) {
        let page = self.get("/signup", "");
        let text = String::from_utf8(page.body.clone()).unwrap();
        let token = text
            .split("name=\"_xsrf\" value=\"")
            .nth(1)
            .expect("a token")
            .split('"')
            .next()
            .unwrap();
        let xsrf = cookies_of(&page);
        let form = format!("name={name}&password=correct+horse&_xsrf={token}");
        let entered = self.post("/signup", &xsrf, &form);
        assert_eq!(entered.status, 302, "{entered:?}");
        assert_eq!(entered.field("location"), Some(&b"/lists"[..]));
        (format!("{xsrf}; {}", cookies_of(&entered)), token.to_owned())
    }
}

impl Drop for Todo {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.database.clone().into_os_string();
            path.push(suffix);
            drop(std::fs::remove_file(path));
        }
    }
}

/// The cookies that a response sets, as a request sends them.
fn cookies_of(response: &Response) -> String {
    let lines = response.fields.iter().filter(|(name, _)| name == "set-cookie");
    let pairs: Vec<String> = lines
        .map(|(_, line)| String::from_utf8_lossy(line).split(';').next().unwrap().to_owned())
        .collect();
    pairs.join("; ")
}

/// Fills in a form of the page, and sends it.
fn fill(page: &Page<'_>, fields: &[(&str, &str)]) {
    for (field, text) in fields {
        page.evaluate(&format!("document.querySelector({}).focus()", json!(field)));
        page.type_text(text);
    }
    page.press_enter();
}

/// Waits until the page is at a path.
#[track_caller]
fn arrive(page: &Page<'_>, path: &str) {
    page.wait_until(&format!(
        "new RegExp({}).test(location.pathname) && document.readyState === 'complete'",
        json!(format!("^{path}$"))
    ));
}

/// Writes a picture of a page into the folder that `SQUALL_TEST_PICTURES` names, for the eyes of a developer.
fn keep_picture(page: &Page<'_>, name: &str) {
    let picture = page.picture();
    // The picture of an empty page takes less than 10 kB.
    assert!(picture.len() > 8_000, "{name}: {} bytes", picture.len());
    if let Ok(folder) = std::env::var("SQUALL_TEST_PICTURES") {
        std::fs::write(format!("{folder}/todo-{name}.png"), picture).unwrap();
    }
}

/// Checks that a page fits a phone and a desktop, and keeps pictures of it.
fn look_at(page: &Page<'_>, name: &str) {
    for (width, height) in [(390, 844), (1280, 900)] {
        page.resize(width, height);
        assert_eq!(page.evaluate(OUTSIDE), json!([]), "{name} at {width} pixels");
        assert_eq!(
            page.evaluate("document.documentElement.scrollWidth > innerWidth"),
            false,
            "{name} at {width}"
        );
        for scheme in ["light", "dark"] {
            page.prefer(scheme);
            keep_picture(page, &format!("{name}-{width}-{scheme}"));
        }
    }
    page.prefer("light");
}

fn sign_up(page: &Page<'_>, name: &str) {
    fill(page, &[("#name", name), ("#password", "correct horse")]);
    arrive(page, "/lists");
}

#[test]
fn an_item_of_one_browser_appears_in_the_other() {
    // Each browser has its own cookies.
    let (Some(first), Some(second)) = (Browser::start(), Browser::start()) else {
        return;
    };
    let todo = Todo::start();
    let ada = first.open(&todo.url("/"));
    look_at(&ada, "welcome");
    ada.load(&todo.url("/signup"));
    look_at(&ada, "signup");
    sign_up(&ada, "ada");
    fill(&ada, &[("#title", "Picnic on Saturday")]);
    arrive(&ada, "/lists/\\d+");
    ada.wait_until("document.getElementById('status')?.dataset.state === 'open'");

    // Ben has an account and no access.
    let ben = second.open(&todo.url("/signup"));
    sign_up(&ben, "ben");
    let list = ada.evaluate("location.pathname");
    let list = list.as_str().unwrap();
    ben.load(&todo.url(list));
    ben.wait_until("document.body?.textContent.includes('not shared with you')");
    ben.load(&todo.url("/lists"));
    ben.wait_until("document.body?.textContent.includes('No lists yet')");
    fill(&ada, &[("#member", "ben")]);
    ada.wait_until("document.querySelectorAll('.people li').length === 2 && document.readyState === 'complete'");
    ben.load(&todo.url("/lists"));
    ben.wait_until("document.querySelector('.card')?.textContent.includes('from ada')");
    ben.load(&todo.url(list));
    ben.wait_until("document.getElementById('status')?.dataset.state === 'open'");
    ada.wait_until("document.getElementById('status')?.dataset.state === 'open'");

    fill(&ada, &[("#text", "Bread & <b>butter</b> from https://bakery.example")]);
    ben.wait_until(
        "document.querySelector('#items .text')?.textContent === 'Bread & <b>butter</b> from https://bakery.example'",
    );
    ben.wait_until("document.querySelector('#items .text a')?.href === 'https://bakery.example/'");
    fill(&ben, &[("#text", "Lemonade")]);
    ada.wait_until("document.querySelectorAll('#items li').length === 2");
    fill(&ada, &[("#text", "Ask Noor about the kite")]);
    ben.wait_until("document.querySelectorAll('#items li').length === 3");

    // Ticking off, and opening again.
    ben.evaluate("document.querySelectorAll('#items .tick')[1].click()");
    ada.wait_until("document.querySelectorAll('#items li')[1].classList.contains('done')");
    ada.wait_until("document.getElementById('open')?.textContent === '2'");
    look_at(&ada, "list");
    ada.evaluate("document.querySelectorAll('#items .tick')[1].click()");
    ben.wait_until("document.getElementById('open')?.textContent === '3'");
    ben.evaluate("document.querySelectorAll('#items .remove')[2].click()");
    ada.wait_until("document.querySelectorAll('#items li').length === 2");

    // A page that is loaded anew shows the same.
    ben.load(&todo.url(list));
    assert_eq!(ben.evaluate("document.querySelectorAll('#items li').length"), 2);
    ben.load(&todo.url("/lists"));
    look_at(&ben, "overview");
    ben.load(&todo.url("/nowhere"));
    look_at(&ben, "missing");

    for page in [&ada, &ben] {
        assert_eq!(page.exceptions(), Vec::<String>::new());
    }
}

#[test]
fn a_member_that_is_removed_or_logs_out_hears_no_more() {
    let (Some(first), Some(second)) = (Browser::start(), Browser::start()) else {
        return;
    };
    let todo = Todo::start();
    let ben = second.open(&todo.url("/signup"));
    sign_up(&ben, "ben");
    let ada = first.open(&todo.url("/signup"));
    sign_up(&ada, "ada");
    fill(&ada, &[("#title", "The shed")]);
    arrive(&ada, "/lists/\\d+");
    fill(&ada, &[("#member", "ben")]);
    ada.wait_until("document.querySelectorAll('.people li').length === 2 && document.readyState === 'complete'");
    let list = ada.evaluate("location.pathname");
    ben.load(&todo.url(list.as_str().unwrap()));
    ben.wait_until("document.getElementById('status')?.dataset.state === 'open'");
    // Its page loads again, and says so.
    ada.evaluate("document.querySelector('.people form button').click()");
    ben.wait_until("document.body?.textContent.includes('not shared with you')");

    ada.load(&todo.url(list.as_str().unwrap()));
    ada.wait_until("document.getElementById('status')?.dataset.state === 'open'");
    let other = first.open(&todo.url("/lists"));
    other.evaluate("document.querySelector('header form button').click()");
    arrive(&other, "/");
    // The end of the session closes the socket of the first page, which then finds no user.
    arrive(&ada, "/login");
}

#[test]
fn a_form_without_its_token_changes_nothing() {
    let todo = Todo::start();
    let (cookies, token) = todo.sign_up("ada");
    assert_eq!(todo.post("/lists", &cookies, "title=Forged").status, 403);
    assert_eq!(todo.post("/logout", &cookies, "").status, 403);
    let made = todo.post("/lists", &cookies, &format!("title=Own&_xsrf={token}"));
    assert_eq!(made.status, 302, "{made:?}");
    let lists = todo.get("/lists", &cookies);
    let text = String::from_utf8_lossy(&lists.body).into_owned();
    assert!(text.contains("Own") && !text.contains("Forged"), "{text}");
}

#[test]
fn lists_of_others_are_404_for_every_request() {
    let todo = Todo::start();
    let (ada, ada_token) = todo.sign_up("ada");
    let (ben, token) = todo.sign_up("ben");
    let made = todo.post("/lists", &ada, &format!("title=Own&_xsrf={ada_token}"));
    let list = String::from_utf8(made.field("location").unwrap().to_vec()).unwrap();
    let added = todo.post(&format!("{list}/items"), &ada, &format!("text=bread&_xsrf={ada_token}"));
    assert_eq!(added.status, 302, "{added:?}");
    for path in [list.clone(), format!("{list}/items")] {
        assert_eq!(todo.get(&path, &ada).status, 200, "{path}");
        assert_eq!(todo.get(&path, &ben).status, 404, "{path}");
        let visitor = todo.get(&path, "");
        assert_eq!(visitor.status, 302, "{path}");
        assert!(visitor.field("location").unwrap().starts_with(b"/login?next=%2Flists"));
    }
    for (path, form) in [
        ("items", "text=mine"),
        ("items/1", "change=remove"),
        ("members", "name=ben"),
        ("members/1", ""),
        ("members/2", ""),
    ] {
        let answer = todo.post(&format!("{list}/{path}"), &ben, &format!("{form}&_xsrf={token}"));
        assert_eq!(answer.status, 404, "{path}");
    }
    for form in ["text=", "text=%00", &format!("text={}", "a".repeat(201))] {
        let answer = todo.post(&format!("{list}/items"), &ada, &format!("{form}&_xsrf={ada_token}"));
        assert_eq!(answer.status, 422, "{form}");
    }
}

#[test]
fn sessions_and_lists_outlive_a_restart() {
    let mut todo = Todo::start();
    let (cookies, token) = todo.sign_up("ada");
    assert_eq!(
        todo.post("/lists", &cookies, &format!("title=Stays&_xsrf={token}"))
            .status,
        302
    );
    todo.restart();
    let lists = todo.get("/lists", &cookies);
    assert_eq!(lists.status, 200);
    assert!(String::from_utf8_lossy(&lists.body).contains("Stays"));
}

#[test]
fn wrong_passwords_and_taken_names_are_refused() {
    let todo = Todo::start();
    todo.sign_up("ada");
    let page = todo.get("/login", "");
    let text = String::from_utf8(page.body.clone()).unwrap();
    let token = text
        .split("name=\"_xsrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let xsrf = cookies_of(&page);
    for (path, form, status) in [
        ("/login", "name=ada&password=wrong+horse", 403),
        ("/login", "name=unknown&password=wrong+horse", 403),
        ("/login", "name=ADA&password=correct+horse", 302),
        ("/login", "name=ada&password=correct+horse&next=//evil.example", 302),
        ("/signup", "name=Ada&password=correct+horse", 409),
        ("/signup", "name=b&password=correct+horse", 422),
        ("/signup", "name=ben&password=short", 422),
    ] {
        let answer = todo.post(path, &xsrf, &format!("{form}&_xsrf={token}"));
        assert_eq!(answer.status, status, "{form}: {answer:?}");
        if status == 302 {
            assert_eq!(answer.field("location"), Some(&b"/lists"[..]), "{form}");
        }
    }
}
