//! Users: loaded once, required, and admitted by roles and policies.

use std::cell::Cell;
use std::rc::Rc;

use squall::middleware::{allow_if, authenticated, requires};
use squall::prelude::*;
use squall::routing::get as route;
use squall::security::{CurrentUser, Users};
use squall::testing::{TestClient, TestRequest};

#[derive(Debug, PartialEq)]
struct User {
    name: String,
    loads: u32,
}

/// Users by the field `X-User`; `error` makes the loader fail.
fn users() -> Users<User> {
    let loads = Rc::new(Cell::new(0));
    let load = async move |cx: &mut Context| -> Result<Option<User>> {
        loads.set(loads.get() + 1);
        match cx.header("x-user") {
            Some("error") => Err(HttpError::new(503).with_message("the database is down").into()),
            Some(name) => Ok(Some(User {
                name: name.to_owned(),
                loads: loads.get(),
            })),
            None => Ok(None),
        }
    };
    Users::new(load).roles(|user, role| user.name == "ada" && role == "admin")
}

async fn name(cx: &mut Context) -> Result<String> {
    let user = cx.user::<User>().await?;
    Ok(user.map_or_else(|| "visitor".to_owned(), |user| user.name.clone()))
}

async fn owns(cx: &mut Context) -> Result<bool> {
    let owner: String = cx.param("owner")?;
    Ok(cx.user::<User>().await?.is_some_and(|user| user.name == owner))
}

fn as_user<'c>(client: &'c TestClient, target: &str, name: &str) -> TestRequest<'c> {
    client.get(target).header("x-user", name)
}

#[test]
fn a_user_is_loaded_when_asked_for_and_once_for_a_request() {
    let client = TestClient::new(|| {
        Application::new()
            .users(users())
            .get("/none", async |_: &mut Context| "none")
            .get("/twice", async |cx: &mut Context| -> Result<String> {
                let first = cx.user::<User>().await?.unwrap();
                let second = cx.user::<User>().await?.unwrap();
                assert!(Rc::ptr_eq(&first, &second));
                Ok(first.loads.to_string())
            })
            .get("/set", async |cx: &mut Context| -> Result<String> {
                let user = User {
                    name: "set".to_owned(),
                    loads: 0,
                };
                cx.set_user(Some(user))?;
                name(cx).await
            })
            .get("/wrong", async |cx: &mut Context| -> Result<String> {
                Ok(format!("{:?}", cx.user::<String>().await?))
            })
    })
    .unwrap();
    as_user(&client, "/none", "ada").send().unwrap();
    assert_eq!(as_user(&client, "/twice", "ada").send().unwrap().text(), "1");
    assert_eq!(as_user(&client, "/twice", "ada").send().unwrap().text(), "2");
    assert_eq!(as_user(&client, "/set", "ada").send().unwrap().text(), "set");
    assert_eq!(
        as_user(&client, "/twice", "ada").send().unwrap().text(),
        "3",
        "the next request starts anew"
    );
    assert_eq!(
        as_user(&client, "/wrong", "ada").send().unwrap().status(),
        500,
        "another type"
    );
    assert_eq!(as_user(&client, "/twice", "error").send().unwrap().status(), 503);
}

#[test]
fn roles_and_policies_admit_their_users_alone() {
    let client = TestClient::new(|| {
        let lists = Routes::new().middleware(allow_if(owns)).get("", name);
        let admin = Routes::new().middleware(requires("admin")).get("/", name);
        Application::new()
            .users(users())
            .nest("/lists/{owner}", lists)
            .nest("/admin", admin)
            .nest("/all", Routes::new().middleware(authenticated).get("/", name))
            .route("/one", route(name).requires("admin"))
            .route("/other", route(name).requires("pilot"))
            .route("/mine/{owner}", route(name).allow_if(owns))
    })
    .unwrap();
    for (target, user, status) in [
        ("/all/", "ada", 200),
        ("/all/", "bob", 200),
        ("/admin/", "ada", 200),
        ("/admin/", "bob", 403),
        ("/one", "ada", 200),
        ("/one", "bob", 403),
        ("/other", "ada", 403),
        ("/lists/bob", "bob", 200),
        ("/lists/bob", "ada", 403),
        ("/mine/bob", "bob", 200),
        ("/mine/bob", "ada", 403),
        ("/all/", "error", 503),
        ("/admin/", "error", 503),
        ("/lists/bob", "error", 503),
    ] {
        let response = as_user(&client, target, user).send().unwrap();
        assert_eq!(response.status(), status, "{target} {user}");
    }
    for target in ["/all/", "/admin/", "/one", "/other", "/lists/bob", "/mine/bob"] {
        assert_eq!(client.get(target).send().unwrap().status(), 403, "{target}");
        assert_eq!(client.post(target).send().unwrap().status(), 405, "{target}");
    }
}

#[test]
fn a_visitor_is_redirected_challenged_or_refused() {
    let guarded = |users: Users<User>| {
        Application::new()
            .users(users)
            .route("/a", route(name).post(name).authenticated())
            .websocket("/ws", async |cx: &mut Context| -> Result<Silent> {
                let CurrentUser(_user) = CurrentUser::<User>::from_context(cx).await?;
                Ok(Silent)
            })
    };
    for (login_url, location) in [
        ("/login", "/login?next=%2Fa%3Fb%3Dc%2Bd%26e"),
        ("/login?from=shop", "/login?from=shop"),
        (
            "https://login.example/",
            "https://login.example/?next=http%3A%2F%2Fshop.example%2Fa%3Fb%3Dc%2Bd%26e",
        ),
        (
            "//login.example/",
            "//login.example/?next=http%3A%2F%2Fshop.example%2Fa%3Fb%3Dc%2Bd%26e",
        ),
    ] {
        let client = TestClient::new(move || guarded(users().login_url(login_url).challenge("Bearer"))).unwrap();
        let request = client.get("/a?b=c+d&e").header("host", "shop.example");
        let response = request.send().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("location")),
            (302, Some(location))
        );
        let refused = client.post("/a").send().unwrap();
        assert_eq!(
            (refused.status().as_u16(), refused.header("www-authenticate")),
            (401, Some("Bearer"))
        );
        let refused = client.get("/ws").websocket().unwrap_err();
        assert!(
            refused.to_string().contains("401"),
            "a handshake is not redirected: {refused}"
        );
    }
    let client = TestClient::new(move || guarded(users())).unwrap();
    for request in [client.get("/a"), client.post("/a")] {
        let refused = request.send().unwrap();
        assert_eq!(
            (refused.status().as_u16(), refused.header("www-authenticate")),
            (403, None)
        );
    }
}

struct Silent;

impl WebSocketHandler for Silent {
    async fn on_message(&mut self, _: &WebSocket, _: squall::websocket::Message) -> Result {
        Ok(())
    }
}

#[test]
fn a_user_is_an_argument_of_a_handler() {
    let client = TestClient::new(|| {
        Application::new()
            .users(users().login_url("/login"))
            .get("/one", async |CurrentUser(user): CurrentUser<User>| user.name.clone())
            .get("/maybe", async |user: Option<CurrentUser<User>>| match user {
                Some(CurrentUser(user)) => user.name.clone(),
                None => "visitor".to_owned(),
            })
    })
    .unwrap();
    assert_eq!(as_user(&client, "/one", "ada").send().unwrap().text(), "ada");
    let response = client.get("/one").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("location")),
        (302, Some("/login?next=%2Fone"))
    );
    assert_eq!(as_user(&client, "/maybe", "ada").send().unwrap().text(), "ada");
    assert_eq!(client.get("/maybe").send().unwrap().text(), "visitor");
}

#[test]
fn an_application_without_users_or_roles_answers_500() {
    let client = TestClient::new(|| {
        Application::new()
            .get("/", name)
            .route("/a", route(name).authenticated())
    })
    .unwrap();
    assert_eq!(client.get("/").send().unwrap().status(), 500);
    assert_eq!(client.get("/a").send().unwrap().status(), 500);
    let no_roles = || {
        let users = Users::new(async |_: &mut Context| {
            Ok(Some(User {
                name: "ada".to_owned(),
                loads: 0,
            }))
        });
        Application::new()
            .users(users)
            .route("/", route(name).requires("admin"))
    };
    assert_eq!(
        TestClient::new(no_roles).unwrap().get("/").send().unwrap().status(),
        500
    );
    let invalid = TestClient::new(|| Application::new().users(users().challenge("a\nb")));
    assert!(invalid.unwrap_err().to_string().contains("the challenge of the users"));
    let invalid = TestClient::new(|| Application::new().cookie_secret(""));
    assert!(
        invalid
            .unwrap_err()
            .to_string()
            .contains("the cookie secret of version 0")
    );
}
