//! The application layer: from a request to a handler. Floor 2: it builds on `message` and `error`, without a clock
//! or I/O.
//!
//! A driver feeds it through an [`Exchange`] and a [`Channel`], so it runs in tests without a socket.
//!
//! The order of a request: [`Application`] lists the routes, and `router` finds one by host and path. `dispatch` runs
//! the [`Middleware`] and, inside it, the [`RequestHandler`] or function, which reads and writes a [`Context`].
//! [`FromContext`] reads a function's typed arguments. [`Responder`] writes the returned value, and an error becomes its
//! page. The driver sends the [`Outcome`].

mod active_route;
mod application;
mod body_channel;
mod boxed;
mod catch_panic;
mod context;
mod dispatch;
mod exchange;
mod exchange_task;
mod feed;
mod files;
mod handler;
mod limits;
mod on_demand;
mod request;
mod response;
pub mod routing;
mod runtime;
pub mod security;
mod shared;
mod topics;
mod tunnel;
#[cfg(any(feature = "templates", feature = "gettext"))]
pub mod views;
mod websocket;
mod yielding;

pub use application::{Application, BuildError};
pub use context::Context;
pub use feed::access::FeedAccess;
pub use feed::builder::Feed;
pub use feed::client::FeedClient;
pub use files::static_files::StaticFiles;
pub use handler::function::{HandlerFunction, OfArguments, OfContext, Signature};
pub use handler::https::{Hsts, RedirectToHttps, hsts, redirect_to_https};
pub use handler::middleware::{Middleware, Next};
pub use handler::request_handler::RequestHandler;
pub use handler::slashes::{add_slash, remove_slash};
pub use handler::typed::{Extension, Form, FromContext, OptionalFromContext, Path, Query, State};
pub use request::client_address::{InvalidProxy, Peer, TrustedProxies};
pub use request::cookies::Cookies;
#[cfg(feature = "client")]
pub(crate) use request::decompress::{Bounds, Coding, DecodeError, Decoder};
pub use request::multipart_form::{MultipartForm, UploadedFile};
pub use request::parts::{Multipart, Part};
pub use response::compression::Compression;
pub use response::content::Content;
pub use response::etag::etag;
pub use response::responder::{Html, Json, Redirect, Responder, Response};
pub use response::sse::{Event, EventStream};
pub use response::state::Completion;
pub use routing::Routes;
pub use security::cors::Cors;
pub use security::rate_limit::middleware::RateLimit;
pub use security::security_headers::SecurityHeaders;
pub use security::timeout::{Timeout, timeout};
pub use topics::{Publish, PublishConfirmed, TopicsHandle, Unheard};
pub use websocket::{WebSocket, WebSocketHandler, WebSocketOptions};

// The faces to the server below are public for benchmarks and fuzz targets, and promise no stability.
#[doc(hidden)]
pub use active_route::ActiveRoute;
#[doc(hidden)]
pub use body_channel::{BodyError, BodyLength, Channel, Closed, Flush, PeerGone, ResponseEnd, TaskState};
#[cfg(feature = "serve")]
pub(crate) use catch_panic::catch_build;
#[doc(hidden)]
pub use dispatch::App;
#[doc(hidden)]
pub use exchange::{Exchange, Outcome};
#[doc(hidden)]
pub use exchange_task::{ExchangeTask, RunningTask, TaskLog};
#[doc(hidden)]
pub use feed::request::{FeedRequest, Malformed, Verb};
#[cfg(feature = "serve")]
pub(crate) use files::acme_challenges::AcmeChallenges;
#[doc(hidden)]
pub use files::ranges::{RANGES_MAX, RequestedRanges};
#[doc(hidden)]
pub use files::source::{FileReader, FileRoot, FileSource, Found, ListedFile, OpenFile, Opened};
#[doc(hidden)]
pub use files::version::{FileVersion, VersionDigest};
#[doc(hidden)]
pub use limits::Limits;
#[doc(hidden)]
pub use request::cookies::read_cookies;
#[doc(hidden)]
pub use request::multipart;
#[doc(hidden)]
pub use request::request_id::request_id;
#[doc(hidden)]
pub use response::accept_encoding::{AcceptedCodings, ContentCoding};
#[doc(hidden)]
pub use response::conditional::{Precondition, Validators, allows_range, evaluate_preconditions};
#[doc(hidden)]
pub use runtime::{LocalState, Runtime, ShardWork, TemporaryFile};
#[doc(hidden)]
pub use security::rate_limit::limiter::{Grant, PermitRequest, RateLimiter};
#[doc(hidden)]
pub use security::rate_limit::owner::OwnerShards;
#[doc(hidden)]
pub use shared::Shared;
#[doc(hidden)]
pub use topics::{
    Delivery, HistoryRequest, HistoryResponse, Notify, OtherShards, PublishRequest, ReceiptSender, Receipts, Recipient,
    Remaining, ShardTopics, TopicSettings, check, encode, encoding_bytes, notice_text, topic_deflaters,
};
#[cfg(feature = "serve")]
pub(crate) use topics::{parse_pattern, parse_topic};
#[doc(hidden)]
pub use tunnel::Tunnel;
#[doc(hidden)]
pub use websocket::{HandlerTask, SocketOwner, SocketState, Upgrade};
