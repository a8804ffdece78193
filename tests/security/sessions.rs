//! Sessions of every kind: fixation, logout, concurrent writes, expiry, a store that is down.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use squall::prelude::*;
use squall::security::{SessionChanges, SessionKey, SessionLifetime, SessionStore, SessionValues, Sessions};

use crate::harness::*;

const SECRET: &str = "the secret of the tests of sessions";

/// A store of an application, as a table of a database would be; one shard has it.
#[derive(Clone, Default)]
struct Table {
    rows: Rc<RefCell<HashMap<SessionKey, SessionValues>>>,
    is_down: Rc<Cell<bool>>,
}

impl Table {
    fn check(&self) -> Result {
        if self.is_down.get() {
            return Err(Error::new("the database is down"));
        }
        Ok(())
    }
}

impl SessionStore for Table {
    async fn load(&self, key: SessionKey, _: SessionLifetime) -> Result<Option<SessionValues>> {
        self.check()?;
        Ok(self.rows.borrow().get(&key).cloned())
    }

    async fn create(&self, key: SessionKey, values: SessionValues, _: SessionLifetime) -> Result {
        self.check()?;
        self.rows.borrow_mut().insert(key, values);
        Ok(())
    }

    async fn update(&self, key: SessionKey, changes: SessionChanges) -> Result<bool> {
        self.check()?;
        Ok(self
            .rows
            .borrow_mut()
            .get_mut(&key)
            .map(|values| changes.apply_to(values))
            .is_some())
    }

    async fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        _: SessionLifetime,
    ) -> Result<bool> {
        self.check()?;
        let Some(mut values) = self.rows.borrow_mut().remove(&old) else {
            return Ok(false);
        };
        changes.apply_to(&mut values);
        self.rows.borrow_mut().insert(new, values);
        Ok(true)
    }

    async fn remove(&self, key: SessionKey) -> Result {
        self.check()?;
        self.rows.borrow_mut().remove(&key);
        Ok(())
    }
}

/// An application whose routes change the session as the query says.
fn application(sessions: Sessions) -> Application {
    Application::new()
        .cookie_secret(SECRET)
        .sessions(sessions)
        .get("/set", async |cx: &mut Context| -> Result {
            let (name, value): (String, String) = (cx.query_param("name")?, cx.query_param("value")?);
            cx.session().await?.set(&name, &value)
        })
        .get("/remove", async |cx: &mut Context| -> Result {
            let name: String = cx.query_param("name")?;
            cx.session().await?.remove(&name);
            Ok(())
        })
        .get("/get", async |cx: &mut Context| -> Result<String> {
            let name: String = cx.query_param("name")?;
            let value: Option<String> = cx.session().await?.get(&name)?;
            Ok(value.unwrap_or_else(|| "nothing".to_owned()))
        })
        .get("/login", async |cx: &mut Context| -> Result {
            let user: String = cx.query_param("user")?;
            cx.session().await?.log_in(&user);
            Ok(())
        })
        .get("/user", async |cx: &mut Context| -> Result<String> {
            Ok(cx.session().await?.user().unwrap_or_else(|| "visitor".to_owned()))
        })
        .get("/logout", async |cx: &mut Context| -> Result {
            cx.session().await?.end();
            Ok(())
        })
        .get("/fail", async |cx: &mut Context| -> Result {
            cx.session().await?.set("a", "half")?;
            Err(Error::new("it fails"))
        })
        .get("/flush", async |cx: &mut Context| -> Result {
            cx.session().await?.set("a", "flushed")?;
            cx.save_session().await?;
            cx.write("part");
            cx.flush().await?;
            cx.write("end");
            Ok(())
        })
        .get("/plain", async |_: &mut Context| "plain")
}

/// Every kind of sessions, with its name, the number of shards, and whether the server holds the values.
fn kinds() -> Vec<(&'static str, Running, bool)> {
    vec![
        ("memory", Running::start(2, || application(Sessions::in_memory())), true),
        (
            "store",
            Running::start(1, || application(Sessions::stored(Table::default()))),
            true,
        ),
        (
            "signed",
            Running::start(2, || application(Sessions::in_signed_cookie())),
            false,
        ),
        (
            "encrypted",
            Running::start(2, || application(Sessions::in_encrypted_cookie())),
            false,
        ),
    ]
}

#[test]
fn values_are_kept_between_requests() {
    for (kind, server, is_held) in kinds() {
        let first = get(&server, "/set?name=a&value=1", "");
        let line = set_cookie(&first).unwrap();
        assert!(
            line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Max-Age="),
            "{line}"
        );
        let mut cookie = pair(&first);
        // Several times, because each connection may reach another shard.
        for round in 0..8 {
            assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "1", "{kind}");
            let set = get(&server, &format!("/set?name=b&value={round}"), &cookie);
            if !is_held {
                cookie = pair(&set);
            }
            assert_eq!(ok(&get(&server, "/get?name=b", &cookie)), round.to_string(), "{kind}");
        }
        let removed = get(&server, "/remove?name=a", &cookie);
        if !is_held {
            cookie = pair(&removed);
        }
        assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "nothing", "{kind}");
        assert_eq!(ok(&get(&server, "/get?name=b", &cookie)), "7", "{kind}");
    }
}

#[test]
fn a_visitor_without_values_gets_no_cookie() {
    for (kind, server, _) in kinds() {
        for target in ["/plain", "/get?name=a", "/user", "/remove?name=a", "/logout"] {
            let answer = get(&server, target, "");
            assert_eq!((answer.status, set_cookie(&answer)), (200, None), "{kind} {target}");
        }
    }
}

/// A third party plants an id in the victim's browser: its own session, or one made up.
#[test]
fn a_planted_session_gains_nothing_from_a_login() {
    for (kind, server, is_held) in kinds() {
        let planted = pair(&get(&server, "/set?name=a&value=1", ""));
        let entered = get(&server, "/login?user=ada", &planted);
        let own = pair(&entered);
        assert_ne!(own, planted, "{kind}");
        assert_eq!(ok(&get(&server, "/user", &own)), "ada", "{kind}");
        assert_eq!(ok(&get(&server, "/get?name=a", &own)), "1", "the values stay: {kind}");
        assert_eq!(ok(&get(&server, "/user", &planted)), "visitor", "{kind}");
        if is_held {
            assert_eq!(ok(&get(&server, "/get?name=a", &planted)), "nothing", "{kind}");
        }
        let made_up = format!("session={}", "A".repeat(32));
        let entered = get(&server, "/login?user=ada", &made_up);
        assert_ne!(pair(&entered), made_up, "{kind}");
        assert_eq!(ok(&get(&server, "/user", &made_up)), "visitor", "{kind}");
    }
}

#[test]
fn a_logout_ends_the_session_for_every_copy_of_its_cookie() {
    for (kind, server, is_held) in kinds() {
        let cookie = pair(&get(&server, "/login?user=ada", ""));
        let left = get(&server, "/logout", &cookie);
        assert!(set_cookie(&left).unwrap().contains("Max-Age=0"), "{kind}");
        // A session in a cookie cannot be ended here, as its documentation says.
        let expected = if is_held { "visitor" } else { "ada" };
        for _ in 0..4 {
            assert_eq!(ok(&get(&server, "/user", &cookie)), expected, "{kind}");
        }
        if is_held {
            let set = get(&server, "/set?name=a&value=1", &cookie);
            assert_ne!(pair(&set), cookie, "a new session, and not the ended one: {kind}");
            assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "nothing", "{kind}");
        }
    }
}

/// Requests of one visitor at the same time, each on a connection of its own, on two shards.
#[test]
fn concurrent_writes_of_one_visitor_are_all_kept() {
    for (kind, server, is_held) in kinds() {
        if !is_held {
            continue;
        }
        let cookie = pair(&get(&server, "/set?name=a&value=1", ""));
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (server, cookie) = (&server, &cookie);
                scope.spawn(move || {
                    for round in 0..10 {
                        ok(&get(server, &format!("/set?name=w{writer}&value={round}"), cookie));
                    }
                });
            }
        });
        for writer in 0..8 {
            assert_eq!(
                ok(&get(&server, &format!("/get?name=w{writer}"), &cookie)),
                "9",
                "{kind}"
            );
        }
        assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "1", "{kind}");
    }
}

#[test]
fn a_forged_or_malformed_cookie_opens_nothing() {
    for (kind, server, _) in kinds() {
        let cookie = pair(&get(&server, "/login?user=ada", ""));
        let (name, value) = cookie.split_once('=').unwrap();
        let mut changed = value.to_owned();
        let last = if changed.ends_with('A') { "B" } else { "A" };
        changed.replace_range(changed.len() - 1.., last);
        for forged in [
            "",
            "x",
            "2|1:0|",
            "e1|0|AAAA",
            &value[1..],
            &format!("{value}A"),
            &changed,
        ] {
            assert_eq!(
                ok(&get(&server, "/user", &format!("{name}={forged}"))),
                "visitor",
                "{kind} {forged}"
            );
        }
        assert_eq!(ok(&get(&server, "/user", &cookie)), "ada", "{kind}");
    }
}

#[test]
fn the_values_of_a_failed_handler_are_not_saved() {
    for (kind, server, _) in kinds() {
        let cookie = pair(&get(&server, "/set?name=a&value=1", ""));
        assert_eq!(get(&server, "/fail", &cookie).status, 500, "{kind}");
        assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "1", "{kind}");
    }
}

#[test]
fn a_handler_that_flushes_saves_before() {
    for (kind, server, _) in kinds() {
        let answer = get(&server, "/flush", "");
        assert_eq!(ok(&answer), "partend", "{kind}");
        assert_eq!(ok(&get(&server, "/get?name=a", &pair(&answer))), "flushed", "{kind}");
    }
}

#[test]
fn a_session_in_memory_ends_when_it_is_idle() {
    let server = Running::start(2, || application(Sessions::in_memory().idle_timeout(Duration::ZERO)));
    let cookie = pair(&get(&server, "/set?name=a&value=1", ""));
    // Every later request comes at a later time.
    assert_eq!(ok(&get(&server, "/get?name=a", &cookie)), "nothing");
}

#[test]
fn a_store_that_is_down_answers_503_and_loses_no_session() {
    let server = Running::start(1, || {
        let table = Table::default();
        application(Sessions::stored(table.clone()))
            .get("/down", {
                let table = table.clone();
                async move |_: &mut Context| table.is_down.set(true)
            })
            .get("/up", async move |_: &mut Context| table.is_down.set(false))
    });
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    ok(&get(&server, "/down", ""));
    for target in ["/user", "/set?name=a&value=1", "/login?user=bob", "/logout"] {
        let refused = get(&server, target, &cookie);
        assert_eq!((refused.status, set_cookie(&refused)), (503, None), "{target}");
    }
    assert_eq!(ok(&get(&server, "/plain", &cookie)), "plain", "other routes go on");
    let refused = get(&server, "/set?name=a&value=1", "");
    assert_eq!((refused.status, set_cookie(&refused)), (503, None), "a new session");
    ok(&get(&server, "/up", ""));
    assert_eq!(ok(&get(&server, "/user", &cookie)), "ada");
}

#[test]
fn a_full_memory_refuses_new_sessions_with_503() {
    let server = Running::start(1, || application(Sessions::in_memory().max_sessions(2)));
    let cookies = [0, 1].map(|_| pair(&get(&server, "/set?name=a&value=1", "")));
    assert_eq!(get(&server, "/set?name=a&value=1", "").status, 503);
    for cookie in &cookies {
        assert_eq!(ok(&get(&server, "/get?name=a", cookie)), "1");
    }
    ok(&get(&server, "/logout", &cookies[0]));
    assert_eq!(get(&server, "/set?name=a&value=1", "").status, 200);
}

/// The cookie holds what is set; a browser would drop a larger one.
#[test]
fn a_session_too_large_for_its_place_is_500() {
    for (kind, server, _) in kinds() {
        if kind == "store" {
            continue;
        }
        let cookie = pair(&get(&server, "/set?name=a&value=1", ""));
        let large = "x".repeat(6000);
        let target = format!("/set?name=b&value={large}");
        let status = get(&server, &target, &cookie).status;
        let expected = if kind == "memory" { 200 } else { 500 };
        assert_eq!(status, expected, "{kind}");
    }
}
