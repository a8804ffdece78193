//! How a request finds its endpoint: hosts, patterns, routes.
//!
//! [`get`], [`post`] and their like make a [`Route`], which [`Application::route`](crate::Application::route) and
//! [`Routes::route`] put at a pattern. They are not in the prelude: handler functions often have these names. A
//! function of your own would hide the imported one without a warning.
//!
//! ```
//! use squall::prelude::*;
//! use squall::routing::{get, handler};
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
//! async fn show(cx: &mut Context) -> Result<String> {
//!     cx.param("id")
//! }
//!
//! async fn update(_: &mut Context) -> StatusCode {
//!     StatusCode::NO_CONTENT
//! }
//!
//! async fn audit(cx: &mut Context, next: Next<'_>) -> Result {
//!     next.run(cx).await;
//!     cx.set_header("x-audited", "yes")
//! }
//!
//! let app = Application::new()
//!     .route("/", handler(Hello).name("hello"))
//!     .route("/users/{id}", get(show).put(update).name("user").middleware(audit))
//!     .build()?;
//! assert_eq!(app.shared().reverse_url("user", &[&7])?, "/users/7");
//! # Ok::<(), squall::Error>(())
//! ```

mod error_route;
pub(in crate::app) mod exact_paths;
mod fallback;
mod foreign;
pub(in crate::app) mod host;
pub(in crate::app) mod param_span;
pub(in crate::app) mod pattern;
mod redirect;
mod route;
pub(in crate::app) mod route_table;
pub(in crate::app) mod router;
pub(in crate::app) mod routes;
mod scope;

pub use error_route::error;
pub use fallback::{IntoFallback, OfFunction, OfRoute};
pub use redirect::{redirect, redirect_temporarily};
pub use route::{
    IntoRoute, Route, delete, get, handler, head, on, options, patch, post, put, websocket, websocket_with,
};
pub use routes::Routes;
