//! Lists that people share: accounts, sessions, forms, a database, and changes that every member sees at once.
//!
//! ```text
//! cargo run --release -p squall-todo
//! ```
//!
//! It serves <http://127.0.0.1:8888/> and keeps everything in the file `todo.sqlite`. Sign up in two browsers, share a
//! list, and tick something off.
//!
//! To let visitors log in with a provider of OpenID Connect, register `http://127.0.0.1:8888/login/sso/callback` with it:
//!
//! ```text
//! TODO_SSO_SECRET=… cargo run --release -p squall-todo -- --sso-issuer https://login.example --sso-client todo
//! ```
//!
//! | to | file |
//! |---|---|
//! | keep everything in SQLite | `database` |
//! | know the visitor | `accounts`, `sessions` |
//! | keep lists, and tell their members of changes | `lists`, `live` |
//! | show pages and read forms | `pages` |

mod accounts;
mod database;
mod lists;
mod live;
mod pages;
mod sessions;

use std::path::PathBuf;

use clap::Parser;
use squall::login::{Login, Provider};
use squall::middleware::{Compression, SecurityHeaders, Xsrf};
use squall::prelude::*;
use squall::pubsub::Envelope;
use squall::routing::{Route, get, post};
use squall::security::{LoginThrottle, PasswordSettings, Sessions, Users};
use squall::{Options, StaticFiles};

use crate::database::Database;
use crate::sessions::SqliteSessions;

/// The flags of the server, and those of the application.
#[derive(Debug, Parser)]
#[group(skip)]
struct Flags {
    #[command(flatten)]
    squall: Options,
    #[command(flatten)]
    todo: TodoFlags,
}

/// The flags of the application.
#[derive(Debug, Clone, clap::Args)]
struct TodoFlags {
    /// The file of the database, which the first start creates.
    #[arg(long, default_value = "todo.sqlite", value_name = "FILE")]
    database: PathBuf,
    /// The issuer of a provider of OpenID Connect, with which visitors may log in.
    #[arg(long, requires = "sso_client", value_name = "URL")]
    sso_issuer: Option<String>,
    /// The id that the provider has given; the secret comes from the variable `TODO_SSO_SECRET`.
    #[arg(long, value_name = "ID")]
    sso_client: Option<String>,
    /// The name of the provider, as the button shows it.
    #[arg(long, default_value = "single sign-on", value_name = "NAME")]
    sso_name: String,
    /// The memory that hashing one password takes, in KiB.
    #[arg(long, default_value_t = 19_456, value_name = "N")]
    password_memory_kib: u32,
    /// The origin of the site as browsers see it, such as `https://todo.example`; by default that of each request.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
}

/// What the pages of visitors show about login with others.
struct Sso {
    /// The name of the provider; `None` without one.
    name: Option<String>,
}

/// The login with a provider, if the operator has named one.
fn login(flags: &TodoFlags) -> Login {
    let mut login = Login::new();
    if let Some(origin) = &flags.origin {
        login = login.origin(origin);
    }
    if let (Some(issuer), Some(client)) = (&flags.sso_issuer, &flags.sso_client) {
        let secret = std::env::var("TODO_SSO_SECRET").unwrap_or_default();
        login = login.provider("sso", Provider::open_id(issuer, client, &secret));
    }
    login
}

/// A page or a form for visitors that have logged in.
fn members(route: Route) -> Route {
    route.authenticated()
}

fn application(flags: &TodoFlags, database: &Database, secret: &str) -> Application {
    let assets = squall::embed!("../static": "todo.css", "todo.js", "icon.svg");
    let sso = Sso {
        name: flags.sso_issuer.is_some().then(|| flags.sso_name.clone()),
    };
    Application::new()
        .state(database.clone())
        .state(sso)
        .cookie_secret(secret)
        .sessions(Sessions::stored(SqliteSessions::new(database.clone())))
        .users(Users::new(accounts::load).login_url("/login"))
        .passwords(PasswordSettings::new().memory_kib(flags.password_memory_kib))
        .throttle_logins(LoginThrottle::new())
        .middleware(SecurityHeaders::page())
        .middleware(Compression::new())
        .middleware(Xsrf::new())
        .get("/", pages::welcome)
        .route("/signup", get(pages::sign_up_form).post(accounts::sign_up))
        .route("/login", get(pages::log_in_form).post(accounts::log_in))
        .post("/logout", accounts::log_out)
        .login(login(flags), accounts::admit)
        .route(
            "/lists",
            members(get(pages::overview).post(lists::create)).name("lists"),
        )
        .route("/lists/{list}", members(get(pages::list)).name("list"))
        .route(
            "/lists/{list}/items",
            members(get(lists::items).post(lists::add)).name("items"),
        )
        .route("/lists/{list}/items/{item}", members(post(lists::change)).name("item"))
        .route("/lists/{list}/members", members(post(lists::share)).name("members"))
        .route(
            "/lists/{list}/members/{member}",
            members(post(lists::unshare)).name("member"),
        )
        .route("/feed", members(live::feed().into_route()))
        .route("/static/{*path}", StaticFiles::embedded(assets))
        .error_page(pages::error)
}

fn main() -> Result {
    let Flags { squall, todo } = Flags::parse();
    let database = Database::open(&todo.database)?;
    let secret = database.cookie_secret()?;
    Server::from_options(squall, move || application(&todo, &database, &secret))
        .topic("lists/*", TopicOptions::default().envelope(Envelope::Json))
        .topic("users/*", TopicOptions::default().envelope(Envelope::Json))
        .run()
}
