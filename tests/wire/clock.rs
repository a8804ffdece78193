//! A wall clock that jumps changes `Date` only, because deadlines use the monotonic clock
//! (`docs/threats.md#clock-jump`).

use std::fs;
use std::path::PathBuf;
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

#[test]
fn a_wall_clock_jump_changes_date_and_keeps_every_deadline() {
    let Some(library) = faketime() else {
        return skip_without_program("libfaketime, which sets the wall clock, is missing; apt-get install faketime");
    };
    let setting = std::env::temp_dir().join(format!("squall-faketime-{}", std::process::id()));
    // A fixed time: around midnight of the machine's clock the test would fail.
    let set = |day: &str| fs::write(&setting, format!("@2026-06-{day} 12:00:00")).unwrap();
    set("15");
    let mut command = command("conformance");
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &setting)
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    let server = Server::start_by(command, 1, &[]);
    let mut in_head = server.connect();
    in_head.send(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut idle = server.connect();
    assert_eq!(day(&mut idle), "15 Jun 2026");
    let mut looking = server.connect();
    for to in ["16", "14", "15"] {
        set(to);
        let mut waited = Duration::ZERO;
        while day(&mut looking) != format!("{to} Jun 2026") {
            assert!(waited < DATE_LAG, "Date does not follow to June {to}");
            assert_eq!(looking.listen_for(LOOK).unwrap(), None);
            waited += LOOK;
        }
    }
    fs::remove_file(&setting).unwrap();
    in_head.send(b"st: a\r\n\r\n").unwrap();
    in_head.response("GET").unwrap().expect(200, b"ok").unwrap();
    assert_eq!(idle.listen_for(LOOK).unwrap(), None);
}
