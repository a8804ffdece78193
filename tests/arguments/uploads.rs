//! `/upload` and `/upload/stream`: fields and files of multipart forms.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::*;
use crate::support::server::command;

/// Both routes give the same answer.
const TARGETS: [&str; 2] = ["/upload", "/upload/stream"];

/// A folder for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[track_caller]
fn expect_upload(server: &Server, request: &[u8], expected: &Value) {
    let response = expect_status(server, request, 200);
    let found: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(found, *expected);
}

#[test]
fn fields_and_files_come_in_order() {
    let server = Server::shared();
    let (photo, text) = (noise(100_000), b"x--b-1\r\n\r\n--b-\r\n".repeat(7));
    let image = format!(
        "{}\r\nContent-Type: image/png",
        named("name=\"photo\"; filename=\"a b.png\"")
    );
    let form = multipart(&[
        (&named("name=\"title\""), b"one"),
        (&image, &photo),
        (&named("name=\"title\""), b""),
        (&named("name=\"text\"; filename=\"x\""), &text),
        (&named("name=\"empty\"; filename=\"y\""), b""),
        (&named("name=\"none\"; filename=\"\""), b"z"),
    ]);
    let expected = json!({
        "fields": {"title": ["one", ""], "none": ["z"]},
        "files": [
            file("photo", "a b.png", "image/png", &photo),
            file("text", "x", "application/unknown", &text),
            file("empty", "y", "application/unknown", b""),
        ],
    });
    for target in TARGETS {
        expect_upload(&server, &post(target, MULTIPART, &form), &expected);
        expect_upload(&server, &post_chunked(target, MULTIPART, &form), &expected);
        let quoted = "Multipart/Form-Data; charset=x; BOUNDARY=\"b-1\"";
        expect_upload(&server, &post(target, quoted, &form), &expected);
    }
}

#[test]
fn names_are_those_that_browsers_send() {
    let server = Server::shared();
    for (parameters, name, filename) in [
        ("name=\"a%22b\"; filename=\"c%22.txt\"", "a\"b", "c\".txt"),
        ("name=a; filename=\"c\\\"d\\\\.txt\"", "a", "c\"d\\.txt"),
        ("name=a; filename=\"C:\\dir\\new.txt\"", "a", "C:\\dir\\new.txt"),
        ("name=\"\u{fc}\"; filename=\"\u{1f300}.txt\"", "\u{fc}", "\u{1f300}.txt"),
        (
            "name=a; filename=x; filename*=UTF-8''%E2%82%AC%20rates",
            "a",
            "\u{20ac} rates",
        ),
        ("name=a; filename=\"../../etc/passwd\"", "a", "../../etc/passwd"),
    ] {
        let expected = json!({"fields": {}, "files": [file(name, filename, "application/unknown", b"x")]});
        for target in TARGETS {
            let form = multipart(&[(&named(parameters), b"x")]);
            expect_upload(&server, &post(target, MULTIPART, &form), &expected);
        }
    }
}

#[test]
fn a_malformed_form_is_400_and_nothing_else() {
    let server = Server::shared();
    let field = named("name=\"a\"");
    let whole = multipart(&[(&field, b"x")]);
    let text = String::from_utf8(whole.clone()).unwrap();
    let forms: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"--b-1".to_vec(),
        b"--b-1-".to_vec(),
        whole[..whole.len() - b"--\r\n".len()].to_vec(),
        [b"preamble\r\n", &whole[..]].concat(),
        whole[2..].to_vec(),
        text.replace("\r\n", "\n").into_bytes(),
        text.replace("--b-1\r\n", "--b-1x\r\n").into_bytes(),
        text.replace("form-data", "attachment").into_bytes(),
        text.replace("Content-Disposition", "X").into_bytes(),
        text.replace("; name=\"a\"", "").into_bytes(),
        text.replace("name=\"a\"", "name=\"\"").into_bytes(),
        text.replace("name=\"a\"", "name=\"a").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\"; name=\"b\"").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\rb\"").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\0\"").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\"; filename*=UTF-8''%0D%0A")
            .into_bytes(),
        text.replace("name=\"a\"", "name=\"a\"\r\n folded").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\"\r\nno colon").into_bytes(),
        text.replace("name=\"a\"", "name=\"a\"\r\nContent-Transfer-Encoding: base64")
            .into_bytes(),
        text.replace(&field, &format!("{field}\r\n{field}")).into_bytes(),
        text.replace(&field, &format!("X: {}", "y".repeat(70_000))).into_bytes(),
        b"--b-1\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\nx\r\n--b-1--".to_vec(),
    ];
    for form in &forms {
        for target in TARGETS {
            expect_status(&server, &post(target, MULTIPART, form), 400);
        }
    }
    for content_type in [
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"b-1",
        "multipart/form-data; boundary=b-1; boundary=b-1",
        &format!("multipart/form-data; boundary={}", "b".repeat(71)),
    ] {
        for target in TARGETS {
            expect_status(&server, &post(target, content_type, &whole), 400);
        }
    }
}

/// RFC 2046 §5.1.1: a reader ignores what follows the last boundary.
#[test]
fn text_behind_the_last_boundary_is_ignored() {
    let server = Server::shared();
    let mut form = multipart(&[(&named("name=\"a\""), b"x")]);
    form.extend_from_slice(b"epilogue\r\n--b-1\r\nmore");
    for target in TARGETS {
        expect_upload(
            &server,
            &post(target, MULTIPART, &form),
            &json!({"fields": {"a": ["x"]}, "files": []}),
        );
    }
}

#[test]
fn large_files_wait_on_the_disk_and_nothing_of_them_stays() {
    let folder = Folder::new("uploads");
    let mut with_folder = command("conformance");
    with_folder.env("TMPDIR", &folder.0);
    let server = Server::start_by(with_folder, 1, &["--max-held-file-bytes", "1000"]);
    let sizes = [400, 600, 1, 0, 300_000, 65_536, 5];
    let contents: Vec<Vec<u8>> = sizes.into_iter().map(noise).collect();
    let fields = named("name=\"f\"; filename=\"n\"");
    let parts: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|content| (fields.as_str(), content.as_slice()))
        .collect();
    let files: Vec<Value> = contents
        .iter()
        .map(|content| file("f", "n", "application/unknown", content))
        .collect();
    for _ in 0..3 {
        let expected = json!({"fields": {}, "files": files});
        expect_upload(&server, &post("/upload", MULTIPART, &multipart(&parts)), &expected);
    }
    let cut = &multipart(&parts)[..200_000];
    expect_status(&server, &post("/upload", MULTIPART, cut), 400);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "a file has no name");
    // A file is closed on another thread, behind the response.
    let name = folder.0.display().to_string();
    while server.descriptor_names().iter().any(|file| file.contains(&name)) {
        std::thread::yield_now();
    }
}

/// A disk that takes only part of a file: the limit on the size of files stands for a full one.
#[test]
fn a_full_disk_is_507_and_the_server_goes_on() {
    let mut limited = std::process::Command::new("sh");
    let program = crate::support::server::path_of("conformance");
    // Ignored by the shell, the signal is ignored by the server too.
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(program);
    if let Some(driver) = crate::support::server::driver_under_test() {
        limited.args(["--driver", &driver]);
    }
    let server = Server::start_by(limited, 1, &["--max-held-file-bytes", "1000"]);
    let large = multipart(&[(&named("name=\"f\"; filename=\"n\""), &noise(300_000))]);
    expect_status(&server, &post("/upload", MULTIPART, &large), 507);
    let small = multipart(&[(&named("name=\"f\"; filename=\"n\""), &noise(20_000))]);
    expect_status(&server, &post("/upload", MULTIPART, &small), 200);
}

#[test]
fn ten_thousand_tiny_parts_cost_no_more_than_their_bytes() {
    let server = Server::start("conformance", &["--max-parts", "10000"]);
    let part = named("name=a");
    let form = multipart(&vec![(part.as_str(), &b""[..]); 10_000]);
    let before = server.resident_bytes();
    for target in ["/form", "/upload", "/upload/stream"] {
        let response = expect_status(&server, &post(target, MULTIPART, &form), 200);
        assert!(response.body.len() >= 30_000, "{target}");
    }
    let grown = server.peak_bytes().saturating_sub(before);
    assert!(grown < 16 * form.len() as u64, "{grown} bytes for {}", form.len());
}

/// Long runs of what could begin a delimiter or end a quoted value are read in linear time.
#[test]
fn adversarial_forms_are_read_in_linear_time() {
    let server = Server::start("conformance", &["--max-upload-bytes", "20000000"]);
    let fields = named("name=\"f\"; filename=\"n\"");
    for content in [
        b"\r".repeat(10_000_000),
        b"\n".repeat(10_000_000),
        b"\r\n--b-".repeat(1_500_000),
        b"-".repeat(10_000_000),
    ] {
        let expected = json!({"fields": {}, "files": [file("f", "n", "application/unknown", &content)]});
        for target in TARGETS {
            expect_upload(
                &server,
                &post(target, MULTIPART, &multipart(&[(&fields, &content)])),
                &expected,
            );
        }
    }
    let quoted = format!("form-data; x=\"{}\"; name=\"f\"", ";".repeat(9000));
    let escaped = format!("form-data; x=\"{}\"; name=\"f\"", "\\".repeat(9000));
    for disposition in [quoted, escaped] {
        let form = multipart(&[(&format!("Content-Disposition: {disposition}"), b"x")]);
        for target in TARGETS {
            expect_upload(
                &server,
                &post(target, MULTIPART, &form),
                &json!({"fields": {"f": ["x"]}, "files": []}),
            );
        }
    }
}
