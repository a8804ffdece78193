//! The client: it starts the application on shards and begins requests.

use std::fmt;
use std::time::Duration;

use squall_shards::{Driver, ShardId};

use super::connector::Connector;
use super::event_stream::TestEventStream;
use super::request::TestRequest;
use super::websocket::TestWebSocket;
use crate::app::Application;
use crate::error::Result;
use crate::message::Method;
use crate::server::{Publisher, Server};

/// How long a call waits by default: 10 s. A test waits for an answer within milliseconds, also on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs an application on shards of its own, and calls it.
///
/// Every request, WebSocket and event stream has a connection of its own. Cookies are not kept between requests.
/// Dropping the client stops the shards at once.
#[must_use = "a client calls nothing until a request is sent"]
pub struct TestClient {
    connector: Connector,
}

impl TestClient {
    /// Runs an application on one shard, with the epoll driver.
    ///
    /// It takes what [`Server::new`] takes: the function that builds the application.
    ///
    /// # Errors
    ///
    /// The application cannot be built, or the machine lacks what a shard needs.
    pub fn new(application: impl Fn() -> Application + Send + Sync + 'static) -> Result<Self> {
        Self::with_shards(1, application)
    }

    /// Runs an application on several shards, with the epoll driver.
    ///
    /// The first connection goes to the first shard, the next one to the next shard, and so on in turn.
    /// [`TestRequest::shard`] selects another.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_shards(count: usize, application: impl Fn() -> Application + Send + Sync + 'static) -> Result<Self> {
        let server = Server::new(application).shards(count);
        // Epoll is allowed in every container, and an idle shard with it holds no locked memory.
        Self::from_server(server.driver(Driver::Epoll))
    }

    /// Runs a server with its own settings: topics, limits, driver and number of shards.
    ///
    /// Its listen addresses are not bound, and signals do not stop it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); or a setting is invalid.
    pub fn from_server(server: Server) -> Result<Self> {
        let connector = Connector::new(server.start_in_process()?, TIMEOUT);
        Ok(Self { connector })
    }

    /// Sets how long each call waits for the application, 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connector.timeout = timeout;
        self
    }

    /// Starts a GET.
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::GET, target)
    }

    /// Starts a POST.
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::POST, target)
    }

    /// Starts a PUT.
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// Starts a PATCH.
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// Starts a DELETE.
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// Starts a HEAD.
    pub fn head(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// Starts an OPTIONS.
    pub fn options(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Starts a request of any method; `target` is a path with an optional query, or `*`, and is sent unchanged.
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_> {
        TestRequest::new(&self.connector, method, target)
    }

    /// Opens a WebSocket; [`TestRequest::websocket`] opens one with fields of its own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn websocket(&self, target: &str) -> Result<TestWebSocket> {
        self.get(target).websocket()
    }

    /// Opens a stream of Server-Sent Events; [`TestRequest::event_stream`] opens one with fields of its own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn event_stream(&self, target: &str) -> Result<TestEventStream> {
        self.get(target).event_stream()
    }

    /// Returns the handle that publishes to topics from this thread.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        self.connector.server.publisher()
    }

    /// Runs a closure on a shard, with the state of type `T` of that shard's application, and returns its result.
    ///
    /// # Errors
    ///
    /// As [`Context::on_shard`](crate::Context::on_shard).
    pub fn on_shard<T, R>(&self, shard: ShardId, work: impl FnOnce(&T) -> R + Send + 'static) -> Result<R>
    where
        T: 'static,
        R: Send + 'static,
    {
        pollster::block_on(self.connector.server.remote().on_shard(shard, work))
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestClient")
            .field("shards", &self.connector.server.shards())
            .field("timeout", &self.connector.timeout)
            .finish_non_exhaustive()
    }
}
