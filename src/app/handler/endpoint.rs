//! An endpoint: whatever serves the requests of one method of a route, with its type erased.

use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;

/// A handler with its type erased.
pub(in crate::app) trait Endpoint {
    /// Serves the request in `cx`.
    fn call<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a>;

    /// Whether the endpoint of GET can also serve HEAD: its response can be sent without content.
    fn answers_head(&self) -> bool;

    /// Whether the endpoint opens WebSockets, and so also serves an extended CONNECT.
    fn opens_websockets(&self) -> bool {
        false
    }

    /// Whether [`on_finish`](Self::on_finish) does anything.
    fn has_on_finish(&self) -> bool;

    /// Runs after the response.
    fn on_finish<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a, ()>;
}
