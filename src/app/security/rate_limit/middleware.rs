//! The limit as an application gives it: how often, and what counts together.

use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::panic::Location;
use core::pin::Pin;
use core::time::Duration;
use std::hash::BuildHasher as _;
use std::rc::Rc;

use super::gcra::Rate;
use super::limiter::{Grant, Known, PermitRequest, lease_permits};
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{Error, HttpError, Result};
use crate::message::{HeaderValue, StatusCode, header};

/// The bits of an IPv6 address that count together: a network of one customer has 64 at least.
const IPV6_PREFIX_BITS: u8 = 64;

/// Middleware that rejects with 429 what comes too often: from an address, a user or a route.
///
/// A limit holds for all shards of the process together.
///
/// ```
/// use core::time::Duration;
/// use squall::middleware::RateLimit;
/// use squall::prelude::*;
///
/// let login = Routes::new()
///     .middleware(RateLimit::per_address(5, Duration::from_secs(60)))
///     .post("/login", async |_: &mut Context| "welcome");
/// let application = Application::new()
///     .middleware(RateLimit::per_address(1000, Duration::from_secs(60)).burst(100))
///     .nest("/account", login);
/// # application.build()?;
/// # Ok::<(), squall::Error>(())
/// ```
///
/// Permits come back evenly: 60 in a minute are one each second, and [`burst`](Self::burst) is how many may be used at
/// once. `Retry-After` says in whole seconds when the next one is there.
///
/// Counts of a limit are those of the line of code that made it. Clones count together, also in several groups.
/// [`name`](Self::name) keeps limits apart that one line makes.
///
/// Each shard remembers at most [`max_rate_limit_keys`](crate::Application::max_rate_limit_keys) addresses and users. Of
/// more, those leave that have used least, and begin anew.
#[derive(Clone)]
#[must_use = "a limit does nothing until it is given to `middleware`, or is checked"]
pub struct RateLimit {
    permits: u32,
    period: Duration,
    burst: u32,
    key: Option<Rc<dyn DynKey>>,
    is_per_route: bool,
    ipv6_prefix_bits: u8,
    name: String,
    made_at: &'static Location<'static>,
}

impl RateLimit {
    /// Limits each client address to a number of requests in a period, and to the same number at once.
    ///
    /// Behind a [trusted proxy](crate::Application::trusted_proxies), the address is the client's. IPv6 addresses count
    /// together by their first 64 bits, and clients on Unix sockets all together.
    #[track_caller]
    pub fn per_address(requests: u32, period: Duration) -> Self {
        Self {
            permits: requests,
            period,
            burst: requests,
            key: None,
            is_per_route: false,
            ipv6_prefix_bits: IPV6_PREFIX_BITS,
            name: String::new(),
            made_at: Location::caller(),
        }
    }

    /// Limits each user, or whatever else a function names, to a number of requests in a period.
    ///
    /// Requests for which the function returns `None` count by their address.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use squall::middleware::RateLimit;
    /// # use squall::prelude::*;
    /// struct User(String);
    ///
    /// let limit = RateLimit::per_key(100, Duration::from_secs(1), async |cx: &mut Context| {
    ///     Ok(cx.extension::<User>().map(|user| user.0.clone()))
    /// });
    /// # let _ = Application::new().middleware(limit);
    /// ```
    #[track_caller]
    pub fn per_key<F>(requests: u32, period: Duration, key: F) -> Self
    where
        F: AsyncFn(&mut Context) -> Result<Option<String>> + 'static,
    {
        Self {
            key: Some(Rc::new(key)),
            ..Self::per_address(requests, period)
        }
    }

    /// Sets how many requests may come at once, in place of those of a whole period.
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = requests;
        self
    }

    /// Counts each route apart, by its pattern.
    pub fn per_route(mut self) -> Self {
        self.is_per_route = true;
        self
    }

    /// Keeps the counts apart from those of other limits that the same line of code makes.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets how many bits of an IPv6 address count together: 64 by default, 128 for each address alone.
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix_bits = bits;
        self
    }

    /// Counts one use of a key of the application's own, such as the name in an attempt to log in.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use squall::middleware::RateLimit;
    /// # use squall::prelude::*;
    /// async fn login(cx: &mut Context) -> Result {
    ///     let user: String = cx.query_param("user")?;
    ///     let attempts = RateLimit::per_address(5, Duration::from_secs(60));
    ///     attempts.check(cx, &user).await?;
    ///     // Only now is the password hashed.
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After` if all permits are used; 500 if the application runs without a server.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for another shard, up to 64 permits may count as used.
    pub async fn check(&self, cx: &Context, key: &str) -> Result {
        self.admit(cx, Counted::Key(key)).await
    }

    /// Takes a permit for what is counted.
    async fn admit(&self, cx: &Context, counted: Counted<'_>) -> Result {
        let shared = &cx.shared;
        let now = shared.runtime()?.now();
        let owners = shared.owner_shards()?;
        let key = {
            let route = if self.is_per_route {
                cx.pattern().unwrap_or_default()
            } else {
                ""
            };
            let location = (self.made_at.file(), self.made_at.line(), self.made_at.column());
            let whole = (location, self.name.as_str(), self.is_per_route, route, counted);
            let [high, low] = owners.hashers();
            (u128::from(high.hash_one(whole)) << 64) | u128::from(low.hash_one(whole))
        };
        let (limiter, keys_max) = (&shared.rate_limiter, shared.limits().max_rate_limit_keys);
        let mut request = PermitRequest {
            key,
            rate: Rate::new(self.permits, self.period, self.burst),
            wanted: 1,
        };
        let owner = usize::try_from(key % owners.count().max(1) as u128).unwrap_or_default();
        let grant = if owner == owners.here() {
            limiter.grant(&request, keys_max, now)
        } else {
            match limiter.known(key, keys_max, now) {
                Known::Admitted => return Ok(()),
                Known::Refused(wait) => Grant::Refused(wait),
                Known::Unknown => {
                    request.wanted = lease_permits(request.rate, owners.count());
                    match owners.ask(owner, request).await {
                        Some(grant) => {
                            limiter.learn(key, grant, keys_max, shared.runtime()?.now());
                            grant
                        }
                        // The owner has ended, as in a stop: this shard counts alone.
                        None => limiter.grant(&PermitRequest { wanted: 1, ..request }, keys_max, now),
                    }
                }
            }
        };
        match grant {
            Grant::Permits(_) => Ok(()),
            Grant::Refused(wait) => Err(refusal(wait)),
        }
    }

    /// The part of an address that counts.
    fn network(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let host_bits = 128_u32.saturating_sub(self.ipv6_prefix_bits.into());
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
                IpAddr::V6((u128::from(address) & mask).into())
            }
        }
    }
}

/// What a request counts by.
#[derive(Debug, Clone, Copy, Hash)]
enum Counted<'k> {
    Address(IpAddr),
    Key(&'k str),
    UnixSocket,
}

fn refusal(wait: Duration) -> Error {
    // Rounded up, so that a client which waits for it finds a permit.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HttpError::new(StatusCode::TOO_MANY_REQUESTS)
        .with_message(format!("too many requests; retry in {seconds} s"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .into()
}

impl Middleware for RateLimit {
    /// # Errors
    ///
    /// As [`RateLimit::check`], and what the function of the key returns.
    ///
    /// # Cancel safety
    ///
    /// As [`Next::run`] and [`RateLimit::check`].
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        let key = match &self.key {
            Some(key) => key.of(cx).await?,
            None => None,
        };
        let counted = match (&key, cx.remote_ip()) {
            (Some(key), _) => Counted::Key(key),
            (None, Some(address)) => Counted::Address(self.network(address)),
            (None, None) => Counted::UnixSocket,
        };
        self.admit(cx, counted).await?;
        next.run(cx).await;
        Ok(())
    }

    fn flaw(&self) -> Option<String> {
        let place = self.made_at;
        if self.permits == 0 || self.burst == 0 || self.period.is_zero() {
            return Some(format!(
                "the rate limit of {place} admits nothing, or has no period; give it at least one request in more than no time"
            ));
        }
        (self.ipv6_prefix_bits > 128)
            .then(|| format!("the rate limit of {place} has an IPv6 prefix of more than 128 bits; give it at most 128"))
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RateLimit")
            .field("permits", &self.permits)
            .field("period", &self.period)
            .field("burst", &self.burst)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A function of a key, with its type erased.
trait DynKey {
    fn of<'a>(&'a self, cx: &'a mut Context) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + 'a>>;
}

impl<F: AsyncFn(&mut Context) -> Result<Option<String>>> DynKey for F {
    fn of<'a>(&'a self, cx: &'a mut Context) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + 'a>> {
        Box::pin(async move { self(cx).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together() {
        let limit = RateLimit::per_address(1, Duration::from_secs(1));
        let network = |limit: &RateLimit, text: &str| limit.network(text.parse().unwrap()).to_string();
        for (address, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(&limit, address), expected);
        }
        for (bits, expected) in [(0, "::"), (48, "2001:db8:1::"), (128, "2001:db8:1:2:3:4:5:6")] {
            let limit = RateLimit::per_address(1, Duration::from_secs(1)).ipv6_prefix(bits);
            assert_eq!(network(&limit, "2001:db8:1:2:3:4:5:6"), expected);
        }
    }

    #[test]
    fn limits_that_admit_nothing_are_flaws() {
        let minute = Duration::from_secs(60);
        for limit in [
            RateLimit::per_address(0, minute),
            RateLimit::per_address(1, Duration::ZERO),
            RateLimit::per_address(1, minute).burst(0),
            RateLimit::per_address(1, minute).ipv6_prefix(129),
        ] {
            assert!(
                limit.flaw().is_some_and(|flaw| flaw.contains("middleware.rs:")),
                "{limit:?}"
            );
        }
        assert_eq!(RateLimit::per_address(1, minute).flaw(), None);
    }

    #[test]
    fn retry_after_is_rounded_up() {
        for (millis, seconds) in [(1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
            let error = refusal(Duration::from_millis(millis));
            assert_eq!(error.headers().get(&header::RETRY_AFTER).unwrap(), seconds, "{millis}");
        }
    }
}
