//! What an application says about its sessions, and the middleware that saves them.
//!
//! A session is loaded when a handler asks for it first. It is saved behind the handler and before the response, so that
//! its cookie can be part of the response. A visitor that opens no session gets none until a value is set.

use core::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cookie::Cookie;
use futures_channel::oneshot;

use super::cookie as sealed;
use super::handle::{IdChange, Session, State};
use super::key::{ID_BYTES, SessionId, SessionKey};
use super::memory::SessionTable;
use super::store::{DynSessionStore, SessionLifetime, SessionStore};
use super::values::{SessionChanges, SessionValues};
use crate::app::application::Application;
use crate::app::context::Context;
use crate::app::handler::middleware::Next;
use crate::app::runtime::find_state;
use crate::app::websocket::SocketOwner;
use crate::error::{Error, Result};
use crate::message::StatusCode;

/// The default name of the cookie.
const COOKIE: &str = "session";

/// The default idle time: a day.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// The default absolute time: 30 days.
const ABSOLUTE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many sessions the memory of one shard holds by default. 50,000 of 1 KiB take 50 MB.
const SESSIONS_MAX: usize = 50_000;

/// How many bytes one session in memory may have by default: 16 KiB.
const SESSION_BYTES_MAX: usize = 16 * 1024;

/// How an application keeps sessions: see [`Application::sessions`].
#[must_use = "sessions do nothing until they are given to an application"]
pub struct Sessions {
    place: Place,
    cookie: Cookie<'static>,
    lifetime: SessionLifetime,
    sessions_max: usize,
    session_bytes_max: usize,
}

/// Where sessions are.
enum Place {
    /// In the cookie, readable for the visitor.
    Signed,
    /// In the cookie, readable here alone.
    #[cfg(feature = "encryption")]
    Encrypted,
    Memory,
    Stored(Rc<dyn DynSessionStore>),
}

impl Sessions {
    /// Keeps sessions in the memory of this process, which a restart ends.
    ///
    /// Each belongs to one shard; requests on other shards ask it.
    pub fn in_memory() -> Self {
        Self::at(Place::Memory)
    }

    /// Keeps sessions in a store of the application, such as a database.
    pub fn stored(store: impl SessionStore + 'static) -> Self {
        Self::at(Place::Stored(Rc::new(store)))
    }

    /// Keeps the whole session in a signed cookie, which the visitor can read.
    ///
    /// It holds at most some 2 KiB. A logout removes the cookie, and a copy of it stays valid until the session's time is
    /// over. The secret is that of [`Application::cookie_secret`].
    pub fn in_signed_cookie() -> Self {
        Self::at(Place::Signed)
    }

    /// Keeps the whole session in an encrypted cookie, which the visitor cannot read.
    ///
    /// Otherwise it is as [`in_signed_cookie`](Self::in_signed_cookie).
    #[cfg(feature = "encryption")]
    pub fn in_encrypted_cookie() -> Self {
        Self::at(Place::Encrypted)
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            cookie: Cookie::from(COOKIE),
            lifetime: SessionLifetime {
                idle: IDLE,
                absolute: ABSOLUTE,
            },
            sessions_max: SESSIONS_MAX,
            session_bytes_max: SESSION_BYTES_MAX,
        }
    }

    /// Sets the name and the attributes of the cookie, `session` by default.
    ///
    /// On a site with TLS, use `__Host-session`: no other host of the domain can set it.
    pub fn cookie(mut self, cookie: impl Into<Cookie<'static>>) -> Self {
        self.cookie = cookie.into();
        self
    }

    /// Sets how long a session lives without a request, a day by default.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.lifetime.idle = timeout;
        self
    }

    /// Sets how long a session lives from its login at most, 30 days by default.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.lifetime.absolute = timeout;
        self
    }

    /// Sets how many sessions each shard holds in memory at most, 50,000 by default; further ones get 503.
    pub fn max_sessions(mut self, sessions_max: usize) -> Self {
        self.sessions_max = sessions_max;
        self
    }

    /// Sets how many bytes the values of a session in memory take at most, 16 KiB by default.
    pub fn max_session_bytes(mut self, bytes_max: usize) -> Self {
        self.session_bytes_max = bytes_max;
        self
    }
}

impl Application {
    /// Gives visitors sessions, which handlers reach by [`Context::session`].
    ///
    /// They are saved by middleware, which stands inside the middleware added before.
    ///
    /// ```
    /// use squall::prelude::*;
    /// use squall::security::Sessions;
    /// # use squall::testing::TestClient;
    ///
    /// async fn count(cx: &mut Context) -> Result<String> {
    ///     let session = cx.session().await?;
    ///     let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    ///     session.set("visits", &visits)?;
    ///     Ok(format!("visit {visits}"))
    /// }
    ///
    /// fn application() -> Application {
    ///     Application::new().sessions(Sessions::in_memory()).get("/", count)
    /// }
    ///
    /// # let client = TestClient::with_shards(2, application)?;
    /// # let first = client.get("/").send()?;
    /// # let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap();
    /// # assert_eq!(client.get("/").header("cookie", cookie).send()?.text(), "visit 2");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn sessions(self, sessions: Sessions) -> Self {
        let application = match sessions.place {
            Place::Memory => self.state(SessionTable::new(sessions.sessions_max, sessions.session_bytes_max)),
            Place::Signed | Place::Stored(_) => self,
            #[cfg(feature = "encryption")]
            Place::Encrypted => self,
        };
        application.state(sessions).middleware(save_behind)
    }
}

/// Saves the session that a handler has used.
async fn save_behind(cx: &mut Context, next: Next<'_>) -> Result {
    next.run(cx).await;
    // What a failed handler has changed halfway is not saved.
    if cx.status().is_server_error() {
        return Ok(());
    }
    cx.save_session().await
}

impl Context {
    /// Returns the session of this request, an empty one if the visitor opens none.
    ///
    /// The first call loads it; later calls return the same.
    ///
    /// # Errors
    ///
    /// 503 if the store fails; 500 if the application has no sessions; 431 for too many cookies.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it loads, the next call loads anew.
    pub async fn session(&self) -> Result<Session> {
        if let Some(session) = self.identity().session.get() {
            return Ok(session.clone());
        }
        let state = self.load_session().await?;
        let session = self.identity().session.get_or_init(|| Session::new(state));
        Ok(session.clone())
    }

    /// Saves the session now, for a handler that flushes its response: behind the head, no cookie can be set.
    ///
    /// Other handlers have no need of it.
    ///
    /// # Errors
    ///
    /// 503 if the store fails; 500 if the cookie must be set and the head has been sent, or if the session is too large.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the store works, the changes may be saved or not; the next call saves them again.
    pub async fn save_session(&self) -> Result {
        let Some(session) = self.identity().session.get().cloned() else {
            return Ok(());
        };
        let sessions = self.sessions()?;
        match &sessions.place {
            Place::Memory => save(self, sessions, &session, &InMemory(self)).await,
            Place::Stored(store) => save(self, sessions, &session, &**store).await,
            Place::Signed => save_in_cookie(self, sessions, &session),
            #[cfg(feature = "encryption")]
            Place::Encrypted => save_in_cookie(self, sessions, &session),
        }
    }

    /// The session that this request has loaded, as the owner of a WebSocket; `None` for one in a cookie.
    pub(in crate::app) fn session_owner(&self) -> Option<SocketOwner> {
        let id = self.known_identity()?.session.get()?.state().borrow().id?;
        Some(SocketOwner::Session(*id.key().as_bytes()))
    }

    async fn load_session(&self) -> Result<State> {
        let sessions = self.sessions()?;
        let (name, lifetime) = (sessions.cookie.name(), sessions.lifetime);
        let memory = InMemory(self);
        let store: &dyn DynSessionStore = match &sessions.place {
            Place::Memory => &memory,
            Place::Stored(store) => &**store,
            Place::Signed => return read_from_cookie(self, sessions),
            #[cfg(feature = "encryption")]
            Place::Encrypted => return read_from_cookie(self, sessions),
        };
        let Some(id) = self.cookies().get(name)?.and_then(|text| SessionId::read(&text)) else {
            return Ok(State::default());
        };
        let values = store.load(id.key(), lifetime).await.map_err(unavailable)?;
        // An id that opens nothing is never taken over: its sender may have made it up for a victim.
        Ok(values.map_or_else(State::default, |values| State {
            id: Some(id),
            values,
            ..State::default()
        }))
    }

    fn sessions(&self) -> Result<&Sessions> {
        self.shared.state_ref().ok_or_else(|| {
            Error::new("could not use a session: the application has none; set them with Application::sessions")
        })
    }
}

/// Saves a session to a store, and sets its cookie if its id is new.
async fn save(cx: &Context, sessions: &Sessions, session: &Session, store: &dyn DynSessionStore) -> Result {
    let lifetime = sessions.lifetime;
    let (id, id_change, changes, is_empty) = {
        let state = session.state().borrow();
        (
            state.id,
            state.id_change,
            state.changes.clone(),
            state.values.is_empty(),
        )
    };
    if id_change == IdChange::Ends
        && let Some(id) = id
    {
        store.remove(id.key()).await.map_err(unavailable)?;
        cx.close_sockets(SocketOwner::Session(*id.key().as_bytes())).await?;
        cx.cookies().remove(sessions.cookie.clone())?;
    }
    let id = id.filter(|_| id_change != IdChange::Ends);
    let saved = match id {
        Some(id) if id_change == IdChange::Rotates => {
            let next = id.successor(cx.random()?);
            let rotated = store.rotate(id.key(), next.key(), changes.clone(), lifetime).await;
            if rotated.map_err(unavailable)? {
                // They were opened with rights that have changed.
                cx.close_sockets(SocketOwner::Session(*id.key().as_bytes())).await?;
                Some(next)
            } else {
                // Another request has ended the session; only what this one has changed begins the new one.
                create(cx, store, changes, lifetime).await?
            }
        }
        Some(id) if !changes.is_empty() => {
            if !store.update(id.key(), changes).await.map_err(unavailable)? {
                tracing::debug!("a session ended while a request changed it");
            }
            Some(id)
        }
        Some(id) => Some(id),
        None if is_empty => None,
        None => create(cx, store, changes, lifetime).await?,
    };
    if saved != id
        && let Some(new) = saved
    {
        set_cookie(cx, sessions, new.text(), |cookie| cx.cookies().set(cookie))?;
    }
    let mut state = session.state().borrow_mut();
    state.id = saved;
    state.id_change = IdChange::Stays;
    state.changes = SessionChanges::default();
    Ok(())
}

/// Stores a new session, and returns its id; `None` without any value.
async fn create(
    cx: &Context,
    store: &dyn DynSessionStore,
    changes: SessionChanges,
    lifetime: SessionLifetime,
) -> Result<Option<SessionId>> {
    let mut values = SessionValues::new();
    changes.apply_to(&mut values);
    if values.is_empty() {
        return Ok(None);
    }
    let id = SessionId::new(cx.random::<ID_BYTES>()?);
    store.create(id.key(), values, lifetime).await.map_err(unavailable)?;
    Ok(Some(id))
}

fn read_from_cookie(cx: &Context, sessions: &Sessions) -> Result<State> {
    let name = sessions.cookie.name();
    let text = match sessions.place {
        #[cfg(feature = "encryption")]
        Place::Encrypted => cx.cookies().encrypted().max_age(Duration::MAX).get(name)?,
        _ => cx.cookies().signed().max_age(Duration::MAX).get(name)?,
    };
    let opened = match text {
        Some(text) => sealed::open(&text, sessions.lifetime, cx.wall()?),
        None => None,
    };
    Ok(opened.map_or_else(State::default, |opened| State {
        created: Some(opened.created),
        values: opened.values,
        is_stale: opened.is_stale,
        ..State::default()
    }))
}

fn save_in_cookie(cx: &Context, sessions: &Sessions, session: &Session) -> Result {
    let mut state = session.state().borrow_mut();
    let is_changed = !state.changes.is_empty() || state.id_change == IdChange::Rotates || state.is_stale;
    if state.values.is_empty() {
        // A session that had a cookie, and has no value left.
        if state.created.is_some() && (is_changed || state.id_change == IdChange::Ends) {
            cx.cookies().remove(sessions.cookie.clone())?;
        }
    } else if is_changed {
        let created = state.created.filter(|_| state.id_change == IdChange::Stays);
        let text = sealed::seal(state.values.clone(), created, cx.wall()?)?;
        set_cookie(cx, sessions, text, |cookie| match sessions.place {
            #[cfg(feature = "encryption")]
            Place::Encrypted => cx.cookies().encrypted().set(cookie),
            _ => cx.cookies().signed().set(cookie),
        })?;
    }
    state.id_change = IdChange::Stays;
    state.is_stale = false;
    state.changes = SessionChanges::default();
    Ok(())
}

/// Sets the cookie of a session; the browser keeps it as long as the session can live.
fn set_cookie(cx: &Context, sessions: &Sessions, value: String, set: impl FnOnce(Cookie<'static>) -> Result) -> Result {
    let mut cookie = sessions.cookie.clone();
    cookie.set_value(value);
    if cookie.max_age().is_none() && cookie.expires().is_none() {
        cookie.set_max_age(cookie::time::Duration::try_from(sessions.lifetime.absolute).ok());
    }
    if cx.response.head_sent {
        return Err(Error::new(
            "could not set the cookie of the session: the head has been sent; call save_session before the first flush",
        ));
    }
    set(cookie)
}

/// Makes a 503 of a store's error, unless the store has chosen a status.
fn unavailable(error: Error) -> Error {
    if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
        error.with_status(StatusCode::SERVICE_UNAVAILABLE)
    } else {
        error
    }
}

/// The memory of the shards, as a request of one of them sees it.
struct InMemory<'a>(&'a Context);

impl InMemory<'_> {
    /// Runs work on the shard that owns a session.
    async fn at_owner<R: Send + 'static>(
        &self,
        key: SessionKey,
        work: impl FnOnce(&SessionTable, Instant) -> R + Send + 'static,
    ) -> Result<R> {
        let runtime = self.0.shared.runtime()?;
        let (owner, now) = (key.shard(runtime.shard_count()), runtime.now());
        if owner == runtime.shard() {
            let table = self.0.state::<SessionTable>()?;
            return Ok(work(&table, now));
        }
        let (sender, result) = oneshot::channel();
        let remote = runtime.on_shard(
            owner,
            Box::new(move |state| {
                if let Some(table) = find_state::<SessionTable>(state) {
                    // A failed send means that the request is gone.
                    drop(sender.send(work(&table, now)));
                }
            }),
        );
        remote.await?;
        result
            .await
            .map_err(|_| Error::new("could not reach a session: its shard does not serve"))
    }
}

impl SessionStore for InMemory<'_> {
    async fn load(&self, key: SessionKey, lifetime: SessionLifetime) -> Result<Option<SessionValues>> {
        self.at_owner(key, move |table, now| table.load(key, lifetime, now))
            .await
    }

    async fn create(&self, key: SessionKey, values: SessionValues, lifetime: SessionLifetime) -> Result {
        self.at_owner(key, move |table, now| table.create(key, values, lifetime, now))
            .await?
    }

    async fn update(&self, key: SessionKey, changes: SessionChanges) -> Result<bool> {
        self.at_owner(key, move |table, now| table.update(key, &changes, now))
            .await?
    }

    async fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        lifetime: SessionLifetime,
    ) -> Result<bool> {
        self.at_owner(old, move |table, now| table.rotate((old, new), &changes, lifetime, now))
            .await?
    }

    async fn remove(&self, key: SessionKey) -> Result {
        self.at_owner(key, move |table, _| table.remove(key)).await
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sessions")
            .field("cookie", &self.cookie.name())
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
