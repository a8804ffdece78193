//! Passwords: argon2id, off the shards.
//!
//! One hash takes tens of milliseconds and tens of megabytes. So it runs on threads of its own, which take time that
//! no shard wants, and as many at once as half the cores. Its memory counts against the server's limit.
//!
//! A stored hash names its own parameters. A login whose hash has weaker ones than today's gets a new hash.

use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64_NOPAD;
use futures_channel::oneshot;

use super::constant_time::is_equal;
use crate::app::application::Application;
use crate::app::context::Context;
use crate::error::{Error, HttpError, Result};

/// The bytes of a salt (RFC 9106 §3.1 recommends 16).
const SALT_BYTES: usize = 16;

/// The bytes of a hash.
const HASH_BYTES: usize = 32;

/// The largest parameters of a stored hash that are computed: 1 GiB and 64 passes. A store may be in other hands.
const STORED_MAX: PasswordSettings = PasswordSettings {
    memory_kib: 1024 * 1024,
    passes: 64,
    lanes: 16,
};

/// The most bytes of a password. People type fewer, and hashing more takes time.
const PASSWORD_BYTES_MAX: usize = 1024;

/// What a password hash costs: see [`Application::passwords`].
///
/// The default is 19 MiB, 2 passes and 1 lane, as OWASP recommends. A hash then takes some 20 ms of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "settings do nothing until they are given to an application"]
pub struct PasswordSettings {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What a password turned out to be: see [`Context::verify_password`].
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a wrong password must not log a user in"]
pub enum PasswordCheck {
    /// The password is wrong, or the account is missing.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, and its hash is weaker than the settings: store this one in its place.
    Outdated(String),
}

impl PasswordCheck {
    /// Returns whether the password is right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        *self != Self::Wrong
    }
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

impl PasswordSettings {
    /// Makes the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the memory of a hash in KiB, 19,456 by default; at least 8 for each lane.
    pub fn memory_kib(mut self, memory_kib: u32) -> Self {
        self.memory_kib = memory_kib;
        self
    }

    /// Sets the passes over the memory, 2 by default.
    pub fn passes(mut self, passes: u32) -> Self {
        self.passes = passes;
        self
    }

    /// Sets the lanes, 1 by default; one thread computes all of them.
    pub fn lanes(mut self, lanes: u32) -> Self {
        self.lanes = lanes;
        self
    }

    fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES))
    }

    fn memory_bytes(self) -> usize {
        usize::try_from(self.memory_kib)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024)
    }

    fn is_within(self, most: Self) -> bool {
        self.memory_kib <= most.memory_kib && self.passes <= most.passes && self.lanes <= most.lanes
    }
}

/// A stored hash: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
struct Stored {
    settings: PasswordSettings,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = parameters.split(',');
        let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse().ok();
        let settings = PasswordSettings {
            memory_kib: number("m=")?,
            passes: number("t=")?,
            lanes: number("p=")?,
        };
        let decode = |text: &str| BASE64_NOPAD.decode(text.as_bytes()).ok();
        let stored = Self {
            settings,
            salt: decode(salt)?,
            hash: decode(hash)?,
        };
        let is_whole = parts.next().is_none() && numbers.next().is_none();
        (is_whole && stored.hash.len() == HASH_BYTES && settings.is_within(STORED_MAX)).then_some(stored)
    }
}

/// Hashes a password, which takes long.
fn hash(password: &[u8], salt: &[u8], settings: PasswordSettings) -> Result<[u8; HASH_BYTES], argon2::Error> {
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, settings.params()?);
    argon2.hash_password_into(password, salt, &mut hash)?;
    Ok(hash)
}

/// Makes a stored hash, which takes long.
fn make(password: &[u8], salt: [u8; SALT_BYTES], settings: PasswordSettings) -> Result<String, argon2::Error> {
    let hash = hash(password, &salt, settings)?;
    let PasswordSettings {
        memory_kib,
        passes,
        lanes,
    } = settings;
    let (salt, hash) = (BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&hash));
    Ok(format!(
        "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}"
    ))
}

impl Application {
    /// Sets what a password hash costs.
    ///
    /// The default suits a server; measure a higher one with [`Context::hash_password`].
    pub fn passwords(self, settings: PasswordSettings) -> Self {
        let problem = settings.params().err();
        let problem = problem.map(|error| format!("the settings of passwords are invalid: {error}"));
        self.state(settings).with_problem(problem)
    }
}

impl Context {
    /// Hashes a new password with argon2id, and returns the text to store.
    ///
    /// It runs on a thread beside the shards.
    ///
    /// # Errors
    ///
    /// 400 for a password of more than 1024 bytes; 503 if 64 computations wait already or memory is short.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the hash is lost; its thread computes on.
    pub async fn hash_password(&self, password: &str) -> Result<String> {
        let settings = self.password_settings();
        let password = checked(password)?;
        let salt = self.random()?;
        let made = self
            .compute(settings.memory_bytes(), move || make(&password, salt, settings))
            .await?;
        made.map_err(|error| Error::new(error.to_string()))
    }

    /// Verifies a password against a stored hash, which is `None` for a name without an account.
    ///
    /// Without an account it takes as long, so that the time does not tell which accounts exist. It runs on a thread
    /// beside the shards. Call [`admit_login`](Self::admit_login) before.
    ///
    /// # Errors
    ///
    /// As [`hash_password`](Self::hash_password); 500 if the stored text is anything but a hash of argon2id.
    ///
    /// # Cancel safety
    ///
    /// As [`hash_password`](Self::hash_password).
    pub async fn verify_password(&self, password: &str, stored: Option<&str>) -> Result<PasswordCheck> {
        let settings = self.password_settings();
        let password = checked(password)?;
        let salt = self.random::<SALT_BYTES>()?;
        let stored = match stored {
            Some(text) => Some(Stored::read(text).ok_or_else(|| {
                Error::new("could not verify a password: the stored text is anything but a hash of argon2id; store what hash_password returns")
            })?),
            None => None,
        };
        let memory_bytes = stored
            .as_ref()
            .map_or(settings, |stored| stored.settings)
            .memory_bytes();
        let checked = self.compute(memory_bytes.max(settings.memory_bytes()), move || {
            let Some(stored) = stored else {
                hash(&password, &salt, settings)?;
                return Ok(PasswordCheck::Wrong);
            };
            let found = hash(&password, &stored.salt, stored.settings)?;
            if !is_equal(&stored.hash, &found) {
                return Ok(PasswordCheck::Wrong);
            }
            if settings.is_within(stored.settings) {
                return Ok(PasswordCheck::Right);
            }
            make(&password, salt, settings).map(PasswordCheck::Outdated)
        });
        let checked: Result<_, argon2::Error> = checked.await?;
        checked.map_err(|error| Error::new(error.to_string()))
    }

    fn password_settings(&self) -> PasswordSettings {
        self.shared.state_ref().copied().unwrap_or_default()
    }

    /// Runs a computation beside the shards.
    async fn compute<R: Send + 'static>(
        &self,
        memory_bytes: usize,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R> {
        let (sender, result) = oneshot::channel();
        // A failed send means that the request is gone.
        let work = Box::new(move || drop(sender.send(work())));
        self.shared.runtime()?.compute(memory_bytes, work).await?;
        result
            .await
            .map_err(|_| Error::new("could not hash a password: its thread failed"))
    }
}

/// A password that is short enough to hash.
fn checked(password: &str) -> Result<Vec<u8>> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(HttpError::new(400).with_message("the password is too long").into());
    }
    Ok(password.as_bytes().to_vec())
}

impl fmt::Debug for PasswordCheck {
    /// Shows no hash.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Wrong => "Wrong",
            Self::Right => "Right",
            Self::Outdated(_) => "Outdated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that argon2 computes: the tests are of the text.
    const SMALL: PasswordSettings = PasswordSettings {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    #[test]
    fn a_hash_names_its_parameters_and_is_read_back() {
        let text = make(b"correct horse", [7; SALT_BYTES], SMALL).unwrap();
        assert!(
            text.starts_with("$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$"),
            "{text}"
        );
        let stored = Stored::read(&text).unwrap();
        assert_eq!((stored.settings, stored.salt), (SMALL, vec![7; SALT_BYTES]));
        assert_eq!(stored.hash, hash(b"correct horse", &[7; SALT_BYTES], SMALL).unwrap());
    }

    /// Made by the reference implementation: `printf password | argon2 somesalt -id -t 2 -m 16 -p 1`.
    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let stored = Stored::read(text).unwrap();
        assert_eq!(
            hash(b"password", &stored.salt, stored.settings).unwrap().to_vec(),
            stored.hash
        );
    }

    #[test]
    fn text_other_than_a_hash_is_refused() {
        let text = make(b"a", [7; SALT_BYTES], SMALL).unwrap();
        for bad in [
            String::new(),
            "secret".to_owned(),
            text.replace("argon2id", "argon2i"),
            text.replace("v=19", "v=16"),
            text.replace("m=8", "m=2097152"),
            text.replace("t=1", "t=65"),
            text.replace("p=1", "p=17"),
            text.replace("m=8,", ""),
            text.replace("p=1", "p=1,x=1"),
            format!("{text}A"),
            format!("{text}$"),
            text[..text.len() - 2].to_owned(),
        ] {
            assert!(Stored::read(&bad).is_none(), "{bad}");
        }
    }
}
