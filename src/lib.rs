//! Squall: request handlers on their own HTTP server, one io_uring shard per core.

pub mod app;
mod error;
pub mod http1;
pub mod message;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{
    Application, Context, Html, IntoResponse, Json, Middleware, Next, Redirect, RequestHandler, Response, Routes,
    TrustedProxies,
};
pub use bytes::Bytes;
pub use error::{Error, HttpError, IntoStatus, Result, ResultExt};

/// What an application uses in nearly every file: `use squall::prelude::*;`
pub mod prelude {
    pub use crate::app::{
        Application, Context, Html, IntoResponse, Json, Middleware, Next, Redirect, RequestHandler, Response, Routes,
    };
    pub use crate::error::{Error, HttpError, Result, ResultExt};
    pub use crate::message::{HeaderName, HeaderValue, Method, StatusCode, header};
}
