//! The methods of a route: the correct `Allow`, HEAD from GET, automatic OPTIONS, and the life of a
//! [`RequestHandler`].

use core::cell::Cell;
use std::rc::Rc;

use crate::app_client::AppClient;
use squall::app::{BodyLength, Channel, Exchange};
use squall::message::TargetForm;
use squall::prelude::*;
use squall::websocket::Message;

struct Article;

impl RequestHandler for Article {
    const OTHER_METHODS: &'static [&'static str] = &["PURGE"];

    async fn get(&self, cx: &mut Context) -> Result {
        cx.set_header("x-method", cx.method().as_str().to_owned())?;
        cx.write("article");
        Ok(())
    }

    async fn put(&self, cx: &mut Context) -> Result {
        cx.set_status(201);
        Ok(())
    }

    async fn other(&self, cx: &mut Context) -> Result {
        cx.write(cx.method().as_str().to_owned());
        Ok(())
    }
}

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

#[test]
fn a_method_that_is_not_implemented_is_405_with_the_true_allow() {
    let client = AppClient::new(Application::new().route("/", Article)).unwrap();
    for name in ["POST", "DELETE", "PATCH", "FOO", "get", "TRACE"] {
        let response = client.request(method(name), "/").send().unwrap();
        assert_eq!(response.status(), 405, "{name}");
        assert_eq!(
            response.header("allow"),
            Some("GET, HEAD, OPTIONS, PURGE, PUT"),
            "{name}"
        );
    }
    assert_eq!(client.put("/").send().unwrap().status(), 201);
    assert_eq!(client.request(method("PURGE"), "/").send().unwrap().text(), "PURGE");
    assert_eq!(client.post("/nowhere").send().unwrap().status(), 404);
}

#[test]
fn functions_on_one_pattern_add_up() {
    let application = Application::new()
        .get("/x", async |_: &mut Context| "get")
        .delete("/x", async |_: &mut Context| "delete")
        .patch("/x", async |_: &mut Context| "patch")
        .on(method("COPY"), "/x", async |_: &mut Context| "copy")
        .post("/y", async |_: &mut Context| "post")
        .put("/y", async |_: &mut Context| "put");
    let client = AppClient::new(application).unwrap();
    for name in ["GET", "DELETE", "PATCH", "COPY"] {
        let response = client.request(method(name), "/x").send().unwrap();
        assert_eq!(response.text(), name.to_ascii_lowercase());
    }
    let response = client.put("/x").send().unwrap();
    assert_eq!(
        response.header("allow"),
        Some("COPY, DELETE, GET, HEAD, OPTIONS, PATCH")
    );
    let response = client.get("/y").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (405, Some("OPTIONS, POST, PUT"))
    );
}

#[test]
fn head_is_answered_by_get_unless_it_is_implemented() {
    struct OwnHead;
    impl RequestHandler for OwnHead {
        async fn get(&self, _: &mut Context) -> Result {
            Err(HttpError::new(500).into())
        }

        async fn head(&self, cx: &mut Context) -> Result {
            cx.set_header("x-own", "1")
        }
    }
    let application = Application::new()
        .route("/article", Article)
        .route("/own", OwnHead)
        .get("/function", async |_: &mut Context| "text")
        .post("/post", async |_: &mut Context| "text");
    let client = AppClient::new(application).unwrap();
    let head = |target| client.head(target).send().unwrap();
    let response = head("/article");
    assert_eq!(
        (response.status().as_u16(), response.header("x-method"), response.body()),
        (200, Some("HEAD"), &b""[..])
    );
    assert_eq!(head("/own").header("x-own"), Some("1"));
    assert_eq!(
        head("/function").header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(head("/post").status(), 405);
}

#[test]
fn options_is_automatic_unless_implemented_or_switched_off() {
    struct OwnOptions;
    impl RequestHandler for OwnOptions {
        async fn options(&self, cx: &mut Context) -> Result {
            cx.set_status(204);
            Ok(())
        }
    }
    let application = || Application::new().route("/", Article).route("/own", OwnOptions);
    let client = AppClient::new(application()).unwrap();
    let response = client.options("/").send().unwrap();
    assert_eq!((response.status().as_u16(), response.body()), (200, &b""[..]));
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS, PURGE, PUT"));
    assert_eq!(client.options("/own").send().unwrap().status(), 204);
    assert_eq!(client.options("/nowhere").send().unwrap().status(), 404);
    let response = client.options("*").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (200, Some("GET, HEAD, OPTIONS, PURGE, PUT"))
    );

    let client = AppClient::new(application().automatic_options(false)).unwrap();
    let response = client.options("/").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (405, Some("GET, HEAD, PURGE, PUT"))
    );
    assert_eq!(client.options("/own").send().unwrap().status(), 204);
    let response = client.options("*").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (200, Some("GET, HEAD, OPTIONS, PURGE, PUT")),
        "the route that has its own"
    );
    let client = AppClient::new(Application::new().route("/", Article).automatic_options(false)).unwrap();
    let response = client.options("*").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (200, Some("GET, HEAD, PURGE, PUT"))
    );
}

/// A handshake is a GET, and a WebSocket has no response whose head alone could be sent (RFC 6455 §4.1).
#[test]
fn head_is_not_served_where_only_a_websocket_is() {
    struct Silent;
    impl WebSocketHandler for Silent {
        async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
            Ok(())
        }
    }
    let application = || {
        Application::new()
            .websocket("/socket", async |_: &mut Context| Ok(Silent))
            .websocket("/both", async |_: &mut Context| Ok(Silent))
            .on(Method::HEAD, "/both", async |_: &mut Context| ())
            .post("/both", async |_: &mut Context| "posted")
    };
    let client = AppClient::new(application()).unwrap();
    for (name, target, status, allow) in [
        ("HEAD", "/socket", 405, "GET, OPTIONS"),
        ("POST", "/socket", 405, "GET, OPTIONS"),
        ("OPTIONS", "/socket", 200, "GET, OPTIONS"),
        ("PUT", "/both", 405, "GET, HEAD, OPTIONS, POST"),
    ] {
        let response = client.request(method(name), target).send().unwrap();
        assert_eq!(response.status(), status, "{name} {target}");
        assert_eq!(response.header("allow"), Some(allow), "{name} {target}");
    }
    assert_eq!(
        client.head("/both").send().unwrap().status(),
        200,
        "where HEAD has a function of its own"
    );
    let sockets = Application::new().websocket("/", async |_: &mut Context| Ok(Silent));
    let client = AppClient::new(sockets).unwrap();
    let response = client.options("*").send().unwrap();
    assert_eq!(response.header("allow"), Some("GET, OPTIONS"), "nothing answers HEAD");
}

/// A handler may call a default method; the 405 still lists the methods the handler implements.
#[test]
fn a_405_made_by_a_handler_has_allow_too() {
    struct Delegating;
    impl RequestHandler for Delegating {
        async fn post(&self, cx: &mut Context) -> Result {
            self.put(cx).await
        }
    }
    let client = AppClient::new(Application::new().route("/", Delegating)).unwrap();
    let response = client.post("/").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("allow")),
        (405, Some("OPTIONS, POST"))
    );
}

/// Counts the calls of each method. `prepare` finishes the response if the query says so (Tornado's
/// `FinishInPrepareTest`).
#[derive(Default)]
struct Stages {
    log: Rc<Cell<&'static str>>,
    requests: Cell<u32>,
}

impl RequestHandler for Stages {
    async fn prepare(&self, cx: &mut Context) -> Result {
        self.requests.set(self.requests.get() + 1);
        match cx.query() {
            Some("finish") => {
                cx.write("from prepare");
                cx.finish();
            }
            Some("redirect") => cx.redirect("/login")?,
            Some("fail") => return Err(HttpError::new(403).into()),
            _ => cx.write("prepared, "),
        }
        Ok(())
    }

    async fn get(&self, cx: &mut Context) -> Result {
        cx.write(format!("request {}", self.requests.get()));
        Ok(())
    }

    async fn on_finish(&self, cx: &mut Context) {
        self.log.set(if cx.status() == 200 {
            "finished 200"
        } else {
            "finished otherwise"
        });
    }
}

#[test]
fn prepare_runs_first_and_may_answer() {
    let client = AppClient::new(Application::new().route("/", Stages::default())).unwrap();
    let get = |target| client.get(target).send().unwrap();
    assert_eq!(get("/").text(), "prepared, request 1");
    assert_eq!(get("/?finish").text(), "from prepare");
    let response = get("/?redirect");
    assert_eq!(
        (response.status().as_u16(), response.header("location")),
        (302, Some("/login"))
    );
    assert_eq!(get("/?fail").status(), 403);
    assert_eq!(
        get("/").text(),
        "prepared, request 5",
        "one handler value serves every request of the shard"
    );
    assert_eq!(client.post("/").send().unwrap().status(), 405);
    assert_eq!(
        get("/").text(),
        "prepared, request 6",
        "a 405 does not reach the handler"
    );
}

#[test]
fn on_finish_runs_once_after_the_response_and_only_for_its_handler() {
    let log = Rc::new(Cell::new(""));
    let stages = Stages {
        log: Rc::clone(&log),
        ..Stages::default()
    };
    let application = Application::new()
        .route("/", stages)
        .get("/function", async |_: &mut Context| "");
    let app = application.build().unwrap();
    let mut exchange = Exchange::new(app.shared());
    for (method, target, expected) in [
        (Method::GET, "/", "finished 200"),
        (Method::GET, "/?fail", "finished otherwise"),
        (Method::POST, "/", ""),
        (Method::GET, "/function", ""),
        (Method::HEAD, "/", "finished 200"),
    ] {
        log.set("");
        let path_end = target.find('?').unwrap_or(target.len());
        let query = (path_end < target.len()).then_some(path_end + 1..target.len());
        let mut head = exchange.head_mut().rewrite();
        head.bytes(target.as_bytes())
            .method(method.clone())
            .target(TargetForm::Origin, target)
            .path(0..path_end, query);
        Channel::begin(&exchange.channel(), BodyLength::Empty);
        ready(app.respond(&mut exchange));
        assert_eq!(log.get(), "", "{target}: on_finish ran before the response was sent");
        if let Some(on_finish) = app.finished(&mut exchange) {
            ready(on_finish);
        }
        assert_eq!(log.get(), expected, "{method} {target}");
        assert!(
            app.finished(&mut exchange).is_none(),
            "{target}: on_finish would run twice"
        );
        exchange.reset();
    }
}

fn ready(future: impl Future<Output = ()>) {
    use futures_util::FutureExt;
    future.now_or_never().expect("the future waits for nothing");
}
