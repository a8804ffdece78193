//! Who the client is, and what protects an application: signed and encrypted cookies, forged requests, users; CORS,
//! security fields, deadlines and limits of rates.
//!
//! The formats are Tornado's, so an application moves to Squall one route at a time and keeps its cookies. This layer
//! reads no clock and draws no randomness: both come from the [`Runtime`](crate::app::Runtime).

mod authenticated;
mod authorization;
mod basic;
mod bearer;
mod constant_time;
mod cookie_secret;
pub(in crate::app) mod cors;
mod disconnect;
#[cfg(feature = "encryption")]
mod encrypted_cookies;
#[cfg(feature = "encryption")]
mod encrypted_value;
mod identity;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod jwt_key;
mod local_path;
pub(in crate::app) mod nonce;
#[cfg(feature = "passwords")]
mod password;
pub(in crate::app) mod rate_limit;
#[cfg(any(feature = "jwt", feature = "oidc"))]
mod refreshed;
pub(in crate::app) mod security_headers;
mod session;
mod signed_cookies;
mod signed_value;
mod throttle;
pub(in crate::app) mod timeout;
mod user;
mod xsrf;
mod xsrf_settings;
mod xsrf_token;

pub use authenticated::{AllowIf, CurrentUser, Requires, allow_if, authenticated, requires};
pub use basic::{Basic, BasicCredentials};
pub use bearer::{ApiKeys, Bearer, is_equal_in_constant_time};
pub use cookie_secret::CookieSecret;
#[cfg(feature = "encryption")]
pub use encrypted_cookies::EncryptedCookies;
#[cfg(feature = "jwt")]
pub use jwt::Jwt;
#[cfg(feature = "jwt")]
pub use jwt_key::JwtAlgorithm;
pub use local_path::local_path;
#[cfg(feature = "passwords")]
pub use password::{PasswordCheck, PasswordSettings};
pub use session::{Session, SessionChanges, SessionKey, SessionLifetime, SessionStore, SessionValues, Sessions};
pub use signed_cookies::SignedCookies;
pub use signed_value::Signed;
pub use throttle::{Attempts, LoginThrottle};
pub use user::Users;
pub use xsrf::Xsrf;
pub use xsrf_token::XsrfToken;

pub(super) use identity::Identity;
#[cfg(feature = "oidc")]
pub(crate) use refreshed::{Need, Refreshed};
