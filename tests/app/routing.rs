//! Routing: patterns, types, groups, hosts and names; and the mistakes that building an application refuses.

use std::cell::Cell;

use crate::app_client::{AppClient, AppResponse};
use squall::app::BuildError;
use squall::prelude::*;
use squall::routing::{get, handler, on, post, websocket};
use squall::websocket::Message;

/// Answers with the route's mark and its parameters, in the requested order.
fn echo<const N: usize>(
    mark: &'static str,
    names: [&'static str; N],
) -> impl AsyncFn(&mut Context) -> Result<String> + 'static {
    async move |cx: &mut Context| {
        let mut text = mark.to_owned();
        for name in names {
            text = format!("{text}|{}", cx.param::<String>(name)?);
        }
        Ok(text)
    }
}

/// Asserts the response to each target; a number is the status of an error.
fn assert_answers(application: Application, cases: &[(&str, &str)]) {
    let client = AppClient::new(application).unwrap();
    for (target, expected) in cases {
        let response = client.get(target).send().unwrap();
        match expected.parse::<u16>() {
            Ok(status) => assert_eq!(response.status(), status, "{target}"),
            Err(_) => assert_eq!(response.text(), *expected, "{target}"),
        }
    }
}

fn problems(application: Application) -> Vec<String> {
    let error = application.build().unwrap_err();
    let error = error.downcast_ref::<BuildError>().unwrap();
    error.problems().map(str::to_owned).collect()
}

#[test]
fn fixed_text_beats_a_parameter_and_a_parameter_takes_one_segment() {
    let application = Application::new()
        .get("/", echo("home", []))
        .get("/users/me", echo("me", []))
        .get("/users/{id}", echo("user", ["id"]))
        .get("/users/{id}/posts/{post}", echo("post", ["id", "post"]))
        .get("/files/{*path}", echo("file", ["path"]))
        .get("/images/img-{name}.png", echo("image", ["name"]))
        .get("/{{literal}}", echo("braces", []));
    assert_answers(
        application,
        &[
            ("/", "home"),
            ("/?x=1", "home"),
            ("/users/me", "me"),
            ("/users/you", "user|you"),
            ("/users/1/posts/2?x=/y", "post|1|2"),
            ("/users/", "404"),
            ("/users/1/", "404"),
            ("/users/1/posts", "404"),
            ("//users/me", "404"),
            ("/Users/me", "404"),
            ("/files/a/b/c", "file|a/b/c"),
            ("/files/", "404"),
            ("/images/img-cat.png", "image|cat"),
            ("/images/img-cat.gif", "404"),
            ("/{literal}", "braces"),
        ],
    );
}

/// Routes match the path as it was sent; decoding follows (Tornado's `RequestEncodingTest`).
#[test]
fn parameters_are_decoded_strictly_after_the_match() {
    let application = Application::new()
        .get("/group/{value}", echo("", ["value"]))
        .get("/two/{a}/{b}", echo("", ["a", "b"]))
        .get("/rest/{*rest}", echo("", ["rest"]));
    assert_answers(
        application,
        &[
            ("/group/%3F?%3F=%3F", "|?"),
            ("/group/%C3%A9", "|\u{e9}"),
            ("/group/a+b%2Bc", "|a+b+c"),
            ("/two/a%2Fb/c%2Fd", "|a/b|c/d"),
            ("/rest/a%2Fb/c", "|a/b/c"),
            ("/%67roup/x", "404"),
            ("/group/x%FF", "400"),
            ("/group/%", "400"),
            ("/group/%4", "400"),
            ("/group/%zz", "400"),
        ],
    );
}

#[test]
fn a_parameter_of_another_type_is_404() {
    let application = Application::new()
        .get("/n/{n:u32}", echo("u32", ["n"]))
        .get("/n/{name}", echo("name", ["name"]))
        .get("/i/{n:i64}", echo("i64", ["n"]))
        .get("/u/{id:uuid}", echo("uuid", ["id"]))
        .get("/s/{slug:slug}", echo("slug", ["slug"]));
    assert_answers(
        application,
        &[
            ("/n/17", "u32|17"),
            ("/n/%31%37", "u32|17"),
            ("/n/4294967296", "name|4294967296"),
            ("/n/x", "name|x"),
            ("/i/-5", "i64|-5"),
            ("/i/+5", "404"),
            ("/i/%zz", "404"),
            (
                "/u/67e55044-10b1-426f-9247-bb680e5fe0c8",
                "uuid|67e55044-10b1-426f-9247-bb680e5fe0c8",
            ),
            ("/u/67e55044", "404"),
            ("/s/a_b-1", "slug|a_b-1"),
            ("/s/a.b", "404"),
        ],
    );
}

#[test]
fn a_parameter_that_does_not_parse_is_a_400_that_names_it() {
    let client = AppClient::new(Application::new().get("/users/{id}", async |cx: &mut Context| {
        let id: u64 = cx.param("id")?;
        Ok::<_, Error>(id.to_string())
    }))
    .unwrap();
    assert_eq!(client.get("/users/7").send().unwrap().text(), "7");
    let response = client.get("/users/%3Cb%3E").send().unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.text(),
        "400 Bad Request: the path parameter `id` is not a valid u64\n"
    );
}

#[test]
fn asking_for_a_parameter_the_route_does_not_have_is_the_applications_mistake() {
    let application = Application::new().get("/users/{id}", echo("", ["name"]));
    let response = AppClient::new(application).unwrap().get("/users/7").send().unwrap();
    assert_eq!(response.status(), 500);
    assert!(!response.text().contains("name"), "{}", response.text());
}

#[test]
fn groups_put_their_prefix_before_their_patterns() {
    let posts = Routes::new()
        .get("", echo("all", []))
        .get("/{post}", echo("one", ["id", "post"]));
    let users = Routes::new().get("/", echo("slash", [])).nest("/{id}/posts", posts);
    let application = Application::new()
        .nest("/api/users", users)
        .get("/api", echo("api", []));
    assert_answers(
        application,
        &[
            ("/api", "api"),
            ("/api/users/", "slash"),
            ("/api/users", "404"),
            ("/api/users/7/posts", "all"),
            ("/api/users/7/posts/9", "one|7|9"),
        ],
    );
}

/// Tornado's `HostMatchingTest`: hosts first, in the order added, then the routes for all.
#[test]
fn hosts_are_tried_first_and_fall_through() {
    let application = Application::new()
        .get("/foo", echo("general", []))
        .get("/bar", echo("general bar", []))
        .host("www.example.com", Routes::new().get("/foo", echo("www", [])))
        .host(
            "*.example.com",
            Routes::new()
                .get("/foo", echo("sub", []))
                .get("/baz", echo("sub baz", [])),
        );
    let client = AppClient::new(application).unwrap();
    for (host, target, expected) in [
        ("other.org", "/foo", "general"),
        ("www.example.com", "/foo", "www"),
        ("WWW.Example.COM:8080", "/foo", "www"),
        ("www.example.com", "/bar", "general bar"),
        ("www.example.com", "/baz", "sub baz"),
        ("api.example.com", "/foo", "sub"),
        ("example.com", "/foo", "general"),
        ("evilexample.com", "/foo", "general"),
        ("", "/foo", "general"),
    ] {
        let response = client.get(target).header("host", host).send().unwrap();
        assert_eq!(response.text(), expected, "{host}{target}");
    }
    assert_eq!(
        client.get("/baz").header("host", "other.org").send().unwrap().status(),
        404
    );
}

#[test]
fn a_fallback_replaces_404() {
    let application = Application::new()
        .get("/", echo("home", []))
        .fallback(async |cx: &mut Context| (StatusCode::IM_A_TEAPOT, format!("no {}", cx.path())));
    let response = AppClient::new(application).unwrap().post("/nowhere").send().unwrap();
    assert_eq!((response.status().as_u16(), &*response.text()), (418, "no /nowhere"));
}

#[test]
fn builds_urls_from_names() {
    let application = Application::new()
        .route("/users/{id:u64}/{tab}", get(echo("", [])).name("user"))
        .nest(
            "/static",
            Routes::new().route("/{*path}", get(echo("", [])).name("file")),
        )
        .get("/go", async |cx: &mut Context| cx.reverse_url("user", &[&7, &"a b"]));
    let client = AppClient::new(application).unwrap();
    let app = client.app();
    assert_eq!(client.get("/go").send().unwrap().text(), "/users/7/a%20b");
    assert_eq!(
        app.shared().reverse_url("user", &[&7, &"\u{e9}/?#%"]).unwrap(),
        "/users/7/%C3%A9%2F%3F%23%25"
    );
    assert_eq!(
        app.shared().reverse_url("file", &[&"css/a b.css"]).unwrap(),
        "/static/css/a%20b.css"
    );
    for (name, values, part) in [
        (
            "missing",
            &[][..],
            "could not build a URL: no route is named `missing`; name it with `Route::name`",
        ),
        ("user", &[&7 as &dyn core::fmt::Display], "2 parameters, but 1 values"),
        ("user", &[&"x", &"y"], "`id` is not a u64"),
        ("user", &[&7, &""], "`tab` is empty"),
        ("user", &[&7, &".."], "dot segment"),
        ("file", &[&"a/../b"], "dot segment"),
    ] {
        let error = app.shared().reverse_url(name, values).unwrap_err();
        assert!(error.to_string().contains(part), "{name}: {error}");
        assert_eq!(error.status(), 500);
    }
}

/// The route parses the URL that `reverse_url` built.
#[test]
fn a_built_url_leads_back_to_its_values() {
    let application = Application::new().route("/v/{value}/end", get(echo("", ["value"])).name("v"));
    let client = AppClient::new(application).unwrap();
    for value in [
        "a/b",
        "100%",
        "a b+c",
        "\u{1f980}",
        "...",
        "a?b#c",
        "%2F",
        "\"<>\\^`{|}",
    ] {
        let target = client.app().shared().reverse_url("v", &[&value]).unwrap();
        assert_eq!(
            client.get(&target).send().unwrap().text(),
            format!("|{value}"),
            "{target}"
        );
    }
}

#[test]
fn a_pattern_that_collides_is_an_error_that_names_both() {
    for (first, second) in [
        ("/a/{x}", "/a/{y}"),
        ("/a/{x:u64}", "/a/{y:u64}"),
        ("/a/{x}", "/a/{*rest}"),
        ("/a/{x}.png", "/a/b{y}"),
        ("/a/{x}", "/a/{*y}"),
    ] {
        let application = Application::new()
            .get(first, echo("", []))
            .post("/other", echo("", []))
            .get(second, echo("", []));
        let expected = format!("`{first}` and `{second}` match the same paths");
        assert_eq!(problems(application), [expected]);
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let application = Application::new()
        .get("users", echo("", []))
        .get("/twice", echo("", []))
        .get("/twice", echo("", []))
        .route("/a", get(echo("", [])).name("same"))
        .route("/b", get(echo("", [])).name("same"))
        .route("/c", get(echo("", [])).name("first").name("second"))
        .route("/users/:id", get(echo("", [])))
        .nest(
            "/teams/<team>",
            Routes::new().get("/a", echo("", [])).get("/b", echo("", [])),
        )
        .nest("/words", Routes::new().get("word", echo("", [])))
        .fallback(echo("", []))
        .fallback(get(echo("", [])).name("lost"))
        .nest("/twins", Routes::new().error_page(|_, _| "first"))
        .nest("/twins", Routes::new().error_page(|_, _| "second"))
        .nest("/{*rest}", Routes::new().fallback(echo("", [])))
        .nest("/api/", Routes::new())
        .nest("/a", Routes::new().get("", echo("", [])))
        .host("a:80", Routes::new())
        .state(1_u8)
        .state(2_u8);
    let problems = problems(application);
    for part in [
        "the pattern `users` does not start with `/`",
        "`/twice` has two handlers for GET",
        "`/a` and `/b` are both named `same`",
        "`/c` has the names `first` and `second`; keep one",
        "the pattern `/users/:id` has `:id`, a parameter of other frameworks; write `{id}`",
        "the pattern `/teams/<team>` has `<team>`, a parameter of other frameworks; write `{team}`",
        "the pattern `word` in the group `/words` does not start with `/`",
        "the application or a host has two fallbacks; keep one",
        "two groups for the prefix `/twins` have an error page; keep one",
        "the prefix `/{*rest}` takes the rest of the path",
        "the prefix `/api/` must start with `/` and not end with it",
        "`/a` is added twice, in different groups",
        "the host `a:80` has a port",
        "state of the type `u8` is added twice",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part} is missing in {problems:#?}"
        );
    }
    assert_eq!(problems.len(), 14, "{problems:#?}");
}

struct Hello;

impl RequestHandler for Hello {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("hello");
        Ok(())
    }

    async fn on_finish(&self, cx: &mut Context) {
        if let Ok(finished) = cx.state::<Cell<u32>>() {
            finished.set(finished.get() + 1);
        }
    }
}

/// Adds a field, so that a test sees which middleware ran.
fn mark(mark: &'static str) -> impl Middleware {
    async move |cx: &mut Context, next: Next<'_>| -> Result {
        cx.add_header("x-mark", mark)?;
        next.run(cx).await;
        Ok(())
    }
}

/// Returns the marks of the middleware that ran, outermost first.
fn marks(response: &AppResponse) -> String {
    let marks = response.headers().iter().filter(|(name, _)| *name == "x-mark");
    let marks: Vec<_> = marks.map(|(_, mark)| mark.to_str().unwrap()).collect();
    marks.join(" ")
}

#[test]
fn a_route_is_a_value_with_methods_a_name_and_middleware() {
    let application = Application::new()
        .route(
            "/users/{id}",
            get(echo("show", ["id"]))
                .put(echo("update", ["id"]))
                .on(Method::from_bytes(b"PURGE").unwrap(), echo("purge", ["id"]))
                .name("user")
                .middleware(mark("outer"))
                .middleware(mark("inner")),
        )
        .route("/plain", on(Method::DELETE, echo("gone", [])))
        .route(
            "/hello",
            handler(Hello)
                .post(echo("posted", []))
                .name("hello")
                .middleware(mark("hello")),
        )
        .route("/", Hello);
    let client = AppClient::new(application).unwrap();
    for (method, target, status, text, expected) in [
        ("GET", "/users/7", 200, "show|7", "outer inner"),
        ("PUT", "/users/7", 200, "update|7", "outer inner"),
        ("PURGE", "/users/7", 200, "purge|7", "outer inner"),
        ("POST", "/users/7", 405, "405 Method Not Allowed\n", "outer inner"),
        ("OPTIONS", "/users/7", 200, "", "outer inner"),
        ("DELETE", "/plain", 200, "gone", ""),
        ("GET", "/hello", 200, "hello", "hello"),
        ("POST", "/hello", 200, "posted", "hello"),
        ("GET", "/", 200, "hello", ""),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = client.request(method.clone(), target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (status, text),
            "{method} {target}"
        );
        assert_eq!(marks(&response), expected, "{method} {target}");
    }
    let shared = client.app().shared();
    assert_eq!(shared.reverse_url("user", &[&7]).unwrap(), "/users/7");
    assert_eq!(shared.reverse_url("hello", &[]).unwrap(), "/hello");
}

/// A name and middleware act on the value they were given to, whatever is added before or after it.
#[test]
fn routes_of_one_path_keep_their_own_middleware() {
    let application = Application::new().nest(
        "/a",
        Routes::new()
            .middleware(mark("group"))
            .get("/x", echo("open", []))
            .route("/x", post(echo("guarded", [])).middleware(mark("guard")).name("x"))
            .put("/x", echo("open too", [])),
    );
    let client = AppClient::new(application).unwrap();
    for (method, status, expected) in [
        (Method::GET, 200, "group"),
        (Method::HEAD, 200, "group"),
        (Method::POST, 200, "group guard"),
        (Method::PUT, 200, "group"),
        (Method::DELETE, 405, "group"),
        (Method::OPTIONS, 200, "group"),
    ] {
        let response = client.request(method.clone(), "/a/x").send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*marks(&response)),
            (status, expected),
            "{method}"
        );
    }
    let response = client.delete("/a/x").send().unwrap();
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS, POST, PUT"));
    assert_eq!(client.app().shared().reverse_url("x", &[]).unwrap(), "/a/x");
}

#[test]
fn a_websocket_route_takes_a_name_and_middleware() {
    struct Room;
    impl WebSocketHandler for Room {
        async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
            Ok(ws.send(message).await?)
        }
    }

    let room = websocket(async |_: &mut Context| Ok(Room));
    let application = Application::new().route("/rooms/{room}", room.name("room").middleware(mark("guard")));
    let client = AppClient::new(application).unwrap();
    let response = client.get("/rooms/1").send().unwrap();
    assert_eq!((response.status().as_u16(), &*marks(&response)), (400, "guard"));
    assert_eq!(client.app().shared().reverse_url("room", &[&1]).unwrap(), "/rooms/1");
}

#[test]
fn the_innermost_fallback_answers_within_its_groups_middleware() {
    let answer = |text: &'static str| async move |_: &mut Context| (StatusCode::NOT_FOUND, text);
    let inner = Routes::new().middleware(mark("inner")).get("/known", echo("known", []));
    let api = Routes::new()
        .middleware(mark("api"))
        .get("/known", echo("known", []))
        .fallback(answer("api"))
        .nest("/inner", inner.fallback(answer("inner")))
        .nest(
            "/plain",
            Routes::new().middleware(mark("plain")).get("/known", echo("known", [])),
        );
    let users = Routes::new()
        .get("/posts", echo("posts", ["id"]))
        .fallback(answer("user"));
    let application = Application::new()
        .middleware(mark("app"))
        .nest("/api", api)
        .nest("/{any}", Routes::new().fallback(answer("any")))
        .nest("/{id:u64}", users)
        .get("/api/outside", echo("outside", []))
        .host(
            "h",
            Routes::new()
                .middleware(mark("host"))
                .get("/x", echo("x", []))
                .fallback(answer("host")),
        )
        .fallback(answer("app"));
    let client = AppClient::new(application).unwrap();
    for (host, target, text, expected) in [
        ("", "/api/known", "known", "app api"),
        ("", "/api/outside", "outside", "app"),
        ("", "/api", "api", "app api"),
        ("", "/api/", "api", "app api"),
        ("", "/api/none/at/all", "api", "app api"),
        ("", "/api/inner", "inner", "app api inner"),
        ("", "/api/inner/none", "inner", "app api inner"),
        ("", "/api/innermost", "api", "app api"),
        ("", "/api/plain/none", "api", "app api"),
        ("", "/7/posts", "posts|7", "app"),
        ("", "/7/none", "user", "app"),
        ("", "/seven/none", "any", "app"),
        ("", "/", "app", "app"),
        ("h", "/x", "x", "app host"),
        ("h", "/none", "host", "app host"),
        ("h", "/api/known", "known", "app api"),
        ("h", "/api/none", "host", "app host"),
    ] {
        let response = client.get(target).header("host", host).send().unwrap();
        assert_eq!(
            (&*response.text(), &*marks(&response)),
            (text, expected),
            "{host}{target}"
        );
    }
}

#[test]
fn a_path_without_a_fallback_is_404_within_the_applications_middleware() {
    let group = Routes::new().middleware(mark("group")).get("/x", echo("x", []));
    let application = Application::new().middleware(mark("app")).nest("/a", group);
    let response = AppClient::new(application).unwrap().get("/a/none").send().unwrap();
    assert_eq!((response.status().as_u16(), &*marks(&response)), (404, "app"));
}

#[test]
fn a_handler_as_fallback_serves_its_methods_and_answers_405_to_others() {
    let application = Application::new()
        .state(Cell::new(0_u32))
        .get("/count", async |cx: &mut Context| -> Result<String> {
            Ok(cx.state::<Cell<u32>>()?.get().to_string())
        })
        .nest("/a", Routes::new().fallback(Hello))
        .nest(
            "/b",
            Routes::new().fallback(post(echo("posted", [])).middleware(mark("own"))),
        )
        .nest("/c/{id}", Routes::new().fallback(echo("", ["id"])));
    let client = AppClient::new(application).unwrap();
    assert_eq!(client.get("/a/none").send().unwrap().text(), "hello");
    assert_eq!(client.get("/count").send().unwrap().text(), "1", "`on_finish` ran");
    assert_eq!(client.head("/a/none").send().unwrap().status(), 200);
    let refused = client.post("/a/none").send().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    let options = client.options("/a/none").send().unwrap();
    assert_eq!(
        (options.status().as_u16(), options.header("allow")),
        (200, Some("GET, HEAD, OPTIONS"))
    );
    let posted = client.post("/b/none").send().unwrap();
    assert_eq!((&*posted.text(), &*marks(&posted)), ("posted", "own"));
    let refused = client.get("/b/none").send().unwrap();
    assert_eq!((refused.status().as_u16(), &*marks(&refused)), (405, "own"));
    assert_eq!(
        client.get("/c/7/none").send().unwrap().status(),
        500,
        "a fallback has no parameters"
    );
    assert_eq!(client.get("/none").send().unwrap().status(), 404);
}

#[test]
fn the_innermost_error_page_is_written_for_every_error_under_its_group() {
    let page = |mark: &'static str| move |_: &mut Context, error: &Error| format!("{mark} {}", error.status().as_u16());
    async fn reject(cx: &mut Context, next: Next<'_>) -> Result {
        if cx.query().is_some() {
            return Err(HttpError::new(429).into());
        }
        next.run(cx).await;
        Ok(())
    }
    let fails = async |_: &mut Context| -> Result { Err(HttpError::new(410).into()) };
    let panics = async |_: &mut Context| -> Result { panic!("as the test wants") };
    let api = Routes::new()
        .error_page(page("api"))
        .get("/fails", fails)
        .get("/panics", panics)
        .nest("/inner", Routes::new().error_page(page("inner")).get("/fails", fails))
        .nest("/plain", Routes::new().get("/fails", fails));
    let application = Application::new()
        .middleware(reject)
        .error_page(page("app"))
        .get("/fails", fails)
        .nest("/api", api)
        .nest("/plain", Routes::new().get("/fails", fails))
        .nest(
            "/lost",
            Routes::new()
                .fallback(fails)
                .nest("/in", Routes::new().error_page(page("in"))),
        )
        .host("h", Routes::new().error_page(page("host")).get("/here", fails))
        .host("g", Routes::new().get("/here", fails));
    let client = AppClient::new(application).unwrap();
    for (method, host, target, expected) in [
        (Method::GET, "", "/fails", "app 410"),
        (Method::GET, "", "/none", "app 404"),
        (Method::GET, "", "/plain/fails", "app 410"),
        (Method::GET, "", "/api/fails", "api 410"),
        (Method::GET, "", "/api/fails?reject", "api 429"),
        (Method::GET, "", "/api/panics", "api 500"),
        (Method::POST, "", "/api/fails", "api 405"),
        (Method::GET, "", "/api/none", "api 404"),
        (Method::GET, "", "/api/none?reject", "api 429"),
        (Method::GET, "", "/api", "api 404"),
        (Method::GET, "", "/apis", "app 404"),
        (Method::GET, "", "/api/plain/fails", "api 410"),
        (Method::GET, "", "/api/inner/fails", "inner 410"),
        (Method::GET, "", "/api/inner/none", "inner 404"),
        (Method::GET, "", "/lost/none", "app 410"),
        (Method::GET, "", "/lost/in/none", "in 410"),
        (Method::GET, "h", "/here", "host 410"),
        (Method::GET, "h", "/none", "host 404"),
        (Method::GET, "h", "/api/fails", "api 410"),
        (Method::GET, "g", "/here", "app 410"),
    ] {
        let request = client.request(method.clone(), target).header("host", host);
        assert_eq!(request.send().unwrap().text(), expected, "{method} {host}{target}");
    }
}

#[test]
fn a_path_in_the_syntax_of_other_frameworks_is_an_error_that_says_how_it_is_written_here() {
    for (pattern, found, ours) in [
        ("/users/:id", ":id", "{id}"),
        ("/static/*", "*", "{*path}"),
        ("/users/<id>", "<id>", "{id}"),
        ("/users/<int:id>", "<int:id>", "{id:u64}"),
        (r"/users/(\d+)", r"(\d+)", "{name}"),
    ] {
        let expected =
            format!("the pattern `{pattern}` has `{found}`, a parameter of other frameworks; write `{ours}`");
        assert_eq!(problems(Application::new().get(pattern, echo("", []))), [expected]);
    }
    assert_answers(
        Application::new()
            .get("/items:batch", echo("batch", []))
            .get("/Foo_(bar)", echo("bar", [])),
        &[("/items:batch", "batch"), ("/Foo_(bar)", "bar")],
    );
}

/// `fn main() -> Result` shows the `Debug` text.
#[test]
fn a_build_error_reads_as_text() {
    let error = Application::new().get("x", echo("", [])).build().unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "could not build the application:\n  the pattern `x` does not start with `/`"
    );
}
