//! The reading half of a [`Context`]: method, path and its parameters, query, fields, addresses.

use core::any::type_name;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::percent::{decode_form, decode_path, pairs};
use crate::app::context::Context;
use crate::app::routing::host::{host_name, without_default_port};
use crate::error::{Error, Result, bad_request};
use crate::message::{Fields, Method, Version, default_port};
use crate::websocket::is_same_origin;

impl Context {
    /// Returns the method of the request.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// Returns the HTTP version of the request.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// Returns the pattern of the route that matched, such as `/users/{id}`, for logs and counters.
    ///
    /// Middleware can read it before and after the handler. `None` if no route matched, also in a fallback.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        Some(self.shared.pattern(self.route?)?.text())
    }

    /// Returns the path without the query, percent-encoded as received.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// Returns the query without its `?`, percent-encoded as received.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// Returns every field of the request, in the order received.
    #[must_use]
    pub fn headers(&self) -> Fields<'_> {
        self.head.fields()
    }

    /// Returns the first value of a field if it is UTF-8; the name matches in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields().get_str(name)
    }

    /// Returns a path parameter, percent-decoded and parsed.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter and the expected type, if the value is badly encoded or does not parse. 500 if the
    /// route has no such parameter.
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T> {
        let Some(raw) = self.raw_param(name) else {
            let route = self.pattern().unwrap_or("a request without a route");
            return Err(Error::new(format!(
                "could not read the path parameter `{name}`: {route} lacks it; use a name of the pattern"
            )));
        };
        let value = decode_path(raw);
        let value = value.map_err(|error| bad_request(format!("the path parameter `{name}` is malformed: {error}")))?;
        parse("path parameter", name, &value)
    }

    /// A path parameter as received, if the route has it.
    pub(in crate::app) fn raw_param(&self, name: &str) -> Option<&str> {
        let place = self.shared.pattern(self.route?)?.position(name)?;
        Some(self.params.get(place)?.of(self.head.path()))
    }

    /// Returns a query parameter, decoded and parsed (Tornado's `get_query_argument`).
    ///
    /// Of several values, the last one counts.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if it is missing, badly encoded or does not parse, or if the query has more than
    /// [`max_parameters`](crate::Application::max_parameters) parameters. The encoding of other parameters is
    /// not checked.
    pub fn query_param<T: FromStr>(&self, name: &str) -> Result<T> {
        self.optional_query_param(name)?
            .ok_or_else(|| bad_request(format!("the query parameter `{name}` is missing")))
    }

    /// Returns a query parameter like [`query_param`](Self::query_param), or `None` where it is missing.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if it is badly encoded or does not parse, or if the query has too many parameters.
    pub fn optional_query_param<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let mut last = None;
        self.each_query_param(name, |value| {
            last = Some(value);
            Ok(())
        })?;
        last.map(|value| parse("query parameter", name, &value)).transpose()
    }

    /// Returns every value of a query parameter, in order (Tornado's `get_query_arguments`).
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if a value is badly encoded or does not parse, or if the query has too many
    /// parameters.
    pub fn query_params<T: FromStr>(&self, name: &str) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.each_query_param(name, |value| {
            values.push(parse("query parameter", name, &value)?);
            Ok(())
        })?;
        Ok(values)
    }

    /// Decodes the whole query into a `T`; repeated keys fill a `Vec`.
    ///
    /// A struct reads only the parameters that it names, and the encoding of others is not checked. A map, a list of
    /// pairs and a struct with `#[serde(flatten)]` read every parameter.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if one that `T` reads is badly encoded or does not fit `T`; 400 if the query has too
    /// many parameters.
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T> {
        let query = self.query().unwrap_or_default();
        decode_form(query.as_bytes(), self.shared.limits().max_parameters)
            .map_err(|error| bad_request(format!("could not decode the query: {error}")))
    }

    /// Returns the address of the other end of the connection; `None` on a Unix socket.
    ///
    /// Behind a proxy, this is the proxy's address.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer.address
    }

    /// Returns the client's address (Tornado's `remote_ip`).
    ///
    /// A proxy's fields count if [`Application::trusted_proxies`](crate::app::Application::trusted_proxies) lists the
    /// proxy; else the address is that of the connection. `None` on a Unix socket without a trusted field.
    #[must_use]
    pub fn remote_ip(&self) -> Option<IpAddr> {
        self.shared.trusted_proxies.remote_ip(&self.peer, self.head.fields())
    }

    /// Returns `https` or `http`: from a trusted proxy's fields, else from the connection (Tornado's
    /// `request.protocol`).
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        let is_secure = self.shared.trusted_proxies.is_secure(&self.peer, self.head.fields());
        if is_secure { "https" } else { "http" }
    }

    /// Returns the host and port that the client addressed (Tornado's `request.host`).
    ///
    /// An absolute-form target replaces `Host` (RFC 9112 §3.2.2). A port that is empty or the scheme's default is
    /// removed. The text is empty if the request names no host.
    #[must_use]
    pub fn host(&self) -> &str {
        let forwarded = self
            .shared
            .trusted_proxies
            .forwarded_secure(&self.peer, self.head.fields());
        let forwarded = forwarded.map(|is_secure| if is_secure { "https" } else { "http" });
        // The scheme decides which port is the default: a trusted proxy knows it best, then the target, then the
        // connection.
        let scheme = forwarded
            .or_else(|| self.head.scheme())
            .unwrap_or_else(|| self.protocol());
        without_default_port(self.head.authority(), default_port(scheme))
    }

    /// Returns [`host`](Self::host) without the port (Tornado's `request.host_name`).
    #[must_use]
    pub fn host_name(&self) -> &str {
        host_name(self.host())
    }

    /// Whether the request has no `Origin`, or that of its own host; a proxy's fields count as for the scheme.
    pub(in crate::app) fn is_of_own_origin(&self) -> bool {
        let proxies = &self.shared.trusted_proxies;
        let is_secure = proxies.forwarded_secure(&self.peer, self.head.fields());
        let scheme = is_secure.map(|is_secure| if is_secure { "https" } else { "http" });
        is_same_origin(&self.head, scheme)
    }

    pub(super) fn each_query_param<'a>(&'a self, name: &str, mut each: impl FnMut(Cow<'a, str>) -> Result) -> Result {
        let query = self.query().unwrap_or_default().as_bytes();
        for pair in pairs(query, self.shared.limits().max_parameters) {
            let pair = pair.map_err(|error| bad_request(format!("the query is malformed: {error}")))?;
            if pair.has_key(name) {
                let value = pair.value();
                each(
                    value
                        .map_err(|error| bad_request(format!("the query parameter `{name}` is malformed: {error}")))?,
                )?;
            }
        }
        Ok(())
    }
}

/// Parses a value. The error names the parameter and the type, and does not repeat the client's value.
pub(super) fn parse<T: FromStr>(place: &str, name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        let whole = type_name::<T>();
        let expected = whole.rsplit("::").next().unwrap_or(whole);
        bad_request(format!("the {place} `{name}` is not a valid {expected}"))
    })
}
