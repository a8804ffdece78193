//! The futures that write a response: flushes, events, and handlers dropped by middleware or by their driver.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as Task, Waker};

use squall::Event;
use squall::app::{BodyLength, Exchange, Outcome};
use squall::message::TargetForm;
use squall::middleware::{Compression, add_slash, etag, remove_slash};
use squall::prelude::*;
use squall::routing::{Route, get};
use squall::shards::yield_now;

use crate::harness::{LARGE_BYTES, Running, StateSender, ask, at_every_poll, dropped_after, line, numbered};
use crate::polls::POLLS_MAX;

/// What the handler writes behind the dropped flush.
const END: &str = "the end";

/// Reads the response of a handler that drops a flush at every poll. The client starts to read when the handler first
/// waits, or has dropped the flush.
fn flushed<F>(request: &str, handler: F, expected: impl Fn(bool) -> Vec<u8>)
where
    F: AsyncFn(&mut Context, usize, &StateSender) -> Result + Clone + Send + Sync + 'static,
{
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let (says, handler) = (says.clone(), handler.clone());
        Application::new().get("/{polls}", async move |cx: &mut Context| -> Result {
            let polls = cx.param("polls")?;
            handler(cx, polls, &says).await
        })
    });
    at_every_poll(|polls| {
        let mut connection = ask(server.address, &request.replace("{polls}", &polls.to_string()));
        let reading = std::thread::scope(|scope| {
            let (go, gone) = crossbeam::channel::bounded::<()>(1);
            let reading = scope.spawn(move || {
                gone.recv().unwrap_or_default();
                connection.response("GET")
            });
            let is_ready = hears.until_over(|| go.try_send(()).unwrap_or_default());
            drop(go);
            (is_ready, reading.join().unwrap())
        });
        let (is_ready, response) = reading;
        let response = response.unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong:.300}"));
        assert_eq!(response.status, 200);
        let expected = expected(is_ready || polls > 0);
        let (length, expected_length) = (response.body.len(), expected.len());
        assert!(
            response.body == expected,
            "dropped after {polls} polls: {length} bytes with a valid end, not {expected_length}"
        );
        is_ready
    });
}

fn whole() -> Vec<u8> {
    [&numbered(LARGE_BYTES), END.as_bytes()].concat()
}

#[test]
fn a_dropped_flush_is_sent_in_a_chunked_response() {
    let handler = async |cx: &mut Context, polls: usize, says: &StateSender| {
        cx.write(numbered(LARGE_BYTES));
        says.dropped_after(polls, cx.flush()).await.transpose()?;
        cx.write(END);
        Ok(())
    };
    flushed("GET /{polls} HTTP/1.1", handler, |_| whole());
}

#[test]
fn a_dropped_flush_is_sent_in_a_response_that_ends_by_close() {
    let handler = async |cx: &mut Context, polls: usize, says: &StateSender| {
        cx.write(numbered(LARGE_BYTES));
        says.dropped_after(polls, cx.flush()).await.transpose()?;
        cx.write(END);
        Ok(())
    };
    flushed("GET /{polls} HTTP/1.0", handler, |_| whole());
}

#[test]
fn a_dropped_flush_is_sent_in_a_response_with_a_length() {
    let handler = async |cx: &mut Context, polls: usize, says: &StateSender| {
        cx.set_header("Content-Length", (LARGE_BYTES + END.len()).to_string().as_str())?;
        cx.write(numbered(LARGE_BYTES));
        says.dropped_after(polls, cx.flush()).await.transpose()?;
        cx.write(END);
        Ok(())
    };
    flushed("GET /{polls} HTTP/1.1", handler, |_| whole());
}

#[test]
fn two_dropped_flushes_are_sent_in_order() {
    let handler = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let content = numbered(LARGE_BYTES);
        let (first, second) = content.split_at(LARGE_BYTES / 2);
        cx.write(first);
        dropped_after(1, cx.flush()).await.transpose()?;
        cx.write(second);
        says.dropped_after(polls, cx.flush()).await.transpose()?;
        cx.write(END);
        Ok(())
    };
    flushed("GET /{polls} HTTP/1.1", handler, |_| whole());
}

#[test]
fn a_dropped_flush_is_sent_before_the_stream_behind_it() {
    let handler = async |cx: &mut Context, polls: usize, says: &StateSender| {
        cx.write(numbered(LARGE_BYTES));
        says.dropped_after(polls, cx.flush()).await.transpose()?;
        cx.stream(futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(END))]));
        Ok(())
    };
    flushed("GET /{polls} HTTP/1.1", handler, |_| whole());
}

#[test]
fn a_dropped_event_send_is_still_sent() {
    let text = || String::from_utf8(numbered(LARGE_BYTES)).unwrap().replace('\n', " ");
    let handler = async move |cx: &mut Context, polls: usize, says: &StateSender| {
        let mut events = cx.event_stream()?;
        says.dropped_after(polls, events.send(Event::new(text())))
            .await
            .transpose()?;
        events.send(Event::new(END)).await
    };
    flushed("GET /{polls} HTTP/1.1", handler, move |is_sent| {
        let first = if is_sent {
            format!("data: {}\n\n", text())
        } else {
            String::new()
        };
        format!("{first}data: {END}\n\n").into_bytes()
    });
}

/// How many events are published while a stream runs.
const EVENTS: usize = 8;

#[test]
fn a_run_that_is_dropped_has_lost_no_event_when_the_stream_is_run_again() {
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let says = says.clone();
        Application::new().get("/{polls}", async move |cx: &mut Context| -> Result {
            let polls = cx.param("polls")?;
            let mut events = cx.event_stream()?;
            events.subscribe("news")?;
            says.dropped_after(polls, events.run()).await;
            events.run().await
        })
    });
    for polls in 0..EVENTS {
        let mut connection = ask(server.address, &format!("GET /{polls} HTTP/1.0"));
        let mut published = 0;
        let mut publish = || {
            server
                .publisher
                .publish("news", published.to_string())
                .blocking()
                .unwrap();
            published += 1;
        };
        hears.until_over(&mut publish);
        // A message published before the first poll already has subscribers and waits for them.
        publish();
        let expected: String = (0..published).map(|number| format!("data: {number}\n\n")).collect();
        let mut received = Vec::new();
        while !received.ends_with(expected.as_bytes()) {
            let more = connection.some().unwrap_or_else(|wrong| {
                panic!(
                    "dropped after {polls} polls: {wrong}; {:?}",
                    String::from_utf8_lossy(&received)
                )
            });
            received.extend(more);
        }
    }
}

/// The stream of a subscriber that a topic's policy closed ends, however often it runs.
#[test]
fn a_run_that_is_dropped_as_its_topic_closes_it_ends_when_the_stream_is_run_again() {
    let (says, hears) = line();
    let application = move || {
        let says = says.clone();
        Application::new().get("/{polls}", async move |cx: &mut Context| -> Result {
            let polls = cx.param("polls")?;
            let publisher: Rc<crossbeam::channel::Receiver<squall::Publisher>> = cx.state()?;
            let publisher = publisher.recv()?;
            let mut events = cx.event_stream()?;
            events.subscribe("closed")?;
            // More than the queue of a subscriber that reads nothing before it runs.
            let mut closed = 0;
            while closed == 0 {
                closed = publisher
                    .publish("closed", "x".repeat(LARGE_BYTES))
                    .confirm()
                    .await?
                    .closed;
            }
            says.dropped_after(polls, events.run()).await.transpose()?;
            events.run().await
        })
    };
    let (give, take) = crossbeam::channel::unbounded::<squall::Publisher>();
    let rules = TopicOptions::default().slow_consumer(SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER));
    let server = Running::serve(
        Server::new(move || application().state(take.clone()))
            .shards(1)
            .topic("closed", rules),
    );
    at_every_poll(|polls| {
        give.send(server.publisher.clone()).unwrap();
        let mut connection = ask(server.address, &format!("GET /{polls} HTTP/1.1"));
        let is_ready = hears.until_over(|| {});
        let response = connection
            .response("GET")
            .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}"));
        response.expect(200, b"").unwrap();
        is_ready
    });
}

/// An application whose middleware drops the handler after the polls the path names.
fn given_up(says: &StateSender) -> Application {
    let says = says.clone();
    Application::new()
        .middleware(async move |cx: &mut Context, next: Next<'_>| -> Result {
            let polls = cx.param("polls")?;
            cx.set_header("X-Outer", "outer")?;
            let is_ready = says.dropped_after(polls, next.run(cx)).await.is_some();
            if !is_ready && cx.path().starts_with("/replaced/") {
                cx.set_status(504);
                cx.write("too late");
            }
            Ok(())
        })
        .get("/left/{polls}", halves)
        .route("/page/{polls}", long_page().middleware(remove_slash))
        .route("/slashed/{polls}/", long_page().middleware(add_slash))
        .get("/replaced/{polls}", halves)
        .get("/flushed/{polls}", async |cx: &mut Context| -> Result {
            cx.write("half");
            cx.flush().await?;
            yield_now().await;
            yield_now().await;
            cx.write("whole");
            Ok(())
        })
}

/// A page whose tag and whose compression take several polls.
fn long_page() -> Route {
    let page = async |_: &mut Context| "a long page ".repeat(20_000);
    get(page).middleware(Compression::new()).middleware(etag)
}

async fn halves(cx: &mut Context) -> Result {
    cx.set_header("X-Inner", "inner")?;
    cx.write("half");
    yield_now().await;
    yield_now().await;
    cx.write("whole");
    Ok(())
}

#[test]
fn a_handler_dropped_by_middleware_answers_503() {
    let (says, hears) = line();
    let server = Running::start(1, move || given_up(&says));
    at_every_poll(|polls| {
        let mut connection = ask(server.address, &format!("GET /left/{polls} HTTP/1.1"));
        let is_ready = hears.until_over(|| {});
        let response = connection.response("GET").unwrap();
        let (status, body) = match polls {
            // As with middleware that never calls its handler.
            0 => (200, ""),
            _ if is_ready => (200, "halfwhole"),
            _ => (503, ""),
        };
        response
            .expect(status, body.as_bytes())
            .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}"));
        assert_eq!(response.field("x-outer"), Some(&b"outer"[..]));
        assert_eq!(response.field("x-inner").is_some(), is_ready);
        is_ready
    });
}

#[test]
fn a_page_dropped_while_it_is_compressed_answers_503() {
    let (says, hears) = line();
    let server = Running::start(1, move || given_up(&says));
    for (before, after) in [("/page/", ""), ("/slashed/", "/")] {
        at_every_poll(|polls| {
            let request = format!("GET {before}{polls}{after} HTTP/1.1\r\nAccept-Encoding: gzip");
            let mut connection = ask(server.address, &request);
            let is_ready = hears.until_over(|| {});
            let response = connection.response("GET").unwrap();
            let status = if is_ready || polls == 0 { 200 } else { 503 };
            assert_eq!(response.status, status, "dropped after {polls} polls");
            assert_eq!(response.field("content-encoding").is_some(), is_ready);
            assert_eq!(response.field("etag").is_some(), is_ready);
            assert_eq!(response.body.is_empty(), !is_ready);
            is_ready
        });
    }
}

#[test]
fn middleware_that_drops_a_handler_may_answer_in_its_place() {
    let (says, hears) = line();
    let server = Running::start(1, move || given_up(&says));
    at_every_poll(|polls| {
        let mut connection = ask(server.address, &format!("GET /replaced/{polls} HTTP/1.1"));
        let is_ready = hears.until_over(|| {});
        let (status, body) = if is_ready {
            (200, "halfwhole")
        } else {
            (504, "too late")
        };
        let response = connection.response("GET").unwrap();
        response
            .expect(status, body.as_bytes())
            .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}"));
        is_ready
    });
}

#[test]
fn a_handler_dropped_after_a_flush_breaks_its_response_off() {
    let (says, hears) = line();
    let server = Running::start(1, move || given_up(&says));
    at_every_poll(|polls| {
        let mut connection = ask(server.address, &format!("GET /flushed/{polls} HTTP/1.1"));
        let is_ready = hears.until_over(|| {});
        match connection.response("GET") {
            Ok(response) if is_ready => response.expect(200, b"halfwhole").unwrap(),
            Ok(response) => response
                .expect(if polls == 0 { 200 } else { 503 }, b"")
                .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}")),
            Err(broken) => assert!(!is_ready, "dropped after {polls} polls: {broken}"),
        }
        is_ready
    });
}

/// A driver that drops a response resets the exchange; the next request is answered normally.
#[test]
fn a_response_that_its_driver_drops_leaves_the_exchange_to_the_next_request() {
    let app = Application::new()
        .get("/", async |cx: &mut Context| -> Result {
            let yields = Cell::new(3);
            cx.set_header("X-Set", "set")?;
            cx.write("once");
            std::future::poll_fn(|task| {
                if yields.replace(yields.get() - 1) == 0 {
                    return std::task::Poll::Ready(());
                }
                task.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
            Ok(())
        })
        .build()
        .unwrap();
    let mut exchange = Exchange::new(app.shared());
    let request = |exchange: &mut Exchange| {
        exchange.reset();
        exchange
            .head_mut()
            .rewrite()
            .bytes(b"/")
            .target(TargetForm::Origin, "/")
            .path(0..1, None);
        exchange.channel().begin(BodyLength::Empty);
    };
    at_every_poll(|polls| {
        request(&mut exchange);
        let first = pollster::block_on(dropped_after(polls, app.respond(&mut exchange)));
        if first.is_none() {
            request(&mut exchange);
            let mut second = pin!(app.respond(&mut exchange));
            let mut task = Task::from_waker(Waker::noop());
            let polled = (0..POLLS_MAX).find(|_| second.as_mut().poll(&mut task).is_ready());
            assert_eq!(polled, Some(3), "dropped after {polls} polls");
        }
        let Outcome::Respond {
            head: Some(head), body, ..
        } = exchange.outcome()
        else {
            panic!("dropped after {polls} polls: no response");
        };
        assert_eq!((head.status.as_u16(), body), (200, &b"once"[..]));
        first.is_some()
    });
}
