//! Typed arguments of handler functions: values that are read from the request before the function runs.
//!
//! The functions behind them are the context's (`params_as`, `query_as`, `form`, `json`, `body`), so an argument has
//! the limits and the errors of the context style. Arguments may stand in any order: content that is read twice is
//! stored once. Only the multipart arguments take the content, because they never hold all of it.

use std::rc::Rc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::app::context::Context;
use crate::app::request::multipart_form::MultipartForm;
use crate::app::request::parts::Multipart;
use crate::app::response::responder::Json;
use crate::error::{Error, Result, bad_request};

/// A value that a handler function can take as an argument: it is read from the request.
///
/// | argument | value | fails with |
/// |---|---|---|
/// | [`Path<T>`](Path) | the path parameters: one value, a tuple in order, or a struct by name | 400 |
/// | [`Query<T>`](Query) | the query | 400 |
/// | [`Form<T>`](Form) | the fields of a form | 400, 413, 415 |
/// | [`MultipartForm`] | the fields and the files of a form | 400, 413, 415 |
/// | [`Multipart`] | a form part by part, as it arrives | 400, 415 |
/// | [`Json<T>`](Json) | the content as JSON | 400, 413, 415, 422 |
/// | [`Bytes`], `String` | the content | 413; 400 if a `String` is not UTF-8 |
/// | [`State<T>`](State) | state of the application | 500 |
/// | [`Extension<T>`](Extension) | a value that middleware stored | 500 |
/// | `Option<T>` | `None` where the request has no such value ([`OptionalFromContext`]) | as `T` |
/// | `Result<T>` | the value or its error, for the handler to decide | |
///
/// Arguments are read in the order of the function. The first error answers the request, and the function does not
/// run. Content that is read twice is stored once, apart from `Multipart` and `MultipartForm`, which take it.
///
/// An application implements the trait for types of its own:
///
/// ```
/// use squall::prelude::*;
/// # use squall::testing::TestClient;
///
/// struct User(String);
///
/// impl FromContext for User {
///     async fn from_context(cx: &mut Context) -> Result<Self> {
///         let name = cx.header("x-user").or_status(401)?;
///         Ok(Self(name.to_owned()))
///     }
/// }
///
/// async fn greet(User(name): User) -> String {
///     format!("Hello, {name}!")
/// }
///
/// let client = TestClient::new(|| Application::new().get("/", greet))?;
/// assert_eq!(client.get("/").header("x-user", "Ada").send()?.text(), "Hello, Ada!");
/// assert_eq!(client.get("/").send()?.status(), 401);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "an argument is `&mut Context`, which comes first, or a type that implements `FromContext`",
    note = "arguments are `Path<T>`, `Query<T>`, `Form<T>`, `Json<T>`, `State<T>`, `Extension<T>`, `Bytes`, `String`, \
            `Multipart`, `MultipartForm`, and `Option` or `Result` of these",
    note = "implement `squall::FromContext` for a type of your own"
)]
pub trait FromContext: Sized {
    /// Reads the value from the request.
    ///
    /// # Errors
    ///
    /// The error answers the request: give it the status of the client's fault, such as 400 or 401.
    fn from_context(cx: &mut Context) -> impl Future<Output = Result<Self>>;
}

/// An argument that a request may lack, so that a handler function can take `Option<Self>`.
///
/// | argument | `None` if |
/// |---|---|
/// | `Option<Query<T>>` | the target has no query |
/// | `Option<Form<T>>`, `Option<Json<T>>` | the content is empty |
/// | `Option<State<T>>` | the application has no state of this type |
/// | `Option<Extension<T>>` | no middleware stored a value of this type |
///
/// A value that is there and malformed is an error as before. `Result<T>` takes any error as a value.
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` cannot be an argument of a handler",
    label = "`{Self}` does not implement `OptionalFromContext`, which decides when the value is missing",
    note = "take `Result<{Self}>`, or implement `squall::app::OptionalFromContext` for a type of your own"
)]
pub trait OptionalFromContext: Sized {
    /// Reads the value from the request; `None` if the request does not have it.
    ///
    /// # Errors
    ///
    /// The value is there and cannot be read.
    fn optional_from_context(cx: &mut Context) -> impl Future<Output = Result<Option<Self>>>;
}

/// The path parameters as an argument: one value, a tuple in the order of the pattern, or a struct by name.
///
/// See [`Context::params_as`] for its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Path<T>(pub T);

/// The query as an argument.
///
/// See [`Context::query_as`] for its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query<T>(pub T);

/// The content as a form, as an argument.
///
/// See [`Context::form`] for its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form<T>(pub T);

/// State of the application on this shard, as an argument.
///
/// See [`Application::state`](crate::app::Application::state).
#[derive(Debug, Default)]
pub struct State<T>(pub Rc<T>);

/// A copy of a value that middleware stored for this request with [`Context::insert_extension`], as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extension<T>(pub T);

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: DeserializeOwned> FromContext for Path<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.params_as().map(Self)
    }
}

impl<T: DeserializeOwned> FromContext for Query<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.query_as().map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromContext for Query<T> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        if cx.query().is_none() {
            return Ok(None);
        }
        cx.query_as().map(|value| Some(Self(value)))
    }
}

impl<T: DeserializeOwned> FromContext for Form<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.form().await.map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromContext for Form<T> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        if is_without_content(cx).await? {
            return Ok(None);
        }
        cx.form().await.map(|value| Some(Self(value)))
    }
}

impl<T: DeserializeOwned> FromContext for Json<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.json().await.map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromContext for Json<T> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        if is_without_content(cx).await? {
            return Ok(None);
        }
        cx.json().await.map(|value| Some(Self(value)))
    }
}

impl FromContext for Multipart {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.multipart()
    }
}

impl FromContext for MultipartForm {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.multipart_form().await
    }
}

impl FromContext for Bytes {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.body().await
    }
}

impl FromContext for String {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        let content = cx.body().await?;
        Self::from_utf8(content.into()).map_err(|_| bad_request("the content is not UTF-8"))
    }
}

impl<T: 'static> FromContext for State<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        cx.state().map(Self)
    }
}

impl<T: 'static> OptionalFromContext for State<T> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        Ok(cx.state().ok().map(Self))
    }
}

impl<T: Clone + 'static> FromContext for Extension<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        let value = cx.extension::<T>().cloned().map(Self);
        value.ok_or_else(|| {
            let name = core::any::type_name::<T>();
            Error::new(format!(
                "could not read an extension of type `{name}`: it is missing; store it with `insert_extension`"
            ))
        })
    }
}

impl<T: Clone + 'static> OptionalFromContext for Extension<T> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        Ok(cx.extension::<T>().cloned().map(Self))
    }
}

impl<T: OptionalFromContext> FromContext for Option<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        T::optional_from_context(cx).await
    }
}

impl<T: FromContext> FromContext for Result<T> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        Ok(T::from_context(cx).await)
    }
}

/// Whether the request has no content, or empty content.
async fn is_without_content(cx: &mut Context) -> Result<bool> {
    match cx.content_length() {
        Some(length) => Ok(length == 0),
        // Only the content itself tells whether chunked content is empty.
        None => Ok(cx.body().await?.is_empty()),
    }
}
