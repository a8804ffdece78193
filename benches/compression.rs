//! Measures a page of 16 KiB through the application: plain, with a tag, and with each coding and level.
//!
//! It prints the length of each result, which is verified before it is timed.
//!
//! `cargo bench -p squall-benches --bench compression`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot run says so and ends"
)]

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as Task, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::app::{App, Exchange, Outcome};
use squall::message::TargetForm;
use squall::middleware::{Compression, etag};
use squall::prelude::*;

/// The size of the page.
const PAGE_BYTES: usize = 16 * 1024;

/// A table of HTML, whose cells differ from row to row.
fn page() -> String {
    let mut text = "<!doctype html><title>Orders</title><table class=\"orders\">\n".to_owned();
    let mut state = 7_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let words = [
        "amber", "birch", "cobalt", "dune", "ember", "fjord", "granite", "harbour", "indigo", "juniper",
    ];
    while text.len() < PAGE_BYTES {
        let [first, second] = [next(10), next(10)].map(|word| words.get(word as usize).copied().unwrap_or_default());
        let (id, cents) = (next(1_000_000), next(100_000));
        text += &format!(
            "<tr id=\"order-{id}\"><td><a href=\"/orders/{id}\">{first} {second}</a></td><td class=\"price\">{}.{:02} €</td></tr>\n",
            cents / 100,
            cents % 100
        );
    }
    text.truncate(text.floor_char_boundary(PAGE_BYTES));
    text
}

fn application(compression: Option<Compression>) -> Application {
    let page = Bytes::from(page());
    let routes = Application::new();
    let routes = match compression {
        Some(compression) => routes.middleware(compression),
        None => routes,
    };
    let handler = async move |_: &mut Context| ([("content-type", "text/html")], page.clone());
    routes.get("/", handler)
}

/// Answers a request and returns the length of the content.
fn serve(app: &App, exchange: &mut Exchange, coding: &str) -> usize {
    exchange.reset();
    let end = 1 + "accept-encoding".len();
    exchange
        .head_mut()
        .rewrite()
        .bytes(format!("/accept-encoding{coding}").as_bytes())
        .target(TargetForm::Origin, "/")
        .path(0..1, None)
        .field(1..end, end..end + coding.len());
    let mut task = Task::from_waker(Waker::noop());
    {
        let mut respond = pin!(app.respond(exchange));
        while respond.as_mut().poll(&mut task).is_pending() {}
    }
    match exchange.outcome() {
        Outcome::Respond { body, .. } => body.len(),
        Outcome::Abort => 0,
    }
}

fn measure(criterion: &mut Criterion, name: &str, coding: &str, application: Application) {
    let app: Rc<App> = application.build().expect("an application");
    let mut exchange = Exchange::new(app.shared());
    let length = serve(&app, &mut exchange, coding);
    println!("{name}: {length} bytes");
    assert!(
        length > 0 && (coding == "identity" || length < PAGE_BYTES / 2),
        "{name}"
    );
    let mut group = criterion.benchmark_group("page_16_kib");
    group.throughput(Throughput::Bytes(PAGE_BYTES as u64));
    group.bench_function(name, |bencher| bencher.iter(|| serve(&app, &mut exchange, coding)));
    group.finish();
}

fn pages(criterion: &mut Criterion) {
    measure(criterion, "plain", "identity", application(None));
    measure(criterion, "etag", "identity", application(None).middleware(etag));
    for level in [1, 2, 3, 4, 6, 9] {
        let compression = Compression::new().gzip_level(level);
        measure(
            criterion,
            &format!("gzip {level}"),
            "gzip",
            application(Some(compression)),
        );
    }
    for level in [0, 1, 2, 4, 6] {
        let compression = Compression::new().brotli_level(level);
        measure(criterion, &format!("br {level}"), "br", application(Some(compression)));
    }
    for level in [1, 3, 6] {
        let compression = Compression::new().zstd_level(level);
        measure(
            criterion,
            &format!("zstd {level}"),
            "zstd",
            application(Some(compression)),
        );
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
