//! A run that cannot start exits with 1 or 2 and names the reason within its timeout.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::server::{RIGHT, endless, responder, run, server, url};

#[test]
fn wrong_first_answer_ends_the_run_with_the_reason() {
    let says = |text: String| responder(move |_| text.clone());
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let keeps_silent = server(|mut peer| while peer.request().is_some() {});
    let stops_in_the_middle = server(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHel");
        // Returns when the client has closed the connection.
        peer.request();
    });
    for (address, mistake) in [
        (says(RIGHT.replace("200 OK", "500 Oh")), "expected status 200, got 500"),
        (says("SSH-2.0-OpenSSH_9.9\r\n".to_owned()), "not an HTTP/1.1 head"),
        (
            says("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
            r"head; the response is `SSH-2.0-OpenSSH_9.9\r\n`",
        ),
        (says(RIGHT.repeat(2)), "the server sent more than one response"),
        (says(many_fields), "more than 128 fields"),
        (
            says(RIGHT.replace("Hello", "Howdy")),
            "the body is not the expected one",
        ),
        (server(drop), "before it answered"),
        (keeps_silent, "within --timeout"),
        (stops_in_the_middle, "within --timeout"),
        (server(endless), "within --timeout"),
    ] {
        let (code, printed, said) = run(&url(address), "--timeout 500ms --expect-body Hello");
        assert!(code == Some(1) && said.contains(mistake), "{mistake}: {code:?} {said}");
        assert_eq!(printed, "", "{mistake}");
    }
}

#[test]
fn server_that_does_not_close_when_asked_cannot_be_churned() {
    let address = server(|mut peer| {
        while peer.request().is_some() {
            peer.say(RIGHT);
        }
    });
    let (code, _, said) = run(&url(address), "--churn --timeout 300ms");
    assert!(code == Some(1) && said.contains("no requested close"), "{said}");
}

#[test]
fn unreachable_server_is_named() {
    // A bound socket that does not listen reserves the port, and the kernel refuses connections to it.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    let refused = url(taken.local_addr().unwrap().as_socket().unwrap());
    for (url, mistake) in [
        (refused.as_str(), "Connection refused"),
        ("http://squall.invalid/", "could not resolve `squall.invalid`"),
    ] {
        let (code, _, said) = run(url, "--timeout 2s");
        assert!(code == Some(1) && said.contains(mistake), "{url}: {code:?} {said}");
    }
}

#[test]
fn command_line_mistakes_are_named() {
    let good = "http://127.0.0.1/";
    for (url, arguments, status, mistake) in [
        ("127.0.0.1:80", "", 2, "must start with http://"),
        ("ftp://127.0.0.1/", "", 2, "must start with http://, https:// or ws://"),
        (good, "--rate 0", 1, "the rate must be"),
        (good, "--threads 65", 1, "65 threads cannot share 64 connections"),
        (good, "--cores 1023", 1, "may not run on core 1023"),
        (good, "--body-file /nowhere/at/all", 1, "could not read /nowhere/at/all"),
        (good, "--header Content-Length:5", 1, "written by the generator"),
        (good, "--header nonsense", 2, "a name, a colon and a value"),
        (good, "--duration soon", 2, "a length of time"),
        (good, "--churn --rate 5", 2, "cannot be used with"),
        (good, "--requests 0", 2, "0 is not in 1.."),
        (good, "-n 5 --hold", 2, "cannot be used with"),
        (good, "-n 5 --publish ws://127.0.0.1/", 2, "cannot be used with"),
    ] {
        let (code, _, said) = run(url, arguments);
        assert!(
            code == Some(status) && said.contains(mistake),
            "{arguments}: {code:?} {said}"
        );
    }
}

#[test]
fn failed_check_names_its_reason_before_an_excerpt_of_the_response() {
    let page = "x".repeat(5_000);
    let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    let (code, _, said) = run(&url(responder(move |_| answer.clone())), "--timeout 2s");
    let reason = said.find("expected status 200, got 404").unwrap();
    let excerpt = said.find("; the response begins with `HTTP/1.1 404").unwrap();
    assert!(code == Some(1) && reason < excerpt, "{said}");
    assert!(said.len() < 600, "{} bytes: {said}", said.len());
}
