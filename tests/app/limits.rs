//! The limits of the application layer, each at limit − 1, limit and limit + 1, with defaults and with lower and higher
//! values.

use crate::app_client::{AppClient, AppResponse};
use serde::Deserialize;
use squall::prelude::*;

/// Decodes any JSON, level by level.
#[derive(Deserialize)]
#[serde(untagged)]
enum Nested {
    List(Vec<Self>),
    Leaf(u8),
}

/// Decodes one level and ignores the rest.
#[derive(Deserialize)]
struct Shallow {}

fn client(application: Application) -> AppClient {
    let application = application
        .get("/one", async |cx: &mut Context| cx.query_param::<u8>("x").map(drop))
        .get("/all", async |cx: &mut Context| cx.query_params::<u8>("x").map(drop))
        .get("/as", async |cx: &mut Context| cx.query_as::<Shallow>().map(drop))
        .post("/form", async |cx: &mut Context| cx.form::<Shallow>().await.map(drop))
        .post("/value", async |cx: &mut Context| {
            cx.json::<serde_json::Value>().await.map(drop)
        })
        .post("/nested", async |cx: &mut Context| -> Result<String> {
            match cx.json().await? {
                Nested::List(list) => Ok(format!("{}", list.len())),
                Nested::Leaf(leaf) => Ok(format!("leaf {leaf}")),
            }
        })
        .post("/ignored", async |cx: &mut Context| {
            cx.json::<Shallow>().await.map(drop)
        })
        .get("/cookie", async |cx: &mut Context| {
            cx.cookies().get("c").map(|value| value.map(String::from))
        })
        .get("/cookies", async |cx: &mut Context| -> Result<String> {
            Ok(cx.cookies().iter()?.count().to_string())
        })
        .get("/", async |_: &mut Context| "unread");
    AppClient::new(application).unwrap()
}

/// Asserts that the request was accepted, or refused with a status and a message.
fn expect(response: &AppResponse, refusal: Option<(u16, &str)>, what: &str) {
    let (status, text) = refusal.unwrap_or((200, ""));
    assert_eq!(response.status(), status, "{what}: {}", response.text());
    assert!(response.text().contains(text), "{what}: {}", response.text());
}

#[test]
fn parameters_are_counted() {
    let set = |limit| (limit, Application::new().max_parameters(limit));
    for (limit, application) in [set(1), set(3), (1000, Application::new()), set(2000)] {
        let client = client(application);
        let message = format!("there are more than {limit} parameters");
        for count in [limit - 1, limit, limit + 1] {
            let refusal = (count > limit).then_some((400, &*message));
            // The wanted parameter comes first, so that a refusal means the limit and not a missing parameter.
            let form = ["x=1", &"&a=b".repeat(count.saturating_sub(1))].concat();
            let form = if count == 0 { "" } else { &form };
            for target in ["/one", "/all", "/as"] {
                if (count, target) != (0, "/one") {
                    let response = client.get(&format!("{target}?{form}")).send().unwrap();
                    expect(&response, refusal, &format!("{target} {count} of {limit}"));
                }
            }
            let request = client.post("/form").body(form);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            expect(&request.send().unwrap(), refusal, &format!("form {count} of {limit}"));
        }
    }
}

#[test]
fn levels_of_json_are_counted() {
    let client = client(Application::new());
    for depth in [0, 1, 127, 128, 129, 1000] {
        let refusal = (depth > 128).then_some((400, "the JSON is more than 128 levels deep"));
        let nested = |open: &str, leaf: &str, close: &str| [&open.repeat(depth), leaf, &close.repeat(depth)].concat();
        let mut contents = vec![
            ("/value", nested("[", "\"]\\\"[\"", "]")),
            ("/value", nested("{\"[\":", "null", "}")),
            ("/nested", nested("[", "7", "]")),
        ];
        if depth > 0 {
            contents.push(("/ignored", nested("{\"a\":", "1", "}")));
        }
        for (target, content) in contents {
            let request = client.post(target).header("content-type", "application/json");
            let response = request.body(content).send().unwrap();
            expect(&response, refusal, &format!("{target} {depth}"));
        }
    }
}

/// The deepest JSON, decoded by unoptimized code on a stack as large as a shard's.
#[test]
fn the_deepest_json_fits_the_stack_of_a_shard() {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(|| {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "the fields only take room on the stack")]
        struct Node {
            next: Option<Box<Self>>,
            numbers: Option<[u64; 16]>,
            name: Option<String>,
        }
        let application = Application::new().post("/", async |cx: &mut Context| {
            cx.json::<Node>()
                .await
                .map(|node| usize::from(node.next.is_some()).to_string())
        });
        let client = AppClient::new(application).unwrap();
        let content = ["{\"next\":".repeat(128), "null".into(), "}".repeat(128)].concat();
        let request = client.post("/").header("content-type", "application/json");
        request.body(content).send().unwrap().text()
    });
    assert_eq!(thread.unwrap().join().unwrap(), "1");
}

#[test]
fn cookies_are_counted_over_all_fields_and_too_many_are_refused() {
    let set = |limit| (limit, Application::new().max_cookies(limit));
    for (limit, application) in [set(1), set(3), (100, Application::new()), set(150)] {
        let client = client(application);
        let message = format!("there are more than {limit} cookies");
        for count in [limit - 1, limit, limit + 1] {
            let refusal = (count > limit).then_some((431, &*message));
            let whole = vec!["c=1"; count].join("; ");
            let field = |target: &str, value: &str| client.get(target).header("cookie", value).send().unwrap();
            for target in ["/cookies", "/cookie"] {
                if (count, target) != (0, "/cookie") {
                    expect(&field(target, &whole), refusal, &format!("{target} {count} of {limit}"));
                }
            }
            let mut request = client.get("/cookies");
            for _ in 0..count {
                request = request.header("cookie", "c=1");
            }
            expect(&request.send().unwrap(), refusal, &format!("fields {count} of {limit}"));
            let left_out = vec!["no cookie"; count].join(";; ;");
            expect(
                &field("/cookies", &left_out),
                refusal,
                &format!("left out {count} of {limit}"),
            );
            expect(&field("/", &whole), None, "a handler that reads no cookies");
        }
    }
}
