//! Clients: of WebSockets, for feeds between servers, for tools and for tests; and with the feature `client`, of HTTP.
//!
//! ```
//! use squall::prelude::*;
//! use squall::websocket::Message;
//! use squall::ClientOptions;
//! use squall::shards::{Builder, Stop};
//! use squall::websocket::DeflateConfig;
//!
//! struct Echo;
//!
//! impl WebSocketHandler for Echo {
//!     async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
//!         ws.send(message).await?;
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result {
//! let server = Server::new(|| Application::new().websocket("/echo", async |_: &mut Context| Ok(Echo)))
//!     .listen("127.0.0.1:0")
//!     .shards(1)
//!     .bind()?;
//! let address = server.local_addr()?;
//! let stopper = server.stopper();
//! let serving = std::thread::spawn(move || server.run().unwrap());
//!
//! // A client lives on a shard: in a handler, or on shards started for it.
//! Builder::new().shards(1).stop_on_signals(false).build()?.run(move |_| async move {
//!     let client = squall::connect(&format!("ws://{address}/echo")).await?;
//!     client.send("Hello").await?;
//!     assert_eq!(client.next().await, Some(Message::from("Hello")));
//!     client.close(1000, "done").await?;
//!
//!     let options = ClientOptions::default().deflate(DeflateConfig::default()).subprotocol("chat.2");
//!     let client = options.connect(&format!("ws://{address}/echo")).await?;
//!     assert_eq!(client.subprotocol(), None); // this server chooses none
//!     client.send("Hello ".repeat(1000)).await?;
//!     assert_eq!(client.next().await, Some(Message::from("Hello ".repeat(1000))));
//!     Ok(())
//! })?;
//!
//! stopper.stop(Stop::Graceful);
//! # serving.join().unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! | step | file |
//! |---|---|
//! | configure | `options`, `url` |
//! | connect, with TLS for `wss` | `connect`, `tls` |
//! | shake hands, with a random nonce | `opening`, `random` |
//! | drive the socket in a task of its own | `src/transport/websocket.rs` |
//! | hold a received message for the [`WebSocketClient`] | `inbox`, `socket` |

mod connect;
mod error;
#[cfg(feature = "client")]
mod http;
#[cfg(feature = "oidc")]
pub mod login;
mod tls;
mod url;
mod websocket;

#[cfg(feature = "client")]
pub use self::http::client::{Client, ClientBuilder};
#[cfg(feature = "client")]
pub use self::http::error::{DecompressError, FetchError, FetchFailure, Step};
#[cfg(feature = "client")]
pub use self::http::proxy::Proxy;
#[cfg(feature = "client")]
pub use self::http::request::Request;
#[cfg(feature = "client")]
pub use self::http::response::Response;
pub use crate::websocket::End;
pub use error::{ConnectError, ConnectFailure};
pub use tls::error::TlsError;
#[cfg(feature = "rustls")]
pub use tls::settings::ClientTls;
pub use websocket::options::ClientOptions;
pub use websocket::socket::WebSocketClient;

/// Opens a WebSocket at `ws://host:port/path?query`, on the calling shard.
///
/// With the feature `tls`, `wss` is a scheme too.
///
/// Use [`ClientOptions::connect`] for headers, subprotocols, compression and timeouts.
///
/// # Errors
///
/// See [`ConnectFailure`].
///
/// # Cancel safety
///
/// Dropped while it waits, the attempt is abandoned and its socket closed.
///
/// # Panics
///
/// When called on a thread that is not a shard's.
pub async fn connect(url: &str) -> Result<WebSocketClient, ConnectError> {
    ClientOptions::default().connect(url).await
}
