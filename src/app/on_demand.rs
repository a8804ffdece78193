//! What few requests need, made when a handler or a middleware asks for it: a request without it pays for one pointer.

use core::any::{Any, TypeId};
#[cfg(feature = "gettext")]
use core::cell::OnceCell;

use super::security::Identity;
use super::shared::Shared;
#[cfg(feature = "gettext")]
use super::views::locale::Locale;

/// What few requests need.
#[derive(Default)]
pub(super) struct OnDemand {
    /// What is known about the client.
    pub(super) identity: Identity,
    #[cfg(feature = "gettext")]
    pub(super) locale: OnceCell<Locale>,
    /// Values of the application, each of another type.
    pub(super) extensions: Vec<(TypeId, Box<dyn Any>)>,
}

impl OnDemand {
    /// Drops each value of the application under its own panic guard.
    #[cold]
    pub(super) fn discard(self, shared: &Shared) {
        // The user is a value of the application.
        shared.discard(self.identity);
        for (_, value) in self.extensions {
            shared.discard(value);
        }
    }
}
