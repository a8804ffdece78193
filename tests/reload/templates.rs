//! Templates that are read anew: every helper gives what it gives in a compiled template, and changes show at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use askama::Template;
use serde::Serialize;
use squall::prelude::*;
use squall::routing::get;
use squall::testing::TestClient;
use squall::views::locale::{Languages, LocalTime};
use squall::views::{Module, filters, serialize_module, serialize_modules};
use squall::{Server, StaticFiles};

use crate::support::running::Running;

#[derive(Template, Serialize)]
#[template(path = "modules/inner.html")]
struct Inner {
    text: &'static str,
}

impl Module for Inner {
    fn file(&self) -> &'static str {
        "modules/inner.html"
    }

    fn embedded_css(&self) -> &'static str {
        "b { color: red }"
    }
}

#[derive(Template, Serialize)]
#[template(path = "modules/note.html")]
struct Note {
    text: &'static str,
    #[serde(serialize_with = "serialize_modules")]
    inner: Vec<Inner>,
}

impl Module for Note {
    fn file(&self) -> &'static str {
        "modules/note.html"
    }

    fn css_files(&self) -> &'static [&'static str] {
        &["app.css", "/note.css?a&b"]
    }

    fn html_head(&self) -> &'static str {
        "<meta name=\"note\">"
    }

    fn javascript_files(&self) -> &'static [&'static str] {
        &["/note.js"]
    }

    fn embedded_javascript(&self) -> &'static str {
        "note();"
    }

    fn html_body(&self) -> &'static str {
        "<template></template>"
    }
}

#[derive(Template, Serialize)]
#[template(path = "helpers.html")]
struct Helpers {
    name: &'static str,
    text: String,
    count: u64,
    published: LocalTime,
    #[serde(serialize_with = "serialize_module")]
    first: Note,
    #[serde(serialize_with = "serialize_modules")]
    notes: Vec<Note>,
}

fn helpers() -> Helpers {
    let note = |text, inner: &[&'static str]| Note {
        text,
        inner: inner.iter().map(|text| Inner { text }).collect(),
    };
    Helpers {
        name: "<Ada> & \"b\" c/d",
        text: format!("www.example.com/{} & http://b", "long".repeat(9)),
        count: 1234,
        published: LocalTime::utc(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        first: note("first & <1>", &[]),
        notes: vec![note("second", &["a", "<b>"]), note("third", &["c"])],
    }
}

fn languages() -> Arc<Languages> {
    let mut languages = Languages::new("en").unwrap();
    let po = "msgid \"\"\nmsgstr \"Plural-Forms: nplurals=2; plural=n != 1;\\n\"\n\n\
              msgid \"Hello\"\nmsgstr \"Hallo <du>\"\n\n\
              msgid \"{n} message\"\nmsgid_plural \"{n} messages\"\nmsgstr[0] \"{n} Nachricht\"\nmsgstr[1] \"{n} Nachrichten\"\n\n\
              msgctxt \"menu\"\nmsgid \"Open\"\nmsgstr \"Öffnen\"\n";
    languages.add_po("de", po).unwrap();
    for tag in ["en", "de"] {
        languages
            .add_fluent(
                tag,
                "welcome = Welcome, { $name }: { $count -> \n  [one] one\n *[other] many\n }!\n",
            )
            .unwrap();
    }
    Arc::new(languages)
}

/// The page at `/`, with what its helpers ask for.
fn application(languages: &Arc<Languages>) -> Application {
    let page = async |cx: &mut Context| cx.render_file("helpers.html", &helpers());
    let user = async |_: &mut Context| ();
    Application::new()
        .languages(Arc::clone(languages))
        .get("/", page)
        .route("/users/{id}/{name}", get(user).name("user"))
        .route(
            "/static/{*path}",
            StaticFiles::embedded([("app.css", b"a {}".as_slice())]),
        )
}

fn rendered(application: impl Fn() -> Application + Send + Sync + 'static) -> (u16, String) {
    let client = TestClient::new(application).unwrap();
    let response = client.get("/").header("accept-language", "de").send().unwrap();
    (response.status().as_u16(), response.text())
}

/// Writes the escapes of HTML by their numbers, as askama does.
fn with_numbers(html: &str) -> String {
    let mut text = html.to_owned();
    for (name, number) in [
        ("&lt;", "&#60;"),
        ("&gt;", "&#62;"),
        ("&quot;", "&#34;"),
        ("&#x27;", "&#39;"),
        ("&#x2f;", "/"),
        ("&amp;", "&#38;"),
    ] {
        text = text.replace(name, number);
    }
    text
}

/// A folder of templates for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("templates-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(folder.join("modules")).unwrap();
        Self(folder)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn every_helper_gives_the_same_in_a_template_that_is_read_anew() {
    let languages = languages();
    let for_reload = Arc::clone(&languages);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let compiled = rendered(move || application(&languages));
    let anew = rendered(move || application(&for_reload).reload_templates(folder));
    assert_eq!(compiled.0, 200, "{}", compiled.1);
    assert!(
        compiled.1.contains("Öffnen") && compiled.1.contains("1.234"),
        "{}",
        compiled.1
    );
    assert!(
        compiled.1.contains("&#60;") && !compiled.1.contains("&lt;"),
        "{}",
        compiled.1
    );
    // Another engine has rendered it.
    assert!(anew.1.contains("&lt;"), "{}", anew.1);
    assert_eq!((anew.0, with_numbers(&anew.1)), compiled);
}

#[test]
fn a_change_of_a_template_or_of_its_module_is_on_the_next_page() {
    let folder = Folder::new();
    folder.write(
        "helpers.html",
        "<head></head><p>{{ name }}</p>{{ notes[0]|module }}<body></body>",
    );
    folder.write("modules/note.html", "<i>{{ text }}</i>");
    let (languages, path) = (languages(), folder.0.clone());
    let client = TestClient::new(move || application(&languages).reload_templates(&path)).unwrap();
    let page = || client.get("/").send().unwrap().text();
    assert!(page().contains("<i>second</i>"), "{}", page());
    folder.write("modules/note.html", "<b>{{ text }}</b>");
    assert!(page().contains("<b>second</b>"), "{}", page());
    folder.write("helpers.html", "new {{ count }}");
    assert_eq!(page(), "new 1234");
}

#[test]
fn the_flag_reads_the_folder_templates_of_the_package() {
    let languages = languages();
    let server = Server::new(move || application(&languages));
    let running = Running::serve(server.shards(1).autoreload_templates(true));
    let page = running.get("/");
    page.expect_status(200).unwrap();
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("&lt;Ada&gt;"), "{html}");
}

#[test]
fn a_template_that_fails_is_a_500_whose_cause_names_file_and_line() {
    for (file, text, reason) in [
        ("helpers.html", "one\n{{ missing }}", "helpers.html:2"),
        (
            "helpers.html",
            "{{ name|module }}",
            "serialize it with `views::serialize_module`",
        ),
        ("helpers.html", "{{ first|module }}", "modules/note.html"),
        ("helpers.html", "{{ \"a\"|fill(\"b\") }}", "a name has no value"),
        ("helpers.html", "{{ name|format_number }}", "it is not whole"),
        (
            "helpers.html",
            "{{ \"missing\"|reverse_url }}",
            "no route is named `missing`",
        ),
        ("other.html", "", "helpers.html"),
    ] {
        let folder = Folder::new();
        folder.write(file, text);
        let (languages, path) = (languages(), folder.0.clone());
        let seen = Arc::new(std::sync::OnceLock::new());
        let in_middleware = Arc::clone(&seen);
        let application = move || {
            let seen = Arc::clone(&in_middleware);
            let middleware = async move |cx: &mut Context, next: Next<'_>| -> Result {
                next.run(cx).await;
                seen.get_or_init(|| format!("{:?}", cx.error().unwrap()));
                Ok(())
            };
            application(&languages).middleware(middleware).reload_templates(&path)
        };
        let (status, _) = rendered(application);
        let error = seen.get().unwrap();
        assert_eq!(status, 500, "{error}");
        assert!(error.contains(reason), "{text}: {error}");
    }
}
