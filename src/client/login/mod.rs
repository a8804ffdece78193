//! Login with others: the authorization code flow of OAuth 2 (RFC 6749 §4.1) and OpenID Connect, on the HTTP client.
//!
//! It is here, above the application layer, because that layer does no I/O. The crates `openidconnect` and `oauth2` write
//! the requests and verify the answers.
//!
//! | step | file |
//! |---|---|
//! | list the providers | `provider`, `routes` |
//! | send the visitor to the provider, and remember the attempt in an encrypted cookie | `attempt` |
//! | exchange the code of the visitor that comes back, and verify what the provider says | `open_id`, `oauth2`, over `exchange` |
//! | give the application the visitor's profile | `profile` |
//! | fetch the keys of bearer tokens | `key_set` |

mod attempt;
mod exchange;
mod key_set;
mod oauth2;
mod open_id;
mod profile;
mod provider;
mod routes;

pub use self::oauth2::OAuth2Endpoints;
pub use profile::Profile;
pub use provider::Provider;
pub use routes::Login;
