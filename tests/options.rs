//! The settings of a server as part of an application's own command line, and as setters.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;
use squall::Options;
use squall::prelude::*;

use support::client::Connection;
use support::running::Running;

/// The command line of an application with a flag of its own.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Greets this name.
    #[arg(long, default_value = "Squall")]
    greet: String,
    #[command(flatten)]
    squall: Options,
}

fn arguments(flags: &[&str]) -> Arguments {
    let own = ["app", "--listen=127.0.0.1:0", "--logging=none", "--shards=1"];
    Arguments::parse_from([&own, flags].concat())
}

fn post(server: &Running, head: &str, content: &str) -> u16 {
    let length = content.len();
    let request = format!("POST {head}\r\nContent-Length: {length}\r\n\r\n{content}");
    let mut connection = Connection::open(server.address);
    connection.exchange(request.as_bytes(), "POST").unwrap().status
}

#[test]
fn an_application_with_a_flag_of_its_own_serves_with_the_settings_beside_it() {
    let Arguments { greet, squall } = arguments(&["--greet", "Ada", "--max-target-bytes", "20"]);
    let application = move || {
        let text = format!("Hello, {greet}!");
        Application::new().get("/", async move |_: &mut Context| text.clone())
    };
    let server = Running::serve(Server::from_options(squall, application));
    server.get("/").expect(200, b"Hello, Ada!").unwrap();
    assert_eq!(server.get(&"/".repeat(21)).status, 414);
}

#[test]
fn an_invalid_setting_of_the_command_line_is_named_before_the_server_binds() {
    let server = Server::from_options(arguments(&["--idle-timeout=0"]).squall, Application::new);
    let refused = server.bind().unwrap_err().to_string();
    assert!(
        refused.contains("idle_timeout (--idle-timeout) must be more than 0"),
        "{refused}"
    );
}

#[test]
fn a_limit_of_an_application_below_the_least_is_a_mistake_of_its_build() {
    let application = || Application::new().max_part_head_bytes(63);
    let server = Server::new(application).listen("127.0.0.1:0").shards(1);
    let refused = server.stop_on_signals(false).run().unwrap_err().to_string();
    assert!(
        refused.contains("max_part_head_bytes (--max-part-head-bytes) must be at least 64"),
        "{refused}"
    );
}

/// The least values of `--help` work: the smallest request of each kind is answered.
#[test]
fn a_server_with_the_least_limits_answers_the_smallest_requests() {
    async fn read(cx: &mut Context) -> Result<String> {
        Ok(cx.body().await?.len().to_string())
    }
    async fn title(form: MultipartForm) -> Result<String> {
        Ok(form.field("a").unwrap_or_default().to_owned())
    }
    let application = || {
        Application::new()
            .get("/", async |_: &mut Context| "ok")
            .post("/", read)
            .post("/form", title)
    };
    let start = |flags: &[&str]| Running::serve(Server::from_options(arguments(flags).squall, application));
    let server = start(&[
        "--max-header-bytes=256",
        "--max-header-name-bytes=4",
        "--max-header-count=1",
        "--max-target-bytes=1",
        "--max-connections=1",
        "--max-unsent-bytes=1",
    ]);
    server.get("/").expect(200, b"ok").unwrap();
    let server = start(&["--max-trailer-bytes=2", "--max-part-head-bytes=64"]);
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let answer = |request: &[u8]| server.connection().exchange(request, "POST").unwrap();
    answer(chunked).expect(200, b"1").unwrap();
    let content = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n";
    let head = "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b";
    let form = format!("{head}\r\nContent-Length: {}\r\n\r\n{content}", content.len());
    answer(form.as_bytes()).expect(200, b"x").unwrap();
}

#[test]
fn a_setter_after_the_command_line_overrides_its_flag() {
    let application = || Application::new().get("/", async |_: &mut Context| "ok");
    let server = Server::from_options(arguments(&["--max-header-count=1"]).squall, application);
    let server = Running::serve(server.max_header_count(2));
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
    let response = Connection::open(server.address).exchange(request, "GET").unwrap();
    response.expect(200, b"ok").unwrap();
}

/// The application's limits hold unless the operator sets others; each at limit − 1, limit and limit + 1.
#[test]
fn the_operators_limits_override_the_applications() {
    async fn read(cx: &mut Context) -> Result {
        cx.query_params::<String>("x")?;
        cx.cookies().iter()?.for_each(drop);
        cx.body().await.map(drop)
    }
    let application = || {
        let limited = Application::new().max_body_bytes(3).max_parameters(3).max_cookies(3);
        limited.post("/", read)
    };
    let flags = ["--max-body-bytes=5", "--max-parameters=2", "--max-cookies=4"];
    let start = |flags: &[&str]| Running::serve(Server::from_options(arguments(flags).squall, application));
    for (server, [bytes, parameters, cookies]) in [(start(&[]), [3, 3, 3]), (start(&flags), [5, 2, 4])] {
        let status = |bytes: usize, parameters: usize, cookies: usize| {
            let (query, cookie) = (vec!["x=1"; parameters].join("&"), vec!["c=1"; cookies].join("; "));
            post(
                &server,
                &format!("/?{query} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}"),
                &"b".repeat(bytes),
            )
        };
        for less in [0, 1] {
            assert_eq!(status(bytes - less, parameters - less, cookies - less), 200);
        }
        assert_eq!(status(bytes + 1, parameters, cookies), 413);
        assert_eq!(status(bytes, parameters + 1, cookies), 400);
        assert_eq!(status(bytes, parameters, cookies + 1), 431);
    }
}

/// The permissions of a socket file decide which users connect. They do not depend on the umask.
#[test]
fn a_unix_socket_has_the_permissions_of_its_setting() {
    let folder = std::env::temp_dir().join(format!("squall-options-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let path = folder.join("socket");
    let listen = format!("unix:{}", path.display());
    for (flags, expected) in [
        (&[][..], 0o600),
        (&["--unix-socket-mode=0660"], 0o660),
        (&["--unix-socket-mode", "666"], 0o666),
    ] {
        let server = Server::from_options(arguments(flags).squall, Application::new);
        let server = server.listen(&listen).bind().unwrap();
        assert_eq!(mode(&path), expected, "{flags:?}");
        drop(server);
    }
    let server = Server::new(Application::new)
        .listen(&listen)
        .shards(1)
        .unix_socket_mode(0o640);
    let server = server.bind().unwrap();
    assert_eq!(mode(&path), 0o640);
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();
}
