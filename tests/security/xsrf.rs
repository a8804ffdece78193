//! The middleware against forged requests: its settings, its exemptions, and what it leaves to the handler.

use squall::middleware::Xsrf;
use squall::prelude::*;
use squall::routing::{get, post};
use squall::testing::TestClient;

const TOKEN: &str = "deadbeef";

async fn token(cx: &mut Context) -> Result<String> {
    let token = cx.xsrf_token()?.to_owned();
    assert_eq!(cx.xsrf_token()?, token, "the same for a request");
    Ok(token)
}

async fn form(cx: &mut Context) -> Result<String> {
    let fields: Vec<(String, String)> = cx.form().await?;
    Ok(fields.len().to_string())
}

async fn stream(mut form: Multipart) -> Result<String> {
    let mut names = Vec::new();
    while let Some(part) = form.next_part().await? {
        names.push(part.name().to_owned());
    }
    Ok(names.join(" "))
}

#[test]
fn a_cookie_has_the_name_and_the_attributes_of_the_application() {
    let client = TestClient::new(|| {
        let xsrf = Xsrf::new().cookie(Cookie::build("__Host-xsrf").http_only(true));
        Application::new().middleware(xsrf).route("/", get(token).post(token))
    })
    .unwrap();
    let page = client.get("/").send().unwrap();
    let line = page.header("set-cookie").unwrap();
    assert!(
        line.starts_with("__Host-xsrf=2|") && line.contains("; HttpOnly") && line.contains("; Secure"),
        "{line}"
    );
    let sent = |cookie: &str| {
        let request = client.post("/").cookie(cookie, TOKEN).header("x-xsrftoken", TOKEN);
        request.send().unwrap().status()
    };
    assert_eq!(sent("__Host-xsrf"), 200);
    assert_eq!(sent("_xsrf"), 403);
    let plain = TestClient::new(|| Application::new().get("/", token)).unwrap();
    let line = plain.get("/").send().unwrap();
    let line = line.header("set-cookie").unwrap();
    assert!(
        !line.contains("HttpOnly") && line.contains("SameSite=Lax"),
        "scripts read it: {line}"
    );
}

#[test]
fn a_handler_reads_the_form_that_was_searched_for_the_token() {
    let client = TestClient::new(|| {
        let xsrf = Xsrf::new().max_form_bytes(300);
        let application = Application::new().middleware(xsrf);
        application.post("/form", form).post("/stream", stream)
    })
    .unwrap();
    let fields = [("a", "1"), ("_xsrf", TOKEN)];
    let request = client.post("/form").cookie("_xsrf", TOKEN);
    assert_eq!(request.form(&fields).send().unwrap().text(), "2");
    let multipart = |padding: usize| {
        let part =
            |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n");
        part("_xsrf", TOKEN) + &part("file", &"x".repeat(padding)) + "--b--"
    };
    let upload = |content: String| {
        let request = client.post("/stream").cookie("_xsrf", TOKEN);
        request
            .header("content-type", "multipart/form-data; boundary=b")
            .body(content)
    };
    assert_eq!(upload(multipart(10)).send().unwrap().text(), "_xsrf file");
    // A larger form is not read ahead of its handler.
    assert_eq!(upload(multipart(300)).send().unwrap().status(), 403);
    assert_eq!(
        upload(multipart(300))
            .header("x-xsrftoken", TOKEN)
            .send()
            .unwrap()
            .text(),
        "_xsrf file"
    );
}

#[test]
fn exempt_routes_and_trusted_origins_pass() {
    let client = TestClient::new(|| {
        let xsrf = Xsrf::new().trusted_origin("https://app.example");
        let application = Application::new().middleware(xsrf);
        let application = application.route("/hook", post(async |_: &mut Context| "hook").without_xsrf());
        application.post("/", async |_: &mut Context| "ok")
    })
    .unwrap();
    assert_eq!(client.post("/hook").send().unwrap().text(), "hook");
    assert_eq!(client.post("/nowhere").send().unwrap().status(), 404);
    assert_eq!(client.put("/").send().unwrap().status(), 405);
    let from = |origin: &str, site: &str| {
        let request = client.post("/").cookie("_xsrf", TOKEN).header("x-xsrftoken", TOKEN);
        request
            .header("origin", origin)
            .header("sec-fetch-site", site)
            .send()
            .unwrap()
            .status()
    };
    assert_eq!(from("https://app.example", "same-site"), 200);
    assert_eq!(from("https://app.example.evil", "cross-site"), 403);
    assert_eq!(from("http://app.example", "same-site"), 403);
}
