//! The life of a handler: open, one event after the other, the end. One boxed future for each connection, whatever the handler's type.

use core::fmt;
use core::task::{Context as Task, Poll};
use std::future::poll_fn;
use std::rc::Rc;

use super::duplex::{End, News};
use super::handler::WebSocketHandler;
use super::link::Link;
use super::socket::WebSocket;
use crate::app::catch_panic::catch_panic;
use crate::app::handler::LocalBoxFuture;
use crate::app::{ActiveRoute, App};
use crate::error::{Error, Result};
use crate::websocket::{CloseCode, Event};

/// A handler at work. The driver polls it whenever its task is woken and whenever there is an event for it.
pub struct Session {
    app: Rc<App>,
    link: Rc<Link>,
    active_route: ActiveRoute,
    future: Option<LocalBoxFuture<'static, ()>>,
}

impl Session {
    pub(super) fn new(link: &Rc<Link>, active_route: ActiveRoute, future: LocalBoxFuture<'static, ()>) -> Self {
        Self {
            app: Rc::clone(&link.app),
            link: Rc::clone(link),
            active_route,
            future: Some(future),
        }
    }

    /// Runs the handler until it waits; ready once it has ended. A panic ends it, and closes the socket with 1011.
    pub fn poll(&mut self, task: &mut Task<'_>) -> Poll<()> {
        let Self {
            app,
            link,
            active_route,
            future,
        } = self;
        app.set_active_route(*active_route);
        let polled = catch_panic(app, || {
            let Some(running) = future else {
                return Poll::Ready(());
            };
            let polled = running.as_mut().poll(task);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        polled.unwrap_or_else(|error| {
            fail(link, &error);
            app.discard(future.take());
            Poll::Ready(())
        })
    }
}

impl Drop for Session {
    /// The connection's task may be dropped at any time, and with it the values of the handler.
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.app.discard(future);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// Serves one connection.
pub(super) async fn run<H: WebSocketHandler>(mut handler: H, link: Rc<Link>) {
    let ws = WebSocket::new(&link);
    let end = match converse(&mut handler, &ws, &link).await {
        Ok(end) => end,
        Err(error) => {
            fail(&link, &error);
            next_end(&link, error.is_peer_gone()).await
        }
    };
    handler.on_close(&ws, end.code, &end.reason).await;
}

/// Hands the handler one event after the other, until the end or its first error.
///
/// What a method needs while it runs is in a box that lives as long as its call: most sockets wait for an event most of the time, and one
/// that waits would otherwise keep room for the largest of the methods.
async fn converse<H: WebSocketHandler>(handler: &mut H, ws: &WebSocket, link: &Link) -> Result<Box<End>> {
    Box::pin(handler.open(ws)).await?;
    loop {
        match poll_fn(|_| link.poll_news()).await {
            News::Event(Event::Message(message)) => Box::pin(handler.on_message(ws, message)).await?,
            News::Event(Event::Ping(payload)) => Box::pin(handler.on_ping(ws, payload)).await?,
            News::Event(Event::Pong(payload)) => Box::pin(handler.on_pong(ws, payload)).await?,
            News::Event(Event::NeedData | Event::Close(_) | Event::Closed) => {}
            News::End(end) => return Ok(end),
        }
    }
}

/// How the connection ended, after the handler's error: by it, or, where the error was that the peer has gone, as the peer will say.
async fn next_end(link: &Link, is_peer_gone: bool) -> Box<End> {
    if !is_peer_gone {
        return Box::new(End {
            code: Some(CloseCode::INTERNAL_ERROR.number()),
            reason: String::new(),
        });
    }
    loop {
        if let News::End(end) = poll_fn(|_| link.poll_news()).await {
            return end;
        }
    }
}

/// Logs an error of the handler, once, and closes the socket for it.
fn fail(link: &Link, error: &Error) {
    if error.is_peer_gone() {
        tracing::debug!("the peer of a WebSocket has gone");
        return;
    }
    tracing::error!("a WebSocket's handler failed: {error:?}");
    if let Ok(hub) = link.app.hub() {
        // Where it is closed already, the peer has been told something else.
        link.close(CloseCode::INTERNAL_ERROR, "", hub.now()).unwrap_or_default();
    }
}
