//! The trait of WebSocket handlers: one value for each connection, one call for each event.

use core::future::ready;

use bytes::Bytes;

use super::socket::WebSocket;
use crate::app::Context;
use crate::error::Result;
use crate::websocket::Message;

/// Serves one WebSocket (Tornado's class of the same name).
///
/// The factory of the route makes one value for each connection.
///
/// ```
/// use squall::prelude::*;
/// use squall::websocket::Message;
///
/// struct Echo;
///
/// impl WebSocketHandler for Echo {
///     async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
///         ws.send(message).await?;
///         Ok(())
///     }
/// }
///
/// let application = Application::new().websocket("/echo", async |_: &mut Context| Ok(Echo));
/// ```
///
/// Calls are sequential: until one has finished, nothing more is read from its socket. A call that waits for long selects
/// between its work and [`closed`](WebSocket::closed), which ends when the peer has left. An error or a panic is logged
/// once and closes the socket with 1011.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a WebSocket handler",
    label = "a factory given to `websocket` makes a value that implements `WebSocketHandler`"
)]
pub trait WebSocketHandler: 'static {
    /// Returns whether a page of this origin may open the socket; `false` answers 403.
    ///
    /// The default accepts pages of the request's own host, and requests without `Origin`, which come from programs
    /// other than browsers. It compares the scheme if the scheme is known. Behind a proxy that ends TLS, a
    /// [trusted](crate::Application::trusted_proxies) proxy must report it.
    fn check_origin(&self, cx: &Context) -> bool {
        cx.is_of_own_origin()
    }

    /// Chooses one of the client's subprotocols, which come in its order of preference (RFC 6455 §1.9). The default
    /// chooses none.
    fn select_subprotocol<'o>(&self, offered: &[&'o str]) -> Option<&'o str> {
        let _ = offered;
        None
    }

    /// Runs once the socket is open, before the first message.
    fn open(&mut self, ws: &WebSocket) -> impl Future<Output = Result> {
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs for each message.
    fn on_message(&mut self, ws: &WebSocket, message: Message) -> impl Future<Output = Result>;

    /// Runs for each ping. Squall has queued the pong already.
    fn on_ping(&mut self, ws: &WebSocket, payload: Bytes) -> impl Future<Output = Result> {
        drop(payload);
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs for each pong, including unsolicited ones.
    fn on_pong(&mut self, ws: &WebSocket, payload: Bytes) -> impl Future<Output = Result> {
        drop(payload);
        let _ = ws;
        ready(Ok(()))
    }

    /// Runs for a message `{"refresh":"TOKEN"}` while the socket has an [expiry](WebSocket::expires_at).
    ///
    /// Verify the token and call [`expires_at`](WebSocket::expires_at) with its time; the socket keeps its subscriptions. The
    /// default ignores it, so that the socket closes in the end.
    fn on_refresh(&mut self, ws: &WebSocket, token: &str) -> impl Future<Output = Result> {
        let _ = (ws, token);
        ready(Ok(()))
    }

    /// Runs once at the end, with the code and reason of the peer's close frame, or of ours after a protocol error.
    ///
    /// `code` is `None` if the connection broke, or if the peer's close frame had none. The method does not run after a
    /// panic, after a second stop signal, or at the shutdown timeout: these drop the handler.
    fn on_close(&mut self, ws: &WebSocket, code: Option<u16>, reason: &str) -> impl Future<Output = ()> {
        let _ = (ws, code, reason);
        ready(())
    }
}
