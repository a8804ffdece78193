//! The routes of a login: to the provider, and back.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use openidconnect::RedirectUrl;

use super::attempt::{Attempt, Returned};
use super::exchange::{default_client, refused};
use super::profile::Profile;
use super::provider::{Provider, Ready};
use crate::app::{Application, Context};
use crate::client::http::client::Client;
use crate::error::{HttpError, Result};

/// The longest code that is sent on to the provider. Microsoft's has some 1.5 KiB.
const CODE_BYTES_MAX: usize = 4 * 1024;

/// Login with others: Google, GitHub, Microsoft, any provider of OpenID Connect or OAuth 2 (Tornado's `auth`).
///
/// Each provider has two routes. `/login/NAME` sends the visitor to it, and `/login/NAME/callback` is where the visitor
/// comes back to. With `?next=/path`, the visitor ends there. The application gets the verified [`Profile`] and decides
/// who that is.
///
/// ```
/// use squall::login::{Login, Profile, Provider};
/// use squall::prelude::*;
/// use squall::security::Sessions;
/// # use squall::testing::TestClient;
///
/// async fn admit(cx: &mut Context, profile: Profile) -> Result {
///     let account = format!("{}:{}", profile.provider(), profile.subject());
///     cx.session().await?.log_in(&account);
///     cx.redirect(profile.next())
/// }
///
/// fn application() -> Application {
///     let login = Login::new()
///         .origin("https://todo.example")
///         .provider("google", Provider::google("client id", "client secret"))
///         .provider("github", Provider::github("client id", "client secret"));
///     Application::new()
///         .cookie_secret("7b2cVw4Hf0aYqT9dMZ3xLk8sPjRe6uNi")
///         .sessions(Sessions::in_memory())
///         .login(login, admit)
/// }
///
/// # let client = TestClient::new(application)?;
/// # let response = client.get("/login/github?next=/lists").send()?;
/// # let location = response.header("location").unwrap_or_default();
/// # assert!(location.starts_with("https://github.com/login/oauth/authorize?response_type=code"), "{location}");
/// # Ok::<(), Error>(())
/// ```
///
/// The attempt is in an encrypted cookie for ten minutes, with its state, its nonce and the verifier of PKCE. A code
/// that another browser began, that is old, or that comes a second time answers 400.
#[must_use = "a login does nothing until it is given to an application"]
pub struct Login {
    origin: Option<String>,
    path: String,
    providers: Vec<(String, Provider)>,
    client: Option<Client>,
}

/// What both routes of a provider share.
struct Entrance {
    name: String,
    provider: Ready,
    origin: Option<String>,
    /// The path of the first route; the second one is `/callback` below.
    path: String,
    client: Client,
}

/// The application's function, with its type erased.
trait Admit {
    fn admit<'a>(&'a self, cx: &'a mut Context, profile: Profile) -> Pin<Box<dyn Future<Output = Result> + 'a>>;
}

impl<F> Admit for F
where
    F: AsyncFn(&mut Context, Profile) -> Result,
{
    fn admit<'a>(&'a self, cx: &'a mut Context, profile: Profile) -> Pin<Box<dyn Future<Output = Result> + 'a>> {
        Box::pin(self(cx, profile))
    }
}

impl Login {
    /// Makes a login without providers.
    pub fn new() -> Self {
        Self {
            origin: None,
            path: "/login".to_owned(),
            providers: Vec::new(),
            client: None,
        }
    }

    /// Sets the origin of the application as browsers see it, such as `https://todo.example`.
    ///
    /// Without it, the origin is that of the request. Providers refuse an origin that is not registered with them.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.trim_end_matches('/').to_owned());
        self
    }

    /// Sets the path before the names of the providers, `/login` by default.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.trim_end_matches('/').to_owned();
        self
    }

    /// Adds a provider under a name of lower-case letters, digits and `-`.
    pub fn provider(mut self, name: &str, provider: Provider) -> Self {
        self.providers.push((name.to_owned(), provider));
        self
    }

    /// Sets the client for requests to the providers, such as one with a proxy.
    ///
    /// By default it is a client of its own that follows no redirects. Each request has 10 seconds, and each answer at most
    /// 256 KiB.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }
}

impl Default for Login {
    fn default() -> Self {
        Self::new()
    }
}

impl Application {
    /// Adds the routes of a login; `admit` gets the profile of a visitor and answers the last request: see [`Login`].
    ///
    /// It needs [`cookie_secret`](Self::cookie_secret).
    pub fn login<F>(mut self, login: Login, admit: F) -> Self
    where
        F: AsyncFn(&mut Context, Profile) -> Result + 'static,
    {
        let client = match login.client.map_or_else(default_client, Ok) {
            Ok(client) => client,
            Err(error) => return self.with_problem(Some(error.to_string())),
        };
        let admit: Rc<dyn Admit> = Rc::new(admit);
        for (name, provider) in login.providers {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_plain) {
                let problem =
                    format!("the name of the login provider `{name}` has other characters than a-z, 0-9 and -");
                self = self.with_problem(Some(problem));
                continue;
            }
            let provider = match provider.prepare() {
                Ok(provider) => provider,
                Err(error) => {
                    self = self.with_problem(Some(format!("the login provider `{name}`: {error}")));
                    continue;
                }
            };
            let path = format!("{}/{name}", login.path);
            let entrance = Rc::new(Entrance {
                name,
                provider,
                origin: login.origin.clone(),
                path: path.clone(),
                client: client.clone(),
            });
            let exit = Rc::clone(&entrance);
            let admit = Rc::clone(&admit);
            self = self
                .get(&path, async move |cx: &mut Context| entrance.begin(cx).await)
                .get(&format!("{path}/callback"), async move |cx: &mut Context| {
                    let profile = exit.end(cx).await?;
                    admit.admit(cx, profile).await
                });
        }
        self
    }
}

impl Entrance {
    /// Sends the visitor to the provider.
    async fn begin(&self, cx: &mut Context) -> Result {
        let attempt = Attempt::new(cx)?;
        let redirect = self.redirect_url(cx)?;
        let url = self
            .provider
            .authorization_url(cx, &self.client, &attempt, redirect)
            .await?;
        attempt.keep(cx, &self.path)?;
        cx.set_header("cache-control", "no-store")?;
        cx.redirect(&url)
    }

    /// Takes the visitor that comes back, and returns the profile.
    async fn end(&self, cx: &mut Context) -> Result<Profile> {
        cx.set_header("cache-control", "no-store")?;
        let attempt = Attempt::take(cx, &self.path)?;
        let error: Option<String> = cx.optional_query_param("error")?;
        match error.as_deref() {
            None => {}
            Some("access_denied") => return Err(HttpError::new(403).with_message("the login was cancelled").into()),
            Some(error) => {
                return Err(refused(
                    "log in",
                    format_args!("the provider answers {:.200}", error.escape_default().to_string()),
                ));
            }
        }
        let code: String = cx.query_param("code")?;
        if code.len() > CODE_BYTES_MAX {
            return Err(HttpError::new(400).with_message("the code is too long").into());
        }
        let next = attempt.next.clone();
        let redirect = self.redirect_url(cx)?;
        let returned = Returned {
            attempt,
            redirect,
            code,
        };
        let said = self.provider.redeem(cx, &self.client, returned).await?;
        Ok(Profile::new(&self.name, said, next))
    }

    /// The URL of the second route.
    fn redirect_url(&self, cx: &Context) -> Result<RedirectUrl> {
        let path = &self.path;
        let url = match &self.origin {
            Some(origin) => format!("{origin}{path}/callback"),
            None => format!("{}://{}{path}/callback", cx.protocol(), cx.host()),
        };
        RedirectUrl::new(url)
            .map_err(|error| crate::error::bad_request(format!("the host of the request is invalid: {error}")))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.providers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Login")
            .field("path", &self.path)
            .field("providers", &names)
            .finish_non_exhaustive()
    }
}
