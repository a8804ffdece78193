//! The opening handshake as a route (RFC 6455 §4.2, RFC 8441 §5), and what it hands to the driver.

use core::marker::PhantomData;
use std::rc::Rc;

use super::handler::WebSocketHandler;
use super::options::WebSocketOptions;
use super::run::run_handler;
use super::upgrade::Upgrade;
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::app::handler::endpoint::Endpoint;
use crate::error::{Error, HttpError, Result};
use crate::message::StatusCode;
use crate::websocket::{HandshakeError, Limits, ServerHandshake};

/// How many bytes of a refused origin a log line shows.
const LOGGED_ORIGIN_BYTES_MAX: usize = 256;

/// The route of a WebSocket: checks the request, makes a handler and answers 101, or 200 over HTTP/2.
pub(in crate::app) struct WebSocketRoute<F, H> {
    factory: F,
    options: WebSocketOptions,
    limits: Option<Rc<Limits>>,
    handler: PhantomData<fn() -> H>,
}

impl<F, H> WebSocketRoute<F, H> {
    pub(in crate::app) fn new(factory: F, options: WebSocketOptions) -> Self {
        Self {
            factory,
            limits: options.limits.clone().map(Rc::new),
            options,
            handler: PhantomData,
        }
    }

    /// Answers 101 or 200, if the handler accepts the origin.
    fn accept(&self, cx: &mut Context, handler: H) -> Result
    where
        H: WebSocketHandler,
    {
        if !handler.check_origin(cx) {
            log_refused_origin(cx);
            let refusal = HttpError::new(StatusCode::FORBIDDEN);
            return Err(refusal.with_message("this origin may not open a WebSocket here").into());
        }
        let sockets = &cx.shared.sockets;
        let handshake = ServerHandshake::new(&cx.head).map_err(refuse)?;
        let offered: Vec<&str> = handshake.subprotocols().collect();
        let subprotocol = handler.select_subprotocol(&offered);
        let deflate = handshake.respond(
            subprotocol,
            self.options.deflate.as_ref(),
            &sockets.deflaters.borrow(),
            &mut cx.response.head,
        )?;
        let limits = self.limits.as_ref().map(Rc::clone);
        let session = cx.session_owner();
        cx.response.set_upgrade(Box::new(Upgrade {
            limits: limits.unwrap_or_else(|| Rc::clone(&sockets.limits.borrow())),
            deflate,
            active_route: cx.shared.as_active(cx.route),
            start_handler: Box::new(move |state| {
                if let Some(session) = session {
                    state.belong_to(&session);
                }
                Box::pin(run_handler(handler, state))
            }),
        }));
        Ok(())
    }
}

impl<F, H> Endpoint for WebSocketRoute<F, H>
where
    F: AsyncFn(&mut Context) -> Result<H>,
    H: WebSocketHandler,
{
    fn call<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a> {
        Box::pin(async move {
            // Checked before the factory runs, because the factory may be expensive.
            ServerHandshake::new(&cx.head).map_err(refuse)?;
            let handler = (self.factory)(&mut *cx).await?;
            if cx.response.head_sent {
                return Err(Error::new(
                    "could not open the WebSocket: its factory has sent a response; return a handler or an error instead",
                ));
            }
            self.accept(cx, handler)
        })
    }

    /// A handshake is a GET (RFC 6455 §4.1).
    fn answers_head(&self) -> bool {
        false
    }

    fn opens_websockets(&self) -> bool {
        true
    }

    fn has_on_finish(&self) -> bool {
        false
    }

    fn on_finish<'a>(&'a self, _: &'a mut Context) -> LocalBoxFuture<'a, ()> {
        Box::pin(core::future::ready(()))
    }
}

/// Logs both origins. It is not an error, but the author of a page on another host looks for the reason here.
#[cold]
fn log_refused_origin(cx: &Context) {
    let origin = cx.header("origin").unwrap_or("an unreadable origin");
    let origin = origin.get(..LOGGED_ORIGIN_BYTES_MAX).unwrap_or(origin);
    let own = format!("{}://{}", cx.protocol(), cx.host());
    tracing::info!(
        pattern = cx.pattern(),
        "refused a WebSocket from a page of {origin:?}: this server is {own:?}; override check_origin to accept it"
    );
}

/// Makes the error page for a failed handshake, with the fields its status requires.
fn refuse(error: HandshakeError) -> Error {
    let response = error.response();
    let mut refusal = HttpError::new(response.status).with_message(error.to_string());
    for (name, value) in response.headers.iter() {
        refusal = refusal.with_header(name.clone(), value.clone());
    }
    refusal.into()
}
