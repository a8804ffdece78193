//! Limits on attempts to log in, for each account and for each address, before a password is hashed.
//!
//! An account, and an address, has some attempts. Each attempt takes one, and time returns them one by one. The counts
//! of an account, and those of an address, belong to one shard of the process. So more shards do not mean more
//! attempts. Names and addresses are counted as hashes; two that collide share their attempts.

use core::cell::RefCell;
use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use sha2::{Digest as _, Sha256};

use crate::app::application::Application;
use crate::app::context::Context;
use crate::app::runtime::find_state;
use crate::error::{Error, HttpError, Result};
use crate::message::{HeaderValue, StatusCode, header};

/// The most accounts and addresses that a shard counts: 65,536, some 5 MiB. Beyond, the oldest counts are forgotten.
const COUNTS_MAX: usize = 64 * 1024;

/// What a kind of count allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// The attempts at once.
    pub burst: u32,
    /// The time that returns one attempt.
    pub interval: Duration,
}

/// Limits on attempts to log in: see [`Application::throttle_logins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "limits do nothing until they are given to an application"]
pub struct LoginThrottle {
    account: Attempts,
    address: Attempts,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self {
            account: Attempts {
                burst: 10,
                interval: Duration::from_secs(60),
            },
            address: Attempts {
                burst: 30,
                interval: Duration::from_secs(10),
            },
        }
    }
}

impl LoginThrottle {
    /// Makes the default limits.
    ///
    /// An account has 10 attempts at once, and one more a minute. An address has 30, and one more every 10 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the attempts for each account.
    pub fn account(mut self, attempts: Attempts) -> Self {
        self.account = attempts;
        self
    }

    /// Sets the attempts for each address; an IPv6 address counts by its first 64 bits.
    pub fn address(mut self, attempts: Attempts) -> Self {
        self.address = attempts;
        self
    }
}

impl Application {
    /// Limits attempts to log in, for [`Context::admit_login`].
    pub fn throttle_logins(self, throttle: LoginThrottle) -> Self {
        self.state(throttle).state(Counts::default())
    }
}

impl Context {
    /// Admits an attempt to log in to an account, or refuses it before its password is hashed.
    ///
    /// Call it before [`verify_password`](Self::verify_password), and [`login_succeeded`](Self::login_succeeded) after
    /// a success.
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After` if the account or the client's address has no attempt left; 500 without
    /// [`Application::throttle_logins`].
    ///
    /// # Cancel safety
    ///
    /// Dropped while another shard counts, the attempt may count.
    pub async fn admit_login(&self, account: &str) -> Result {
        let throttle = *self.throttle()?;
        let address = self.remote_ip().map(address_key);
        let account = self.take_attempt(account_key(account), throttle.account).await?;
        let address = match address {
            Some(address) => self.take_attempt(address, throttle.address).await?,
            None => None,
        };
        match account.max(address) {
            None => Ok(()),
            Some(wait) => Err(refusal(wait)),
        }
    }

    /// Returns its attempts to an account, after a login.
    ///
    /// # Errors
    ///
    /// As [`admit_login`](Self::admit_login), apart from 429.
    ///
    /// # Cancel safety
    ///
    /// Dropped while another shard counts, the attempts may be returned.
    pub async fn login_succeeded(&self, account: &str) -> Result {
        self.throttle()?;
        self.count(account_key(account), |counts, key, _| counts.forget(key))
            .await
    }

    /// Takes an attempt; returns how long to wait without one.
    async fn take_attempt(&self, key: Key, attempts: Attempts) -> Result<Option<Duration>> {
        self.count(key, move |counts, key, now| counts.take(key, attempts, now))
            .await
    }

    /// Works on the counts of the shard that owns a key.
    async fn count<R: Send + 'static>(
        &self,
        key: Key,
        work: impl FnOnce(&Counts, Key, Instant) -> R + Send + 'static,
    ) -> Result<R> {
        let runtime = self.shared.runtime()?;
        let (owner, now) = (key.shard(runtime.shard_count()), runtime.now());
        if owner == runtime.shard() {
            return Ok(work(&*self.state::<Counts>()?, key, now));
        }
        let (sender, result) = oneshot::channel();
        let remote = runtime.on_shard(
            owner,
            Box::new(move |state| {
                if let Some(counts) = find_state::<Counts>(state) {
                    // A failed send means that the request is gone.
                    drop(sender.send(work(&counts, key, now)));
                }
            }),
        );
        remote.await?;
        result
            .await
            .map_err(|_| Error::new("could not count a login: its shard does not serve"))
    }

    fn throttle(&self) -> Result<&LoginThrottle> {
        self.shared.state_ref().ok_or_else(|| {
            Error::new(
                "could not limit logins: the application has no limits; set them with Application::throttle_logins",
            )
        })
    }
}

/// A hash of an account or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);

impl Key {
    fn new(kind: &str, name: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::new().chain_update(kind).chain_update(name).finalize().into();
        let mut key = [0; 16];
        key.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        Self(key)
    }

    fn shard(self, shards: usize) -> usize {
        let [first, second, ..] = self.0;
        usize::from(u16::from_be_bytes([first, second]))
            .checked_rem(shards)
            .unwrap_or_default()
    }
}

fn account_key(account: &str) -> Key {
    // Capital letters must not make another account.
    Key::new("account ", account.to_lowercase().as_bytes())
}

fn address_key(address: IpAddr) -> Key {
    match address.to_canonical() {
        IpAddr::V4(address) => Key::new("address ", &address.octets()),
        // A client usually has 64 bits to itself.
        IpAddr::V6(address) => Key::new("network ", address.octets().get(..8).unwrap_or_default()),
    }
}

fn refusal(wait: Duration) -> Error {
    let seconds = wait.as_secs().saturating_add(1);
    HttpError::new(StatusCode::TOO_MANY_REQUESTS)
        .with_message("too many attempts to log in; try again later")
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .into()
}

/// The counts that one shard owns.
#[derive(Default)]
struct Counts(RefCell<Table>);

#[derive(Default)]
struct Table {
    /// When all attempts of a key are back.
    full_at: HashMap<Key, Instant>,
    /// The keys in the order of their first attempt.
    order: VecDeque<Key>,
}

impl Counts {
    /// Takes an attempt; returns how long to wait without one.
    fn take(&self, key: Key, attempts: Attempts, now: Instant) -> Option<Duration> {
        let mut table = self.0.borrow_mut();
        table.forget_some(now);
        // As the generic cell rate algorithm: the time at which all are back tells how many are left.
        let full_at = table.full_at.get(&key).copied().unwrap_or(now).max(now);
        let burst = attempts.interval.saturating_mul(attempts.burst.saturating_sub(1));
        let missing = full_at.saturating_duration_since(now);
        if missing > burst {
            return Some(missing.saturating_sub(burst));
        }
        if let Some(full_at) = full_at.checked_add(attempts.interval)
            && table.full_at.insert(key, full_at).is_none()
        {
            table.order.push_back(key);
        }
        None
    }

    fn forget(&self, key: Key) {
        self.0.borrow_mut().full_at.remove(&key);
    }
}

impl Table {
    /// Forgets keys whose attempts are all back, and the oldest of too many.
    fn forget_some(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(key) = self.order.pop_front() else { return };
            match self.full_at.get(&key) {
                Some(&full_at) if full_at > now && self.full_at.len() < COUNTS_MAX => self.order.push_back(key),
                _ => drop(self.full_at.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPTS: Attempts = Attempts {
        burst: 3,
        interval: Duration::from_secs(10),
    };

    /// Any moment serves as the first one.
    #[expect(clippy::disallowed_methods, reason = "the start of a made-up time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_key_has_a_burst_and_then_one_attempt_an_interval() {
        let (counts, start) = (Counts::default(), start());
        let take = |name: &str, seconds| {
            let wait = counts.take(account_key(name), ATTEMPTS, start + Duration::from_secs(seconds));
            wait.map(|wait| wait.as_secs())
        };
        assert_eq!([take("ada", 0), take("Ada", 0), take("ADA", 0)], [None; 3]);
        assert_eq!(take("ada", 0), Some(10));
        assert_eq!(take("ada", 4), Some(6));
        assert_eq!(take("bob", 4), None, "another account");
        assert_eq!(take("ada", 10), None);
        assert_eq!(take("ada", 10), Some(10));
        counts.forget(account_key("ada"));
        assert_eq!(take("ada", 10), None);
        assert_eq!([take("ada", 1000), take("ada", 1000), take("ada", 1000)], [None; 3]);
        assert_eq!(take("ada", 1000), Some(10));
    }

    #[test]
    fn addresses_of_one_network_share_their_attempts() {
        let key = |address: &str| address_key(address.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }

    #[test]
    fn counts_are_forgotten_and_bounded() {
        let (counts, start) = (Counts::default(), start());
        for number in 0..1000 {
            let key = account_key(&number.to_string());
            counts.take(key, ATTEMPTS, start + Duration::from_secs(number));
        }
        let table = counts.0.borrow();
        assert!(table.full_at.len() < 100, "{}", table.full_at.len());
        assert_eq!(table.full_at.len(), table.order.len());
    }
}
