//! The HTTP client: requests to other servers, on the shard, over the same sockets and machines as the server.
//!
//! ```
//! use squall::client::Client;
//! use squall::prelude::*;
//! use squall::shards::{Builder, Stop};
//!
//! # fn main() -> Result {
//! let application = || Application::new().get("/", async |_: &mut Context| "Hello");
//! let server = Server::new(application).listen("127.0.0.1:0").shards(1).bind()?;
//! let url = format!("http://{}/", server.local_addr()?);
//! let stopper = server.stopper();
//! let serving = std::thread::spawn(move || server.run().unwrap());
//!
//! // A client lives on a shard: in a handler, or on shards started for it.
//! Builder::new().shards(1).stop_on_signals(false).build()?.run(move |_| {
//!     let url = url.clone();
//!     async move {
//!         let client = Client::new();
//!         let response = client.get(&url).send().await?;
//!         assert_eq!(response.status(), 200);
//!         assert_eq!(response.text().await?, "Hello");
//!         Ok(())
//!     }
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
//! | configure | `client`, `settings`, `proxy` |
//! | write a request | `request`, `parts`, `credentials` |
//! | find its way, and a connection | `address`, `proxy`, `pool` with `waiting` and `lease`, `opening` |
//! | send it and receive the response, at once | `fetcher`, `exchange`, `connection`, `outgoing` |
//! | store cookies, follow redirects | `cookies`, `redirect` |
//! | read the response | `response`, `incoming` |

mod address;
pub(super) mod client;
mod connection;
mod cookies;
mod credentials;
pub(super) mod error;
mod exchange;
mod fetch;
mod fetcher;
mod incoming;
mod lease;
mod opening;
mod outgoing;
mod parts;
mod pool;
pub(super) mod proxy;
mod redirect;
pub(super) mod request;
pub(super) mod response;
mod settings;
mod waiting;
