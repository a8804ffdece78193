//! `--reload`, with a small package that is edited while clients ask it. No connection is refused, errors show in the
//! browser, and the page comes back by itself.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::response::Response;
use crate::support::server::{Server, driver_under_test};

const MANIFEST: &str = "[package]
name = \"squall-reloaded\"
edition = \"2024\"

[dependencies]
squall = { path = \"SQUALL\", features = [\"reload\"] }

[workspace]

[profile.dev]
debug = \"line-tables-only\"
";

const MAIN: &str = "mod answer;

use squall::prelude::*;

async fn answer(_: &mut Context) -> Html<&'static str> {
    Html(answer::TEXT)
}

fn main() -> Result {
    Server::from_args(|| Application::new().get(\"/\", answer)).run()
}
";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A package in a folder of this test.
struct Package(PathBuf);

impl Package {
    /// Writes a package that answers `one`, and builds it.
    fn new() -> Self {
        let package = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("reloaded"));
        let squall = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::create_dir_all(package.0.join("src")).unwrap();
        package.write("Cargo.toml", &MANIFEST.replace("SQUALL", squall.to_str().unwrap()));
        package.write("src/main.rs", MAIN);
        package.answer("one");
        // The versions of this workspace, which are there already.
        fs::copy(squall.join("Cargo.lock"), package.0.join("Cargo.lock")).unwrap();
        let built = package.cargo("build").stderr(Stdio::piped()).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        package
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// Has the next version answer this text.
    fn answer(&self, text: &str) {
        self.write("src/answer.rs", &format!("pub(crate) const TEXT: &str = {text:?};\n"));
    }

    /// A command of Cargo that shares the crates of this test.
    fn cargo(&self, verb: &str) -> Command {
        let mut target = std::env::current_exe().unwrap();
        // From `target/debug/deps/reload-0123`.
        for _ in 0..3 {
            target.pop();
        }
        let mut command = Command::new(env!("CARGO"));
        command
            .args([verb, "--quiet", "--offline", "--manifest-path"])
            .arg(self.0.join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", target)
            .env_remove("RUSTFLAGS");
        command
    }

    /// Starts the package as a developer does.
    fn start(&self) -> Server {
        let mut command = self.cargo("run");
        command.arg("--");
        if let Some(driver) = driver_under_test() {
            command.args(["--driver", &driver]);
        }
        Server::start_by(command, 1, &["--reload"])
    }
}

fn get(server: &Server) -> Response {
    server.connect().exchange(REQUEST, "GET").unwrap()
}

fn await_answer(server: &Server, status: u16, text: &str) {
    eventually(&format!("{status} {text}"), || {
        let response = get(server);
        response.status == status && String::from_utf8_lossy(&response.body).contains(text)
    });
}

#[test]
fn a_change_is_answered_without_a_refused_connection_and_errors_are_shown_until_they_are_mended() {
    let package = Package::new();
    let server = package.start();
    await_answer(&server, 200, "one");
    let (address, is_over) = (server.address(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&is_over);
    // A connection after the other: one that is refused or reset would panic.
    let client = thread::spawn(move || {
        let mut statuses = Vec::new();
        while !until.load(Ordering::Relaxed) {
            statuses.push(Connection::open(address).exchange(REQUEST, "GET").unwrap().status);
            // The pace of the client, which leaves the machine to the compiler.
            thread::park_timeout(Duration::from_millis(3));
        }
        statuses
    });

    package.answer("two");
    await_answer(&server, 200, "two");

    package.write("src/answer.rs", "pub(crate) const TEXT: &str = <b>;\n");
    await_answer(&server, 500, "expected");
    let page = get(&server);
    let html = String::from_utf8_lossy(&page.body);
    assert_eq!(page.field("content-type"), Some(b"text/html; charset=utf-8".as_slice()));
    assert!(
        html.contains("src/answer.rs:1") && html.contains("&#60;b&#62;"),
        "{html}"
    );

    let browser = Browser::start();
    let shown = browser
        .as_ref()
        .map(|browser| browser.open(&format!("http://{address}/")));
    if let Some(shown) = &shown {
        shown.wait_until("document.querySelector('h1')?.textContent == 'The build failed'");
    }
    package.answer("<p id=a>three</p>");
    await_answer(&server, 200, "three");
    if let Some(shown) = &shown {
        let text = || shown.evaluate("document.querySelector('#a')?.textContent");
        // An evaluation fails, and panics, while the page loads.
        eventually("the page has reloaded itself", || {
            catch_unwind(AssertUnwindSafe(text)).is_ok_and(|text| text == "three")
        });
    }

    // A program that ends by itself is shown too, and started again after the next change.
    package.write("src/main.rs", "fn main() {\n    std::process::exit(7);\n}\n");
    await_answer(&server, 500, "exit status: 7");
    package.write("src/main.rs", MAIN);
    await_answer(&server, 200, "three");

    is_over.store(true, Ordering::Relaxed);
    let statuses = client.join().unwrap();
    assert!(
        statuses.iter().all(|status| [200, 500].contains(status)),
        "{statuses:?}"
    );
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    assert!(
        Connection::try_open(address).is_err(),
        "the program has ended with its supervisor"
    );
}
