//! The channel between an exchange and its driver, step by step: requests for content, back-pressure and a peer that
//! leaves.

use core::cell::Cell;
use core::pin::{Pin, pin};
use core::task::{Context as Task, Poll, Waker};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use futures_util::future::{Either, select};
use squall::app::{App, BodyError, BodyLength, Exchange, HandlerFunction, Outcome, PeerGone, Signature};
use squall::message::TargetForm;
use squall::prelude::*;

/// How many bytes of content are read ahead, as documented.
const WINDOW_BYTES: usize = 64 * 1024;

/// Counts its wake-ups.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn build<F, S>(function: F) -> (Rc<App>, Exchange)
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    let app = Application::new().get("/", function).build().unwrap();
    let mut exchange = Exchange::new(app.shared());
    exchange
        .head_mut()
        .rewrite()
        .bytes(b"/")
        .target(TargetForm::Origin, "/")
        .path(0..1, None);
    (app, exchange)
}

fn poll(future: Pin<&mut impl Future<Output = ()>>, waker: &Waker) -> Poll<()> {
    future.poll(&mut Task::from_waker(waker))
}

#[test]
fn content_is_requested_only_when_the_handler_waits_and_stops_at_the_window() {
    let gate = Rc::new(Cell::new(false));
    let (app, mut exchange) = build({
        let gate = Rc::clone(&gate);
        async move |cx: &mut Context| -> Result<String> {
            let open = || core::future::poll_fn(|_| if gate.get() { Poll::Ready(()) } else { Poll::Pending });
            open().await;
            gate.set(false);
            let first = cx.next_chunk().await?.or_status(400)?;
            open().await;
            let second = cx.next_chunk().await?.or_status(400)?;
            Ok(format!("{} {}", first.len(), second.len()))
        }
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Unknown);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), &waker).is_pending());
        assert!(!channel.wants_body(), "the handler has not asked yet");
        gate.set(true);
        assert!(poll(response.as_mut(), &waker).is_pending());
        assert!(channel.wants_body());
        channel.push_data(b"abc");
        assert_eq!(counter.take(), 1, "content wakes the handler");
        assert!(poll(response.as_mut(), &waker).is_pending());
        assert!(channel.wants_body(), "there is room to read ahead");
        channel.push_data(&vec![0; WINDOW_BYTES - 1]);
        assert!(channel.wants_body());
        channel.push_data(b"z");
        assert!(!channel.wants_body(), "the window is full");
        assert_eq!(counter.take(), 0, "the handler waits for something else");
        gate.set(true);
        assert!(poll(response.as_mut(), &waker).is_ready());
        assert!(channel.wants_body(), "the window is empty again");
        channel.end_body();
        assert!(!channel.wants_body());
    }
    let Outcome::Respond { body, .. } = exchange.outcome() else {
        panic!("aborted")
    };
    assert_eq!(body, b"3 65536");
}

/// An endless body takes its limit and the last pushed piece of memory (`docs/threats.md#endless-body`).
#[test]
fn reading_content_whole_stops_at_its_limit() {
    let (app, mut exchange) = build(async |cx: &mut Context| -> Result {
        cx.set_body_limit(10);
        cx.body().await.map(drop)
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Unknown);
    {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), Waker::noop()).is_pending());
        channel.push_data(&[0; 10]);
        assert!(channel.wants_body(), "the end may be next");
        channel.push_data(&[0]);
        assert!(!channel.wants_body());
        assert!(poll(response.as_mut(), Waker::noop()).is_ready());
    }
    let Outcome::Respond { head: Some(head), .. } = exchange.outcome() else {
        panic!("no head")
    };
    assert_eq!(head.status, 413);
}

/// RFC 9112 §7.1: the size line of a chunk counts before the chunk's bytes arrive, for every way to read content.
#[test]
fn a_chunk_that_would_pass_the_limit_is_refused_before_it_comes() {
    let whole = build(async |cx: &mut Context| -> Result {
        cx.set_body_limit(10);
        cx.body().await.map(drop)
    });
    let pieces = build(async |cx: &mut Context| -> Result {
        cx.set_body_limit(10);
        while cx.next_chunk().await?.is_some() {}
        Ok(())
    });
    for (app, mut exchange) in [whole, pieces] {
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let channel = exchange.channel();
        channel.begin(BodyLength::Unknown);
        {
            let mut response = pin!(app.respond(&mut exchange));
            assert!(poll(response.as_mut(), &waker).is_pending());
            channel.push_data(&[0; 3]);
            assert!(poll(response.as_mut(), &waker).is_pending());
            counter.take();
            channel.announce(7);
            assert!(channel.wants_body(), "ten bytes are not more than ten");
            assert_eq!(counter.take(), 0);
            channel.push_data(&[0; 5]);
            assert!(poll(response.as_mut(), &waker).is_pending(), "pushed bytes count once");
            assert!(channel.wants_body());
            counter.take();
            channel.announce(3);
            assert!(!channel.wants_body());
            assert_eq!(counter.take(), 1, "the handler is woken");
            assert!(poll(response.as_mut(), &waker).is_ready());
        }
        let Outcome::Respond { head: Some(head), .. } = exchange.outcome() else {
            panic!("no head")
        };
        assert_eq!(head.status, 413);
    }
}

/// A handler may raise the limit after it has seen the first bytes.
#[test]
fn a_raised_limit_lets_an_announced_chunk_come() {
    let (app, mut exchange) = build(async |cx: &mut Context| -> Result<String> {
        cx.set_body_limit(10);
        let first = cx.body().await;
        cx.set_body_limit(20);
        let second = cx.body().await?;
        Ok(format!("{} {}", first.is_err(), second.len()))
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Unknown);
    {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), Waker::noop()).is_pending());
        channel.announce(20);
        assert!(poll(response.as_mut(), Waker::noop()).is_pending());
        assert!(channel.wants_body());
        channel.push_data(&[0; 20]);
        channel.end_body();
        assert!(poll(response.as_mut(), Waker::noop()).is_ready());
    }
    let Outcome::Respond { body, .. } = exchange.outcome() else {
        panic!("aborted")
    };
    assert_eq!(body, b"true 20");
}

#[test]
fn a_flush_waits_for_the_socket_and_gives_its_buffer_back() {
    let (app, mut exchange) = build(async |cx: &mut Context| -> Result {
        cx.set_header(header::CONTENT_LENGTH, 6)?;
        cx.write("one");
        cx.flush().await?;
        cx.write("two");
        Ok(())
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let sent = {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), &waker).is_pending());
        let flush = channel.take_flush().unwrap();
        assert!(channel.take_flush().is_none(), "a flush is taken once");
        assert_eq!(flush.data, b"one");
        assert_eq!(flush.content_length, Some(6));
        assert_eq!(flush.head.unwrap().status, 200);
        assert!(
            poll(response.as_mut(), &waker).is_pending(),
            "the socket has not taken it"
        );
        let sent = flush.data.as_ptr();
        channel.flushed(flush.data, Ok(()));
        assert_eq!(counter.take(), 1);
        assert!(poll(response.as_mut(), &waker).is_ready());
        sent
    };
    let Outcome::Respond { head, body, .. } = exchange.outcome() else {
        panic!("aborted")
    };
    assert_eq!((head, body), (None, &b"two"[..]));
    assert_eq!(body.as_ptr(), sent, "the buffer is used again");
}

/// A flush whose future is dropped is still sent, and the next flush waits for it.
#[test]
fn a_dropped_flush_is_sent_before_the_next() {
    let (app, mut exchange) = build(async |cx: &mut Context| -> Result {
        cx.write("one");
        {
            let flush = pin!(cx.flush());
            let Either::Right(_) = select(flush, core::future::ready(())).await else {
                panic!("flushed at once")
            };
        }
        cx.write("two");
        cx.flush().await
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    {
        let mut response = pin!(app.respond(&mut exchange));
        for expected in [b"one", b"two"] {
            assert!(poll(response.as_mut(), Waker::noop()).is_pending());
            let flush = channel.take_flush().unwrap();
            assert_eq!(flush.data, expected);
            channel.flushed(flush.data, Ok(()));
        }
        assert!(poll(response.as_mut(), Waker::noop()).is_ready());
    }
    assert!(matches!(
        exchange.outcome(),
        Outcome::Respond {
            head: None,
            body: b"",
            ..
        }
    ));
}

#[test]
fn every_wait_ends_when_the_peer_goes() {
    type Handler = fn(&mut Context) -> Pin<Box<dyn Future<Output = Result> + '_>>;
    let handlers: [(&str, Handler); 3] = [
        ("body", |cx| Box::pin(async { cx.body().await.map(drop) })),
        ("chunk", |cx| Box::pin(async { cx.next_chunk().await.map(drop) })),
        ("flush", |cx| Box::pin(async { cx.flush().await })),
    ];
    for (name, handler) in handlers {
        let (app, mut exchange) = build(handler);
        let channel = exchange.channel();
        channel.begin(BodyLength::Unknown);
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        {
            let mut response = pin!(app.respond(&mut exchange));
            assert!(poll(response.as_mut(), &waker).is_pending());
            channel.close();
            assert_eq!(counter.take(), 1, "{name}");
            assert!(!channel.wants_body());
            assert!(poll(response.as_mut(), &waker).is_ready(), "{name}");
        }
        assert!(matches!(exchange.outcome(), Outcome::Abort), "{name}");
    }
}

#[test]
fn a_flush_that_fails_ends_the_exchange() {
    let (app, mut exchange) = build(async |cx: &mut Context| cx.flush().await);
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), Waker::noop()).is_pending());
        let flush = channel.take_flush().unwrap();
        channel.flushed(flush.data, Err(PeerGone));
        assert!(poll(response.as_mut(), Waker::noop()).is_ready());
    }
    assert!(matches!(exchange.outcome(), Outcome::Abort));
}

#[test]
fn content_that_fails_is_answered_by_its_reason() {
    for (error, status) in [
        (
            BodyError::Refused {
                status: StatusCode::BAD_REQUEST,
                reason: "truncated",
            },
            400,
        ),
        (BodyError::TimedOut, 408),
        (BodyError::TooLarge, 413),
    ] {
        let (app, mut exchange) = build(async |cx: &mut Context| cx.body().await);
        let channel = exchange.channel();
        channel.begin(BodyLength::Unknown);
        {
            let mut response = pin!(app.respond(&mut exchange));
            assert!(poll(response.as_mut(), Waker::noop()).is_pending());
            channel.push_data(b"half");
            channel.fail_body(error);
            assert!(poll(response.as_mut(), Waker::noop()).is_ready());
        }
        let Outcome::Respond { head: Some(head), .. } = exchange.outcome() else {
            panic!("{error:?}")
        };
        assert_eq!(head.status, status);
    }
}

/// Tornado's `on_connection_close`: a handler that works on something else sees the peer leave, and continues.
#[test]
fn a_handler_can_await_the_peer_leaving_beside_its_work() {
    let (app, mut exchange) = build(async |cx: &mut Context| -> Result<&'static str> {
        let closed = cx.closed();
        let work = pin!(core::future::pending::<()>());
        match select(closed, work).await {
            Either::Left(_) => Ok("tidied up"),
            Either::Right(_) => Ok("done"),
        }
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    {
        let mut response = pin!(app.respond(&mut exchange));
        assert!(poll(response.as_mut(), &waker).is_pending());
        channel.close();
        assert_eq!(counter.take(), 1);
        assert!(poll(response.as_mut(), &waker).is_ready());
    }
    assert!(matches!(
        exchange.outcome(),
        Outcome::Respond { body: b"tidied up", .. }
    ));
}

/// A future that outlives its request must not wait for the peer of another request.
#[test]
fn a_closed_future_ends_with_its_request() {
    let kept = Rc::new(Cell::new(None));
    let (app, mut exchange) = build({
        let kept = Rc::clone(&kept);
        async move |cx: &mut Context| kept.set(Some(cx.closed()))
    });
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    assert!(poll(pin!(app.respond(&mut exchange)), Waker::noop()).is_ready());
    let mut closed = kept.take().unwrap();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    assert!(poll(Pin::new(&mut closed), &waker).is_pending());
    exchange.reset();
    assert_eq!(counter.take(), 1);
    assert!(poll(Pin::new(&mut closed), &waker).is_ready());
}
