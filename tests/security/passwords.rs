//! Logins with passwords: hashed beside the shards, throttled before.

use std::time::Duration;

use serde::Deserialize;
use squall::prelude::*;
use squall::security::{Attempts, LoginThrottle, PasswordCheck, PasswordSettings};

use crate::harness::*;

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
    #[serde(default)]
    stored: String,
}

async fn log_in(cx: &mut Context, Form(login): Form<Login>) -> Result<String> {
    cx.admit_login(&login.name).await?;
    let stored = (!login.stored.is_empty()).then_some(&*login.stored);
    let check = cx.verify_password(&login.password, stored).await?;
    if check.is_right() {
        cx.login_succeeded(&login.name).await?;
    }
    Ok(match check {
        PasswordCheck::Outdated(hash) => format!("outdated {hash}"),
        other => format!("{other:?}"),
    })
}

fn application() -> Application {
    let attempts = |burst| Attempts {
        burst,
        interval: Duration::from_secs(600),
    };
    Application::new()
        .passwords(PasswordSettings::new().memory_kib(256).passes(2))
        .throttle_logins(LoginThrottle::new().account(attempts(3)).address(attempts(1000)))
        .post(
            "/hash",
            async |cx: &mut Context, Form(login): Form<Login>| -> Result<String> {
                cx.hash_password(&login.password).await
            },
        )
        .post("/login", log_in)
}

fn form(name: &str, password: &str, stored: &str) -> String {
    let stored = stored
        .replace('$', "%24")
        .replace('+', "%2B")
        .replace('=', "%3D")
        .replace(',', "%2C");
    format!("name={name}&password={password}&stored={stored}")
}

#[test]
fn a_password_verifies_against_its_own_hash_alone() {
    let server = Running::start(2, application);
    let hash = ok(&post(&server, "/hash", "", &form("ada", "lovelace", "")));
    assert!(hash.starts_with("$argon2id$v=19$m=256,t=2,p=1$"), "{hash}");
    let again = ok(&post(&server, "/hash", "", &form("ada", "lovelace", "")));
    assert_ne!(hash, again, "each hash has a salt of its own");
    let check = |name: &str, password: &str, stored: &str| post(&server, "/login", "", &form(name, password, stored));
    assert_eq!(ok(&check("ada", "lovelace", &hash)), "Right");
    assert_eq!(ok(&check("bob", "Lovelace", &hash)), "Wrong");
    assert_eq!(ok(&check("bob", "", &hash)), "Wrong");
    assert_eq!(ok(&check("carl", "lovelace", "")), "Wrong", "no such account");
    assert_eq!(check("carl", "lovelace", "secret").status, 500, "no hash");
    assert_eq!(check("dora", &"x".repeat(1025), &hash).status, 400);
}

#[test]
fn a_right_password_with_a_weaker_hash_returns_a_new_hash() {
    let server = Running::start(1, || {
        Application::new()
            .get("/", async |cx: &mut Context| -> Result<String> {
                cx.hash_password("lovelace").await
            })
            .passwords(PasswordSettings::new().memory_kib(64).passes(1))
    });
    let weak = ok(&get(&server, "/", ""));
    let server = Running::start(1, application);
    let checked = ok(&post(&server, "/login", "", &form("ada", "lovelace", &weak)));
    let hash = checked.strip_prefix("outdated ").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=256,t=2,p=1$"), "{hash}");
    assert_eq!(
        ok(&post(&server, "/login", "", &form("ada", "lovelace", hash))),
        "Right"
    );
    assert_eq!(ok(&post(&server, "/login", "", &form("bob", "wrong", &weak))), "Wrong");
}

/// Two shards, and each attempt on a connection of its own: the limit holds for the process.
#[test]
fn attempts_on_one_account_are_refused_before_their_password_is_hashed() {
    let server = Running::start(2, application);
    let hash = ok(&post(&server, "/hash", "", &form("ada", "lovelace", "")));
    let attempt = |name: &str, password: &str| post(&server, "/login", "", &form(name, password, &hash));
    for _ in 0..3 {
        assert_eq!(ok(&attempt("ada", "wrong")), "Wrong");
    }
    for name in ["ada", "Ada", "ada"] {
        let refused = attempt(name, "lovelace");
        assert_eq!(refused.status, 429);
        let wait: u64 = str::from_utf8(refused.field("retry-after").unwrap())
            .unwrap()
            .parse()
            .unwrap();
        assert!((500..=601).contains(&wait), "{wait}");
    }
    assert_eq!(ok(&attempt("bob", "lovelace")), "Right", "another account");
    for _ in 0..10 {
        assert_eq!(
            ok(&attempt("bob", "lovelace")),
            "Right",
            "a success returns the attempts"
        );
    }
}

#[test]
fn attempts_of_one_address_are_refused_whatever_their_account() {
    let server = Running::start(2, || {
        let few = Attempts {
            burst: 4,
            interval: Duration::from_secs(600),
        };
        Application::new()
            .throttle_logins(LoginThrottle::new().address(few))
            .get("/", async |cx: &mut Context| -> Result<&'static str> {
                let name: String = cx.query_param("name")?;
                cx.admit_login(&name).await?;
                Ok("admitted")
            })
    });
    for name in 0..4 {
        assert_eq!(ok(&get(&server, &format!("/?name={name}"), "")), "admitted");
    }
    assert_eq!(get(&server, "/?name=other", "").status, 429);
}
