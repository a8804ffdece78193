//! Shared by these tests: a visitor with cookies that follows redirects from the application to the provider and back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use squall::login::{Login, Profile, Provider};
use squall::prelude::*;
use squall::security::Sessions;
use url::Url;

use crate::support::client::Connection;
pub(crate) use crate::support::response::Response;
pub(crate) use crate::support::running::Running;

/// The secret that the provider has given the application.
const CLIENT_SECRET: &str = "the secret of the application";

/// The most redirects of one login.
const REDIRECTS_MAX: usize = 12;

/// An application with the login `/login/sso`.
pub(crate) fn serve(issuer: &str, pause: Duration) -> Running {
    let issuer = issuer.to_owned();
    Running::start(1, move || application(&issuer, pause))
}

pub(crate) fn application(issuer: &str, pause: Duration) -> Application {
    let provider = Provider::open_id(issuer, "app", CLIENT_SECRET).refetch_pause(pause);
    Application::new()
        .cookie_secret("the secret of the cookies of these tests")
        .sessions(Sessions::in_memory())
        .login(Login::new().provider("sso", provider), admit)
        .get("/who", async |cx: &mut Context| -> Result<String> {
            Ok(cx.session().await?.user().unwrap_or_else(|| "visitor".to_owned()))
        })
}

/// Logs the visitor in under what the provider says.
pub(crate) async fn admit(cx: &mut Context, profile: Profile) -> Result {
    let user = format!(
        "{}:{} {} {}",
        profile.provider(),
        profile.subject(),
        profile.name().unwrap_or("-"),
        profile.email().unwrap_or("-")
    );
    cx.session().await?.log_in(&user);
    cx.redirect(profile.next())
}

/// A browser without pages: it keeps cookies by host and path, and follows redirects when told to.
#[derive(Default, Clone)]
pub(crate) struct Visitor {
    /// By the port, the name and the path.
    cookies: HashMap<(u16, String), (String, String)>,
}

impl Visitor {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Requests a URL of this machine, and keeps the cookies that the response sets.
    #[track_caller]
    pub(crate) fn get(&mut self, url: &str) -> Response {
        let url = Url::parse(url).unwrap();
        let port = url.port().unwrap();
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), (path, _))| *of == port && url.path().starts_with(path.as_str()))
            .map(|((_, name), (_, value))| format!("{name}={value}"))
            .collect();
        let cookies = match sent.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", sent.join("; ")),
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cookies}Connection: close\r\n\r\n");
        let mut connection = Connection::open(SocketAddr::from(([127, 0, 0, 1], port)));
        let response = connection.exchange(request.as_bytes(), "GET").unwrap();
        for (_, line) in response.fields.iter().filter(|(name, _)| name == "set-cookie") {
            self.keep(port, str::from_utf8(line).unwrap());
        }
        response
    }

    fn keep(&mut self, port: u16, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attribute = |wanted: &str| {
            let mut attributes = line.split(';').skip(1).map(str::trim);
            attributes.find_map(|part| part.strip_prefix(wanted).map(str::to_owned))
        };
        let path = attribute("Path=")
            .or_else(|| attribute("path="))
            .unwrap_or_else(|| "/".to_owned());
        let is_removed = value.is_empty() || attribute("Max-Age=0").is_some();
        if is_removed {
            self.cookies.remove(&(port, name.to_owned()));
        } else {
            self.cookies.insert((port, name.to_owned()), (path, value.to_owned()));
        }
    }

    /// Requests a URL and follows its redirects, until one leads to a URL that `stops` names.
    ///
    /// Returns that URL unvisited, or the last response.
    #[track_caller]
    pub(crate) fn follow(&mut self, url: &str, stops: impl Fn(&Url) -> bool) -> Result<Url, Response> {
        let mut url = Url::parse(url).unwrap();
        for _ in 0..REDIRECTS_MAX {
            let response = self.get(url.as_str());
            let Some(location) = response.field("location") else {
                return Err(response);
            };
            url = url.join(str::from_utf8(location).unwrap()).unwrap();
            if stops(&url) {
                return Ok(url);
            }
        }
        panic!("more than {REDIRECTS_MAX} redirects, at {url}");
    }

    /// Begins a login, and returns the URL of the provider to which the application sends the visitor.
    #[track_caller]
    pub(crate) fn begin(&mut self, server: &Running, target: &str) -> Url {
        let application = server.address.port();
        let begun = self.follow(&at(server, target), |url| url.port() != Some(application));
        begun.unwrap_or_else(|response| panic!("no redirect to the provider: {response:?}"))
    }

    /// Goes on at the provider, and returns the URL of the application with the code, unvisited.
    #[track_caller]
    pub(crate) fn authorize(&mut self, server: &Running, url: &Url) -> Url {
        let application = server.address.port();
        let authorized = self.follow(url.as_str(), |url| url.port() == Some(application));
        authorized.unwrap_or_else(|response| panic!("no redirect back: {response:?}"))
    }

    /// Logs in, and returns what the application then calls the visitor.
    #[track_caller]
    pub(crate) fn log_in(&mut self, server: &Running) -> String {
        let provider = self.begin(server, "/login/sso");
        let callback = self.authorize(server, &provider);
        let entered = self.get(callback.as_str());
        assert_eq!(entered.status, 302, "{entered:?}");
        self.who(server)
    }

    /// What the application calls the visitor.
    #[track_caller]
    pub(crate) fn who(&mut self, server: &Running) -> String {
        let answer = self.get(&at(server, "/who"));
        String::from_utf8(answer.body).unwrap()
    }
}

/// The URL of a path of the application.
pub(crate) fn at(server: &Running, target: &str) -> String {
    format!("http://{}{target}", server.address)
}

/// A URL with one parameter replaced, as an attacker in the middle of the redirects could.
pub(crate) fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    for pair in pairs.iter_mut().filter(|(known, _)| known == name) {
        value.clone_into(&mut pair.1);
    }
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}
