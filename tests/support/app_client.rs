//! Calls the application layer without a server: what tests of that layer alone use.
//!
//! It drives an [`Exchange`] as a connection does. One exchange serves all requests of a client and is reset in
//! between. So a test detects state that leaks from one request into the next.

#![allow(dead_code, reason = "each test binary uses its own part of the client")]

use core::cell::RefCell;
use core::fmt;
use core::net::SocketAddr;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context as Task, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::Wake;

use squall::app::{App, BodyLength, Channel, Exchange, Outcome, Peer};
use squall::message::{
    BodyStream, HeaderName, HeaderValue, Headers, Method, RequestHead, StatusCode, TargetForm, Version,
};
use squall::{Application, Error, Result};

/// How long the client waits for a handler that waits for neither its content nor its flush: 10 s.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls an application.
pub(crate) struct AppClient {
    app: Rc<App>,
    exchange: RefCell<Exchange>,
}

/// A request under construction.
#[must_use = "a request does nothing until it is sent"]
pub(crate) struct AppRequest<'a> {
    client: &'a AppClient,
    method: Method,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    pieces: VecDeque<Vec<u8>>,
    length: BodyLength,
    trailers: Headers,
    peer: Peer,
}

/// A response as a client receives it.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppResponse {
    status: StatusCode,
    headers: Headers,
    content: Vec<u8>,
    flushes: Vec<Vec<u8>>,
    trailers: Headers,
    aborted: bool,
}

impl AppClient {
    /// Builds an application and makes a client for it.
    ///
    /// # Errors
    ///
    /// As [`Application::build`].
    pub(crate) fn new(application: Application) -> Result<Self> {
        let app = application.build()?;
        let exchange = RefCell::new(Exchange::new(app.shared()));
        Ok(Self { app, exchange })
    }

    /// Returns the application under test.
    #[must_use]
    pub(crate) fn app(&self) -> &Rc<App> {
        &self.app
    }

    /// Starts a GET.
    pub(crate) fn get(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::GET, target)
    }

    /// Starts a POST.
    pub(crate) fn post(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::POST, target)
    }

    /// Starts a PUT.
    pub(crate) fn put(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// Starts a PATCH.
    pub(crate) fn patch(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// Starts a DELETE.
    pub(crate) fn delete(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// Starts a HEAD.
    pub(crate) fn head(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// Starts an OPTIONS.
    pub(crate) fn options(&self, target: &str) -> AppRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Starts a request of any method; `target` is a path with an optional query, or `*`, and is sent unchanged.
    pub(crate) fn request(&self, method: Method, target: &str) -> AppRequest<'_> {
        AppRequest {
            client: self,
            method,
            target: target.to_owned(),
            // Error pages in plain text are easy to compare.
            headers: [("host", "localhost"), ("accept", "text/plain")]
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .to_vec(),
            pieces: VecDeque::new(),
            length: BodyLength::Empty,
            trailers: Headers::new(),
            peer: Peer {
                address: Some(SocketAddr::from(([127, 0, 0, 1], 54321))),
                is_secure: false,
            },
        }
    }
}

impl AppRequest<'_> {
    /// Adds a field line; `host` and `accept` replace the default ones.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = name.to_ascii_lowercase();
        let is_default = name == "host" || name == "accept";
        self.headers.retain(|(other, _)| !is_default || *other != name);
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Adds a cookie in a field line of its own, without escaping.
    pub(crate) fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// Sets the content, sent as one piece with its length.
    pub(crate) fn body(mut self, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.length = BodyLength::Known(content.len() as u64);
        self.pieces = VecDeque::from([content]);
        self
    }

    /// Sets the content, sent in chunks without a length.
    pub(crate) fn chunks<T: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = T>) -> Self {
        self.length = BodyLength::Unknown;
        self.pieces = chunks.into_iter().map(Into::into).collect();
        self
    }

    /// Announces a length that may differ from that of the content.
    pub(crate) fn announced(mut self, length: BodyLength) -> Self {
        self.length = length;
        self
    }

    /// Adds a trailer field, sent after the content.
    pub(crate) fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.add(name, value);
        self
    }

    /// Sets the sender, instead of an unencrypted connection from 127.0.0.1.
    pub(crate) fn peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    /// Sends the request and runs it to its end.
    ///
    /// # Errors
    ///
    /// The handler waits 10 s for something other than its content or its flush.
    pub(crate) fn send(mut self) -> Result<AppResponse> {
        let app = &self.client.app;
        let mut exchange = self.client.exchange.borrow_mut();
        exchange.reset();
        self.write_head(exchange.head_mut());
        exchange.set_peer(self.peer);
        let channel = exchange.channel();
        channel.begin(self.length);

        let mut response = AppResponse::default();
        run(app.respond(&mut exchange), || {
            let fed = self.feed(&channel);
            response.take_flushes(&channel) || fed
        })?;
        response.take_flushes(&channel);
        match exchange.outcome() {
            Outcome::Abort => response.aborted = true,
            Outcome::Respond {
                head,
                body,
                stream,
                trailers,
                ..
            } => {
                if let Some(head) = head {
                    response.status = head.status;
                    response.headers = head.fields();
                }
                response.content.extend_from_slice(body);
                response.trailers = trailers.clone();
                if let Some(stream) = stream {
                    response.draw(app, stream)?;
                }
            }
        }
        if let Some(on_finish) = app.finished(&mut exchange) {
            run(on_finish, || false)?;
        }
        // Drops the values of this request now, before the test checks for them.
        exchange.reset();
        if self.method == Method::HEAD {
            response.content.clear();
        }
        Ok(response)
    }

    /// Writes the head as the parser would.
    fn write_head(&self, head: &mut RequestHead) {
        let mut bytes = self.target.clone().into_bytes();
        let mut append = |text: &[u8]| -> Range<usize> {
            let start = bytes.len();
            bytes.extend_from_slice(text);
            start..bytes.len()
        };
        let fields: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (append(name.as_bytes()), append(value)))
            .collect();
        let hosts = self.headers.iter().zip(&fields).filter(|((name, _), _)| name == "host");
        let authority = hosts.map(|(_, (_, value))| value.clone()).next().unwrap_or_default();
        let form = if self.target == "*" {
            TargetForm::Asterisk
        } else {
            TargetForm::Origin
        };
        let target_end = self.target.len();
        let (path, query) = match self.target.find('?') {
            Some(mark) => (0..mark, Some(mark + 1..target_end)),
            None => (0..target_end, None),
        };
        let mut builder = head.rewrite();
        builder
            .bytes(&bytes)
            .method(self.method.clone())
            .version(Version::Http11)
            .target(form, &self.target)
            .authority(authority)
            .path(path, query);
        for (name, value) in fields {
            builder.field(name, value);
        }
    }

    /// Gives the handler the next piece of content if it wants one, and returns whether it did.
    fn feed(&mut self, channel: &Channel) -> bool {
        if !channel.wants_body() {
            return false;
        }
        match self.pieces.pop_front() {
            Some(piece) => channel.push_data(&piece),
            None => {
                for (name, value) in self.trailers.iter() {
                    channel.push_trailer(name.clone(), value.clone());
                }
                channel.end_body();
            }
        }
        true
    }
}

impl AppResponse {
    /// Returns the status.
    #[must_use]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the fields that the application set, without those of the framing.
    #[must_use]
    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the first value of a field if it is text.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&HeaderName::try_from(name).ok()?)?.to_str().ok()
    }

    /// Returns the content, which is empty for HEAD.
    #[must_use]
    pub(crate) fn body(&self) -> &[u8] {
        &self.content
    }

    /// Returns the content as text; invalid UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// Returns the content of each flush, in order.
    #[must_use]
    pub(crate) fn flushes(&self) -> &[Vec<u8>] {
        &self.flushes
    }

    /// Returns the trailer fields.
    #[must_use]
    pub(crate) fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Returns whether the connection was closed in the middle of the response.
    #[must_use]
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Takes what the handler flushed, and returns whether there was anything.
    fn take_flushes(&mut self, channel: &Channel) -> bool {
        let mut any = false;
        while let Some(flush) = channel.take_flush() {
            if let Some(head) = flush.head {
                self.status = head.status;
                self.headers = head.fields();
            }
            self.content.extend_from_slice(&flush.data);
            self.flushes.push(flush.data.clone());
            channel.flushed(flush.data, Ok(()));
            any = true;
        }
        any
    }

    /// Polls a stream until it ends or fails.
    fn draw(&mut self, app: &App, mut stream: BodyStream) -> Result {
        let drawn = core::future::poll_fn(|task| {
            loop {
                match core::task::ready!(app.shared().poll_stream(&mut stream, task)) {
                    Some(Ok(chunk)) => self.content.extend_from_slice(&chunk),
                    Some(Err(_)) => {
                        self.aborted = true;
                        return Poll::Ready(());
                    }
                    None => return Poll::Ready(()),
                }
            }
        });
        run(drawn, || false)
    }
}

/// Polls a future to its end. `step` moves data in between; when it has moved all data, the thread waits for the
/// future's waker.
fn run(future: impl Future<Output = ()>, mut step: impl FnMut() -> bool) -> Result {
    let (sender, woken) = sync_channel(1);
    let waker = Waker::from(Arc::new(ChannelWaker(sender)));
    let mut task = Task::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut task).is_pending() {
        if !step() && woken.recv_timeout(STALL_TIMEOUT).is_err() {
            return Err(Error::new(format!(
                "the handler made no progress for {STALL_TIMEOUT:?}"
            )));
        }
    }
    Ok(())
}

/// A waker that sends into a channel of capacity 1. A second wake before the first is received changes nothing.
struct ChannelWaker(SyncSender<()>);

impl Wake for ChannelWaker {
    fn wake(self: Arc<Self>) {
        let _ = self.0.try_send(());
    }
}

impl fmt::Debug for AppClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AppClient")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AppRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AppRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
