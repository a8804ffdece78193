//! Routes that answer every request with an error: Tornado's `ErrorHandler`.

use super::fallback::IntoFallback as _;
use super::route::Route;
use crate::app::context::Context;
use crate::error::{HttpError, IntoStatus};

/// Makes a route that answers every method with the error page of a status (Tornado's `ErrorHandler`).
///
/// ```
/// use squall::prelude::*;
/// use squall::routing::error;
///
/// let application = Application::new().route("/old-api/{*rest}", error(410));
/// ```
pub fn error(status: impl IntoStatus) -> Route {
    let status = status.into_status();
    let answer = async move |_: &mut Context| HttpError::new(status);
    answer.into_fallback()
}
