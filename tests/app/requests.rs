//! Reading a request's head: query, fields, host, state.

use core::cell::Cell;
use std::collections::BTreeMap;

use crate::app_client::AppClient;
use serde::Deserialize;
use squall::prelude::*;

#[test]
fn query_parameters_are_decoded_and_the_last_value_wins() {
    let application = Application::new()
        .get("/one", async |cx: &mut Context| cx.query_param::<String>("x"))
        .get("/maybe", async |cx: &mut Context| -> Result<String> {
            Ok(cx
                .optional_query_param::<i32>("x")?
                .map_or_else(|| "none".to_owned(), |x| x.to_string()))
        })
        .get("/all", async |cx: &mut Context| -> Result<String> {
            Ok(cx.query_params::<String>("x")?.join("|"))
        });
    let client = AppClient::new(application).unwrap();
    for (target, status, text) in [
        ("/one?x=a%20b+c%2Bd", 200, "a b c+d"),
        ("/one?x=1&x=2&y=3", 200, "2"),
        ("/one?x=", 200, ""),
        ("/one?x", 200, ""),
        ("/one?%78=%C3%A9", 200, "\u{e9}"),
        ("/one?x=a=b;c", 200, "a=b;c"),
        ("/one", 400, "400 Bad Request: the query parameter `x` is missing\n"),
        ("/one?X=1", 400, "400 Bad Request: the query parameter `x` is missing\n"),
        (
            "/one?x=%",
            400,
            "400 Bad Request: the query parameter `x` is malformed: a `%` is not followed by two hexadecimal digits\n",
        ),
        (
            "/one?x=%FF&x=1",
            400,
            "400 Bad Request: the query parameter `x` is malformed: the percent-decoded bytes are not UTF-8\n",
        ),
        ("/maybe", 200, "none"),
        ("/maybe?x=-4", 200, "-4"),
        (
            "/maybe?x=4.0",
            400,
            "400 Bad Request: the query parameter `x` is not a valid i32\n",
        ),
        ("/all?x=1&y=2&x=3&x=", 200, "1|3|"),
        ("/all", 200, ""),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (status, text),
            "{target}"
        );
    }
}

#[derive(Deserialize)]
struct Search {
    q: String,
    #[serde(default)]
    tag: Vec<String>,
    page: Option<u32>,
}

#[test]
fn a_whole_query_fills_a_struct() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result<String> {
        let Search { q, tag, page } = cx.query_as()?;
        Ok(format!("{q} {tag:?} {page:?}"))
    });
    let client = AppClient::new(application).unwrap();
    let get = |target: &str| client.get(target).send().unwrap();
    assert_eq!(
        get("/?q=a+b&tag=x&tag=%C3%A9&page=2").text(),
        "a b [\"x\", \"\u{e9}\"] Some(2)"
    );
    assert_eq!(get("/?q=").text(), " [] None");
    for (target, part) in [
        ("/", "missing field `q`"),
        ("/?q=1&page=x", "invalid digit"),
        ("/?q=%zz", "hexadecimal"),
        ("/?q=%ff", "UTF-8"),
        (&*format!("/?q=1&{}", "a&".repeat(1000)), "more than 1000"),
    ] {
        let response = get(target);
        assert_eq!(response.status(), 400, "{target}");
        assert!(response.text().contains(part), "{part}: {}", response.text());
    }
}

/// Parameters that the handler does not read may be malformed: other programs add parameters to the links of a page.
#[test]
fn a_malformed_parameter_is_an_error_only_where_it_is_read() {
    let application = Application::new()
        .get("/one", async |cx: &mut Context| cx.query_param::<String>("q"))
        .get("/maybe", async |cx: &mut Context| -> Result<String> {
            Ok(cx.optional_query_param("q")?.unwrap_or_default())
        })
        .get("/all", async |cx: &mut Context| -> Result<String> {
            Ok(cx.query_params::<String>("q")?.concat())
        })
        .get("/as", async |cx: &mut Context| -> Result<String> {
            Ok(cx.query_as::<Asked>()?.q)
        })
        .get("/wrapped", async |cx: &mut Context| -> Result<String> {
            Ok(cx.query_as::<Wrapped>()?.0.q)
        })
        .post("/form", async |cx: &mut Context| -> Result<String> {
            Ok(cx.form::<Asked>().await?.q)
        })
        .get("/path/{unread}/{q}", async |cx: &mut Context| cx.param::<String>("q"));
    let client = AppClient::new(application).unwrap();
    let sent = |target: &str, pairs: &str| {
        let request = match target {
            "/form" => client.post(target).body(pairs),
            _ => client.get(&format!("{target}?{pairs}")),
        };
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.send().unwrap();
        (response.status().as_u16(), response.text())
    };
    for target in ["/one", "/maybe", "/all", "/as", "/wrapped", "/form"] {
        for pairs in [
            "utm=100%&q=1",
            "q=1&utm=%ff",
            "%zz=1&q=1",
            "q=1&%ff",
            "utm%&q=1",
            "q%=2&q=1",
        ] {
            assert_eq!(sent(target, pairs), (200, "1".to_owned()), "{target} {pairs}");
        }
        for pairs in ["q=100%", "utm=100%&q=%ff", "q=%zz&q=1"] {
            let (status, text) = sent(target, pairs);
            assert_eq!(status, 400, "{target} {pairs}: {text}");
            assert!(text.contains("parameter `q` is malformed"), "{target} {pairs}: {text}");
        }
    }
    for target in ["/as", "/form"] {
        assert_eq!(sent(target, "query=1").0, 200, "{target}: another name of the field");
        assert_eq!(sent(target, "query=%").0, 400, "{target}: another name of the field");
    }
    assert_eq!(client.get("/path/100%/1").send().unwrap().text(), "1");
    assert_eq!(client.get("/path/1/100%").send().unwrap().status(), 400);
}

/// A form may hold unescaped bytes. A field that the handler reads must be UTF-8.
#[test]
fn raw_bytes_in_a_form_are_an_error_only_where_they_are_read() {
    let application = Application::new().post("/", async |cx: &mut Context| -> Result<String> {
        Ok(cx.form::<Asked>().await?.q)
    });
    let client = AppClient::new(application).unwrap();
    for (form, status) in [
        (&b"name=Fran\xe7ois&q=1"[..], 200),
        (b"q=\xe7", 400),
        ("q=fran\u{e7}ois".as_bytes(), 200),
    ] {
        let request = client.post("/").body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(request.send().unwrap().status(), status, "{}", form.escape_ascii());
    }
}

#[test]
fn a_type_that_reads_every_parameter_refuses_a_malformed_one() {
    let application = Application::new()
        .get("/map", async |cx: &mut Context| {
            cx.query_as::<BTreeMap<String, String>>().map(drop)
        })
        .get("/pairs", async |cx: &mut Context| {
            cx.query_as::<Vec<(String, String)>>().map(drop)
        })
        .get("/flattened", async |cx: &mut Context| {
            cx.query_as::<Flattened>().map(drop)
        })
        .get("/strict", async |cx: &mut Context| cx.query_as::<Strict>().map(drop));
    let client = AppClient::new(application).unwrap();
    for target in ["/map", "/pairs", "/flattened", "/strict"] {
        for (pairs, status) in [
            ("q=1", 200),
            ("q=1&utm=100%", 400),
            ("q=1&%zz=1", 400),
            ("q=1&%ff", 400),
        ] {
            let response = client.get(&format!("{target}?{pairs}")).send().unwrap();
            assert_eq!(response.status(), status, "{target} {pairs}: {}", response.text());
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(alias = "query")]
    q: String,
}

#[derive(Deserialize)]
struct Wrapped(Asked);

#[derive(Deserialize)]
struct Flattened {
    #[serde(flatten)]
    _asked: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    #[serde(rename = "q")]
    _q: String,
}

#[test]
fn shows_the_head_as_it_was_sent() {
    let application = Application::new().get("/{*rest}", async |cx: &mut Context| -> Result {
        cx.write(format!("{} {:?} {:?}\n", cx.path(), cx.query(), cx.version()));
        cx.write(format!("{} {} {}\n", cx.host(), cx.host_name(), cx.protocol()));
        cx.write(format!("{:?} {:?}\n", cx.peer_address(), cx.remote_ip()));
        let names: Vec<_> = cx.headers().iter().map(|(name, _)| name).collect();
        let line = format!("{names:?} {:?} {:?}", cx.header("X-Twice"), cx.header("x-bytes"));
        cx.write(line);
        Ok(())
    });
    let client = AppClient::new(application).unwrap();
    let request = client.get("/a%20b/?x=%20").header("host", "example.com:8080");
    let request = request
        .header("X-Twice", "1")
        .header("x-bytes", b"\xff")
        .header("x-twice", "2");
    assert_eq!(
        request.send().unwrap().text(),
        "/a%20b/ Some(\"x=%20\") Http11\n\
         example.com:8080 example.com http\n\
         Some(127.0.0.1:54321) Some(127.0.0.1)\n\
         [\"accept\", \"host\", \"x-twice\", \"x-bytes\", \"x-twice\"] Some(\"1\") None"
    );
}

#[test]
fn state_belongs_to_the_shard_and_is_found_by_its_type() {
    struct Visits(Cell<u32>);
    let application = Application::new()
        .state(Visits(Cell::new(0)))
        .state("a greeting")
        .get("/", async |cx: &mut Context| -> Result<String> {
            let visits = cx.state::<Visits>()?;
            visits.0.set(visits.0.get() + 1);
            Ok(format!("{} {}", cx.state::<&'static str>()?, visits.0.get()))
        })
        .get("/missing", async |cx: &mut Context| cx.state::<u64>().map(|_| ()));
    let client = AppClient::new(application).unwrap();
    assert_eq!(client.get("/").send().unwrap().text(), "a greeting 1");
    assert_eq!(client.get("/").send().unwrap().text(), "a greeting 2");
    assert_eq!(client.get("/missing").send().unwrap().status(), 500);
}
