//! What answers requests that match no route: a function, a handler or a route.

use core::marker::PhantomData;
use std::rc::Rc;

use super::route::{IntoRoute, Route};
use crate::app::handler::function::{Function, HandlerFunction, Signature};

/// A value that `fallback` accepts.
///
/// - An async function serves every method.
/// - A [`RequestHandler`](crate::RequestHandler) or a [`Route`] serves its methods, and answers others with 405.
///
/// The type `Kind` tells the two apart; the compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a fallback",
    label = "a fallback is a handler function, a `RequestHandler` or a `Route`",
    note = "a handler function is async, takes `&mut Context` or typed arguments, and returns a `Responder`"
)]
pub trait IntoFallback<Kind> {
    /// Makes the route that answers.
    fn into_fallback(self) -> Route;
}

/// The kind of a fallback that is a function with the signature `S`.
#[derive(Debug)]
pub struct OfFunction<S>(PhantomData<fn() -> S>);

/// The kind of a fallback that is a handler or a route.
#[derive(Debug)]
pub struct OfRoute;

impl<F, S> IntoFallback<OfFunction<S>> for F
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    fn into_fallback(self) -> Route {
        Route {
            any_method: Some(Rc::new(Function::<F, S>::new(self))),
            ..Route::default()
        }
    }
}

impl<T: IntoRoute> IntoFallback<OfRoute> for T {
    fn into_fallback(self) -> Route {
        self.into_route()
    }
}
