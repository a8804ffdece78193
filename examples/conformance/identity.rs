//! Who the client is: cookies, signed values, XSRF, users.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use squall::cookie::time::{self, OffsetDateTime};
use squall::middleware::{Basic, Bearer, Xsrf};
use squall::prelude::*;
use squall::routing::get;
use squall::security::{BasicCredentials, CookieSecret, SignedCookies, Users, is_equal_in_constant_time, local_path};

/// The seconds of a day.
const DAY_SECONDS: f64 = 86_400.0;

/// The flags of these routes.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Flags {
    /// Signs cookies
    #[arg(long, value_name = "S", default_value = "a secret for tests alone, of 40 bytes")]
    cookie_secret: String,
}

/// The secrets of the routes below `/rotated`.
struct Rotated(CookieSecret);

/// A value, or its absence.
#[derive(Serialize)]
struct Value {
    value: Option<String>,
}

/// The user of the routes that need one.
struct User(String);

/// The content of `POST /login`.
#[derive(Deserialize)]
struct Login {
    user: String,
    #[serde(default)]
    next: String,
}

fn bad_request(message: &'static str) -> Error {
    HttpError::new(400).with_message(message).into()
}

/// Sets a cookie for each pair of a name and a value, with the attributes that the query gives and no others.
async fn set_cookies(cx: &mut Context) -> Result<&'static str> {
    let names: Vec<String> = cx.query_params("name")?;
    let values: Vec<String> = cx.query_params("value")?;
    if names.is_empty() || names.len() != values.len() {
        return Err(bad_request("name and value come in pairs"));
    }
    let is_set = |flag: Option<String>| flag.as_deref() == Some("1");
    let is_secure = is_set(cx.optional_query_param("secure")?);
    let is_http_only = is_set(cx.optional_query_param("httponly")?);
    let (path, domain) = place(cx)?;
    let max_age: Option<i64> = cx.optional_query_param("max_age")?;
    let expires = cx
        .optional_query_param("expires_days")?
        .map(days_from_now)
        .transpose()?;
    let same_site = cx.optional_query_param("samesite")?.map(same_site).transpose()?;
    for (name, value) in names.into_iter().zip(values) {
        let mut cookie = Cookie::build((name, value))
            .secure(is_secure)
            .http_only(is_http_only)
            .build();
        cookie.set_same_site(same_site);
        cookie.set_max_age(max_age.map(time::Duration::seconds));
        if let Some(expires) = expires {
            cookie.set_expires(expires);
        }
        if let Some(path) = &path {
            cookie.set_path(path);
        }
        if let Some(domain) = &domain {
            cookie.set_domain(domain);
        }
        cx.cookies().set(cookie).or_status(400)?;
    }
    Ok("ok")
}

/// The path and the domain of a query.
fn place(cx: &Context) -> Result<(Option<String>, Option<String>)> {
    Ok((cx.optional_query_param("path")?, cx.optional_query_param("domain")?))
}

fn same_site(text: String) -> Result<SameSite> {
    match text.to_ascii_lowercase().as_str() {
        "strict" => Ok(SameSite::Strict),
        "lax" => Ok(SameSite::Lax),
        "none" => Ok(SameSite::None),
        _ => Err(bad_request("samesite is Strict, Lax or None")),
    }
}

#[expect(clippy::disallowed_methods, reason = "a date for the client")]
fn days_from_now(days: f64) -> Result<OffsetDateTime> {
    let now = OffsetDateTime::from(SystemTime::now());
    let later = time::Duration::checked_seconds_f64(days * DAY_SECONDS).and_then(|wait| now.checked_add(wait));
    later.ok_or_else(|| bad_request("expires_days is out of range"))
}

async fn read_cookie(cx: &mut Context) -> Result<Json<Value>> {
    let name: String = cx.query_param("name")?;
    let value = cx.cookies().get(&name)?.map(String::from);
    Ok(Json(Value { value }))
}

/// The last value of each name.
async fn all_cookies(cx: &mut Context) -> Result<Json<BTreeMap<String, String>>> {
    let cookies = cx.cookies().iter()?;
    Ok(Json(
        cookies
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect(),
    ))
}

async fn clear_cookie(cx: &mut Context) -> Result<&'static str> {
    let name: String = cx.query_param("name")?;
    let mut cookie = Cookie::from(name);
    let (path, domain) = place(cx)?;
    if let Some(path) = path {
        cookie.set_path(path);
    }
    if let Some(domain) = domain {
        cookie.set_domain(domain);
    }
    cx.cookies().remove(cookie).or_status(400)?;
    Ok("ok")
}

fn set_signed(cx: &Context, jar: SignedCookies<'_>) -> Result<&'static str> {
    let (name, value): (String, String) = (cx.query_param("name")?, cx.query_param("value")?);
    jar.set((name, value)).or_status(400)?;
    Ok("ok")
}

fn read_signed(cx: &Context, jar: SignedCookies<'_>) -> Result<Json<Value>> {
    let name: String = cx.query_param("name")?;
    let days = cx.optional_query_param("max_age_days")?.unwrap_or(31.0);
    let max_age = Duration::try_from_secs_f64(days * DAY_SECONDS).or_status(400)?;
    let value = jar.max_age(max_age).get(&name)?;
    Ok(Json(Value { value }))
}

async fn set_signed_cookie(cx: &mut Context) -> Result<&'static str> {
    set_signed(cx, cx.cookies().signed())
}

async fn read_signed_cookie(cx: &mut Context) -> Result<Json<Value>> {
    read_signed(cx, cx.cookies().signed())
}

async fn set_rotated_cookie(cx: &mut Context) -> Result<&'static str> {
    let rotated = cx.state::<Rotated>()?;
    set_signed(cx, cx.cookies().signed_with(&rotated.0))
}

async fn read_rotated_cookie(cx: &mut Context) -> Result<Json<Value>> {
    let rotated = cx.state::<Rotated>()?;
    read_signed(cx, cx.cookies().signed_with(&rotated.0))
}

async fn xsrf_token(cx: &mut Context) -> Result<String> {
    cx.xsrf_token().map(str::to_owned)
}

async fn xsrf_form(cx: &mut Context) -> Result<Html<String>> {
    cx.xsrf_form_html()
}

async fn ok(_: &mut Context) -> &'static str {
    "ok"
}

async fn load_user(cx: &mut Context) -> Result<Option<User>> {
    Ok(cx.cookies().signed().get("user")?.map(User))
}

async fn login_page(_: &mut Context) -> Html<&'static str> {
    Html("<form method=\"post\"><input name=\"user\"><button>Log in</button></form>\n")
}

async fn log_in(cx: &mut Context, Form(login): Form<Login>) -> Result {
    cx.cookies().signed().set(("user", login.user)).or_status(400)?;
    cx.redirect(local_path(&login.next).unwrap_or("/"))
}

async fn log_out(cx: &mut Context) -> Result {
    cx.cookies().remove("user")?;
    cx.redirect("/")
}

async fn private(cx: &mut Context) -> Result<String> {
    let user = cx.user::<User>().await?.or_status(403)?;
    Ok(format!("hello {}", user.0))
}

async fn is_ada(_: &mut Context, credentials: &BasicCredentials) -> Result<bool> {
    Ok(credentials.is("ada", "lovelace"))
}

async fn opens(_: &mut Context, token: &str) -> Result<bool> {
    Ok(is_equal_in_constant_time("open-sesame", token))
}

async fn basic(cx: &mut Context) -> Result<String> {
    Ok(cx.basic_credentials().or_status(401)?.user)
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application, flags: &Flags) -> Application {
    let secret = &flags.cookie_secret;
    let versions = [1, 7].map(|version| (version, format!("{secret}-{version}")));
    let xsrf = get(xsrf_token).post(ok).put(ok).patch(ok).delete(ok);
    application
        .cookie_secret(secret.as_str())
        .state(Rotated(CookieSecret::versions(7, versions)))
        .users(Users::new(load_user).login_url("/login"))
        .get("/cookie/set", set_cookies)
        .get("/cookie/get", read_cookie)
        .get("/cookie/all", all_cookies)
        .get("/cookie/clear", clear_cookie)
        .get("/signed/set", set_signed_cookie)
        .get("/signed/get", read_signed_cookie)
        .get("/rotated/set", set_rotated_cookie)
        .get("/rotated/get", read_rotated_cookie)
        .route("/xsrf", xsrf.middleware(Xsrf::new()))
        .get("/xsrf/form", xsrf_form)
        .route("/login", get(login_page).post(log_in))
        .get("/logout", log_out)
        .route("/private", get(private).post(ok).authenticated())
        .route("/basic", get(basic).middleware(Basic::new("conformance", is_ada)))
        .route("/bearer", get(ok).middleware(Bearer::new("conformance", opens)))
}
