//! A test client that runs an application on shards of its own, and returns what a client would receive.
//!
//! [`TestClient`] starts a server without a listen address. Each connection is one end of a socket pair, and the shard
//! serves the other end as it serves any connection. So timers, topics, other shards and blocking work behave as in
//! production. All calls block the calling thread, and each has a timeout.
//!
//! ```
//! use std::time::Duration;
//! use squall::prelude::*;
//! use squall::shards::sleep;
//! use squall::testing::TestClient;
//!
//! async fn greet(cx: &mut Context) -> Result<String> {
//!     let name: String = cx.query_param("name")?;
//!     sleep(Duration::from_millis(1)).await;
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! async fn sum(Json(numbers): Json<Vec<u32>>) -> Json<u32> {
//!     Json(numbers.iter().sum())
//! }
//!
//! fn application() -> Application {
//!     Application::new().get("/greet", greet).put("/sum", sum)
//! }
//!
//! let client = TestClient::new(application)?;
//! assert_eq!(client.get("/greet?name=Ada").send()?.text(), "Hello, Ada!");
//! assert_eq!(client.get("/greet").send()?.status(), 400);
//! assert_eq!(client.post("/greet").send()?.header("allow"), Some("GET, HEAD, OPTIONS"));
//! assert_eq!(client.put("/sum").json(&[1, 2, 3]).send()?.json::<u32>()?, 6);
//! # Ok::<(), squall::Error>(())
//! ```
//!
//! | step | file |
//! |---|---|
//! | start the server, open connections | `client`, `connector`; `src/server/in_process.rs` |
//! | write a request | `request`, `multipart` |
//! | send and receive bytes, with a timeout | `wire` |
//! | read a response | `response`, `content` |
//! | speak HTTP/2 | `http2` |
//! | speak WebSocket, read events | `websocket`, `event_stream` |

mod client;
mod connector;
mod content;
mod event_stream;
mod http2;
mod multipart;
mod request;
mod response;
mod websocket;
mod wire;

pub use crate::memory::MemoryRefusal;
pub use client::TestClient;
pub use event_stream::{TestEvent, TestEventStream};
pub use request::TestRequest;
pub use response::TestResponse;
pub use websocket::TestWebSocket;
