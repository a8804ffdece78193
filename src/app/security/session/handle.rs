//! A session as a handler sees it: values of the application's own types, changed at once and saved behind the handler.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::SessionId;
use super::values::{SessionChanges, SessionValues};
use crate::error::{Error, Result};

/// The name under which a session has its user.
const USER: &str = "squall.user";

/// The session of a request: see [`Context::session`](crate::Context::session).
///
/// Clones are the same session.
#[derive(Clone, Default)]
pub struct Session {
    state: Rc<RefCell<State>>,
}

/// What a request knows of its session, and what it wants.
#[derive(Default)]
pub(super) struct State {
    /// The id that the visitor sent; `None` if it opened no session.
    pub(super) id: Option<SessionId>,
    /// When a session in a cookie began, in seconds since 1970.
    pub(super) created: Option<u64>,
    pub(super) values: SessionValues,
    pub(super) changes: SessionChanges,
    pub(super) id_change: IdChange,
    /// Whether a session in a cookie is old enough to be written anew.
    pub(super) is_stale: bool,
}

/// What happens to the id of a session behind the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum IdChange {
    #[default]
    Stays,
    Rotates,
    Ends,
}

impl Session {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Rc::new(RefCell::new(state)),
        }
    }

    pub(super) fn state(&self) -> &RefCell<State> {
        &self.state
    }

    /// Returns a value; `None` if the session has none of this name.
    ///
    /// # Errors
    ///
    /// 500 if the value is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let state = self.state.borrow();
        let value = state.values.get(name).map(|text| serde_json::from_str(text));
        value
            .transpose()
            .map_err(|error| Error::new(format!("could not read the value `{name}` of the session: {error}")))
    }

    /// Sets a value, which is saved once the handler has returned.
    ///
    /// # Errors
    ///
    /// 500 if the value cannot be written as JSON.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result {
        let text = serde_json::to_string(value)?;
        self.change(name, Some(text));
        Ok(())
    }

    /// Removes a value.
    pub fn remove(&self, name: &str) {
        self.change(name, None);
    }

    /// Returns whether the session has no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.borrow().values.is_empty()
    }

    /// Logs a user in: sets the name of the user, and gives the session a new id.
    ///
    /// The new id keeps the values and starts the session's life anew. The old one opens nothing, so a third party that
    /// has planted it gains nothing (session fixation).
    pub fn log_in(&self, user: &str) {
        // A string is always valid JSON.
        let name = serde_json::Value::from(user).to_string();
        self.change(USER, Some(name));
        self.rotate();
    }

    /// Returns the name of the user that [`log_in`](Self::log_in) has set.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.get(USER).ok().flatten()
    }

    /// Gives the session a new id, as at each change of what its visitor may do.
    pub fn rotate(&self) {
        self.state.borrow_mut().id_change = IdChange::Rotates;
    }

    /// Ends the session with all its values, as at a logout; a value that is set later begins a new one.
    pub fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.values.clear();
        state.changes = SessionChanges::default();
        state.id_change = IdChange::Ends;
    }

    fn change(&self, name: &str, value: Option<String>) {
        let mut state = self.state.borrow_mut();
        let State { values, changes, .. } = &mut *state;
        changes.change(values, name, value);
    }
}

impl fmt::Debug for Session {
    /// Shows the names of the values and no value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        formatter.debug_set().entries(state.values.keys()).finish()
    }
}
