//! Certificates that are replaced while clients are served.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use squall::prelude::*;

use crate::authority::{Authority, Issued};
use crate::client::Options;
use crate::support::running::{Running, bind};

fn application() -> Application {
    Application::new().get("/", async |_: &mut Context| "hello")
}

/// Puts another certificate into the files of one.
fn overwrite(files: &Issued, by: &Issued) {
    fs::copy(&by.certificate, &files.certificate).unwrap();
    fs::copy(&by.key, &files.key).unwrap();
}

/// How many requests are made during the reloads: `.ci/long` makes 100,000.
fn requests_min() -> u32 {
    let wanted = std::env::var("SQUALL_TEST_RELOAD_REQUESTS");
    wanted.map_or(2000, |number| number.parse().unwrap())
}

#[test]
fn new_connections_get_the_new_certificate_and_no_request_fails() {
    let authority = Authority::new();
    let files = authority.issue(&["localhost"]);
    let bound = bind(Server::new(application).shards(2).tls(files.tls())).unwrap();
    let reloader = bound.reloader();
    let running = Running::run(bound);
    let options = Options::trusting(&authority);
    let mut kept = options.connect(running.address).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (options, address) = (options.clone(), running.address);
            let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut client = options.connect(address).unwrap();
                    for _ in 0..10 {
                        assert!(client.get("localhost", "/").unwrap().ends_with("hello"));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let requests_min = requests_min();
    for round in 0.. {
        if round >= 20 && served.load(Ordering::Relaxed) >= requests_min {
            break;
        }
        let next = authority.issue_as(&format!("next-{round}"), &["localhost"], |_| ());
        overwrite(&files, &next);
        reloader.reload().unwrap();
        for _ in 0..4 {
            // Without tickets: a resumed session keeps the certificate it began with.
            let client = Options::trusting(&authority).connect(running.address).unwrap();
            assert_eq!(client.certificate(), next.chain[0].to_vec(), "round {round}");
        }
        // The clients go on through the reload.
        let before = served.load(Ordering::Relaxed);
        crate::support::eventually("requests are served", || served.load(Ordering::Relaxed) > before + 20);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(kept.get("localhost", "/").unwrap().ends_with("hello"));
}

/// The old pair stays, and the error says why.
#[test]
fn a_pair_that_cannot_be_used_changes_nothing() {
    let authority = Authority::new();
    let files = authority.issue(&["localhost"]);
    let other = authority.issue(&["other.example"]);
    let expired = authority.issue_expired("late.example");
    let original = fs::read(&files.certificate).unwrap();
    let bound = bind(Server::new(application).shards(2).tls(files.tls())).unwrap();
    let reloader = bound.reloader();
    let running = Running::run(bound);
    let certificate = || {
        Options::trusting(&authority)
            .connect(running.address)
            .unwrap()
            .certificate()
    };
    let first = certificate();
    let expect_refusal = |said: &str| {
        let error = reloader.reload().unwrap_err().to_string();
        assert!(
            error.starts_with("could not reload the certificates: ") && error.contains(said),
            "{error}"
        );
        assert_eq!(certificate(), first);
    };
    // The certificate has been replaced, and its key has not.
    fs::copy(&other.certificate, &files.certificate).unwrap();
    expect_refusal("belongs to another");
    fs::write(&files.certificate, "no certificate").unwrap();
    expect_refusal("could not read the certificate");
    overwrite(&files, &expired);
    expect_refusal("expired");
    fs::write(&files.certificate, original).unwrap();
}

/// A tool writes the second file while the reload waits for it.
#[test]
fn a_reload_between_two_files_waits_for_the_second() {
    let authority = Authority::new();
    let files = authority.issue(&["localhost"]);
    let next = authority.issue_as("next", &["localhost"], |_| ());
    let bound = bind(Server::new(application).shards(1).tls(files.tls())).unwrap();
    let reloader = bound.reloader();
    let running = Running::run(bound);
    fs::copy(&next.certificate, &files.certificate).unwrap();
    let reloading = thread::spawn(move || reloader.reload().map_err(|error| error.to_string()));
    fs::copy(&next.key, &files.key).unwrap();
    assert_eq!(reloading.join().unwrap(), Ok(()));
    let client = Options::trusting(&authority).connect(running.address).unwrap();
    assert_eq!(client.certificate(), next.chain[0].to_vec());
}
