//! `cx.fetch(request)`: a request to another server, out of a handler.
//!
//! It is here, above the application layer, because that layer does no I/O.

use super::client::Client;
use super::error::FetchError;
use super::request::Request;
use super::response::Response;
use crate::app::Context;

impl Context {
    /// Sends a request to another server and returns the response once its head has arrived.
    ///
    /// It goes through the client that began it, else through the [`Client`] in the application's state. Without one,
    /// it goes through a client of this shard with the default settings. The future borrows nothing, so that many may
    /// run at once.
    ///
    /// ```
    /// # use squall::prelude::*;
    /// # use squall::client::Request;
    /// async fn weather(cx: &mut Context) -> Result<String> {
    ///     let response = cx.fetch(Request::get("http://weather.internal/today")).await?;
    ///     Ok(response.error_for_status()?.text().await?)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`FetchFailure`](crate::client::FetchFailure). A response with any status is a success.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the fetch is given up: its connection closes, and the server may have run the request.
    pub fn fetch(&self, request: Request) -> impl Future<Output = Result<Response, FetchError>> + use<> {
        match self.find_state::<Client>() {
            Some(client) => request.or_through(client.fetcher()).send(),
            None => request.send(),
        }
    }
}
