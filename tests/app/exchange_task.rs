//! Exchanges that run in tasks of their own: many requests of one connection at once, without a socket.
//!
//! The test is the task of the connection. It holds only the channel of each exchange, and runs the others on a small
//! executor.

use core::cell::{Cell, RefCell};
use core::future::{Future, pending, poll_fn};
use core::pin::Pin;
use core::task::{Context as Task, Poll, Waker};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;

use bytes::Bytes;
use futures_util::stream;
use squall::app::{
    App, BodyLength, Channel, Completion, Exchange, ExchangeTask, Flush, Outcome, PeerGone, ResponseEnd, TaskState,
};
use squall::message::{Headers, TargetForm};
use squall::prelude::*;

/// How many bytes of content are read ahead, as documented.
const WINDOW_BYTES: usize = 64 * 1024;

/// A waker that counts its wake-ups.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that was woken since its last poll.
struct Runnable(AtomicBool);

impl Wake for Runnable {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Spawned {
    future: Pin<Box<dyn Future<Output = ()>>>,
    runnable: Arc<Runnable>,
}

/// An executor of one thread. It polls only tasks that were woken, so a wake-up that is missing stops its task.
#[derive(Default)]
struct Executor(RefCell<Vec<Option<Spawned>>>);

impl Executor {
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> usize {
        let mut tasks = self.0.borrow_mut();
        tasks.push(Some(Spawned {
            future: Box::pin(future),
            runnable: Arc::new(Runnable(AtomicBool::new(true))),
        }));
        tasks.len() - 1
    }

    /// Polls woken tasks until none is.
    fn run(&self) {
        let mut has_run = true;
        while has_run {
            has_run = false;
            for task in self.0.borrow_mut().iter_mut() {
                let Some(Spawned { future, runnable }) = task else {
                    continue;
                };
                if !runnable.0.swap(false, Ordering::Relaxed) {
                    continue;
                }
                has_run = true;
                let waker = Waker::from(Arc::clone(runnable));
                if future.as_mut().poll(&mut Task::from_waker(&waker)).is_ready() {
                    *task = None;
                }
            }
        }
    }

    /// Drops a task in the middle.
    fn drop_task(&self, index: usize) {
        let task = self.0.borrow_mut().get_mut(index).and_then(Option::take);
        drop(task);
    }
}

/// One connection: the channels of its exchanges, as HTTP/2 holds them for its streams.
struct Connection {
    app: Rc<App>,
    executor: Executor,
    waker: Arc<Counter>,
    /// The exchanges that tasks have returned, for the next requests.
    #[expect(
        clippy::vec_box,
        reason = "a task takes its exchange in a box, so the box is used again"
    )]
    pool: Rc<RefCell<Vec<Box<Exchange>>>>,
}

impl Connection {
    fn new(application: Application) -> Self {
        Self {
            app: application.build().unwrap(),
            executor: Executor::default(),
            waker: Arc::default(),
            pool: Rc::default(),
        }
    }

    fn exchange(&self, method: Method, path: &str) -> Box<Exchange> {
        let pooled = self.pool.borrow_mut().pop();
        let mut exchange = pooled.unwrap_or_else(|| Box::new(Exchange::new(self.app.shared())));
        exchange
            .head_mut()
            .rewrite()
            .method(method)
            .bytes(path.as_bytes())
            .target(TargetForm::Origin, path)
            .path(0..path.len(), None);
        exchange
    }

    /// Starts a request, as far as its handler comes by itself.
    fn start(&self, method: Method, path: &str, length: BodyLength) -> (Rc<Channel>, usize) {
        let exchange = self.exchange(method, path);
        let channel = exchange.channel();
        channel.begin(length);
        let mut task = ExchangeTask::new(Rc::clone(&self.app), exchange);
        channel.set_waker(&Waker::from(Arc::clone(&self.waker)));
        let pool = Rc::clone(&self.pool);
        let index = self.executor.spawn(async move {
            task.answer().await;
            let exchange = task.deliver().await;
            pool.borrow_mut().push(exchange);
        });
        self.executor.run();
        (channel, index)
    }

    fn get(&self, path: &str) -> Rc<Channel> {
        self.start(Method::GET, path, BodyLength::Empty).0
    }

    fn post(&self, path: &str) -> Rc<Channel> {
        self.start(Method::POST, path, BodyLength::Unknown).0
    }

    /// How often the exchanges have woken the connection since the last call.
    fn wakes(&self) -> usize {
        self.waker.0.swap(0, Ordering::Relaxed)
    }

    /// Reports a flush as sent, and runs what that wakes.
    fn sent(&self, channel: &Channel, flush: Flush) {
        channel.flushed(flush.data, Ok(()));
        self.executor.run();
    }

    /// Takes and sends flushes until the response ends. Returns status, content and end.
    fn receive(&self, channel: &Channel) -> (Option<StatusCode>, Vec<u8>, Option<ResponseEnd>) {
        let (mut status, mut content) = (None, Vec::new());
        while let Some(mut flush) = channel.take_flush() {
            status = status.or_else(|| flush.head.take().map(|head| head.status));
            content.extend_from_slice(&flush.data);
            let end = flush.end.take();
            self.sent(channel, flush);
            if end.is_some() {
                return (status, content, end);
            }
        }
        (status, content, None)
    }
}

fn complete() -> Option<ResponseEnd> {
    Some(ResponseEnd::Complete {
        trailers: Headers::new(),
    })
}

/// Answers each piece of content with a flush.
async fn echo(cx: &mut Context) -> Result {
    while let Some(piece) = cx.next_chunk().await? {
        cx.write(piece);
        cx.flush().await?;
    }
    cx.write("!");
    Ok(())
}

/// Sets a flag when it is dropped.
struct DropFlag(Rc<Cell<bool>>);

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Runs a function as its GET and notes in `on_finish` how the response ended.
struct Noted<F> {
    get: F,
    endings: Rc<RefCell<Vec<Completion>>>,
}

impl<F: AsyncFn(&mut Context) -> Result + 'static> RequestHandler for Noted<F> {
    async fn get(&self, cx: &mut Context) -> Result {
        (self.get)(cx).await
    }

    async fn on_finish(&self, cx: &mut Context) {
        self.endings.borrow_mut().push(cx.completion());
    }
}

fn noted<F: AsyncFn(&mut Context) -> Result + 'static>(get: F) -> (Connection, Rc<RefCell<Vec<Completion>>>) {
    let endings = Rc::default();
    let handler = Noted {
        get,
        endings: Rc::clone(&endings),
    };
    (Connection::new(Application::new().route("/", handler)), endings)
}

#[test]
fn many_exchanges_of_one_connection_run_at_once() {
    let connection = Connection::new(Application::new().post("/", echo));
    let channels: Vec<_> = (0..3).map(|_| connection.post("/")).collect();
    assert_eq!(
        connection.wakes(),
        3,
        "each handler that wants content wakes the connection"
    );
    // The last request goes on first, and content of all of them is under way at once.
    for (index, channel) in channels.iter().enumerate().rev() {
        assert!(channel.wants_body());
        channel.push_data(format!("piece {index}").as_bytes());
    }
    connection.executor.run();
    for (index, channel) in channels.iter().enumerate() {
        let flush = channel.take_flush().unwrap();
        assert_eq!(flush.head.as_ref().unwrap().status, 200);
        assert_eq!(flush.data, format!("piece {index}").as_bytes());
        connection.sent(channel, flush);
    }
    assert!(
        connection.wakes() >= 6,
        "a flush wakes the connection, and so does the next wish"
    );
    // They end in another order than they began.
    for index in [1, 2, 0] {
        channels[index].end_body();
        connection.executor.run();
        assert!(connection.wakes() > 0, "the end of a response wakes the connection");
        assert_eq!(connection.receive(&channels[index]), (None, b"!".to_vec(), complete()));
        assert_eq!(channels[index].task_state(), TaskState::Ended);
    }
    assert_eq!(connection.pool.borrow().len(), 3, "every exchange can serve again");
}

#[test]
fn content_that_comes_before_the_handler_reads_waits_in_the_channel() {
    let gate = Rc::new(Cell::new(false));
    let opened = Rc::clone(&gate);
    let connection = Connection::new(
        Application::new().post("/", async move |cx: &mut Context| -> Result<String> {
            let closed = cx.closed();
            poll_fn(|_| if opened.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            drop(closed);
            Ok(cx.body().await?.len().to_string())
        }),
    );
    let (channel, _) = connection.start(Method::POST, "/", BodyLength::Known(70_000));
    assert_eq!(connection.wakes(), 0, "the handler does not read");
    channel.push_data(&[0; WINDOW_BYTES]);
    assert_eq!(channel.unread_bytes(), WINDOW_BYTES);
    assert!(!channel.wants_body(), "the handler has not asked");
    gate.set(true);
    connection
        .executor
        .0
        .borrow()
        .iter()
        .flatten()
        .for_each(|task| task.runnable.0.store(true, Ordering::Relaxed));
    connection.executor.run();
    assert!(connection.wakes() > 0, "the handler wants the rest");
    assert!(channel.wants_body());
    channel.push_data(&[0; 70_000 - WINDOW_BYTES]);
    channel.end_body();
    connection.executor.run();
    assert_eq!(channel.unread_bytes(), 0);
    assert_eq!(
        connection.receive(&channel),
        (Some(StatusCode::OK), b"70000".to_vec(), complete())
    );
}

#[test]
fn taken_content_wakes_the_connection_to_grant_more() {
    let work = Rc::new(Cell::new(0));
    let count = Rc::clone(&work);
    let connection = Connection::new(Application::new().post("/", async move |cx: &mut Context| -> Result {
        cx.next_chunk().await?;
        count.set(count.get() + 1);
        pending().await
    }));
    let channel = connection.post("/");
    channel.push_data(&[0; WINDOW_BYTES]);
    assert!(!channel.wants_body());
    connection.wakes();
    connection.executor.run();
    assert_eq!(work.get(), 1, "the handler works on something else");
    assert!(connection.wakes() > 0);
    assert!(channel.wants_body(), "the window is empty again");
}

#[test]
fn a_slow_peer_holds_back_one_handler_and_no_other() {
    let connection = Connection::new(Application::new().post("/", echo));
    let (slow, fast) = (connection.post("/"), connection.post("/"));
    for channel in [&slow, &fast] {
        channel.push_data(b"one");
    }
    connection.executor.run();
    let held = slow.take_flush().unwrap();
    slow.push_data(b"two");
    connection.executor.run();
    assert!(slow.take_flush().is_none(), "the handler waits for its first flush");
    let (_, content, end) = connection.receive(&fast);
    assert_eq!((content, end), (b"one".to_vec(), None));
    fast.end_body();
    connection.executor.run();
    assert_eq!(connection.receive(&fast).2, complete());
    assert_eq!(fast.task_state(), TaskState::Ended);
    connection.sent(&slow, held);
    assert_eq!(slow.take_flush().unwrap().data, b"two");
}

#[test]
fn the_rest_of_a_response_moves_without_a_copy_and_names_its_length() {
    let place = Rc::new(Cell::new(core::ptr::null()));
    let seen = Rc::clone(&place);
    let connection = Connection::new(Application::new().get("/", async move |cx: &mut Context| -> Result {
        let content = vec![b'x'; 200_000];
        seen.set(content.as_ptr());
        cx.write_body(content);
        cx.add_trailer("x-sum", "7")
    }));
    let channel = connection.get("/");
    let flush = channel.take_flush().unwrap();
    assert_eq!(flush.content_length, Some(200_000));
    assert_eq!((flush.data.len(), flush.data.as_ptr()), (200_000, place.get()));
    let Some(ResponseEnd::Complete { trailers }) = &flush.end else {
        panic!("{:?}", flush.end)
    };
    assert_eq!(trailers.len(), 1);
    assert_eq!(channel.task_state(), TaskState::Running, "the response is not sent yet");
    connection.sent(&channel, flush);
    assert_eq!(channel.task_state(), TaskState::Ended);
}

#[test]
fn the_head_of_a_task_carries_cookies_and_the_type_of_its_content() {
    let (connection, _) = noted(async |cx: &mut Context| {
        cx.cookies().set(Cookie::new("user", "ada"))?;
        cx.write("text");
        Ok(())
    });
    let channel = connection.get("/");
    let flush = channel.take_flush().unwrap();
    let head = flush.head.as_ref().unwrap();
    assert!(head.content_type.is_some());
    assert!(head.headers.contains(&header::SET_COOKIE));
    connection.sent(&channel, flush);
}

#[test]
fn a_response_to_head_has_the_length_and_never_polls_a_stream() {
    let application =
        Application::new()
            .get("/", async |_: &mut Context| "Hello")
            .get("/s", async |cx: &mut Context| {
                cx.stream(stream::poll_fn(|_| -> Poll<Option<Result<Bytes>>> { panic!("polled") }));
            });
    let connection = Connection::new(application);
    let (channel, _) = connection.start(Method::HEAD, "/", BodyLength::Empty);
    let flush = channel.take_flush().unwrap();
    assert_eq!((flush.content_length, &flush.end), (Some(5), &complete()));
    let (channel, _) = connection.start(Method::HEAD, "/s", BodyLength::Empty);
    let flush = channel.take_flush().unwrap();
    assert_eq!((flush.content_length, &flush.end), (None, &complete()));
}

#[test]
fn a_stream_gathers_what_is_ready_and_waits_for_the_peer() {
    let drawn = Rc::new(Cell::new(0));
    let count = Rc::clone(&drawn);
    let connection = Connection::new(Application::new().get("/", async move |cx: &mut Context| {
        let count = Rc::clone(&count);
        cx.stream(stream::poll_fn(move |_| {
            count.set(count.get() + 1);
            let chunk = || Ok::<_, Error>(Bytes::from(vec![b'x'; 16 * 1024]));
            Poll::Ready((count.get() <= 10).then(chunk))
        }));
    }));
    let channel = connection.get("/");
    let flush = channel.take_flush().unwrap();
    assert!(flush.head.is_some() && flush.data.is_empty() && flush.content_length.is_none());
    assert_eq!(drawn.get(), 0, "the head leaves first");
    connection.sent(&channel, flush);
    assert_eq!(drawn.get(), 4, "one flush of 64 KiB");
    let flush = channel.take_flush().unwrap();
    assert_eq!((flush.data.len(), &flush.end), (64 * 1024, &None));
    connection.executor.run();
    assert_eq!(drawn.get(), 4, "the peer has not taken it");
    connection.sent(&channel, flush);
    let (_, content, end) = connection.receive(&channel);
    assert_eq!((content.len(), end), (6 * 16 * 1024, complete()));
}

#[test]
fn a_stream_that_fails_breaks_its_response_off() {
    let (connection, endings) = noted(async |cx: &mut Context| {
        cx.stream(stream::iter([Ok(Bytes::from("half")), Err("no more")]));
        Ok(())
    });
    let (status, content, end) = connection.receive(&connection.get("/"));
    assert_eq!((status, content), (Some(StatusCode::OK), b"half".to_vec()));
    assert_eq!(end, Some(ResponseEnd::BrokenOff));
    assert_eq!(*endings.borrow(), [Completion::BrokenOff]);
}

#[test]
fn a_panic_is_a_500_of_its_exchange_alone() {
    let application = Application::new()
        .post("/", echo)
        .post("/bad", async |cx: &mut Context| -> Result {
            cx.next_chunk().await?;
            panic!("on purpose")
        });
    let connection = Connection::new(application);
    let (good, bad) = (connection.post("/"), connection.post("/bad"));
    bad.push_data(b"x");
    good.push_data(b"x");
    connection.executor.run();
    assert_eq!(connection.receive(&bad).0, Some(StatusCode::INTERNAL_SERVER_ERROR));
    good.end_body();
    connection.executor.run();
    assert_eq!(
        connection.receive(&good),
        (Some(StatusCode::OK), b"x!".to_vec(), complete())
    );
}

#[test]
fn every_wait_ends_when_the_peer_goes_and_the_handler_runs_to_its_end() {
    let steps = Rc::new(Cell::new(0));
    let count = Rc::clone(&steps);
    let (connection, endings) = noted(async move |cx: &mut Context| {
        cx.write("x");
        let flushed = cx.flush().await;
        assert!(flushed.unwrap_err().is_peer_gone());
        assert!(cx.body().await.unwrap_err().is_peer_gone());
        cx.closed().await;
        count.set(count.get() + 1);
        Ok(())
    });
    let channels: Vec<_> = (0..3)
        .map(|_| connection.start(Method::GET, "/", BodyLength::Unknown).0)
        .collect();
    for channel in &channels {
        channel.close();
    }
    connection.executor.run();
    assert_eq!(steps.get(), 3);
    assert!(channels.iter().all(|channel| channel.task_state() == TaskState::Ended));
    assert!(channels.iter().all(|channel| channel.take_flush().is_none()));
    assert_eq!(*endings.borrow(), [Completion::PeerGone; 3]);
}

#[test]
fn a_peer_that_takes_too_little_breaks_the_response_off() {
    for is_stream in [false, true] {
        let (connection, endings) = noted(async move |cx: &mut Context| {
            cx.write("content");
            if is_stream {
                cx.stream(stream::pending::<Result<Bytes>>());
            }
            Ok(())
        });
        let channel = connection.get("/");
        let flush = channel.take_flush().unwrap();
        if is_stream {
            connection.sent(&channel, flush);
        }
        channel.break_off();
        connection.executor.run();
        assert_eq!(channel.task_state(), TaskState::Ended, "stream: {is_stream}");
        assert_eq!(*endings.borrow(), [Completion::BrokenOff], "stream: {is_stream}");
    }
}

#[test]
fn a_flush_that_is_never_sent_ends_the_exchange() {
    let (connection, endings) = noted(async |_: &mut Context| Ok(()));
    let channel = connection.get("/");
    let flush = channel.take_flush().unwrap();
    channel.flushed(flush.data, Err(PeerGone));
    connection.executor.run();
    assert_eq!(channel.task_state(), TaskState::Ended);
    assert_eq!(*endings.borrow(), [Completion::PeerGone]);
}

#[test]
fn a_cancelled_exchange_drops_its_handler_at_once() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let (connection, endings) = noted(async move |_: &mut Context| {
        let _flag = DropFlag(Rc::clone(&flag));
        pending().await
    });
    let (cancelled, other) = (connection.get("/"), connection.get("/"));
    cancelled.cancel();
    connection.wakes();
    connection.executor.run();
    assert!(dropped.take());
    assert_eq!(cancelled.task_state(), TaskState::Ended);
    assert_eq!(connection.wakes(), 1, "the end wakes the connection");
    assert!(cancelled.take_flush().is_none());
    assert_eq!(*endings.borrow(), [Completion::PeerGone]);
    assert_eq!(other.task_state(), TaskState::Running);
}

#[test]
fn an_exchange_cancelled_in_its_response_drops_the_stream() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let (connection, endings) = noted(async move |cx: &mut Context| {
        let flag = DropFlag(Rc::clone(&flag));
        cx.stream(stream::poll_fn(move |_| -> Poll<Option<Result<Bytes>>> {
            let _held = &flag;
            Poll::Pending
        }));
        Ok(())
    });
    let channel = connection.get("/");
    let flush = channel.take_flush().unwrap();
    connection.sent(&channel, flush);
    assert!(!dropped.get());
    channel.cancel();
    connection.executor.run();
    assert!(dropped.get());
    assert_eq!(*endings.borrow(), [Completion::PeerGone]);
}

#[test]
fn a_task_that_is_dropped_midway_tells_its_driver() {
    let dropped = Rc::new(Cell::new(false));
    let kept = Rc::new(Cell::new(None));
    let (flag, keep) = (Rc::clone(&dropped), Rc::clone(&kept));
    let (connection, endings) = noted(async move |cx: &mut Context| {
        let _flag = DropFlag(Rc::clone(&flag));
        keep.set(Some(cx.closed()));
        pending().await
    });
    let (channel, index) = connection.start(Method::GET, "/", BodyLength::Empty);
    assert_eq!(channel.task_state(), TaskState::Running);
    connection.executor.drop_task(index);
    assert!(dropped.get());
    assert_eq!(channel.task_state(), TaskState::Dropped);
    assert_eq!(connection.wakes(), 1);
    assert!(endings.borrow().is_empty());
    let mut closed = kept.take().unwrap();
    let polled = Pin::new(&mut closed).poll(&mut Task::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "no wait for that peer goes on");
}

#[test]
fn a_driver_that_holds_on_sees_nothing_of_the_next_request() {
    let connection = Connection::new(Application::new().post("/", echo));
    let first = connection.post("/");
    first.end_body();
    connection.executor.run();
    assert_eq!(connection.receive(&first).2, complete());
    let second = connection.post("/");
    assert!(connection.pool.borrow().is_empty(), "the exchange serves again");
    assert!(!Rc::ptr_eq(&first, &second));
    second.push_data(b"x");
    connection.executor.run();
    assert!(first.take_flush().is_none());
    assert_eq!(first.task_state(), TaskState::Ended);
    assert!(second.take_flush().is_some());
}

#[test]
fn a_driver_that_lets_go_leaves_its_channel_to_the_next_request() {
    let connection = Connection::new(Application::new().get("/", async |_: &mut Context| "Hello"));
    let channel = connection.get("/");
    let place = Rc::as_ptr(&channel);
    let flush = channel.take_flush().unwrap();
    channel.flushed(flush.data, Ok(()));
    drop(channel);
    connection.executor.run();
    assert_eq!(Rc::as_ptr(&connection.get("/")), place, "nothing was allocated");
}

/// The first poll is the driver's own: most handlers end with it and need no task.
#[test]
fn an_answer_at_once_needs_no_task_and_no_channel() {
    let connection = Connection::new(Application::new().get("/", async |_: &mut Context| "Hello"));
    let exchange = connection.exchange(Method::GET, "/");
    let channel = exchange.channel();
    channel.begin(BodyLength::Empty);
    let mut task = ExchangeTask::new(Rc::clone(&connection.app), exchange);
    let answered = Box::pin(async move {
        task.answer().await;
        task
    });
    let polled = { answered }.as_mut().poll(&mut Task::from_waker(Waker::noop()));
    let Poll::Ready(mut task) = polled else {
        panic!("the handler waits")
    };
    assert!(channel.take_flush().is_none());
    let Outcome::Respond {
        head: Some(_), body, ..
    } = task.exchange_mut().outcome()
    else {
        panic!("aborted")
    };
    assert_eq!(body, b"Hello");
    let mut exchange = task.into_exchange();
    assert_eq!(channel.task_state(), TaskState::Ended);
    exchange.reset();
}

/// The connection polls the handler first and hands it to a task when it waits: no step is lost in between.
#[test]
fn a_handler_that_waits_moves_to_a_task_after_its_first_poll() {
    let connection = Connection::new(Application::new().post("/", echo));
    let exchange = connection.exchange(Method::POST, "/");
    let channel = exchange.channel();
    channel.begin(BodyLength::Unknown);
    let mut task = ExchangeTask::new(Rc::clone(&connection.app), exchange);
    let mut answering = Box::pin(async move {
        task.answer().await;
        task
    });
    assert!(
        answering
            .as_mut()
            .poll(&mut Task::from_waker(Waker::noop()))
            .is_pending()
    );
    channel.set_waker(&Waker::from(Arc::clone(&connection.waker)));
    assert!(channel.wants_body(), "seen by the look after `set_waker`");
    connection.executor.spawn(async move {
        answering.await.deliver().await;
    });
    channel.push_data(b"moved");
    connection.executor.run();
    channel.end_body();
    assert!(connection.wakes() > 0);
    let (status, content, _) = connection.receive(&channel);
    assert_eq!((status, content), (Some(StatusCode::OK), b"moved!".to_vec()));
}

/// The watchdog names the route of the handler that runs, whichever task it runs in.
#[test]
fn the_active_route_follows_the_handler_that_is_polled() {
    let application = Application::new().post("/one", echo).post("/two", echo);
    let connection = Connection::new(application);
    let place = Arc::new(AtomicUsize::new(usize::MAX));
    connection.app.shared().report_active_route_to(Arc::clone(&place));
    let one = connection.post("/one");
    let route = place.load(Ordering::Relaxed);
    let _two = connection.post("/two");
    assert_ne!(place.load(Ordering::Relaxed), route);
    one.push_data(b"x");
    connection.executor.run();
    assert_eq!(place.load(Ordering::Relaxed), route);
    place.store(usize::MAX, Ordering::Relaxed);
    connection.receive(&one);
    one.end_body();
    connection.executor.run();
    assert_eq!(place.load(Ordering::Relaxed), route, "also while its response is sent");
}

/// Requests in turn through one pooled exchange, each with its own wishes and its own end.
#[test]
fn an_exchange_serves_request_after_request() {
    let connection = Connection::new(Application::new().post("/", echo));
    let mut open: VecDeque<_> = (0..2).map(|_| connection.post("/")).collect();
    for number in 0..20 {
        let channel = open.pop_front().unwrap();
        let piece = number.to_string();
        channel.push_data(piece.as_bytes());
        connection.executor.run();
        channel.end_body();
        connection.executor.run();
        let (status, content, end) = connection.receive(&channel);
        assert_eq!((status, end), (Some(StatusCode::OK), complete()));
        assert_eq!(content, format!("{piece}!").as_bytes());
        drop(channel);
        open.push_back(connection.post("/"));
    }
    assert_eq!(connection.pool.borrow().len(), 0, "two exchanges serve all of them");
}
