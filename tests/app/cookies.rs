//! Cookies of a response: set, replaced, removed, and sent with whatever head is sent. Tornado's `CookieTest`.

use crate::app_client::{AppClient, AppResponse};
use squall::app::Peer;
use squall::prelude::*;

/// The `Set-Cookie` fields of a response, in order.
fn set_cookies(response: &AppResponse) -> Vec<String> {
    let lines = response
        .headers()
        .iter()
        .filter(|(name, _)| *name == header::SET_COOKIE);
    lines.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

fn application() -> Application {
    Application::new()
        .get("/set", async |cx: &mut Context| cx.cookies().set(("a", "1")))
        .get("/replace", async |cx: &mut Context| -> Result {
            cx.cookies().set(Cookie::build(("a", "b")).domain("example.com"))?;
            cx.cookies().set(Cookie::build(("c", "d")).domain("example.com"))?;
            cx.cookies().set(("a", "e"))
        })
        .get("/remove", async |cx: &mut Context| -> Result {
            cx.cookies().set(("a", "1"))?;
            cx.cookies().remove("a")
        })
        .get("/fail", async |cx: &mut Context| -> Result {
            cx.cookies().set(("a", "1"))?;
            cx.set_header("X-Lost", "1")?;
            Err(HttpError::new(409).into())
        })
        .get("/late", async |cx: &mut Context| -> Result {
            cx.cookies().set(("a", "1"))?;
            cx.write("b");
            cx.flush().await?;
            let late = cx.cookies().set(("late", "1")).unwrap_err().to_string();
            assert!(late.contains("`late`: the head has been sent"), "{late}");
            Ok(())
        })
        .get("/inject", async |cx: &mut Context| -> Result {
            let value: String = cx.query_param("value")?;
            cx.cookies().set(Cookie::build(("a", value)).path("/x"))
        })
        .get("/guarded", async |cx: &mut Context| -> Result<String> {
            let session = cx.cookies().get("session")?.or_error(401, "log in")?;
            cx.cookies().set(("seen", &*session))?;
            Ok(session.into_owned())
        })
}

#[test]
fn cookies_are_set_replaced_by_name_and_removed() {
    let client = AppClient::new(application()).unwrap();
    for (path, status, expected) in [
        ("/set", 200, vec!["a=1; HttpOnly; SameSite=Lax; Path=/"]),
        (
            "/replace",
            200,
            vec![
                "a=e; HttpOnly; SameSite=Lax; Path=/",
                "c=d; HttpOnly; SameSite=Lax; Path=/; Domain=example.com",
            ],
        ),
        (
            "/remove",
            200,
            vec!["a=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        ),
        ("/fail", 409, vec!["a=1; HttpOnly; SameSite=Lax; Path=/"]),
        ("/late", 200, vec!["a=1; HttpOnly; SameSite=Lax; Path=/"]),
        ("/inject?value=1%0d%0aX-Y:+z", 500, vec![]),
        (
            "/inject?value=1;+Domain=b",
            200,
            vec!["a=\"1\\073 Domain=b\"; HttpOnly; SameSite=Lax; Path=/x"],
        ),
        ("/guarded", 401, vec![]),
    ] {
        let response = client.get(path).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), set_cookies(&response)),
            (status, expected.iter().map(ToString::to_string).collect()),
            "{path}"
        );
        assert_eq!(response.header("x-lost"), None, "{path}");
    }
    // The next exchange of the connection starts without cookies.
    assert!(set_cookies(&client.get("/guarded").cookie("other", "1").send().unwrap()).is_empty());
    let response = client.get("/guarded").cookie("session", "7").send().unwrap();
    assert_eq!(response.text(), "7");
    assert_eq!(set_cookies(&response), ["seen=7; HttpOnly; SameSite=Lax; Path=/"]);
}

#[test]
fn a_set_value_is_read_back_as_it_was() {
    let application = Application::new()
        .get("/set", async |cx: &mut Context| -> Result {
            let value: String = cx.query_param("value")?;
            cx.cookies().set(("a", value))
        })
        .get("/get", async |cx: &mut Context| -> Result<String> {
            Ok(cx.cookies().get("a")?.or_status(404)?.into_owned())
        });
    let client = AppClient::new(application).unwrap();
    for (encoded, value) in [
        ("a=b", "a=b"),
        ("a;b,c", "a;b,c"),
        ("a%22b", "a\"b"),
        ("%22a%22", "\"a\""),
        ("a\\073b", "a\\073b"),
        ("+a+b+", " a b "),
        ("", ""),
    ] {
        let set = client.get(&format!("/set?value={encoded}")).send().unwrap();
        let [line] = &*set_cookies(&set) else {
            panic!("{encoded}: {}", set.text())
        };
        let pair = line.split(';').next().unwrap();
        assert_eq!(client.get("/get").header("cookie", pair).send().unwrap().text(), value);
    }
}

#[test]
fn a_cookie_is_secure_where_the_request_is() {
    let application = application().trusted_proxies("192.0.2.1".parse().unwrap());
    let client = AppClient::new(application).unwrap();
    let from = |is_secure: bool| {
        let address = Some("192.0.2.1:80".parse().unwrap());
        client.get("/set").peer(Peer { address, is_secure })
    };
    let secure = ["a=1; HttpOnly; SameSite=Lax; Secure; Path=/"];
    let plain = ["a=1; HttpOnly; SameSite=Lax; Path=/"];
    assert_eq!(set_cookies(&from(true).send().unwrap()), secure);
    assert_eq!(set_cookies(&from(false).send().unwrap()), plain);
    let forwarded = from(false).header("x-forwarded-proto", "https").send().unwrap();
    assert_eq!(set_cookies(&forwarded), secure);
}
