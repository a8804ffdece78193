//! Where an application stores its sessions, such as a database.

use std::time::Duration;

use super::key::SessionKey;
use super::values::{SessionChanges, SessionValues};
use crate::app::boxed::LocalBoxFuture;
use crate::error::Result;

/// How long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLifetime {
    /// The longest time between two requests of the session.
    pub idle: Duration,
    /// The longest time from the login, or from the first value, whatever happens.
    pub absolute: Duration,
}

/// A place for sessions, such as a table of a database; each shard has its own value of this type.
///
/// A store counts time by a clock of its own. A session ends `idle` after its last [`load`](Self::load) and `absolute`
/// after its creation, of which a rotation is one. An ended session is as one that never was.
///
/// An error of any method answers 503, and the visitor keeps the cookie. So a store that is down loses no session.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of sessions",
    label = "a store given to `Sessions::stored` implements `SessionStore`"
)]
pub trait SessionStore {
    /// Returns the values of a session, whose idle time begins anew; `None` without one.
    fn load(&self, key: SessionKey, lifetime: SessionLifetime) -> impl Future<Output = Result<Option<SessionValues>>>;

    /// Stores a new session.
    fn create(&self, key: SessionKey, values: SessionValues, lifetime: SessionLifetime)
    -> impl Future<Output = Result>;

    /// Applies changes to a session in one step, and returns whether it is still there.
    ///
    /// It must not create one: a request that was under way during a logout would bring the session back.
    fn update(&self, key: SessionKey, changes: SessionChanges) -> impl Future<Output = Result<bool>>;

    /// Moves a session to a new key and applies changes, in one step, and returns whether it was still there.
    ///
    /// From then on the old key opens nothing.
    fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        lifetime: SessionLifetime,
    ) -> impl Future<Output = Result<bool>>;

    /// Removes a session; for one that is gone already it does nothing.
    fn remove(&self, key: SessionKey) -> impl Future<Output = Result>;
}

/// A store with its type erased.
pub(super) trait DynSessionStore {
    fn load(&self, key: SessionKey, lifetime: SessionLifetime) -> LocalBoxFuture<'_, Result<Option<SessionValues>>>;

    fn create(&self, key: SessionKey, values: SessionValues, lifetime: SessionLifetime) -> LocalBoxFuture<'_>;

    fn update(&self, key: SessionKey, changes: SessionChanges) -> LocalBoxFuture<'_, Result<bool>>;

    fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        lifetime: SessionLifetime,
    ) -> LocalBoxFuture<'_, Result<bool>>;

    fn remove(&self, key: SessionKey) -> LocalBoxFuture<'_>;
}

impl<S: SessionStore> DynSessionStore for S {
    fn load(&self, key: SessionKey, lifetime: SessionLifetime) -> LocalBoxFuture<'_, Result<Option<SessionValues>>> {
        Box::pin(SessionStore::load(self, key, lifetime))
    }

    fn create(&self, key: SessionKey, values: SessionValues, lifetime: SessionLifetime) -> LocalBoxFuture<'_> {
        Box::pin(SessionStore::create(self, key, values, lifetime))
    }

    fn update(&self, key: SessionKey, changes: SessionChanges) -> LocalBoxFuture<'_, Result<bool>> {
        Box::pin(SessionStore::update(self, key, changes))
    }

    fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        lifetime: SessionLifetime,
    ) -> LocalBoxFuture<'_, Result<bool>> {
        Box::pin(SessionStore::rotate(self, old, new, changes, lifetime))
    }

    fn remove(&self, key: SessionKey) -> LocalBoxFuture<'_> {
        Box::pin(SessionStore::remove(self, key))
    }
}
