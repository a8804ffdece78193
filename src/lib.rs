//! A web framework with its own HTTP server: one pinned thread, one executor and one io_uring per core.
//!
//! The cores share nothing. The handler model is Tornado's.
//!
//! ```no_run
//! use squall::prelude::*;
//!
//! struct Hello;
//!
//! impl RequestHandler for Hello {
//!     async fn get(&self, cx: &mut Context) -> Result {
//!         cx.write("Hello, Squall!");
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     Server::new(|| Application::new().route("/", Hello)).listen("127.0.0.1:8888").run()
//! }
//! ```
//!
//! # Map
//!
//! Start with [`Application`], [`Context`] and [`Server`]; [`prelude`] has the names that nearly every file needs.
//!
//! | to | use |
//! |---|---|
//! | build an application | [`Application`], [`Routes`], [`routing`] (routes as values), [`Middleware`], [`Next`] |
//! | handle a request | [`RequestHandler`] or an async function; [`Context`] |
//! | read it by types | [`Path`], [`Query`], [`Form`], [`Json`], [`State`], [`Extension`] |
//! | read it by a type of your own | [`FromContext`] |
//! | answer it | [`Responder`], [`Html`], [`Json`], [`Redirect`], [`Response`]; [`Cookie`] and [`Cookies`] |
//! | protect it and its users | [`middleware`]: CORS, security headers, timeouts, rate limits |
//! | know the user | [`security`]: signed cookies, users, sessions, passwords; [`middleware::Xsrf`] |
//! | serve static files | [`StaticFiles`], [`embed!`] |
//! | report errors | [`Result`], [`Error`], [`HttpError`], [`ResultExt`] |
//! | keep a client up to date | [`WebSocketHandler`], [`WebSocket`], [`websocket`]; [`EventStream`] |
//! | serve topics to browsers | [`Feed`], the subprotocol `squall.v1` |
//! | publish to many | [`pubsub`]: topics, histories, presence |
//! | publish from anywhere | [`Publisher`] outside the shards, `cx.topics()` in a handler |
//! | run it | [`Server`], [`Options`] for a command line of your own, [`TrustedProxies`] behind a proxy |
//! | wait, compute, ask other shards | [`shards`]: `sleep`, `timeout_at`, `spawn_local`, `spawn_blocking`, `invoke_on` |
//! | let visitors log in with others | `login::Login`, with the feature `oidc` |
//! | connect to a WebSocket | [`connect`], [`client`] |
//! | call other servers | `Client` and `cx.fetch(request)`, with the feature `client` |
//! | test it | `testing::TestClient`, with the feature `testing` |
//!
//! [`message`] has what requests and responses are made of.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `serve` | yes | the server, the client, shards and the command line; without it: the application and the protocols |
//! | `templates` | yes | [`views`] and [`Context::render`], with askama |
//! | `testing` | no | `testing::TestClient` |
//! | `client` | no | `Client` and `Context::fetch`: requests to other servers |
//! | `compression` | no | the content codings br and zstd; gzip is always there |
//! | `tls`, `tls-ring` | no | TLS of the server and the clients, with the cryptography of aws-lc-rs or of ring |
//! | `jwt` | no | JSON Web Tokens |
//! | `oidc` | no | `login`: login with Google, GitHub, Microsoft and others, by OpenID Connect and OAuth 2 |
//! | `encryption` | no | encrypted cookies, and sessions in them |
//! | `passwords` | no | hashes of passwords, with Argon2 |
//! | `locale` | no | `views::locale`: translations, and the formats of each region |
//! | `gettext` | no | the part of `locale` without a further crate: translations from gettext, and the choice of a language |
//! | `reload` | no | for development: `--reload` rebuilds and restarts, `Context::render_file` reads templates anew |

pub mod app;
#[cfg(feature = "serve")]
pub mod client;
mod error;
#[doc(hidden)]
pub mod http1;
#[doc(hidden)]
pub mod http2;
mod memory;
pub mod message;
#[doc(hidden)]
pub mod proxy_protocol;
pub mod pubsub;
#[cfg(feature = "serve")]
mod server;
#[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only the server reads flags"))]
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "serve")]
mod transport;
pub mod websocket;

pub use app::routing;
pub use app::security;
#[cfg(any(feature = "templates", feature = "gettext"))]
pub use app::views;
pub use app::{
    Application, Completion, Context, Cookies, Event, EventStream, Extension, Feed, FeedAccess, FeedClient, Form,
    FromContext, Html, Json, Middleware, Multipart, MultipartForm, Next, Part, Path, Query, Redirect, RequestHandler,
    Responder, Response, Routes, State, StaticFiles, TrustedProxies, UploadedFile, WebSocket, WebSocketHandler,
    WebSocketOptions,
};
pub use bytes::Bytes;
#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "oidc")]
pub use client::login;
#[cfg(feature = "serve")]
pub use client::{ClientOptions, WebSocketClient, connect};
pub use cookie::{self, Cookie, SameSite};
pub use error::{Error, Finish, HttpError, IntoStatus, Result, ResultExt};
#[cfg(feature = "rustls")]
pub use server::Tls;
#[cfg(feature = "serve")]
pub use server::{
    AccessLogFormat, BoundServer, InvalidAccessLogFormat, InvalidWatermarks, MemoryWatermarks, Options, OutsidePublish,
    OutsidePublishConfirmed, Publisher, Server, ServerRemote, Subscription, TopicEvent,
};
#[cfg(feature = "serve")]
pub use squall_shards as shards;
pub use websocket::SendError;

/// Middleware that comes with Squall, for [`Application::middleware`], [`Routes::middleware`] and
/// [`Route::middleware`](routing::Route::middleware).
pub mod middleware {
    pub use crate::app::security::{ApiKeys, Basic, Bearer, Xsrf, allow_if, authenticated, requires};
    pub use crate::app::{
        Compression, Cors, Hsts, RateLimit, RedirectToHttps, SecurityHeaders, Timeout, add_slash, etag, hsts,
        redirect_to_https, remove_slash, timeout,
    };
}

/// The names that nearly every file of an application needs: `use squall::prelude::*;`
///
/// Names that an application may well have itself are left out: [`Event`], [`Response`],
/// [`websocket::Message`], [`pubsub::Start`],
/// [`pubsub::Position`], [`pubsub::Envelope`].
pub mod prelude {
    #[doc(inline)]
    pub use crate::app::{
        Application, Context, EventStream, Extension, Form, FromContext, Html, Json, Middleware, Multipart,
        MultipartForm, Next, Path, Query, Redirect, RequestHandler, Responder, Routes, State, WebSocket,
        WebSocketHandler, WebSocketOptions,
    };
    pub use crate::error::{Error, HttpError, Result, ResultExt};
    #[doc(no_inline)]
    pub use crate::message::{Body, CloseCode, HeaderName, HeaderValue, Method, StatusCode, header};
    #[doc(inline)]
    pub use crate::pubsub::{HistoryLimits, SlowConsumer, TopicOptions};
    #[cfg(feature = "serve")]
    pub use crate::server::Server;
    pub use bytes::Bytes;
    pub use cookie::{Cookie, SameSite};
}

/// The programs in the README and in the guide, compiled and run.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/guide/benchmarking.md")]
    mod benchmarking {}
    #[doc = include_str!("../docs/guide/coming-from-axum-and-tornado.md")]
    mod coming_from_axum_and_tornado {}
    #[cfg(feature = "testing")]
    #[doc = include_str!("../docs/guide/http2.md")]
    mod http2 {}
    #[cfg(all(feature = "client", feature = "rustls"))]
    #[doc = include_str!("../docs/guide/client.md")]
    mod client {}
    #[cfg(feature = "templates")]
    #[doc = include_str!("../docs/guide/development.md")]
    mod development {}
    #[doc = include_str!("../docs/guide/io-uring-and-containers.md")]
    mod io_uring_and_containers {}
    #[cfg(feature = "locale")]
    #[doc = include_str!("../docs/guide/languages.md")]
    mod languages {}
    #[cfg(all(feature = "oidc", feature = "testing"))]
    #[doc = include_str!("../docs/guide/login-with-others.md")]
    mod login_with_others {}
    #[doc = include_str!("../docs/guide/porting-from-tornado.md")]
    mod porting_from_tornado {}
    #[doc = include_str!("../docs/guide/protection.md")]
    mod protection {}
    #[cfg(feature = "client")]
    #[doc = include_str!("../docs/guide/proxies.md")]
    mod proxies {}
    #[doc = include_str!("../docs/guide/requests-and-responses.md")]
    mod requests_and_responses {}
    #[doc = include_str!("../docs/guide/routing.md")]
    mod routing {}
    #[doc = include_str!("../docs/guide/running.md")]
    mod running {}
    #[doc = include_str!("../docs/guide/security-checklist.md")]
    mod security_checklist {}
    #[doc = include_str!("../docs/guide/state-and-shards.md")]
    mod state_and_shards {}
    #[doc = include_str!("../docs/guide/static-files.md")]
    mod static_files {}
    #[cfg(feature = "templates")]
    #[doc = include_str!("../docs/guide/templates.md")]
    mod templates {}
    #[doc = include_str!("../docs/guide/testing.md")]
    mod testing {}
    #[cfg(feature = "rustls")]
    #[doc = include_str!("../docs/guide/tls.md")]
    mod tls {}
    #[doc = include_str!("../docs/guide/uploads.md")]
    mod uploads {}
    #[cfg(all(feature = "passwords", feature = "templates"))]
    #[doc = include_str!("../docs/guide/users-and-sessions.md")]
    mod users_and_sessions {}
    #[doc = include_str!("../docs/guide/websockets-and-topics.md")]
    mod websockets_and_topics {}
}

/// Programs that drop a builder before its last call, and do not compile where the warning is an error.
///
/// ```
/// #![deny(unused_must_use)]
/// squall::Server::new(squall::Application::new).shards(1).bind().unwrap_err();
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// squall::Server::new(squall::Application::new);
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// squall::Server::new(squall::Application::new).shards(1);
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// squall::Server::new(squall::Application::new).shards(1).bind().unwrap();
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// async fn publish(cx: &mut squall::Context) {
///     cx.publish("topic", "message").key("key");
/// }
/// ```
#[cfg(all(doctest, feature = "serve"))]
mod unused_builders {}
