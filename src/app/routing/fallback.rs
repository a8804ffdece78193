//! What answers requests that match no route: a function, a handler or a route.

use core::marker::PhantomData;
use std::rc::Rc;

use super::handler_function::HandlerFunction;
use super::route::{IntoRoute, Route};
use crate::app::handler::request_handler::Function;
use crate::app::response::responder::IntoResponse;

/// A value that `fallback` accepts.
///
/// - An async function serves every method.
/// - A [`RequestHandler`](crate::RequestHandler) or a [`Route`] serves its methods, and answers others with 405.
///
/// The type `Kind` tells the two apart; the compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a fallback",
    label = "a fallback is an async function of `&mut Context`, a `RequestHandler` or a `Route`",
    note = "the result of the function implements `IntoResponse`"
)]
pub trait IntoFallback<Kind> {
    /// Makes the route that answers.
    fn into_fallback(self) -> Route;
}

/// The kind of a fallback that is a function with the result `R`.
#[derive(Debug)]
pub struct OfFunction<R>(PhantomData<fn() -> R>);

/// The kind of a fallback that is a handler or a route.
#[derive(Debug)]
pub struct OfRoute;

impl<F, R> IntoFallback<OfFunction<R>> for F
where
    F: HandlerFunction<R>,
    R: IntoResponse + 'static,
{
    fn into_fallback(self) -> Route {
        Route {
            any_method: Some(Rc::new(Function::new(self))),
            ..Route::default()
        }
    }
}

impl<T: IntoRoute> IntoFallback<OfRoute> for T {
    fn into_fallback(self) -> Route {
        self.into_route()
    }
}
