//! Redirect and error routes, slashes, downloads.

use crate::app_client::AppClient;
use squall::middleware::{add_slash, remove_slash};
use squall::prelude::*;
use squall::routing::{error, get, handler, redirect, redirect_temporarily};

#[test]
fn a_redirect_route_fills_its_target_and_keeps_the_query() {
    let routes = Application::new()
        .redirect("/old/{*rest}", "/{rest}")
        .redirect("/people/{id:u64}", "/users/{id}?from=people")
        .route("/now", redirect_temporarily("/").name("now"))
        .route("/away/{*rest}", redirect("https://example.org/{rest}"));
    let client = AppClient::new(routes).unwrap();
    for (target, status, location) in [
        ("/old/a/b?c=d", 301, "/a/b?c=d"),
        ("/old/caf%C3%A9%2F", 301, "/caf%C3%A9%2F"),
        ("/people/7?x=1", 301, "/users/7?from=people&x=1"),
        ("/now", 302, "/"),
        ("/away/a", 301, "https://example.org/a"),
        // No path leads to another host.
        ("/old//evil.example", 301, "/evil.example"),
        ("/old/\\evil.example", 301, "/%5Cevil.example"),
        ("/old/https://evil.example", 301, "/https://evil.example"),
        ("/old/%2F/evil.example", 301, "/%2F/evil.example"),
        ("/away//evil.example", 301, "https://example.org/evil.example"),
    ] {
        for request in [client.get(target), client.head(target)] {
            let response = request.send().unwrap();
            let found = (response.status().as_u16(), response.header("location"));
            assert_eq!(found, (status, Some(location)), "{target}");
        }
    }
    let refused = client.post("/old/a").send().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(client.app().shared().reverse_url("now", &[]).unwrap(), "/now");
}

#[test]
fn a_redirect_that_cannot_work_is_reported_at_the_start() {
    let problems = |routes: Application| routes.build().unwrap_err().to_string();
    for (routes, problem) in [
        (
            Application::new().redirect("/a/{id}", "/b/{name}"),
            "the redirect of `/a/{id}` has the parameter `name`, which the pattern lacks",
        ),
        (
            Application::new().redirect("/a", "//example.org/"),
            "the redirect to `//example.org/` must begin with one `/`",
        ),
        (
            Application::new().redirect("/a", "/{"),
            "the redirect to `/{` has a brace",
        ),
        (
            Application::new().fallback(redirect("/{rest}")),
            "only a route with a pattern has parameters",
        ),
        (
            Application::new().route("/a", error(410)).route("/a", error(404)),
            "`/a` has two handlers for every method",
        ),
    ] {
        let found = problems(routes);
        assert!(found.contains(problem), "{found}");
    }
}

#[test]
fn a_location_is_percent_encoded() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result<Redirect> {
        let to: String = cx.query_param("to")?;
        Ok(Redirect::moved(to))
    });
    let client = AppClient::new(application).unwrap();
    for (to, location) in [
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/%2541", "/%41"),
        ("%5Cevil.example", "%5Cevil.example"),
    ] {
        let response = client.get(&format!("/?to={to}")).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("location")),
            (301, Some(location)),
            "{to}"
        );
    }
    assert_eq!(client.get("/?to=/a%0Ab").send().unwrap().status(), 500);
}

#[test]
fn an_error_route_answers_every_method() {
    struct Page;
    impl RequestHandler for Page {
        async fn post(&self, cx: &mut Context) -> Result {
            cx.write("posted");
            Ok(())
        }
    }
    let routes = Application::new()
        .route("/gone/{*rest}", error(410))
        .route("/most", error(StatusCode::IM_A_TEAPOT))
        .route("/most", handler(Page));
    let client = AppClient::new(routes).unwrap();
    for method in ["GET", "HEAD", "POST", "OPTIONS", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = client.request(method.clone(), "/gone/a").send().unwrap();
        assert_eq!(response.status(), 410, "{method}");
    }
    assert_eq!(client.get("/most").send().unwrap().status(), 418);
    assert_eq!(client.post("/most").send().unwrap().text(), "posted");
}

#[test]
fn slashes_are_removed_or_added_by_redirects() {
    async fn page(_: &mut Context) -> &'static str {
        "page"
    }
    let routes = Application::new()
        .route("/rm", get(page).middleware(remove_slash))
        .route("/rm/", get(page).post(page).middleware(remove_slash))
        .route("/add", get(page).post(page).middleware(add_slash))
        .route("/add/", get(page).middleware(add_slash));
    let client = AppClient::new(routes).unwrap();
    for (target, location) in [
        ("/rm", None),
        ("/rm/", Some("/rm")),
        ("/rm/?foo=bar", Some("/rm?foo=bar")),
        ("/add", Some("/add/")),
        ("/add?foo=bar", Some("/add/?foo=bar")),
        ("/add/", None),
    ] {
        let response = client.get(target).send().unwrap();
        let status = if location.is_some() { 301 } else { 200 };
        assert_eq!(
            (response.status().as_u16(), response.header("location")),
            (status, location),
            "{target}"
        );
    }
    assert_eq!(client.post("/rm/").send().unwrap().status(), 404);
    assert_eq!(client.post("/add").send().unwrap().status(), 404);

    // Around the whole application, also where no route matches; never to another host.
    let everywhere = Application::new()
        .middleware(remove_slash)
        .get("/", page)
        .get("/a", page);
    let client = AppClient::new(everywhere).unwrap();
    for (target, location) in [
        ("/", None),
        ("/a//", Some("/a")),
        ("/nowhere/", Some("/nowhere")),
        ("//evil.example/", Some("/evil.example")),
        ("///", None),
        ("/\\evil.example/", Some("/%5Cevil.example")),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(response.header("location"), location, "{target}");
    }
}

#[test]
fn a_download_has_its_name() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result<&'static str> {
        let name: String = cx.query_param("name")?;
        cx.attachment(&name).or_status(400)?;
        Ok("download")
    });
    let client = AppClient::new(application).unwrap();
    let response = client.get("/?name=na%C3%AFve.txt").send().unwrap();
    assert_eq!(
        response.header("content-disposition"),
        Some("attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt")
    );
    let refused = client.get("/?name=a%0D%0Ab").send().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.header("content-disposition")),
        (400, None)
    );
}
