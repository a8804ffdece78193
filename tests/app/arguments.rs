//! Typed arguments of handler functions.

use core::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::app_client::AppClient;
use serde::Deserialize;
use squall::app::OptionalFromContext;
use squall::prelude::*;
use squall::routing::get;

#[derive(Debug, Deserialize)]
struct Page {
    book: String,
    number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, Deserialize)]
struct Id(u64);

#[derive(Debug, Deserialize)]
struct Order {
    item: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    count: u8,
}

impl Order {
    fn total(&self) -> u32 {
        self.lines.iter().map(|line| u32::from(line.count)).sum()
    }
}

fn text(client: &AppClient, target: &str) -> (u16, String) {
    let response = client.get(target).send().unwrap();
    (response.status().as_u16(), response.text())
}

#[test]
fn a_path_becomes_one_value_a_tuple_or_a_struct() {
    let application = Application::new()
        .get("/one/{id}", async |Path(id): Path<u64>| id.to_string())
        .get("/text/{name}", async |Path(name): Path<String>| name)
        .get("/rest/{*path}", async |Path(path): Path<String>| path)
        .get("/new/{id}", async |Path(Id(id)): Path<Id>| id.to_string())
        .get("/enum/{colour}", async |Path(colour): Path<Colour>| {
            format!("{colour:?}")
        })
        .get("/tuple/{a}/{b}", async |Path((a, b)): Path<(char, bool)>| {
            format!("{a} {b}")
        })
        .get("/struct/{number}/{book}", async |Path(page): Path<Page>| {
            format!("{} {}", page.book, page.number)
        })
        .get("/map/{a}/{b}", async |Path(map): Path<BTreeMap<String, Colour>>| {
            format!("{map:?}")
        })
        .get("/all/{a}/{b}", async |Path(all): Path<Vec<i8>>| format!("{all:?}"))
        .get("/none", async |Path(()): Path<()>| "none");
    let client = AppClient::new(application).unwrap();
    for (target, status, expected) in [
        ("/one/7", 200, "7"),
        (
            "/one/-7",
            400,
            "400 Bad Request: the path parameter `id` is not a valid u64\n",
        ),
        ("/text/a%20b%2Fc+d", 200, "a b/c+d"),
        (
            "/text/%ff",
            400,
            "400 Bad Request: the path parameter `name` is malformed: the percent-decoded bytes are not UTF-8\n",
        ),
        ("/rest/a/b", 200, "a/b"),
        ("/new/8", 200, "8"),
        ("/enum/red", 200, "Red"),
        (
            "/enum/blue",
            400,
            "400 Bad Request: the path parameter `colour` is invalid: unknown variant `blue`, expected `red` or `green`\n",
        ),
        ("/tuple/x/true", 200, "x true"),
        (
            "/tuple/x/yes",
            400,
            "400 Bad Request: the path parameter `b` is not a valid bool\n",
        ),
        ("/struct/3/ulysses", 200, "ulysses 3"),
        (
            "/struct/x/ulysses",
            400,
            "400 Bad Request: the path parameter `number` is not a valid u32\n",
        ),
        ("/map/red/green", 200, "{\"a\": Red, \"b\": Green}"),
        ("/all/1/-2", 200, "[1, -2]"),
        (
            "/all/1/200",
            400,
            "400 Bad Request: the path parameter `b` is not a valid i8\n",
        ),
        ("/none", 200, "none"),
    ] {
        assert_eq!(text(&client, target), (status, expected.to_owned()), "{target}");
    }
}

#[test]
fn a_type_that_does_not_fit_the_pattern_is_the_applications_mistake() {
    async fn as_type<T: serde::de::DeserializeOwned>(cx: &mut Context) -> Result<&'static str> {
        cx.params_as::<T>()?;
        Ok("fits")
    }
    let application = Application::new()
        .get("/0/", as_type::<u64>)
        .get("/1/{a}", as_type::<(u64, u64)>)
        .get("/2/{a}/{b}", as_type::<u64>)
        .get("/3/{number}", as_type::<Page>)
        .get("/4/{a}", as_type::<Vec<(u64, u64)>>)
        .fallback(as_type::<u64>);
    let client = AppClient::new(application).unwrap();
    for target in ["/0/", "/1/1", "/2/1/2", "/3/1", "/4/1", "/"] {
        assert_eq!(text(&client, target).0, 500, "{target}");
    }
}

#[test]
fn arguments_follow_the_context_or_stand_alone() {
    #[expect(clippy::too_many_arguments, reason = "as many as a handler may take")]
    async fn eight(
        cx: &mut Context,
        Path(id): Path<u64>,
        Query(query): Query<BTreeMap<String, String>>,
        State(count): State<Cell<u32>>,
        Extension(user): Extension<&'static str>,
        text: String,
        bytes: Bytes,
        json: Result<Json<Order>>,
        Method(method): Method,
    ) -> Result {
        count.set(count.get() + 1);
        let order = json?.0;
        let written = format!(
            "{id} {query:?} {user} {} {} {method} {} {}",
            text.len(),
            bytes.len(),
            order.item,
            order.total()
        );
        cx.write(written.as_str());
        Ok(())
    }
    /// A type of the application.
    struct Method(String);
    impl FromContext for Method {
        async fn from_context(cx: &mut Context) -> Result<Self> {
            Ok(Self(cx.method().to_string()))
        }
    }
    let count = Rc::new(Cell::new(0));
    let application = Application::new()
        .state(Cell::new(0_u32))
        .middleware(async |cx: &mut Context, next: Next<'_>| {
            cx.insert_extension("ada");
            next.run(cx).await;
            Ok(())
        })
        .post("/{id}", eight)
        .get("/", async || "without arguments")
        .get("/count", async |State(count): State<Cell<u32>>| count.get().to_string())
        .get("/closure", {
            let count = Rc::clone(&count);
            async move |_: &mut Context, method: Method| {
                count.set(count.get() + 1);
                method.0
            }
        });
    let client = AppClient::new(application).unwrap();
    let post = |content: &str| {
        let request = client.post("/7?a=b").header("content-type", "application/json");
        request.body(content.to_owned()).send().unwrap()
    };
    assert_eq!(
        post("{\"item\":\"pen\",\"lines\":[]}").text(),
        "7 {\"a\": \"b\"} ada 25 25 POST pen 0"
    );
    let refused = post("{\"item\":\"pen\",\"lines\":[{\"count\":1},{\"count\":256}]}");
    assert_eq!(refused.status(), 422);
    assert!(
        refused
            .text()
            .contains("`lines[1].count`: invalid value: integer `256`, expected u8")
    );
    assert_eq!(text(&client, "/"), (200, "without arguments".to_owned()));
    assert_eq!(text(&client, "/count"), (200, "2".to_owned()));
    assert_eq!(text(&client, "/closure"), (200, "GET".to_owned()));
    assert_eq!(count.get(), 1);
}

#[test]
fn the_first_argument_that_fails_answers_and_the_function_does_not_run() {
    #[derive(Debug, Deserialize)]
    struct Search {
        page: u8,
        #[serde(default)]
        tag: Vec<u8>,
    }
    async fn search(Query(search): Query<Search>, _: Extension<u8>) -> String {
        unreachable!("{search:?} {} {:?}", search.page, search.tag)
    }
    async fn form(Form(search): Form<Search>) -> String {
        format!("{} {:?}", search.page, search.tag)
    }
    let application = Application::new()
        .get("/", search)
        .post("/form", form)
        .get("/state", async |_: State<u8>| ())
        .post("/text", async |text: String| text);
    let client = AppClient::new(application).unwrap();
    for (target, status, part) in [
        ("/?page=x", 400, "could not decode the query: `page`: invalid digit"),
        ("/?page=1&tag=1&tag=300", 400, "could not decode the query: `tag"),
        ("/?tag=1", 400, "could not decode the query: missing field `page`"),
        ("/?page=%", 400, "the parameter `page` is malformed"),
        ("/?page=1", 500, "Internal Server Error"),
        ("/state", 500, "Internal Server Error"),
    ] {
        let (actual, content) = text(&client, target);
        assert_eq!(actual, status, "{target}");
        assert!(content.contains(part), "{target}: {content}");
    }
    for (content, status, part) in [
        ("page=1&tag=2&tag=3", 200, "1 [2, 3]"),
        ("page=1000", 400, "could not decode the form: `page`: number too large"),
    ] {
        let request = client
            .post("/form")
            .header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(content).send().unwrap();
        assert_eq!(response.status(), status, "{content}");
        assert!(response.text().contains(part), "{content}: {}", response.text());
    }
    let response = client.post("/text").body(&b"\xff"[..]).send().unwrap();
    assert_eq!(response.text(), "400 Bad Request: the content is not UTF-8\n");
}

#[test]
fn a_missing_value_leaves_an_optional_argument_empty() {
    struct Token(String);
    impl OptionalFromContext for Token {
        async fn optional_from_context(cx: &mut Context) -> Result<Option<Self>> {
            Ok(cx.header("x-token").map(|token| Self(token.to_owned())))
        }
    }
    async fn show(
        query: Option<Query<Colours>>,
        json: Option<Json<u8>>,
        state: Option<State<u8>>,
        extension: Option<Extension<u8>>,
        token: Option<Token>,
    ) -> String {
        let query = query.map(|Query(colours)| colours.colour);
        let json = json.map(|Json(number)| number);
        format!(
            "{query:?} {json:?} {} {} {:?}",
            state.is_some(),
            extension.is_some(),
            token.map(|token| token.0)
        )
    }
    #[derive(Deserialize)]
    struct Colours {
        colour: Colour,
    }
    let client = AppClient::new(Application::new().post("/", show).state(7_u8)).unwrap();
    let absent = client.post("/").send().unwrap();
    assert_eq!(absent.text(), "None None true false None");
    let request = client.post("/?colour=red").header("content-type", "application/json");
    let present = request.header("x-token", "t").body("7").send().unwrap();
    assert_eq!(present.text(), "Some(Red) Some(7) true false Some(\"t\")");
    assert_eq!(client.post("/?colour=blue").send().unwrap().status(), 400);
    assert_eq!(client.post("/").body("7").send().unwrap().status(), 415);
}

/// Tornado's rules: the values of the query, then those of the form, and the last one counts (row 43 of its tests).
#[test]
fn an_argument_is_that_of_the_form_or_else_of_the_query() {
    let one = async |cx: &mut Context| -> Result<String> {
        let value: Option<String> = cx.optional_argument("foo").await?;
        Ok(value.unwrap_or_else(|| "default".to_owned()))
    };
    let all = async |cx: &mut Context| -> Result<String> { Ok(cx.arguments::<String>("foo").await?.join(",")) };
    let number = async |cx: &mut Context| -> Result<String> { Ok(cx.argument::<u8>("foo").await?.to_string()) };
    let application = Application::new()
        .route("/one", get(one).post(one))
        .post("/all", all)
        .route("/number", get(number).post(number));
    let client = AppClient::new(application).unwrap();
    for (target, expected) in [
        ("/one?foo=bar", "bar"),
        ("/one?foo=", ""),
        ("/one", "default"),
        ("/one?foo=a&foo=+b", " b"),
    ] {
        assert_eq!(text(&client, target), (200, expected.to_owned()), "{target}");
    }
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"foo\"\r\n\r\nhello\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"foo\"; filename=\"a\"\r\n\r\nfile\r\n--b--\r\n";
    for (media_type, content) in [
        ("application/x-www-form-urlencoded", "foo=hello&x=%zz"),
        ("multipart/form-data; boundary=b", multipart),
    ] {
        let post = |target: &str| {
            let request = client.post(target).header("content-type", media_type).body(content);
            let response = request.send().unwrap();
            (response.status().as_u16(), response.text())
        };
        assert_eq!(post("/one?foo=bar"), (200, "hello".to_owned()), "{media_type}");
        assert_eq!(
            post("/all?foo=bar&foo=baz"),
            (200, "bar,baz,hello".to_owned()),
            "{media_type}"
        );
        let (status, page) = post("/number?foo=7");
        assert_eq!(status, 400);
        assert!(page.contains("the argument `foo` is not a valid u8"), "{page}");
    }
    let other = client
        .post("/one?foo=bar")
        .header("content-type", "text/plain")
        .body("foo=hello");
    assert_eq!(other.send().unwrap().text(), "bar");
    let (status, page) = text(&client, "/number");
    assert!(
        status == 400 && page.contains("the argument `foo` is missing"),
        "{page}"
    );
    let long = client
        .post("/one")
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        long.body(format!("foo={}", "a".repeat(65_537)))
            .send()
            .unwrap()
            .status(),
        413
    );
}
