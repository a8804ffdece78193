//! The user of a request (Tornado's `current_user`): loaded on the first question, and stored until the response.
//!
//! An application says once how to find the user: by a signed cookie, a session, a token. Its loader is an async function
//! that returns a type of its own. Middleware asks whether there is a user without knowing that type.

use core::any::{Any, TypeId, type_name};
use core::fmt;
use core::marker::PhantomData;
use std::rc::Rc;

use crate::app::application::Application;
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::error::{Error, Result};
use crate::message::HeaderValue;

/// How an application finds its users, and what it answers without one.
///
/// ```
/// use squall::prelude::*;
/// use squall::security::Users;
/// # use squall::testing::TestClient;
///
/// struct User {
///     name: String,
///     is_admin: bool,
/// }
///
/// async fn load(cx: &mut Context) -> Result<Option<User>> {
///     let Some(name) = cx.cookies().signed().get("user")? else {
///         return Ok(None);
///     };
///     let is_admin = name == "ada";
///     Ok(Some(User { name, is_admin }))
/// }
///
/// async fn greet(cx: &mut Context) -> Result<String> {
///     Ok(match cx.user::<User>().await? {
///         Some(user) => format!("Hello, {}!", user.name),
///         None => "Hello!".to_owned(),
///     })
/// }
///
/// fn application() -> Application {
///     let users = Users::new(load).login_url("/login").roles(|user, role| role == "admin" && user.is_admin);
///     Application::new().cookie_secret("7b2cVw4Hf0aYqT9dMZ3xLk8sPjRe6uNi").users(users).get("/", greet)
/// }
///
/// # let client = TestClient::new(application)?;
/// # assert_eq!(client.get("/").send()?.text(), "Hello!");
/// # Ok::<(), Error>(())
/// ```
#[must_use = "users do nothing until they are given to an application"]
pub struct Users<U> {
    load: Rc<dyn LoadUser>,
    has_role: Option<HasRole<U>>,
    login_url: Option<String>,
    challenge: Option<HeaderValue>,
    problem: Option<String>,
}

/// Whether a user has a role.
type HasRole<U> = Box<dyn Fn(&U, &str) -> bool>;

/// The same with the user's type erased: state of the application.
pub(super) struct AnyUsers {
    kind: TypeId,
    name: &'static str,
    load: Rc<dyn LoadUser>,
    has_role: Option<HasRole<dyn Any>>,
    /// Where a browser without a user is sent.
    pub(super) login_url: Option<String>,
    /// The scheme that a client without a user should use.
    pub(super) challenge: Option<HeaderValue>,
}

/// A user with its type erased.
pub(in crate::app) type AnyUser = Rc<dyn Any>;

/// A loader with its user's type erased.
trait LoadUser {
    fn load<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a, Result<Option<AnyUser>>>;
}

struct Loader<F, U> {
    load: F,
    user: PhantomData<fn() -> U>,
}

impl<F, U> LoadUser for Loader<F, U>
where
    F: AsyncFn(&mut Context) -> Result<Option<U>>,
    U: 'static,
{
    fn load<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a, Result<Option<AnyUser>>> {
        Box::pin(async move {
            let user = (self.load)(cx).await?;
            Ok(user.map(|user| Rc::new(user) as AnyUser))
        })
    }
}

impl<U: 'static> Users<U> {
    /// Makes users from the async function that finds the user of a request; `None` stands for a visitor without one.
    ///
    /// It runs at most once for a request, when something asks for the user first. An error answers the request, so a
    /// database that is down should be a 503.
    pub fn new<F>(load: F) -> Self
    where
        F: AsyncFn(&mut Context) -> Result<Option<U>> + 'static,
    {
        let user = PhantomData;
        Self {
            load: Rc::new(Loader { load, user }),
            has_role: None,
            login_url: None,
            challenge: None,
            problem: None,
        }
    }

    /// Sets the page to log in at (Tornado's `login_url`): a path, or a URL of another host.
    ///
    /// [`authenticated`](crate::middleware::authenticated) redirects GET and HEAD there. It adds the request's target as
    /// the parameter `next`, unless the URL has a query of its own.
    pub fn login_url(mut self, url: &str) -> Self {
        self.login_url = Some(url.to_owned());
        self
    }

    /// Sets the challenge of a 401, such as `Bearer`, in place of the 403 that a missing user gets (RFC 9110 §11.6.1).
    pub fn challenge(mut self, challenge: &str) -> Self {
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => self.challenge = Some(challenge),
            Err(error) => self.problem = Some(format!("the challenge of the users is invalid: {error}")),
        }
        self
    }

    /// Sets which roles, or scopes, a user has: what [`requires`](crate::middleware::requires) asks.
    pub fn roles(mut self, has_role: impl Fn(&U, &str) -> bool + 'static) -> Self {
        self.has_role = Some(Box::new(has_role));
        self
    }
}

impl Application {
    /// Sets how the user of a request is found: see [`Users`].
    pub fn users<U: 'static>(self, users: Users<U>) -> Self {
        let Users {
            load,
            has_role,
            login_url,
            challenge,
            problem,
        } = users;
        let erase = |has_role: HasRole<U>| -> HasRole<dyn Any> {
            Box::new(move |user, role| user.downcast_ref().is_some_and(|user| has_role(user, role)))
        };
        let users = AnyUsers {
            kind: TypeId::of::<U>(),
            name: type_name::<U>(),
            load,
            has_role: has_role.map(erase),
            login_url,
            challenge,
        };
        self.state(users).with_problem(problem)
    }
}

impl AnyUsers {
    /// Whether a user has a role.
    ///
    /// # Errors
    ///
    /// 500 if the application has no roles.
    pub(super) fn has_role(&self, user: &AnyUser, role: &str) -> Result<bool> {
        let has_role = self.has_role.as_ref().ok_or_else(|| {
            Error::new(format!(
                "could not check for the role `{role}`: the users have no roles; set them with Users::roles"
            ))
        })?;
        Ok(has_role(&**user, role))
    }
}

impl Context {
    /// Returns the user of this request, or `None` for a visitor without one (Tornado's `current_user`).
    ///
    /// The first call runs the loader of [`Application::users`]; later calls return the same value. `U` is the type that
    /// the loader returns.
    ///
    /// # Errors
    ///
    /// The loader's error; 500 if the application has no users, or users of another type.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the loader waits, the next call runs it again.
    pub async fn user<U: 'static>(&mut self) -> Result<Option<Rc<U>>> {
        let kind = self.users().map(|users| users.kind)?;
        if kind != TypeId::of::<U>() {
            let (wanted, users) = (type_name::<U>(), self.users()?.name);
            return Err(Error::new(format!(
                "could not read the user as a `{wanted}`: the application has users of the type `{users}`"
            )));
        }
        let user = self.any_user().await?;
        Ok(user.and_then(|user| user.downcast().ok()))
    }

    /// Sets the user for the rest of this request, such as after a login.
    ///
    /// It changes no cookie and no session.
    ///
    /// # Errors
    ///
    /// 500 if the application has no users, or users of another type.
    pub fn set_user<U: 'static>(&mut self, user: Option<U>) -> Result {
        let users = self.users()?;
        if users.kind != TypeId::of::<U>() {
            let (given, users) = (type_name::<U>(), users.name);
            return Err(Error::new(format!(
                "could not set a user of the type `{given}`: the application has users of the type `{users}`"
            )));
        }
        self.identity()
            .user
            .replace(Some(user.map(|user| Rc::new(user) as AnyUser)));
        Ok(())
    }

    /// The user, whatever its type.
    pub(super) async fn any_user(&mut self) -> Result<Option<AnyUser>> {
        let known = self.identity().user.borrow().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let load = Rc::clone(&self.users()?.load);
        let user = load.load(self).await?;
        self.identity().user.replace(Some(user.clone()));
        Ok(user)
    }

    /// The user, if something has asked for it.
    pub(in crate::app) fn known_user(&self) -> Option<AnyUser> {
        self.known_identity()?.user.borrow().clone().flatten()
    }

    /// How the application finds its users.
    pub(super) fn users(&self) -> Result<&AnyUsers> {
        self.shared.state_ref().ok_or_else(|| {
            Error::new("could not find the user: the application has no users; set them with Application::users")
        })
    }
}

impl<U> fmt::Debug for Users<U> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Users")
            .field("login_url", &self.login_url)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}
