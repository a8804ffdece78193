//! Middleware that lets only some users in: any user, users with a role, users that a policy admits.
//!
//! A visitor without a user is asked to log in: a browser goes to the login page and comes back. Requests that another
//! handler would answer with 404 or 405 get that answer first.

use core::fmt;
use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::app::handler::typed::{FromContext, OptionalFromContext};
use crate::app::routing::Route;
use crate::error::{Finish, HttpError, Result};
use crate::message::{Method, StatusCode, header};

/// The characters that a value in a query cannot have: all but the unreserved ones (RFC 3986 §2.3).
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Middleware that requires a user (Tornado's `authenticated`).
///
/// Without one, GET and HEAD are redirected to the [`login_url`](crate::security::Users::login_url) with the target as
/// the parameter `next`. Other methods, WebSockets and applications without such a page get 403, or 401 with the
/// [`challenge`](crate::security::Users::challenge).
///
/// ```
/// use squall::middleware::authenticated;
/// use squall::prelude::*;
/// use squall::routing::get;
///
/// async fn account(_: &mut Context) -> &'static str {
///     "your account"
/// }
///
/// let routes = Routes::new().middleware(authenticated).get("/account", account);
/// // The same for one route:
/// let route = get(account).authenticated();
/// ```
///
/// # Errors
///
/// The user's loader fails; 401 or 403 as above.
///
/// # Cancel safety
///
/// As [`Next::run`].
pub async fn authenticated(cx: &mut Context, next: Next<'_>) -> Result {
    if next.has_handler() && cx.any_user().await?.is_none() {
        return demand_login(cx);
    }
    next.run(cx).await;
    Ok(())
}

/// Makes middleware that requires a user with a role, or a scope, as [`Users::roles`](crate::security::Users::roles) says.
///
/// A visitor without a user is treated as by [`authenticated`]. A user without the role gets 403.
pub fn requires(role: &str) -> Requires {
    Requires(role.to_owned())
}

/// Makes middleware that asks an async function whether a request is admitted; others get 403.
///
/// A visitor without a user is treated as by [`authenticated`], before the function runs.
///
/// ```
/// use squall::middleware::allow_if;
/// use squall::prelude::*;
///
/// struct User {
///     id: u64,
/// }
///
/// async fn owns_the_list(cx: &mut Context) -> Result<bool> {
///     let owner: u64 = cx.param("owner")?;
///     Ok(cx.user::<User>().await?.is_some_and(|user| user.id == owner))
/// }
///
/// let lists = Routes::new().middleware(allow_if(owns_the_list));
/// ```
pub fn allow_if<F>(policy: F) -> AllowIf<F>
where
    F: AsyncFn(&mut Context) -> Result<bool> + 'static,
{
    AllowIf(policy)
}

/// Middleware made by [`requires`].
#[derive(Debug, Clone)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct Requires(String);

/// Middleware made by [`allow_if`].
#[derive(Clone)]
#[must_use = "middleware does nothing until it is given to an application, a group or a route"]
pub struct AllowIf<F>(F);

impl Middleware for Requires {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if next.has_handler() {
            let Some(user) = cx.any_user().await? else {
                return demand_login(cx);
            };
            if !cx.users()?.has_role(&user, &self.0)? {
                return Err(HttpError::new(StatusCode::FORBIDDEN).into());
            }
        }
        next.run(cx).await;
        Ok(())
    }
}

impl<F> Middleware for AllowIf<F>
where
    F: AsyncFn(&mut Context) -> Result<bool> + 'static,
{
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        if next.has_handler() {
            if cx.any_user().await?.is_none() {
                return demand_login(cx);
            }
            if !(self.0)(&mut *cx).await? {
                return Err(HttpError::new(StatusCode::FORBIDDEN).into());
            }
        }
        next.run(cx).await;
        Ok(())
    }
}

impl<F> fmt::Debug for AllowIf<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AllowIf").finish_non_exhaustive()
    }
}

/// The user as an argument of a handler: a visitor without one is treated as by [`authenticated`].
///
/// `Option<CurrentUser<U>>` lets visitors in.
///
/// ```
/// use squall::prelude::*;
/// use squall::security::CurrentUser;
///
/// struct User {
///     name: String,
/// }
///
/// async fn greet(CurrentUser(user): CurrentUser<User>) -> String {
///     format!("Hello, {}!", user.name)
/// }
/// ```
#[derive(Debug)]
pub struct CurrentUser<U>(pub Rc<U>);

impl<U: 'static> FromContext for CurrentUser<U> {
    async fn from_context(cx: &mut Context) -> Result<Self> {
        match cx.user().await? {
            Some(user) => Ok(Self(user)),
            None => {
                demand_login(cx)?;
                // The response is the redirection.
                Err(Finish.into())
            }
        }
    }
}

impl<U: 'static> OptionalFromContext for CurrentUser<U> {
    async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
        Ok(cx.user().await?.map(Self))
    }
}

impl Route {
    /// Requires a user, as the middleware [`authenticated`](crate::middleware::authenticated) does.
    pub fn authenticated(self) -> Self {
        self.middleware(authenticated)
    }

    /// Requires a user with a role or scope, as the middleware [`requires`](crate::middleware::requires) does.
    pub fn requires(self, role: &str) -> Self {
        self.middleware(requires(role))
    }

    /// Asks a policy, as the middleware [`allow_if`](crate::middleware::allow_if) does.
    pub fn allow_if<F>(self, policy: F) -> Self
    where
        F: AsyncFn(&mut Context) -> Result<bool> + 'static,
    {
        self.middleware(allow_if(policy))
    }
}

/// Answers a request without a user.
///
/// # Errors
///
/// 401 or 403, unless the answer is a redirection.
fn demand_login(cx: &mut Context) -> Result {
    let users = cx.users()?;
    let is_websocket = cx.header("upgrade").is_some() || cx.head.is_extended_connect();
    let is_page = matches!(*cx.method(), Method::GET | Method::HEAD) && !is_websocket;
    if let Some(login_url) = users.login_url.as_deref().filter(|_| is_page) {
        let location = login_location(cx, login_url);
        return cx.redirect(&location);
    }
    Err(match &users.challenge {
        Some(challenge) => {
            HttpError::new(StatusCode::UNAUTHORIZED).with_header(header::WWW_AUTHENTICATE, challenge.clone())
        }
        None => HttpError::new(StatusCode::FORBIDDEN),
    }
    .into())
}

/// The login page, with the target of the request as `next`: the path, or the whole URL for a page of another host.
fn login_location(cx: &Context, login_url: &str) -> String {
    if login_url.contains('?') {
        return login_url.to_owned();
    }
    let query = cx.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut target = format!("{}{query}", cx.path());
    let is_of_this_host = login_url.starts_with('/') && !login_url.starts_with("//");
    if !is_of_this_host {
        target = format!("{}://{}{target}", cx.protocol(), cx.host());
    }
    format!("{login_url}?next={}", utf8_percent_encode(&target, QUERY_VALUE))
}
