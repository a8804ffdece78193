//! A wall clock that jumps changes `Date` only, because deadlines use the monotonic clock
//! (`docs/threats.md#clock-jump`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::*;
use crate::support::server::command;
use crate::support::skip::skip_without_program;

/// How long `Date` may take to follow: it is formatted once a second.
const DATE_LAG: Duration = Duration::from_secs(5);

/// The interval between two reads of `Date`.
const LOOK: Duration = Duration::from_millis(100);

/// The library that fakes the wall clock of a process.
fn faketime() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let paths = folders.map(|folder| PathBuf::from(folder).join("faketime/libfaketime.so.1"));
    paths.into_iter().find(|path| path.exists())
}

/// The day that `Date` names.
fn day(connection: &mut Connection) -> String {
    let response = connection.exchange(&get("/"), "GET").unwrap();
    response.expect(200, b"ok").unwrap();
    let date = String::from_utf8(response.field("date").unwrap().to_vec()).unwrap();
    date["Mon, ".len().."Mon, 15 Jun 2026".len()].to_owned()
}

/// A server whose wall clock a test sets.
struct Faked {
    server: Server,
    setting: PathBuf,
}

impl Faked {
    /// Starts at noon of June 15; `None`, and the test is skipped, without the library.
    fn start(name: &str) -> Option<Self> {
        let Some(library) = faketime() else {
            skip_without_program("libfaketime, which sets the wall clock, is missing; apt-get install faketime");
            return None;
        };
        let setting = std::env::temp_dir().join(format!("squall-faketime-{name}-{}", std::process::id()));
        write(&setting, "15");
        let mut command = command("conformance");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &setting)
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let server = Server::start_by(command, 1, &[]);
        Some(Self { server, setting })
    }

    /// Sets the clock to noon of a day in June, and waits until `Date` follows.
    fn jump_to(&self, to: &str, looking: &mut Connection) {
        write(&self.setting, to);
        let mut waited = Duration::ZERO;
        while day(looking) != format!("{to} Jun 2026") {
            assert!(waited < DATE_LAG, "Date does not follow to June {to}");
            assert_eq!(looking.listen_for(LOOK).unwrap(), None);
            waited += LOOK;
        }
    }
}

impl Drop for Faked {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.setting));
    }
}

/// Writes what the library reads: a fixed time, because around midnight of the machine's clock the tests would fail.
fn write(setting: &Path, day: &str) {
    fs::write(setting, format!("@2026-06-{day} 12:00:00")).unwrap();
}

#[test]
fn a_wall_clock_jump_changes_date_and_keeps_every_deadline() {
    let Some(faked) = Faked::start("deadlines") else { return };
    let mut in_head = faked.server.connect();
    in_head.send(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut idle = faked.server.connect();
    assert_eq!(day(&mut idle), "15 Jun 2026");
    let mut looking = faked.server.connect();
    for to in ["16", "14", "15"] {
        faked.jump_to(to, &mut looking);
    }
    in_head.send(b"st: a\r\n\r\n").unwrap();
    in_head.response("GET").unwrap().expect(200, b"ok").unwrap();
    assert_eq!(idle.listen_for(LOOK).unwrap(), None);
}

#[test]
fn a_wall_clock_jump_makes_signed_cookies_too_old_until_it_jumps_back() {
    let Some(faked) = Faked::start("cookies") else { return };
    let mut connection = faked.server.connect();
    let set = connection.exchange(&get("/signed/set?name=a&value=b"), "GET").unwrap();
    let line = String::from_utf8(set.field("set-cookie").unwrap().to_vec()).unwrap();
    let cookie = line.split(';').next().unwrap();
    let request = format!("GET /signed/get?name=a&max_age_days=1.5 HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    for (to, body) in [
        ("15", &b"{\"value\":\"b\"}"[..]),
        ("16", b"{\"value\":\"b\"}"),
        ("17", b"{\"value\":null}"),
        // Signed in the future, as the clock sees it.
        ("01", b"{\"value\":\"b\"}"),
        ("15", b"{\"value\":\"b\"}"),
    ] {
        faked.jump_to(to, &mut connection);
        let answer = connection.exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!(answer.body, body, "June {to}");
    }
}
