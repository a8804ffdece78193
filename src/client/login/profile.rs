//! What a provider says about a visitor that has logged in.

use std::fmt;

use serde_json::{Map, Value};

/// What a provider says about a visitor that has logged in, once it is verified.
///
/// Provider and [`subject`](Self::subject) together identify an account for ever. A name or an address may belong to
/// another visitor tomorrow.
pub struct Profile {
    provider: String,
    subject: String,
    claims: Map<String, Value>,
    access_token: String,
    next: String,
}

/// The parts of a profile that come from a provider.
pub(super) struct Said {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
    pub(super) access_token: String,
}

impl Profile {
    pub(super) fn new(provider: &str, said: Said, next: String) -> Self {
        Self {
            provider: provider.to_owned(),
            subject: said.subject,
            claims: said.claims,
            access_token: said.access_token,
            next,
        }
    }

    /// Returns the name under which the application has added the provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the provider's own id of the account, which never changes and is never given to another account.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the address of the visitor's mailbox, if the provider says that it has verified it.
    ///
    /// An unverified address would let a visitor in as another, so it counts as none.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        let is_verified = match self.claims.get("email_verified")? {
            Value::Bool(is_verified) => *is_verified,
            // Some providers write it as a string.
            Value::String(text) => text == "true",
            _ => false,
        };
        self.text("email").filter(|_| is_verified)
    }

    /// Returns the name to show.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text("name").or_else(|| self.text("preferred_username"))
    }

    /// Returns the URL of a picture.
    #[must_use]
    pub fn picture(&self) -> Option<&str> {
        self.text("picture")
    }

    /// Returns all that the provider says, by the names of OpenID Connect (Core 1.0 §5.1) and its own.
    ///
    /// `email` may be unverified there; [`email`](Self::email) checks that.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the token for further requests to the provider in the visitor's name.
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// Returns the path of this host where the visitor wanted to go, `/` by default.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str().filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Profile {
    /// Shows the provider and the subject; the rest is private.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Profile")
            .field("provider", &self.provider)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile(claims: Value) -> Profile {
        let said = Said {
            subject: "7".to_owned(),
            claims: claims.as_object().unwrap().clone(),
            access_token: String::new(),
        };
        Profile::new("a", said, "/".to_owned())
    }

    #[test]
    fn an_unverified_address_counts_as_none() {
        for (claims, email) in [
            (json!({"email": "a@b", "email_verified": true}), Some("a@b")),
            (json!({"email": "a@b", "email_verified": "true"}), Some("a@b")),
            (json!({"email": "a@b", "email_verified": false}), None),
            (json!({"email": "a@b", "email_verified": 1}), None),
            (json!({"email": "a@b"}), None),
            (json!({"email_verified": true}), None),
        ] {
            assert_eq!(profile(claims.clone()).email(), email, "{claims}");
        }
    }

    #[test]
    fn the_name_is_the_full_one_or_else_the_short_one() {
        assert_eq!(
            profile(json!({"name": "", "preferred_username": "ada"})).name(),
            Some("ada")
        );
        assert_eq!(
            profile(json!({"name": "Ada", "preferred_username": "ada"})).name(),
            Some("Ada")
        );
        assert_eq!(profile(json!({})).name(), None);
    }
}
