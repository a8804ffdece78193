//! The server in this process, with applications that no example has. Handlers break their promises, peers do not read,
//! and applications have settings.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use squall::prelude::*;
use squall::shards::{Shard, ShardId, Stop};
use support::client::Connection;
use support::running::{Running, bind, tested_driver};

/// Longer than any wait of a client here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A server of one shard with settings of its own.
fn configured(
    application: impl Fn() -> Application + Send + Sync + 'static,
    change: impl FnOnce(Server) -> Server,
) -> Running {
    Running::serve(change(Server::new(application).shards(1)))
}

/// Reports that a handler was dropped.
struct Gone(Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// Content that does not fit the announced length. Before anything is sent the response is 500. Afterwards the
/// connection is cut, and no byte beyond the announced length is sent (`docs/threats.md#wrong-content-length`).
#[test]
fn a_wrong_content_length_is_never_on_the_wire() {
    async fn short(cx: &mut Context) -> Result {
        cx.set_header(header::CONTENT_LENGTH, HeaderValue::from_static("42"))?;
        cx.write("ok");
        Ok(())
    }
    async fn long_after_flush(cx: &mut Context) -> Result {
        cx.set_header(header::CONTENT_LENGTH, HeaderValue::from_static("2"))?;
        cx.write("h");
        cx.flush().await?;
        cx.write("ello");
        Ok(())
    }
    async fn short_after_flush(cx: &mut Context) -> Result {
        cx.set_header(header::CONTENT_LENGTH, HeaderValue::from_static("42"))?;
        cx.write("h");
        cx.flush().await
    }
    async fn two_with_flush(cx: &mut Context) -> Result {
        cx.add_header(header::CONTENT_LENGTH, 1)?;
        cx.add_header(header::CONTENT_LENGTH, 1)?;
        cx.write("h");
        cx.flush().await
    }
    async fn huge_with_flush(cx: &mut Context) -> Result {
        cx.set_header(header::CONTENT_LENGTH, u64::MAX)?;
        cx.write("h");
        cx.flush().await
    }
    let server = Running::start(1, || {
        Application::new()
            .get("/short", short)
            .get("/two", two_with_flush)
            .get("/huge", huge_with_flush)
            .get("/long", long_after_flush)
            .get("/cut", short_after_flush)
    });
    for path in ["/short", "/two", "/huge"] {
        let mut connection = server.connection();
        let response = connection.exchange(&get(path), "GET").unwrap();
        response.expect_status(500).unwrap();
    }
    for path in ["/long", "/cut"] {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.write_all(&get(path)).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).ok();
        let text = String::from_utf8_lossy(&received);
        assert!(text.ends_with("\r\n\r\nh"), "{path}: {text}");
    }
}

/// A response that fails half-way breaks its connection off and has no last chunk
/// (`docs/threats.md#wrong-content-length`).
#[test]
fn a_handler_that_fails_after_its_first_flush_leaves_no_whole_response() {
    async fn fail(cx: &mut Context) -> Result {
        cx.write("some");
        cx.flush().await?;
        Err(HttpError::new(500).into())
    }
    async fn panic(cx: &mut Context) -> Result {
        cx.write("some");
        cx.flush().await?;
        panic!("in the middle of a response")
    }
    let server = Running::start(1, || {
        Application::new()
            .get("/fail", fail)
            .get("/panic", panic)
            .get("/", async |_: &mut Context| "ok")
    });
    for path in ["/fail", "/panic"] {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.write_all(&get(path)).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).ok();
        let text = String::from_utf8_lossy(&received);
        assert!(text.ends_with("4\r\nsome\r\n"), "{path}: {text}");
        assert_eq!(server.get("/").body, b"ok", "the shard lives");
    }
}

/// If only the close ends the content, a response that breaks off ends with a reset, and a whole one with a FIN
/// (`docs/threats.md#wrong-content-length`).
#[test]
fn an_http_1_0_peer_sees_a_reset_when_a_response_breaks_off() {
    async fn part(cx: &mut Context) -> Result {
        cx.write("some");
        cx.flush().await
    }
    let server = Running::start(1, || {
        Application::new()
            .get("/whole", part)
            .get("/fail", async |cx: &mut Context| -> Result {
                part(cx).await?;
                Err(HttpError::new(500).into())
            })
            .get("/panic", async |cx: &mut Context| -> Result {
                part(cx).await?;
                panic!("in the middle of a response")
            })
            .get("/waits", async |cx: &mut Context| -> Result {
                part(cx).await?;
                std::future::pending().await
            })
    });
    let ask = |path: &str| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        stream
    };
    let mut whole = String::new();
    ask("/whole").read_to_string(&mut whole).unwrap();
    assert!(whole.ends_with("\r\n\r\nsome"), "{whole}");
    let is_reset = |mut stream: std::net::TcpStream| {
        let ended = stream.read_to_end(&mut Vec::new());
        ended.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset
    };
    for path in ["/fail", "/panic"] {
        assert!(is_reset(ask(path)), "{path}");
    }
    let mut waits = ask("/waits");
    waits.read_exact(&mut [0; 1]).unwrap();
    server.stopper.stop(Stop::Now);
    assert!(is_reset(waits), "a server that stops at once");
}

/// A handler that flushes for ever does not block its shard. In response to HEAD it ends with its head, and its
/// connection goes on. In response to GET it waits between flushes, however fast its peer reads, and ends when the
/// peer leaves.
#[test]
fn an_endless_flush_yields_its_shard_to_others() {
    let (gone, told) = channel();
    let server = Running::start(1, move || {
        let gone = gone.clone();
        let endless = async move |cx: &mut Context| -> Result {
            let _gone = Gone(gone.clone());
            let piece = vec![b'x'; 64 * 1024];
            loop {
                cx.write(piece.as_slice());
                cx.flush().await?;
            }
        };
        let stream = async |cx: &mut Context| -> Result {
            cx.set_status(304);
            cx.flush().await?;
            cx.stream(futures_util::stream::repeat_with(|| {
                Ok::<_, Error>(Bytes::from_static(b"x"))
            }));
            Ok(())
        };
        Application::new()
            .get("/", async |_: &mut Context| "ok")
            .get("/endless", endless)
            .get("/stream", stream)
    });
    let ended = || told.recv_timeout(Duration::from_secs(10)).expect("the handler ends");
    let mut connection = server.connection();
    connection
        .exchange(b"HEAD /endless HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
        .unwrap()
        .expect_status(200)
        .unwrap();
    ended();
    connection
        .exchange(&get("/stream"), "GET")
        .unwrap()
        .expect_status(304)
        .unwrap();
    connection
        .exchange(&get("/"), "GET")
        .unwrap()
        .expect(200, b"ok")
        .unwrap();

    let mut reader = std::net::TcpStream::connect(server.address).unwrap();
    reader.write_all(&get("/endless")).unwrap();
    let socket = reader.try_clone().unwrap();
    let reading = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).ok());
    for _ in 0..10 {
        assert_eq!(server.get("/").body, b"ok");
    }
    // A reset, since a FIN alone means that the client may still read, and unread content would keep the window
    // closed.
    socket2::SockRef::from(&socket)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    socket.shutdown(std::net::Shutdown::Read).unwrap();
    reading.join().unwrap();
    drop(socket);
    ended();
}

/// A peer that reads nothing of a large response is cut after the write timeout; meanwhile others are served
/// (`docs/threats.md#slow-reader`).
#[test]
fn a_peer_that_does_not_read_is_cut() {
    let (gone, told) = channel();
    let server = configured(
        move || {
            let gone = gone.clone();
            let large = async move |cx: &mut Context| -> Result {
                let _gone = Gone(gone.clone());
                let piece = vec![b'x'; 64 * 1024];
                for _ in 0..1024 {
                    cx.write(piece.as_slice());
                    cx.flush().await?;
                }
                Ok(())
            };
            Application::new()
                .get("/", async |_: &mut Context| "ok")
                .get("/large", large)
        },
        |server| server.write_timeout(Duration::from_millis(300)),
    );
    let mut idle = server.connection();
    idle.send(&get("/large")).unwrap();
    assert_eq!(server.get("/").body, b"ok");
    told.recv_timeout(Duration::from_secs(10))
        .expect("the handler is given up");
    assert_eq!(server.get("/").body, b"ok");
    drop(idle);
}

/// Tornado's `on_connection_close`: a waiting handler sees its peer leave.
#[test]
fn a_handler_sees_its_peer_leave() {
    let (gone, told): (Sender<()>, Receiver<()>) = channel();
    let (waiting, waits): (Sender<()>, Receiver<()>) = channel();
    let server = Running::start(1, move || {
        let (gone, waiting) = (gone.clone(), waiting.clone());
        Application::new().get("/", async move |cx: &mut Context| {
            waiting.send(()).ok();
            cx.closed().await;
            gone.send(()).ok();
        })
    });
    let mut connection = server.connection();
    connection.send(&get("/")).unwrap();
    waits.recv_timeout(Duration::from_secs(10)).expect("the handler waits");
    drop(connection);
    told.recv_timeout(Duration::from_secs(10))
        .expect("the handler saw its peer leave");
}

/// A graceful stop waits for a running handler, and `run` returns after its response.
#[test]
fn a_graceful_stop_waits_for_a_handler() {
    let (waiting, waits): (Sender<()>, Receiver<()>) = channel();
    let server = Running::start(1, move || {
        let waiting = waiting.clone();
        Application::new().get("/", async move |cx: &mut Context| -> Result<&'static str> {
            cx.write("begun, ");
            cx.flush().await?;
            waiting.send(()).ok();
            Shard::current().stopping(Stop::Graceful).await;
            Ok("finished")
        })
    });
    let mut connection = server.connection();
    connection.send(&get("/")).unwrap();
    waits.recv_timeout(Duration::from_secs(10)).expect("the handler waits");
    server.stopper.stop(Stop::Graceful);
    let response = connection.final_response("GET").unwrap();
    assert_eq!(response.body, b"begun, finished");
}

/// A graceful stop while many clients keep connecting: every accepted client is answered, until connects fail.
#[test]
fn a_graceful_stop_answers_every_connected_client() {
    const CLIENTS: usize = 8;
    const ANSWERS_BEFORE_THE_STOP: usize = 200;
    let application = || Application::new().get("/", async |_: &mut Context| "ok");
    let server = Running::start(2, application);
    let (answered, answers) = channel();
    let clients: Vec<_> = std::iter::repeat_with(|| {
        let (address, answered) = (server.address, answered.clone());
        std::thread::spawn(move || {
            while let Ok(mut connection) = Connection::try_open(address) {
                connection.exchange(&get("/"), "GET")?.expect(200, b"ok")?;
                answered.send(()).ok();
            }
            Ok::<_, String>(())
        })
    })
    .take(CLIENTS)
    .collect();
    for _ in 0..ANSWERS_BEFORE_THE_STOP {
        answers.recv_timeout(Duration::from_secs(10)).expect("an answer");
    }
    server.stopper.stop(Stop::Graceful);
    for client in clients {
        client.join().unwrap().unwrap();
    }
}

/// A shard at `--max-connections` still stops gracefully: it closes the idle connection and answers the client in the
/// backlog.
#[test]
fn a_full_shard_stops_gracefully() {
    let server = configured(
        || Application::new().get("/", async |_: &mut Context| "ok"),
        |server| server.max_connections(1),
    );
    let mut idle = server.connection();
    idle.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    let mut waiting = server.connection();
    waiting.send(&get("/")).unwrap();
    server.stopper.stop(Stop::Graceful);
    waiting.response("GET").unwrap().expect(200, b"ok").unwrap();
    idle.expect_closed().unwrap();
}

/// State in the factory's closure belongs to one shard; this server has one, so the state counts every request.
#[test]
fn state_of_a_shard_needs_no_lock() {
    let server = Running::start(1, || {
        let count = Rc::new(Cell::new(0));
        Application::new().get("/", async move |_: &mut Context| {
            count.set(count.get() + 1);
            count.get().to_string()
        })
    });
    let answers: Vec<_> = (0..3).map(|_| server.get("/").body).collect();
    assert_eq!(answers, [b"1", b"2", b"3"]);
}

/// RFC 9112 §3.2.2: an absolute-form target's authority replaces `Host`, for routing and for the handler. RFC 9110
/// §4.2.3: a default port equals none.
#[test]
fn the_authority_of_an_absolute_form_target_replaces_host() {
    fn host(cx: &Context) -> String {
        format!("{} {}", cx.host(), cx.host_name())
    }
    let application = || {
        Application::new()
            .get("/", async |cx: &mut Context| format!("general {}", host(cx)))
            .host(
                "h.example",
                Routes::new().get("/", async |cx: &mut Context| format!("h {}", host(cx))),
            )
    };
    let server = Running::start(1, application);
    let behind = configured(application, |server| {
        server.trusted_proxies("127.0.0.1".parse().unwrap())
    });
    for (target, host, expected) in [
        ("http://h.example:80/", "h.example", "h h.example h.example"),
        ("http://h.example:80/", "other", "h h.example h.example"),
        ("http://H.example:8080/", "other", "h H.example:8080 H.example"),
        ("http://other/", "h.example", "general other other"),
        ("https://h.example:443/", "h.example", "h h.example h.example"),
        ("https://h.example:80/", "h.example", "h h.example:80 h.example"),
        ("http://[::1]:80/", "h.example", "general [::1] [::1]"),
        ("/", "h.example:80", "h h.example h.example"),
        ("/", "h.example:", "h h.example h.example"),
        ("/", "h.example:443", "h h.example:443 h.example"),
        ("/", "[::1]:8080", "general [::1]:8080 [::1]"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = server.connection().exchange(request.as_bytes(), "GET").unwrap();
        response.expect(200, expected.as_bytes()).unwrap();
    }
    let request = b"GET / HTTP/1.1\r\nHost: h.example:443\r\nX-Forwarded-Proto: https\r\n\r\n";
    let response = behind.connection().exchange(request, "GET").unwrap();
    response.expect(200, b"h h.example h.example").unwrap();
}

/// `X-Real-Ip` counts only from a listed proxy.
#[test]
fn forwarded_fields_count_only_from_trusted_proxies() {
    let application = || {
        Application::new().get("/", async |cx: &mut Context| {
            cx.remote_ip().map(|address| address.to_string())
        })
    };
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Real-Ip: 203.0.113.7\r\n\r\n";
    let plain = Running::start(1, application);
    plain
        .connection()
        .exchange(request, "GET")
        .unwrap()
        .expect(200, b"127.0.0.1")
        .unwrap();
    let behind = configured(application, |server| {
        server.trusted_proxies("127.0.0.1".parse().unwrap())
    });
    behind
        .connection()
        .exchange(request, "GET")
        .unwrap()
        .expect(200, b"203.0.113.7")
        .unwrap();
}

/// A Unix socket is served like TCP, and a second server cannot take the path of a listening one.
#[test]
fn a_unix_socket_is_served_and_guarded() {
    let folder = std::env::temp_dir().join(format!("squall-server-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let unix = format!("unix:{}", path.display());
    let bind = || {
        let server = Server::new(|| Application::new().get("/", async |_: &mut Context| "ok"));
        bind(server.listen(&unix).shards(1))
    };
    let server = Running::run(bind().unwrap());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    let refused = bind().unwrap_err().to_string();
    assert!(refused.contains("in use by this process itself"), "{refused}");
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Settings are checked before anything is bound, and the error names every mistake.
#[test]
fn invalid_settings_fail_before_binding() {
    let server = Server::new(Application::new).listen("127.0.0.1:0");
    let server = server.header_timeout(Duration::ZERO).unix_socket_mode(0o4755);
    let refused = server.bind().unwrap_err().to_string();
    for setting in [
        "header_timeout (--header-timeout) must be more than 0",
        "unix_socket_mode (--unix-socket-mode) must be at most 0777",
    ] {
        assert!(refused.contains(setting), "{refused}");
    }
}

#[test]
fn a_number_of_shards_that_is_out_of_bounds_is_an_error_with_the_bounds() {
    for count in [0, 1025] {
        let server = Server::new(Application::new).listen("127.0.0.1:0").shards(count);
        let expected =
            format!("could not start {count} shards: the number is out of bounds; set shards (--shards) to 1 to 1024");
        assert_eq!(server.bind().unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_application_that_cannot_be_built_is_reported_without_the_number_of_a_shard() {
    let application = || Application::new().get("/users/:id", async |_: &mut Context| "a user");
    let server = Server::new(application).listen("127.0.0.1:0").shards(1);
    let error = server.stop_on_signals(false).run().unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("{id}") && !text.contains("shard"), "{text}");
    assert!(error.downcast_ref::<squall::app::BuildError>().is_some());
}

#[test]
fn a_server_without_a_tcp_address_says_so() {
    let path = std::env::temp_dir().join(format!("squall-local-addr-{}.sock", std::process::id()));
    let server = Server::new(Application::new)
        .listen(format!("unix:{}", path.display()))
        .shards(1);
    let error = server.bind().unwrap().local_addr().unwrap_err().to_string();
    assert!(
        error.starts_with("could not return the address: the server listens on no TCP address"),
        "{error}"
    );
}

/// A second server on a port fails, unless both set `--share-port`.
#[test]
fn a_port_is_shared_only_on_purpose() {
    let bind = |address: &str, share| {
        let server = Server::new(|| Application::new().get("/", async |_: &mut Context| "ok")).listen(address);
        let server = server.shards(1).driver(tested_driver());
        server.share_port(share).bind()
    };
    let first = bind("127.0.0.1:0", true).unwrap();
    let address = first.local_addr().unwrap().to_string();
    let refused = bind(&address, false).unwrap_err().to_string();
    assert!(refused.contains("in use by this process itself"), "{refused}");
    drop(bind(&address, true).unwrap());
}

/// While a handler blocks its shard, the log names its route (`docs/threats.md#stalled-shard`).
#[test]
fn a_blocking_handler_is_named_in_the_log() {
    /// Releases the handler once the log has the report.
    struct Watch(Sender<String>);
    impl tracing::Subscriber for Watch {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            struct Work(Option<String>);
            impl tracing::field::Visit for Work {
                fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    if field.name() == "work" {
                        self.0 = Some(format!("{value:?}"));
                    }
                }
            }
            let mut work = Work(None);
            event.record(&mut work);
            // Ignores reports from other tests of this process: printing the backtrace of a panic also takes long.
            if let Some(work) = work.0.filter(|work| work.contains("/slow/")) {
                self.0.send(work).unwrap_or_default();
            }
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let (said, reports) = channel();
    tracing::subscriber::set_global_default(Watch(said)).unwrap();
    #[expect(clippy::disallowed_types, reason = "hands the one receiver to the one shard")]
    let reports = std::sync::Mutex::new(Some(reports));
    let server = Running::start(1, move || {
        let reports = reports.lock().unwrap().take().unwrap();
        Application::new()
            .get("/", async |_: &mut Context| "ok")
            .get("/slow/{what}", async move |cx: &mut Context| {
                squall::shards::yield_now().await;
                cx.write(reports.recv().unwrap());
                Ok::<_, Error>(())
            })
    });
    assert_eq!(server.get("/").body, b"ok");
    assert_eq!(server.get("/slow/handler").body, b"the route /slow/{what}");
}

/// More clients than receive buffers each send the first byte of a head. The server copies these bytes out, so the
/// buffers stay free for others. Each client is answered when it continues
/// (`docs/threats.md#receive-buffer-hoarding`).
#[test]
fn incomplete_heads_return_their_receive_buffers() {
    const CLIENTS: usize = 1200;
    let application = || {
        Application::new().get("/", async |_: &mut Context| {
            Shard::current().statistics().receive_buffers_available.to_string()
        })
    };
    // The first client waits until all others are connected.
    let server = configured(application, |server| server.header_timeout(PATIENCE));
    let available = || -> usize { String::from_utf8(server.get("/").body).unwrap().parse().unwrap() };
    let all = available();
    let mut clients: Vec<Connection> = Vec::new();
    while clients.len() < CLIENTS {
        let mut client = server.connection();
        client.send(b"G").unwrap();
        clients.push(client);
        if clients.len().is_multiple_of(100) {
            assert!(available() >= all / 2, "{} clients, {all} buffers", clients.len());
        }
    }
    for client in &mut clients {
        client
            .exchange(b"ET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
            .unwrap()
            .expect_status(200)
            .unwrap();
    }
    assert!(available() >= all / 2);
}

/// Once the watchdog has noticed that a handler blocks its shard, the other shard answers new clients
/// (`docs/threats.md#stalled-shard`).
#[test]
fn new_clients_avoid_a_blocked_shard() {
    const CLIENTS: usize = 30;
    let (shed, sheds) = channel();
    let is_released = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&is_released);
    let server = Server::new(move || {
        let (shed, released) = (shed.clone(), Arc::clone(&released));
        Application::new()
            .get("/", async |_: &mut Context| "ok")
            .get("/block", async move |_: &mut Context| {
                let mut is_shed = false;
                while !released.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                    if Shard::current().statistics().stalls_shed > 0 && !std::mem::replace(&mut is_shed, true) {
                        shed.send(Shard::current().id().index()).unwrap();
                    }
                }
                "at last"
            })
    });
    let server = Running::serve(server.shards(2));
    let mut blocked = server.connection();
    blocked.send(&get("/block")).unwrap();
    let other = ShardId::new(1 - sheds.recv().unwrap());
    let stalls_of_other = || {
        let stalls = server
            .remote
            .shards()
            .invoke_on(other, || async { Shard::current().statistics().stalls });
        pollster::block_on(stalls).unwrap()
    };
    let (mut answered, mut stalls) = (0, stalls_of_other());
    while answered < CLIENTS {
        if server.connection().exchange(&get("/"), "GET").is_ok() {
            answered += 1;
            continue;
        }
        // On a very busy machine both shards can seem to stall for a moment; then they are treated alike.
        let stalls_before = std::mem::replace(&mut stalls, stalls_of_other());
        assert!(stalls > stalls_before, "a client waits for the shard that is blocked");
    }
    is_released.store(true, Ordering::Relaxed);
    assert_eq!(blocked.response("GET").unwrap().body, b"at last");
}

/// A handler that computes without end does not see the stop. The process ends with an error, and the log names its
/// route (`docs/threats.md#endless-handler`).
#[test]
#[expect(clippy::disallowed_types, reason = "hands the only channel to the only shard")]
fn a_stop_ends_the_process_despite_an_endless_handler() {
    let (begun, begins) = channel();
    let (release, released) = channel::<()>();
    let (released, begun) = (std::sync::Mutex::new(Some(released)), std::sync::Mutex::new(begun));
    let server = Server::new(move || {
        let released = released.lock().unwrap().take().map(Rc::new);
        let begun = begun.lock().unwrap().clone();
        Application::new().get("/spin", async move |_: &mut Context| {
            begun.send(()).unwrap();
            // Nothing is sent on this channel: the loop runs until the test has finished.
            let released = released.as_ref().unwrap();
            while released.try_recv() == Err(TryRecvError::Empty) {
                std::thread::yield_now();
            }
            "at last"
        })
    });
    let server = Running::serve(server.shards(1));
    let mut connection = server.connection();
    connection.send(&get("/spin")).unwrap();
    begins.recv().unwrap();
    server.stopper.stop(Stop::Now);
    let error = server.end().unwrap_err();
    drop(release);
    assert!(error.contains("/spin"), "{error}");
}
