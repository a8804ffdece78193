//! Templates: escaping in every place of a page, filters that read the context, modules, and failures.

use std::cell::RefCell;
use std::rc::Rc;

use crate::app_client::AppClient;
use askama::Template;
use proptest::prelude::*;
use squall::prelude::*;
use squall::routing::get;
use squall::views::{Module, Render, filters};

#[derive(Template)]
#[template(
    ext = "html",
    source = "<p>{{ value }}</p><a title=\"{{ value }}\" href=\"/q?x={{ value|urlencode_strict }}\">x</a>\
              <script>var v = {{ value|script_json }};</script>"
)]
struct Places {
    value: String,
}

/// Answers with one template, at `/` and at the named route `/users/{id}/posts/{*post}`.
fn page<T: Template + 'static>(template: impl Fn() -> T + 'static) -> AppClient {
    let handler = async move |cx: &mut Context| cx.render(&template());
    let post = async |_: &mut Context| ();
    let application = Application::new()
        .get("/", handler)
        .route("/users/{id}/posts/{*post}", get(post).name("post"));
    AppClient::new(application).unwrap()
}

fn rendered<T: Template + 'static>(template: impl Fn() -> T + 'static) -> String {
    let response = page(template).get("/").send().unwrap();
    assert_eq!(response.status(), 200, "{}", response.text());
    response.text()
}

/// Runs a template and returns the error that middleware sees, as the log shows it.
fn failure<T: Template + 'static>(template: impl Fn() -> T + 'static) -> String {
    let seen = Rc::new(RefCell::new(String::new()));
    let in_middleware = Rc::clone(&seen);
    let middleware = async move |cx: &mut Context, next: Next<'_>| {
        next.run(cx).await;
        *in_middleware.borrow_mut() = format!("{:?}", cx.error().unwrap());
        Ok(())
    };
    let handler = async move |cx: &mut Context| {
        cx.write("before ");
        cx.render(&template())
    };
    let application = Application::new().middleware(middleware).get("/", handler);
    let response = AppClient::new(application).unwrap().get("/").send().unwrap();
    assert_eq!(response.status(), 500);
    // Nothing of the page, nor of what came before it.
    assert!(!response.text().contains("before"), "{}", response.text());
    seen.take()
}

/// Undoes the escapes of HTML that askama writes.
fn unescaped(html: &str) -> String {
    let mut text = html.to_owned();
    for (escape, letter) in [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ] {
        text = text.replace(escape, letter);
    }
    text
}

/// Checks that a value comes back from each place of the page, and from there alone.
fn expect_in_every_place(value: &str) {
    let owned = value.to_owned();
    let html = rendered(move || Places { value: owned.clone() });
    let (text, rest) = html.strip_prefix("<p>").unwrap().split_once("</p><a title=\"").unwrap();
    let (attribute, rest) = rest.split_once("\" href=\"/q?x=").unwrap();
    let (in_url, rest) = rest.split_once("\">x</a><script>var v = ").unwrap();
    let json = rest.strip_suffix(";</script>").unwrap();
    for place in [text, attribute] {
        assert!(!place.contains(['<', '>', '"', '\'']), "{html}");
        assert_eq!(unescaped(place), value);
    }
    assert!(
        in_url
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)),
        "{html}"
    );
    assert_eq!(
        percent_encoding::percent_decode_str(in_url).decode_utf8().unwrap(),
        value
    );
    assert!(!json.contains(['<', '>', '&', '\'']), "{html}");
    assert_eq!(serde_json::from_str::<String>(json).unwrap(), value);
}

#[test]
fn a_value_is_escaped_for_text_attributes_urls_and_scripts() {
    for value in [
        "",
        "Ada",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</script><script>alert(1)//",
        "<!--<script>",
        "]]>",
        "&lt;&#60;",
        "a b+c/d?e=f&g#h%20",
        "javascript:alert(1)",
        "\u{2028}\u{2029}\u{0}\n\r\t\\",
        "ä €😀",
    ] {
        expect_in_every_place(value);
    }
}

proptest! {
    #[test]
    fn any_value_is_escaped_for_text_attributes_urls_and_scripts(value in any::<String>()) {
        expect_in_every_place(&value);
    }
}

#[test]
fn a_template_is_a_response_and_its_default_type_is_html() {
    let show = async || Render(Places { value: "a".to_owned() });
    let client = AppClient::new(Application::new().get("/", show)).unwrap();
    let response = client.get("/").send().unwrap();
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.text().starts_with("<p>a</p>"));
    assert_eq!(
        client.head("/").send().unwrap().header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[test]
fn templates_append_to_the_content_and_keep_a_type_that_was_set() {
    let show = async |cx: &mut Context| {
        cx.set_header("content-type", "application/xhtml+xml")?;
        cx.write("<");
        cx.render(&Places { value: "1".to_owned() })?;
        cx.flush().await?;
        cx.render(&Places { value: "2".to_owned() })
    };
    let client = AppClient::new(Application::new().get("/", show)).unwrap();
    let response = client.get("/").send().unwrap();
    assert_eq!(response.header("content-type"), Some("application/xhtml+xml"));
    assert!(response.text().starts_with("<<p>1</p>"), "{}", response.text());
    assert!(response.text().contains("</script><p>2</p>"), "{}", response.text());
}

#[test]
fn a_template_after_the_end_of_the_response_is_misuse() {
    let show = async |cx: &mut Context| {
        cx.finish();
        cx.render(&Places { value: "1".to_owned() })
    };
    let client = AppClient::new(Application::new().get("/", show)).unwrap();
    assert_eq!(client.get("/").send().unwrap().status(), 500);
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<a href="{{ "post"|reverse_url(id, path) }}">{{ "Hello, {name}: {path}"|fill("name", "<b>", "path", path) }}</a>
{{ path|linkify(rel = "ugc") }}{{ "www.example.com"|linkify }}{{ long|linkify(shorten = true) }}"#
)]
struct Filtered {
    id: u64,
    path: &'static str,
    long: String,
}

#[test]
fn filters_read_the_context_and_their_arguments() {
    let filtered = || Filtered {
        id: 7,
        path: "a/b & <c>",
        long: format!("http://example.com/{}", "long".repeat(9)),
    };
    let html = rendered(filtered);
    let long = format!("http://example.com/{}", "long".repeat(9));
    assert_eq!(
        html,
        format!(
            "<a href=\"/users/7/posts/a/b%20%26%20%3Cc%3E\">Hello, &#60;b&#62;: a/b &#38; &#60;c&#62;</a>\n\
             a/b &#38; &#60;c&#62;<a href=\"http://www.example.com\">www.example.com</a>\
             <a href=\"{long}\" title=\"{long}\">http://example.com/longlong...</a>"
        )
    );
}

#[derive(Template)]
#[template(ext = "html", source = "<article>{{ title }}</article>")]
struct Entry {
    title: &'static str,
}

impl Module for Entry {
    fn css_files(&self) -> &'static [&'static str] {
        &["/entry.css?a&b", "https://example.com/shared.css"]
    }

    fn embedded_css(&self) -> &'static str {
        "article { color: red }"
    }

    fn html_head(&self) -> &'static str {
        "<meta name=\"entry\">"
    }

    fn javascript_files(&self) -> &'static [&'static str] {
        &["/entry.js"]
    }

    fn embedded_javascript(&self) -> &'static str {
        "entry('</body>');"
    }

    fn html_body(&self) -> &'static str {
        "<template></template>"
    }
}

#[derive(Template)]
#[template(ext = "html", source = "<nav>{{ entry|module }}</nav>")]
struct Navigation {
    entry: Entry,
}

impl Module for Navigation {
    fn css_files(&self) -> &'static [&'static str] {
        &["https://example.com/shared.css", "/navigation.css"]
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<html><head><title></head></title></head><body>{% for entry in entries %}{{ entry|module }}{% endfor %}\
              {{ navigation|module }}<script>'</body>'</script></body></html>"
)]
struct WithModules {
    entries: Vec<Entry>,
    navigation: Navigation,
}

fn with_modules() -> WithModules {
    WithModules {
        entries: vec![Entry { title: "<1>" }, Entry { title: "2" }],
        navigation: Navigation {
            entry: Entry { title: "3" },
        },
    }
}

#[test]
fn modules_render_in_place_and_their_assets_stand_once_in_head_and_body() {
    assert_eq!(
        rendered(with_modules),
        "<html><head><title>\
         <link rel=\"stylesheet\" href=\"/entry.css?a&#38;b\">\n\
         <link rel=\"stylesheet\" href=\"https://example.com/shared.css\">\n\
         <link rel=\"stylesheet\" href=\"/navigation.css\">\n\
         <style>\narticle { color: red }\n</style>\n\
         <meta name=\"entry\">\
         </head></title></head><body>\
         <article>&#60;1&#62;</article><article>2</article><nav><article>3</article></nav>\
         <script>'</body>'</script>\
         <script src=\"/entry.js\"></script>\n\
         <script>\nentry('</body>');\n</script>\n\
         <template></template>\
         </body></html>"
    );
}

#[derive(Template)]
#[template(ext = "html", source = "<p>{{ text }}</p>")]
struct Styled {
    text: &'static str,
}

impl Module for Styled {
    fn css_files(&self) -> &'static [&'static str] {
        &["styles/a&b.css"]
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<head><link href=\"{{ file|static_url }}\"></head>{{ styled|module }}"
)]
struct WithFiles {
    file: &'static str,
    styled: Styled,
}

#[test]
fn static_files_have_their_version_in_templates_and_in_modules() {
    let show = async |cx: &mut Context| {
        let styled = Styled { text: "a" };
        cx.render(&WithFiles {
            file: "app.css",
            styled,
        })
    };
    let files = [("app.css", b"a {}".as_slice()), ("styles/a&b.css", b"b {}".as_slice())];
    let application = Application::new().get("/", show);
    let application = application.route("/static/{*path}", squall::StaticFiles::embedded(files));
    let page = AppClient::new(application).unwrap().get("/").send().unwrap().text();
    let (before, after) = page.split_once("\"><link rel=\"stylesheet\" href=\"").unwrap();
    assert!(before.starts_with("<head><link href=\"/static/app.css?v="), "{page}");
    assert!(after.starts_with("/static/styles/a%26b.css?v="), "{page}");
    assert!(after.ends_with("\">\n</head><p>a</p>"), "{page}");
}

#[derive(Template)]
#[template(ext = "html", source = "<body>{{ entry|module }}</body>")]
struct WithoutHead {
    entry: Entry,
}

#[test]
fn a_page_that_lacks_the_place_of_an_asset_is_a_500_that_names_it() {
    let error = failure(|| WithoutHead {
        entry: Entry { title: "" },
    });
    assert!(error.contains("the page has no `</head>`"), "{error}");
}

#[derive(Template)]
#[template(ext = "html", source = "one\ntwo {{ \"missing\"|reverse_url }}\nthree")]
struct WithoutRoute;

#[test]
fn the_log_has_the_type_the_caller_and_the_line_of_a_template_that_fails() {
    let error = failure(|| WithoutRoute);
    let (before, after) = error.split_once("` at tests/app/views.rs:").unwrap();
    assert!(before.ends_with("::WithoutRoute"), "{error}");
    assert!(before.starts_with("could not render the template `"), "{error}");
    assert!(
        after.contains(": line 2 of its output: could not build a URL: no route is named `missing`;"),
        "{error}"
    );
}

#[derive(Template)]
#[template(ext = "html", source = "{{ \"a {b}\"|fill(\"b\") }}")]
struct OddFill;

#[test]
fn a_name_without_a_value_is_a_500_that_says_so() {
    assert!(failure(|| OddFill).contains("a name has no value"));
}

#[test]
fn filters_that_need_the_context_fail_without_one() {
    let error = WithoutRoute.render().unwrap_err();
    assert!(error.to_string().contains("use `Context::render`"), "{error}");
}
