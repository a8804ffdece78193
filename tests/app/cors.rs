//! CORS as middleware of an application, a group and a route.

use core::cell::Cell;
use std::rc::Rc;

use crate::app_client::{AppClient, AppResponse};
use squall::middleware::Cors;
use squall::prelude::*;
use squall::routing::get;

const ORIGIN: &str = "https://a.example";

fn preflight(client: &AppClient, target: &str, origin: &str) -> AppResponse {
    let request = client.options(target).header("origin", origin);
    request.header("access-control-request-method", "PUT").send().unwrap()
}

#[test]
fn a_preflight_runs_neither_the_handler_nor_middleware_further_in() {
    let runs = Rc::new(Cell::new(0));
    let counted = Rc::clone(&runs);
    let group = Routes::new()
        .middleware(Cors::new().origin(ORIGIN).methods([Method::PUT]))
        .middleware(async move |cx: &mut Context, next: Next<'_>| {
            counted.set(counted.get() + 1);
            next.run(cx).await;
            Ok(())
        })
        .put("/x", async |_: &mut Context| "put");
    let client = AppClient::new(Application::new().nest("/api", group)).unwrap();
    let response = preflight(&client, "/api/x", ORIGIN);
    assert_eq!(response.status(), 204);
    assert_eq!(response.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(runs.get(), 0);
    let put = client.put("/api/x").header("origin", ORIGIN).send().unwrap();
    assert_eq!(put.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(runs.get(), 1);
}

#[test]
fn error_pages_and_handlers_that_set_vary_keep_the_fields() {
    let application = Application::new()
        .middleware(Cors::new().origin(ORIGIN))
        .get("/fails", async |_: &mut Context| -> Result {
            Err(HttpError::new(409).into())
        })
        .get("/varies", async |cx: &mut Context| cx.set_header("vary", "Cookie"));
    let client = AppClient::new(application).unwrap();
    for (target, status, vary) in [
        ("/fails", 409, "Origin, Accept"),
        ("/none", 404, "Origin, Accept"),
        ("/varies", 200, "Cookie, Origin"),
    ] {
        let response = client.get(target).header("origin", ORIGIN).send().unwrap();
        assert_eq!(response.status(), status, "{target}");
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN), "{target}");
        assert_eq!(response.header("vary"), Some(vary), "{target}");
    }
}

#[test]
fn public_answers_are_the_same_for_every_origin() {
    let route = get(async |_: &mut Context| "x").middleware(Cors::new().any_origin());
    let client = AppClient::new(Application::new().route("/", route)).unwrap();
    for origin in [ORIGIN, "null"] {
        let response = client.get("/").header("origin", origin).send().unwrap();
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("access-control-allow-credentials"), None);
        assert_eq!(response.header("vary"), None);
    }
    assert_eq!(
        preflight(&client, "/", ORIGIN).header("access-control-allow-origin"),
        Some("*")
    );
}

#[test]
fn a_function_decides_about_well_formed_origins() {
    let cors = Cors::new().origins_if(|origin| origin == "https://a.example" || origin == "null");
    let application = Application::new()
        .middleware(cors.credentials(true))
        .get("/", async |_: &mut Context| "x");
    let client = AppClient::new(application).unwrap();
    for (origin, is_allowed) in [
        ("https://a.example", true),
        ("https://b.example", false),
        ("null", false),
    ] {
        let response = client.get("/").header("origin", origin).send().unwrap();
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(allowed, is_allowed.then_some(origin));
        assert_eq!(response.header("vary"), Some("Origin"));
    }
}

#[test]
fn flaws_of_middleware_are_mistakes_of_the_application() {
    let unsafe_cors = || Cors::new().any_origin().credentials(true);
    let route = get(async |_: &mut Context| "x").middleware(Cors::new());
    for application in [
        Application::new().middleware(unsafe_cors()),
        Application::new().nest("/a", Routes::new().middleware(unsafe_cors())),
        Application::new().route("/", route),
    ] {
        let error = application.build().unwrap_err().to_string();
        assert!(error.contains("\n  CORS allows "), "{error}");
    }
}
