//! The futures that read a multipart form.

use squall::prelude::*;

use crate::harness::{Running, StateSender, at_every_poll, line};
use crate::support::client::Connection;

/// A form in pieces, of which the first ends behind the head of a part.
const PIECES: [&[u8]; 5] = [
    b"--b\r\nContent-Disposition: form-data; name=one\r\n\r\n",
    b"Ada ",
    b"Lovelace",
    b"\r\n--b\r\nContent-Disposition: form-data; name=two; filename=x\r\n\r\nmore",
    b"\r\n--b--\r\n",
];

/// Posts the form in chunks, some of them before the handler waits. The handler drops the future of `read` at every poll,
/// goes on, and answers with the result.
fn form_read<R>(pieces_ahead: usize, read: R, expected: impl Fn(usize, bool) -> Vec<u8>)
where
    R: AsyncFn(&mut Context, usize, &StateSender) -> Result<Vec<u8>> + Clone + Send + Sync + 'static,
{
    let (says, hears) = line();
    let server = Running::start(1, move || {
        let (says, read) = (says.clone(), read.clone());
        // Every file goes to a temporary file.
        let application = Application::new().max_held_file_bytes(0);
        application.post("/{polls}", async move |cx: &mut Context| -> Result<Vec<u8>> {
            let polls = cx.param("polls")?;
            read(cx, polls, &says).await
        })
    });
    at_every_poll(|polls| {
        let mut connection = Connection::open(server.address);
        let head = format!(
            "POST /{polls} HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        connection.send(head.as_bytes()).unwrap();
        let mut left = PIECES
            .iter()
            .map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
            .chain([b"0\r\n\r\n".to_vec()]);
        let ahead = left.by_ref().take(pieces_ahead).collect::<Vec<_>>().concat();
        connection.send(&ahead).unwrap();
        let is_ready = hears.until_over(|| {
            if let Some(piece) = left.next() {
                connection.send(&piece).unwrap();
            }
        });
        left.for_each(|piece| connection.send_if_open(&piece));
        let response = connection.response("POST").unwrap();
        response
            .expect(200, &expected(polls, is_ready))
            .unwrap_or_else(|wrong| panic!("dropped after {polls} polls: {wrong}"));
        is_ready
    });
}

#[test]
fn a_next_part_that_is_dropped_leaves_the_part_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let mut form = cx.multipart()?;
        let mut names = Vec::new();
        let parts = async {
            while let Some(part) = form.next_part().await? {
                names.push(part.name().to_owned());
            }
            Result::<(), Error>::Ok(())
        };
        says.dropped_after(polls, parts).await.transpose()?;
        while let Some(part) = form.next_part().await? {
            names.push(part.name().to_owned());
        }
        Ok(names.join(" ").into_bytes())
    };
    form_read(0, read, |_, _| b"one two".to_vec());
}

#[test]
fn a_chunk_of_a_part_that_is_dropped_is_left_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let mut form = cx.multipart()?;
        let mut part = form.next_part().await?.or_status(400)?;
        let mut all = Vec::new();
        let chunks = async {
            while let Some(chunk) = part.chunk().await? {
                all.extend_from_slice(&chunk);
            }
            Result::<(), Error>::Ok(())
        };
        says.dropped_after(polls, chunks).await.transpose()?;
        while let Some(chunk) = part.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    };
    form_read(1, read, |_, _| b"Ada Lovelace".to_vec());
}

#[test]
fn a_text_that_is_dropped_loses_what_it_has_read() {
    let read = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let mut form = cx.multipart()?;
        let mut part = form.next_part().await?.or_status(400)?;
        let first = says.dropped_after(polls, part.text()).await.transpose()?;
        let rest = part.text().await?;
        assert!("Ada Lovelace".ends_with(&rest));
        if polls < 2 {
            // Only the second poll can find a piece.
            assert_eq!(rest, "Ada Lovelace");
        }
        Ok(first.unwrap_or_default().into_bytes())
    };
    let expected = |_, is_ready: bool| if is_ready { b"Ada Lovelace".to_vec() } else { Vec::new() };
    form_read(1, read, expected);
}

#[test]
fn a_form_with_files_that_is_dropped_has_taken_the_content() {
    let read = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let first = says.dropped_after(polls, cx.multipart_form()).await.transpose()?;
        let form = match first {
            Some(form) => form,
            None if polls == 0 => cx.multipart_form().await?,
            None => {
                let error = cx.multipart_form().await.unwrap_err();
                assert_eq!(error.status(), 500);
                return Ok(b"taken".to_vec());
            }
        };
        Ok(form.field("one").unwrap_or_default().as_bytes().to_vec())
    };
    let expected = |polls, is_ready: bool| {
        if is_ready || polls == 0 {
            b"Ada Lovelace".to_vec()
        } else {
            b"taken".to_vec()
        }
    };
    form_read(0, read, expected);
}

#[test]
fn a_chunk_of_a_file_that_is_dropped_is_left_to_the_next() {
    let read = async |cx: &mut Context, polls: usize, says: &StateSender| {
        let form = cx.multipart_form().await?;
        let mut file = form.into_files().pop().or_status(400)?;
        assert!(file.held().is_none(), "it is on the disk");
        let mut all = Vec::new();
        let chunks = async {
            while let Some(chunk) = file.chunk().await? {
                all.extend_from_slice(&chunk);
            }
            Result::<(), Error>::Ok(())
        };
        says.dropped_after(polls, chunks).await.transpose()?;
        while let Some(chunk) = file.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    };
    form_read(PIECES.len() + 1, read, |_, _| b"more".to_vec());
}
