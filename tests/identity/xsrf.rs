//! `/xsrf`: tokens in cookies, fields, queries and forms.

use crate::harness::*;

/// Sends a POST with a cookie and a token in the form.
fn post_form(server: &Server, cookie: &str, content: &str) -> u16 {
    let cookie = if cookie.is_empty() {
        String::new()
    } else {
        format!("Cookie: _xsrf={cookie}\r\n")
    };
    let fields = format!("Content-Type: application/x-www-form-urlencoded\r\n{cookie}");
    send(server, "POST", "/xsrf", &fields, content).status
}

/// The raw token of a text of version 2.
fn raw(token: &str) -> Vec<u8> {
    let parts: Vec<&str> = token.split('|').collect();
    assert_eq!((parts.len(), parts[0]), (4, "2"), "{token}");
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let (mask, masked) = (bytes(parts[1]), bytes(parts[2]));
    assert_eq!((mask.len(), masked.len()), (4, 16), "{token}");
    masked
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}

fn percent(text: &str) -> String {
    text.replace('|', "%7C")
}

#[test]
fn a_token_sets_its_cookie_and_is_masked_afresh_each_time() {
    let server = start();
    let first = get(&server, "/xsrf", "");
    assert_eq!(first.status, 200);
    let cookie = pair(&first);
    let token = cookie.strip_prefix("_xsrf=").unwrap();
    assert_eq!(raw(text(&first)), raw(token));
    let mut texts = vec![text(&first).to_owned()];
    for _ in 0..10 {
        let next = get(&server, "/xsrf", &cookie);
        assert!(set_cookies(&next).is_empty(), "a usable cookie came");
        assert_eq!(raw(text(&next)), raw(token));
        assert!(!texts.contains(&text(&next).to_owned()));
        texts.push(text(&next).to_owned());
    }
    let other = get(&server, "/xsrf", "");
    assert_ne!(raw(text(&other)), raw(token), "another visitor");
    for unusable in ["_xsrf=", "_xsrf=3|", "_xsrf=2|x", "_xsrf=2|aabbccdd||1"] {
        assert_eq!(set_cookies(&get(&server, "/xsrf", unusable)).len(), 1, "{unusable}");
    }
}

#[test]
fn the_form_has_a_hidden_input() {
    let server = start();
    let form = get(&server, "/xsrf/form", "");
    let html = text(&form);
    let token = html
        .strip_prefix("<input type=\"hidden\" name=\"_xsrf\" value=\"")
        .unwrap();
    let token = token.split('"').next().unwrap();
    assert_eq!(raw(token), raw(pair(&form).strip_prefix("_xsrf=").unwrap()));
    assert_eq!(post_form(&server, token, &format!("_xsrf={}", percent(token))), 200);
}

#[test]
fn a_token_counts_in_a_field_in_the_query_and_in_a_form() {
    let server = start();
    let cookie = pair(&get(&server, "/xsrf", ""));
    let page = get(&server, "/xsrf", &cookie);
    let token = text(&page);
    let cookies = format!("Cookie: {cookie}\r\n");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for name in ["X-Xsrftoken", "X-XSRFToken", "X-Csrftoken"] {
            let answer = send(&server, method, "/xsrf", &format!("{cookies}{name}: {token}\r\n"), "");
            assert_eq!((answer.status, text(&answer)), (200, "ok"), "{method} {name}");
        }
        let target = format!("/xsrf?_xsrf={}", percent(token));
        assert_eq!(send(&server, method, &target, &cookies, "").status, 200, "{method}");
        assert_eq!(send(&server, method, "/xsrf", &cookies, "").status, 403, "{method}");
    }
    let form = format!("a=b&_xsrf={}", percent(token));
    assert_eq!(post_form(&server, cookie.strip_prefix("_xsrf=").unwrap(), &form), 200);
    let multipart = format!("--b\r\nContent-Disposition: form-data; name=\"_xsrf\"\r\n\r\n{token}\r\n--b--\r\n");
    let fields = format!("{cookies}Content-Type: multipart/form-data; boundary=b\r\n");
    assert_eq!(send(&server, "POST", "/xsrf", &fields, &multipart).status, 200);
}

/// The cases of Tornado's own tests.
#[test]
fn tornados_tokens_of_both_versions_fit_one_another() {
    let server = start();
    let v1 = "9ad7b51d6d85d42e556d3a2b6e7320fb";
    let v2 = "2|f2a3039a|6874b6879f26d7b4a7ce39b19cd02361|1300000000";
    for (cookie, form, status) in [
        (v1, format!("_xsrf={v1}"), 200),
        (v1, format!("_xsrf={}", percent(v2)), 200),
        (v2, format!("_xsrf={v1}"), 200),
        (v2, format!("_xsrf={}", percent(v2)), 200),
        ("deadbeef", "_xsrf=deadbeef".to_owned(), 200),
        ("xoxo", "_xsrf=xoxo".to_owned(), 200),
        ("", "a=b".to_owned(), 403),
        ("", format!("_xsrf={v1}"), 403),
        (v1, "a=b".to_owned(), 403),
        (v1, "_xsrf=".to_owned(), 403),
        (v1, "_xsrf=3%7C".to_owned(), 403),
        (v1, "_xsrf=%FF".to_owned(), 403),
        ("3|", "_xsrf=3%7C".to_owned(), 403),
        (v1, "_xsrf=deadbeef".to_owned(), 403),
        ("xoxo", "_xsrf=xox".to_owned(), 403),
    ] {
        assert_eq!(post_form(&server, cookie, &form), status, "{cookie} {form}");
    }
}

#[test]
fn a_browser_that_names_another_site_is_refused_despite_the_token() {
    let server = start();
    let token = "Cookie: _xsrf=xoxo\r\nX-Xsrftoken: xoxo\r\n";
    for (fields, status) in [
        ("", 200),
        ("Sec-Fetch-Site: same-origin\r\n", 200),
        ("Sec-Fetch-Site: none\r\n", 200),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\nOrigin: http://a\r\n", 403),
        ("Origin: http://a\r\n", 200),
        ("Origin: http://A:80\r\n", 200),
        ("Origin: http://a.example\r\n", 403),
        ("Origin: http://a:8080\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://a\r\nOrigin: http://a\r\n", 403),
    ] {
        let answer = send(&server, "POST", "/xsrf", &format!("{token}{fields}"), "");
        assert_eq!(answer.status, status, "{fields}");
    }
}

#[test]
fn other_methods_are_405_and_other_routes_are_free() {
    let server = start();
    for method in ["OPTIONS", "REPORT", "TRACE"] {
        let answer = send(&server, method, "/xsrf", "", "");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.field("allow").is_some());
    }
    assert_eq!(send(&server, "POST", "/nowhere", "", "").status, 404);
    assert_eq!(send(&server, "POST", "/echo", "", "a").status, 200);
}
