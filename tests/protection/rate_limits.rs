//! Limits of rates: for all shards of the process together, by address, user and route.

use std::time::Duration;

use squall::middleware::RateLimit;
use squall::prelude::*;
use squall::routing::get;

use crate::support::client::Connection;
use crate::support::running::Running;

/// Connections enough for both shards.
const CONNECTIONS: usize = 32;

/// A period in which no permit comes back while a test runs.
const LONG: Duration = Duration::from_secs(100_000);

fn ask(connection: &mut Connection, target: &str, fields: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let response = connection.exchange(request.as_bytes(), "GET").unwrap();
    let retry = response
        .field("retry-after")
        .map(|seconds| str::from_utf8(seconds).unwrap().to_owned());
    match response.status {
        429 => assert!(retry.unwrap().parse::<u64>().unwrap() > 0),
        _ => assert_eq!(retry, None),
    }
    response.status
}

/// Asks over many connections in turn until all of them are refused, and returns how many requests passed.
fn passed(server: &Running, target: &str, fields: &str) -> usize {
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| server.connection()).collect();
    let mut passed = 0;
    loop {
        let before = passed;
        for connection in &mut connections {
            passed += usize::from(ask(connection, target, fields) == 200);
        }
        if passed == before {
            return passed;
        }
    }
}

async fn ok(_: &mut Context) -> &'static str {
    "ok"
}

async fn user(cx: &mut Context) -> Result<Option<String>> {
    Ok(cx.header("x-user").map(str::to_owned))
}

fn limited(limit: &RateLimit) -> Application {
    Application::new()
        .trusted_proxies("127.0.0.1".parse().unwrap())
        .nest(
            "/a",
            Routes::new().middleware(limit.clone()).get("/x", ok).get("/y", ok),
        )
        .get("/free", ok)
}

#[test]
fn a_limit_holds_for_all_shards_together() {
    // A small one is exact; a large one is leased in parts.
    for permits in [20, 200] {
        let server = Running::start(2, move || limited(&RateLimit::per_address(permits, LONG)));
        assert_eq!(passed(&server, "/a/x", ""), usize::try_from(permits).unwrap());
        assert_eq!(
            ask(&mut server.connection(), "/a/y", ""),
            429,
            "both routes count together"
        );
        assert_eq!(ask(&mut server.connection(), "/free", ""), 200);
    }
}

#[test]
fn each_address_counts_apart_and_ipv6_by_its_network() {
    let server = Running::start(2, || limited(&RateLimit::per_address(5, LONG)));
    for (address, expected) in [
        ("203.0.113.1", 5),
        ("203.0.113.2", 5),
        ("::ffff:203.0.113.2", 0),
        ("2001:db8:0:1::1", 5),
        ("2001:db8:0:1:ffff::2", 0),
        ("2001:db8:0:2::1", 5),
    ] {
        let fields = format!("X-Real-Ip: {address}\r\n");
        assert_eq!(passed(&server, "/a/x", &fields), expected, "{address}");
    }
}

#[test]
fn each_user_and_each_route_counts_apart() {
    let server = Running::start(2, || limited(&RateLimit::per_key(4, LONG, user).per_route()));
    for (target, fields, expected) in [
        ("/a/x", "X-User: ada\r\n", 4),
        ("/a/x", "X-User: bob\r\n", 4),
        ("/a/y", "X-User: ada\r\n", 4),
        ("/a/x", "X-User: ada\r\n", 0),
        // Without a user, the address counts.
        ("/a/x", "", 4),
    ] {
        assert_eq!(passed(&server, target, fields), expected, "{target} {fields}");
    }
}

#[test]
fn permits_come_back_evenly() {
    // One each 50 ms, and at most two at once.
    let limit = || RateLimit::per_address(20, Duration::from_secs(1)).burst(2);
    let server = Running::start(2, move || limited(&limit()));
    let mut connection = server.connection();
    let mut passed = 0;
    // A connection that asks without pause is admitted again and again.
    while passed < 6 {
        passed += usize::from(ask(&mut connection, "/a/x", "") == 200);
    }
}

#[test]
fn a_handler_counts_what_it_names() {
    async fn login(cx: &mut Context) -> Result<&'static str> {
        let account: String = cx.query_param("account")?;
        RateLimit::per_address(3, LONG).check(cx, &account).await?;
        Ok("welcome")
    }
    let server = Running::start(2, || Application::new().get("/login", login));
    for (target, expected) in [
        ("/login?account=ada", 3),
        ("/login?account=bob", 3),
        ("/login?account=ada", 0),
    ] {
        assert_eq!(passed(&server, target, ""), expected, "{target}");
    }
}

#[test]
fn limits_of_one_line_count_together_unless_they_have_names() {
    let minute = || RateLimit::per_address(3, LONG);
    let server = Running::start(2, move || {
        Application::new()
            .route("/one", get(ok).middleware(minute()))
            .route("/two", get(ok).middleware(minute()))
            .route("/three", get(ok).middleware(minute().name("three")))
    });
    for (target, expected) in [("/one", 3), ("/two", 0), ("/three", 3)] {
        assert_eq!(passed(&server, target, ""), expected, "{target}");
    }
}

/// More addresses than a shard remembers: strangers are still answered, and the memory stays.
#[test]
fn a_flood_of_addresses_locks_no_client_out() {
    let server = Server::new(|| limited(&RateLimit::per_address(1, LONG)).max_rate_limit_keys(10));
    let server = Running::serve(server.shards(2));
    let mut connection = server.connection();
    for number in 0..200 {
        let fields = format!("X-Real-Ip: 10.0.0.{number}\r\n");
        assert_eq!(ask(&mut connection, "/a/x", &fields), 200, "{number}");
    }
    assert_eq!(ask(&mut connection, "/a/x", "X-Real-Ip: 10.0.0.199\r\n"), 429);
}
