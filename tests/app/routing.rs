//! Routing: patterns, types, groups, hosts and names; and the mistakes that building an application refuses.

use squall::app::BuildError;
use squall::prelude::*;
use squall::testing::TestClient;

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
    let client = TestClient::new(application).unwrap();
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
    let client = TestClient::new(Application::new().get("/users/{id}", async |cx: &mut Context| {
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
    let response = TestClient::new(application).unwrap().get("/users/7").send().unwrap();
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
        .host("www.example.com", |routes| routes.get("/foo", echo("www", [])))
        .host("*.example.com", |routes| {
            routes.get("/foo", echo("sub", [])).get("/baz", echo("sub baz", []))
        });
    let client = TestClient::new(application).unwrap();
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
    let response = TestClient::new(application).unwrap().post("/nowhere").send().unwrap();
    assert_eq!((response.status().as_u16(), &*response.text()), (418, "no /nowhere"));
}

#[test]
fn builds_urls_from_names() {
    let application = Application::new()
        .get("/users/{id:u64}/{tab}", echo("", []))
        .named("user")
        .nest("/static", Routes::new().get("/{*path}", echo("", [])).named("file"))
        .get("/go", async |cx: &mut Context| cx.reverse_url("user", &[&7, &"a b"]));
    let client = TestClient::new(application).unwrap();
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
        ("missing", &[][..], "no route is named `missing`"),
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
    let application = Application::new().get("/v/{value}/end", echo("", ["value"])).named("v");
    let client = TestClient::new(application).unwrap();
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
        .named("early")
        .get("users", echo("", []))
        .get("/twice", echo("", []))
        .get("/twice", echo("", []))
        .get("/a", echo("", []))
        .named("same")
        .get("/b", echo("", []))
        .named("same")
        .nest("/api/", Routes::new())
        .nest("/a", Routes::new().get("", echo("", [])))
        .host("a:80", |routes| routes)
        .state(1_u8)
        .state(2_u8);
    let problems = problems(application);
    for part in [
        "the name `early` was given before any route",
        "the pattern `users` does not start with `/`",
        "`/twice` has two handlers for GET",
        "`/a` and `/b` are both named `same`",
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
    assert_eq!(problems.len(), 8, "{problems:#?}");
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
