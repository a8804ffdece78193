//! Handler functions: async functions of the context and of typed arguments, as endpoints.
//!
//! The bounds have two stages, so that a compile error names the part that is wrong. [`HandlerFunction`] checks the
//! shape: an async function, the context first, at most eight arguments. [`Signature`] then checks each argument and
//! the returned value by itself.

use core::future::ready;
use core::marker::PhantomData;

use super::endpoint::Endpoint;
use super::typed::FromContext;
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::app::response::responder::Responder;
use crate::error::Result;

/// An async function that serves requests, such as `async fn(&mut Context, Path<u64>) -> Result<String>`.
///
/// It takes the context, or up to eight typed arguments ([`FromContext`]), or the context and then typed arguments. It
/// returns a [`Responder`]. `S` describes its [`Signature`], which the compiler infers.
///
/// ```
/// use squall::prelude::*;
///
/// async fn by_context(cx: &mut Context) -> Result<String> {
///     let id: u64 = cx.param("id")?;
///     Ok(format!("user {id}"))
/// }
///
/// async fn by_argument(Path(id): Path<u64>) -> String {
///     format!("user {id}")
/// }
///
/// async fn by_both(cx: &mut Context, Path(id): Path<u64>) -> Result {
///     cx.set_header("x-user", id)?;
///     cx.write("user");
///     Ok(())
/// }
///
/// let application = Application::new()
///     .get("/a/{id}", by_context)
///     .get("/b/{id}", by_argument)
///     .get("/c/{id}", by_both);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler function",
    label = "expected an async function of the context, of typed arguments, or of the context and then typed arguments",
    note = "write `async fn show(cx: &mut Context, Path(id): Path<u64>) -> Result<String>`, or a closure \
            `async |cx: &mut Context| …`; up to 8 typed arguments follow the context",
    note = "the first argument is `&mut Context` or implements `FromContext`, such as `Path`, `Query`, `Form` and `Json`",
    note = "a function of the context returns a value that does not borrow it: write `impl Responder + use<>`",
    note = "a type that implements `RequestHandler` is given to `route`: `.route(pattern, {Self})`"
)]
pub trait HandlerFunction<S>: 'static {}

/// The arguments and the returned value of a [`HandlerFunction`] of type `F`.
///
/// [`OfContext`] and [`OfArguments`] implement it; applications have no need to.
pub trait Signature<F>: 'static {
    /// Reads the arguments, calls the function and writes what it returns.
    #[doc(hidden)]
    fn serve(function: &F, cx: &mut Context) -> impl Future<Output = Result>;
}

/// The signature of a function of the context and then of the arguments `A`, a tuple; it returns `R`.
#[derive(Debug)]
pub struct OfContext<A, R>(PhantomData<fn(A) -> R>);

/// The signature of a function of the arguments `A`, a tuple, without the context; it returns `R`.
#[derive(Debug)]
pub struct OfArguments<A, R>(PhantomData<fn(A) -> R>);

/// Implements both stages for functions of some number of arguments. The first argument is apart: where a function
/// takes no context, the first stage asks whether it is one, which tells `&mut Context` from an argument.
macro_rules! signatures {
    ($($first:ident $($argument:ident)*)?) => {
        // Without the attribute, the compiler reports the bounds of an implementation and not the trait's message.
        #[diagnostic::do_not_recommend]
        impl<F, $($first, $($argument,)*)? R> HandlerFunction<OfContext<($($first, $($argument,)*)?), R>> for F where
            F: AsyncFn(&mut Context, $($first, $($argument,)*)?) -> R + 'static
        {
        }

        impl<F, $($first, $($argument,)*)? R> Signature<F> for OfContext<($($first, $($argument,)*)?), R>
        where
            F: AsyncFn(&mut Context, $($first, $($argument,)*)?) -> R,
            $($first: FromContext + 'static, $($argument: FromContext + 'static,)*)?
            R: Responder + 'static,
        {
            #[allow(non_snake_case, reason = "an argument is named as its type")]
            async fn serve(function: &F, cx: &mut Context) -> Result {
                $(let $first = $first::from_context(cx).await?;
                $(let $argument = $argument::from_context(cx).await?;)*)?
                let value = function(&mut *cx, $($first, $($argument,)*)?).await;
                value.respond(cx)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F, $($first, $($argument,)*)? R> HandlerFunction<OfArguments<($($first, $($argument,)*)?), R>> for F
        where
            F: AsyncFn($($first, $($argument,)*)?) -> R + 'static,
            $($first: FromContext,)?
        {
        }

        impl<F, $($first, $($argument,)*)? R> Signature<F> for OfArguments<($($first, $($argument,)*)?), R>
        where
            F: AsyncFn($($first, $($argument,)*)?) -> R,
            $($first: FromContext + 'static, $($argument: FromContext + 'static,)*)?
            R: Responder + 'static,
        {
            #[allow(non_snake_case, reason = "an argument is named as its type")]
            async fn serve(function: &F, cx: &mut Context) -> Result {
                $(let $first = $first::from_context(cx).await?;
                $(let $argument = $argument::from_context(cx).await?;)*)?
                let value = function($($first, $($argument,)*)?).await;
                value.respond(cx)
            }
        }
    };
}

signatures!();
signatures!(A);
signatures!(A B);
signatures!(A B C);
signatures!(A B C D);
signatures!(A B C D E);
signatures!(A B C D E G);
signatures!(A B C D E G H);
signatures!(A B C D E G H I);

/// A handler function as an endpoint.
pub(in crate::app) struct Function<F, S> {
    function: F,
    signature: PhantomData<fn() -> S>,
}

impl<F, S> Function<F, S> {
    pub(in crate::app) fn new(function: F) -> Self {
        Self {
            function,
            signature: PhantomData,
        }
    }
}

impl<F, S: Signature<F>> Endpoint for Function<F, S> {
    fn call<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a> {
        Box::pin(S::serve(&self.function, cx))
    }

    fn answers_head(&self) -> bool {
        true
    }

    fn has_on_finish(&self) -> bool {
        false
    }

    fn on_finish<'a>(&'a self, _: &'a mut Context) -> LocalBoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}
