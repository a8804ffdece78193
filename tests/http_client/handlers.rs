//! Handlers that fetch, and a handler that passes a response on.

use squall::client::{Client, Request};
use squall::prelude::*;

use crate::harness::{Origin, Running, with_fields};

/// A server that fetches from an origin.
fn fetching(origin: &Origin, client: Option<fn() -> Client>) -> Running {
    let url = origin.url("");
    Running::start(2, move || {
        let (one, all) = (url.clone(), url.clone());
        let application = match client {
            Some(client) => Application::new().state(client()),
            None => Application::new(),
        };
        application
            .get("/one", async move |cx: &mut Context| {
                let response = cx.fetch(Request::get(&format!("{one}/one"))).await?;
                Ok::<_, Error>(response.error_for_status()?.text().await?)
            })
            .get("/all", async move |cx: &mut Context| {
                let response = cx.fetch(Request::get(&format!("{all}/all"))).await?;
                cx.set_status(response.status());
                let media_type = response.header("content-type").unwrap_or_default().to_owned();
                cx.set_header("content-type", &media_type)?;
                cx.write_body(response.into_body());
                Ok::<_, Error>(())
            })
    })
}

#[test]
fn a_handler_fetches_and_an_error_of_the_fetch_answers_500() {
    let origin = Origin::answering(|seen| match seen.field("user-agent") {
        Some(agent) if seen.path() == "/one" => (crate::harness::ok(agent.as_bytes()), true),
        _ => (with_fields("Content-Type: text/x\r\n", b"all of it"), true),
    });
    let server = fetching(&origin, None);
    let agent = format!("squall/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(server.get("/one").body, agent.as_bytes());
    let passed = server.get("/all");
    assert_eq!(passed.body, b"all of it");
    assert_eq!(passed.field("content-type"), Some(&b"text/x"[..]));
    drop(server);

    let client: fn() -> Client = || Client::builder().user_agent("mine").build().unwrap();
    let server = fetching(&origin, Some(client));
    assert_eq!(server.get("/one").body, b"mine");

    let server = {
        let gone = Origin::repeating(b"");
        fetching(&gone, None)
    };
    assert_eq!(server.get("/one").status, 500);
}
