//! Forms as browsers and other clients send them.

use super::{Boundary, Part, disposition, field, file, form, run};

#[track_caller]
fn accepted(form: &[u8], parts: &[Part]) {
    let outcome = run(form);
    assert_eq!(outcome.error, None, "{}", form.escape_ascii());
    assert_eq!(outcome.parts, parts, "{}", form.escape_ascii());
    assert!(outcome.has_ended);
}

#[test]
fn fields_and_files_come_in_order() {
    let photo = "Content-Disposition: form-data; name=\"photo\"; filename=\"a b.png\"\r\nContent-Type: image/png";
    let content: &[u8] = b"\x89PNG\r\n\x1a\n\0--b-1\r\n\r\r\n--b-\r\n-";
    let body = form(&[
        (&disposition("name=\"first\""), b"1"),
        (photo, content),
        (&disposition("name=\"first\""), b""),
        (&disposition("name=\"text\""), b"line 1\r\nline 2\r\n"),
    ]);
    accepted(
        &body,
        &[
            field("first", "1"),
            file("photo", "a b.png", "image/png", content),
            field("first", ""),
            field("text", "line 1\r\nline 2\r\n"),
        ],
    );
}

#[test]
fn a_form_may_lack_parts_and_what_is_optional_about_lines() {
    accepted(b"--b-1--", &[]);
    accepted(b"\r\n--b-1--\r\nepilogue --b-1\r\n--b-1\r\n", &[]);
    let named = "Content-Disposition: form-data; name=a";
    accepted(
        format!("--b-1 \t \r\n{named}\r\n\r\nx\r\n--b-1-- \t").as_bytes(),
        &[field("a", "x")],
    );
    // RFC 2046 §5.1.1: the CRLF behind the head may begin the delimiter.
    accepted(format!("--b-1\r\n{named}\r\n\r\n--b-1--").as_bytes(), &[field("a", "")]);
    accepted(
        format!("--b-1\r\n{named}\r\n\r\n--b-\r\n--b-1--").as_bytes(),
        &[field("a", "--b-")],
    );
    accepted(
        format!("--b-1\r\nX-Other: y\r\n{named}\r\nContent-Transfer-Encoding: 8BIT\r\n\r\nx\r\n--b-1--").as_bytes(),
        &[field("a", "x")],
    );
}

#[test]
fn names_are_read_as_browsers_and_older_clients_write_them() {
    for (parameters, name, file_name) in [
        ("name=\"a\"", "a", None),
        ("NAME=a;", "a", None),
        ("name=\"a\" ; x=\";;;\"", "a", None),
        ("name=\"a%22b%0D%0A%41\"", "a\"b%0D%0A%41", None),
        ("name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d", None),
        ("name=\"gr\u{fc}\u{df}e \u{1f300}\"", "gr\u{fc}\u{df}e \u{1f300}", None),
        ("name=a; filename=\"\"", "a", None),
        ("name=files; filename=ab.txt", "files", Some("ab.txt")),
        ("name=a; filename=\"C:\\dir\\new.txt\"", "a", Some("C:\\dir\\new.txt")),
        ("name=a; filename=\"../%22;x=y.txt\"", "a", Some("../\";x=y.txt")),
        (
            "name=a; filename=\"plain\"; filename*=utf-8''na%C3%AFve%20file.txt",
            "a",
            Some("na\u{ef}ve file.txt"),
        ),
        (
            "name=a; filename*=ISO-8859-1'en'na%EFve; filename=x",
            "a",
            Some("na\u{ef}ve"),
        ),
    ] {
        let outcome = run(&form(&[(&disposition(parameters), b"x")]));
        assert_eq!(outcome.error, None, "{parameters}");
        let part = &outcome.parts[0];
        assert_eq!(
            (part.name.as_str(), part.file_name.as_deref()),
            (name, file_name),
            "{parameters}"
        );
    }
}

#[test]
fn a_boundary_is_read_with_and_without_quotes() {
    for (value, expected) in [
        ("multipart/form-data; boundary=x", "x"),
        (
            "Multipart/Form-Data;charset=utf-8; BOUNDARY=\"----=_Part(1)\"",
            "----=_Part(1)",
        ),
        ("multipart/form-data; boundary=----=_Part:1?", "----=_Part:1?"),
        ("multipart/form-data; boundary=\"a b\";", "a b"),
        ("multipart/form-data ; boundary=\"\\a\"", ""),
    ] {
        let boundary = Boundary::from_content_type(value.as_bytes());
        if expected.is_empty() {
            boundary.unwrap_err();
        } else {
            let delimiter = boundary.unwrap().delimiter().clone();
            assert_eq!(delimiter, format!("\r\n--{expected}"), "{value}");
        }
    }
    let longest = "b".repeat(70);
    let value = format!("multipart/form-data; boundary={longest}");
    assert!(Boundary::from_content_type(value.as_bytes()).is_ok());
}
