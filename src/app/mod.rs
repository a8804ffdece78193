//! The application layer: from a request to a handler. Floor 2: it builds on `message` and `error`, without a clock
//! or I/O.
//!
//! A driver feeds it through an [`Exchange`] and a [`Channel`], so it runs in tests without a socket.
//!
//! The order of a request: [`Application`] lists the routes, and `router` finds one by host and path. `dispatch` runs
//! the [`Middleware`] and, inside it, the [`RequestHandler`] or function, which reads and writes a [`Context`].
//! [`IntoResponse`] writes the returned value, and an error becomes its page. The driver sends the [`Outcome`].

mod active_route;
mod application;
mod body;
mod catch_panic;
mod channel;
mod client_address;
mod content;
mod context;
mod cookies;
mod dispatch;
mod error_page;
mod events;
mod exact_paths;
mod exchange;
mod handler;
mod host;
mod json;
mod limits;
mod middleware;
mod pattern;
mod percent;
mod request;
mod respond;
mod router;
mod routes;
mod topics;
mod websocket;
mod write;

pub use active_route::ActiveRoute;
pub use application::{Application, BuildError};
pub use channel::{BodyError, BodyLength, Channel, Closed, Flush, PeerGone};
pub use client_address::{InvalidProxy, Peer, TrustedProxies};
pub use content::Content;
pub use context::Context;
pub use dispatch::App;
pub use events::{Event, EventStream};
pub use exchange::{Exchange, Outcome};
pub use handler::RequestHandler;
pub use limits::{JSON_DEPTH_CEILING, Limits};
pub use middleware::{Middleware, Next};
pub use respond::{Html, IntoResponse, Json, Redirect, Response};
pub use routes::Routes;
pub use topics::{
    Delivery, Notify, PublishRequest, Recipient, Remaining, ServerFuture, ServerHandle, check, encode, encoding_bytes,
    notice_text,
};
pub use websocket::{
    Duplex, End, FrameBatch, HandlerTask, OUTGOING_BYTES_MAX, ReceiveOutcome, SocketState, TrySendError, Upgrade,
    WebSocket, WebSocketHandler, WebSocketOptions,
};
pub use write::Completion;
