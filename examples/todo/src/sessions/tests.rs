//! The store against what is tried on sessions: fixation, replay after a logout, writes at the same time, time, faults.

use squall::security::Sessions;
use squall::testing::TestClient;

use super::*;
use crate::database::tests::Scratch;

/// How many requests write at the same time.
const WRITERS: usize = 12;

fn client(scratch: &Scratch) -> TestClient {
    let database = scratch.database.clone();
    let application = move || {
        Application::new()
            .cookie_secret("the secret of the tests of sessions")
            .sessions(Sessions::stored(SqliteSessions::new(database.clone())))
            .get("/set/{name}", async |cx: &mut Context| -> Result {
                let name: String = cx.param("name")?;
                cx.session().await?.set(&name, "here")
            })
            .get("/log-in", async |cx: &mut Context| -> Result {
                cx.session().await?.log_in("7");
                Ok(())
            })
            .get("/log-out", async |cx: &mut Context| -> Result {
                cx.session().await?.end();
                Ok(())
            })
            .get("/show/{name}", async |cx: &mut Context| -> Result<String> {
                let name: String = cx.param("name")?;
                let session = cx.session().await?;
                let value: Option<String> = session.get(&name)?;
                Ok(format!("{:?} {value:?}", session.user()))
            })
    };
    TestClient::with_shards(2, application).unwrap()
}

/// Requests a path, and returns the status, the text and the cookie that is set.
fn get(client: &TestClient, path: &str, cookie: &str) -> (u16, String, Option<String>) {
    let mut request = client.get(path);
    if !cookie.is_empty() {
        request = request.header("cookie", cookie);
    }
    let response = request.send().unwrap();
    let cookie = response
        .header("set-cookie")
        .and_then(|line| line.split(';').next())
        .map(str::to_owned);
    (response.status().as_u16(), response.text(), cookie)
}

fn cookie_of(client: &TestClient, path: &str, cookie: &str) -> String {
    get(client, path, cookie).2.expect("a cookie")
}

/// Runs a statement on the thread that writes, and waits for it.
fn change(scratch: &Scratch, sql: &'static str) {
    let database = scratch.database.clone();
    let changed = TestClient::new(move || {
        Application::new()
            .state(database.clone())
            .get("/", async move |cx: &mut Context| -> Result {
                let database = cx.state::<Database>()?;
                database.write(move |transaction| transaction.execute_batch(sql)).await
            })
    });
    assert_eq!(changed.unwrap().get("/").send().unwrap().status(), 200, "{sql}");
}

#[test]
fn a_session_that_was_planted_gains_nothing_by_the_login() {
    let scratch = Scratch::new();
    let client = client(&scratch);
    let planted = cookie_of(&client, "/set/a", "");
    let own = cookie_of(&client, "/log-in", &planted);
    assert_ne!(planted, own);
    assert_eq!(get(&client, "/show/a", &own).1, r#"Some("7") Some("here")"#);
    assert_eq!(get(&client, "/show/a", &planted).1, "None None");
}

#[test]
fn a_cookie_that_was_copied_is_useless_after_the_logout() {
    let scratch = Scratch::new();
    let client = client(&scratch);
    let own = cookie_of(&client, "/log-in", "");
    assert_eq!(get(&client, "/show/a", &own).1, r#"Some("7") None"#);
    get(&client, "/log-out", &own);
    assert_eq!(get(&client, "/show/a", &own).1, "None None");
    // A request that was under way does not bring it back.
    get(&client, "/set/a", &own);
    assert_eq!(get(&client, "/show/a", &own).1, "None None");
}

#[test]
fn requests_at_the_same_time_keep_all_their_changes() {
    let scratch = Scratch::new();
    let client = client(&scratch);
    let own = cookie_of(&client, "/log-in", "");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, own) = (&client, &own);
            scope.spawn(move || assert_eq!(get(client, &format!("/set/value-{writer}"), own).0, 200));
        }
    });
    for writer in 0..WRITERS {
        let (_, shown, _) = get(&client, &format!("/show/value-{writer}"), &own);
        assert_eq!(shown, r#"Some("7") Some("here")"#, "writer {writer}");
    }
}

#[test]
fn a_session_ends_by_its_idle_time_and_by_its_age() {
    for end in [
        "UPDATE sessions SET idle_end = unixepoch()",
        "UPDATE sessions SET end = unixepoch()",
    ] {
        let scratch = Scratch::new();
        let client = client(&scratch);
        let own = cookie_of(&client, "/log-in", "");
        change(&scratch, end);
        assert_eq!(get(&client, "/show/a", &own).1, "None None", "{end}");
        get(&client, "/set/a", &own);
        assert_eq!(get(&client, "/show/a", &own).1, "None None", "{end}");
    }
}

#[test]
fn a_request_gives_a_session_its_whole_idle_time_again() {
    let scratch = Scratch::new();
    let client = client(&scratch);
    let own = cookie_of(&client, "/log-in", "");
    change(&scratch, "UPDATE sessions SET idle_end = unixepoch() + 60");
    assert_eq!(get(&client, "/show/a", &own).1, r#"Some("7") None"#);
    change(&scratch, "UPDATE sessions SET idle_end = idle_end - 3600");
    assert_eq!(get(&client, "/show/a", &own).1, r#"Some("7") None"#);
}

#[test]
fn a_database_that_fails_answers_503_and_loses_no_session() {
    let scratch = Scratch::new();
    let client = client(&scratch);
    let own = cookie_of(&client, "/log-in", "");
    change(&scratch, "ALTER TABLE sessions RENAME TO away");
    for path in ["/show/a", "/set/a", "/log-out"] {
        let (status, _, cookie) = get(&client, path, &own);
        assert_eq!((status, cookie), (503, None), "{path}");
    }
    change(&scratch, "ALTER TABLE away RENAME TO sessions");
    assert_eq!(get(&client, "/show/a", &own).1, r#"Some("7") None"#);
}
