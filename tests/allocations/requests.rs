//! Counts the allocations of a request: one, for the boxed future of the handler, once the buffers are warm.
//!
//! This is a test binary of its own, because the counting allocator counts for the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

use core::pin::pin;
use core::task::{Context as Task, Waker};

use squall::app::{App, BodyLength, Exchange, Outcome};
use squall::message::TargetForm;
use squall::prelude::*;
use squall::routing::get;

struct Hello;

impl RequestHandler for Hello {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.set_header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))?;
        cx.write("Hello, World!");
        Ok(())
    }
}

/// Serves one request and returns its status, if the content ends as expected.
fn serve(app: &App, exchange: &mut Exchange, target: &str, content: &[u8]) -> StatusCode {
    let mut head = exchange.head_mut().rewrite();
    head.bytes(target.as_bytes())
        .target(TargetForm::Origin, target)
        .path(0..target.len(), None);
    exchange.channel().begin(BodyLength::Empty);
    let mut task = Task::from_waker(Waker::noop());
    assert!(pin!(app.respond(exchange)).poll(&mut task).is_ready());
    let Outcome::Respond {
        head: Some(head), body, ..
    } = exchange.outcome()
    else {
        panic!("aborted")
    };
    assert!(body.ends_with(content), "{}", body.escape_ascii());
    let status = head.status;
    assert!(app.finished(exchange).is_none());
    exchange.reset();
    status
}

#[test]
fn a_request_allocates_once() {
    async fn pass(cx: &mut Context, next: Next<'_>) -> Result {
        next.run(cx).await;
        Ok(())
    }
    let app = Application::new()
        .route("/plaintext", Hello)
        .get("/function", async |_: &mut Context| "Hello, World!")
        .get("/users/{id:u64}", async |cx: &mut Context| -> Result {
            let id: u64 = cx.param("id")?;
            cx.write(if id == 7 { "seven" } else { "other" });
            Ok(())
        })
        .route("/wrapped", get(async |_: &mut Context| "wrapped").middleware(pass))
        .build()
        .unwrap();
    let mut exchange = Exchange::new(app.shared());
    for (target, content, expected) in [
        ("/plaintext", "Hello, World!", 1),
        ("/function", "Hello, World!", 1),
        ("/users/7", "seven", 1),
        ("/wrapped", "wrapped", 2),
    ] {
        serve(&app, &mut exchange, target, content.as_bytes());
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                serve(&app, &mut exchange, target, content.as_bytes());
            }
        });
        assert_eq!(counted.count_total, 100 * expected, "{target}");
        assert_eq!(counted.count_current, 0, "{target} keeps memory");
    }
}

/// How often a handler panics.
const PANICS: u64 = 1_000_000;

/// A million errors and panics leave no memory behind (`docs/threats.md#panicking-handler`).
#[test]
fn errors_and_panics_keep_no_memory() {
    std::panic::set_hook(Box::new(|_| {}));
    let app = Application::new()
        .get("/panics", async |cx: &mut Context| -> Result {
            cx.write("half");
            cx.insert_extension(vec![0_u8; 1000]);
            panic!("again")
        })
        .get("/fails", async |_: &mut Context| HttpError::new(409).with_message("no"))
        .build()
        .unwrap();
    let mut exchange = Exchange::new(app.shared());
    let mut run = |times| {
        for _ in 0..times {
            let status = serve(&app, &mut exchange, "/panics", b"<h1>500 Internal Server Error</h1>\n");
            assert_eq!(status, 500);
            assert_eq!(
                serve(&app, &mut exchange, "/fails", b"<h1>409 Conflict</h1>\n<p>no</p>\n"),
                409
            );
        }
    };
    run(1);
    let counted = allocation_counter::measure(|| run(PANICS));
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0));
    assert_eq!(app.shared().panic_count(), PANICS + 1);
}
