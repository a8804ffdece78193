//! What an application implements for a WebSocket: one value for each connection, called for one event after the other.

use core::future::ready;

use bytes::Bytes;

use super::socket::WebSocket;
use crate::app::Context;
use crate::error::Result;
use crate::websocket::{Message, is_same_origin};

/// Serves one WebSocket (Tornado's class of this name). Each connection has a value of its own, made by the factory of its route.
///
/// ```
/// use squall::prelude::*;
///
/// struct Echo;
///
/// impl WebSocketHandler for Echo {
///     async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
///         ws.send(message).await
///     }
/// }
///
/// let application = Application::new().websocket("/echo", async |_: &mut Context| Ok(Echo));
/// ```
///
/// A method that waits is not called again before it is done, and nothing more is read from its socket meanwhile. An error or a panic
/// closes the socket with 1011 and is logged once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a WebSocket handler",
    label = "a factory given to `websocket` makes a value that implements `WebSocketHandler`"
)]
pub trait WebSocketHandler: 'static {
    /// Whether a page of this origin may open the socket; 403 if not. By default only pages of the host the request was made to, and clients
    /// that name no origin, as no browser does. The scheme is compared where it is known: a proxy may end TLS in front of this server, so one
    /// that is [trusted](crate::Application::trusted_proxies) has to tell it.
    fn check_origin(&self, cx: &Context) -> bool {
        let is_secure = cx.app.trusted_proxies().forwarded_secure(&cx.peer, cx.head.fields());
        let scheme = is_secure.map(|is_secure| if is_secure { "https" } else { "http" });
        is_same_origin(&cx.head, scheme)
    }

    /// Chooses one of the subprotocols the client offers, best first (RFC 6455 §1.9). By default none.
    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        let _ = offered;
        None
    }

    /// Runs when the socket is open, before the first message.
    fn open(&mut self, ws: &WebSocket) -> impl Future<Output = Result> {
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs for each message.
    fn on_message(&mut self, ws: &WebSocket, message: Message) -> impl Future<Output = Result>;

    /// Runs for each ping; the pong is on its way already.
    fn on_ping(&mut self, ws: &WebSocket, payload: Bytes) -> impl Future<Output = Result> {
        drop(payload);
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs for each pong, asked for or not.
    fn on_pong(&mut self, ws: &WebSocket, payload: Bytes) -> impl Future<Output = Result> {
        drop(payload);
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs once at the end, except after a panic and where the server is stopped at once (a second signal, the end of the shutdown timeout),
    /// which drops the handler where it stands. It is given the code and the reason of the peer's close frame, or of the one that told
    /// it what it did wrong; no code if the connection broke, or if the peer's frame had none.
    fn on_close(&mut self, ws: &WebSocket, code: Option<u16>, reason: &str) -> impl Future<Output = ()> {
        let _ = (ws, code, reason);
        ready(())
    }
}
