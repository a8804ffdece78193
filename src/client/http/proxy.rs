//! Proxies: which one a request goes through, and how (RFC 9110 §7.6, RFC 9112 §3.2.2).
//!
//! A request for `http` goes to the proxy whole, with its URL in absolute-form. A request for `https` goes through a
//! tunnel that the proxy opens (CONNECT), so that the proxy sees the host alone.

use std::rc::Rc;

use http::HeaderValue;
use url::Url;

use super::address::{self, Endpoint, ProxyAddress};
use super::credentials;
use super::error::FetchFailure;

/// A proxy for the requests of a client.
#[derive(Debug, Clone)]
#[must_use = "a proxy does nothing until a client is built with it"]
pub struct Proxy {
    url: String,
    schemes: Schemes,
    tunnels: bool,
    exceptions: Vec<String>,
}

/// The requests that a proxy takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schemes {
    All,
    Http,
    Https,
}

impl Proxy {
    /// Names a proxy for all requests, as `http://host:port` or `http://user:password@host:port`.
    ///
    /// The client speaks plain HTTP to the proxy.
    pub fn all(url: impl Into<String>) -> Self {
        Self::new(url.into(), Schemes::All)
    }

    /// Names a proxy for requests to `http`.
    pub fn http(url: impl Into<String>) -> Self {
        Self::new(url.into(), Schemes::Http)
    }

    /// Names a proxy for requests to `https`.
    pub fn https(url: impl Into<String>) -> Self {
        Self::new(url.into(), Schemes::Https)
    }

    const fn new(url: String, schemes: Schemes) -> Self {
        Self {
            url,
            schemes,
            tunnels: false,
            exceptions: Vec::new(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a tunnel for requests to `http` too.
    pub fn tunnel(mut self) -> Self {
        self.tunnels = true;
        self
    }

    /// Sends requests to a host past the proxy: `example.org` stands for its subdomains too, `*` for every host.
    pub fn except(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        let name = host.trim().trim_start_matches('.').to_ascii_lowercase();
        if !name.is_empty() {
            self.exceptions.push(name);
        }
        self
    }
}

/// A proxy as the client uses it.
#[derive(Debug)]
pub(super) struct ProxyRule {
    address: Rc<ProxyAddress>,
    schemes: Schemes,
    tunnels: bool,
    exceptions: Vec<String>,
}

/// The way of one request.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    /// The proxy that the request itself goes to.
    pub(super) forward: Option<Rc<ProxyAddress>>,
}

impl ProxyRule {
    /// Reads the URL of a proxy.
    pub(super) fn new(proxy: &Proxy) -> Result<Self, FetchFailure> {
        let invalid = |what: &str| FetchFailure::Url(format!("the proxy {what}; write http://host:port"));
        let url = Url::parse(&proxy.url).map_err(|error| invalid(&format!("has an invalid URL: {error}")))?;
        if url.scheme() != "http" {
            return Err(invalid("must be reached by http"));
        }
        let endpoint = Endpoint::of(&url, None)?;
        let authorization = credentials::of_url(&url);
        Ok(Self {
            address: Rc::new(ProxyAddress {
                host: endpoint.host,
                port: endpoint.port,
                authorization,
            }),
            schemes: proxy.schemes,
            tunnels: proxy.tunnels,
            exceptions: proxy.exceptions.clone(),
        })
    }

    fn takes(&self, url: &Url) -> bool {
        let takes_scheme = match self.schemes {
            Schemes::All => true,
            Schemes::Http => !address::is_secure(url),
            Schemes::Https => address::is_secure(url),
        };
        let host = url.host_str().unwrap_or_default();
        takes_scheme && !self.exceptions.iter().any(|name| is_excepted(host, name))
    }
}

/// Returns whether a host is, or is below, an excepted name.
fn is_excepted(host: &str, name: &str) -> bool {
    name == "*" || host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
}

/// Finds the way of a request: through the first proxy that takes it, else directly.
pub(super) fn route(url: &Url, proxies: &[ProxyRule]) -> Result<Route, FetchFailure> {
    let Some(rule) = proxies.iter().find(|rule| rule.takes(url)) else {
        let endpoint = Endpoint::of(url, None)?;
        return Ok(Route {
            endpoint,
            forward: None,
        });
    };
    if rule.tunnels || address::is_secure(url) {
        let endpoint = Endpoint::of(url, Some(Rc::clone(&rule.address)))?;
        return Ok(Route {
            endpoint,
            forward: None,
        });
    }
    let endpoint = Endpoint {
        is_secure: false,
        host: rule.address.host.clone(),
        port: rule.address.port,
        tunnel: None,
    };
    Ok(Route {
        endpoint,
        forward: Some(Rc::clone(&rule.address)),
    })
}

/// The proxies that the environment names: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
///
/// `HTTP_PROXY` in upper case is ignored: in a CGI program a client could set it by a field `Proxy`.
pub(super) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Vec<Proxy> {
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
    let named = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let exceptions = named(either("no_proxy")).unwrap_or_default();
    let proxies = [
        (named(variable("http_proxy")), Schemes::Http),
        (named(either("https_proxy")), Schemes::Https),
        (named(either("all_proxy")), Schemes::All),
    ];
    let with_exceptions = |(url, schemes): (Option<String>, Schemes)| {
        let url = url?;
        // Other programs accept a proxy without a scheme.
        let url = if url.contains("://") {
            url
        } else {
            format!("http://{url}")
        };
        let proxy = Proxy::new(url, schemes);
        Some(exceptions.split(',').fold(proxy, |proxy, host| proxy.except(host)))
    };
    proxies.into_iter().filter_map(with_exceptions).collect()
}

/// The value of `Proxy-Authorization` for a request that goes to the proxy itself.
pub(super) fn authorization(route: &Route) -> Option<&HeaderValue> {
    route.forward.as_ref()?.authorization.as_ref()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Proxy, ProxyRule, of_environment, route};

    /// The way of a request: where the connection goes, and how.
    fn way(url: &str, proxies: &[Proxy]) -> String {
        let rules: Vec<_> = proxies.iter().map(|proxy| ProxyRule::new(proxy).unwrap()).collect();
        let route = route(&Url::parse(url).unwrap(), &rules).unwrap();
        let end = route.endpoint.authority();
        match (&route.endpoint.tunnel, &route.forward) {
            (Some(proxy), _) => format!("tunnel {}:{} to {end}", proxy.host, proxy.port),
            (None, Some(_)) => format!("forward {end}"),
            (None, None) => format!("direct {end}"),
        }
    }

    #[test]
    fn a_request_goes_through_the_first_proxy_that_takes_it() {
        let proxies = [
            Proxy::http("http://p:1"),
            Proxy::https("http://q:2").except(".example.org"),
        ];
        assert_eq!(way("http://a/", &proxies), "forward p:1");
        assert_eq!(way("https://a/", &proxies), "tunnel q:2 to a:443");
        assert_eq!(way("https://example.org/", &proxies), "direct example.org:443");
        assert_eq!(way("https://b.example.org/", &proxies), "direct b.example.org:443");
        assert_eq!(
            way("https://badexample.org/", &proxies),
            "tunnel q:2 to badexample.org:443"
        );
        assert_eq!(
            way("http://[::1]:8/", &[Proxy::all("http://p").tunnel()]),
            "tunnel p:80 to [::1]:8"
        );
        assert_eq!(way("http://a/", &[Proxy::all("http://p").except("*")]), "direct a:80");
    }

    #[test]
    fn a_proxy_is_reached_by_http() {
        for bad in ["", "p:1", "https://p", "socks5://p", "http://"] {
            let error = ProxyRule::new(&Proxy::all(bad)).unwrap_err();
            assert!(error.to_string().starts_with("the proxy "), "{bad:?}: {error}");
        }
    }

    #[test]
    fn the_environment_names_proxies_in_lower_case_and_mostly_in_upper_case() {
        let of = |variables: &'static [(&str, &str)]| {
            of_environment(|name| {
                let found = variables.iter().find(|(known, _)| *known == name)?;
                Some(found.1.to_owned())
            })
        };
        let proxies = of(&[
            ("http_proxy", "p:1"),
            ("HTTPS_PROXY", "http://q"),
            ("NO_PROXY", "a, .b ,"),
        ]);
        assert_eq!(way("http://c/", &proxies), "forward p:1");
        assert_eq!(way("https://c/", &proxies), "tunnel q:80 to c:443");
        assert_eq!(way("http://a/", &proxies), "direct a:80");
        assert_eq!(way("http://x.b/", &proxies), "direct x.b:80");
        assert_eq!(way("http://c/", &of(&[("HTTP_PROXY", "p:1")])), "direct c:80");
        assert_eq!(
            way("http://c/", &of(&[("all_proxy", "p:1"), ("http_proxy", " ")])),
            "forward p:1"
        );
    }
}
