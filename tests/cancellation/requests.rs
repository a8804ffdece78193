//! The futures that read a request: content in every way, and whether the peer has left.

use squall::prelude::*;

use crate::harness::{Running, ask, at_every_poll, line};
use crate::support::client::Connection;

/// Content in pieces, each sent when the handler waits for it.
const PIECES: [&[u8]; 4] = [br#"{"name":"#, br#""Ada Lovelace"#, br#"","age":"#, b"36}"];

/// The same as a form.
const FORM_PIECES: [&[u8]; 4] = [b"name=", b"Ada+Lovelace", b"&age=", b"36"];

#[derive(serde::Deserialize, Debug, PartialEq, Clone)]
struct Person {
    name: String,
    age: u32,
}

fn ada() -> Person {
    Person {
        name: "Ada Lovelace".to_owned(),
        age: 36,
    }
}

/// Posts the pieces in chunks. The handler drops the future of `read` at every poll, reads again, and answers with
/// the result.
fn content_read<R>(media_type: &str, pieces: &[&[u8]], read: R, expected: &[u8])
where
    R: AsyncFn(&mut Context, usize, &crate::harness::StateSender) -> Result<Vec<u8>> + Clone + Send + Sync + 'static,
{
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let (says, read) = (says.clone(), read.clone());
        Application::new().post("/{polls}", async move |cx: &mut Context| -> Result<Vec<u8>> {
            let polls = cx.param("polls")?;
            read(cx, polls, &says).await
        })
    });
    at_every_poll(|polls| {
        let mut connection = Connection::open(server.address);
        let head = format!(
            "POST /{polls} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        connection.send(head.as_bytes()).unwrap();
        let mut left = pieces
            .iter()
            .map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
            .chain([b"0\r\n\r\n".to_vec()]);
        let is_ready = hears.until_over(|| {
            if let Some(piece) = left.next() {
                connection.send(&piece).unwrap();
            }
        });
        left.for_each(|piece| connection.send(&piece).unwrap());
        let response = connection.response("POST").unwrap();
        response
            .expect(200, expected)
            .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}"));
        is_ready
    });
}

#[test]
fn a_body_that_is_dropped_leaves_what_has_come_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &crate::harness::StateSender| {
        let first = says.dropped_after(polls, cx.body()).await;
        let second = cx.body().await?;
        if let Some(first) = first {
            assert_eq!(first?, second);
        }
        Ok(second.to_vec())
    };
    content_read("text/plain", &PIECES, read, &PIECES.concat());
}

#[test]
fn a_next_chunk_that_is_dropped_leaves_its_piece_to_the_next() {
    // Another wait follows each dropped one, so that a piece arrives at every place of the sequence.
    let read = async |cx: &mut Context, polls: usize, says: &crate::harness::StateSender| {
        let mut all = Vec::new();
        // The future is ready at the first piece, so the dropped future reads all pieces.
        let pieces = async {
            while let Some(piece) = cx.next_chunk().await? {
                all.extend_from_slice(&piece);
            }
            Result::<(), Error>::Ok(())
        };
        says.dropped_after(polls, pieces).await.transpose()?;
        while let Some(piece) = cx.next_chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    };
    content_read("text/plain", &PIECES, read, &PIECES.concat());
}

#[test]
fn json_that_is_dropped_leaves_what_has_come_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &crate::harness::StateSender| {
        says.dropped_after(polls, cx.json::<Person>()).await.transpose()?;
        assert_eq!(cx.json::<Person>().await?, ada());
        Ok(b"read".to_vec())
    };
    content_read("application/json", &PIECES, read, b"read");
}

#[test]
fn a_form_that_is_dropped_leaves_what_has_come_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &crate::harness::StateSender| {
        says.dropped_after(polls, cx.form::<Person>()).await.transpose()?;
        assert_eq!(cx.form::<Person>().await?, ada());
        Ok(b"read".to_vec())
    };
    content_read("application/x-www-form-urlencoded", &FORM_PIECES, read, b"read");
}

#[test]
fn arguments_that_are_dropped_leave_what_has_come_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &crate::harness::StateSender| {
        match polls % 3 {
            0 => says.dropped_after(polls, cx.arguments::<u32>("age")).await.map(drop),
            1 => says.dropped_after(polls, cx.argument::<u32>("age")).await.map(drop),
            _ => says
                .dropped_after(polls, cx.optional_argument::<u32>("age"))
                .await
                .map(drop),
        };
        assert_eq!(cx.argument::<String>("name").await?, ada().name);
        assert_eq!(cx.arguments::<u32>("age").await?, [36]);
        Ok(b"read".to_vec())
    };
    content_read("application/x-www-form-urlencoded", &FORM_PIECES, read, b"read");
}

#[test]
fn a_dropped_closed_future_leaves_the_close_to_the_next() {
    let (says, hears) = line();
    let (went, gone) = crossbeam::channel::unbounded();
    let server = Running::start(1, move || {
        let (says, went) = (says.clone(), went.clone());
        Application::new().get("/{polls}", async move |cx: &mut Context| -> Result {
            let polls = cx.param("polls")?;
            says.dropped_after(polls, cx.closed()).await;
            cx.closed().await;
            went.send(()).unwrap();
            Ok(())
        })
    });
    at_every_poll(|polls| {
        let mut connection = Some(ask(server.address, &format!("GET /{polls} HTTP/1.1")));
        let is_ready = hears.until_over(|| drop(connection.take()));
        drop(connection);
        gone.recv_timeout(crate::harness::TIME_LIMIT)
            .unwrap_or_else(|_| panic!("the handler heard nothing after a wait dropped after {polls} polls"));
        is_ready
    });
}
