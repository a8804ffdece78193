//! What cannot be loaded is refused with the reason, in time, and with a status that a script notices.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::{RIGHT, endless, responder, run, server, url};

#[test]
fn first_answer_that_is_wrong_ends_the_run_with_the_reason() {
    let says = |text: String| responder(move |_| text.clone());
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let keeps_silent = server(|mut peer| while peer.request().is_some() {});
    let stops_in_the_middle = server(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHel");
        // Held until the client has gone.
        peer.request();
    });
    for (address, mistake) in [
        (says(RIGHT.replace("200 OK", "500 Oh")), "expected status 200, got 500"),
        (says("SSH-2.0-OpenSSH_9.9\r\n".to_owned()), "not an HTTP/1.1 head"),
        (
            says("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
            r"answered with `SSH-2.0-OpenSSH_9.9\r\n`",
        ),
        (says(RIGHT.repeat(2)), "more came than one answer"),
        (says(many_fields), "more than 128 fields"),
        (
            says(RIGHT.replace("Hello", "Howdy")),
            "the body is not the expected one",
        ),
        (server(drop), "before it answered"),
        (keeps_silent, "in time (see --timeout)"),
        (stops_in_the_middle, "in time (see --timeout)"),
        (server(endless), "in time (see --timeout)"),
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
    assert!(
        code == Some(1) && said.contains("no close that was asked for"),
        "{said}"
    );
}

#[test]
fn server_that_cannot_be_reached_is_named() {
    // Bound and not listening: nobody else can have this port, and connecting to it is refused.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    let refused = url(taken.local_addr().unwrap().as_socket().unwrap());
    for (url, mistake) in [
        (refused.as_str(), "Connection refused"),
        ("http://squall.invalid/", "cannot resolve `squall.invalid`"),
    ] {
        let (code, _, said) = run(url, "--timeout 2s");
        assert!(code == Some(1) && said.contains(mistake), "{url}: {code:?} {said}");
    }
}

#[test]
fn nonsense_on_the_command_line_is_named() {
    let good = "http://127.0.0.1/";
    for (url, arguments, status, mistake) in [
        ("127.0.0.1:80", "", 2, "must start with http://"),
        ("https://127.0.0.1/", "", 2, "TLS is not supported"),
        (good, "--rate 0", 1, "the rate must be"),
        (good, "--threads 65", 1, "65 threads cannot share 64 connections"),
        (good, "--cores 1023", 1, "may not run on core 1023"),
        (good, "--body-file /nowhere/at/all", 1, "cannot read /nowhere/at/all"),
        (good, "--header Content-Length:5", 1, "written by the generator"),
        (good, "--header nonsense", 2, "a name, a colon and a value"),
        (good, "--duration soon", 2, "a length of time"),
        (good, "--churn --rate 5", 2, "cannot be used with"),
    ] {
        let (code, _, said) = run(url, arguments);
        assert!(
            code == Some(status) && said.contains(mistake),
            "{arguments}: {code:?} {said}"
        );
    }
}
