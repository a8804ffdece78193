//! Multipart forms as arguments and on the context, and what a route says about content.

use std::cell::RefCell;

use crate::app_client::{AppClient, AppRequest};
use serde::Deserialize;
use squall::app::BodyLength;
use squall::prelude::*;
use squall::routing::post;

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=title\r\n\r\nMe\r\n\
                    --b\r\nContent-Disposition: form-data; name=photo; filename=me.png\r\n\r\nhello\r\n--b--";

fn form<'c>(client: &'c AppClient, target: &str) -> AppRequest<'c> {
    client
        .post(target)
        .header("content-type", "multipart/form-data; boundary=b")
}

fn answer(request: AppRequest<'_>) -> (u16, String) {
    let response = request.send().unwrap();
    (response.status().as_u16(), response.text())
}

/// Lists the parts of a form as `name(file name)=content`.
async fn list(mut form: Multipart) -> Result<String> {
    let mut listed = String::new();
    while let Some(mut part) = form.next_part().await? {
        listed += &format!("{}({})=", part.name(), part.file_name().unwrap_or_default());
        while let Some(chunk) = part.chunk().await? {
            listed += &String::from_utf8_lossy(&chunk);
        }
        listed.push(' ');
    }
    Ok(listed)
}

#[test]
fn parts_come_however_the_content_is_cut() {
    let client = AppClient::new(Application::new().post("/", list)).unwrap();
    let expected = (200, "title()=Me photo(me.png)=hello ".to_owned());
    assert_eq!(answer(form(&client, "/").body(FORM)), expected);
    let bytes = FORM.bytes().map(|byte| vec![byte]);
    assert_eq!(answer(form(&client, "/").chunks(bytes)), expected);
}

#[test]
fn the_rest_of_a_part_is_skipped_and_a_text_is_bounded() {
    let application = Application::new()
        .max_field_bytes(4)
        .post("/names", async |mut form: Multipart| -> Result<String> {
            let mut names = String::new();
            while let Some(part) = form.next_part().await? {
                names += part.name();
            }
            Ok(names)
        })
        .post("/texts", async |mut form: Multipart| -> Result<String> {
            let mut texts = String::new();
            while let Some(mut part) = form.next_part().await? {
                texts += &part.text().await?;
            }
            Ok(texts)
        });
    let client = AppClient::new(application).unwrap();
    assert_eq!(
        answer(form(&client, "/names").body(FORM)),
        (200, "titlephoto".to_owned())
    );
    let refused = answer(form(&client, "/texts").body(FORM));
    assert_eq!(
        refused,
        (413, "413 Payload Too Large: the field `photo` is too long\n".to_owned())
    );
    let short = FORM.replace("hello", "hell");
    assert_eq!(answer(form(&client, "/texts").body(short)), (200, "Mehell".to_owned()));
}

#[test]
fn a_form_is_read_whole_with_its_files() {
    #[derive(Deserialize)]
    struct Photo {
        title: String,
    }
    let application = Application::new()
        .post("/whole", async |form: MultipartForm| -> Result<String> {
            let photo: Photo = form.decode()?;
            let file = form.file("photo").or_status(400)?;
            let held = file.held().map_or(0, Bytes::len);
            Ok(format!("{} {} {} {held}", photo.title, file.file_name(), file.len()))
        })
        .post("/fields", async |Form(photo): Form<Photo>| photo.title)
        .post("/pairs", async |Form(pairs): Form<Vec<(String, String)>>| {
            format!("{pairs:?}")
        });
    let client = AppClient::new(application).unwrap();
    assert_eq!(
        answer(form(&client, "/whole").body(FORM)),
        (200, "Me me.png 5 5".to_owned())
    );
    assert_eq!(answer(form(&client, "/fields").body(FORM)), (200, "Me".to_owned()));
    assert_eq!(
        answer(form(&client, "/pairs").body(FORM)),
        (200, "[(\"title\", \"Me\")]".to_owned())
    );
    let (status, text) = answer(form(&client, "/fields").body(FORM.replace("title", "other")));
    assert_eq!((status, text.contains("missing field `title`")), (400, true), "{text}");
}

#[test]
fn content_belongs_to_one_reader_and_to_its_request() {
    let application = Application::new()
        .state(RefCell::new(None::<Multipart>))
        .post("/twice", async |cx: &mut Context, _: Multipart| cx.body().await)
        .post("/forms", async |_: Multipart, _: MultipartForm| "never")
        .post("/before", async |cx: &mut Context| -> Result<String> {
            cx.body().await?;
            let form = cx.multipart()?;
            list(form).await
        })
        .post(
            "/keep",
            async |kept: State<RefCell<Option<Multipart>>>, form: Multipart| {
                kept.0.replace(Some(form));
            },
        )
        .post("/late", async |kept: State<RefCell<Option<Multipart>>>| {
            let form = kept.0.take().or_status(404)?;
            list(form).await
        });
    let client = AppClient::new(application).unwrap();
    assert_eq!(answer(form(&client, "/twice").body(FORM)).0, 500);
    assert_eq!(answer(form(&client, "/forms").body(FORM)).0, 500);
    let listed = "title()=Me photo(me.png)=hello ".to_owned();
    assert_eq!(answer(form(&client, "/before").body(FORM)), (200, listed));
    assert_eq!(answer(form(&client, "/keep").body(FORM)).0, 200);
    assert_eq!(
        answer(form(&client, "/late").body(FORM)).0,
        500,
        "it is another request's form"
    );
}

#[test]
fn a_route_has_limits_of_its_own_which_its_middleware_sees() {
    async fn note(cx: &mut Context, next: Next<'_>) -> Result {
        next.run(cx).await;
        let status = cx.error().map_or(200, |error| error.status().as_u16());
        cx.set_header("x-seen", status)
    }
    async fn length(content: Bytes) -> String {
        content.len().to_string()
    }
    let application = Application::new()
        .max_body_bytes(10)
        .middleware(note)
        .post("/plain", length)
        .route("/more", post(length).max_body_bytes(20))
        .route("/less", post(length).max_body_bytes(5))
        .route("/unread", post(async |_: &mut Context| "not read").max_body_bytes(5))
        .route(
            "/own",
            post(async |cx: &mut Context| {
                cx.set_body_limit(30);
                cx.body().await
            })
            .max_body_bytes(40),
        );
    let client = AppClient::new(application).unwrap();
    for (target, limit) in [("/plain", 10), ("/more", 20), ("/less", 5), ("/own", 30)] {
        for (bytes, status) in [(limit, 200), (limit + 1, 413)] {
            for request in [
                client.post(target).body(vec![b'x'; bytes]),
                client
                    .post(target)
                    .chunks([vec![b'x'; limit], vec![b'x'; bytes - limit]]),
            ] {
                let response = request.send().unwrap();
                assert_eq!(response.status(), status, "{target} {bytes}");
                assert_eq!(response.header("x-seen"), Some(status.to_string().as_str()));
            }
        }
    }
    let announced = client.post("/unread").announced(BodyLength::Known(6));
    assert_eq!(announced.send().unwrap().status(), 413, "its handler does not run");
    assert_eq!(
        answer(client.post("/unread").body("12345")),
        (200, "not read".to_owned())
    );
}
