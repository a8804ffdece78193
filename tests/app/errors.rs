//! How errors and panics are answered.

use core::cell::Cell;
use core::task::Poll;
use std::io;
use std::rc::Rc;

use crate::app_client::AppClient;
use futures_util::stream::{iter, poll_fn};
use squall::Finish;
use squall::app::{Exchange, Outcome};
use squall::message::{BoxError, TargetForm};
use squall::prelude::*;

#[derive(Debug)]
struct Secret;

impl core::fmt::Display for Secret {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("password is swordfish")
    }
}

impl core::error::Error for Secret {}

#[test]
fn an_error_sends_its_status_and_only_its_public_message() {
    let application = Application::new()
        .get("/unexpected", async |_: &mut Context| -> Result { Err(Secret)? })
        .get("/text", async |_: &mut Context| -> Result {
            Err(Error::new("swordfish"))
        })
        .get("/status", async |_: &mut Context| -> Result {
            Err(HttpError::new(409).with_source(Secret).into())
        })
        .get("/message", async |_: &mut Context| {
            HttpError::new(404).with_message("no such user")
        })
        .get("/or_status", async |_: &mut Context| {
            Err::<(), _>(Secret).or_status(400)
        })
        .get("/or_error", async |_: &mut Context| {
            Err::<(), _>(Secret).or_error(422, "unusable")
        })
        .get("/none", async |_: &mut Context| None::<String>)
        .get("/missing", async |_: &mut Context| None::<String>.or_status(410))
        .get("/no_status", async |_: &mut Context| HttpError::new(42))
        .get("/retry", async |_: &mut Context| {
            HttpError::new(503).with_header(header::RETRY_AFTER, HeaderValue::from_static("7"))
        })
        .get("/304", async |_: &mut Context| HttpError::new(304));
    let client = AppClient::new(application).unwrap();
    for (target, status, page) in [
        ("/unexpected", 500, "500 Internal Server Error\n"),
        ("/text", 500, "500 Internal Server Error\n"),
        ("/status", 409, "409 Conflict\n"),
        ("/message", 404, "404 Not Found: no such user\n"),
        ("/or_status", 400, "400 Bad Request\n"),
        ("/or_error", 422, "422 Unprocessable Entity: unusable\n"),
        ("/none", 404, "404 Not Found\n"),
        ("/missing", 410, "410 Gone\n"),
        ("/no_status", 500, "500 Internal Server Error\n"),
        ("/304", 304, ""),
        ("/nowhere", 404, "404 Not Found\n"),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (status, page),
            "{target}"
        );
    }
    assert_eq!(client.get("/retry").send().unwrap().header("retry-after"), Some("7"));
}

#[test]
fn the_page_comes_in_the_type_the_client_prefers() {
    let application = Application::new().get("/", async |_: &mut Context| {
        HttpError::new(400).with_message("<script>\"&'\u{e9}</script>")
    });
    let client = AppClient::new(application).unwrap();
    let html = "<h1>400 Bad Request</h1>\n<p>&lt;script&gt;&quot;&amp;&#39;\u{e9}&lt;/script&gt;</p>\n";
    let json = "{\"status\":400,\"error\":\"Bad Request\",\"message\":\"\\u003cscript>\\\"&'\u{e9}\\u003c/script>\"}\n";
    let text = "400 Bad Request: <script>\"&'\u{e9}</script>\n";
    for (accept, media_type, page) in [
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/html; charset=utf-8",
            html,
        ),
        ("application/json", "application/json", json),
        ("image/png, Application/JSON, text/html", "application/json", json),
        (
            "image/png, Application/JSON;q=0.5, text/html",
            "text/html; charset=utf-8",
            html,
        ),
        ("text/html;q=0.9, application/json", "application/json", json),
        ("application/json, text/plain, */*", "application/json", json),
        ("application/*", "application/json", json),
        ("*/*;q=0.1, application/json;q=0", "text/html; charset=utf-8", html),
        ("text/plain", "text/plain; charset=utf-8", text),
        ("text/*;q=0.5, text/plain;q=0.6", "text/plain; charset=utf-8", text),
        ("application/json;q=0, text/html", "text/html; charset=utf-8", html),
        ("*/*", "text/html; charset=utf-8", html),
        ("image/png", "text/html; charset=utf-8", html),
        ("", "text/html; charset=utf-8", html),
    ] {
        let response = client.get("/").header("accept", accept).send().unwrap();
        assert_eq!(response.header("content-type"), Some(media_type), "{accept}");
        let text = response.text();
        assert!(text.ends_with(page), "{accept}: {text}");
        if page == html {
            // It fits a phone, is dark in a dark browser, and small.
            assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{text}");
            for part in [
                "name=\"viewport\"",
                "name=\"color-scheme\" content=\"light dark\"",
                "<title>400 Bad Request</title>",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(text.len() < 700, "{} bytes", text.len());
        } else {
            assert_eq!(text, page, "{accept}");
        }
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn what_was_written_before_an_error_is_not_sent() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result {
        cx.set_status(201);
        cx.set_header("x-early", "1")?;
        cx.write("early");
        Err(HttpError::new(403).into())
    });
    let response = AppClient::new(application).unwrap().get("/").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), &*response.text()),
        (403, "403 Forbidden\n")
    );
    assert_eq!(response.header("x-early"), None);
}

#[test]
fn the_application_can_write_its_own_error_pages() {
    let application = Application::new()
        .get("/gone", async |_: &mut Context| {
            HttpError::new(410).with_message("away")
        })
        .get("/broken", async |_: &mut Context| HttpError::new(418))
        .get("/panics", async |_: &mut Context| HttpError::new(451))
        .error_page(|cx, error| match error.status().as_u16() {
            418 => Err(Error::new("the page is broken")),
            451 => panic!("the page panics"),
            404 => {
                cx.set_status(200);
                Ok(Html("<p>try the search</p>".to_owned()))
            }
            _ => Ok(Html(format!("<p>{}</p>", error.message().unwrap_or("-")))),
        });
    let client = AppClient::new(application).unwrap();
    for (target, status, page) in [
        ("/gone", 410, "<p>away</p>"),
        ("/nowhere", 200, "<p>try the search</p>"),
        ("/broken", 418, "418 I'm a teapot\n"),
        ("/panics", 451, "451 Unavailable For Legal Reasons\n"),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (status, page),
            "{target}"
        );
    }
    assert_eq!(
        client.post("/gone").send().unwrap().header("allow"),
        Some("GET, HEAD, OPTIONS")
    );
}

#[test]
fn a_page_for_a_status_comes_before_the_page_for_all() {
    async fn fail(cx: &mut Context) -> Result<&'static str> {
        Err(HttpError::new(cx.param::<u16>("status")?).into())
    }
    let named =
        |name: &'static str| move |_: &mut Context, error: &Error| format!("{name} {}", error.status().as_u16());
    let routes = |group: Routes| group.get("/{status}", fail);
    let application = Application::new()
        .get("/{status}", fail)
        .error_page(named("all"))
        .error_page_for(404, named("lost"))
        .error_page_for(StatusCode::GONE, named("gone"))
        .nest("/general", routes(Routes::new().error_page(named("group"))))
        .nest("/single", routes(Routes::new().error_page_for(404, named("single"))));
    let client = AppClient::new(application).unwrap();
    for (target, page) in [
        ("/404", "lost 404"),
        ("/410", "gone 410"),
        ("/400", "all 400"),
        ("/no/where", "lost 404"),
        ("/general/404", "group 404"),
        ("/general/no/where", "group 404"),
        ("/single/404", "single 404"),
        ("/single/no/where", "single 404"),
        ("/single/410", "gone 410"),
        ("/single/400", "all 400"),
    ] {
        assert_eq!(client.get(target).send().unwrap().text(), page, "{target}");
    }
    let twice = Application::new()
        .nest("/a", Routes::new().error_page_for(404, named("1")))
        .nest(
            "/a",
            Routes::new().error_page_for(404, named("2")).error_page(named("3")),
        );
    let problem = twice.build().unwrap_err().to_string();
    assert!(
        problem.contains("two groups for the prefix `/a` have an error page"),
        "{problem}"
    );
}

#[test]
fn a_reason_replaces_the_registered_phrase() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result {
        let reason: String = cx.query_param("reason")?;
        Err(HttpError::new(400).with_reason(reason).into())
    });
    let client = AppClient::new(application).unwrap();
    for (reason, phrase, text) in [
        ("Not%20Today", Some("Not Today"), "400 Not Today\n"),
        ("%3Cscript%3E", None, "400 <script>\n"),
        ("OK%0D%0AX-Injected:%201", None, "400 OK\r\nX-Injected: 1\n"),
        ("caf%C3%A9", None, "400 caf\u{e9}\n"),
    ] {
        let target = format!("/?reason={reason}");
        assert_eq!(client.get(&target).send().unwrap().text(), text);
        let html = client.get(&target).header("accept", "text/html").send().unwrap().text();
        assert!(!html.contains("<script>"), "{html}");
        let app = client.app();
        let mut exchange = Exchange::new(app.shared());
        let request_target = format!("/?reason={reason}");
        exchange
            .head_mut()
            .rewrite()
            .bytes(request_target.as_bytes())
            .target(TargetForm::Origin, &request_target)
            .path(0..1, Some(2..request_target.len()));
        pollster::block_on(app.respond(&mut exchange));
        let Outcome::Respond { head: Some(head), .. } = exchange.outcome() else {
            panic!("a response");
        };
        assert_eq!(head.reason.as_ref().map(|reason| reason.as_str()), phrase, "{reason}");
    }
    let error: Error = HttpError::new(400).with_reason("Not Today").into();
    assert_eq!(
        (error.reason(), error.to_string()),
        (Some("Not Today"), "400 Not Today".to_owned())
    );
}

#[test]
fn finish_ends_a_request_early_with_what_was_written() {
    fn deep(cx: &mut Context) -> Result<u32> {
        cx.set_status(401);
        cx.set_header("www-authenticate", "Basic realm=\"x\"")?;
        cx.write("no");
        Err(Finish)?
    }
    let application = Application::new()
        .middleware(async |cx: &mut Context, next: Next<'_>| -> Result {
            next.run(cx).await;
            assert!(cx.error().is_none_or(|error| error.status() == 404));
            if cx.path() == "/" {
                cx.set_header("x-after", "1")?;
            }
            Ok(())
        })
        .get("/", async |cx: &mut Context| -> Result<String> {
            Ok(deep(cx)?.to_string())
        })
        .get("/flushed", async |cx: &mut Context| -> Result {
            cx.write("some");
            cx.flush().await?;
            Err(Finish.into())
        })
        .get("/boxed", async |_: &mut Context| -> Result {
            let boxed: Box<dyn std::error::Error + Send + Sync> = Error::from(Finish).into();
            Err(Error::new(boxed))
        })
        .get("/page", async |_: &mut Context| HttpError::new(404))
        .error_page(|cx: &mut Context, _: &Error| -> Result {
            cx.write("page");
            Err(Finish)?
        });
    let client = AppClient::new(application).unwrap();
    let response = client.get("/").send().unwrap();
    assert_eq!((response.status().as_u16(), &*response.text()), (401, "no"));
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"x\""));
    assert_eq!(response.header("x-after"), Some("1"));
    let flushed = client.get("/flushed").send().unwrap();
    assert_eq!((flushed.is_aborted(), &*flushed.text()), (false, "some"));
    let boxed = client.get("/boxed").send().unwrap();
    assert_eq!((boxed.status().as_u16(), &*boxed.text()), (200, ""));
    assert_eq!(client.get("/page").send().unwrap().text(), "page");
}

#[test]
fn a_developer_sees_causes_route_and_request() {
    let application = Application::new()
        .get("/users/{id}", async |_: &mut Context| -> Result {
            let io = io::Error::other("the <disk> is full");
            Err(HttpError::new(503).with_source(io).into())
        })
        .get("/panics", async |_: &mut Context| -> Result { panic!("swordfish") })
        .get("/missing", async |_: &mut Context| HttpError::new(410))
        .error_page(|_: &mut Context, _: &Error| "own");
    let client = AppClient::new(application).unwrap();
    let get = |target: &str, accept: &str| {
        let request = client.get(target).header("accept", accept).header("x-a", "<1>");
        request
            .header("cookie", "a=secret")
            .header("authorization", "Basic secret")
            .send()
            .unwrap()
    };
    assert_eq!(get("/users/7?q=1", "text/plain").text(), "own");
    client.app().shared().set_debug(true);
    let page = get("/users/7?q=1", "text/plain");
    let lines = "503 Service Unavailable\n\nCauses\n  503 Service Unavailable\n  the <disk> is full\n\nRoute\n  \
                 /users/{id}\n\nRequest\n  GET /users/7?q=1\n  host: localhost\n  accept: text/plain\n  x-a: <1>\n  \
                 cookie: (hidden)\n  authorization: (hidden)\n";
    assert_eq!((page.status().as_u16(), &*page.text()), (503, lines));
    let html = get("/users/7?q=1", "text/html").text();
    for part in [
        "<li>the &lt;disk&gt; is full\n",
        "<code>/users/{id}</code>",
        "x-a: &lt;1&gt;\n",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let json: serde_json::Value = serde_json::from_str(&get("/users/7?q=1", "application/json").text()).unwrap();
    assert_eq!(json["causes"][1], "the <disk> is full");
    assert!(get("/panics", "text/plain").text().contains("panicked: swordfish"));
    // The application's own page hides no cause of the server.
    assert_eq!(get("/missing", "text/plain").text(), "own");
    client.app().shared().set_debug(false);
    assert_eq!(get("/panics", "text/plain").text(), "own");
}

/// After the head has been sent, an error can only cut the connection.
#[test]
fn an_error_after_the_head_was_flushed_cuts_the_connection() {
    let application = Application::new()
        .get("/error", async |cx: &mut Context| -> Result {
            cx.write("half");
            cx.flush().await?;
            Err(HttpError::new(404).into())
        })
        .get("/panic", async |cx: &mut Context| -> Result {
            cx.flush().await?;
            panic!("late")
        })
        .get("/stream/panic", async |cx: &mut Context| {
            cx.stream(poll_fn(|_| -> Poll<Option<Result<Bytes>>> { panic!("in the stream") }));
        });
    let client = AppClient::new(application).unwrap();
    let response = client.get("/error").send().unwrap();
    assert!(response.is_aborted());
    assert_eq!(response.text(), "half");
    assert!(client.get("/panic").send().unwrap().is_aborted());
    assert!(client.get("/stream/panic").send().unwrap().is_aborted());
    assert_eq!(client.app().shared().panic_count(), 2);
}

/// The error types that application streams fail with.
#[test]
fn a_stream_may_fail_with_anything_that_can_be_boxed() {
    fn torn<E: Into<BoxError> + 'static>(cx: &mut Context, error: E) {
        cx.stream(iter([Ok("half".into()), Err(error)]));
    }
    let application = Application::new()
        .get("/squall", async |cx: &mut Context| torn(cx, Error::new("torn")))
        .get("/io", async |cx: &mut Context| {
            torn(cx, io::Error::from(io::ErrorKind::UnexpectedEof));
        })
        .get("/boxed", async |cx: &mut Context| torn(cx, BoxError::from("torn")))
        .get("/text", async |cx: &mut Context| torn(cx, "torn"))
        .get("/owned", async |cx: &mut Context| torn(cx, "torn".to_owned()));
    let client = AppClient::new(application).unwrap();
    for target in ["/squall", "/io", "/boxed", "/text", "/owned"] {
        let response = client.get(target).send().unwrap();
        assert!(response.is_aborted(), "{target}");
        assert_eq!(response.text(), "half", "{target}");
    }
}

/// A closure on another thread, as in `spawn_blocking`, can return an error; the handler answers with it.
#[test]
fn an_error_crosses_threads() {
    async fn work(_: &mut Context) -> Result {
        let failed = std::thread::spawn(|| -> Result { Err(HttpError::new(409).with_message("taken").into()) });
        failed.join().unwrap()
    }
    let client = AppClient::new(Application::new().get("/", work)).unwrap();
    let response = client.get("/").send().unwrap();
    assert_eq!(response.text(), "409 Conflict: taken\n");
}

/// Other crates take any `std::error::Error`. A Squall error converts to one and back unchanged.
#[test]
fn an_error_can_be_boxed_and_comes_back_as_it_was() {
    let cause = || io::Error::other("the disk is full");
    let chosen: Error = HttpError::new(507).with_message("no room").with_source(cause()).into();
    let expected = [
        (
            chosen,
            507,
            "507 Insufficient Storage: no room",
            Some("the disk is full"),
        ),
        (cause().into(), 500, "the disk is full", None),
        (Error::new("text"), 500, "text", None),
    ];
    for (error, status, text, source) in expected {
        let debug = format!("{error:?}");
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        assert_eq!(boxed.to_string(), text);
        assert_eq!(boxed.source().map(ToString::to_string).as_deref(), source);
        let back = Error::new(boxed);
        assert_eq!((back.status().as_u16(), format!("{back:?}")), (status, debug));
    }
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("while dropped");
        }
    }
}

struct Unserializable;

impl Responder for Unserializable {
    fn respond(self, _: &mut Context) -> Result {
        panic!("in Responder")
    }
}

struct PanicsEverywhere(Rc<Cell<u32>>);

impl RequestHandler for PanicsEverywhere {
    async fn prepare(&self, cx: &mut Context) -> Result {
        assert_ne!(cx.query(), Some("prepare"));
        Ok(())
    }

    fn get(&self, cx: &mut Context) -> impl Future<Output = Result> {
        assert_ne!(cx.query(), Some("making"), "while the future is made");
        core::future::ready(Ok(()))
    }

    async fn on_finish(&self, cx: &mut Context) {
        self.0.set(self.0.get() + 1);
        assert_ne!(cx.query(), Some("finish"));
    }
}

#[test]
fn a_panic_is_a_500_and_the_next_request_is_served() {
    let finished = Rc::new(Cell::new(0));
    let application = Application::new()
        .get("/", async |_: &mut Context| "alive")
        .get("/text", async |_: &mut Context| -> &'static str { panic!("plain") })
        .get("/any", async |_: &mut Context| -> &'static str {
            std::panic::panic_any(7)
        })
        .get("/drop", async |_: &mut Context| {
            let _guard = PanicsOnDrop;
            "dropped"
        })
        .get("/response", async |_: &mut Context| Unserializable)
        .route("/handler", PanicsEverywhere(Rc::clone(&finished)));
    let client = AppClient::new(application).unwrap();
    let targets = [
        "/text",
        "/any",
        "/drop",
        "/response",
        "/handler?prepare",
        "/handler?making",
    ];
    for (count, target) in (1..).zip(targets) {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (500, "500 Internal Server Error\n"),
            "{target}"
        );
        assert_eq!(client.app().shared().panic_count(), count, "{target}");
        assert_eq!(client.get("/").send().unwrap().text(), "alive");
    }
    let response = client.get("/handler?finish").send().unwrap();
    assert_eq!(response.status(), 200, "the response was out before on_finish");
    assert_eq!(client.app().shared().panic_count(), 7);
    assert_eq!(finished.get(), 3);
}

/// A broken connection drops its request half-way and runs the destructors of its handler; a panic there is caught.
#[test]
fn a_panic_while_a_request_is_dropped_stays_inside() {
    let application = Application::new().get("/", async |_: &mut Context| {
        let _guard = PanicsOnDrop;
        core::future::pending::<()>().await;
    });
    let app = application.build().unwrap();
    let mut exchange = Exchange::new(app.shared());
    exchange
        .head_mut()
        .rewrite()
        .bytes(b"/")
        .target(TargetForm::Origin, "/")
        .path(0..1, None);
    {
        let mut response = core::pin::pin!(app.respond(&mut exchange));
        let mut task = core::task::Context::from_waker(core::task::Waker::noop());
        assert!(response.as_mut().poll(&mut task).is_pending());
    }
    assert_eq!(app.shared().panic_count(), 1);
    exchange.reset();
    assert!(matches!(exchange.outcome(), Outcome::Respond { body: b"", .. }));
}

#[test]
fn an_error_shows_its_chain_of_causes() {
    let error = Err::<(), _>("x".parse::<u8>().unwrap_err())
        .or_error(400, "the age")
        .unwrap_err();
    assert_eq!(error.to_string(), "400 Bad Request: the age");
    assert_eq!(
        format!("{error:?}"),
        "400 Bad Request: the age\n  because: invalid digit found in string"
    );
    assert!(error.downcast_ref::<core::num::ParseIntError>().is_some());

    let error = Error::from("x".parse::<u8>().unwrap_err());
    assert_eq!(
        (format!("{error:?}"), error.status().as_u16()),
        ("invalid digit found in string".to_owned(), 500)
    );
    assert_eq!(size_of::<Result>(), size_of::<usize>(), "one word");

    let kept = Error::from(HttpError::new(404).with_message("gone fishing")).with_status(410);
    assert_eq!((kept.status().as_u16(), kept.message()), (410, Some("gone fishing")));
}
