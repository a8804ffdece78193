//! The shape of a function that serves requests, and what the compiler says of other values.

use crate::app::context::Context;

/// An async function of a context, which serves the requests of one method.
///
/// Every `async fn(&mut Context) -> R` is one, and so is a closure `async |cx: &mut Context| …`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler function",
    label = "expected an async function of `&mut Context`",
    note = "a value that implements `RequestHandler` is given to `route`: `.route(pattern, {Self})`",
    note = "a closure is written `async |cx: &mut Context| …`"
)]
pub trait HandlerFunction<R>: AsyncFn(&mut Context) -> R + 'static {}

// Without the attribute, the compiler reports the bound of this implementation and not the message above.
#[diagnostic::do_not_recommend]
impl<F, R> HandlerFunction<R> for F where F: AsyncFn(&mut Context) -> R + 'static {}
