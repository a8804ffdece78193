//! Middleware: its order, and that it handles every response.

use core::cell::RefCell;
use std::rc::Rc;

use crate::app_client::AppClient;
use squall::prelude::*;
use squall::routing::get;

/// Records its mark before and after the handler.
struct Mark(&'static str, Rc<RefCell<Vec<String>>>);

impl Middleware for Mark {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        self.1.borrow_mut().push(format!(">{}", self.0));
        next.run(cx).await;
        self.1
            .borrow_mut()
            .push(format!("<{} {}", self.0, cx.status().as_u16()));
        Ok(())
    }
}

#[test]
fn runs_application_then_groups_then_route_outermost_first() {
    let log = Rc::default();
    let mark = |name| Mark(name, Rc::clone(&log));
    let inner = Routes::new()
        .middleware(mark("inner"))
        .route("/x", get(async |_: &mut Context| "x").middleware(mark("route")))
        .get("/y", async |_: &mut Context| "y");
    let application = Application::new()
        .get("/plain", async |_: &mut Context| "plain")
        .nest("/a", Routes::new().middleware(mark("outer")).nest("/b", inner))
        .host(
            "h",
            Routes::new()
                .middleware(mark("host"))
                .get("/x", async |_: &mut Context| StatusCode::ACCEPTED),
        )
        .middleware(mark("first"))
        .middleware(mark("second"));
    let client = AppClient::new(application).unwrap();
    for (method, host, target, expected) in [
        (Method::GET, "", "/plain", ">first >second <second 200 <first 200"),
        (
            Method::GET,
            "",
            "/a/b/x",
            ">first >second >outer >inner >route <route 200 <inner 200 <outer 200 <second 200 <first 200",
        ),
        (
            Method::GET,
            "",
            "/a/b/y",
            ">first >second >outer >inner <inner 200 <outer 200 <second 200 <first 200",
        ),
        (
            Method::GET,
            "h",
            "/x",
            ">first >second >host <host 202 <second 202 <first 202",
        ),
        (Method::GET, "", "/a/b/none", ">first >second <second 404 <first 404"),
        (
            Method::POST,
            "",
            "/a/b/y",
            ">first >second >outer >inner <inner 405 <outer 405 <second 405 <first 405",
        ),
    ] {
        log.borrow_mut().clear();
        client
            .request(method.clone(), target)
            .header("host", host)
            .send()
            .unwrap();
        assert_eq!(log.borrow().join(" "), expected, "{method} {host}{target}");
    }
}

async fn stamp(cx: &mut Context, next: Next<'_>) -> Result {
    cx.set_header("x-stamp", "1")?;
    next.run(cx).await;
    Ok(())
}

#[test]
fn what_middleware_sets_before_next_is_on_error_pages_and_on_flushed_responses() {
    let application = Application::new()
        .middleware(stamp)
        .get("/fails", async |cx: &mut Context| -> Result {
            cx.set_header("x-stamp", "2")?;
            cx.set_header("x-inner", "1")?;
            Err(HttpError::new(409).into())
        })
        .get("/panics", async |_: &mut Context| -> Result { panic!("inside") })
        .get("/flushes", async |cx: &mut Context| {
            cx.write("a");
            cx.flush().await
        });
    let client = AppClient::new(application).unwrap();
    for (target, status) in [("/fails", 409), ("/panics", 500), ("/flushes", 200), ("/none", 404)] {
        let response = client.get(target).send().unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.header("x-stamp"), Some("1"), "{target}");
        assert_eq!(response.header("x-inner"), None, "{target}");
    }
}

#[test]
fn middleware_may_answer_itself_fail_or_look_at_the_error() {
    async fn guard(cx: &mut Context, next: Next<'_>) -> Result {
        match cx.header("authorization") {
            None => return Err(HttpError::new(401).into()),
            Some("teapot") => {
                cx.set_status(418);
                cx.write("short");
            }
            Some("anonymous") => next.run(cx).await,
            Some(user) => {
                cx.insert_extension(user.to_owned());
                next.run(cx).await;
            }
        }
        Ok(())
    }
    async fn report(cx: &mut Context, next: Next<'_>) -> Result {
        next.run(cx).await;
        if let Some(error) = cx.error() {
            let text = error.to_string();
            cx.set_header("x-error", text)?;
        }
        Ok(())
    }
    let application = Application::new()
        .middleware(report)
        .middleware(guard)
        .get("/", async |cx: &mut Context| {
            let user: Option<&String> = cx.extension();
            user.cloned().or_error(500, "no user is attached")
        });
    let client = AppClient::new(application).unwrap();
    let response = client.get("/").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("x-error")),
        (401, Some("401 Unauthorized"))
    );
    let response = client.get("/").header("authorization", "teapot").send().unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &*response.text(),
            response.header("x-error")
        ),
        (418, "short", None)
    );
    let response = client.get("/").header("authorization", "ada").send().unwrap();
    assert_eq!(response.text(), "ada");
    let response = client.get("/").header("authorization", "anonymous").send().unwrap();
    assert_eq!(
        response.text(),
        "500 Internal Server Error: no user is attached\n",
        "values of one request do not leak into the next"
    );
}

#[test]
fn a_panic_in_middleware_is_a_500() {
    async fn broken(_: &mut Context, _: Next<'_>) -> Result {
        panic!("in middleware")
    }
    let application = Application::new()
        .middleware(broken)
        .get("/", async |_: &mut Context| "");
    let client = AppClient::new(application).unwrap();
    assert_eq!(client.get("/").send().unwrap().status(), 500);
    assert_eq!(client.app().shared().panic_count(), 1);
}
