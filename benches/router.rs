//! Measures what the application layer adds to a request: find the route, call the handler, reset the context.
//!
//! Each answer is checked before it is timed.

#![allow(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use core::hint::black_box;
use core::pin::pin;
use core::task::{Context as Task, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use squall::app::{BodyLength, Exchange, Outcome};
use squall::message::TargetForm;
use squall::prelude::*;
use squall::routing::get;

async fn plaintext(cx: &mut Context) -> Result {
    cx.write("Hello, World!");
    Ok(())
}

struct Plaintext;

impl RequestHandler for Plaintext {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("Hello, World!");
        Ok(())
    }
}

async fn show(cx: &mut Context) -> Result {
    let id: u64 = cx.param("id")?;
    cx.set_status(if id == 7 { 200 } else { 500 });
    cx.write("Hello, World!");
    Ok(())
}

async fn pass(cx: &mut Context, next: Next<'_>) -> Result {
    next.run(cx).await;
    Ok(())
}

/// Returns an application with the routes of a small REST service beside the timed ones.
fn application() -> Application {
    let mut application = Application::new()
        .route("/handler", Plaintext)
        .get("/plaintext", plaintext)
        .get("/users/{id}", show)
        .get("/typed/{id:u64}", show)
        .route("/wrapped", get(plaintext).middleware(pass));
    for name in [
        "articles", "comments", "tags", "teams", "projects", "issues", "labels", "hooks", "keys", "events",
    ] {
        let group = Routes::new()
            .get("", plaintext)
            .post("", plaintext)
            .get("/{id}", plaintext)
            .put("/{id}", plaintext)
            .delete("/{id}", plaintext)
            .get("/{id}/history", plaintext);
        application = application.nest(&format!("/{name}"), group);
    }
    application
}

fn dispatch(criterion: &mut Criterion) {
    let app = application().build().expect("the application builds");
    let mut exchange = Exchange::new(app.shared());
    let channel = exchange.channel();
    let mut group = criterion.benchmark_group("dispatch");
    for (name, target) in [
        ("handler", "/handler"),
        ("function", "/plaintext"),
        ("parameter", "/users/7"),
        ("typed_parameter", "/typed/7"),
        ("middleware", "/wrapped"),
        ("nested", "/projects/7/history"),
    ] {
        let mut serve = || {
            let mut head = exchange.head_mut().rewrite();
            head.bytes(target.as_bytes())
                .target(TargetForm::Origin, target)
                .path(0..target.len(), None);
            channel.begin(BodyLength::Empty);
            let ready = pin!(app.respond(&mut exchange)).poll(&mut Task::from_waker(Waker::noop()));
            assert!(ready.is_ready());
            let right = match exchange.outcome() {
                Outcome::Respond {
                    head: Some(head), body, ..
                } => head.status == 200 && black_box(body) == b"Hello, World!",
                Outcome::Respond { .. } | Outcome::Abort => false,
            };
            exchange.reset();
            right
        };
        assert!(serve(), "{name}");
        group.bench_function(name, |bencher| bencher.iter(&mut serve));
    }
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
