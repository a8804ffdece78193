//! Drops the future of `Context::jwt_claims` at each of its polls: see "What is lost when a future is dropped" in
//! `ARCHITECTURE.md`.

use std::time::Duration;

use squall::prelude::*;
use squall::security::Jwt;
use squall::shards::yield_now;

use crate::harness::Running;
use crate::polls::{at_every_poll, dropped_after};

/// A key set with one shared secret is not public, so this one has a key that signs nothing here.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn claims_whose_keys_are_being_fetched_are_read_by_the_next_call() {
    let server = Running::start(1, || {
        let jwt = Jwt::new().keys_from(|_| async {
            yield_now().await;
            Ok(KEYS.to_owned())
        });
        // The token's key is unknown, so that each call fetches.
        let jwt = jwt.refetch_pause(Duration::ZERO);
        Application::new().jwt(jwt).get("/{polls}", async |cx: &mut Context| {
            let polls = cx.param("polls")?;
            let dropped = dropped_after(polls, cx.jwt_claims::<serde_json::Value>()).await;
            assert_eq!(cx.jwt_claims::<serde_json::Value>().await?, None);
            Ok::<_, Error>(dropped.is_some().to_string())
        })
    });
    at_every_poll(|polls| {
        let request = format!(
            "GET /{polls} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImIifQ.e30.AA\r\n\r\n"
        );
        let answer = server.connection().exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body == b"true"
    });
}
