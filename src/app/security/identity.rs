//! What a context knows about its client, once something has asked for it.
//!
//! A request that asks for nothing of it has one empty pointer.

use core::any::Any;
use core::cell::{OnceCell, RefCell};
use core::fmt;
use std::rc::Rc;

use super::session::Session;
use super::xsrf_settings::XsrfSettings;

/// What a context knows about its client.
#[derive(Default)]
pub(in crate::app) struct Identity {
    /// The settings of the innermost middleware that checks for forged requests.
    pub(super) xsrf: RefCell<Option<Rc<XsrfSettings>>>,
    /// The masked token, which stays the same for one request.
    pub(super) xsrf_token: OnceCell<String>,
    /// The user, once it is loaded; within, `None` for a visitor without one.
    pub(super) user: RefCell<Option<Option<Rc<dyn Any>>>>,
    /// The session, once it is loaded.
    pub(super) session: OnceCell<Session>,
}

impl fmt::Debug for Identity {
    /// Shows nothing of the client.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}
