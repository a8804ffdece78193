//! The futures of users, sessions and logins: each waits for the application's own code, or for another shard or thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use squall::prelude::*;
use squall::security::{
    Attempts, LoginThrottle, SessionChanges, SessionKey, SessionLifetime, SessionStore, SessionValues, Sessions, Users,
};
use squall::shards::yield_now;

use crate::harness::{Running, at_every_poll, dropped_after};
use crate::support::client::Connection;

/// A user, with the number of loads before.
struct User(usize);

/// A store in the memory of one shard, which makes each call wait.
#[derive(Default)]
struct SlowStore(RefCell<HashMap<SessionKey, SessionValues>>);

impl SessionStore for SlowStore {
    async fn load(&self, key: SessionKey, _: SessionLifetime) -> Result<Option<SessionValues>> {
        yield_now().await;
        Ok(self.0.borrow().get(&key).cloned())
    }

    async fn create(&self, key: SessionKey, values: SessionValues, _: SessionLifetime) -> Result {
        yield_now().await;
        self.0.borrow_mut().insert(key, values);
        Ok(())
    }

    async fn update(&self, key: SessionKey, changes: SessionChanges) -> Result<bool> {
        yield_now().await;
        let mut sessions = self.0.borrow_mut();
        Ok(sessions.get_mut(&key).map(|values| changes.apply_to(values)).is_some())
    }

    async fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        _: SessionLifetime,
    ) -> Result<bool> {
        yield_now().await;
        let mut sessions = self.0.borrow_mut();
        let Some(mut values) = sessions.remove(&old) else {
            return Ok(false);
        };
        changes.apply_to(&mut values);
        sessions.insert(new, values);
        Ok(true)
    }

    async fn remove(&self, key: SessionKey) -> Result {
        yield_now().await;
        self.0.borrow_mut().remove(&key);
        Ok(())
    }
}

/// Sends a GET, and returns the content and the cookie that was set.
#[track_caller]
fn get(server: &Running, target: &str, cookie: &str) -> (String, Option<String>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    let response = Connection::open(server.address)
        .exchange(request.as_bytes(), "GET")
        .unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    let cookie = response
        .field("set-cookie")
        .map(|line| String::from_utf8(line.to_vec()).unwrap());
    let pair = cookie.map(|line| line.split(';').next().unwrap().to_owned());
    (String::from_utf8(response.body).unwrap(), pair)
}

/// Requests a path with each number of polls, until the handler says that its future was ready.
#[track_caller]
fn drop_at_every_poll(server: &Running, path: &str, cookie: &str, mut check: impl FnMut(usize)) {
    at_every_poll(|polls| {
        let (is_ready, _) = get(server, &format!("{path}?polls={polls}"), cookie);
        check(polls);
        is_ready == "true"
    });
}

#[test]
fn a_user_whose_load_is_dropped_is_loaded_by_the_next_call() {
    let server = Running::start(1, || {
        let loads = Rc::new(Cell::new(0));
        let users = Users::new(async move |_: &mut Context| {
            loads.set(loads.get() + 1);
            yield_now().await;
            Ok(Some(User(loads.get())))
        });
        Application::new()
            .users(users)
            .get("/", async |cx: &mut Context| -> Result<String> {
                let dropped = dropped_after(cx.query_param("polls")?, cx.user::<User>()).await;
                let user = cx.user::<User>().await?.unwrap();
                let again = cx.user::<User>().await?.unwrap();
                assert_eq!(user.0, again.0, "a loaded user stays");
                Ok(dropped.is_some().to_string())
            })
    });
    drop_at_every_poll(&server, "/", "a=1", |_| {});
}

fn sessions() -> Application {
    Application::new()
        .sessions(Sessions::stored(SlowStore::default()))
        .get("/set", async |cx: &mut Context| cx.session().await?.set("a", "1"))
        .get("/load", async |cx: &mut Context| -> Result<String> {
            let dropped = dropped_after(cx.query_param("polls")?, cx.session()).await;
            assert_eq!(cx.session().await?.get::<String>("a")?.as_deref(), Some("1"));
            Ok(dropped.is_some().to_string())
        })
        .get("/save", async |cx: &mut Context| -> Result<String> {
            let polls: usize = cx.query_param("polls")?;
            cx.session().await?.set("polls", &polls)?;
            let dropped = dropped_after(polls, cx.save_session()).await;
            Ok(dropped.is_some().to_string())
        })
        .get("/polls", async |cx: &mut Context| -> Result<String> {
            let polls: Option<usize> = cx.session().await?.get("polls")?;
            Ok(polls.unwrap().to_string())
        })
}

#[test]
fn a_session_whose_load_is_dropped_is_loaded_by_the_next_call() {
    let server = Running::start(1, sessions);
    let cookie = get(&server, "/set", "a=1").1.unwrap();
    drop_at_every_poll(&server, "/load", &cookie, |_| {});
}

#[test]
fn a_session_whose_save_is_dropped_is_saved_behind_the_handler() {
    let server = Running::start(1, sessions);
    let cookie = get(&server, "/set", "a=1").1.unwrap();
    drop_at_every_poll(&server, "/save", &cookie, |polls| {
        assert_eq!(get(&server, "/polls", &cookie).0, polls.to_string());
    });
}

/// Names of several accounts, because a name of this shard needs no wait.
#[test]
fn a_dropped_admission_counts_once_or_not_at_all() {
    let server = Running::start(2, || {
        let once = Attempts {
            burst: 2,
            interval: Duration::from_secs(600),
        };
        let address = Attempts {
            burst: 1_000_000,
            interval: Duration::from_secs(1),
        };
        let throttle = LoginThrottle::new().account(once).address(address);
        let application = Application::new().throttle_logins(throttle);
        let application = application.get("/admit", async |cx: &mut Context| -> Result<String> {
            let name: String = cx.query_param("name")?;
            let dropped = dropped_after(cx.query_param("polls")?, cx.admit_login(&name)).await;
            // Of two attempts, at most one was taken before.
            cx.admit_login(&name).await?;
            Ok(dropped.is_some().to_string())
        });
        application.get("/succeed", async |cx: &mut Context| -> Result<String> {
            let name: String = cx.query_param("name")?;
            cx.admit_login(&name).await?;
            let dropped = dropped_after(cx.query_param("polls")?, cx.login_succeeded(&name)).await;
            cx.login_succeeded(&name).await?;
            cx.admit_login(&name).await?;
            cx.admit_login(&name).await?;
            Ok(dropped.is_some().to_string())
        })
    });
    for path in ["/admit", "/succeed"] {
        let mut name = 0;
        at_every_poll(|polls| {
            name += 1;
            get(&server, &format!("{path}?name={path}{name}&polls={polls}"), "a=1").0 == "true"
        });
    }
}

#[test]
fn a_disconnect_is_repeated_after_a_drop() {
    let server = Running::start(2, || {
        Application::new().get("/", async |cx: &mut Context| -> Result<String> {
            let dropped = dropped_after(cx.query_param("polls")?, cx.disconnect("ada")).await;
            assert_eq!(cx.disconnect("ada").await?, 0);
            Ok(dropped.is_some().to_string())
        })
    });
    drop_at_every_poll(&server, "/", "a=1", |_| {});
}

#[cfg(feature = "passwords")]
#[test]
fn a_dropped_hash_is_lost_and_the_next_one_is_made() {
    use squall::security::{PasswordCheck, PasswordSettings};

    let server = Running::start(1, || {
        let cheap = PasswordSettings::new().memory_kib(64).passes(1);
        let application = Application::new().passwords(cheap);
        let application = application.get("/hash", async |cx: &mut Context| -> Result<String> {
            let dropped = dropped_after(cx.query_param("polls")?, cx.hash_password("a")).await;
            assert!(cx.hash_password("a").await?.starts_with("$argon2id$"));
            Ok(dropped.is_some().to_string())
        });
        application.get("/verify", async |cx: &mut Context| -> Result<String> {
            let hash = cx.hash_password("a").await?;
            let dropped = dropped_after(cx.query_param("polls")?, cx.verify_password("a", Some(&hash))).await;
            assert_eq!(cx.verify_password("a", Some(&hash)).await?, PasswordCheck::Right);
            assert_eq!(cx.verify_password("b", Some(&hash)).await?, PasswordCheck::Wrong);
            Ok(dropped.is_some().to_string())
        })
    });
    drop_at_every_poll(&server, "/hash", "a=1", |_| {});
    drop_at_every_poll(&server, "/verify", "a=1", |_| {});
}
