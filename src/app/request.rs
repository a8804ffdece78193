//! The reading half of a [`Context`]: method, path and its parameters, query, fields, and who sent them.

use core::any::type_name;
use core::fmt::Display;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::context::Context;
use super::host::{host_name, without_default_port};
use super::percent::{decode_form, decode_path, pairs};
use crate::error::{Error, HttpError, Result};
use crate::message::{Fields, Method, Version, default_port};

impl Context {
    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The version of HTTP the request was made in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// The path as sent, still percent-encoded, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The query as sent, still percent-encoded, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// Every field of the request, in the order received.
    #[must_use]
    pub fn headers(&self) -> Fields<'_> {
        self.head.fields()
    }

    /// The first value of a field, if there is one and it is UTF-8. Names match in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields().get_str(name)
    }

    /// A parameter of the route's pattern, percent-decoded and parsed.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter and what was expected, if the value is badly encoded or is no `T`; 500 if the route has no such
    /// parameter.
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T> {
        let pattern = self.route.and_then(|index| self.app.pattern(index));
        let place = pattern.and_then(|pattern| pattern.position(name));
        let Some(span) = place.and_then(|place| self.params.get(place)) else {
            let route = pattern.map_or("a request without a route", |pattern| pattern.text());
            return Err(Error::new(format!("`{route}` has no path parameter `{name}`")));
        };
        let value = decode_path(span.of(self.head.path()));
        let value = value.map_err(|error| bad_request(format!("the path parameter `{name}` is malformed: {error}")))?;
        parse("path parameter", name, &value)
    }

    /// A parameter of the query, decoded and parsed; the last one where there are several (Tornado's `get_query_argument`).
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if it is missing, badly encoded or no `T`, or if there are more parameters than the limit. How other
    /// parameters are encoded does not matter.
    pub fn query_param<T: FromStr>(&self, name: &str) -> Result<T> {
        self.optional_query_param(name)?
            .ok_or_else(|| bad_request(format!("the query parameter `{name}` is missing")))
    }

    /// A parameter of the query as [`query_param`](Self::query_param) gives it, or `None` where it is missing.
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if it is badly encoded or no `T`, or if there are more parameters than the limit.
    pub fn optional_query_param<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let mut last = None;
        self.each_query_param(name, |value| {
            last = Some(value);
            Ok(())
        })?;
        last.map(|value| parse("query parameter", name, &value)).transpose()
    }

    /// Every value of a parameter of the query, in order (Tornado's `get_query_arguments`).
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if a value is badly encoded or no `T`, or if there are more parameters than the limit.
    pub fn query_params<T: FromStr>(&self, name: &str) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.each_query_param(name, |value| {
            values.push(parse("query parameter", name, &value)?);
            Ok(())
        })?;
        Ok(values)
    }

    /// The whole query as a `T`. Repeated keys fill a `Vec`.
    ///
    /// A struct reads the parameters it names, and how others are encoded does not matter. A map, a list of pairs and a struct with
    /// `#[serde(flatten)]` read every parameter.
    ///
    /// # Errors
    ///
    /// 400 if a parameter that is read is badly encoded, the query has more parameters than the limit or does not fit `T`.
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T> {
        let query = self.query().unwrap_or_default();
        decode_form(query.as_bytes(), self.app.limits().parameter_count_max)
            .map_err(|error| bad_request(format!("the query is not as expected: {error}")))
    }

    /// The remote end's address: the proxy's, where there is one; `None` on a Unix socket.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer.address
    }

    /// The client's address, as told by a proxy where [`Application::trusted_proxies`](super::Application::trusted_proxies)
    /// trusts it, else the remote end's; `None` on a Unix socket nobody told more about (Tornado's `remote_ip`).
    #[must_use]
    pub fn remote_ip(&self) -> Option<IpAddr> {
        self.app.trusted_proxies().remote_ip(&self.peer, self.head.fields())
    }

    /// `https` or `http`, as told by a trusted proxy, else as the connection is (Tornado's `request.protocol`).
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        let is_secure = self.app.trusted_proxies().is_secure(&self.peer, self.head.fields());
        if is_secure { "https" } else { "http" }
    }

    /// The host and port the request was made to: of an absolute-form target where there is one, which replaces `Host` (RFC 9112 §3.2.2), else of
    /// `Host`. A port that is the scheme's default, or empty, is left out; otherwise as sent. Empty if the request had none (Tornado's
    /// `request.host`).
    #[must_use]
    pub fn host(&self) -> &str {
        let told = self.app.trusted_proxies().tells_secure(&self.peer, self.head.fields());
        let told = told.map(|is_secure| if is_secure { "https" } else { "http" });
        let scheme = told.or_else(|| self.head.scheme()).unwrap_or_else(|| self.protocol());
        without_default_port(self.head.authority(), default_port(scheme))
    }

    /// [`host`](Self::host) without the port (Tornado's `request.host_name`).
    #[must_use]
    pub fn host_name(&self) -> &str {
        host_name(self.host())
    }

    fn each_query_param<'a>(&'a self, name: &str, mut each: impl FnMut(Cow<'a, str>) -> Result) -> Result {
        let query = self.query().unwrap_or_default().as_bytes();
        for pair in pairs(query, self.app.limits().parameter_count_max) {
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

/// Parses a value, or says which parameter was to be what. The value itself is not repeated: it is the client's.
fn parse<T: FromStr>(place: &str, name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        let whole = type_name::<T>();
        let expected = whole.rsplit("::").next().unwrap_or(whole);
        bad_request(format!("the {place} `{name}` is not a valid {expected}"))
    })
}

/// A 400 with a message for the client.
pub(super) fn bad_request(message: impl Display) -> Error {
    HttpError::new(400).with_message(message.to_string()).into()
}
