//! Handlers of a type that implements [`RequestHandler`]. The router sees them as an [`Endpoint`].
//!
//! Each shard has one handler value, which serves every request there through `&self`. Counters and caches are in a
//! `Cell` or `RefCell`, and nothing is `Send`.
//!
//! The type of a handler tells which methods it implements, before the first request. A default method returns
//! [`NotImplemented`], a type that an `async fn` cannot return. So a 405 carries a true `Allow` (RFC 9110 §15.5.6).
//! Erasing the handler's type costs one allocation per request: the future of the called method.

use core::any::{TypeId, type_name};
use core::future::ready;
use core::pin::Pin;
use core::task::Poll;

use super::endpoint::Endpoint;
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::error::{HttpError, Result};
use crate::message::Method;

/// Serves the requests of a route, each HTTP method by a Rust method (Tornado's class of this name).
///
/// ```
/// use squall::prelude::*;
///
/// struct Hello;
///
/// impl RequestHandler for Hello {
///     async fn get(&self, cx: &mut Context) -> Result {
///         cx.write("Hello, Squall!");
///         Ok(())
///     }
/// }
///
/// let application = Application::new().route("/", Hello);
/// ```
///
/// Each request runs in this order:
///
/// 1. [`prepare`](Self::prepare).
/// 2. The method of the request, unless `prepare` has finished the response.
/// 3. [`on_finish`](Self::on_finish), after the response was passed to the kernel.
///
/// A method that is not implemented answers 405, and `Allow` names the implemented ones. `HEAD` falls back to `get`.
/// `OPTIONS` is answered automatically unless `options` is implemented.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request handler",
    label = "a handler given to `route` implements `RequestHandler`: write `impl RequestHandler for …`",
    note = "an async function is given to `.get(pattern, function)`, or to `.route(pattern, get(function))`"
)]
pub trait RequestHandler: 'static {
    /// The methods that [`other`](Self::other) serves, beyond the seven with a Rust method of their own.
    const OTHER_METHODS: &'static [&'static str] = &[];

    /// Runs before the method; if it finishes the response, the method is not called.
    fn prepare(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        ready(Ok(()))
    }

    /// Serves GET, and HEAD if `head` is not implemented; the content of a HEAD response is not sent.
    fn get(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves HEAD.
    fn head(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves POST.
    fn post(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves DELETE.
    fn delete(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves PATCH.
    fn patch(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves PUT.
    fn put(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves OPTIONS.
    fn options(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Serves the methods named in [`OTHER_METHODS`](Self::OTHER_METHODS).
    fn other(&self, cx: &mut Context) -> impl Future<Output = Result> {
        let _ = cx;
        NotImplemented
    }

    /// Runs after the response has been passed to the kernel or given up, if this handler was called.
    ///
    /// It cannot change the response; [`Context::completion`] tells how it ended. The next request of the connection
    /// waits for it, and so does a graceful stop.
    fn on_finish(&self, cx: &mut Context) -> impl Future<Output = ()> {
        let _ = cx;
        NothingToFinish
    }
}

/// The future of a method that a handler does not override; awaited by a handler itself, it answers 405.
struct NotImplemented;

impl Future for NotImplemented {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, _: &mut core::task::Context<'_>) -> Poll<Result> {
        Poll::Ready(Err(HttpError::new(405).into()))
    }
}

/// The future of an `on_finish` that a handler does not override, so it is never called.
struct NothingToFinish;

impl Future for NothingToFinish {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut core::task::Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A [`RequestHandler`] as an endpoint, with facts that its type tells.
pub(in crate::app) struct Handler<H> {
    handler: H,
    serves_head: bool,
    has_on_finish: bool,
}

impl<H: RequestHandler> Handler<H> {
    pub(in crate::app) fn new(handler: H) -> Self {
        Self {
            handler,
            serves_head: is_implemented(H::head),
            has_on_finish: returned_type(H::on_finish) != TypeId::of::<NothingToFinish>(),
        }
    }

    /// The methods that `H` implements; an error if `OTHER_METHODS` and `other` do not match.
    pub(in crate::app) fn methods() -> Result<Vec<Method>, String> {
        let named = [
            (Method::GET, is_implemented(H::get)),
            (Method::HEAD, is_implemented(H::head)),
            (Method::POST, is_implemented(H::post)),
            (Method::DELETE, is_implemented(H::delete)),
            (Method::PATCH, is_implemented(H::patch)),
            (Method::PUT, is_implemented(H::put)),
            (Method::OPTIONS, is_implemented(H::options)),
        ];
        // One without the other is a mistake: methods without a function, or a function that no method reaches.
        if H::OTHER_METHODS.is_empty() == is_implemented(H::other) {
            let name = type_name::<H>();
            return Err(format!(
                "`{name}` must either set OTHER_METHODS and implement `other`, or do neither"
            ));
        }
        let mut methods = Vec::new();
        for name in H::OTHER_METHODS {
            match Method::from_bytes(name.as_bytes()) {
                Ok(method) if !named.iter().any(|(known, _)| *known == method) => methods.push(method),
                _ => {
                    return Err(format!(
                        "`{name}` in OTHER_METHODS of `{}` is invalid or has a Rust method of its own",
                        type_name::<H>()
                    ));
                }
            }
        }
        let implemented = named.into_iter().filter(|(_, implemented)| *implemented);
        methods.extend(implemented.map(|(method, _)| method));
        Ok(methods)
    }

    async fn serve(&self, cx: &mut Context) -> Result {
        let handler = &self.handler;
        handler.prepare(cx).await?;
        if cx.is_finished() {
            return Ok(());
        }
        match *cx.method() {
            Method::GET => handler.get(cx).await,
            Method::HEAD if self.serves_head => handler.head(cx).await,
            Method::HEAD => handler.get(cx).await,
            Method::POST => handler.post(cx).await,
            Method::DELETE => handler.delete(cx).await,
            Method::PATCH => handler.patch(cx).await,
            Method::PUT => handler.put(cx).await,
            Method::OPTIONS => handler.options(cx).await,
            _ => handler.other(cx).await,
        }
    }
}

impl<H: RequestHandler> Endpoint for Handler<H> {
    fn call<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a> {
        Box::pin(self.serve(cx))
    }

    fn answers_head(&self) -> bool {
        true
    }

    fn has_on_finish(&self) -> bool {
        self.has_on_finish
    }

    fn on_finish<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move { self.handler.on_finish(cx).await })
    }
}

/// Whether a handler overrides a method.
fn is_implemented<'a, H: 'a, F, R>(method: F) -> bool
where
    F: FnOnce(&'a H, &'a mut Context) -> R,
{
    returned_type(method) != TypeId::of::<NotImplemented>()
}

/// The identity of a method's return type, apart from its lifetimes. The method is not called.
///
/// `TypeId::of` takes only types without lifetimes, and the future of an `async fn` borrows its arguments. `typeid`
/// lifts that limit.
fn returned_type<'a, H: 'a, F, R>(_: F) -> TypeId
where
    F: FnOnce(&'a H, &'a mut Context) -> R,
{
    typeid::of::<R>()
}

#[cfg(test)]
mod tests {
    use super::{Handler, RequestHandler};
    use crate::app::Context;
    use crate::error::Result;
    use crate::message::Method;

    struct Nothing;
    impl RequestHandler for Nothing {}

    struct Some;
    impl RequestHandler for Some {
        const OTHER_METHODS: &'static [&'static str] = &["PURGE"];

        async fn get(&self, _: &mut Context) -> Result {
            Ok(())
        }

        fn put(&self, cx: &mut Context) -> impl Future<Output = Result> {
            let _ = cx;
            core::future::ready(Ok(()))
        }

        async fn other(&self, _: &mut Context) -> Result {
            Ok(())
        }

        async fn on_finish(&self, _: &mut Context) {}
    }

    /// Passes its methods on, so it implements those that `H` implements.
    struct Wrapped<H>(H);
    impl<H: RequestHandler> RequestHandler for Wrapped<H> {
        fn get(&self, cx: &mut Context) -> impl Future<Output = Result> {
            self.0.get(cx)
        }

        fn post(&self, cx: &mut Context) -> impl Future<Output = Result> {
            self.0.post(cx)
        }

        fn on_finish(&self, cx: &mut Context) -> impl Future<Output = ()> {
            self.0.on_finish(cx)
        }
    }

    #[test]
    fn the_type_tells_which_methods_are_implemented() {
        assert_eq!(Handler::<Nothing>::methods(), Ok(vec![]));
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(Handler::<Some>::methods(), Ok(vec![purge, Method::GET, Method::PUT]));
        assert_eq!(Handler::<Wrapped<Some>>::methods(), Ok(vec![Method::GET]));
        assert_eq!(Handler::<Wrapped<Nothing>>::methods(), Ok(vec![]));
        assert!(!Handler::new(Nothing).has_on_finish);
        assert!(Handler::new(Some).has_on_finish);
        assert!(Handler::new(Wrapped(Some)).has_on_finish);
    }

    struct Overlapping;
    impl RequestHandler for Overlapping {
        const OTHER_METHODS: &'static [&'static str] = &["GET"];

        async fn other(&self, _: &mut Context) -> Result {
            Ok(())
        }
    }

    struct Unserved;
    impl RequestHandler for Unserved {
        const OTHER_METHODS: &'static [&'static str] = &["PURGE"];
    }

    struct Unnamed;
    impl RequestHandler for Unnamed {
        async fn other(&self, _: &mut Context) -> Result {
            Ok(())
        }
    }

    #[test]
    fn rejects_other_methods_that_do_not_match_other() {
        let _ = (Overlapping, Unserved, Unnamed);
        assert!(
            Handler::<Overlapping>::methods()
                .unwrap_err()
                .contains("`GET` in OTHER_METHODS")
        );
        assert!(
            Handler::<Unserved>::methods()
                .unwrap_err()
                .contains("either set OTHER_METHODS")
        );
        assert!(Handler::<Unnamed>::methods().unwrap_err().contains("or do neither"));
    }
}
