//! Faults of the machine while files are served.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use squall::{Application, StaticFiles};

use crate::site::{Folder, LETTERS, Site, field};
use crate::support::server::{Server, command, run_to_end};

#[test]
fn a_directory_that_is_removed_while_it_is_served_is_empty() {
    let site = Site::start();
    site.get("az.txt").expect(200, LETTERS).unwrap();
    fs::remove_dir_all(site.folder.root()).unwrap();
    assert_eq!(site.get("az.txt").status, 404);
    assert_eq!(site.get("").status, 404);
    // Another directory at its place is another directory.
    site.folder.write("az.txt", "new");
    assert_eq!(site.get("az.txt").status, 404);
}

#[test]
fn a_directory_that_cannot_be_served_is_named_at_the_start() {
    let folder = Folder::new();
    folder.write("file", "x");
    for (directory, reason) in [
        (folder.root().join("missing"), "No such file or directory"),
        (folder.root().join("file"), "Not a directory"),
    ] {
        let directory = directory.to_str().unwrap();
        let output = run_to_end("conformance", &["--listen", "127.0.0.1:0", "--static-dir", directory]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{directory}");
        assert!(
            said.contains(reason) && said.contains(&format!("\"{directory}\"")),
            "{directory}: {said}"
        );
    }
}

#[test]
fn an_empty_path_is_refused_at_the_start() {
    let application = || Application::new().route("/{*path}", StaticFiles::new(""));
    let server = squall::Server::new(application).shards(1).listen("127.0.0.1:0");
    let error = server.stop_on_signals(false).bind().unwrap().run().unwrap_err();
    assert!(error.to_string().contains("the path is empty"), "{error}");
}

#[test]
fn a_file_that_may_not_be_read_is_404() {
    let site = Site::start();
    // Root may read everything, so this server runs as another user.
    let path = site.folder.root().join("private.txt");
    fs::write(&path, "private").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o000);
    fs::set_permissions(&path, permissions).unwrap();
    let may_read_everything = fs::read(&path).is_ok();
    let expected = if may_read_everything { 200 } else { 404 };
    assert_eq!(site.get("private.txt").status, expected);
}

/// A limit on the size of written files concerns no reader.
#[test]
fn files_are_served_under_a_limit_on_file_sizes() {
    let folder = Folder::new();
    folder.write("large.bin", vec![b'x'; 300_000]);
    let squall = command("conformance");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(squall.get_program());
    limited.args(squall.get_args()).env("NO_COLOR", "1");
    let server = Server::start_by(limited, 1, &["--static-dir", folder.root().to_str().unwrap()]);
    let response = crate::site::send(&server, "GET", "/static/large.bin", "");
    assert_eq!((response.status, response.body.len()), (200, 300_000));
}

/// H13 of the attacks: no descriptor is left for the file.
#[test]
fn without_descriptors_files_are_503_and_later_200() {
    let site = Site::start();
    site.get("az.txt").expect(200, LETTERS).unwrap();
    let mut connection = site.server.connect();
    let request = b"GET /static/az.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    connection
        .exchange(request, "GET")
        .unwrap()
        .expect(200, LETTERS)
        .unwrap();
    let whole = getrlimit(Resource::Nofile);
    let limit = |current| {
        let id = Pid::from_raw(i32::try_from(site.server.id()).unwrap());
        let limit = Rlimit { current, ..whole };
        prlimit(id, Resource::Nofile, limit).unwrap();
    };
    limit(Some(4));
    let response = connection.exchange(request, "GET").unwrap();
    assert_eq!(response.status, 503, "{response:?}");
    limit(whole.maximum);
    connection
        .exchange(request, "GET")
        .unwrap()
        .expect(200, LETTERS)
        .unwrap();
}

/// A disk that answers late: the file is not in memory, so the shard must not read it itself.
#[test]
fn a_file_that_is_not_in_memory_is_sent_whole() {
    let site = Site::start();
    let content: Vec<u8> = (0..1_000_000_u32).map(|place| (place % 251) as u8).collect();
    site.folder.write("cold.bin", &content);
    let file = fs::File::open(site.folder.root().join("cold.bin")).unwrap();
    file.sync_all().unwrap();
    // Where the file system keeps the pages all the same, the shard reads them itself.
    drop_pages(&file);
    let response = site.get("cold.bin");
    response.expect(200, &content).unwrap();
    assert_eq!(field(&response, "content-length"), "1000000");
}

/// Drops the pages of a file from memory.
fn drop_pages(file: &fs::File) {
    let advised = Command::new("dd")
        .args([
            "of=/dev/null",
            "if=/dev/stdin",
            "iflag=nocache",
            "count=0",
            "status=none",
        ])
        .stdin(file.try_clone().unwrap())
        .status();
    assert!(advised.is_ok_and(|status| status.success()));
}
