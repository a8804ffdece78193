//! Malformed forms, each with its error.

use super::super::MultipartError::{
    Boundary as BoundaryError, Cut, Delimiter, Disposition, FileName, MediaType, Name, PartHead, Start,
    TransferEncoding,
};
use super::{Boundary, MultipartError, disposition, form, run};

#[track_caller]
fn refused(form: &[u8], error: MultipartError) {
    let outcome = run(form);
    assert_eq!(outcome.error, Some(error), "{}", form.escape_ascii());
    assert!(!outcome.has_ended);
}

#[test]
fn a_boundary_that_is_missing_or_malformed_is_an_error() {
    let too_long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for value in [
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"x",
        "multipart/form-data; boundary=x\"",
        "multipart/form-data; boundary=\"x\"y",
        "multipart/form-data; boundary=\"x \"",
        "multipart/form-data; boundary=x y",
        "multipart/form-data; boundary=\u{e9}",
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=a, multipart/form-data",
        "multipart/form-data; =a; boundary=a",
        too_long.as_str(),
    ] {
        let error = Boundary::from_content_type(value.as_bytes()).unwrap_err();
        assert_eq!(error, BoundaryError, "{value}");
        assert_eq!(error.status(), 400);
    }
    for value in [
        "",
        "text/plain; boundary=x",
        "multipart/mixed; boundary=x",
        "multipart/form-datax; boundary=x",
    ] {
        let error = Boundary::from_content_type(value.as_bytes()).unwrap_err();
        assert_eq!((error, error.status().as_u16()), (MediaType, 415), "{value}");
    }
}

#[test]
fn a_form_that_does_not_begin_with_its_boundary_is_malformed() {
    for start in [
        "x",
        "preamble\r\n--b-1--",
        "--b-2--",
        "--b--",
        " --b-1--",
        "\n--b-1--",
        "\r--b-1--",
        "\r\n\r\n--b-1--",
    ] {
        refused(start.as_bytes(), Start);
    }
    refused(b"Content-Disposition: form-data; name=a\r\n\r\nx\r\n--b-1--", Start);
}

#[test]
fn a_form_that_ends_before_its_last_boundary_is_cut() {
    let whole = form(&[
        (&disposition("name=a"), b"x"),
        (&disposition("name=b; filename=c"), b"y\r\n--b"),
    ]);
    let end = whole.len() - "\r\n".len();
    for length in 0..end {
        refused(&whole[..length], Cut);
    }
    assert_eq!(run(&whole[..end]).error, None);
}

#[test]
fn text_behind_a_boundary_is_malformed() {
    let named = "Content-Disposition: form-data; name=a";
    for line in ["x", "-", "-x", "-\r\n", " x", " --", "\n", "\rx", "\r\r\n"] {
        let error = if line == "-" { Cut } else { Delimiter };
        refused(format!("--b-1{line}").as_bytes(), error);
        refused(format!("--b-1\r\n{named}\r\n\r\ntext\r\n--b-1{line}").as_bytes(), error);
    }
}

#[test]
fn a_malformed_head_is_an_error() {
    let named = "Content-Disposition: form-data; name=a";
    let other_lines = [
        "no colon",
        " folded: x",
        ": x",
        "X : y",
        "X: a\rb",
        "X: \0",
        "X: \x7f",
        "X\u{e9}: y",
        "Content-Type: a/b\r\nContent-Type: a/b",
    ];
    for line in other_lines {
        refused(&form(&[(&format!("{named}\r\n{line}"), b"x")]), PartHead);
    }
    refused(format!("--b-1\r\n{named}\n\r\n\r\n--b-1--").as_bytes(), PartHead);
    refused(format!("--b-1\r\n{named}\r\n\n\r\n--b-1--").as_bytes(), PartHead);
    refused(
        b"--b-1\r\nContent-Disposition: form-data; name=a\r\nContent-Type: \xff\r\n\r\n\r\n--b-1--",
        PartHead,
    );
    for encoding in ["base64", "quoted-printable", ""] {
        refused(
            &form(&[(&format!("{named}\r\nContent-Transfer-Encoding: {encoding}"), b"x")]),
            TransferEncoding,
        );
    }
}

#[test]
fn a_part_needs_one_disposition_with_a_name() {
    refused(b"--b-1\r\n\r\nx\r\n--b-1--", Disposition);
    let repeated = [disposition("name=a"), disposition("name=a")].join("\r\n");
    for fields in [
        "Content-Type: text/plain",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data name=a",
        "Content-Disposition: form-data; name=a x",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=\"a\\\"",
        "Content-Disposition: form-data; name=\"a\" x",
        "Content-Disposition: form-data; name",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a; filename=b; filename=b",
        repeated.as_str(),
    ] {
        refused(&form(&[(fields, b"x")]), Disposition);
    }
    for parameters in ["", "filename=a", "name=\"\"", "name*=utf-8''a", "name=\"\u{85}\""] {
        refused(&form(&[(&disposition(parameters), b"x")]), Name);
    }
    refused(
        b"--b-1\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n\r\n--b-1--",
        Name,
    );
    for parameters in [
        "filename*=utf-8''%0d",
        "filename*=utf-8''%ff",
        "filename*=utf-16''a",
        "filename*=a",
        "filename*=iso-8859-1''%00; filename=a",
    ] {
        refused(
            &form(&[(&disposition(&format!("name=a; {parameters}")), b"x")]),
            FileName,
        );
    }
}
